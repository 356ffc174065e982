//! What comes in a path or a query, with problems that name the parameter.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use aide::OperationInput;
use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::problem::Problem;
use super::{MAX_WAIT, State};
use crate::identity::strict_json;

/// Parameters of the path. What does not parse is not there.
pub(super) struct Path<T>(pub(super) T);

/// Parameters of the query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<State> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &State) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, app).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Problem::not_found(rejection.body_text())),
        }
    }
}

impl<T: DeserializeOwned> FromRequestParts<State> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &State) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, app).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(named(&rejection.body_text())),
        }
    }
}

/// "Failed to deserialize query string: wait: invalid digit" names `wait`, and so does "unknown field" with it in backticks.
fn named(text: &str) -> Problem {
    let detail = text.split_once(": ").map_or(text, |(_, detail)| detail);
    let parameter = match detail.split('`').nth(1) {
        Some(quoted) if detail.contains("field `") => quoted,
        _ => detail.split(':').next().unwrap_or_default(),
    };
    Problem::field(parameter, detail)
}

/// `?wait=25`: seconds a caller is ready to wait.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wait {
    /// Seconds to wait for a change before answering; 0 to 60.
    #[serde(default)]
    #[schemars(range(max = 60))]
    wait: u32,
}

impl Wait {
    pub(super) fn duration(&self) -> Result<Duration, Problem> {
        let wait = Duration::from_secs(u64::from(self.wait));
        if wait > MAX_WAIT { Err(Problem::field("wait", "may be at most 60 seconds")) } else { Ok(wait) }
    }
}

/// Free text from a request: trimmed, not empty, not too long.
pub(super) fn text(field: &str, value: &str, max: usize) -> Result<String, Problem> {
    let trimmed = value.trim();
    if trimmed.is_empty() {
        return Err(Problem::field(field, "must not be empty"));
    }
    if trimmed.chars().count() > max {
        return Err(Problem::field(field, format!("may have at most {max} characters")));
    }
    if trimmed.contains('\0') {
        return Err(Problem::field(field, "must not hold the character U+0000"));
    }
    Ok(trimmed.to_owned())
}

/// As [`text`], when there is one.
pub(super) fn optional_text(field: &str, value: Option<&str>, max: usize) -> Result<Option<String>, Problem> {
    value.map(|value| text(field, value, max)).transpose()
}

/// A name that people choose and others see: one line, nothing that shows as what it is not.
pub(super) fn name(field: &str, value: &str) -> Result<String, Problem> {
    let name = text(field, value, 80)?;
    match name.chars().find(|&c| crate::text::is_deceptive(c)) {
        None => Ok(name),
        Some(c) => Err(Problem::field(field, format!("must not hold the character U+{:04X}", u32::from(c)))),
    }
}

/// Reads a struct out of an object and nothing else: derived code would take an array of its fields too, which no document says.
pub(super) fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Members<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Members(PhantomData))
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Present<T>(#[serde(deserialize_with = "object")] T);

/// As [`object`], when there is one.
pub(super) fn optional_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Present<T>>::deserialize(deserializer)?.map(|Present(value)| value))
}

/// As [`object`], a list of them.
pub(super) fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Present<T>>::deserialize(deserializer)?.into_iter().map(|Present(value)| value).collect())
}

/// JSON that is passed on as it was sent, read strictly, when there is some.
pub(super) fn optional_strict<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    strict_json::deserialize(deserializer).map(Some)
}

impl<T: JsonSchema> OperationInput for Path<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        axum::extract::Path::<T>::operation_input(ctx, operation);
    }
}

impl<T: JsonSchema> OperationInput for Query<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        axum::extract::Query::<T>::operation_input(ctx, operation);
    }
}
