//! The API's description in the repository is the one that the program serves.

use std::process::Command;

fn described(format: &str) -> String {
    let ran = Command::new(env!("CARGO_BIN_EXE_phoneops")).args(["openapi", format]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn api_spec_openapi_yaml_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/api-spec/openapi.yaml");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let differs = described("--yaml").lines().zip(kept.lines()).position(|(now, kept)| now != kept);
    assert!(
        described("--yaml") == kept,
        "api-spec/openapi.yaml is not current (first difference in line {:?}): refresh it with `cargo run -- openapi > \
         api-spec/openapi.yaml`",
        differs.map(|line| line + 1)
    );
}

#[test]
fn both_forms_say_the_same() {
    let json: serde_json::Value = serde_json::from_str(&described("--json")).unwrap();
    let yaml: serde_json::Value = serde_yaml_ng::from_str(&described("--yaml")).unwrap();
    assert_eq!(json, yaml);
    assert_eq!(json["openapi"], "3.1.0");
}

/// What the app may call stands in one list, and `web/lib/session.js` refuses whatever is not in it.
#[test]
fn the_web_app_calls_nothing_undocumented() {
    let list = include_str!("../web/lib/api.js").split_once("export const ROUTES = [").expect("the list").1;
    let list = list.split_once("];").expect("its end").0;
    let calls: Vec<_> = list.lines().filter_map(|line| line.trim().strip_prefix('"')?.strip_suffix("\",")).collect();
    assert!(calls.len() > 60, "the list is not read as it is written: {calls:?}");
    let yaml: serde_json::Value = serde_yaml_ng::from_str(&described("--yaml")).unwrap();
    let documented = |call: &&&str| {
        let (method, path) = call.split_once(' ').expect("a method and a path");
        yaml["paths"][path][method.to_lowercase()].is_object()
    };
    let undocumented: Vec<_> = calls.iter().filter(|call| !documented(call)).collect();
    assert_eq!(undocumented, Vec::<&&str>::new());
    // Beside the calls of the one function that looks at the list, the worker fetches the app's own files.
    for (name, text, fetches) in
        [("session.js", include_str!("../web/lib/session.js"), 1), ("sw.js", include_str!("../web/sw.js"), 2)]
    {
        assert_eq!(text.matches(" fetch(").count(), fetches, "{name}");
    }
    assert!(include_str!("../web/lib/session.js").contains("if (!documented(init.method ?? \"GET\", path)) throw"));
}
