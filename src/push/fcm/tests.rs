//! The carrier against a Google of every temper, on this machine's own loopback. Over TLS and HTTP/2 it is tried in `tests/carriers`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use futures_util::future::join_all;
use futures_util::stream;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use std::sync::Mutex;
use tokio::net::TcpListener;

use super::service_account::tests::{read, written};
use super::*;
use crate::push::names::Lookup;
use crate::push::{Category, Sound, Urgency};

pub(super) fn now() -> Timestamp {
    Timestamp::from_seconds(1_800_000_000)
}

pub(super) fn message() -> Message {
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
        data: json!({"ref": "PIHXOC6", "round": 1}).as_object().unwrap().clone(),
    }
}

pub(super) fn phone() -> Installation {
    Installation::token("abc:secret".into()).unwrap()
}

/// Enough for this machine.
const SHORT: Limits = Limits {
    connections: 2,
    streams: 3,
    reserved: 2,
    silence: Duration::from_secs(3),
    connect: Duration::from_millis(500),
    call: Duration::from_millis(500),
    place: Duration::from_millis(500),
    total: Duration::from_secs(2),
};

type Answering = Arc<dyn Fn(&str) -> Response<Body> + Send + Sync>;

/// Path, access token and body of a message.
type Posted = (String, String, Vec<u8>);

/// A Google that gives out access tokens `t1`, `t2`, …, and answers messages as it is told, given the token they came with.
struct Google {
    address: SocketAddr,
    /// Assertions that tokens were asked for with.
    assertions: Arc<Mutex<Vec<String>>>,
    messages: Arc<Mutex<Vec<Posted>>>,
    /// How many messages were in hand at once, at most.
    at_once: Arc<AtomicUsize>,
    /// Whether the token endpoint fails.
    token_status: Arc<AtomicUsize>,
    /// Its senders'.
    clock: Clock,
}

