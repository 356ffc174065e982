//! The prompt: one types what one would type in chat, and what one would tap on a phone.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::Mutex;

use super::Error;
use super::grammar::{self, Line, parse};
use super::script::{shown, tapped};
use super::stage::{Stage, outcome};
use crate::chat::{Command, Gated};
use crate::client;
use crate::clock::Clock;

/// Sets the stage and speaks until `quit` or the end of the input.
///
/// # Errors
/// When the stage cannot be set, or something on it fails.
pub async fn interactive() -> Result<(), Error> {
    say("", "Setting the stage: a server, a push service, two people with phones, and a bot…");
    let stage = Stage::set(Clock::system()).await?;
    welcome(&stage).await?;
    let last = Arc::new(Mutex::new(String::new()));
    let watching = watch(&stage, &last);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        prompt();
        let line = tokio::select! {
            line = lines.next_line() => line?,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(line) = line else { break };
        match parse(&line, &stage.vocabulary) {
            Line::Quit => break,
            meaning => {
                if let Err(error) = answer(&stage, meaning, &last).await {
                    say("error", &error.to_string());
                }
            }
        }
    }
    watching.iter().for_each(tokio::task::JoinHandle::abort);
    say("", "The stage is struck.");
    stage.strike().await
}

async fn welcome(stage: &Stage) -> Result<(), Error> {
    println!();
    println!("PhoneOps is running at {} (its API: {}/openapi.json).", stage.server.issuer(), stage.server.issuer());
    println!("You are yannick, in a chat room with the bot heimdall; your phone and that of ys are simulated.");
    println!("Pages ring every minute, and go to ys after two.");
    println!();
    invite(stage, "yannick").await?;
    println!("Type what you would type in chat:");
    println!();
    help(stage);
    Ok(())
}

/// How one's own browser becomes somebody's phone.
async fn invite(stage: &Stage, whose: &str) -> Result<(), Error> {
    println!("To answer in your own browser, make it {whose}'s phone too: open this on this machine, within ten minutes,");
    println!();
    println!("  {}", stage.link(whose).await?);
    println!();
    let command = if whose == "yannick" { "phone confirm".to_owned() } else { format!("phone {whose} confirm") };
    println!("and type “{command}” here, with the six digits that it shows: a phone of {whose}'s has to confirm every other.");
    println!("What waits appears there at once while it is open. It rings when it is closed too, if the browser's maker can");
    println!("be reached: real browsers are rung through their makers' push services, over the internet.");
    println!();
    Ok(())
}

fn help(stage: &Stage) {
    for (line, what) in grammar::help(&stage.vocabulary) {
        println!("  {line:<49} {what}");
    }
    println!();
}

fn prompt() {
    print!("> ");
    let _ = std::io::stdout().flush();
}

fn say(who: &str, what: &str) {
    println!("\r{who:<10}{what}");
}

/// Shows every push as it arrives.
fn watch(stage: &Stage, last: &Arc<Mutex<String>>) -> Vec<tokio::task::JoinHandle<()>> {
    let watch = |person: super::stage::Person, last: Arc<Mutex<String>>| async move {
        loop {
            match person.phone.next_push(Duration::from_secs(25)).await {
                Ok(None) => {}
                Ok(Some(push)) => {
                    if let Some(reference) = push.data()["ref"].as_str() {
                        reference.clone_into(&mut *last.lock().await);
                    }
                    say("phone", &shown(&person, &push));
                    prompt();
                }
                Err(error) => {
                    say("phone", &format!("{}: {error}", person.handle));
                    tokio::time::sleep(Duration::from_secs(5)).await;
                }
            }
        }
    };
    stage.people.iter().map(|person| tokio::spawn(watch(person.clone(), last.clone()))).collect()
}

async fn answer(stage: &Stage, meaning: Line, last: &Mutex<String>) -> Result<(), Error> {
    match meaning {
        Line::Chat(Err(not)) => say("heimdall", &not.to_string()),
        Line::Chat(Ok(command)) => match *command {
            Command::Gated(gated) => ask(stage, &gated).await?,
            command => {
                let last = last.lock().await.clone();
                for line in stage.say(&command, &last).await? {
                    say("heimdall", &line);
                }
            }
        },
        Line::Phone { whose, what } => {
            let person = stage.person(&whose)?.clone();
            let last = last.lock().await.clone();
            let said = tapped(&person, &what, &last).await?;
            if said.is_empty() {
                say("phone", &format!("{whose} has nothing to answer"));
            }
            for said in said {
                say("phone", &format!("{whose} {said}"));
            }
        }
        Line::Browser(whose) => invite(stage, &whose).await?,
        Line::Help => help(stage),
        Line::Unknown(line) => say("heimdall", &format!("I do not know “{line}”. Type help.")),
        Line::Nothing | Line::Quit => {}
    }
    Ok(())
}

/// Asks, and says what became of it once it is decided.
async fn ask(stage: &Stage, gated: &Gated) -> Result<(), Error> {
    let asked = match stage.ask(gated).await {
        Ok(asked) => asked,
        // There is a limit to what waits: the demo goes on.
        Err(Error::Bot(client::Error::Refused(refusal))) => {
            say("heimdall", &refusal.detail);
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    say("heimdall", &format!("Approve on your phone: request {} (type: phone approve)", asked.tag));
    let bot = stage.bot.clone();
    tokio::spawn(async move {
        let said = loop {
            match outcome(&bot, &asked, 25).await {
                Ok(Some(said)) => break said,
                Ok(None) => {}
                Err(error) => break error.to_string(),
            }
        };
        say("heimdall", &said);
        prompt();
    });
    Ok(())
}
