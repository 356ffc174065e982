//! The `phoneops` program.
#[tokio::main]
async fn main() {
    let same = phoneops::demo::scripted(&mut std::io::stdout()).await.unwrap();
    std::process::exit(i32::from(!same));
}
