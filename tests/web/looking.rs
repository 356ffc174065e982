//! Looking at a screen: pictures that are kept, what axe-core finds, and whether everything is where it can be seen.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::json;

use super::Page;

/// Where `scripts/test` puts what comes from npm.
pub(crate) fn modules() -> PathBuf {
    std::env::var_os("PHONEOPS_TEST_NODE_MODULES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/web-npm/node_modules"), PathBuf::from)
}

static AXE: LazyLock<String> = LazyLock::new(|| {
    let file = modules().join("axe-core/axe.min.js");
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}: scripts/test fetches it", file.display()))
});

/// All that axe finds, as texts: the rule, what it asks for, and where.
const FINDS: &str = "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations.flatMap(({ id, help, nodes }) => \
     nodes.map((node) => `${id}: ${help}: ${node.target.join(' ')}: ${node.failureSummary}`)))";

impl Page {
    /// Keeps a picture of the screen for people to look at, where it is looked at.
    pub(crate) async fn picture(&self, name: &str) {
        if self.context.is_looked_at {
            self.keep_picture(name).await;
        }
    }

    /// Keeps a picture of the screen as `target/screens/NAME.png`.
    pub(super) async fn keep_picture(&self, name: &str) {
        let data = self.ask("Page.captureScreenshot", json!({"format": "png", "optimizeForSpeed": true})).await;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screens");
        std::fs::create_dir_all(&folder).expect("a folder");
        let bytes = base64(data["data"].as_str().expect("a picture"));
        // Both engines take the same pictures: whoever is last has it, whole.
        let file = tempfile::NamedTempFile::new_in(&folder).expect("a file");
        std::fs::write(file.path(), bytes).expect("it is written");
        file.persist(folder.join(format!("{name}.png"))).expect("it is kept");
    }

    /// Looks at a screen as it is: pictures at phone size in both themes, and what axe finds at 320 pixels and on a desktop, in both
    /// themes, which the story ends by complaining about. Nothing is wider than the screen. What is shown is the same on both engines, so one
    /// of them is looked at.
    pub(crate) async fn look(&self, name: &str) {
        if !self.context.is_looked_at {
            return;
        }
        self.picture(name).await;
        self.theme("dark").await;
        self.picture(&format!("{name}-dark")).await;
        self.size(320, 568).await;
        self.judge(&format!("{name}, dark, 320 pixels")).await;
        self.desktop().await;
        self.judge(&format!("{name}, dark, desktop")).await;
        self.theme("light").await;
        self.judge(&format!("{name}, light, desktop")).await;
        self.size(320, 568).await;
        self.judge(&format!("{name}, light, 320 pixels")).await;
        self.size(390, 844).await;
    }

    async fn judge(&self, what: &str) {
        let wide = self.eval("document.documentElement.scrollWidth > innerWidth").await;
        if wide == true {
            self.heard().complain(format!("{what}: it is wider than the screen"));
        }
        for found in self.axe().await {
            self.heard().complain(format!("{what}: {found}"));
        }
    }

    /// What axe finds. It runs in a world of its own, where the page's policy neither sees nor forbids it.
    async fn axe(&self) -> Vec<String> {
        let frame = self.ask("Page.getFrameTree", json!({})).await["frameTree"]["frame"]["id"].clone();
        let world = self.ask("Page.createIsolatedWorld", json!({"frameId": frame, "worldName": "axe"})).await;
        let within = |expression: &str| json!({"expression": expression, "contextId": world["executionContextId"], "awaitPromise": true, "returnByValue": true});
        let there = self.ask("Runtime.evaluate", within("typeof axe")).await;
        if there["result"]["value"] == "undefined" {
            self.ask("Runtime.evaluate", within(&AXE)).await;
        }
        let answer = self.ask("Runtime.evaluate", within(FINDS)).await;
        assert!(answer["exceptionDetails"].is_null(), "axe: {}", answer["exceptionDetails"]);
        let found = answer["result"]["value"].as_array().expect("a list");
        found.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// That what each selector finds is whole on the screen and nothing lies on it, at phone size and at 320 pixels.
    pub(crate) async fn keeps_on_screen(&self, selectors: &[&str]) {
        for (width, height) in [(320, 568), (390, 844)] {
            self.size(width, height).await;
            self.eval("scrollTo(0, 0)").await;
            for selector in selectors {
                let seen = format!(
                    "(() => {{ const one = document.querySelector({}); const {{ x, y, right, bottom, width }} = one.getBoundingClientRect(); \
                     const whole = x >= 0 && y >= 0 && right <= innerWidth && bottom <= innerHeight && x < right && y < bottom; \
                     const free = [y + 2, (y + bottom) / 2, bottom - 2].every((at) => one.contains(document.elementFromPoint(x + width / 2, at))); \
                     return whole && free ? null : [x, y, right, bottom, free]; }})()",
                    json!(selector)
                );
                let seen = self.eval(&seen).await;
                if !seen.is_null() {
                    self.keep_picture("off-the-screen").await;
                    panic!("{selector} is at {seen} of {width} × {height}");
                }
            }
        }
    }
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}
