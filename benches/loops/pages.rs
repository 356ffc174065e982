//! From a trigger to the push service at several rates, alone and while another carrier hangs.

use std::time::Duration;

use phoneops::client::Client;
use serde_json::json;
use tokio::net::TcpListener;

use crate::report::Report;
use crate::world::{Database, World};
use crate::{Failure, Options, push};

/// Mailboxes that are paged where the mail server hangs: more than it has places.
const MAILBOXES: u32 = 150;

/// Measures each rate; then, in a house of its own whose mail carrier has no place left, each rate again.
pub(crate) async fn measure(
    engine: &str,
    database: Option<&Database>,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    in_house(engine, database, None, options, report).await?;
    // It takes connections and never says a word.
    let hangs = TcpListener::bind("127.0.0.1:0").await?;
    let server = format!("smtp://{}", hangs.local_addr()?);
    let held = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = hangs.accept().await {
            held.push(stream);
        }
    });
    let done = in_house(&format!("{engine}, e-mail hangs"), database, Some(&server), options, report).await;
    held.abort();
    done
}

/// Each rate, in a house and a database of its own: what the last left behind is no load of the next.
async fn in_house(
    called: &str,
    beside: Option<&Database>,
    hangs: Option<&str>,
    options: &Options,
    report: &mut Report,
) -> Result<(), Failure> {
    for rate in &options.rates {
        let database = match beside {
            Some(database) => Some(database.another().await?),
            None => None,
        };
        let mail: Vec<_> = hangs
            .map(|server| [("PHONEOPS_MAIL_SERVER", server), ("PHONEOPS_MAIL_FROM", "phoneops@example.com")])
            .into_iter()
            .flatten()
            .collect();
        let world = World::start_with(database.as_ref(), options.clients, &mail).await?;
        if hangs.is_some() {
            take_places(&world).await?;
        }
        let done = push::at_rate(called, &world, *rate, options, report).await;
        world.stop().await?;
        if let Some(database) = database {
            database.remove().await?;
        }
        done?;
    }
    Ok(())
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
