//! `--param` and `--param-json`: the details of an action.

use crate::approvals::{Param, Params};
use serde::de::IgnoredAny;

/// All of them, each named once.
pub(in crate::cli) fn collect(texts: &[String], jsons: &[String]) -> Result<Params, String> {
    let mut params = Params::default();
    let texts = texts.iter().map(|given| text(given).map_err(|why| format!("--param {given}: {why}")));
    let jsons = jsons.iter().map(|given| json(given).map_err(|why| format!("--param-json {given}: {why}")));
    for param in texts.chain(jsons) {
        let (name, value) = param?;
        if params.0.contains_key(&name) {
            return Err(format!("duplicate name `{name}` in --param or --param-json"));
        }
        params.0.insert(name, value);
    }
    Ok(params)
}

/// `ref=new_auth`: a text, whatever it looks like.
fn text(given: &str) -> Result<(String, Param), String> {
    let (name, value) = given.split_once('=').ok_or("expected NAME=TEXT")?;
    if name.is_empty() {
        return Err("expected NAME=TEXT".into());
    }
    Ok((name.to_owned(), Param::Text(value.to_owned())))
}

/// `count=3`: read as the server reads it, so that a fraction or a name that is there twice is refused and not rounded or dropped.
fn json(given: &str) -> Result<(String, Param), String> {
    let (name, value) = given.split_once('=').ok_or("expected NAME=JSON")?;
    serde_json::from_str::<IgnoredAny>(value)
        .map_err(|error| format!("not JSON: {} (a text goes with --param)", without_place(&error)))?;
    let object = format!("{{{}:{value}}}", serde_json::Value::from(name));
    let params: Params = serde_json::from_str(&object).map_err(|error| without_place(&error))?;
    params.0.into_iter().next().ok_or_else(|| "expected NAME=JSON".into())
}

/// An error's words without line and column, which nobody typed.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(texts: &[&str], jsons: &[&str]) -> Result<String, String> {
        let owned = |given: &[&str]| given.iter().map(ToString::to_string).collect::<Vec<_>>();
        collect(&owned(texts), &owned(jsons)).map(|params| serde_json::to_string(&params).unwrap())
    }

    #[test]
    fn a_text_stays_a_text_and_json_is_what_it_says() {
        let json = collected(&["ref=3", "expr=a=b", "empty="], &["count=3", "dry=true", "hosts=[\"a\",\"b\"]"]).unwrap();
        assert_eq!(json, r#"{"count":3,"dry":true,"empty":"","expr":"a=b","hosts":["a","b"],"ref":"3"}"#);
    }

    #[test]
    fn what_has_no_single_meaning_is_refused() {
        for (texts, jsons, why) in [
            (&["=x"][..], &[][..], "--param =x: expected NAME=TEXT"),
            (&[], &["count"], "--param-json count: expected NAME=JSON"),
            (&[], &["ref=new_auth"], "a text goes with --param"),
            (&[], &["count=3, \"other\": 4"], "not JSON"),
            (&[], &["map={\"a\":1,\"a\":2}"], "duplicate name `a`"),
            (&[], &["gone=null"], "a string, an integer"),
            (&["a=1"], &["a=1"], "duplicate name `a`"),
        ] {
            let refused = collected(texts, jsons).unwrap_err();
            assert!(refused.contains(why) && !refused.contains("line 1"), "{refused}");
        }
    }
}
