#!/usr/bin/env python3
"""Check a PhoneOps receipt offline.

Written from api-spec/receipt.md alone, and from the standards it names. It shares no code with the server, so that the two can
check each other: tests/stories/receipts.rs holds that they agree on thousands of receipts.

    python3 phoneops_verify.py receipt.json --issuer-keys jwks.json

Exit codes: 0 the receipt holds and the action was approved, 1 something is wrong, 2 usage, 3 denied, 4 unauthenticated (no issuer
keys were given), 5 expired, 6 cancelled, 7 it holds and nobody approved: it was opened by break-glass (0 with --allow-break-glass).
"""

import argparse
import base64
import datetime
import hashlib
import json
import re
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

LIMIT = 4 * 1024 * 1024
SAFE = 2**53 - 1
SKEW = 5_000_000  # microseconds
STRENGTH = {"tap": 0, "code": 1, "passkey": 2}
FIRST, SECOND = "phoneops.receipt.v1", "phoneops.receipt.v2"
BREAK_GLASS = "phoneops:break-glass"
LEAST_WAIT = 60_000_000  # microseconds
EXITS = {"approved": 0, "denied": 3, "expired": 5, "cancelled": 6}


class Wrong(Exception):
    """The first thing that is wrong: the name of the check, and a sentence."""

    def __init__(self, check, why):
        super().__init__(f"{check}: {why}")
        self.check, self.why = check, why


class NotPlain(ValueError):
    """Not plain JSON, or not of the type that is asked for."""


# --- Texts and bytes --------------------------------------------------------------------------------------------------------


def unbase64url(text):
    """Bytes of canonical base64url without padding."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]*", text, re.ASCII) or len(text) % 4 == 1:
        raise NotPlain("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64url(data) != text:
        raise NotPlain("not canonical base64url")
    return data


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def tagged(tag, data):
    """H(tag, data) of the specification."""
    return base64url(hashlib.sha256(tag.encode() + b"\0" + data).digest())


def sound_text(text):
    if "\0" in text or any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise NotPlain("a text holds U+0000 or half a character")


def pairs_once(pairs):
    found = {}
    for name, value in pairs:
        sound_text(name)
        if name in found:
            raise NotPlain(f"{name} is there twice")
        found[name] = value
    return found


def no_constant(text):
    raise NotPlain(f"{text} is no JSON")


def plain_integer(text):
    if not re.fullmatch(r"-?(0|[1-9][0-9]{0,15})", text) or text == "-0" or abs(int(text)) > SAFE:
        raise NotPlain(f"{text} is not an integer within 2^53 - 1")
    return int(text)


def no_fraction(text):
    raise NotPlain(f"{text} is not an integer")


def finite(text):
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise NotPlain("a number is not finite")
    return value


def read_json(data, **numbers):
    """One object in UTF-8, no member of which is there twice."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=pairs_once, parse_constant=no_constant, **numbers)
    except NotPlain:
        raise
    except (ValueError, RecursionError) as error:
        raise NotPlain("not JSON in UTF-8") from error
    if not isinstance(value, dict):
        raise NotPlain("not an object")
    return value


