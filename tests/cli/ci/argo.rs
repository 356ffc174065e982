//! The web metric of Argo Rollouts, by what its documentation says of measurements and limits.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::super::house::waiting;
use super::{Shop, example};

/// What a measurement came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Successful,
    Failed,
    Inconclusive,
    /// Nothing could be measured: no answer, none of 2xx, no such member.
    Error,
}

/// What a run of measurements came to; none while it goes on.
type Ended = Option<Phase>;

/// A metric of a template, and how it has gone so far.
struct Metric {
    spec: Value,
    failed: u64,
    inconclusive: u64,
    successes: u64,
    errors: u64,
    count: u64,
}

impl Metric {
    fn of(template: &str, arguments: &BTreeMap<&str, String>) -> Self {
        let spec = resolved(&template_named(template)["spec"]["metrics"][0], arguments);
        Self { spec, failed: 0, inconclusive: 0, successes: 0, errors: 0, count: 0 }
    }

    fn limit(&self, name: &str, unless_given: u64) -> u64 {
        self.spec[name].as_u64().unwrap_or(unless_given)
    }

    /// One measurement: the request, the member that the path names, the conditions over it.
    async fn measure(&self, issuer: &str) -> (Phase, Option<String>) {
        let web = &self.spec["provider"]["web"];
        let url = web["url"].as_str().unwrap().replace("https://phoneops.example", issuer);
        let method: Method = web["method"].as_str().unwrap_or("GET").parse().unwrap();
        let seconds = web["timeoutSeconds"].as_u64().unwrap_or(10);
        let mut request = reqwest::Client::new().request(method, url).timeout(std::time::Duration::from_secs(seconds));
        if let Some(body) = web.get("jsonBody") {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        for header in web["headers"].as_array().unwrap() {
            request = request.header(header["key"].as_str().unwrap(), header["value"].as_str().unwrap());
        }
        let Ok(reply) = request.send().await else { return (Phase::Error, None) };
        if !reply.status().is_success() {
            return (Phase::Error, None);
        }
        let body: Value = reply.json().await.unwrap();
        let member = web["jsonPath"].as_str().unwrap().strip_prefix("{$.").and_then(|path| path.strip_suffix('}')).unwrap();
        let Some(result) = body.get(member).and_then(Value::as_str) else { return (Phase::Error, None) };
        let phase = match (holds(&self.spec["successCondition"], result), holds(&self.spec["failureCondition"], result)) {
            (_, true) => Phase::Failed,
            (true, false) => Phase::Successful,
            (false, false) => Phase::Inconclusive,
        };
        (phase, Some(body["id"].as_str().unwrap().to_owned()))
    }

    /// Counts a measurement, and says whether that ends it. As in Argo Rollouts, what is inconclusive counts towards `count`.
    fn assess(&mut self, phase: Phase) -> Ended {
        self.errors = if phase == Phase::Error { self.errors + 1 } else { 0 };
        self.count += u64::from(phase != Phase::Error);
        self.failed += u64::from(phase == Phase::Failed);
        self.inconclusive += u64::from(phase == Phase::Inconclusive);
        self.successes = if phase == Phase::Successful { self.successes + 1 } else { 0 };
        if self.failed > self.limit("failureLimit", 0) {
            return Some(Phase::Failed);
        }
        if self.inconclusive > self.limit("inconclusiveLimit", 0) {
            return Some(Phase::Inconclusive);
        }
        if self.errors > self.limit("consecutiveErrorLimit", 4) {
            return Some(Phase::Error);
        }
        let enough = self.limit("consecutiveSuccessLimit", 0);
        let counted = self.spec["count"].as_u64().is_some_and(|count| self.count >= count);
        (counted || enough > 0 && self.successes >= enough).then_some(Phase::Successful)
    }
}

/// The template of the example with that name.
fn template_named(name: &str) -> Value {
    let text = example("argo-rollouts/analysis-template.yaml");
    let mut templates = serde_yaml_ng::Deserializer::from_str(&text).map(|document| Value::deserialize(document).unwrap());
    let template = templates.find(|template| template["metadata"]["name"] == name).expect("a template");
    assert_eq!((&template["apiVersion"], &template["kind"]), (&json!("argoproj.io/v1alpha1"), &json!("AnalysisTemplate")));
    template
}

/// With its arguments in place of `{{args.NAME}}`.
fn resolved(value: &Value, arguments: &BTreeMap<&str, String>) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text.clone();
            for (name, argument) in arguments {
                text = text.replace(&format!("{{{{args.{name}}}}}"), argument);
            }
            assert!(!text.contains("{{"), "an argument is not given: {text}");
            Value::String(text)
        }
        Value::Array(all) => all.iter().map(|one| resolved(one, arguments)).collect(),
        Value::Object(all) => all.iter().map(|(name, one)| (name.clone(), resolved(one, arguments))).collect(),
        other => other.clone(),
    }
}

