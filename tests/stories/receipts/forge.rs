//! Receipts made by hand from keys of our own, so that any part can be wrong while everything around it is signed rightly.
//!
//! Nothing of the server's own receipt code is used: this is a third reading of `api-spec/receipt.md`.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _,
};
use phoneops::secret::{b64u, sha256, tagged_sha256};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://phoneops.example";

/// A P-256 key pair that signs in both encodings.
pub(crate) struct Key {
    fixed: EcdsaKeyPair,
    asn1: EcdsaKeyPair,
    public: Vec<u8>,
}

impl Key {
    pub(crate) fn generate() -> Self {
        let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let document = made.to_pkcs8v1().unwrap();
        let open = |algorithm: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).unwrap();
        let public = made.public_key().as_ref().to_vec();
        Self { fixed: open(&ECDSA_P256_SHA256_FIXED_SIGNING), asn1: open(&ECDSA_P256_SHA256_ASN1_SIGNING), public }
    }

    fn signed(pair: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
        pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    fn jwk(&self) -> Value {
        json!({"kty": "EC", "crv": "P-256", "x": b64u(&self.public[1..33]), "y": b64u(&self.public[33..])})
    }

    fn thumbprint(&self) -> String {
        b64u(sha256(&canonical(&self.jwk())))
    }

    fn cose(&self) -> Vec<u8> {
        let (head, middle) = ([0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32], [0x22, 0x58, 32]);
        [&head[..], &self.public[1..33], &middle, &self.public[33..]].concat()
    }

    /// A compact JWS of texts as they are.
    fn jws(&self, header: &Value, payload: &[u8]) -> String {
        let signed = format!("{}.{}", b64u(header.to_string()), b64u(payload));
        format!("{signed}.{}", b64u(Self::signed(&self.fixed, signed.as_bytes())))
    }
}

pub(crate) fn canonical(value: &Value) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(value).unwrap()
}

fn digest(tag: &str, value: &Value) -> Value {
    json!(b64u(tagged_sha256(tag, &canonical(value))))
}

pub(crate) fn user(n: usize) -> String {
    format!("usr_{n:032x}")
}

/// One answer in its parts.
pub(crate) struct Piece {
    /// What the receipt says of it, without statement, signature and attestation.
    pub(crate) fields: Value,
    pub(crate) statement: Value,
    pub(crate) attestation: Value,
    pub(crate) client_data: Value,
    pub(crate) authenticator_data: Vec<u8>,
    /// Whose key signs: a place in [`Forge::people`].
    pub(crate) signer: usize,
    /// `webauthn` or `jws`.
    pub(crate) kind: &'static str,
    /// Which issuer key attests: a place in [`Forge::issuers`].
    pub(crate) attested_by: usize,
}

/// A receipt in its parts.
pub(crate) struct Draft {
    pub(crate) receipt: Value,
    pub(crate) pieces: Vec<Piece>,
    /// Which issuer key signs the whole.
    pub(crate) signed_by: usize,
}

/// Everybody's keys.
pub(crate) struct Forge {
    /// The first two are in the trust root.
    issuers: Vec<Key>,
    people: Vec<Key>,
    pub(crate) receipt_typ: &'static str,
    pub(crate) attestation_typ: &'static str,
    pub(crate) answer_typ: &'static str,
}

impl Forge {
    pub(crate) fn new() -> Self {
        let keys = |count| (0..count).map(|_| Key::generate()).collect();
        Self {
            issuers: keys(3),
            people: keys(4),
            receipt_typ: "phoneops-receipt+jws",
            attestation_typ: "phoneops-attestation+jwt",
            answer_typ: "phoneops-answer+jws",
        }
    }

    pub(crate) fn trust_root(&self) -> Value {
        let jwk = |(at, key): (usize, &Key)| {
            let mut jwk = key.jwk();
            jwk["kid"] = json!(kid(at));
            jwk
        };
        json!({"keys": self.issuers.iter().enumerate().take(2).map(jwk).collect::<Vec<_>>()})
    }

