//! The OpenAPI document, held against every reply that a raw request gets.
//!
//! **Invariants**
//! - A status or a media type that the document does not have, a body that does not fit, a member that it does not name: each fails.
//! - An internal error is never an answer.

use std::collections::{HashMap, HashSet};
use std::sync::{LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

use super::raw::Seen;

/// One operation of the document.
pub(crate) struct Operation {
    pub(crate) method: String,
    /// The path with its parameters in braces.
    pub(crate) template: String,
    /// By status, or `default`: what bodies may come, by media type. None may come where this is empty.
    replies: HashMap<String, HashMap<String, Validator>>,
}

/// The document, made ready for checking.
pub(crate) static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(operations);

/// What was seen in this process, as `GET /v1/me 200`.
pub(crate) static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

/// The methods and templates of the document, for whoever checks no bodies: to compile those takes seconds.
static ROUTES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let document = phoneops::http::document();
    let paths = document["paths"].as_object().expect("paths");
    let methods =
        |methods: &Value| methods.as_object().expect("methods").keys().map(|method| method.to_uppercase()).collect::<Vec<_>>();
    paths.iter().flat_map(|(path, found)| methods(found).into_iter().map(move |method| (method, path.clone()))).collect()
});

fn operations() -> Vec<Operation> {
    let document = phoneops::http::document();
    let mut components = document["components"].clone();
    strict(&mut components);
    let mut all = Vec::new();
    for (template, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let Some(responses) = operation["responses"].as_object() else { continue };
            let replies = responses.iter().map(|(status, response)| (status.clone(), bodies(&components, response))).collect();
            all.push(Operation { method: method.to_uppercase(), template: template.clone(), replies });
        }
    }
    all
}

/// What the document does not name is not to be sent, though JSON Schema would let it pass.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(strict);
            let object = members.get("properties").is_some_and(Value::is_object) && members.contains_key("type");
            if object && !members.contains_key("additionalProperties") {
                members.insert("unevaluatedProperties".into(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        _ => {}
    }
}

fn bodies(components: &Value, response: &Value) -> HashMap<String, Validator> {
    let Some(content) = response["content"].as_object() else { return HashMap::new() };
    let compile = |media: &Value| {
        let mut schema = media["schema"].clone();
        strict(&mut schema);
        let whole =
            json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "components": components, "allOf": [schema]});
        jsonschema::options().should_validate_formats(true).build(&whole).expect("the document's schemas compile")
    };
    content.iter().map(|(kind, media)| (kind.clone(), compile(media))).collect()
}

impl Operation {
    /// The statuses that are not errors.
    pub(crate) fn successes(&self) -> impl Iterator<Item = &String> {
        self.replies.keys().filter(|status| status.starts_with('2'))
    }

    /// Whether a path, without its query, is this operation's.
    fn is_at(&self, path: &str) -> bool {
        fits(&self.template, path)
    }
}

/// Whether a path, without its query, is one of a template, with its parameters in braces.
fn fits(template: &str, path: &str) -> bool {
    let (ours, theirs): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let fits = |(ours, theirs): (&&str, &&str)| ours == theirs || (ours.starts_with('{') && !theirs.is_empty());
    ours.len() == theirs.len() && ours.iter().zip(&theirs).all(fits)
}

/// Panics unless the document allows this reply to this request.
pub(crate) fn check(method: &str, path: &str, seen: &Seen) {
    let what = format!("{method} {path} → {} {}", seen.status, seen.text);
    assert!(seen.status < 500 || seen.status == 503, "an internal error: {what}");
    let bare = path.split('?').next().unwrap_or_default();
    // What Events v2 refuses has the shape that its clients know.
    if seen.status >= 400 && !(seen.status == 400 && bare.starts_with("/v2/")) {
        check_problem(seen, &what);
    }
    let Some(operation) = find(method, bare) else {
        // The web app's pages are no operations.
        let page = method == "GET" && seen.status == 200 && seen.media_type() == "text/html";
        assert!(page || matches!(seen.status, 401 | 404 | 405), "an undocumented operation: {what}");
        return;
    };
    SEEN.lock().unwrap().insert(format!("{method} {} {}", operation.template, seen.status));
    let replies = operation.replies.get(&seen.status.to_string()).or_else(|| operation.replies.get("default"));
    let replies = replies.unwrap_or_else(|| panic!("an undocumented status: {what}"));
    if replies.is_empty() {
        assert!(seen.text.is_empty(), "an undocumented body: {what}");
        return;
    }
    let validator = replies.get(seen.media_type()).unwrap_or_else(|| panic!("an undocumented media type: {what}"));
    let faults: Vec<_> = validator.iter_errors(&seen.body).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{what}\nis not as documented: {faults:#?}");
}

/// Whether the document has this operation, of a path without its query.
pub(crate) fn is_documented(method: &str, path: &str) -> bool {
    ROUTES.iter().any(|(known, template)| known == method && fits(template, path))
}

/// The documented operation; one without parameters comes before one that has them.
fn find(method: &str, path: &str) -> Option<&'static Operation> {
    let mut fitting: Vec<_> = OPERATIONS.iter().filter(|operation| operation.method == method && operation.is_at(path)).collect();
    fitting.sort_by_key(|operation| operation.template.matches('{').count());
    fitting.first().copied()
}

fn check_problem(seen: &Seen, what: &str) {
    assert_eq!(seen.media_type(), "application/problem+json", "{what}");
    let code = seen.body["code"].as_str().unwrap_or_default();
    assert!(!code.is_empty(), "a problem without a code: {what}");
    assert_eq!(seen.body["type"], format!("urn:phoneops:problem:{code}"), "{what}");
    assert_eq!(seen.body["status"], seen.status, "{what}");
    assert!(seen.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{what}");
}
