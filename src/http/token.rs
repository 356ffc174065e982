//! `/v1/token`: a device signs in with its key (RFC 7523, RFC 9449).

use aide::axum::ApiRouter;
use aide::axum::routing::post_with;
use axum::Json;
use axum::extract::{FromRequest, Request, State as Extract};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::State;
use super::caller::{is_media_type, proof, split};
use super::problem::Problem;

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

pub(super) fn router() -> ApiRouter<State> {
    ApiRouter::new().api_route(
        "/v1/token",
        post_with(sign_in, |op| {
            op.id("signIn")
                .tag("devices")
                .summary("An access token for ten minutes, bound to the device's key")
                .description("A form with `grant_type` and `assertion`, and a `DPoP` header. See the device protocol, section 3.")
        }),
    )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Form {
    /// Always `urn:ietf:params:oauth:grant-type:jwt-bearer`.
    grant_type: String,
    /// The signed assertion.
    assertion: String,
}

#[derive(Serialize, JsonSchema)]
struct TokenBody {
    access_token: String,
    /// Always `DPoP`.
    token_type: &'static str,
    /// Seconds.
    expires_in: u64,
}

/// A form, with problems like everywhere else.
struct SignIn {
    form: Form,
    parts: axum::http::request::Parts,
}

impl FromRequest<State> for SignIn {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &State) -> Result<Self, Problem> {
        let (parts, body) = split(request, app).await?;
        if !is_media_type(&parts.headers, "application/x-www-form-urlencoded") {
            let detail = "send `Content-Type: application/x-www-form-urlencoded`";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_form", detail));
        }
        let (mut grant_type, mut assertion) = (None, None);
        for (name, value) in url::form_urlencoded::parse(&body) {
            let field = match &*name {
                "grant_type" => &mut grant_type,
                "assertion" => &mut assertion,
                other => return Err(Problem::field(other, "unknown field; known are grant_type and assertion")),
            };
            if field.replace(value.into_owned()).is_some() {
                return Err(Problem::field(name, "is there twice"));
            }
        }
        let missing = |name: &'static str| move || Problem::field(name, "is missing");
        let form = Form {
            grant_type: grant_type.ok_or_else(missing("grant_type"))?,
            assertion: assertion.ok_or_else(missing("assertion"))?,
        };
        Ok(Self { form, parts })
    }
}

impl aide::OperationInput for SignIn {
    fn operation_input(ctx: &mut aide::generate::GenContext, operation: &mut aide::openapi::Operation) {
        axum::Form::<Form>::operation_input(ctx, operation);
    }
}

async fn sign_in(Extract(app): Extract<State>, SignIn { form, parts }: SignIn) -> Result<Json<TokenBody>, Problem> {
    if form.grant_type != GRANT_TYPE {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", format!("grant_type must be {GRANT_TYPE}")));
    }
    let proof = proof(&parts, &app, None, app.clock.now())?;
    let token = app.identity.sign_in(&form.assertion, &proof).await?;
    let expires_in = crate::identity::access_token::LIFE.as_secs();
    Ok(Json(TokenBody { access_token: token.expose().to_owned(), token_type: "DPoP", expires_in }))
}
