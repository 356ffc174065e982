//! The `phoneops` binary: everything it does is in [`phoneops::cli`].

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    phoneops::cli::run(std::env::args_os()).await.into()
}
