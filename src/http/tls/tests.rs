use rcgen::{CertifiedKey as Made, generate_simple_self_signed};
use reqwest::{Certificate, Client};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::http::serve;

/// A certificate for `localhost` in files, as an ACME client leaves it.
struct Files {
    _folder: TempDir,
    files: TlsFiles,
}

impl Files {
    fn new(made: &Made<rcgen::KeyPair>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = TlsFiles { certificate: folder.path().join("fullchain.pem"), key: folder.path().join("privkey.pem") };
        let files = Self { _folder: folder, files };
        files.write(made);
        files
    }

    fn write(&self, made: &Made<rcgen::KeyPair>) {
        std::fs::write(&self.files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&self.files.key, made.signing_key.serialize_pem()).unwrap();
    }
}

fn made() -> Made<rcgen::KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

/// A client that trusts only this certificate, and opens a connection for each request.
fn trusting(made: &Made<rcgen::KeyPair>) -> Client {
    let only = Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    Client::builder().no_proxy().pool_max_idle_per_host(0).tls_certs_only([only]).build().unwrap()
}

async fn serving(tls: &Tls) -> (String, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let closing = CancellationToken::new();
    let router = axum::Router::new().route("/", axum::routing::get(async || "hello"));
    tokio::spawn(serve::tcp(listener, Some(tls.clone()), router, closing.clone()));
    (url, closing)
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_one_that_does_not_fit_is_not() {
    let (old, new) = (made(), made());
    let files = Files::new(&old);
    let tls = Tls::load(files.files.clone()).unwrap();
    let (url, closing) = serving(&tls).await;
    assert_eq!(trusting(&old).get(&url).send().await.unwrap().text().await.unwrap(), "hello");
    assert!(trusting(&new).get(&url).send().await.is_err(), "the other certificate is not in use yet");

    // Half renewed: the new certificate with the old key.
    std::fs::write(&files.files.certificate, new.cert.pem()).unwrap();
    assert!(!tls.renew());
    assert!(trusting(&old).get(&url).send().await.is_ok(), "the old certificate stays while the files do not fit");

    files.write(&new);
    assert!(tls.renew());
    assert!(trusting(&new).get(&url).send().await.is_ok());
    assert!(trusting(&old).get(&url).send().await.is_err());
    closing.cancel();
}

#[tokio::test]
async fn who_speaks_plain_http_or_nothing_holds_nobody_up() {
    let made = made();
    let files = Files::new(&made);
    let tls = Tls::load(files.files.clone()).unwrap();
    let (url, closing) = serving(&tls).await;
    let silent =
        TcpStream::connect(url.trim_start_matches("https://localhost:").parse().map(|port: u16| ("127.0.0.1", port)).unwrap());
    let _silent = silent.await.unwrap();
    assert!(reqwest::get(url.replace("https", "http")).await.is_err());
    assert!(trusting(&made).get(&url).send().await.is_ok());
    closing.cancel();
}

#[tokio::test(start_paused = true)]
async fn the_files_are_followed_until_closing() {
    let (old, new) = (made(), made());
    let files = Files::new(&old);
    let tls = Tls::load(files.files.clone()).unwrap();
    let in_use = |tls: &Tls| tls.current.0.read().unwrap().cert[0].as_ref() == new.cert.der().as_ref();
    let closing = CancellationToken::new();
    let following = tokio::spawn(tls.clone().follow(closing.clone()));
    tokio::time::sleep(LOOK_EVERY * 2).await;
    assert!(!in_use(&tls));
    files.write(&new);
    // File systems that keep whole seconds see no difference otherwise.
    let later = std::fs::metadata(&files.files.key).unwrap().modified().unwrap() + Duration::from_secs(2);
    std::fs::File::options().write(true).open(&files.files.key).unwrap().set_modified(later).unwrap();
    tokio::time::sleep(LOOK_EVERY * 2).await;
    assert!(in_use(&tls));
    closing.cancel();
    following.await.unwrap();
}

#[test]
fn what_is_wrong_with_the_files_is_said_by_name() {
    let why = |files: &TlsFiles| Tls::load(files.clone()).err().unwrap().to_string();
    let files = Files::new(&made()).files;
    assert!(why(&files).contains("fullchain.pem: No such file"), "the folder is gone: {}", why(&files));

    let kept = Files::new(&made());
    std::fs::write(&kept.files.certificate, "").unwrap();
    assert!(why(&kept.files).ends_with("fullchain.pem: holds no PEM certificate"), "{}", why(&kept.files));
    kept.write(&made());
    std::fs::write(&kept.files.key, made().cert.pem()).unwrap();
    assert!(why(&kept.files).ends_with("privkey.pem: holds no PEM private key"), "{}", why(&kept.files));
    std::fs::write(&kept.files.key, made().signing_key.serialize_pem()).unwrap();
    assert!(why(&kept.files).contains("privkey.pem: is not the key of the certificate in"), "{}", why(&kept.files));
}
