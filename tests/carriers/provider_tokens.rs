//! One provider token for all nodes, however many ask, however long.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use phoneops::clock::Timestamp;
use phoneops::db::{Engine, Store};
use phoneops::delivery::SharedTokens;
use phoneops::push::apns::{Minter, NoToken, ProviderTokens as _};
use phoneops::secret::MasterKey;

use crate::support::{TestDb, engines};

engines! {
    three_nodes_use_six_tokens_in_two_hours_at_most
    a_refused_token_is_replaced_once_for_all_nodes
    the_last_token_serves_while_the_database_does_not
    a_renewal_that_failed_is_tried_again_after_half_a_minute
    a_token_is_kept_sealed
}

const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn minutes(minutes: u64) -> Timestamp {
    START.after(Duration::from_mins(minutes))
}

/// What the nodes of one installation share.
struct Installation {
    master: MasterKey,
    key: String,
}

impl Installation {
    fn new() -> Self {
        Self { master: MasterKey::generate(), key: rcgen::KeyPair::generate().unwrap().serialize_pem() }
    }

    fn node(&self, store: &Store) -> SharedTokens {
        let minter = Minter::new(self.key.as_bytes(), "ABC123DEFG", "DEF123GHIJ").unwrap();
        SharedTokens::new(store, &self.master, minter)
    }

    async fn nodes(&self, db: &TestDb) -> Vec<SharedTokens> {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(self.node(&db.store().await));
        }
        nodes
    }
}

async fn three_nodes_use_six_tokens_in_two_hours_at_most(db: TestDb) {
    let nodes = Installation::new().nodes(&db).await;
    let mut seen = HashSet::new();
    for minute in 0..120 {
        // Five pushes at once on each node, every minute.
        let asked = nodes.iter().flat_map(|node| (0..5).map(move |_| node.current(minutes(minute))));
        let tokens: HashSet<_> =
            join_all(asked).await.into_iter().map(|token| token.unwrap().text().expose().to_owned()).collect();
        // While one push of each node renews it, the others go on with the last one.
        let is_due = minute > 0 && minute % 45 == 0;
        assert!(tokens.len() <= if is_due { 2 } else { 1 }, "at minute {minute}");
        seen.extend(tokens);
    }
    // Minted at minutes 0, 45 and 90; Apple would take six.
    assert_eq!(seen.len(), 3);
}

async fn a_refused_token_is_replaced_once_for_all_nodes(db: TestDb) {
    let nodes = Installation::new().nodes(&db).await;
    let first = nodes[0].current(START).await.unwrap();
    assert_eq!(nodes[1].current(minutes(1)).await.unwrap().text(), first.text());
    assert_eq!(nodes[2].renewed(&first, minutes(19)).await.unwrap_err(), NoToken::TooYoung);
    let asked = nodes.iter().flat_map(|node| (0..5).map(|_| node.renewed(&first, minutes(20))));
    let renewed: HashSet<_> = join_all(asked).await.into_iter().map(|token| token.unwrap().text().expose().to_owned()).collect();
    assert_eq!(renewed.len(), 1);
    assert!(!renewed.contains(first.text().expose()));
}

async fn the_last_token_serves_while_the_database_does_not(db: TestDb) {
    let store = db.store().await;
    let node = Installation::new().node(&store);
    let token = node.current(START).await.unwrap();
    db.raw("drop table provider_tokens").await;
    assert_eq!(node.current(minutes(44)).await.unwrap().text(), token.text());
    assert_eq!(node.current(minutes(54)).await.unwrap().text(), token.text());
    assert!(matches!(node.current(minutes(55)).await, Err(NoToken::Unavailable(_))));
    assert!(matches!(node.renewed(&token, minutes(54)).await, Err(NoToken::Unavailable(_))));
}

async fn a_renewal_that_failed_is_tried_again_after_half_a_minute(db: TestDb) {
    let node = Installation::new().node(&db.store().await);
    let token = node.current(START).await.unwrap();
    db.raw("alter table provider_tokens rename to out_of_reach").await;
    assert_eq!(node.current(minutes(45)).await.unwrap().text(), token.text());
    db.raw("alter table out_of_reach rename to provider_tokens").await;
    let seconds = |seconds| minutes(45).after(Duration::from_secs(seconds));
    assert_eq!(node.current(seconds(29)).await.unwrap().text(), token.text());
    assert_ne!(node.current(seconds(30)).await.unwrap().text(), token.text());
}

async fn a_token_is_kept_sealed(db: TestDb) {
    let installation = Installation::new();
    let store = db.store().await;
    installation.node(&store).current(START).await.unwrap();
    let readable = match db.engine() {
        Engine::Lite => "select count(*) from provider_tokens where instr(token_sealed, cast('eyJ' as blob)) > 0",
        Engine::Pg => r"select count(*) from provider_tokens where position('\x65794a'::bytea in token_sealed) > 0",
    };
    assert_eq!((db.number("select count(*) from provider_tokens").await, db.number(readable).await), (1, 0));
    // Under another key it does not open, and another is minted in its place once Apple takes one.
    let other = Installation { master: MasterKey::generate(), key: installation.key }.node(&store);
    assert!(matches!(other.current(minutes(19)).await, Err(NoToken::Unavailable(_))));
    assert_eq!(other.current(minutes(20)).await.unwrap().minted_at(), minutes(20));
}
