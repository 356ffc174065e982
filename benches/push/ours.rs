//! Our carriers, as the server has them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use phoneops::clock::Clock;
use phoneops::push::apns::{Apns, ApnsConfig, DeviceToken, LocalTokens, Minter};
use phoneops::push::web_push::{VapidKeyPair, WebPush, WebPushConfig};
use phoneops::push::{Carrier, Category, Message, Outcome, Sound, Target, Urgency};
use phoneops::secret::{b64u, random};
use serde_json::json;

use crate::{DEVICE, Failure, Kind, Measured, Task, process};

pub(crate) fn run() -> Result<(), Failure> {
    let task: Task = serde_json::from_str(&std::env::var("PUSH_BENCH_TASK")?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(&task))?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

async fn measure(task: &Task) -> Result<Measured, Failure> {
    let clock = Clock::system();
    let carrier: Arc<dyn Carrier> = match task.kind {
        Kind::Apns => Arc::new(apns(task, &clock)?),
        Kind::WebPush => Arc::new(web_push(task)?),
    };
    // Connections, tables of header compression, the allocator.
    send(&carrier, &clock, task, task.pushes / 10 + task.at_once).await?;
    let (began, before) = (Instant::now(), process::cpu(std::process::id())?);
    send(&carrier, &clock, task, task.pushes).await?;
    let used = process::cpu(std::process::id())?.saturating_sub(before);
    Ok(Measured { pushes: task.pushes, wall_seconds: began.elapsed().as_secs_f64(), cpu_seconds: used.as_secs_f64() })
}

fn apns(task: &Task, clock: &Clock) -> Result<Apns, Failure> {
    let minter = Minter::new(&std::fs::read(&task.key_file)?, &task.key_id, &task.team_id)?;
    let config = ApnsConfig {
        endpoint: format!("https://localhost:{}", task.port).parse()?,
        topic: task.topic.clone(),
        critical_alerts: false,
        ca_pem: Some(std::fs::read(&task.ca_file)?),
        connections: task.connections,
    };
    Ok(Apns::new(&config, Arc::new(LocalTokens::new(minter)), clock.clone())?)
}

fn web_push(task: &Task) -> Result<WebPush, Failure> {
    Ok(WebPush::new(WebPushConfig {
        vapid_private_key: VapidKeyPair::generate().private,
        subject: "mailto:ops@example.com".to_owned(),
        allow_private_networks: true,
        ca_pem: Some(std::fs::read(&task.ca_file)?),
    })?)
}

/// To whom one of those that send at once sends: with Web Push to a browser of its own.
fn target(task: &Task) -> Result<Target, Failure> {
    Ok(match task.kind {
        Kind::Apns => Target::Apns(DeviceToken::try_from(DEVICE.to_owned())?),
        Kind::WebPush => {
            let keys = json!({"p256dh": VapidKeyPair::generate().public, "auth": b64u(random::<16>())});
            let endpoint = format!("https://localhost:{}/push/{}", task.port, b64u(random::<20>()));
            Target::WebPush(serde_json::from_value(json!({"endpoint": endpoint, "keys": keys}))?)
        }
    })
}

async fn send(carrier: &Arc<dyn Carrier>, clock: &Clock, task: &Task, pushes: usize) -> Result<(), Failure> {
    let left = Arc::new(AtomicUsize::new(pushes));
    let mut senders = Vec::with_capacity(task.at_once);
    for _ in 0..task.at_once {
        let (carrier, clock, left, message) = (carrier.clone(), clock.clone(), left.clone(), message(clock, &task.body));
        let target = target(task)?;
        senders.push(tokio::spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let outcome = carrier.send(&message, &target, clock.now()).await;
                if !matches!(outcome, Outcome::Accepted { .. }) {
                    return Err(format!("{outcome:?}").into());
                }
            }
            Ok::<(), Failure>(())
        }));
    }
    for sender in senders {
        sender.await??;
    }
    Ok(())
}

fn message(clock: &Clock, body: &str) -> Message {
    let data = json!({"subject": "inc_0199e5d0", "ref": "PIHXOC6", "round": 1});
    Message {
        title: "All your apps are down".into(),
        body: body.to_owned(),
        navigate: "https://phoneops.example/i/PIHXOC6".parse().expect("a URL"),
        tag: "ntf_0199e5d0".into(),
        urgency: Urgency::High,
        expires_at: clock.now().after(Duration::from_mins(60)),
        sound: Sound::Normal,
        thread: "inc_0199e5d0".into(),
        category: Category::Page,
        data: data.as_object().cloned().unwrap_or_default(),
    }
}
