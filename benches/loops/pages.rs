//! From a trigger to the push service at several rates, alone and while another carrier hangs.

use std::time::Duration;

use phoneops::client::Client;
use serde_json::json;
use tokio::net::TcpListener;

use crate::report::Report;
use crate::world::{Database, World};
use crate::{Failure, Options, push};

/// Pages per second.
const RATES: [u32; 3] = [1, 100, 1000];

/// Mailboxes that are paged where the mail server hangs: more than it has places.
const MAILBOXES: u32 = 150;

/// Measures each rate; then, with all of the mail carrier's places taken, each rate again.
pub(crate) async fn measure(
    engine: &str,
    database: Option<&Database>,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    // It takes connections and never says a word.
    let hangs = TcpListener::bind("127.0.0.1:0").await?;
    let server = format!("smtp://{}", hangs.local_addr()?);
    let held = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = hangs.accept().await {
            held.push(stream);
        }
    });
    let mail = [("PHONEOPS_MAIL_SERVER", server.as_str()), ("PHONEOPS_MAIL_FROM", "phoneops@example.com")];
    let world = World::start_with(database, options.clients, &mail).await?;
    for rate in RATES {
        push::at_rate(engine, &world, rate, options, report).await?;
    }
    take_places(&world).await?;
    for rate in RATES {
        push::at_rate(&format!("{engine}, e-mail hangs"), &world, rate, options, report).await?;
    }
    held.abort();
    world.stop().await
}

async fn take_places(world: &World) -> Result<(), Failure> {
    let operator = Client::local(&world.server.socket)?;
    for number in 0..MAILBOXES {
        let (handle, email) = (format!("mailbox-{number}"), format!("mailbox-{number}@example.com"));
        operator.post("/v1/users", &json!({"handle": handle, "name": handle, "email": email})).await?;
        world.bot.post("/v1/incidents", &json!({"title": "Down", "to": [format!("@{handle}")]})).await?;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}
