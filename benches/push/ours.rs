//! Our carrier, as the server has it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use phoneops::clock::Clock;
use phoneops::push::apns::{Apns, ApnsConfig, DeviceToken, LocalTokens, Minter};
use phoneops::push::{Carrier as _, Category, Message, Outcome, Sound, Target, Urgency};
use serde_json::json;

use crate::{DEVICE, Failure, Measured, Task, process};

pub(crate) fn run() -> Result<(), Failure> {
    let task: Task = serde_json::from_str(&std::env::var("PUSH_BENCH_TASK")?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(&task))?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

async fn measure(task: &Task) -> Result<Measured, Failure> {
    let clock = Clock::system();
    let minter = Minter::new(&std::fs::read(&task.key_file)?, &task.key_id, &task.team_id)?;
    let config = ApnsConfig {
        endpoint: format!("https://localhost:{}", task.port).parse()?,
        topic: task.topic.clone(),
        critical_alerts: false,
        ca_pem: Some(std::fs::read(&task.ca_file)?),
        connections: task.connections,
    };
    let carrier = Arc::new(Apns::new(&config, Arc::new(LocalTokens::new(minter)), clock.clone())?);
    // Connections, tables of header compression, the allocator.
    send(&carrier, &clock, task, task.pushes / 10 + task.at_once).await?;
    let (began, before) = (Instant::now(), process::cpu(std::process::id())?);
    send(&carrier, &clock, task, task.pushes).await?;
    let used = process::cpu(std::process::id())?.saturating_sub(before);
    Ok(Measured { pushes: task.pushes, wall_seconds: began.elapsed().as_secs_f64(), cpu_seconds: used.as_secs_f64() })
}

async fn send(carrier: &Arc<Apns>, clock: &Clock, task: &Task, pushes: usize) -> Result<(), Failure> {
    let left = Arc::new(AtomicUsize::new(pushes));
    let senders = (0..task.at_once).map(|_| {
        let (carrier, clock, left, message) = (carrier.clone(), clock.clone(), left.clone(), message(clock, &task.body));
        tokio::spawn(async move {
            let target = Target::Apns(DeviceToken::try_from(DEVICE.to_owned())?);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let outcome = carrier.send(&message, &target, clock.now()).await;
                if !matches!(outcome, Outcome::Accepted { .. }) {
                    return Err(format!("{outcome:?}").into());
                }
            }
            Ok::<(), Failure>(())
        })
    });
    for sender in senders.collect::<Vec<_>>() {
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
