//! A real Chromium, driven by its own protocol (DevTools), as a person would use it: by what is on the screen.
//!
//! **Invariants**
//! - Whatever the page complains about (an exception, a refused script, a failed request of its own making) is kept, and a story ends
//!   by looking at it.
//! - Waiting is for something to be so, never for time to pass.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio_tungstenite::tungstenite::Message;

/// How long anything may take to be so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running Chromium. Ends with it.
pub(crate) struct Browser {
    process: Child,
    protocol: Protocol,
    _profile: TempDir,
}

/// Where the browser may be. The environment comes first.
const PLACES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

impl Browser {
    /// A fresh one, with nothing in it.
    pub(crate) async fn start() -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory");
        let named = std::env::var("PHONEOPS_TEST_CHROMIUM").ok();
        let process = named.iter().map(String::as_str).chain(PLACES).find_map(|program| launch(program, profile.path()));
        let process = process.expect("the stories of the web app need Chromium: `scripts/test` installs it");
        let told = profile.path().join("DevToolsActivePort");
        let heard = || std::fs::read_to_string(&told).ok().filter(|text| text.lines().count() == 2);
        let text = until!("Chromium says where it listens", heard());
        let mut lines = text.lines();
        let (port, path) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        let protocol = Protocol::connect(&format!("ws://127.0.0.1:{port}{path}")).await;
        Self { process, protocol, _profile: profile }
    }

    /// A phone's screen, in a browser context of its own: what one keeps no other sees.
    pub(crate) async fn phone(&self, issuer: &str) -> Page {
        let context = self.protocol.ask(None, "Target.createBrowserContext", json!({})).await["browserContextId"].clone();
        let grant = json!({"browserContextId": context, "origin": issuer, "permissions": ["notifications"]});
        self.protocol.ask(None, "Browser.grantPermissions", grant).await;
        let target = json!({"url": "about:blank", "browserContextId": context});
        let target = self.protocol.ask(None, "Target.createTarget", target).await["targetId"].clone();
        let attached = self.protocol.ask(None, "Target.attachToTarget", json!({"targetId": target, "flatten": true})).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let page = Page { protocol: self.protocol.clone(), session, complaints: Arc::default(), registration: Arc::default() };
        page.begin().await;
        page
    }
}

