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
