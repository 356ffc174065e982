//! A real Firefox, used as a person would: by what is on the screen.
//!
//! **Invariants**
//! - Its push service is the one of the story; it knows no other.
//! - Whatever it complains about while it shows the app (an exception, a refused script, in a page or in a worker) is kept, and a story
//!   ends by looking at it.
//! - It ends with its story, however that ends.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::bidi::Bidi;
use super::marionette::Marionette;
use super::{PATIENCE, until};

/// A running Firefox with one window. Ends with it.
pub(super) struct Firefox {
    process: Child,
    marionette: Marionette,
    bidi: Bidi,
    /// The window's page.
    context: Value,
    issuer: String,
    _home: TempDir,
}

/// Where it may be. The environment comes first.
const PLACES: [&str; 2] = ["firefox-esr", "firefox"];

/// What a policy refuses is only a warning in a page: here it is an error.
const REFUSALS: &str = r#"() => addEventListener("securitypolicyviolation", (event) =>
  console.error("refused by the policy", event.violatedDirective, event.blockedURI, event.sourceFile, event.lineNumber))"#;

/// What the browser's console has of the app: errors, but no warnings. Those of service workers are nowhere else.
const CONSOLE: &str = r"
const [issuer] = arguments;
const harmless = Ci.nsIScriptError.warningFlag | Ci.nsIScriptError.infoFlag;
const found = Services.console.getMessageArray().filter((one) => one instanceof Ci.nsIScriptError && !(one.flags & harmless));
Services.console.reset();
return found.filter((one) => one.sourceName.startsWith(issuer) || /Content-Security-Policy/.test(one.errorMessage))
  .map((one) => `${one.errorMessage} ${one.sourceName}:${one.lineNumber}`);
";

/// The button of the browser's own prompt that says yes, once the prompt is there.
const PROMPT: &str = r#"
const [id] = arguments;
const found = window.PopupNotifications.panel.querySelector(`popupnotification[id="${id}-notification"]`);
if (!found?.button || window.PopupNotifications.panel.state !== "open") return false;
found.button.click();
return true;
"#;

/// Taps a notification that is on the screen.
const TAP: &str = r#"
const [title] = arguments;
const found = [...Services.wm.getEnumerator("alert:alert")].find((one) => one.gIsActive && one.document.getElementById("alertTitleLabel")?.value === title);
found?.document.getElementById("alertBox").click();
return Boolean(found);
"#;

impl Firefox {
    /// A fresh one, which may be rung by the push service at `push` and shows what is at `issuer`.
    pub(super) async fn start(push: &str, issuer: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory");
        let profile = home.path().join("profile");
        std::fs::create_dir(&profile).expect("a folder");
        std::fs::write(profile.join("user.js"), preferences(push)).expect("it is written");
        let named = std::env::var("PHONEOPS_TEST_FIREFOX").ok();
        let found = named.as_deref().into_iter().chain(PLACES).find(|program| is_there(program));
        let program = found.expect("the stories of the web app need Firefox: `scripts/test` installs it");
        let process = launch(program, home.path());
        let port = |text: String| text.parse().ok();
        let port = until!(
            "Firefox says where it listens",
            std::fs::read_to_string(profile.join("MarionetteActivePort")).ok().and_then(port)
        );
        let marionette = Marionette::connect(port).await;
        let session = marionette.ask("WebDriver:NewSession", json!({"webSocketUrl": true})).await;
        let url = session["capabilities"]["webSocketUrl"].as_str().expect("an address").to_owned();
        marionette.ask("Marionette:SetContext", json!({"value": "chrome"})).await;
        let bidi = Bidi::connect(&url).await;
        let context = bidi.ask("browsingContext.getTree", json!({})).await["contexts"][0]["context"].take();
        let firefox = Self { process, marionette, bidi, context, issuer: issuer.to_owned(), _home: home };
        firefox.begin().await;
        firefox
    }

    async fn begin(&self) {
        self.bidi.ask("session.subscribe", json!({"events": ["log.entryAdded"]})).await;
        self.bidi.ask("script.addPreloadScript", json!({"functionDeclaration": REFUSALS})).await;
        let phone = json!({"context": self.context, "viewport": {"width": 390, "height": 844}});
        self.bidi.ask("browsingContext.setViewport", phone).await;
    }

    /// A built-in authenticator that recognises its person; its id.
    pub(super) async fn authenticator(&self) -> String {
        let options = json!({"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserConsenting": true, "isUserVerified": true});
        let made = self.marionette.ask("WebAuthn:AddVirtualAuthenticator", options).await;
        made["value"].as_str().expect("an id").to_owned()
    }

    /// Whether the authenticator recognises its person from now on.
    pub(super) async fn recognises(&self, authenticator: &str, verified: bool) {
        let verified = json!({"authenticatorId": authenticator, "isUserVerified": verified});
        self.marionette.ask("WebAuthn:SetUserVerified", verified).await;
    }

    /// Says yes to the browser's own prompt of that kind.
    pub(super) async fn allow(&self, prompt: &str) {
        self.in_the_browser(PROMPT, prompt).await;
    }

    /// Taps the notification of that title, as it is on the screen.
    pub(super) async fn tap_notification(&self, title: &str) {
        self.in_the_browser(TAP, title).await;
    }

