//! The carrier against push services of every temper, on this machine's own loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::encrypt::tests::Phone;
use super::*;
use crate::push::apns::tests::server::{Answer, Server};
use crate::push::guard::Forbidden;
use crate::push::names::Lookup;
use crate::push::{Category, Sound};

fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

pub(super) fn message() -> Message {
    let data = json!({"ref": "PIHXOC6", "round": 1});
    Message {
        title: "All your apps are down".into(),
        body: "Page PIHXOC6 from heimdall".into(),
        navigate: "https://phoneops.example/i/PIHXOC6".parse().unwrap(),
        tag: "ntf_1.1".into(),
        urgency: Urgency::High,
        expires_at: now().after(Duration::from_mins(5)),
        sound: Sound::Normal,
        thread: "inc_1".into(),
        category: Category::Page,
        data: data.as_object().unwrap().clone(),
    }
}

fn config(allow_private_networks: bool) -> WebPushConfig {
    WebPushConfig {
        vapid_private_key: VapidKeyPair::generate().private,
        subject: "mailto:ops@example.com".into(),
        allow_private_networks,
        ca_pem: None,
    }
}

/// A carrier for which every name means 127.0.0.1, with a second for everything.
fn carrier(allow_private: bool) -> WebPush {
    let lookup: Lookup = Arc::new(|_| Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) }));
    let limits = Limits { connect: Duration::from_secs(1), total: Duration::from_secs(1) };
    let resolver = GuardedResolver::with_lookup(allow_private, lookup);
    WebPush::with(config(allow_private), resolver, limits).unwrap()
}

async fn send_to(carrier: &WebPush, endpoint: &str) -> Outcome {
    let target = Target::WebPush(Phone::new().subscribe(endpoint));
    carrier.send(&message(), &target, now()).await
}

