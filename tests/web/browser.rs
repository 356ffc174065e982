//! A real Chromium, driven by its own protocol (DevTools), as a person would use it: by what is on the screen.
//!
//! **Invariants**
//! - Whatever the page or its service worker complains about (an exception, a refused script, a failed request of its own making) is
//!   kept, and a story ends by looking at it. So is every request.
//! - Waiting is for something to be so, never for time to pass.

#[path = "devtools.rs"]
mod devtools;
#[path = "looking.rs"]
mod looking;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::mpsc;

pub(crate) use devtools::Browser;
use devtools::Protocol;
pub(crate) use looking::modules;

/// How long anything may take to be so.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long until a page is looked at again. To look is to lay it out, which a machine with few cores has better things to do than.
const LOOKS_EVERY: Duration = Duration::from_millis(40);

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

/// What a page or a worker asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) url: String,
    /// Whether it was the page itself.
    pub(crate) is_page: bool,
}

/// What a phone's pages and worker did and said. Outlives them.
#[derive(Default)]
pub(crate) struct Heard {
    complaints: Mutex<Vec<String>>,
    /// What a story expects to go wrong: no complaint that says one of these counts.
    pardons: Mutex<Vec<String>>,
    requests: Mutex<Vec<Request>>,
    registration: Mutex<Option<String>>,
    /// The session of the service worker while it runs.
    worker: Mutex<Option<String>>,
    offline: AtomicBool,
    taps: AtomicUsize,
}

impl Heard {
    /// What was complained about since the last look.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let pardons = self.pardons.lock().expect("no panic").clone();
        let mut all = std::mem::take(&mut *self.complaints.lock().expect("no panic"));
        all.retain(|complaint| !pardons.iter().any(|pardon| complaint.contains(pardon)));
        all
    }

    /// Every request so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no panic").clone()
    }

    fn complain(&self, complaint: String) {
        self.complaints.lock().expect("no panic").push(complaint);
    }
}

/// A browser context of its own, as good as a phone: what it keeps no other sees. Ends with the last of its pages.
struct Context {
    browser: Arc<Browser>,
    id: String,
    heard: Arc<Heard>,
    /// Whether its screens are looked at.
    is_looked_at: bool,
}

impl Drop for Context {
    fn drop(&mut self) {
        let protocol = &self.browser.protocol;
        protocol.leave(&self.id);
        protocol.tell(None, "Target.disposeBrowserContext", &json!({"browserContextId": self.id}));
    }
}

impl Browser {
    /// A phone's screen, in a browser context of its own. Nobody has been asked yet whether it may notify. `is_looked_at`: pictures of it
    /// are kept, and axe judges it.
    pub(crate) async fn phone(self: &Arc<Self>, is_looked_at: bool) -> Page {
        let made = self.protocol.ask(None, "Target.createBrowserContext", json!({})).await;
        let id = made["browserContextId"].as_str().expect("an id").to_owned();
        let context = Context { browser: self.clone(), id: id.clone(), heard: Arc::default(), is_looked_at };
        let target = self.protocol.ask(None, "Target.createTarget", json!({"url": "about:blank", "browserContextId": id})).await;
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        let attached = self.protocol.ask(None, "Target.attachToTarget", attached).await;
        let session = attached["sessionId"].as_str().expect("a session").to_owned();
        let page = Page { context: Arc::new(context), session };
        page.begin().await;
        page
    }
}

/// One screen. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Page {
    context: Arc<Context>,
    session: String,
}

impl Drop for Page {
    fn drop(&mut self) {
        // The last of its clones.
        if Arc::strong_count(&self.context) == 1 {
            self.protocol().leave(&self.session);
        }
    }
}

impl Page {
    fn protocol(&self) -> &Protocol {
        &self.context.browser.protocol
    }

    /// What it did and said, to be looked at when the story is over.
    pub(crate) fn heard(&self) -> Arc<Heard> {
        self.context.heard.clone()
    }

    /// Whether a request of the phone's went to an address that ends so.
    pub(crate) fn has_asked(&self, end: &str) -> bool {
        self.times_asked(end) > 0
    }

    /// How many requests of the phone's went to an address that ends so.
    pub(crate) fn times_asked(&self, end: &str) -> usize {
        self.context.heard.requests.lock().expect("no panic").iter().filter(|request| request.url.ends_with(end)).count()
    }

