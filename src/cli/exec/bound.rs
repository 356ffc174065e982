//! Proving that this run holds the key that its grant is bound to.

use serde::Deserialize;

use crate::clock::Clock;
use crate::identity::ProofKey;
use crate::secret::from_b64u;

/// What is read of a grant. The server checks it; here it is only looked at.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    cnf: Option<Confirmation>,
}

#[derive(Deserialize)]
struct Confirmation {
    jkt: String,
}

/// The proof of the call that redeems `grant`, which has to be bound to `key`. The address is the one the server goes by, whatever it is
/// reached at from here.
pub(super) fn proof(key: &ProofKey, grant: &str) -> Result<String, String> {
    let unclear = || "the grant is not readable".to_owned();
    let payload = grant.split('.').nth(1).and_then(from_b64u).ok_or_else(unclear)?;
    let claims: Claims = serde_json::from_slice(&payload).map_err(|_| unclear())?;
    if claims.cnf.is_none_or(|cnf| cnf.jkt != key.jkt()) {
        return Err("the grant is not bound to this run's key".into());
    }
    Ok(key.prove("POST", &format!("{}/v1/grants/redeem", claims.iss), grant, Clock::system().now()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::secret::b64u;

    #[test]
    fn only_a_grant_that_is_bound_to_the_key_is_proven() {
        let key = ProofKey::generate();
        let grant = |claims: &Value| format!("e30.{}.c2ln", b64u(claims.to_string()));
        let iss = "https://phoneops.example";
        let good = grant(&json!({"iss": iss, "cnf": {"jkt": key.jkt()}}));
        let proven = proof(&key, &good).unwrap();
        let now = Clock::system().now();
        crate::identity::dpop::verify(&proven, "POST", &format!("{iss}/v1/grants/redeem"), Some(&good), now).unwrap();
        for bad in [
            grant(&json!({"iss": iss})),
            grant(&json!({"iss": iss, "cnf": {"jkt": ProofKey::generate().jkt()}})),
            grant(&json!({"cnf": {"jkt": key.jkt()}})),
            "garbage".into(),
        ] {
            assert!(proof(&key, &bad).is_err(), "{bad}");
        }
    }
}
