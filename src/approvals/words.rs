//! What people are shown of an approval, built by pure functions.
//!
//! **Invariants**
//! - Two different actions never have the same display.
//! - Nothing is cut: an approver sees every detail of what they allow.
//! - What the requester wrote freely (`reason`) stands apart from what will be done.

use serde::{Deserialize, Serialize};

use super::action::canonical;
use super::{Action, Param};
use crate::secret::tagged_sha256;
use crate::text::visible;

/// What a phone shows of an approval. The signature covers it through `display_sha256`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Display {
    /// The verb and its object, large: `deploy` to `production`.
    pub title: String,
    /// Every detail, in order.
    pub rows: Vec<DisplayRow>,
    /// Who asks: `Yannick Schutz (@yannick)`.
    pub requester: String,
    /// Through which bot.
    pub bot: String,
    /// What the requester wrote: theirs, not ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One labelled detail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DisplayRow {
    /// The name of the detail.
    pub label: String,
    /// Its value. Text that could be mistaken for a number or another JSON value is in quotes.
    pub value: String,
}

impl Display {
    pub(super) fn of(action: &Action, requester: &str, bot: &str, reason: Option<&str>) -> Self {
        let row = |label: &str, value: String| DisplayRow { label: visible(label), value };
        let details = action.params.0.iter().map(|(name, param)| row(name, shown(param)));
        let fixed = [row("action", visible(&action.kind)), row("target", visible(&action.target))];
        Self {
            title: format!("{} → {}", visible(&action.kind), visible(&action.target)),
            rows: fixed.into_iter().chain(details).collect(),
            requester: requester.to_owned(),
            bot: bot.to_owned(),
            reason: reason.map(visible),
        }
    }

    /// `H("phoneops.display.v1", JCS(display))`.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        tagged_sha256("phoneops.display.v1", &canonical(self))
    }
}

fn shown(param: &Param) -> String {
    match param {
        Param::Text(text) if serde_json::from_str::<serde::de::IgnoredAny>(text).is_err() => visible(text),
        other => visible(&String::from_utf8_lossy(&canonical(other))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::approvals::Params;

    fn param() -> impl Strategy<Value = Param> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Param::Bool),
            (-1000_i64..1000).prop_map(Param::Int),
            "[ -~]{0,6}".prop_map(Param::Text),
            "[0-9tf\\[\\]\"{}]{0,4}".prop_map(Param::Text),
        ];
        leaf.prop_recursive(2, 6, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Param::List),
                prop::collection::btree_map("[a-b]{1,2}", inner, 0..3).prop_map(Param::Map),
            ]
        })
    }

    fn action() -> impl Strategy<Value = Action> {
        ("[a-c]{1,2}", "[a-c]{1,2}", prop::collection::btree_map("[a-b]{1,2}", param(), 0..3))
            .prop_map(|(kind, target, params): (_, _, BTreeMap<_, _>)| Action { kind, target, params: Params(params) })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn different_actions_never_show_the_same(a in action(), b in action()) {
            let show = |action| Display::of(action, "Yannick Schutz (@yannick)", "heimdall", None);
            prop_assert_eq!(show(&a) == show(&b), a == b);
        }
    }

    #[test]
    fn a_number_in_quotes_is_not_a_number() {
        assert_eq!(shown(&Param::Int(5)), "5");
        assert_eq!(shown(&Param::Text("5".into())), "\"5\"");
        assert_eq!(shown(&Param::Text("new_auth".into())), "new_auth");
    }
}
