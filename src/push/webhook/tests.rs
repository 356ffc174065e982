//! The sender against receivers of every kind, and its signatures against somebody else's reading of the standard.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response as Reply};
use futures_util::stream;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::*;
use crate::push::names::Lookup;

const BODY: &str = r#"{"kind":"approval.approved"}"#;

fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

/// A sender for which every name means 127.0.0.1, with a second for everything.
fn sender(allow_private: bool) -> Webhooks {
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) }));
    sender_with(allow_private, lookup)
}

fn sender_with(allow_private: bool, lookup: Lookup) -> Webhooks {
    let limits = Limits { connect: Duration::from_secs(1), total: Duration::from_secs(1) };
    Webhooks::with(allow_private, None, GuardedResolver::with_lookup(allow_private, lookup), limits).unwrap()
}

async fn send_to(sender: &Webhooks, url: &str) -> Sent {
    let secrets = [SigningSecret::generate()];
    let event = Signed { id: "evt_1", body: BODY, secrets: &secrets };
    sender.send(&url.parse().unwrap(), &event, now(), Duration::from_secs(1)).await
}

/// A listener that must stay silent, or must not: the bytes of its first connection.
async fn canary() -> (SocketAddr, oneshot::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = oneshot::channel();
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let heard = connection.read(&mut [0; 1_024]).await.unwrap_or(0);
        let _ = tell.send(heard);
    });
    (address, told)
}

/// A receiver that answers everything alike.
async fn answering<F, R>(answer: F) -> String
where
    F: Fn() -> R + Clone + Send + Sync + 'static,
    R: IntoResponse,
{
    let router = Router::new().fallback(move || {
        let answer = answer.clone();
        async move { answer().into_response() }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/hook/secret")
}

/// The example of the Standard Webhooks libraries, whose secret has 24 bytes.
#[test]
fn the_signature_is_that_of_the_standard_libraries() {
    let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let text = r#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
    assert_eq!(b64(hmac_sha256(&key, text.as_bytes())), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn a_secret_is_text_for_its_receiver_and_prints_nothing() {
    let secret = SigningSecret::generate();
    let text = secret.to_text();
    let encoded = text.expose().strip_prefix("whsec_").unwrap();
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded).unwrap();
    assert_eq!(bytes, secret.bytes());
    assert_eq!(SigningSecret::from_bytes(&bytes).unwrap().bytes(), secret.bytes());
    assert!(SigningSecret::from_bytes(&bytes[1..]).is_none());
    assert_eq!(format!("{secret:?}"), "SigningSecret(…)");
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    let not = |why: &str, wait| Sent::Not { why: why.into(), wait };
    for (status, retry_after, expected) in [
        (200, None, Sent::Taken(200)),
        (204, None, Sent::Taken(204)),
        (301, None, not("it answered 301, and redirects are not followed", None)),
        (307, None, not("it answered 307, and redirects are not followed", None)),
        (400, None, not("it answered 400", None)),
        (404, None, not("it answered 404", None)),
        (410, None, Sent::Gone),
        (429, Some("30"), not("it answered 429", Some(Duration::from_secs(30)))),
        (500, Some("soon"), not("it answered 500", None)),
    ] {
        let url = answering(move || {
            let mut reply = Reply::builder().status(status);
            if let Some(seconds) = retry_after {
                reply = reply.header("retry-after", seconds);
            }
            reply.body(Body::empty()).unwrap()
        });
        assert_eq!(send_to(&sender(true), &url.await).await, expected, "{status}");
    }
}

#[tokio::test]
async fn the_inside_receives_nothing_unless_private_networks_are_allowed() {
    let hosts = [
        "hooks.example.com",
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "localhost",
        "a.localhost",
        "0.0.0.0",
    ];
    for host in hosts {
        let (address, mut heard) = canary().await;
        let sent = send_to(&sender(false), &format!("https://{host}:{}/hook/secret", address.port())).await;
        let Sent::Not { why, .. } = sent else { panic!("{host}: {sent:?}") };
        assert!(why.ends_with("is not a public address") && !why.contains("secret"), "{host}: {why}");
        // Not even a connection: the canary is still waiting for one.
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(heard.try_recv().is_err(), "{host}");
    }
    let (address, mut heard) = canary().await;
    for url in [format!("http://hooks.example.com:{}/", address.port()), "https://a:b@hooks.example.com/".into()] {
        assert!(matches!(send_to(&sender(false), &url).await, Sent::Not { .. }), "{url}");
    }
    assert!(heard.try_recv().is_err());
    let (address, heard) = canary().await;
    send_to(&sender(true), &format!("http://hooks.example.com:{}/", address.port())).await;
    assert!(heard.await.unwrap() > 0);
}

#[tokio::test]
async fn a_name_that_changes_its_meaning_gains_nothing() {
    let (address, mut heard) = canary().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    // Public when it is first asked, inside from then on; and inside among public ones.
    let lookup: Lookup = Arc::new(move |_| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        Box::pin(async move {
            // Nobody is there: 192.0.2.0/24 is for documentation, and closed too.
            Ok(if first { vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))] } else { vec![IpAddr::V4(Ipv4Addr::LOCALHOST)] })
        })
    });
    let sender = sender_with(false, lookup);
    for _ in 0..3 {
        let sent = send_to(&sender, &format!("https://hooks.example.com:{}/", address.port())).await;
        assert!(matches!(&sent, Sent::Not { why, .. } if why.ends_with("is not a public address")), "{sent:?}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3, "asked anew each time");
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (inside, mut heard) = canary().await;
    let url = answering(move || (StatusCode::TEMPORARY_REDIRECT, [("location", format!("http://{inside}/"))])).await;
    assert!(matches!(send_to(&sender(true), &url).await, Sent::Not { .. }));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn endless_slow_and_silent_answers_cost_little() {
    let endless = answering(|| {
        let body = stream::repeat_with(|| Ok::<_, std::convert::Infallible>(vec![b'x'; 1_024]));
        (StatusCode::OK, Body::from_stream(body))
    });
    let begun = tokio::time::Instant::now();
    assert_eq!(send_to(&sender(true), &endless.await).await, Sent::Taken(200));
    assert!(begun.elapsed() < Duration::from_millis(900), "cut by size, not by time");
    let slow = answering(|| {
        let drip = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Some((Ok::<_, std::convert::Infallible>("x"), ()))
        });
        (StatusCode::ACCEPTED, Body::from_stream(drip))
    });
    let begun = tokio::time::Instant::now();
    assert_eq!(send_to(&sender(true), &slow.await).await, Sent::Taken(202));
    assert!(begun.elapsed() < Duration::from_secs(3));
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sent = send_to(&sender(true), &format!("http://{}/hook/secret", silent.local_addr().unwrap())).await;
    let Sent::Not { why, .. } = sent else { panic!("{sent:?}") };
    assert!(why.starts_with("no answer in time") && !why.contains("secret"), "{why}");
}