/// What a push service was sent.
struct Received {
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A push service that answers everything alike, and keeps what it was sent.
struct Service {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Service {
    async fn answering<F, R>(answer: F) -> Self
    where
        F: Fn() -> R + Clone + Send + Sync + 'static,
        R: IntoResponse,
    {
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        let router = Router::new().fallback(move |request: Request| {
            let (kept, answer) = (kept.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes().to_vec();
                kept.lock().unwrap().push(Received {
                    path: format!("{} {}", parts.method, parts.uri.path()),
                    headers: parts.headers,
                    body,
                });
                answer().into_response()
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, received }
    }

    fn endpoint(&self) -> String {
        format!("http://{}/send/secret", self.address)
    }

    fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap())
    }
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

#[tokio::test]
async fn a_message_arrives_as_the_standards_want_it_and_only_its_phone_reads_it() {
    let service = Service::answering(|| StatusCode::CREATED).await;
    let (carrier, phone) = (carrier(true), Phone::new());
    let target = Target::WebPush(phone.subscribe(&service.endpoint()));
    let outcome = carrier.send(&message(), &target, now()).await;
    assert_eq!(outcome, Outcome::Accepted { id: None });

    let [received] = service.take().try_into().ok().unwrap();
    assert_eq!(received.path, "POST /send/secret");
    let header = |name: &str| received.headers[name].to_str().unwrap();
    assert_eq!(header("ttl"), "300");
    assert_eq!(header("urgency"), "high");
    assert_eq!(header("content-encoding"), "aes128gcm");
    assert_eq!(header("content-type"), "application/octet-stream");
    assert_eq!(header("content-length"), encrypt::BODY_BYTES.to_string());
    let key = format!(", k={}", carrier.public_key());
    assert!(header("authorization").starts_with("vapid t=ey") && header("authorization").ends_with(&key));
    assert_eq!(header("topic"), topic("ntf_1.1"));
    assert!(!received.headers.contains_key("accept-encoding"));
    let json: Value = serde_json::from_slice(&phone.decrypt(&received.body).unwrap()).unwrap();
    assert_eq!(json["web_push"], 8030);
    assert_eq!(json["notification"]["title"], "All your apps are down");
}

#[tokio::test]
async fn a_long_life_is_capped_and_a_calm_message_says_so() {
    let service = Service::answering(|| StatusCode::CREATED).await;
    let (carrier, mut calm) = (carrier(true), message());
    calm.urgency = Urgency::Normal;
    calm.expires_at = now().after(Duration::from_hours(24 * 365));
    let target = Target::WebPush(Phone::new().subscribe(&service.endpoint()));
    carrier.send(&calm, &target, now()).await;
    calm.expires_at = now().after(Duration::from_millis(1_999));
    carrier.send(&calm, &target, now()).await;
    let ttls: Vec<_> = service
        .take()
        .iter()
        .map(|received| ["ttl", "urgency"].map(|name| received.headers[name].to_str().unwrap().to_owned()))
        .collect();
    assert_eq!(ttls, [["2419200", "normal"], ["1", "normal"]]);
}

#[tokio::test]
async fn a_message_that_has_expired_is_not_sent() {
    let service = Service::answering(|| StatusCode::CREATED).await;
    let target = Target::WebPush(Phone::new().subscribe(&service.endpoint()));
    let at = message().expires_at;
    assert_eq!(carrier(true).send(&message(), &target, at).await, Outcome::Expired);
    assert!(service.take().is_empty());
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    let gone = Outcome::Gone { since: None };
    let wait = |seconds| Outcome::RetryAfter(Duration::from_secs(seconds));
    let accepted = Outcome::Accepted { id: None };
    for (status, retry_after, expected) in [
        (200, None, Ok(accepted.clone())),
        (201, None, Ok(accepted.clone())),
        (202, None, Ok(accepted)),
        (301, None, Err("Refused")),
        (307, None, Err("Refused")),
        (400, None, Err("Refused")),
        (401, None, Err("Misconfigured")),
        (403, None, Err("Misconfigured")),
        (404, None, Ok(gone.clone())),
        (405, None, Err("Refused")),
        (406, None, Ok(wait(60))),
        (408, None, Err("Retryable")),
        (410, None, Ok(gone)),
        (413, None, Err("Refused")),
        (429, None, Ok(wait(60))),
        (429, Some("30"), Ok(wait(30))),
        (500, None, Err("Retryable")),
        (502, None, Err("Retryable")),
        (503, None, Err("Retryable")),
        (503, Some("5"), Ok(wait(5))),
        (507, None, Err("Retryable")),
    ] {
        let service = Service::answering(move || {
            let mut response = Response::builder().status(status);
            if let Some(seconds) = retry_after {
                response = response.header("retry-after", seconds);
            }
            response.body(Body::empty()).unwrap()
        })
        .await;
        let outcome = send_to(&carrier(true), &service.endpoint()).await;
        match expected {
            Ok(expected) => assert_eq!(outcome, expected, "{status}"),
            Err(kind) => {
                let text = format!("{outcome:?}");
                assert!(text.starts_with(kind) && text.contains(&status.to_string()), "{status}: {text}");
                assert!(!text.contains("secret"), "{text}");
            }
        }
        assert_eq!(service.take().len(), 1, "{status}: one call is one try");
    }
}

#[tokio::test]
async fn a_life_that_the_service_shortens_is_accepted_all_the_same() {
    // RFC 8030 section 5.2. UnifiedPush servers say 0: they keep nothing, and whether the phone heard is known by its receipt alone.
    for ttl in ["0", "60"] {
        let service = Service::answering(move || (StatusCode::CREATED, [("ttl", ttl)])).await;
        assert_eq!(send_to(&carrier(true), &service.endpoint()).await, Outcome::Accepted { id: None });
    }
}

#[tokio::test]
async fn an_endpoint_says_whether_it_is_one_of_unified_push() {
    let discover = async |status: StatusCode, body: &'static str| {
        let service = Service::answering(move || (status, body)).await;
        let found = carrier(true).discover(&Phone::new().subscribe(&service.endpoint())).await;
        assert_eq!(service.take().remove(0).path, "GET /send/secret");
        found
    };
    assert_eq!(discover(StatusCode::OK, r#"{"unifiedpush":{"version":1,"gateway":"matrix"}}"#).await, Ok(()));
    for (status, body) in [
        (StatusCode::OK, "{}"),
        (StatusCode::OK, r#"{"unifiedpush":{"version":2}}"#),
        (StatusCode::NOT_FOUND, r#"{"unifiedpush":{"version":1}}"#),
        (StatusCode::FOUND, ""),
    ] {
        assert_eq!(discover(status, body).await, Err(NotUnifiedPush::Another), "{body}");
    }
    // As guarded as a push.
    let (address, mut heard) = canary().await;
    for (host, refusal) in
        [("push.example.com", NotUnifiedPush::Another), ("127.0.0.1", NotUnifiedPush::Forbidden(Forbidden::Address))]
    {
        let inside = Phone::new().subscribe(&format!("https://{host}:{}/send/secret", address.port()));
        assert_eq!(carrier(false).discover(&inside).await, Err(refusal), "{host}");
    }
    assert!(heard.try_recv().is_err());
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let absent = Phone::new().subscribe(&format!("http://{}/send/secret", gone.local_addr().unwrap()));
    drop(gone);
    // That nobody is there sounds like somebody who answers something else.
    assert_eq!(carrier(true).discover(&absent).await, Err(NotUnifiedPush::Another));
}

#[tokio::test]
async fn the_reason_for_a_403_is_read_from_the_body() {
    let stale = Service::answering(|| (StatusCode::FORBIDDEN, r#"{"reason":"VapidPkHashMismatch"}"#)).await;
    let bad = Service::answering(|| (StatusCode::FORBIDDEN, r#"{"reason":"BadJwtToken"}"#)).await;
    let carrier = carrier(true);
    for (service, why) in [(&stale, "VapidPkHashMismatch"), (&bad, "BadJwtToken")] {
        let Outcome::Misconfigured(text) = send_to(&carrier, &service.endpoint()).await else {
            panic!("expected Misconfigured");
        };
        assert!(text.contains(why) && text.contains(&service.address.to_string()), "{text}");
    }
}

#[tokio::test]
async fn a_subscription_of_another_key_ends_only_where_ours_is_taken() {
    let refuses = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let mismatch = (StatusCode::FORBIDDEN, r#"{"reason":"VapidPkHashMismatch"}"#);
    let now_refuses = refuses.clone();
    let changed = Service::answering(move || {
        if now_refuses.load(std::sync::atomic::Ordering::SeqCst) { mismatch } else { (StatusCode::CREATED, "") }
    })
    .await;
    let another = Service::answering(move || mismatch).await;
    let carrier = carrier(true);
    for _ in 0..5 {
        let outcome = send_to(&carrier, &changed.endpoint()).await;
        assert!(matches!(&outcome, Outcome::Misconfigured(why) if why.contains("VAPID key")), "{outcome:?}");
    }
    refuses.store(false, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(send_to(&carrier, &changed.endpoint()).await, Outcome::Accepted { id: None });
    refuses.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(send_to(&carrier, &changed.endpoint()).await, Outcome::Gone { since: None });
    let outcome = send_to(&carrier, &another.endpoint()).await;
    assert!(matches!(outcome, Outcome::Misconfigured(_)), "one origin vouches for no other: {outcome:?}");
}

/// A carrier for a push service over TLS and HTTP/2 on this machine.
fn carrier_to(server: &Server) -> WebPush {
    WebPush::new(WebPushConfig { ca_pem: Some(server.ca_pem().as_bytes().to_vec()), ..config(true) }).unwrap()
}

#[tokio::test]
async fn after_a_message_that_got_no_answer_the_next_one_takes_another_connection() {
    // It answers pings, so it is not silent.
    let server = Server::build()
        .start(
            |connection, count| if (connection, count) == (0, 0) || connection == 1 { Answer::accepted() } else { Answer::Never },
        )
        .await;
    let (carrier, endpoint) = (carrier_to(&server), format!("{}/send/secret", server.endpoint()));
    assert!(matches!(send_to(&carrier, &endpoint).await, Outcome::Accepted { .. }));
    let hasty = carrier.within(Duration::from_millis(80));
    let outcome = send_to(&hasty, &endpoint).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.contains("no answer in time")), "{outcome:?}");
    let patient = WebPush { total: LIMITS.total, ..hasty };
    assert!(matches!(send_to(&patient, &endpoint).await, Outcome::Accepted { .. }));
    assert_eq!((server.take().len(), server.connections()), (3, 2));
}

#[tokio::test]
async fn a_message_that_is_cut_short_by_its_deadline_condemns_no_connection() {
    let server = Server::build().start(|_, count| if count == 1 { Answer::Never } else { Answer::accepted() }).await;
    let (carrier, endpoint) = (carrier_to(&server), format!("{}/send/secret", server.endpoint()));
    assert!(matches!(send_to(&carrier, &endpoint).await, Outcome::Accepted { .. }));
    let message = Message { expires_at: now().after(Duration::from_millis(50)), ..message() };
    let target = Target::WebPush(Phone::new().subscribe(&endpoint));
    let outcome = carrier.send(&message, &target, now()).await;
    assert!(matches!(&outcome, Outcome::Retryable(why) if why.contains("no answer in time")), "{outcome:?}");
    assert!(matches!(send_to(&carrier, &endpoint).await, Outcome::Accepted { .. }));
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_inside_receives_nothing_unless_private_networks_are_allowed() {
    for host in ["push.example.com", "127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "2130706433"] {
        let (address, mut heard) = canary().await;
        let endpoint = format!("https://{host}:{}/send/secret", address.port());
        let outcome = send_to(&carrier(false), &endpoint).await;
        let Outcome::Refused(text) = outcome else {
            panic!("{host}: {outcome:?}");
        };
        assert!(text.ends_with("is not a public address") && !text.contains("secret"), "{text}");
        // Not even a connection: the canary is still waiting for one.
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(heard.try_recv().is_err(), "{host}");
    }
    for host in ["push.example.com", "127.0.0.1"] {
        let (address, heard) = canary().await;
        let endpoint = format!("http://{host}:{}/send/secret", address.port());
        send_to(&carrier(true), &endpoint).await;
        assert!(heard.await.unwrap() > 0, "{host}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (inside, mut heard) = canary().await;
    let service = Service::answering(move || {
        let location = ("location", format!("http://{inside}/"));
        (StatusCode::TEMPORARY_REDIRECT, [location])
    })
    .await;
    let outcome = send_to(&carrier(true), &service.endpoint()).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(heard.try_recv().is_err());
}

#[tokio::test]
async fn an_endless_body_is_cut() {
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = sent.clone();
    let service = Service::answering(move || {
        let count = count.clone();
        let endless = stream::repeat_with(move || {
            count.fetch_add(1_024, std::sync::atomic::Ordering::SeqCst);
            Ok::<_, std::convert::Infallible>(vec![b'x'; 1_024])
        });
        (StatusCode::BAD_REQUEST, Body::from_stream(endless))
    })
    .await;
    let begun = tokio::time::Instant::now();
    let outcome = send_to(&carrier(true), &service.endpoint()).await;
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_millis(900), "cut by size, not by time");
    // The service has written until the buffers between us were full, and then no more.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let written = sent.load(std::sync::atomic::Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(sent.load(std::sync::atomic::Ordering::SeqCst), written);
}

#[tokio::test]
async fn a_slow_body_is_cut_and_the_status_still_counts() {
    let service = Service::answering(|| {
        let drip = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Some((Ok::<_, std::convert::Infallible>("x"), ()))
        });
        (StatusCode::GONE, Body::from_stream(drip))
    })
    .await;
    let begun = tokio::time::Instant::now();
    let outcome = send_to(&carrier(true), &service.endpoint()).await;
    assert_eq!(outcome, Outcome::Gone { since: None });
    assert!(begun.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn silence_and_absence_are_retryable_and_told_without_the_endpoint() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (silent_at, gone_at) = (silent.local_addr().unwrap(), gone.local_addr().unwrap());
    drop(gone);
    for (address, what) in [(silent_at, "no answer in time"), (gone_at, "no connection")] {
        let outcome = send_to(&carrier(true), &format!("http://{address}/send/secret")).await;
        let Outcome::Retryable(text) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(text.contains(what) && !text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_message_without_a_form_is_refused() {
    let target = Target::WebPush(Phone::new().subscribe("https://push.example.com/x"));
    let mut untitled = message();
    untitled.title.clear();
    let outcome = carrier(false).send(&untitled, &target, now()).await;
    assert_eq!(outcome, Outcome::Refused("the message has no title".into()));
}

#[test]
fn a_configuration_that_cannot_work_says_why() {
    let refusal = |change: &dyn Fn(&mut WebPushConfig)| {
        let mut config = config(false);
        change(&mut config);
        WebPush::new(config).unwrap_err().to_string()
    };
    assert!(refusal(&|config| config.subject = "ops".into()).contains("web_push.subject"));
    assert!(refusal(&|config| config.ca_pem = Some(b"nothing".to_vec())).contains("ca_file"));
    let key = || Zeroizing::new(vec![0; 32]);
    assert!(refusal(&|config| config.vapid_private_key = key()).contains("VAPID key"));
}

#[test]
fn nothing_secret_prints() {
    let target = Target::WebPush(Phone::new().subscribe("https://push.example.com/secret"));
    let config = config(false);
    let printed = format!("{config:?} {target:?} {:?}", message());
    for secret in ["secret", "All your apps", "heimdall", "PIHXOC6", "vapid_private_key"] {
        assert!(!printed.contains(secret), "{printed}");
    }
    let carrier = WebPush::new(config).unwrap();
    assert!(format!("{carrier:?}").contains(&carrier.public_key()));
}

#[test]
fn a_topic_is_32_characters_and_stable() {
    assert_eq!(topic("ntf_1.1").len(), 32);
    assert_eq!(topic("ntf_1.1"), topic("ntf_1.1"));
    assert_ne!(topic("ntf_1.1"), topic("ntf_1.2"));
    assert!(!topic("ntf_1.1").contains("ntf"));
}