    /// Approved by so many, with these factors in turn, redeemed, succeeded.
    pub(crate) fn approved(&self, factors: &[&'static str]) -> Draft {
        let people: Vec<_> = (0..factors.len()).map(user).collect();
        let everybody = json!({"count": factors.len(), "of": people, "factor": "tap"});
        let never = json!({"count": 2, "of": [user(3)], "factor": "tap"});
        let first = json!({"count": 1, "of": [user(0), user(3)], "factor": factors[0]});
        let needs = json!([{"any_of": [everybody]}, {"any_of": [never, first]}]);
        let mut draft = Self::draft("approved", &needs);
        let by = &people[people.len() - 1];
        draft.receipt["decision"] = json!({"verdict": "approve", "by": by, "at": "2026-03-01T10:00:30.5Z"});
        draft.pieces = factors.iter().enumerate().map(|(at, factor)| self.piece(at, factor, "approve")).collect();
        let weakest = ["tap", "code", "passkey"].into_iter().find(|factor| factors.contains(factor)).unwrap();
        let action = draft.receipt["approval"]["action"].clone();
        draft.receipt["grant"] = json!({
            "iss": ISSUER, "aud": format!("bot_{:032x}", 7), "sub": user(0), "jti": format!("grt_{:032x}", 9), "iat": 1_772_359_230,
            "exp": 1_772_359_530, "acr": format!("phoneops:{weakest}"), "amr": ["pop", "user"],
            "authorization_details": [{"type": "phoneops_action", "action": action}],
            "action_sha256": "", "approval": draft.receipt["approval"]["id"], "approvers": people,
        });
        draft.receipt["redemption"] = json!({"by": format!("bot_{:032x}", 7), "at": "2026-03-01T10:00:31Z"});
        draft.receipt["outcome"] = json!({"outcome": "succeeded", "detail": "release 42", "at": "2026-03-01T10:01:00Z"});
        Self::sync(&mut draft);
        draft
    }

    /// The grant bound to the fourth person's key, which proved the redemption.
    pub(crate) fn bound(&self) -> Draft {
        let mut draft = self.approved(&["passkey"]);
        draft.receipt["type"] = json!("phoneops.receipt.v2");
        draft.receipt["grant"]["cnf"] = json!({"jkt": self.people[3].thumbprint()});
        draft.receipt["redemption"]["proof"] = json!(self.proof(3, 3, &Self::proof_claims()));
        Self::sync(&mut draft);
        draft
    }

    pub(crate) fn proof_claims() -> Value {
        json!({"jti": "AAAAAAAAAAAAAAAAAAAAAA", "htm": "POST", "htu": format!("{ISSUER}/v1/grants/redeem"), "iat": 1_772_359_230,
            "ath": b64u([1; 32]), "nonce": null})
    }

    /// A DPoP proof that names one person's key and is signed by another's.
    pub(crate) fn proof(&self, named: usize, signer: usize, claims: &Value) -> String {
        let header = json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": self.people[named].jwk()});
        self.people[signer].jws(&header, claims.to_string().as_bytes())
    }

    /// Opened by break-glass, after one of two had approved.
    pub(crate) fn opened(&self) -> Draft {
        let mut draft = self.approved(&["passkey"]);
        let receipt = &mut draft.receipt;
        receipt["type"] = json!("phoneops.receipt.v2");
        receipt["requirement"]["needs"] = json!([{"any_of": [{"count": 2, "of": [user(0), user(1)], "factor": "passkey"}]}]);
        receipt.as_object_mut().unwrap().remove("decision");
        receipt["break_glass"] = json!({"at": "2026-03-01T10:00:40Z", "until": "2026-03-01T10:15:40Z", "reason": "nobody answers",
            "told": [user(0), user(1), user(3)], "expires_at": "2026-03-01T10:05:00Z"});
        receipt["approval"]["expires_at"] = json!("2026-03-01T10:20:40Z");
        receipt["approval"]["ended_at"] = json!("2026-03-01T10:15:40.2Z");
        receipt["grant"]["acr"] = json!("phoneops:break-glass");
        receipt["grant"]["approvers"] = json!([]);
        (receipt["grant"]["iat"], receipt["grant"]["exp"]) = (json!(1_772_360_140), json!(1_772_360_440));
        receipt["redemption"]["at"] = json!("2026-03-01T10:16:00Z");
        receipt["outcome"]["at"] = json!("2026-03-01T10:17:00Z");
        // Signed before the glass was broken.
        draft.pieces[0].fields["until"] = json!("2026-03-01T10:05:00Z");
        Self::sync(&mut draft);
        draft
    }

    /// Broken, and denied by an administrator who was only told.
    pub(crate) fn closed(&self) -> Draft {
        let mut draft = self.opened();
        let receipt = &mut draft.receipt;
        for name in ["grant", "redemption", "outcome"] {
            receipt.as_object_mut().unwrap().remove(name);
        }
        receipt["approval"]["state"] = json!("denied");
        receipt["approval"]["ended_at"] = json!("2026-03-01T10:10:00Z");
        receipt["decision"] = json!({"verdict": "deny", "by": user(3), "at": "2026-03-01T10:10:00Z"});
        let mut denied = self.piece(3, "tap", "deny");
        denied.fields["answered_at"] = json!("2026-03-01T10:09:59Z");
        draft.pieces.push(denied);
        Self::state(&mut draft, 1);
        draft
    }

    /// Approved by two, of whom the second answers for two others, who are away.
    pub(crate) fn delegated(&self) -> Draft {
        let mut draft = self.approved(&["passkey", "code"]);
        let absent = [user(4), user(5)];
        draft.receipt["requirement"]["delegations"] = absent.iter().map(|absent| json!({"for": absent, "by": user(1)})).collect();
        draft.pieces[1].fields["for"] = json!(absent);
        Self::sync(&mut draft);
        draft
    }

    pub(crate) fn denied(&self, verdict: &'static str) -> Draft {
        let mut draft =
            Self::draft("denied", &json!([{"any_of": [{"count": 2, "of": [user(0), user(1)], "factor": "passkey"}]}]));
        draft.receipt["decision"] = json!({"verdict": verdict, "by": user(1), "at": "2026-03-01T10:00:30.5Z"});
        draft.pieces = vec![self.piece(0, "passkey", "approve"), self.piece(1, "passkey", verdict)];
        draft.pieces[1].fields["reason"] = json!("nicht am Freitag 🙅");
        Self::sync(&mut draft);
        draft
    }

    pub(crate) fn ended(state: &str) -> Draft {
        let mut draft = Self::draft(state, &json!([{"any_of": [{"count": 1, "of": [user(0)], "factor": "code"}]}]));
        Self::sync(&mut draft);
        draft
    }

    fn draft(state: &str, needs: &Value) -> Draft {
        let action = json!({"type": "deploy", "target": "production",
            "params": {"app": "api", "count": 3, "dry": false, "\u{10000}": "é", "\u{ffff}": ["a\n\"", -1], "map": {"k": "v"}}});
        let display = json!({"title": "deploy → production", "rows": [{"label": "app", "value": "api"}],
            "requester": "Yannick Schutz (@yannick)", "bot": "heimdall"});
        let receipt = json!({
            "type": "phoneops.receipt.v1", "issuer": ISSUER, "issued_at": "2026-03-01T11:00:00Z",
            "origins": [ISSUER, "android:apk-key-hash:pNiP5iKyQ8JwgGOaKA1zGPUPJIS-0H1xKCQcfIoGLck"],
            "approval": {
                "id": format!("apr_{:032x}", 5), "tag": "R7K2", "state": state, "bot": format!("bot_{:032x}", 7), "requester": user(0),
                "reason": "release day", "action": action, "action_sha256": "", "display": display, "display_sha256": "",
                "created_at": "2026-03-01T10:00:00Z", "expires_at": "2026-03-01T10:05:00Z", "ended_at": "2026-03-01T10:00:30.5Z",
            },
            "requirement": {"policy": {"name": "production", "sha256": b64u([7; 32])}, "needs": needs},
            "answers": [], "people": [{"id": user(0), "handle": "yannick", "name": "Yannick Schutz"}],
        });
        Draft { receipt, pieces: Vec::new(), signed_by: 0 }
    }

    fn piece(&self, at: usize, factor: &'static str, verdict: &str) -> Piece {
        let device = format!("dev_{at:032x}");
        let mut fields = json!({"approver": user(at), "device": device, "verdict": verdict, "factor": factor,
            "answered_at": format!("2026-03-01T10:00:{:02}.25Z", 20 + at)});
        if factor == "code" {
            fields["code_confirmed"] = json!(true);
        }
        let key = &self.people[at];
        let named = if factor == "passkey" {
            json!({"kind": "passkey", "id": format!("pky_{at:032x}"), "rp_id": "phoneops.example", "credential_id": credential_id(at),
                "public_key": b64u(key.cose())})
        } else {
            json!({"kind": "device", "jwk": key.jwk(), "jkt": key.thumbprint()})
        };
        let attestation = json!({"iss": ISSUER, "sub": user(at), "iat": 1_770_000_000, "device": device,
            "enrolled_at": "2026-02-01T09:00:00Z", "key": named});
        let client_data = json!({"type": "webauthn.get", "challenge": "", "origin": ISSUER, "crossOrigin": false, "scale": 1.5});
        let authenticator_data = [&sha256(b"phoneops.example")[..], &[0x05, 0, 0, 0, 9]].concat();
        let kind = if factor == "passkey" { "webauthn" } else { "jws" };
        let statement = json!({});
        Piece { fields, statement, attestation, client_data, authenticator_data, signer: at, kind, attested_by: at % 2 }
    }

    /// Makes digests and statements follow from the rest.
    pub(crate) fn sync(draft: &mut Draft) {
        let approval = &mut draft.receipt["approval"];
        approval["action_sha256"] = digest("phoneops.action.v1", &approval["action"]);
        approval["display_sha256"] = digest("phoneops.display.v1", &approval["display"]);
        let sha256 = approval["action_sha256"].clone();
        if draft.receipt["grant"].is_object() {
            draft.receipt["grant"]["action_sha256"] = sha256;
        }
        for at in 0..draft.pieces.len() {
            Self::state(draft, at);
        }
    }

    /// Makes one statement follow from the rest.
    fn state(draft: &mut Draft, at: usize) {
        let (receipt, approval) = (&draft.receipt, &draft.receipt["approval"]);
        let piece = &mut draft.pieces[at];
        piece.statement = json!({
            "type": "phoneops.answer.v1", "issuer": receipt["issuer"], "approval": approval["id"], "action": approval["action"],
            "action_sha256": approval["action_sha256"], "requester": approval["requester"], "approver": piece.fields["approver"],
            "verdict": piece.fields["verdict"], "factor": piece.fields["factor"], "policy": receipt["requirement"]["policy"],
            "display_sha256": approval["display_sha256"], "nonce": b64u([3; 16]), "expires_at": approval["expires_at"],
        });
        // What a statement said when it was offered may be earlier than what the approval came to say.
        if !piece.fields["until"].is_null() {
            piece.statement["expires_at"] = piece.fields["until"].clone();
        }
        if !piece.fields["for"].is_null() {
            piece.statement["for"] = piece.fields["for"].clone();
        }
        piece.client_data["challenge"] = json!(challenge(&text(&piece.statement)));
    }

    /// The parts of an answer, signed. `statement` is what is signed.
    fn answer(&self, piece: &Piece, statement: &str) -> Value {
        let key = &self.people[piece.signer];
        let signature = if piece.kind == "webauthn" {
            let client_data = piece.client_data.to_string();
            let signed = [&piece.authenticator_data[..], &sha256(client_data.as_bytes())].concat();
            json!({"kind": "webauthn", "credential_id": credential_id(piece.signer), "client_data_json": b64u(client_data),
                "authenticator_data": b64u(&piece.authenticator_data), "signature": b64u(Key::signed(&key.asn1, &signed))})
        } else {
            let header = json!({"alg": "ES256", "typ": self.answer_typ});
            json!({"kind": "jws", "jws": key.jws(&header, statement.as_bytes())})
        };
        let header = json!({"alg": "ES256", "kid": kid(piece.attested_by), "typ": self.attestation_typ});
        let mut answer = piece.fields.clone();
        answer["statement"] = json!(statement);
        answer["signature"] = signature;
        answer["attestation"] = json!(self.issuers[piece.attested_by].jws(&header, piece.attestation.to_string().as_bytes()));
        answer
    }

    /// The whole, signed.
    pub(crate) fn finish(&self, draft: &Draft) -> Value {
        let mut receipt = draft.receipt.clone();
        receipt["answers"] = draft.pieces.iter().map(|piece| self.answer(piece, &text(&piece.statement))).collect();
        self.seal(&receipt, draft.signed_by)
    }

    /// A receipt as it is, signed by the issuer.
    pub(crate) fn seal(&self, receipt: &Value, signed_by: usize) -> Value {
        let header = json!({"alg": "ES256", "kid": kid(signed_by), "typ": self.receipt_typ});
        let whole = self.issuers[signed_by].jws(&header, &canonical(receipt));
        let (signed, signature) = whole.rsplit_once('.').unwrap();
        json!({"receipt": receipt, "signature": format!("{}..{signature}", signed.split('.').next().unwrap())})
    }
}

fn credential_id(at: usize) -> String {
    b64u([u8::try_from(at).unwrap(); 20])
}

pub(crate) fn kid(at: usize) -> String {
    format!("issuer-{at}")
}

/// A statement's canonical text.
pub(crate) fn text(statement: &Value) -> String {
    String::from_utf8(canonical(statement)).unwrap()
}

pub(crate) fn challenge(statement: &str) -> String {
    b64u(tagged_sha256("phoneops.answer.v1", statement.as_bytes()))
}