    /// Repeats a script of the browser's own until it says true.
    async fn in_the_browser(&self, script: &str, what: &str) {
        let end = Instant::now() + PATIENCE;
        while self.marionette.chrome(script, json!([what])).await != true {
            assert!(Instant::now() < end, "the browser never showed {what:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Whether the page has a network.
    pub(super) async fn offline(&self, offline: bool) {
        let conditions = if offline { json!({"type": "offline"}) } else { Value::Null };
        let conditions = json!({"contexts": [self.context], "networkConditions": conditions});
        self.bidi.ask("emulation.setNetworkConditions", conditions).await;
    }

    /// Opens an address.
    pub(super) async fn open(&self, path: &str) {
        let to = json!({"context": self.context, "url": format!("{}{path}", self.issuer), "wait": "complete"});
        self.bidi.ask("browsingContext.navigate", to).await;
    }

    async fn try_eval(&self, expression: &str) -> Result<Value, Value> {
        let expression = format!("(async () => JSON.stringify((await ({expression})) ?? null))()");
        let asked = json!({"expression": expression, "target": {"context": self.context}, "awaitPromise": true});
        let answer = self.bidi.try_ask("script.evaluate", asked).await?;
        let text = answer["result"]["value"].as_str().ok_or_else(|| answer.clone())?;
        Ok(serde_json::from_str(text).expect("JSON"))
    }

    /// The value of an expression in the page; promises are awaited.
    pub(super) async fn eval(&self, expression: &str) -> Value {
        self.try_eval(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Waits until an expression is true, and gives its value. A page that is just being left has no answer.
    pub(super) async fn wait(&self, expression: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.try_eval(expression).await {
                Ok(Value::Null | Value::Bool(false)) | Err(_) => {}
                Ok(value) => return value,
            }
            assert!(
                Instant::now() < end,
                "it never came to be: {expression}; the screen says: {}; complaints: {:?}",
                self.text().await,
                self.complaints().await
            );
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Waits until the screen says something.
    pub(super) async fn sees(&self, text: &str) {
        self.wait(&format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// What the screen says.
    pub(super) async fn text(&self) -> String {
        self.eval("document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Taps the button or link that says `label`: at its middle, where it is on the screen.
    pub(super) async fn tap(&self, label: &str) {
        let found = format!(
            "[...document.querySelectorAll('button, a')].find((one) => one.innerText.trim() === {} && one.checkVisibility())",
            json!(label)
        );
        self.wait(&format!("Boolean({found})")).await;
        let place = format!(
            "(() => {{ const one = {found}; one.scrollIntoView({{ block: 'center' }}); const box = one.getBoundingClientRect(); \
             return [Math.round(box.x + box.width / 2), Math.round(box.y + box.height / 2)]; }})()"
        );
        let place = self.eval(&place).await;
        let actions = json!([{"type": "pointerMove", "x": place[0], "y": place[1]}, {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]);
        self.perform(json!({"type": "pointer", "id": "finger", "parameters": {"pointerType": "mouse"}, "actions": actions}))
            .await;
    }

    /// Types into the field of that name, in place of what is there.
    pub(super) async fn write(&self, field: &str, text: &str) {
        let found = format!("document.querySelector('[name={}]')", json!(field));
        self.wait(&format!("Boolean({found})")).await;
        self.eval(&format!("(() => {{ const one = {found}; one.focus(); one.select(); }})()")).await;
        let keys: Vec<_> =
            text.chars().flat_map(|key| ["keyDown", "keyUp"].map(|what| json!({"type": what, "value": key}))).collect();
        self.perform(json!({"type": "key", "id": "keys", "actions": keys})).await;
    }

    async fn perform(&self, action: Value) {
        self.bidi.ask("input.performActions", json!({"context": self.context, "actions": [action]})).await;
    }

    /// Keeps a picture of the screen as `target/screens/NAME.png`, for people to look at.
    pub(super) async fn picture(&self, name: &str) {
        let shot = self.bidi.ask("browsingContext.captureScreenshot", json!({"context": self.context})).await;
        let bytes = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("base64");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screens");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("it is written");
    }

    /// What it complained about since the last look.
    pub(super) async fn complaints(&self) -> Vec<String> {
        let entries = self
            .bidi
            .events()
            .into_iter()
            .filter(|event| event["method"] == "log.entryAdded" && event["params"]["level"] == "error");
        let mut complaints: Vec<_> = entries.map(|event| event["params"].to_string()).collect();
        let console = self.marionette.chrome(CONSOLE, json!([self.issuer])).await;
        complaints.extend(console.as_array().expect("a list").iter().map(ToString::to_string));
        complaints
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        // It may have ended by itself; what it started ends with it, and its profile goes with the directory.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether there is such a program.
fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    program.contains('/') || std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Starts it so that it ends with the thread that starts it, even when that is killed.
fn launch(program: &str, home: &Path) -> Child {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program, "--headless", "--no-remote", "--profile"]).arg(home.join("profile"));
    command.args(["--marionette", "--remote-debugging-port", "0", "--remote-allow-system-access", "about:blank"]);
    command.env("HOME", home).env("MOZ_CRASHREPORTER_DISABLE", "1").env("DBUS_SESSION_BUS_ADDRESS", "disabled:");
    for folder in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
        command.env_remove(folder);
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("Firefox starts by setpriv, of util-linux")
}

/// `user.js` of a profile whose push service is at `push`.
fn preferences(push: &str) -> String {
    let wanted = json!({
        "dom.push.serverURL": push,
        "dom.push.testing.allowInsecureServerURL": true,
        // Off when it is driven remotely.
        "dom.push.connection.enabled": true,
        "dom.push.retryBaseInterval": 50,
        // There is no desktop: its own notifications, which stay for 20 seconds.
        "alerts.useSystemBackend": false,
        "ui.prefersReducedMotion": 1,
        "security.webauth.webauthn_enable_softtoken": true,
        "security.webauth.webauthn_enable_usbtoken": false,
        "marionette.port": 0,
    });
    wanted.as_object().expect("an object").iter().fold(String::new(), |mut text, (name, value)| {
        writeln!(text, "user_pref({}, {value});", json!(name)).expect("a text grows");
        text
    })
}
