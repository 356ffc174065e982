//! The Chromium that runs, and its DevTools protocol, spoken over a pipe: it ends with whoever holds the other end.
//!
//! **Invariants**
//! - All stories under way share one browser. Whoever drops it last ends it, and its profile goes with it.
//! - Nothing here belongs to a runtime: stories, each with a runtime of its own, ask side by side.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};

use super::PATIENCE;

/// A running Chromium. Ends with it.
pub(crate) struct Browser {
    process: Child,
    pub(super) protocol: Protocol,
    profile: TempDir,
}

/// The one that runs.
static RUNNING: Mutex<Weak<Browser>> = Mutex::new(Weak::new());

/// Where the browser may be. The environment comes first.
const PLACES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// What a browser does for its person that nobody needs here, and what it saves on windows that nobody looks at. It opens nothing but
/// our own pages, and as root, or in a container, it has no sandbox. What drops down below the address is two pages of the browser's own
/// in every window, which cost three times what our page costs.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-features=Translate,OptimizationHints,MediaRouter,DialMediaRouteProvider,WebUIOmniboxPopup,WebUIOmniboxAimPopup",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--mute-audio",
    "--password-store=basic",
];

/// The pipe's ends are what Chromium reads and writes as 3 and 4.
const LAUNCH: &str = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#;

impl Browser {
    /// The one that runs; a fresh one, with nothing in it, when none does.
    pub(crate) fn shared() -> Arc<Self> {
        let mut running = RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let browser = Arc::new(Self::start());
            *running = Arc::downgrade(&browser);
            browser
        })
    }

    fn start() -> Self {
        let named = std::env::var("PHONEOPS_TEST_CHROMIUM").ok().map(PathBuf::from);
        let program = named.or_else(|| PLACES.into_iter().find_map(on_path));
        let program = program.expect("the stories of the web app need Chromium: scripts/test installs it");
        let profile = tempfile::tempdir().expect("a temporary directory");
        let mut command = Command::new("sh");
        command.args(["-c", LAUNCH]).arg(program).args(FLAGS);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        let launched = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut process = launched.expect("Chromium starts");
        let (sink, source) = (process.stdin.take().expect("a pipe"), process.stdout.take().expect("a pipe"));
        let protocol = Protocol::new(sink, source);
        // Service workers are told apart by their browser context, and wait until somebody listens.
        let workers =
            json!({"autoAttach": true, "waitForDebuggerOnStart": true, "flatten": true, "filter": [{"type": "service_worker"}]});
        protocol.tell(None, "Target.setAutoAttach", &workers);
        Self { process, protocol, profile }
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.protocol.tell(None, "Browser.close", &json!({}));
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && !matches!(self.process.try_wait(), Ok(Some(_))) {
            std::thread::sleep(Duration::from_millis(10));
        }
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        remove(self.profile.path());
    }
}

/// Its helpers may still be writing for a moment.
fn remove(profile: &Path) {
    for _ in 0..100 {
        if std::fs::remove_dir_all(profile).is_ok() || !profile.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

type Answer = Result<Value, Value>;

/// The DevTools protocol: JSON texts, each with a zero byte behind it. Cheap to clone.
#[derive(Clone)]
pub(super) struct Protocol(Arc<Wire>);

struct Wire {
    next: AtomicU64,
    sink: Mutex<ChildStdin>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    /// Who hears what happens in a session, or what joins and leaves a browser context.
    listeners: Mutex<HashMap<String, mpsc::UnboundedSender<Value>>>,
}

impl Protocol {
    fn new(sink: ChildStdin, source: ChildStdout) -> Self {
        let wire =
            Wire { next: AtomicU64::default(), sink: Mutex::new(sink), waiting: Mutex::default(), listeners: Mutex::default() };
        let protocol = Self(Arc::new(wire));
        let hears = Arc::downgrade(&protocol.0);
        std::thread::spawn(move || {
            let mut source = BufReader::new(source);
            let mut text = Vec::new();
            while source.read_until(0, &mut text).is_ok_and(|length| length > 0) {
                let Some(wire) = hears.upgrade() else { return };
                wire.hear(serde_json::from_slice(text.strip_suffix(&[0]).unwrap_or(&text)).expect("JSON"));
                text.clear();
            }
            // Nobody waits for a browser that has ended.
            if let Some(wire) = hears.upgrade() {
                wire.waiting.lock().expect("no panic").clear();
            }
        });
        protocol
    }

    /// Whoever hears what happens in this session, or this browser context, from now on.
    pub(super) fn listen(&self, to: &str, sender: mpsc::UnboundedSender<Value>) {
        self.0.listeners.lock().expect("no panic").insert(to.to_owned(), sender);
    }

    /// Nobody listens there any more.
    pub(super) fn leave(&self, to: &str) {
        self.0.listeners.lock().expect("no panic").remove(to);
    }

    fn send(&self, id: u64, session: Option<&str>, method: &str, params: &Value) -> std::io::Result<()> {
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = session {
            message["sessionId"] = session.into();
        }
        let mut text = message.to_string().into_bytes();
        text.push(0);
        let mut sink = self.0.sink.lock().expect("no panic");
        sink.write_all(&text)?;
        sink.flush()
    }

    /// Asks for something whose answer nobody needs.
    pub(super) fn tell(&self, session: Option<&str>, method: &str, params: &Value) {
        let id = self.0.next.fetch_add(1, Ordering::SeqCst);
        // It may have ended, which whoever asks for an answer finds out.
        let _ = self.send(id, session, method, params);
    }

    pub(super) async fn try_ask(&self, session: Option<&str>, method: &str, params: Value) -> Answer {
        let id = self.0.next.fetch_add(1, Ordering::SeqCst);
        let (asker, answer) = oneshot::channel();
        self.0.waiting.lock().expect("no panic").insert(id, asker);
        self.send(id, session, method, &params).unwrap_or_else(|error| panic!("{method}: Chromium has ended: {error}"));
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(|_| panic!("{method}: no answer"));
        answer.unwrap_or_else(|_| panic!("{method}: Chromium has ended"))
    }

    pub(super) async fn ask(&self, session: Option<&str>, method: &str, params: Value) -> Value {
        self.try_ask(session, method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }
}

impl Wire {
    fn hear(&self, mut message: Value) {
        if let Some(id) = message["id"].as_u64() {
            let asker = self.waiting.lock().expect("no panic").remove(&id);
            let answer = message.get("error").map_or_else(|| Ok(message["result"].clone()), |error| Err(error.clone()));
            // Whoever asked may have gone.
            asker.map(|asker| asker.send(answer));
            return;
        }
        let about = if let Value::String(session) = message["sessionId"].take() {
            session
        } else {
            let params = &message["params"];
            let place = params["targetInfo"]["browserContextId"].as_str().or(params["sessionId"].as_str());
            place.unwrap_or_default().to_owned()
        };
        message["sessionId"] = about.clone().into();
        if let Some(listener) = self.listeners.lock().expect("no panic").get(&about) {
            // The story may be over.
            let _ = listener.send(message);
        }
    }
}
