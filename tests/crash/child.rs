//! The server as a process of its own, which dies and is started again.
//!
//! **Invariants**
//! - The listening socket is ours and outlives every server: no port is lost to somebody else, and whoever calls while there is
//!   no server waits for the next.
//! - No server outlives the test that started it.

use std::ffi::OsString;
use std::fs::File;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use phoneops::clock::Clock;
use phoneops::config::Config;
use phoneops::server::Server;

/// Tells this program that it is to be the server.
const ROLE: &str = "PHONEOPS_TEST_SERVER";

/// Whose socket is standard input.
#[test]
fn server() {
    // Nothing by itself: it is the process that the other tests start and kill.
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).expect("the kernel agrees");
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false).with_writer(std::io::stderr).init();
    let config = Config::load(None, std::env::vars()).expect("the settings are valid");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = std::io::stdin().as_fd().try_clone_to_owned().expect("standard input is the socket");
        let listener = TcpListener::from(listener);
        listener.set_nonblocking(true).expect("a socket");
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
        let _server = Server::start(&config, Clock::system(), listener, None).await.expect("the server starts");
        std::future::pending::<()>().await;
    });
}

/// How a server is started.
pub(crate) struct Launch {
    /// Where it listens, in every life.
    pub(crate) listener: TcpListener,
    /// Its settings, in every life.
    pub(crate) settings: Vec<(String, String)>,
    /// More of the environment, in its first life.
    pub(crate) at_first: Vec<(String, String)>,
    /// A program, with its arguments, that runs it in its first life.
    pub(crate) under: Vec<OsString>,
    /// Where what it says goes.
    pub(crate) log: PathBuf,
}

/// A server that is started again whenever it dies. Dropping this ends it.
pub(crate) struct Process {
    orders: Sender<Order>,
    lives: Arc<Mutex<Lives>>,
    supervisor: Option<JoinHandle<()>>,
}

enum Order {
    Kill,
    End,
}

#[derive(Default)]
struct Lives {
    pid: u32,
    ends: Vec<ExitStatus>,
}

impl Process {
    pub(crate) fn start(launch: Launch) -> Self {
        let (orders, received) = channel();
        let lives = Arc::new(Mutex::new(Lives::default()));
        let shared = Arc::clone(&lives);
        // The thread stays as long as its children: the kernel kills them when it ends.
        let supervisor = std::thread::spawn(move || supervise(&launch, &received, &shared));
        Self { orders, lives, supervisor: Some(supervisor) }
    }

    /// Kills it, with SIGKILL; it is started again.
    pub(crate) fn kill(&self) {
        self.orders.send(Order::Kill).expect("the supervisor lives");
    }

    /// How its lives ended so far.
    pub(crate) fn ends(&self) -> Vec<ExitStatus> {
        self.lives.lock().expect("not poisoned").ends.clone()
    }

    /// Whether it was killed this often and nothing else ever ended it.
    pub(crate) fn was_killed(&self, times: usize) -> bool {
        let ends = self.ends();
        ends.len() == times && ends.iter().all(|end| end.signal() == Some(9))
    }

    /// The process that was started last.
    pub(crate) fn pid(&self) -> u32 {
        self.lives.lock().expect("not poisoned").pid
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that the supervisor has ended, and its child with it.
        let _ = self.orders.send(Order::End);
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
    }
}

fn supervise(launch: &Launch, orders: &Receiver<Order>, lives: &Mutex<Lives>) {
    let mut first = true;
    loop {
        let mut child = launch.spawn(first);
        first = false;
        lives.lock().expect("not poisoned").pid = child.id();
        let Some(end) = accompany(&mut child, orders) else { return };
        lives.lock().expect("not poisoned").ends.push(end);
    }
}

/// How the child ended; nothing when it was to end for good.
fn accompany(child: &mut Child, orders: &Receiver<Order>) -> Option<ExitStatus> {
    loop {
        match orders.recv_timeout(Duration::from_millis(5)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Order::Kill) => child.kill().expect("it can be killed"),
            Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => {
                child.kill().expect("it can be killed");
                child.wait().expect("it is ours");
                return None;
            }
        }
        if let Some(end) = child.try_wait().expect("it is ours") {
            return Some(end);
        }
    }
}

impl Launch {
    fn spawn(&self, first: bool) -> Child {
        let program = std::env::current_exe().expect("this program has a path").into_os_string();
        let arguments = ["child::server", "--exact", "--nocapture"].map(OsString::from);
        let mut words: Vec<OsString> = if first { self.under.clone() } else { Vec::new() };
        words.push(program);
        words.extend(arguments);
        let log = File::options().create(true).append(true).open(&self.log).expect("a log");
        let listener: OwnedFd = self.listener.try_clone().expect("a socket").into();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env(ROLE, "1").envs(self.settings.iter().cloned());
        if first {
            command.envs(self.at_first.iter().cloned());
        }
        command.stdin(listener).stdout(Stdio::null()).stderr(log).spawn().expect("the server's process starts")
    }
}
