//! The server as a child process: this program again, with a mark in its environment.
//!
//! **Invariants**
//! - The child is what production runs: system clock, metrics recorded, warnings logged.
//! - It ends with its parent: it serves until its standard input closes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use phoneops::client::Client;
use phoneops::clock::Clock;
use phoneops::config::Config;
use phoneops::server::Server;
use tokio::io::AsyncReadExt as _;

use crate::{Failure, process};

const MARK: &str = "LOOPS_IS_THE_SERVER";

/// Whether this process is to be the server.
pub(crate) fn is_child() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Serves until standard input closes.
pub(crate) fn run() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match runtime.block_on(serve()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("the server: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Failure> {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    let metrics = metrics_exporter_prometheus::PrometheusBuilder::new().install_recorder()?;
    let config = Config::load(None, std::env::vars())?;
    let listener = tokio::net::TcpListener::bind(config.listen).await?;
    let server = Server::start(&config, Clock::system(), listener, Some(metrics)).await?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    server.stop().await;
    Ok(())
}

/// A server in a process of its own. Ends when dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) issuer: String,
    pub(crate) socket: PathBuf,
    /// From before its process began until `/readyz` answered 200.
    pub(crate) ready_after: Duration,
}

impl Running {
    /// Starts one on a free port, with its data in `data_dir`, and waits until it is ready.
    pub(crate) async fn start(data_dir: &Path, database_url: Option<&str>) -> Result<Self, Failure> {
        Self::start_with(data_dir, database_url, &[]).await
    }

    /// With further settings, as the environment gives them.
    pub(crate) async fn start_with(
        data_dir: &Path,
        database_url: Option<&str>,
        settings: &[(&str, &str)],
    ) -> Result<Self, Failure> {
        // Taken and given back: nobody else asks for this very port in the meantime.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let issuer = format!("http://localhost:{}", address.port());
        let mut command = Command::new(std::env::current_exe()?);
        command
            .env_clear()
            .env(MARK, "1")
            .env("PHONEOPS_LISTEN", address.to_string())
            .env("PHONEOPS_PUBLIC_URL", &issuer)
            .env("PHONEOPS_DATA_DIR", data_dir)
            // A bench asks one person more often in an hour than anybody should be.
            .env("PHONEOPS_APPROVALS_PUSHES_PER_APPROVER_PER_HOUR", "1000000")
            .env("PHONEOPS_APPROVALS_PUSHES_PER_REQUESTER_PER_HOUR", "1000000")
            .env("PHONEOPS_WEB_PUSH_ALLOW_PRIVATE_NETWORKS", "true")
            .env("PHONEOPS_WEB_PUSH_SUBJECT", "mailto:ops@phoneops.example")
            .envs(settings.iter().copied())
            .stdin(Stdio::piped());
        if let Some(url) = database_url {
            command.env("PHONEOPS_DATABASE_URL", url);
        }
        let client = Client::anonymous(&issuer)?;
        let before = Instant::now();
        let child = command.spawn()?;
        let mut running =
            Self { child, address, issuer, socket: data_dir.join(phoneops::server::SOCKET), ready_after: Duration::ZERO };
        while client.get("/readyz").await.is_err() {
            if let Some(status) = running.child.try_wait()? {
                return Err(format!("the server ended at once: {status}").into());
            }
            if before.elapsed() > Duration::from_secs(30) {
                return Err("the server is not ready after 30 s".into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        running.ready_after = before.elapsed();
        Ok(running)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time it has used.
    pub(crate) fn cpu(&self) -> Result<Duration, Failure> {
        process::cpu(self.child.id())
    }

    /// Resident memory, bytes.
    pub(crate) fn resident(&self) -> Result<u64, Failure> {
        process::resident(self.child.id())
    }

    /// Returns when it has had nothing to do for a while.
    pub(crate) async fn quiet(&self) -> Result<(), Failure> {
        loop {
            let before = self.cpu()?;
            tokio::time::sleep(Duration::from_millis(700)).await;
            if self.cpu()?.saturating_sub(before) <= Duration::from_millis(20) {
                return Ok(());
            }
        }
    }

    /// Lets it finish.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        let ended = tokio::task::spawn_blocking(move || self.child.wait().map(|status| (status, self))).await?;
        let (status, _ended) = ended?;
        if status.success() { Ok(()) } else { Err(format!("the server ended with {status}").into()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After `stop` there is nothing left to kill, which is no news.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
