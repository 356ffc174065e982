//! A server started as an operator starts it, and the commands that are run against it.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use phoneops::clock::Clock;
use phoneops::sim::phone::Phone;
use phoneops::sim::push_service::PushService;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

/// `phoneops` with no variables but `PATH`.
pub(crate) fn phoneops(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_phoneops"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(dir);
    command.stdin(Stdio::null());
    command
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It ended with 0 and said `stdout`.
    #[track_caller]
    pub(crate) fn says(&self, stdout: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(0), stdout), "{self:?}");
    }

    /// It ended with `code` and said why on stderr.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, why: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(why), "{why:?} is not said: {self:?}");
    }
}

/// A command under way. Killed when dropped.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::from(command.spawn().unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.0.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    /// To all the processes of a command that leads a group.
    pub(crate) fn signal_group(&self, signal: Signal) {
        kill_process_group(Pid::from_child(self.0.as_ref().unwrap()), signal).unwrap();
    }

    /// Waits for the end, at most half a minute.
    pub(crate) async fn ended(mut self) -> Ran {
        let mut child = self.0.take().unwrap();
        let waited = tokio::task::spawn_blocking(move || {
            for _ in 0..3_000 {
                if child.try_wait().unwrap().is_some() {
                    return Some(child.wait_with_output().unwrap());
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            child.kill().unwrap();
            None
        });
        let output = waited.await.unwrap().expect("the command does not end");
        Ran {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl From<Child> for Running {
    fn from(child: Child) -> Self {
        Self(Some(child))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A running server with a push service beside it.
pub(crate) struct House {
    pub(crate) dir: TempDir,
    pub(crate) issuer: String,
    /// What `serve` printed.
    pub(crate) greeting: Vec<String>,
    pub(crate) push_service: PushService,
    server: Running,
}

impl House {
    /// The server, started for the first time.
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// The same with further settings.
    pub(crate) async fn open_with(settings: &[(&str, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let push_service = PushService::start(Clock::system()).await.unwrap();
        let (server, greeting) = serve_with(dir.path(), "127.0.0.1:0", &[], settings);
        let issuer = greeting[0].rsplit(' ').next().unwrap().to_owned();
        Self { dir, issuer, greeting, push_service, server }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        data_dir(self.dir.path())
    }

    /// What the server logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Ends the server as a supervisor does.
    pub(crate) async fn close(self) -> Ran {
        self.server.signal(Signal::TERM);
        self.server.ended().await
    }

    /// Ends the server and starts it again at the same address.
    pub(crate) async fn restart(&mut self, between: impl Future<Output = ()>) {
        self.server.signal(Signal::TERM);
        let stopped = std::mem::replace(&mut self.server, Running(None));
        assert_eq!(stopped.ended().await.code, Some(0));
        between.await;
        std::fs::write(self.data_dir().join("known"), "").unwrap();
        let listen = self.issuer.replace("http://localhost", "127.0.0.1");
        (self.server, self.greeting) = serve(self.dir.path(), &listen, &[]);
    }

    /// A phone that is not enrolled yet.
    pub(crate) fn phone(&self) -> Phone {
        Phone::new(Clock::system(), &self.issuer, self.push_service.url()).unwrap()
    }

    /// The first administrator's code, as printed.
    pub(crate) fn first_code(&self) -> String {
        let (_, rest) = self.greeting[1].split_once('#').unwrap();
        rest.split(' ').next().unwrap().to_owned()
    }

    /// The first administrator, with passkey and push: Yannick.
    pub(crate) async fn yannick(&self) -> Phone {
        let phone = self.phone();
        let enrolled = phone.enrol(&self.first_code(), "Yannick's phone", Some(("yannick", "Yannick Schutz"))).await;
        enrolled.unwrap_or_else(|error| panic!("{error:?}: {}", self.log()));
        phone.create_passkey("Face ID").await.unwrap();
        phone.register_push().await.unwrap();
        phone
    }

    /// A command on the server's machine, with the environment that a bot would have.
    pub(crate) fn command(&self, token: Option<&str>, arguments: &[&str]) -> Command {
        let mut command = phoneops(self.dir.path());
        command.env("PHONEOPS_DATA_DIR", self.data_dir()).env("PHONEOPS_SERVER", &self.issuer).args(arguments);
        if let Some(token) = token {
            command.env("PHONEOPS_TOKEN", token);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command as the operator.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        Running::start(&mut self.command(None, arguments)).ended().await
    }

    /// Runs a command as the bot with `token`.
    pub(crate) async fn bot(&self, token: &str, arguments: &[&str]) -> Ran {
        Running::start(&mut self.command(Some(token), arguments)).ended().await
    }

    /// Starts a command as the bot with `token`.
    pub(crate) fn start(&self, token: &str, arguments: &[&str]) -> Running {
        Running::start(&mut self.command(Some(token), arguments))
    }

    /// A bot's token.
    pub(crate) async fn heimdall(&self) -> String {
        let ran = self.run(&["bot", "add", "heimdall", "--json"]).await;
        ran.json()["token"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// Starts `phoneops serve` and reads what it prints until it stands. Whoever has a first administrator already says so with a file
/// `known` in the data directory: then there is one line to read and not three.
pub(crate) fn serve(dir: &Path, listen: &str, arguments: &[&str]) -> (Running, Vec<String>) {
    serve_with(dir, listen, arguments, &[])
}

fn serve_with(dir: &Path, listen: &str, arguments: &[&str], settings: &[(&str, String)]) -> (Running, Vec<String>) {
    let mut command = phoneops(dir);
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command.arg("serve").args(arguments).env("PHONEOPS_DATA_DIR", data_dir(dir)).env("PHONEOPS_LISTEN", listen);
    command.env("PHONEOPS_WEB_PUSH_ALLOW_PRIVATE_NETWORKS", "true").env("PHONEOPS_PAGING_FALLBACK", "@yannick");
    // The push service refuses a sender at localhost, as Apple does.
    command.env("PHONEOPS_WEB_PUSH_SUBJECT", "mailto:ops@example.com");
    command.stdout(Stdio::piped()).stderr(File::create(dir.join("log")).unwrap());
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let running = Running::from(child);
    let mut greeting = Vec::new();
    for line in lines {
        greeting.push(line.unwrap());
        let known = greeting.len() == 1 && data_dir(dir).join("known").exists();
        if known || greeting.len() == 3 {
            return (running, greeting);
        }
    }
    panic!("the server did not start: {}", std::fs::read_to_string(dir.join("log")).unwrap());
}

/// Tries until there is something, at most ten seconds.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    for _ in 0..500 {
        if let Some(found) = attempt().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what}: not within ten seconds");
}

/// The approval that waits for the person of `phone`.
pub(crate) async fn waiting(phone: &Phone) -> Value {
    eventually("an approval waits", || async { phone.inbox().await.unwrap().pop() }).await
}
