//! Starting: until ready, and what an idle server takes.

use crate::Failure;
use crate::report::Report;
use crate::server::Running;
use crate::world;

/// Starts a server on a new directory, and again on the same.
pub(crate) async fn measure(report: &mut Report) -> Result<(), Failure> {
    report.section("Start, on SQLite");
    let data = world::directory()?;
    for times in ["first start, schema made: until /readyz is 200", "later start: until /readyz is 200"] {
        let server = Running::start(data.path(), None).await?;
        report.add(times, server.ready_after.as_secs_f64() * 1e3, "ms");
        server.quiet().await?;
        if times.starts_with("later") {
            report.add("memory when idle", server.resident()? as f64 / 1e6, "MB");
        }
        server.stop().await?;
    }
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_phoneops"));
    match std::fs::metadata(binary) {
        Ok(found) => report.add("size of the phoneops binary", found.len() as f64 / 1e6, "MB"),
        Err(_) => report.note("size of the phoneops binary", "not built"),
    }
    Ok(())
}