def walk(value, depth, limit, null):
    if depth > limit:
        raise NotPlain("it nests too deep")
    if isinstance(value, str):
        sound_text(value)
    elif value is None and not null:
        raise NotPlain("a member is null")
    elif isinstance(value, (list, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            walk(item, depth + isinstance(item, (list, dict)), limit, null)


def plain_json(data):
    """Plain JSON, as the specification defines it."""
    value = read_json(data, parse_int=plain_integer, parse_float=no_fraction)
    walk(value, 1, 32, null=False)
    return value


def foreign_json(data):
    """What a browser wrote: fractions and null may be in it."""
    value = read_json(data, parse_float=finite)
    walk(value, 1, 127, null=True)
    return value


def canonical(value):
    """RFC 8785, for plain JSON."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(canonical(name) + ":" + canonical(value[name]) for name in names) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def jcs(value):
    return canonical(value).encode("utf-8")


def same(a, b):
    """Equality of plain JSON. Python's own would take True for 1."""
    return canonical(a) == canonical(b)


# --- Members by type --------------------------------------------------------------------------------------------------------


def member(value, name):
    if name not in value:
        raise NotPlain(f"{name} is missing")
    return value[name]


def typed(kind, what):
    def take(value, name):
        found = member(value, name)
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise NotPlain(f"{name} is not {what}")
        return found

    return take


text_of = typed(str, "a string")
list_of = typed(list, "a list")
object_of = typed(dict, "an object")
integer_of = typed(int, "an integer")
boolean_of = typed(bool, "a boolean")


def word_of(value, name, words):
    word = text_of(value, name)
    if word not in words:
        raise NotPlain(f"{name} is none of {', '.join(words)}")
    return word


def is_id(text, prefix):
    return isinstance(text, str) and re.fullmatch(prefix + r"_[0-9a-f]{32}", text) is not None


def id_of(value, name, prefix):
    if not is_id(text_of(value, name), prefix):
        raise NotPlain(f"{name} is no {prefix}_ id")
    return value[name]


def ids_of(value, name, prefix):
    ids = list_of(value, name)
    if not ids or not all(is_id(one, prefix) for one in ids):
        raise NotPlain(f"{name} is not a list of {prefix}_ ids")
    return ids


def objects_of(value, name):
    items = list_of(value, name)
    if not all(isinstance(item, dict) for item in items):
        raise NotPlain(f"{name} is not a list of objects")
    return items


def bytes_of(value, name):
    return unbase64url(text_of(value, name))


INSTANT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{0,5}[1-9]))?Z", re.ASCII)
EPOCH = datetime.datetime(1970, 1, 1)


def instant_of(value, name):
    """Microseconds since 1970 of an instant in its one spelling."""
    found = INSTANT.fullmatch(text_of(value, name))
    try:
        if not found or not "1970" <= found[1] <= "9998":
            raise ValueError
        moment = datetime.datetime(*map(int, found.groups()[:6]), int((found[7] or "0").ljust(6, "0")))
    except ValueError:
        raise NotPlain(f"{name} is no instant in its one spelling") from None
    return (moment - EPOCH) // datetime.timedelta(microseconds=1)


def exactly(value, names):
    if set(value) != set(names):
        raise NotPlain(f"the members are not exactly {', '.join(names)}")


# --- Keys and signatures ----------------------------------------------------------------------------------------------------


def p256(jwk):
    """The public key of a JWK's kty, crv, x and y."""
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
        raise NotPlain("not a P-256 key")
    x, y = bytes_of(jwk, "x"), bytes_of(jwk, "y")
    if len(x) != 32 or len(y) != 32:
        raise NotPlain("a coordinate is not 32 bytes")
    return point(ec.SECP256R1(), x, y)


def point(curve, x, y):
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(curve, b"\4" + x + y)
    except ValueError:
        raise NotPlain("not a point of the curve") from None


