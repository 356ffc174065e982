//! Nodes of a world on PostgreSQL that can die in the middle of anything.

use phoneops::clock::Clock;
use phoneops::config::Config;
use phoneops::server::Server;
use tokio::runtime::Runtime;

use super::World;

/// A node on a runtime of its own, so that it can die in the middle of anything: its tasks are dropped where they wait, and PostgreSQL
/// sees connections break.
pub(crate) struct Node {
    /// Where it listens.
    pub(crate) base: String,
    runtime: Option<Runtime>,
}

impl Node {
    /// A node of `world`'s house, with settings of its own besides.
    pub(crate) fn start(world: &World, settings: &[(&str, String)]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let base = format!("http://localhost:{}", listener.local_addr().expect("an address").port());
        let data = tempfile::tempdir().expect("a temporary directory");
        let house = [
            ("PHONEOPS_PUBLIC_URL", world.server.issuer().to_owned()),
            ("PHONEOPS_DATA_DIR", data.path().display().to_string()),
            ("PHONEOPS_MASTER_KEY_FILE", world.server.socket().with_file_name("master.key").display().to_string()),
            ("PHONEOPS_WEB_PUSH_ALLOW_PRIVATE_NETWORKS", "true".to_owned()),
            ("PHONEOPS_DATABASE_CONNECTIONS", "4".to_owned()),
            ("PHONEOPS_DATABASE_URL", world.db.url().expect("PostgreSQL")),
        ];
        let settings = house.into_iter().chain(settings.iter().cloned()).map(|(key, value)| (key.to_owned(), value));
        let config = Config::load(None, settings).expect("the settings are valid");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let clock: Clock = world.clock.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            // One that is killed while it starts has not started.
            let server = Server::start(&config, clock, listener, None).await.expect("the node starts");
            std::future::pending::<()>().await;
            drop((server, data));
        });
        Self { base, runtime: Some(runtime) }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}