/// Whether a condition holds: comparisons of `result` with a text, joined by `&&`.
fn holds(condition: &Value, result: &str) -> bool {
    condition.as_str().unwrap().split(" && ").all(|comparison| {
        let (operator, text) = comparison.strip_prefix("result ").unwrap().split_once(' ').unwrap();
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap();
        match operator {
            "==" => result == text,
            "!=" => result != text,
            other => panic!("an operator that is not known here: {other}"),
        }
    })
}

fn arguments(shop: &Shop, revision: &str) -> BTreeMap<&'static str, String> {
    let text = str::to_owned;
    BTreeMap::from([
        ("app", text("api")),
        ("requester", text("@yannick")),
        ("revision", text(revision)),
        ("token", shop.token.clone()),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_goes_on_once_it_is_approved_and_not_before() {
    let shop = Shop::open().await;
    let issuer = &shop.house.issuer;
    let mut metric = Metric::of("phoneops", &arguments(&shop, "one"));
    let mut asked = Vec::new();
    for _ in 0..3 {
        let (phase, id) = metric.measure(issuer).await;
        assert_eq!((phase, metric.assess(phase)), (Phase::Inconclusive, None), "nobody has answered");
        asked.extend(id);
    }
    asked.dedup();
    assert_eq!((asked.len(), shop.yannick.inbox().await.unwrap().len()), (1, 1), "it asks once and then looks");
    let waits = waiting(&shop.yannick).await;
    assert_eq!(waits["action"]["params"], json!({"app": "api", "revision": "one"}));
    // By its id, a GET says the same.
    let by_id = BTreeMap::from([("approval", asked[0].clone()), ("token", shop.token.clone())]);
    let mut looking = Metric::of("phoneops-request", &by_id);
    let (phase, _) = looking.measure(issuer).await;
    assert_eq!((phase, looking.assess(phase)), (Phase::Inconclusive, None));

    shop.yannick.approve(&asked[0]).await.unwrap();
    for metric in [&mut metric, &mut looking] {
        let (phase, _) = metric.measure(issuer).await;
        assert_eq!(metric.assess(phase), Some(Phase::Successful));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_nobody_approves_does_not_go_on() {
    let shop = Shop::open().await;
    let issuer = &shop.house.issuer;
    // Somebody else's bot does not learn of it, and without an answer there is no yes.
    for (issuer, token) in [(issuer.as_str(), "pob_wrong"), ("http://127.0.0.1:1", shop.token.as_str())] {
        let mut arguments = arguments(&shop, "one");
        arguments.insert("token", token.to_owned());
        let mut metric = Metric::of("phoneops", &arguments);
        let mut ended = None;
        for _ in 0..5 {
            assert_eq!(ended, None);
            let (phase, _) = metric.measure(issuer).await;
            assert_eq!(phase, Phase::Error);
            ended = metric.assess(phase);
        }
        assert_eq!(ended, Some(Phase::Error));
    }
    let mut metric = Metric::of("phoneops", &arguments(&shop, "one"));
    assert!(metric.spec["count"].is_null(), "with a count, it would succeed for having asked often enough");
    let (phase, id) = metric.measure(issuer).await;
    assert_eq!(metric.assess(phase), None);
    let cancelled =
        Metric::of("phoneops-request", &BTreeMap::from([("approval", id.clone().unwrap()), ("token", shop.token.clone())]));
    shop.yannick.deny(&id.unwrap(), Some("not on a Friday")).await.unwrap();
    for mut metric in [metric, cancelled] {
        let (phase, _) = metric.measure(issuer).await;
        assert_eq!(metric.assess(phase), Some(Phase::Failed));
    }
}