fn launch(program: &str, profile: &std::path::Path) -> Option<Child> {
    let mut command = Command::new(program);
    command.args(["--headless=new", "--remote-debugging-port=0", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]);
    command.arg("--disable-background-networking").arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself; its profile goes with the directory.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Looks again and again until there is an answer: `until!("what", expression of an option)`.
macro_rules! until {
    ($what:literal, $look:expr) => {{
        let end = std::time::Instant::now() + crate::browser::PATIENCE;
        loop {
            if let Some(found) = $look {
                break found;
            }
            assert!(std::time::Instant::now() < end, "it never came to be: {}", $what);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }};
}
pub(crate) use until;

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<Value, Value>>>>>;
type Listeners = Arc<Mutex<HashMap<String, mpsc::UnboundedSender<Value>>>>;

/// The DevTools protocol over its WebSocket. Cheap to clone.
#[derive(Clone)]
struct Protocol {
    next: Arc<AtomicU64>,
    waiting: Waiting,
    listeners: Listeners,
    out: mpsc::UnboundedSender<Message>,
}

impl Protocol {
    async fn connect(url: &str) -> Self {
        let (socket, _) = tokio_tungstenite::connect_async(url).await.expect("Chromium answers");
        let (mut sink, mut stream) = socket.split();
        let (out, mut queue) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        });
        let protocol = Self { next: Arc::default(), waiting: Arc::default(), listeners: Arc::default(), out };
        let hears = protocol.clone();
        tokio::spawn(async move {
            while let Some(Ok(Message::Text(text))) = stream.next().await {
                hears.hear(serde_json::from_str(&text).expect("JSON"));
            }
        });
        protocol
    }

    fn hear(&self, message: Value) {
        if let Some(id) = message["id"].as_u64() {
            let asker = self.waiting.lock().expect("no panic").remove(&id);
            let answer = message.get("error").map_or_else(|| Ok(message["result"].clone()), |error| Err(error.clone()));
            // Whoever asked may have gone.
            asker.map(|asker| asker.send(answer));
            return;
        }
        let session = message["sessionId"].as_str().unwrap_or_default();
        if let Some(listener) = self.listeners.lock().expect("no panic").get(session) {
            // The page may have gone.
            let _ = listener.send(message);
        }
    }

    async fn try_ask(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value, Value> {
        let id = self.next.fetch_add(1, Ordering::SeqCst);
        let (asker, answer) = oneshot::channel();
        self.waiting.lock().expect("no panic").insert(id, asker);
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        self.out.send(Message::text(message.to_string())).expect("Chromium runs");
        tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{method}: no answer")).expect("Chromium runs")
    }

    async fn ask(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.try_ask(session, method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}

/// One screen. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Page {
    protocol: Protocol,
    session: String,
    complaints: Arc<Mutex<Vec<String>>>,
    registration: Arc<Mutex<Option<String>>>,
}

impl Page {
    /// The id of the service worker's registration, once there is one.
    pub(crate) fn registration(&self) -> Option<String> {
        self.registration.lock().expect("no panic").clone()
    }

    /// As [`Protocol::ask`], of this page.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        self.protocol.ask(Some(&self.session), method, params).await
    }

    async fn begin(&self) {
        let (sender, mut events) = mpsc::unbounded_channel();
        self.protocol.listeners.lock().expect("no panic").insert(self.session.clone(), sender);
        let (complaints, registration) = (self.complaints.clone(), self.registration.clone());
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                if let Some(id) = event["params"]["registrations"][0]["registrationId"].as_str() {
                    *registration.lock().expect("no panic") = Some(id.to_owned());
                }
                complaints.lock().expect("no panic").extend(complaint(&event));
            }
        });
        for domain in ["Page", "Runtime", "Log", "Network", "ServiceWorker"] {
            self.ask(&format!("{domain}.enable"), json!({})).await;
        }
        self.size(390, 844).await;
    }

    /// The size of the screen, in CSS pixels.
    pub(crate) async fn size(&self, width: u32, height: u32) {
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": true});
        self.ask("Emulation.setDeviceMetricsOverride", metrics).await;
        self.ask("Emulation.setTouchEmulationEnabled", json!({"enabled": true})).await;
    }

    /// Dark or light, as the system says.
    pub(crate) async fn theme(&self, theme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": theme}]);
        self.ask("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// Runs in every document before anything of it.
    pub(crate) async fn before_all(&self, script: &str) {
        self.ask("Page.addScriptToEvaluateOnNewDocument", json!({"source": script})).await;
    }

    /// A built-in authenticator, which recognises its person or does not; its id.
    pub(crate) async fn authenticator(&self) -> String {
        self.ask("WebAuthn.enable", json!({})).await;
        let options = json!({"protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": true,
            "isUserVerified": true, "automaticPresenceSimulation": true});
        let made = self.ask("WebAuthn.addVirtualAuthenticator", json!({"options": options})).await;
        made["authenticatorId"].as_str().expect("an id").to_owned()
    }

    /// Whether the authenticator recognises its person from now on.
    pub(crate) async fn recognises(&self, authenticator: &str, verified: bool) {
        self.ask("WebAuthn.setUserVerified", json!({"authenticatorId": authenticator, "isUserVerified": verified})).await;
    }

    /// Whether there is a network.
    pub(crate) async fn offline(&self, offline: bool) {
        let conditions = json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.ask("Network.emulateNetworkConditions", conditions).await;
    }

    /// Opens an address.
    pub(crate) async fn open(&self, url: &str) {
        self.ask("Page.navigate", json!({"url": url})).await;
    }

    /// The value of an expression in the page; promises are awaited.
    pub(crate) async fn eval(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.ask("Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true. A page that is just being left has no answer.
    pub(crate) async fn wait(&self, expression: &str) {
        let params = json!({"expression": format!("Boolean({expression})"), "returnByValue": true});
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.protocol.try_ask(Some(&self.session), "Runtime.evaluate", params.clone()).await;
            if answer.is_ok_and(|answer| answer["result"]["value"] == true) {
                return;
            }
            assert!(Instant::now() < end, "it never came to be: {expression}; the screen says: {}", self.text().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the screen says something.
    pub(crate) async fn sees(&self, text: &str) {
        self.wait(&format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// What the screen says.
    pub(crate) async fn text(&self) -> String {
        self.eval("document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Taps what a selector finds, with a finger: at its middle, where it is on the screen.
    pub(crate) async fn tap_on(&self, selector: &str) {
        self.tap_at(&format!("document.querySelector({})", json!(selector)), selector).await;
    }

    /// Taps the button or link that says `label`.
    pub(crate) async fn tap(&self, label: &str) {
        let found = format!(
            "[...document.querySelectorAll('button, a')].find((one) => one.innerText.trim() === {} && one.checkVisibility())",
            json!(label)
        );
        self.tap_at(&found, label).await;
    }

    async fn tap_at(&self, found: &str, what: &str) {
        self.wait(found).await;
        let place = format!(
            "(() => {{ const one = {found}; one.scrollIntoView({{ block: 'center' }}); const box = one.getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        );
        let place = self.eval(&place).await;
        let point = json!([{"x": place[0], "y": place[1]}]);
        assert!(place[0].is_number(), "{what} has no place");
        self.ask("Input.dispatchTouchEvent", json!({"type": "touchStart", "touchPoints": point})).await;
        self.ask("Input.dispatchTouchEvent", json!({"type": "touchEnd", "touchPoints": []})).await;
    }

    /// Types into the field of that name, in place of what is there.
    pub(crate) async fn write(&self, field: &str, text: &str) {
        let selector = format!("[name={}]", json!(field));
        self.wait(&format!("document.querySelector({})", json!(selector))).await;
        self.eval(&format!("(() => {{ const one = document.querySelector({}); one.focus(); one.select(); }})()", json!(selector))).await;
        self.ask("Input.insertText", json!({"text": text})).await;
    }

    /// Keeps a picture of the screen as `target/screens/NAME.png`, for people to look at.
    pub(crate) async fn picture(&self, name: &str) {
        let data = self.ask("Page.captureScreenshot", json!({"format": "png"})).await;
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screens");
        std::fs::create_dir_all(&folder).expect("a folder");
        let bytes = base64(data["data"].as_str().expect("a picture"));
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("it is written");
    }

    /// What the page complained about since the last look.
    pub(crate) fn complaints(&self) -> Vec<String> {
        std::mem::take(&mut self.complaints.lock().expect("no panic"))
    }
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

/// What of an event is a complaint: exceptions, errors on the console, refusals of the security policy.
fn complaint(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if params["type"] == "error" => Some(params["args"].to_string()),
        "Log.entryAdded" if params["entry"]["level"] == "error" => Some(params["entry"].to_string()),
        _ => None,
    }
}