    /// The id of the service worker's registration, once there is one.
    pub(crate) fn registration(&self) -> Option<String> {
        self.context.heard.registration.lock().expect("no panic").clone()
    }

    /// How often a finger touched the screen since the last count.
    pub(crate) fn taps(&self) -> usize {
        self.context.heard.taps.swap(0, Ordering::SeqCst)
    }

    /// What the page complained about since the last look.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.context.heard.complaints()
    }

    /// The story means this to go wrong: complaints that say `text` do not count.
    pub(crate) fn pardon(&self, text: &str) {
        self.context.heard.pardons.lock().expect("no panic").push(text.to_owned());
    }

    /// As [`Protocol::ask`], of this page.
    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        self.protocol().ask(Some(&self.session), method, params).await
    }

    async fn begin(&self) {
        let (sender, mut events) = mpsc::unbounded_channel();
        self.protocol().listen(&self.session, sender.clone());
        self.protocol().listen(&self.context.id, sender.clone());
        let listener = Listener { protocol: self.protocol().clone(), heard: self.heard(), sender: sender.downgrade() };
        drop(sender);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                listener.hear(&event);
            }
        });
        for domain in ["Page", "Runtime", "Log", "Network", "ServiceWorker", "Audits"] {
            self.ask(&format!("{domain}.enable"), json!({})).await;
        }
        // Passkeys are for whoever looks at the page, which in a headless browser is everybody.
        self.ask("Emulation.setFocusEmulationEnabled", json!({"enabled": true})).await;
        self.theme("light").await;
        self.size(390, 844).await;
    }

    /// The size of a screen that fingers touch, in CSS pixels; those of phones have four dots to each.
    pub(crate) async fn size(&self, width: u32, height: u32) {
        let scale = if width < 600 { 2 } else { 1 };
        let metrics = json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": true});
        self.ask("Emulation.setDeviceMetricsOverride", metrics).await;
        self.ask("Emulation.setTouchEmulationEnabled", json!({"enabled": true})).await;
    }

    /// The screen of a desktop.
    pub(crate) async fn desktop(&self) {
        let metrics = json!({"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Dark or light, as the system says. Nothing moves.
    pub(crate) async fn theme(&self, theme: &str) {
        let features =
            json!([{"name": "prefers-color-scheme", "value": theme}, {"name": "prefers-reduced-motion", "value": "reduce"}]);
        self.ask("Emulation.setEmulatedMedia", json!({"features": features})).await;
    }

    /// The browser says that it is another.
    pub(crate) async fn claims_to_be(&self, agent: &str) {
        self.ask("Emulation.setUserAgentOverride", json!({"userAgent": agent})).await;
    }

    /// What the person answers when `origin` asks whether it may notify: `granted`, `denied`; `prompt` while nobody has asked.
    pub(crate) async fn notifications(&self, origin: &str, setting: &str) {
        let params = json!({"browserContextId": self.context.id, "origin": origin, "permission": {"name": "notifications"},
            "setting": setting});
        self.protocol().ask(None, "Browser.setPermission", params).await;
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

    /// Whether there is a network, for the page and for its worker.
    pub(crate) async fn offline(&self, offline: bool) {
        self.context.heard.offline.store(offline, Ordering::SeqCst);
        if let Some(worker) = self.worker_now() {
            // It may be about to end.
            let _ = self.protocol().try_ask(Some(&worker), "Network.emulateNetworkConditions", network(offline)).await;
        }
        self.ask("Network.emulateNetworkConditions", network(offline)).await;
    }

    /// Opens an address.
    pub(crate) async fn open(&self, url: &str) {
        self.ask("Page.navigate", json!({"url": url})).await;
    }

    /// Loads the page again.
    pub(crate) async fn reload(&self) {
        self.ask("Page.reload", json!({})).await;
    }

    /// The value of an expression in the page; promises are awaited.
    pub(crate) async fn eval(&self, expression: &str) -> Value {
        self.eval_in(&self.session, expression).await
    }

    async fn eval_in(&self, session: &str, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true});
        let answer = self.protocol().ask(Some(session), "Runtime.evaluate", params).await;
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    fn worker_now(&self) -> Option<String> {
        self.context.heard.worker.lock().expect("no panic").clone()
    }

    /// As [`Page::eval`], in the service worker, which is started where it sleeps.
    pub(crate) async fn eval_worker(&self, expression: &str) -> Value {
        if self.worker_now().is_none() {
            let origin = self.eval("location.origin").await;
            let scope = json!({"scopeURL": format!("{}/", origin.as_str().unwrap_or_default())});
            self.ask("ServiceWorker.startWorker", scope).await;
        }
        let worker = until!("the service worker runs", self.worker_now());
        self.eval_in(&worker, expression).await
    }

    /// Waits until an expression is true. A page that is just being left has no answer.
    pub(crate) async fn wait(&self, expression: &str) {
        let params = json!({"expression": format!("Boolean({expression})"), "returnByValue": true});
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.protocol().try_ask(Some(&self.session), "Runtime.evaluate", params.clone()).await;
            if answer.is_ok_and(|answer| answer["result"]["value"] == true) {
                return;
            }
            if Instant::now() >= end {
                self.keep_picture("never-came-to-be").await;
                panic!(
                    "it never came to be: {expression}; the screen says: {}; complaints: {:?}",
                    self.text().await,
                    self.complaints()
                );
            }
            tokio::time::sleep(LOOKS_EVERY).await;
        }
    }

    /// Waits until the screen says something.
    pub(crate) async fn sees(&self, text: &str) {
        self.wait(&format!("document.body.innerText.includes({})", json!(text))).await;
    }

    /// Waits until the screen does not say something any more.
    pub(crate) async fn sees_no_more(&self, text: &str) {
        self.wait(&format!("!document.body.innerText.includes({})", json!(text))).await;
    }

    /// What the screen says.
    pub(crate) async fn text(&self) -> String {
        self.eval("document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Taps what a selector finds, with a finger: at its middle, where it is on the screen.
    #[allow(dead_code, reason = "for stories of screens whose links say what others say too")]
    pub(crate) async fn tap_on(&self, selector: &str) {
        self.tap_at(&format!("document.querySelector({})", json!(selector)), selector).await;
    }

    /// Taps the button or link that says `label`.
    pub(crate) async fn tap(&self, label: &str) {
        self.tap_at(&format!("{}[0]", named(label)), label).await;
    }

    /// Where a finger reaches it, in the middle, and nothing lies on it. A tap that hits nothing, because what was there is drawn anew in
    /// that moment, is done again, as a person would; one that the page has not come to yet is waited for, for two taps do two things.
    async fn tap_at(&self, found: &str, what: &str) {
        self.wait(found).await;
        let place = format!(
            "(() => {{ const one = {found}; if (!one) return null; one.scrollIntoView({{ block: 'center', behavior: 'instant' }}); \
             const box = one.getBoundingClientRect(); const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]; \
             if (!one.contains(document.elementFromPoint(x, y))) return null; \
             const said = (some) => some.getAttribute('aria-label') ?? some.innerText; \
             const tap = window.tap = {{ one, label: said(one), came: 'waits' }}; \
             document.addEventListener('click', (event) => {{ \
               const hit = event.target.closest('button, a, summary, [role=button]'); \
               tap.came = one.contains(event.target) || (hit && said(hit) === tap.label) ? 'hit' : 'missed'; \
             }}, {{ capture: true, once: true }}); return [x, y]; }})()"
        );
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            // A page that is just being drawn or left has no place for it.
            let place = self.try_eval(&place).await.unwrap_or_default();
            if place.is_array() {
                let point = json!([{"x": place[0], "y": place[1]}]);
                // In one breath: a finger that is lifted only once a slow page has noticed it presses for long, which is no tap.
                let touch = |kind: &str, points: Value| json!({"type": kind, "touchPoints": points});
                self.protocol().tell(Some(&self.session), "Input.dispatchTouchEvent", &touch("touchStart", point));
                self.ask("Input.dispatchTouchEvent", touch("touchEnd", json!([]))).await;
                if self.was_hit().await {
                    self.context.heard.taps.fetch_add(1, Ordering::SeqCst);
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.keep_picture("never-came-to-be").await;
        panic!("a finger does not reach {what}; the screen says: {}", self.text().await);
    }

    /// Whether what was touched was clicked. A page that was left by it knows nothing of it.
    async fn was_hit(&self) -> bool {
        // A touch becomes a click unless the browser took it for something else, and then nothing comes, however long one waits.
        let end = Instant::now() + PATIENCE / 6;
        while Instant::now() < end {
            match self.try_eval("window.tap?.came ?? 'hit'").await {
                Some(came) if came == "hit" => return true,
                Some(came) if came == "missed" => return false,
                _ => tokio::time::sleep(LOOKS_EVERY / 2).await,
            }
        }
        false
    }

    /// The value of an expression that may find no page, or another than it was written for.
    async fn try_eval(&self, expression: &str) -> Option<Value> {
        let params = json!({"expression": expression, "returnByValue": true});
        let answer = self.protocol().try_ask(Some(&self.session), "Runtime.evaluate", params).await.ok()?;
        answer["exceptionDetails"].is_null().then(|| answer["result"]["value"].clone())
    }

    /// Types into the field of that name, in place of what is there.
    pub(crate) async fn write(&self, field: &str, text: &str) {
        let selector = format!("[name={}]", json!(field));
        // It takes what is typed once it has the focus, and a page that is drawn anew in that moment takes it away.
        self.wait(&format!(
            "((one) => {{ one?.focus(); one?.select(); return one && document.activeElement === one; }})(document.querySelector({}))",
            json!(selector)
        ))
        .await;
        self.ask("Input.insertText", json!({"text": text})).await;
    }
}

/// The buttons and links that can be tapped and say `label`, to the eye or to a screen reader.
fn named(label: &str) -> String {
    format!(
        "[...document.querySelectorAll('button, a, summary, [role=button]')].filter((one) => \
         (one.getAttribute('aria-label') ?? one.innerText).trim() === {} && one.checkVisibility() && !one.disabled)",
        json!(label)
    )
}

fn network(offline: bool) -> Value {
    json!({"offline": offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1})
}

/// Hears one phone.
struct Listener {
    protocol: Protocol,
    heard: Arc<Heard>,
    sender: mpsc::WeakUnboundedSender<Value>,
}

impl Listener {
    fn hear(&self, event: &Value) {
        let (params, session) = (&event["params"], event["sessionId"].as_str().unwrap_or_default());
        match event["method"].as_str().unwrap_or_default() {
            "ServiceWorker.workerRegistrationUpdated" => {
                if let Some(id) = params["registrations"][0]["registrationId"].as_str() {
                    *self.heard.registration.lock().expect("no panic") = Some(id.to_owned());
                }
            }
            "Target.attachedToTarget" if params["targetInfo"]["type"] == "service_worker" => {
                self.worker_begins(params["sessionId"].as_str().unwrap_or_default());
            }
            "Target.detachedFromTarget" => {
                self.protocol.leave(session);
                let mut worker = self.heard.worker.lock().expect("no panic");
                worker.take_if(|worker| worker.as_str() == session);
            }
            "Network.requestWillBeSent" => {
                let text = |name: &str| params["request"][name].as_str().unwrap_or_default().to_owned();
                let request = Request { method: text("method"), url: text("url"), is_page: params["type"] == "Document" };
                self.heard.requests.lock().expect("no panic").push(request);
            }
            // Whoever asks whether one is sure is told yes.
            "Page.javascriptDialogOpening" => {
                self.protocol.tell(Some(session), "Page.handleJavaScriptDialog", &json!({"accept": true}));
            }
            method => {
                if let Some(complaint) = complaint(method, params) {
                    self.heard.complain(complaint);
                }
            }
        }
    }

    /// It waits until somebody listens.
    fn worker_begins(&self, session: &str) {
        if let Some(sender) = self.sender.upgrade() {
            self.protocol.listen(session, sender);
        }
        for domain in ["Runtime", "Log", "Network"] {
            self.protocol.tell(Some(session), &format!("{domain}.enable"), &json!({}));
        }
        if self.heard.offline.load(Ordering::SeqCst) {
            self.protocol.tell(Some(session), "Network.emulateNetworkConditions", &network(true));
        }
        self.protocol.tell(Some(session), "Runtime.runIfWaitingForDebugger", &json!({}));
        *self.heard.worker.lock().expect("no panic") = Some(session.to_owned());
    }
}

/// What of an event is a complaint: exceptions, errors on the console, refusals of the security policy.
fn complaint(method: &str, params: &Value) -> Option<String> {
    let policy = "ContentSecurityPolicyIssue";
    match method {
        "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if params["type"] == "error" => Some(params["args"].to_string()),
        "Log.entryAdded" if params["entry"]["level"] == "error" => Some(params["entry"].to_string()),
        "Audits.issueAdded" if params["issue"]["code"] == policy => Some(params["issue"].to_string()),
        _ => None,
    }
}