def es256(key, message, signature):
    """Raw r || s (RFC 7518 section 3.4)."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))


def cose(data):
    """A verifier for a COSE_Key in the one encoding that the specification allows."""
    es256_form = re.fullmatch(rb"\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20(.{32})\x22\x58\x20(.{32})", data, re.DOTALL)
    if es256_form:
        key = point(ec.SECP256R1(), *es256_form.groups())
        return lambda message, signature: key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    es384_form = re.fullmatch(rb"\xa5\x01\x02\x03\x38\x22\x20\x02\x21\x58\x30(.{48})\x22\x58\x30(.{48})", data, re.DOTALL)
    if es384_form:
        key = point(ec.SECP384R1(), *es384_form.groups())
        return lambda message, signature: key.verify(signature, message, ec.ECDSA(hashes.SHA384()))
    rs256_form = re.fullmatch(rb"\xa4\x01\x03\x03\x39\x01\x00\x20\x59(..)(.*)\x21\x43\x01\x00\x01", data, re.DOTALL)
    if rs256_form:
        modulus = rs256_form[2]
        if len(modulus) != int.from_bytes(rs256_form[1], "big") or not 256 <= len(modulus) <= 1024:
            raise NotPlain("not a modulus of 2048 to 8192 bits")
        if modulus[0] < 0x80 or modulus[-1] % 2 == 0:
            raise NotPlain("not a modulus")
        key = rsa.RSAPublicNumbers(65537, int.from_bytes(modulus, "big")).public_key()
        return lambda message, signature: key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    raise NotPlain("not a COSE_Key of a kind that is allowed")


class Jws:
    """A JWS whose header is exactly alg, typ and, when named, kid or jwk. Nothing vouches for it until `verify`."""

    def __init__(self, token, typ, named, limit=8192):
        parts = token.split(".")
        if len(token.encode("utf-8")) > limit or len(parts) != 3:
            raise NotPlain("not a compact JWS")
        self.head, self.payload, signature = parts
        self.signature = unbase64url(signature)
        if len(self.signature) != 64:
            raise NotPlain("the signature is not 64 bytes")
        header = foreign_json(unbase64url(self.head))
        name = "kid" if named is True else named
        exactly(header, ["alg", "typ", name] if named else ["alg", "typ"])
        if header["alg"] != "ES256" or header["typ"] != typ:
            raise NotPlain("alg or typ is another")
        self.kid = text_of(header, "kid") if named is True else None
        self.jwk = object_of(header, "jwk") if named == "jwk" else None
        if self.jwk is not None:
            exactly(self.jwk, ["kty", "crv", "x", "y"])

    def verify(self, key, payload=None):
        body = base64url(payload) if payload is not None else self.payload
        es256(key, f"{self.head}.{body}".encode(), self.signature)


def trust_root(data):
    """The P-256 keys of a JWK set, by kid."""
    keys = {}
    for jwk in list_of(plain_json(data), "keys"):
        try:
            keys[text_of(jwk, "kid")] = p256(jwk)
        except (NotPlain, TypeError):
            continue
    if not keys:
        raise NotPlain("no P-256 key with a kid")
    return keys


# --- The checks, in the specification's order ---------------------------------------------------------------------------------


def shape(document):
    """Every member is there and of its type."""
    text_of(document, "signature")
    receipt = document["receipt"]
    text_of(receipt, "issuer")
    instant_of(receipt, "issued_at")
    if not all(isinstance(origin, str) for origin in list_of(receipt, "origins")):
        raise NotPlain("origins is not a list of strings")

    approval = object_of(receipt, "approval")
    id_of(approval, "id", "apr"), id_of(approval, "bot", "bot"), id_of(approval, "requester", "usr")
    for name in ("tag", "action_sha256", "display_sha256"):
        text_of(approval, name)
    word_of(approval, "state", list(EXITS))
    object_of(approval, "action"), object_of(approval, "display")
    if "reason" in approval:
        text_of(approval, "reason")
    if "origin" in approval:
        object_of(approval, "origin")
    for name in ("created_at", "expires_at", "ended_at"):
        instant_of(approval, name)

    requirement = object_of(receipt, "requirement")
    policy = object_of(requirement, "policy")
    text_of(policy, "name"), text_of(policy, "sha256")
    needs = objects_of(requirement, "needs")
    groups = [objects_of(need, "any_of") for need in needs]
    if not needs or not all(groups):
        raise NotPlain("needs or any_of is empty")
    for group in (group for any_of in groups for group in any_of):
        if not 1 <= integer_of(group, "count") <= 1000:
            raise NotPlain("count is not 1 to 1000")
        ids_of(group, "of", "usr"), word_of(group, "factor", list(STRENGTH))

    if "delegations" in requirement:
        for delegation in objects_of(requirement, "delegations"):
            id_of(delegation, "for", "usr"), id_of(delegation, "by", "usr")

    for answer in objects_of(receipt, "answers"):
        answer_shape(answer)
    if "break_glass" in receipt and is_second(receipt):
        glass = object_of(receipt, "break_glass")
        text_of(glass, "reason"), ids_of(glass, "told", "usr")
        for name in ("at", "until", "expires_at"):
            instant_of(glass, name)
    if "decision" in receipt:
        decision = object_of(receipt, "decision")
        word_of(decision, "verdict", ["approve", "deny", "report"]), id_of(decision, "by", "usr"), instant_of(decision, "at")
    if "grant" in receipt:
        grant_shape(object_of(receipt, "grant"), is_second(receipt))
    if "redemption" in receipt:
        redemption = object_of(receipt, "redemption")
        id_of(redemption, "by", "bot"), instant_of(redemption, "at")
        if "proof" in redemption and is_second(receipt):
            text_of(redemption, "proof")
    if "outcome" in receipt:
        outcome = object_of(receipt, "outcome")
        word_of(outcome, "outcome", ["succeeded", "failed"]), instant_of(outcome, "at")
        if "detail" in outcome:
            text_of(outcome, "detail")
    for person in objects_of(receipt, "people"):
        id_of(person, "id", "usr"), text_of(person, "handle"), text_of(person, "name")


def answer_shape(answer):
    id_of(answer, "approver", "usr"), id_of(answer, "device", "dev")
    word_of(answer, "verdict", ["approve", "deny", "report"]), word_of(answer, "factor", list(STRENGTH))
    instant_of(answer, "answered_at"), text_of(answer, "statement"), text_of(answer, "attestation")
    if "reason" in answer:
        text_of(answer, "reason")
    if "for" in answer:
        ids_of(answer, "for", "usr")
    if "code_confirmed" in answer:
        boolean_of(answer, "code_confirmed")
    signature = object_of(answer, "signature")
    if word_of(signature, "kind", ["webauthn", "jws"]) == "jws":
        text_of(signature, "jws")
    else:
        for name in ("credential_id", "client_data_json", "authenticator_data", "signature"):
            bytes_of(signature, name)


def is_second(receipt):
    return receipt["type"] == SECOND


def glass_of(receipt):
    """The break-glass; to the first version it is a member that is left alone."""
    return receipt.get("break_glass") if is_second(receipt) else None


def is_opened(receipt):
    return receipt["approval"]["state"] == "approved" and glass_of(receipt) is not None


def grant_shape(grant, second):
    id_of(grant, "jti", "grt"), id_of(grant, "aud", "bot"), id_of(grant, "sub", "usr"), id_of(grant, "approval", "apr")
    text_of(grant, "iss"), text_of(grant, "action_sha256"), integer_of(grant, "iat"), integer_of(grant, "exp")
    acr = word_of(grant, "acr", ["phoneops:" + factor for factor in STRENGTH] + [BREAK_GLASS] * second)
    list_of(grant, "amr"), list_of(grant, "authorization_details")
    if acr != BREAK_GLASS or list_of(grant, "approvers"):
        ids_of(grant, "approvers", "usr")
    if "cnf" in grant and second:
        text_of(object_of(grant, "cnf"), "jkt")


def authentic(document, keys, issuer):
    receipt = document["receipt"]
    if issuer is not None and receipt["issuer"] != issuer:
        raise Wrong("issuer", f"it is of {receipt['issuer']}")
    try:
        jws = Jws(document["signature"], "phoneops-receipt+jws", named=True)
        if jws.payload:
            raise NotPlain("the payload is not apart")
    except NotPlain as error:
        raise Wrong("receipt_signature", error) from error
    if jws.kid not in keys:
        raise Wrong("receipt_key", "its key is not among the issuer keys")
    try:
        jws.verify(keys[jws.kid], jcs(receipt))
    except InvalidSignature:
        raise Wrong("receipt_signature", "it does not verify") from None


def digests(receipt):
    approval = receipt["approval"]
    if tagged("phoneops.action.v1", jcs(approval["action"])) != approval["action_sha256"]:
        raise Wrong("action_digest", "action_sha256 is not the action's")
    if tagged("phoneops.display.v1", jcs(approval["display"])) != approval["display_sha256"]:
        raise Wrong("display_digest", "display_sha256 is not the display's")


def statement(receipt, answer):
    try:
        said = plain_json(answer["statement"].encode("utf-8"))
    except NotPlain as error:
        raise Wrong("statement_malformed", error) from error
    if canonical(said) != answer["statement"]:
        raise Wrong("statement_malformed", "it is not its own canonical form")
    approval = receipt["approval"]
    expected = {"type": "phoneops.answer.v1", "issuer": receipt["issuer"], "approval": approval["id"]}
    expected |= {name: approval[name] for name in ("action", "action_sha256", "requester", "display_sha256")}
    expected |= {name: answer[name] for name in ("approver", "verdict", "factor")}
    expected["policy"] = receipt["requirement"]["policy"]
    for name, value in expected.items():
        if name not in said or not same(said[name], value):
            raise Wrong("statement_differs", f"its {name} is not that of the receipt")
    if ("for" in said) != ("for" in answer) or not same(said.get("for", []), answer.get("for", [])):
        raise Wrong("statement_differs", "it is for others than the receipt says")
    try:
        ends = instant_of(said, "expires_at")
        if ends > instant_of(approval, "expires_at"):
            raise NotPlain("too late")
    except NotPlain as error:
        raise Wrong("statement_differs", "its expires_at is later than that of the receipt") from error
    try:
        if len(bytes_of(said, "nonce")) < 16:
            raise NotPlain("too short")
    except NotPlain as error:
        raise Wrong("statement_differs", "its nonce is not 16 bytes") from error
    return ends


def attestation(receipt, answer, keys):
    """What the issuer says of the key, and how to verify with it."""
    try:
        jws = Jws(answer["attestation"], "phoneops-attestation+jwt", named=True)
    except NotPlain as error:
        raise Wrong("attestation_invalid", error) from error
    if jws.kid not in keys:
        raise Wrong("attestation_key", "its key is not among the issuer keys")
    try:
        jws.verify(keys[jws.kid])
        claims = plain_json(unbase64url(jws.payload))
        exactly(claims, ["iss", "sub", "iat", "device", "enrolled_at", "key"])
        text_of(claims, "iss"), id_of(claims, "sub", "usr"), integer_of(claims, "iat"), id_of(claims, "device", "dev")
        enrolled_at = instant_of(claims, "enrolled_at")
        key = object_of(claims, "key")
        verifier = device_verifier(key) if word_of(key, "kind", ["device", "passkey"]) == "device" else passkey_verifier(key)
    except (NotPlain, InvalidSignature) as error:
        raise Wrong("attestation_invalid", str(error) or "it does not verify") from error

    named_by = key.get("credential_id") if answer["signature"]["kind"] == "webauthn" else None
    fits = (key["kind"] == "passkey") == (answer["factor"] == "passkey")
    for ok, why in (
        (claims["iss"] == receipt["issuer"], "it is of another installation"),
        (claims["sub"] == answer["approver"], "the key is another person's"),
        (claims["device"] == answer["device"], "the key is another device's"),
        (enrolled_at <= instant_of(answer, "answered_at") + SKEW, "the key was enrolled after it signed"),
        (fits, "a key of this kind does not sign with this factor"),
        (named_by is None or named_by == answer["signature"]["credential_id"], "another passkey signed"),
    ):
        if not ok:
            raise Wrong("attestation_differs", why)
    return key, verifier


def device_verifier(key):
    exactly(key, ["kind", "jwk", "jkt"])
    jwk = object_of(key, "jwk")
    exactly(jwk, ["kty", "crv", "x", "y"])
    public = p256(jwk)
    if text_of(key, "jkt") != base64url(hashlib.sha256(jcs(jwk)).digest()):
        raise NotPlain("jkt is not the thumbprint of jwk")
    return public


def passkey_verifier(key):
    exactly(key, ["kind", "id", "rp_id", "credential_id", "public_key"])
    id_of(key, "id", "pky"), text_of(key, "rp_id"), bytes_of(key, "credential_id")
    return cose(bytes_of(key, "public_key"))


def webauthn(receipt, answer, key, verifier):
    """WebAuthn Level 3, section 7.2."""
    signature = answer["signature"]
    client_data = bytes_of(signature, "client_data_json")
    try:
        said = foreign_json(client_data)
    except NotPlain as error:
        raise Wrong("client_data", error) from error
    if said.get("type") != "webauthn.get":
        raise Wrong("client_data", "its type is not webauthn.get")
    if said.get("challenge") != tagged("phoneops.answer.v1", answer["statement"].encode("utf-8")):
        raise Wrong("challenge", "another statement was signed")
    if not any(said.get("origin") == origin for origin in receipt["origins"]):
        raise Wrong("origin", "it was signed at another origin")
    crossed = said.get("crossOrigin")
    if not (crossed is None or crossed is False) or "topOrigin" in said:
        raise Wrong("origin", "it was signed in a cross-origin frame")
    data = bytes_of(signature, "authenticator_data")
    if len(data) < 37 or data[:32] != hashlib.sha256(key["rp_id"].encode("utf-8")).digest():
        raise Wrong("authenticator_data", "it is too short, or for another relying party")
    if data[32] & 0b101 != 0b101:
        raise Wrong("user_verification", "the person was not verified")
    try:
        verifier(data + hashlib.sha256(client_data).digest(), bytes_of(signature, "signature"))
    except (InvalidSignature, ValueError):
        raise Wrong("answer_signature", "it is not the passkey's over this statement") from None


def device_signed(answer, public):
    try:
        jws = Jws(answer["signature"]["jws"], "phoneops-answer+jws", named=False, limit=LIMIT)
        if unbase64url(jws.payload) != answer["statement"].encode("utf-8"):
            raise NotPlain("it is over another statement")
        jws.verify(public)
    except (NotPlain, InvalidSignature) as error:
        raise Wrong("answer_signature", str(error) or "it does not verify") from error


def one_answer(receipt, answer, keys):
    """Checks it; what names its key."""
    ends = statement(receipt, answer)
    key, verifier = attestation(receipt, answer, keys)
    kinds = (answer["signature"]["kind"], key["kind"])
    if kinds == ("webauthn", "passkey"):
        webauthn(receipt, answer, key, verifier)
        named = key["credential_id"]
    elif kinds == ("jws", "device"):
        device_signed(answer, verifier)
        named = "jkt " + key["jkt"]
    else:
        raise Wrong("signature_kind", f"a {answer['factor']} answer is not signed like that")
    if answer["factor"] == "code" and answer.get("code_confirmed") is not True:
        raise Wrong("code_unconfirmed", "the issuer does not say that the code was right")
    approval, came = receipt["approval"], instant_of(answer, "answered_at")
    if instant_of(approval, "created_at") > came + SKEW:
        raise Wrong("answer_time", "it came before the request")
    if came >= ends:
        raise Wrong("answer_time", "it came after the request expired")
    if came > instant_of(approval, "ended_at") + SKEW:
        raise Wrong("answer_time", "it came after the request ended")
    return named


def answers(receipt, keys):
    given = receipt["answers"]
    named = [one_answer(receipt, answer, keys) for answer in given]
    if len({(answer["approver"], answer["verdict"]) for answer in given}) != len(given):
        raise Wrong("approver_repeated", "somebody said the same twice")
    if len({(key, answer["approver"]) for key, answer in zip(named, given)}) != len(set(named)):
        raise Wrong("key_repeated", "one key signed for two people")
    groups = (group for need in receipt["requirement"]["needs"] for group in need["any_of"])
    asked = {person for group in groups for person in group["of"]}
    told = glass_of(receipt)["told"] if glass_of(receipt) else []
    for answer in given:
        told_or_requester = answer["approver"] in told or answer["approver"] == receipt["approval"]["requester"]
        unwanted = told_or_requester and answer["verdict"] != "approve"
        if answer["approver"] not in asked and not unwanted:
            raise Wrong("approver_not_eligible", "somebody answered who was not asked")


def delegations(receipt):
    all_of = [(one["for"], one["by"]) for one in receipt["requirement"].get("delegations", [])]
    away, standing_in = [absent for absent, _ in all_of], [by for _, by in all_of]
    if len(set(away)) != len(away):
        raise Wrong("delegation_differs", "somebody has two delegates")
    if receipt["approval"]["requester"] in away + standing_in:
        raise Wrong("delegation_differs", "the requester has a delegate or is one")
    groups = (group for need in receipt["requirement"]["needs"] for group in need["any_of"])
    if set(away) & {person for group in groups for person in group["of"]}.union(standing_in):
        raise Wrong("delegation_differs", "somebody who was away was asked")
    for answer in receipt["answers"]:
        if [absent for absent, by in all_of if by == answer["approver"]] != answer.get("for", []):
            raise Wrong("delegation_differs", "somebody answered for others than they were asked for")


def ending(receipt):
    approval, decision, given = receipt["approval"], receipt.get("decision"), receipt["answers"]
    if instant_of(approval, "created_at") > instant_of(approval, "ended_at") + SKEW:
        raise Wrong("state_differs", "it ended before it was asked")
    glass = glass_of(receipt)
    if glass is not None:
        at, until, ended = instant_of(glass, "at"), instant_of(glass, "until"), instant_of(approval, "ended_at")
        if instant_of(approval, "created_at") > at + SKEW or at > ended + SKEW or until < at + LEAST_WAIT:
            raise Wrong("state_differs", "the glass was broken out of time, or without a wait")
        if instant_of(glass, "expires_at") > instant_of(approval, "expires_at"):
            raise Wrong("state_differs", "it expired sooner because the glass was broken")
        if is_opened(receipt):
            if decision is not None or until > ended + SKEW or any(answer["verdict"] != "approve" for answer in given):
                raise Wrong("state_differs", "somebody decided, or it opened too early")
            return
    if (decision is not None) != (approval["state"] in ("approved", "denied")):
        raise Wrong("state_differs", "somebody decided, or nobody did")
    if decision is None:
        return
    approved = approval["state"] == "approved"
    verdicts = {(answer["approver"], answer["verdict"]) for answer in given}
    if (
        instant_of(decision, "at") != instant_of(approval, "ended_at")
        or (decision["verdict"] == "approve") != approved
        or (decision["by"], decision["verdict"]) not in verdicts
        or (approved and any(verdict != "approve" for _, verdict in verdicts))
    ):
        raise Wrong("state_differs", "the decision does not follow from the answers")
    if not approved:
        return

    def met(group):
        least = STRENGTH[group["factor"]]
        counted = [one for one in given if one["approver"] in group["of"] and STRENGTH[one["factor"]] >= least]
        return len(counted) >= group["count"]

    if not all(any(map(met, need["any_of"])) for need in receipt["requirement"]["needs"]):
        raise Wrong("requirement_unmet", "too few answers")


def afterwards(receipt):
    approval, grant = receipt["approval"], receipt.get("grant")
    if (grant is not None) != (approval["state"] == "approved"):
        raise Wrong("grant_differs", "there is a grant of what was not approved, or none of what was")
    if grant is not None:
        opened = is_opened(receipt)
        signed = [] if opened else receipt["answers"]
        approvers = sorted(answer["approver"] for answer in signed)
        weakest = min((STRENGTH[answer["factor"]] for answer in signed), default=-1)
        details = [{"type": "phoneops_action", "action": approval["action"]}]
        if (
            (grant["iss"], grant["sub"], grant["approval"]) != (receipt["issuer"], approval["requester"], approval["id"])
            or grant["action_sha256"] != approval["action_sha256"]
            or not same(grant["authorization_details"], details)
            or sorted(grant["approvers"]) != approvers
            or (grant["acr"] == BREAK_GLASS) != opened
            or STRENGTH.get(grant["acr"].removeprefix("phoneops:"), -1) > weakest
            or grant["iat"] > grant["exp"]
        ):
            raise Wrong("grant_differs", "it does not say what was approved")
    redemption = receipt.get("redemption")
    if redemption is not None:
        at = instant_of(redemption, "at")
        if grant is None or redemption["by"] != grant["aud"] or not grant["iat"] * 10**6 - SKEW <= at < grant["exp"] * 10**6:
            raise Wrong("redemption_differs", "not by whom the grant was for, or not in its time")
        if is_second(receipt):
            proven(receipt, grant, redemption, at)
    if "outcome" in receipt:
        if redemption is None or instant_of(redemption, "at") > instant_of(receipt["outcome"], "at") + SKEW:
            raise Wrong("outcome_differs", "it came before the redemption")


def proven(receipt, grant, redemption, at):
    """A grant that is bound to a key was redeemed under a proof by it (RFC 9449 section 4.3), and no other was."""
    if ("cnf" in grant) != ("proof" in redemption):
        raise Wrong("redemption_differs", "a bound grant without a proof, or a proof of none")
    if "cnf" not in grant:
        return
    try:
        jws = Jws(redemption["proof"], "dpop+jwt", named="jwk")
        if base64url(hashlib.sha256(jcs(jws.jwk)).digest()) != grant["cnf"]["jkt"]:
            raise NotPlain("the proof is by another key")
        jws.verify(p256(jws.jwk))
        claims = foreign_json(unbase64url(jws.payload))
        if (text_of(claims, "htm"), text_of(claims, "htu")) != ("POST", receipt["issuer"] + "/v1/grants/redeem"):
            raise NotPlain("the proof is of another call")
        bytes_of(claims, "ath")
        made = integer_of(claims, "iat") * 10**6
        if not made - 30 * 10**6 - SKEW <= at <= made + 120 * 10**6 + SKEW:
            raise NotPlain("the proof is of another time")
    except (NotPlain, InvalidSignature) as error:
        raise Wrong("redemption_differs", str(error) or "the proof does not verify") from error


def verify(data, keys, issuer=None):
    """The state of the approval and the receipt; raises Wrong. `keys` is a trust root, or None."""
    try:
        if len(data) > LIMIT:
            raise NotPlain("it is larger than 4 MiB")
        document = plain_json(data)
    except NotPlain as error:
        raise Wrong("malformed", error) from error
    receipt = document.get("receipt")
    if not isinstance(receipt, dict) or receipt.get("type") not in (FIRST, SECOND):
        raise Wrong("version", f"its type is neither {FIRST} nor {SECOND}")
    try:
        shape(document)
    except NotPlain as error:
        raise Wrong("shape", error) from error
    if keys is None:
        raise Wrong("unauthenticated", "no issuer keys were given: nothing vouches for any of it")
    authentic(document, keys, issuer)
    digests(receipt)
    answers(receipt, keys)
    delegations(receipt)
    ending(receipt)
    afterwards(receipt)
    return receipt["approval"]["state"], receipt


# --- The command line -------------------------------------------------------------------------------------------------------


def batch():
    """For tests: a line {"receipt": base64, "issuer_keys": JSON text or null, "issuer": text or null} in, a verdict out."""
    for line in sys.stdin:
        job = json.loads(line)
        try:
            root = job["issuer_keys"]
            keys = None if root is None else trust_root(root.encode("utf-8"))
            verify(base64.b64decode(job["receipt"]), keys, job.get("issuer"))
            verdict = "valid"
        except Wrong as wrong:
            verdict = wrong.check
        except NotPlain:
            verdict = "not a trust root"
        print(verdict, flush=True)


def main():
    parser = argparse.ArgumentParser(description="Check a PhoneOps receipt offline.")
    parser.add_argument("receipt", nargs="?", help="the receipt; - reads stdin")
    parser.add_argument("--issuer-keys", metavar="FILE", help="the keys to believe: a JWK set")
    parser.add_argument("--issuer", metavar="URL", help="the installation it has to be of")
    parser.add_argument("--allow-break-glass", action="store_true", help="take what was opened by break-glass for approved")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--batch", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.batch:
        return batch()
    if given.receipt is None:
        parser.error("which receipt?")
    keys = None
    try:
        if given.issuer_keys:
            with open(given.issuer_keys, "rb") as file:
                keys = trust_root(file.read())
        with sys.stdin.buffer if given.receipt == "-" else open(given.receipt, "rb") as file:
            data = file.read(LIMIT + 1)
    except (OSError, NotPlain) as error:
        parser.error(str(error))
    try:
        state, receipt = verify(data, keys, given.issuer and given.issuer.rstrip("/"))
    except Wrong as wrong:
        result = "unauthenticated" if wrong.check == "unauthenticated" else "invalid"
        told = {"result": result, "check": wrong.check, "detail": str(wrong.why)}
        print(json.dumps(told) if given.json else f"{result}: {wrong}" if result == "invalid" else str(wrong))
        return 4 if result == "unauthenticated" else 1
    approval = receipt["approval"]
    told = {"result": "valid", "state": state, "approval": approval["id"], "action": approval["action"]}
    shown = f"valid: {approval['id']} {state}: {canonical(approval['action'])}"
    opened = is_opened(receipt)
    if opened:
        told["break_glass"] = True
        shown = f"valid, but by break-glass, approved by nobody: {approval['id']}: {canonical(approval['action'])}"
    print(json.dumps(told) if given.json else shown)
    return 7 if opened and not given.allow_break_glass else EXITS[state]


if __name__ == "__main__":
    sys.exit(main())
