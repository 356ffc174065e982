//! Firefox's older remote protocol, for what the newer one has not: an authenticator that is not there, and what is the browser's and not
//! the page's (its prompts, its notifications, its console).

use std::net::Ipv4Addr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;

use super::PATIENCE;

/// One connection. Commands are answered one after the other.
pub(super) struct Marionette(Mutex<Line>);

struct Line {
    stream: BufReader<TcpStream>,
    last: u64,
}

impl Marionette {
    pub(super) async fn connect(port: u16) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect("Firefox answers");
        let mut line = Line { stream: BufReader::new(stream), last: 0 };
        let hello = line.read().await;
        assert_eq!(hello["marionetteProtocol"], 3, "{hello}");
        Self(Mutex::new(line))
    }

    /// The result of a command.
    pub(super) async fn ask(&self, command: &str, params: Value) -> Value {
        let mut line = self.0.lock().await;
        let asked = tokio::time::timeout(PATIENCE, line.ask(command, &params)).await;
        let [_, _, error, result] = asked.unwrap_or_else(|_| panic!("{command}: no answer"));
        assert!(error.is_null(), "{command} {params}: {error}");
        result
    }

    /// What a script of the browser's own returns; it is in the window's scope.
    pub(super) async fn chrome(&self, script: &str, args: Value) -> Value {
        let mut answer = self.ask("WebDriver:ExecuteScript", json!({"script": script, "args": args})).await;
        answer["value"].take()
    }
}

impl Line {
    /// `[kind, number, error, result]`.
    async fn ask(&mut self, command: &str, params: &Value) -> [Value; 4] {
        self.last += 1;
        let message = json!([0, self.last, command, params]).to_string();
        let packet = format!("{}:{message}", message.len());
        self.stream.get_mut().write_all(packet.as_bytes()).await.expect("Firefox runs");
        let reply: [Value; 4] = serde_json::from_value(self.read().await).expect("a reply");
        assert_eq!((&reply[0], &reply[1]), (&json!(1), &json!(self.last)));
        reply
    }

    /// One packet: its length in bytes, a colon, JSON.
    async fn read(&mut self) -> Value {
        let mut length = 0;
        loop {
            match self.stream.read_u8().await.expect("Firefox runs") {
                b':' => break,
                digit => length = 10 * length + usize::from(digit - b'0'),
            }
        }
        let mut packet = vec![0; length];
        self.stream.read_exact(&mut packet).await.expect("Firefox runs");
        serde_json::from_slice(&packet).expect("JSON")
    }
}