impl Google {
    async fn answering(answer: impl Fn(&str) -> Response<Body> + Send + Sync + 'static) -> Self {
        let answer: Answering = Arc::new(answer);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let google = Self {
            address: listener.local_addr().unwrap(),
            assertions: Arc::default(),
            messages: Arc::default(),
            at_once: Arc::default(),
            token_status: Arc::new(AtomicUsize::new(200)),
            clock: Clock::manual(now()),
        };
        let (assertions, messages) = (google.assertions.clone(), google.messages.clone());
        let (at_once, token_status) = (google.at_once.clone(), google.token_status.clone());
        let in_hand = Arc::new(AtomicUsize::new(0));
        let router = Router::new().fallback(move |request: Request| {
            let (assertions, messages, answer) = (assertions.clone(), messages.clone(), answer.clone());
            let (at_once, in_hand, token_status) = (at_once.clone(), in_hand.clone(), token_status.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes().to_vec();
                if parts.uri.path() == "/token" {
                    // Time enough for others to come.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let count = {
                        let mut kept = assertions.lock().unwrap();
                        kept.push(String::from_utf8(body).unwrap());
                        kept.len()
                    };
                    return match token_status.load(SeqCst) {
                        200 => {
                            axum::Json(json!({"access_token": format!("t{count}"), "expires_in": 3599, "token_type": "Bearer"}))
                                .into_response()
                        }
                        status => (StatusCode::from_u16(u16::try_from(status).unwrap()).unwrap(), r#"{"error":"invalid_grant"}"#)
                            .into_response(),
                    };
                }
                at_once.fetch_max(in_hand.fetch_add(1, SeqCst) + 1, SeqCst);
                tokio::time::sleep(Duration::from_millis(5)).await;
                let token = parts.headers["authorization"].to_str().unwrap().trim_start_matches("Bearer ").to_owned();
                let response = answer(&token);
                messages.lock().unwrap().push((format!("{} {}", parts.method, parts.uri.path()), token, body));
                in_hand.fetch_sub(1, SeqCst);
                response
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        google
    }

    async fn accepting() -> Self {
        Self::answering(|_| said(200, r#"{"name":"projects/phoneops-1a2b/messages/0:1"}"#)).await
    }

    fn config(&self) -> FcmConfig {
        let account = written(&format!("http://{}/token", self.address));
        FcmConfig {
            account: ServiceAccount::parse(account.to_string().as_bytes()).unwrap(),
            endpoint: format!("http://{}", self.address).parse().unwrap(),
            ca_pem: None,
            limits: SHORT,
        }
    }

    fn carrier(&self) -> Fcm {
        Fcm::new(self.config(), self.clock.clone()).unwrap()
    }

    fn asked(&self) -> usize {
        self.assertions.lock().unwrap().len()
    }

    /// The access tokens that messages came with.
    fn tokens(&self) -> Vec<String> {
        self.messages.lock().unwrap().iter().map(|(_, token, _)| token.clone()).collect()
    }
}

fn said(status: u16, body: &'static str) -> Response<Body> {
    Response::builder().status(status).body(body.into()).unwrap()
}

async fn send(carrier: &Fcm, at: Timestamp) -> Outcome {
    let message = Message { expires_at: at.after(Duration::from_mins(5)), ..message() };
    carrier.send(&message, &Target::Fcm(phone()), at).await
}

fn accepted() -> Outcome {
    Outcome::Accepted { id: Some("0:1".into()) }
}

#[tokio::test]
async fn a_message_goes_to_the_project_with_an_access_token() {
    let google = Google::accepting().await;
    let carrier = google.carrier();
    assert_eq!(send(&carrier, now()).await, accepted());
    let (path, token, body) = google.messages.lock().unwrap().remove(0);
    assert_eq!((path.as_str(), token.as_str()), ("POST /v1/projects/phoneops-1a2b/messages:send", "t1"));
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["message"]["data"]["title"], "All your apps are down");
    let asked = google.assertions.lock().unwrap().remove(0);
    let form: std::collections::HashMap<_, _> = url::form_urlencoded::parse(asked.as_bytes()).into_owned().collect();
    assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
    assert_eq!(read(&form["assertion"]).1["iat"], 1_800_000_000);
}

#[tokio::test]
async fn many_messages_ask_for_one_token_and_share_the_places() {
    let google = Google::accepting().await;
    let carrier = google.carrier();
    let outcomes = join_all((0..50).map(|_| send(&carrier, now()))).await;
    assert!(outcomes.iter().all(|outcome| *outcome == accepted()), "{outcomes:?}");
    assert_eq!(google.asked(), 1);
    let at_once = google.at_once.load(SeqCst);
    assert!((4..=6).contains(&at_once), "two connections of three places each: {at_once}");
}

#[tokio::test]
async fn a_token_is_renewed_beside_the_messages_and_used_meanwhile() {
    let google = Google::accepting().await;
    let carrier = google.carrier();
    let at = |seconds| now().after(Duration::from_secs(seconds));
    send(&carrier, now()).await;
    send(&carrier, at(3_200)).await;
    assert_eq!((google.asked(), google.tokens()), (1, vec!["t1".into(), "t1".into()]));
    // It ages, and the endpoint fails: it is still good, and is not asked for with every message.
    google.token_status.store(503, SeqCst);
    for seconds in [3_400, 3_410, 3_420] {
        assert_eq!(send(&carrier, at(seconds)).await, accepted());
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert_eq!((google.asked(), google.tokens()[2..].join(" ")), (2, "t1 t1 t1".to_owned()));
    google.token_status.store(200, SeqCst);
    assert_eq!(send(&carrier, at(3_440)).await, accepted());
    tokio::time::sleep(Duration::from_millis(40)).await;
    assert_eq!(send(&carrier, at(3_441)).await, accepted());
    assert_eq!((google.asked(), google.tokens().pop().unwrap()), (3, "t3".to_owned()));
    // One that is over is waited for; one from the future is not used.
    send(&carrier, at(9_000)).await;
    send(&carrier, now()).await;
    assert_eq!(google.tokens()[google.tokens().len() - 2..], ["t4", "t5"]);
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let google = Google::answering(|token| if token == "t1" { said(401, "{}") } else { said(200, r#"{"name":"a/0:1"}"#) }).await;
    let carrier = google.carrier();
    let outcomes = join_all((0..20).map(|_| send(&carrier, now()))).await;
    assert!(outcomes.iter().all(|outcome| *outcome == accepted()), "{outcomes:?}");
    assert_eq!(google.asked(), 2, "everybody who was refused takes the one replacement");

    let stubborn = Google::answering(|_| said(401, "{}")).await;
    let carrier = stubborn.carrier();
    for _ in 0..3 {
        let outcome = send(&carrier, now()).await;
        assert!(matches!(outcome, Outcome::Misconfigured(_)), "{outcome:?}");
    }
    assert_eq!(stubborn.asked(), 2, "and no message asks for more");
    send(&carrier, now().after(REFUSED_PAUSE)).await;
    assert_eq!(stubborn.asked(), 3);
}

const REFUSED_PAUSE: Duration = Duration::from_secs(61);

#[tokio::test]
async fn who_waited_for_a_token_takes_the_failure_too() {
    let google = Google::accepting().await;
    google.token_status.store(400, SeqCst);
    let carrier = google.carrier();
    let outcomes = join_all((0..20).map(|_| send(&carrier, now()))).await;
    for outcome in outcomes {
        let Outcome::Misconfigured(why) = outcome else { panic!("{outcome:?}") };
        assert!(why.contains("invalid_grant") && why.contains("clock"), "{why}");
    }
    assert_eq!(google.asked(), 1);
    assert!(carrier.try_out(now()).await.unwrap_err().contains("answered 400"));
    google.token_status.store(503, SeqCst);
    assert!(matches!(send(&carrier, now()).await, Outcome::Retryable(_)));
    google.token_status.store(429, SeqCst);
    assert_eq!(send(&carrier, now()).await, Outcome::Throttled(Duration::from_secs(60)), "nobody is sent anything");
    google.token_status.store(200, SeqCst);
    assert_eq!(carrier.try_out(now()).await, Ok(()));
    assert_eq!(send(&carrier, now()).await, accepted());
}

#[tokio::test]
async fn one_call_is_one_try_whatever_the_answer() {
    for status in [400, 403, 404, 429, 500, 503] {
        let google = Google::answering(move |_| said(status, "{}")).await;
        let outcome = send(&google.carrier(), now()).await;
        assert_ne!(outcome, accepted());
        assert_eq!(google.tokens().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_changes_nothing() {
    let endless = || Body::from_stream(stream::repeat_with(|| Ok::<_, std::convert::Infallible>(vec![b'x'; 1_024])));
    let google = Google::answering(move |_| Response::builder().status(503).body(endless()).unwrap()).await;
    assert_eq!(send(&google.carrier(), now()).await, Outcome::Retryable("FCM answered 503".into()));
}

#[tokio::test]
async fn silence_and_absence_are_retryable_and_a_full_house_too() {
    let google = Google::accepting().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limits =
        Limits { connections: 1, streams: 1, call: Duration::from_millis(100), place: Duration::from_millis(20), ..SHORT };
    let to =
        |address: SocketAddr| FcmConfig { endpoint: format!("http://{address}").parse().unwrap(), limits, ..google.config() };
    let carrier = Fcm::new(to(silent.local_addr().unwrap()), Clock::manual(now())).unwrap();
    carrier.try_out(now()).await.unwrap();
    let (first, second) = tokio::join!(send(&carrier, now()), send(&carrier, now()));
    assert!(matches!(&first, Outcome::Retryable(why) if why.contains("no answer in time")), "{first:?}");
    assert_eq!(second, Outcome::Retryable("every connection to FCM is busy".into()));
    let address = silent.local_addr().unwrap();
    drop(silent);
    let carrier = Fcm::new(to(address), Clock::manual(now())).unwrap();
    let outcome = send(&carrier, now()).await;
    assert!(
        matches!(&outcome, Outcome::Retryable(why) if why.contains("no connection") && !why.contains("secret")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn what_is_over_or_empty_or_anothers_is_not_sent() {
    let google = Google::accepting().await;
    let (carrier, target) = (google.carrier(), Target::Fcm(phone()));
    assert_eq!(carrier.send(&message(), &target, message().expires_at).await, Outcome::Expired);
    let untitled = Message { title: String::new(), ..message() };
    assert_eq!(carrier.send(&untitled, &target, now()).await, Outcome::Refused("the message has no title".into()));
    let mail = Target::Mail("ys@example.com".parse().unwrap());
    assert_eq!(carrier.send(&message(), &mail, now()).await, Outcome::Refused("the target is of another carrier".into()));
    assert_eq!(google.tokens().len(), 0);
}

#[tokio::test]
async fn a_configuration_that_cannot_work_says_which_key() {
    let google = Google::accepting().await;
    let refusal = |endpoint: &str, ca_pem: Option<Vec<u8>>| {
        let config = FcmConfig { endpoint: endpoint.parse().unwrap(), ca_pem, ..google.config() };
        Fcm::new(config, Clock::manual(now())).map(|_| ()).unwrap_err().to_string()
    };
    for odd in ["http://fcm.googleapis.com", "https://ops:x@localhost", "https://localhost/?x", "mailto:x", "ftp://localhost"] {
        assert!(refusal(odd, None).starts_with("fcm.endpoint: "), "{odd}");
    }
    assert!(refusal("https://localhost", Some(b"nothing".to_vec())).starts_with("fcm.ca_file: "));
    let carrier = google.carrier();
    let printed = format!("{carrier:?} {:?}", Target::Fcm(phone()));
    assert!(printed.contains("/v1/projects/phoneops-1a2b/messages:send") && !printed.contains("secret"), "{printed}");
}

#[tokio::test]
async fn what_waited_for_a_place_says_how_long_it_has_left_and_is_not_sent_when_it_has_none() {
    let google = Google::accepting().await;
    let config = FcmConfig { limits: Limits { connections: 1, streams: 1, reserved: 0, ..SHORT }, ..google.config() };
    let carrier = Fcm::new(config, google.clock.clone()).unwrap();
    carrier.try_out(now()).await.unwrap();
    let sent_after = async |waits: Duration| {
        let held = carrier.pool.place(Urgency::High).await.unwrap();
        let message = Message { expires_at: google.clock.now().after(Duration::from_secs(2)), ..message() };
        let (target, at) = (Target::Fcm(phone()), google.clock.now());
        let freeing = async {
            tokio::task::yield_now().await;
            google.clock.advance(waits);
            drop(held);
        };
        tokio::join!(carrier.send(&message, &target, at), freeing).0
    };
    assert_eq!(sent_after(Duration::from_millis(400)).await, accepted());
    let body: Value = serde_json::from_slice(&google.messages.lock().unwrap()[0].2).unwrap();
    assert_eq!(body["message"]["android"]["ttl"], "1s", "of the two seconds that it had");
    assert_eq!(sent_after(Duration::from_secs(2)).await, Outcome::Expired);
    // Its life is not over, and whoever called knows by now whether it is still wanted.
    assert_eq!(sent_after(SHORT.place).await, Outcome::RetryAfter(SOON));
    assert_eq!(google.tokens().len(), 1);
}

#[tokio::test]
async fn a_quota_that_two_phones_meet_is_the_projects() {
    let google = Google::answering(|_| {
        said(
            429,
            r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError",
                "errorCode":"QUOTA_EXCEEDED"}]}}"#,
        )
    })
    .await;
    let (carrier, minute) = (google.carrier(), Duration::from_mins(1));
    for _ in 0..3 {
        assert_eq!(send(&carrier, now()).await, Outcome::RetryAfter(minute), "one phone gets too much, perhaps");
    }
    let other = Target::Fcm(Installation::token("another:x".into()).unwrap());
    assert_eq!(carrier.send(&message(), &other, now()).await, Outcome::Throttled(minute));
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_leads_where_it_led_last() {
    let google = Google::accepting().await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let lookup: Lookup = Arc::new(move |_| {
        let works = count.fetch_add(1, SeqCst) == 0;
        Box::pin(async move { if works { Ok(vec![[127, 0, 0, 1].into()]) } else { Err(std::io::ErrorKind::Other.into()) } })
    });
    let endpoint = format!("http://localhost:{}", google.address.port()).parse().unwrap();
    let config = FcmConfig { endpoint, ..google.config() };
    let carrier = Fcm::with(config, google.clock.clone(), Names::with(lookup)).unwrap();
    // Each on a connection of its own.
    for _ in 0..2 {
        assert_eq!(send(&carrier, now()).await, accepted());
    }
    assert_eq!((google.tokens().len(), asked.load(SeqCst)), (2, 2));
}

#[tokio::test]
async fn an_account_of_another_project_is_not_the_phones_fault() {
    let refuses = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let now_refuses = refuses.clone();
    let google = Google::answering(move |_| {
        let mismatch = r#"{"error":{"status":"PERMISSION_DENIED","details":[
            {"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"SENDER_ID_MISMATCH"}]}}"#;
        if now_refuses.load(SeqCst) { said(403, mismatch) } else { said(200, r#"{"name":"a/0:1"}"#) }
    })
    .await;
    let carrier = google.carrier();
    for _ in 0..5 {
        let outcome = send(&carrier, now()).await;
        assert!(matches!(&outcome, Outcome::Misconfigured(why) if why.contains("service_account_file")), "{outcome:?}");
    }
    refuses.store(false, SeqCst);
    assert_eq!(send(&carrier, now()).await, accepted());
    refuses.store(true, SeqCst);
    let mut said = Vec::new();
    for _ in 0..5 {
        said.push(matches!(send(&carrier, now()).await, Outcome::Gone { .. }));
    }
    assert_eq!(said, [true, true, true, false, false], "and it may be no more what it was");
}

#[test]
fn with_less_time_there_is_less_for_everything() {
    let whole = Limits::default();
    let same = whole.within(Duration::from_secs(14));
    assert_eq!((same.total, same.call, same.place), (whole.total, whole.call, whole.place));
    let half = whole.within(Duration::from_secs(7));
    assert_eq!((half.total, half.call, half.place), (Duration::from_secs(7), Duration::from_secs(5), Duration::from_secs(1)));
    assert!(half.place + half.call < half.total);
}
