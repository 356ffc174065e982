//! Replies whose status is part of their type, so that the document says what is really sent.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{Operation, Response as ApiResponse};
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// 201 with the thing that was made.
pub(super) struct Created<T>(pub(super) T);

/// 204.
pub(super) struct NoContent;

/// 201 when it was made by this call, 200 when it was there or has moved on since.
pub(super) enum MadeOrNow<T> {
    /// 201.
    Made(T),
    /// 200.
    Now(T),
}

/// 200 when it was done, 202 with what it waits for when it was not yet.
pub(super) enum NowOrWaits<T, W> {
    /// 200.
    Now(T),
    /// 202.
    Waits(W),
}

/// 201 when it was made, 202 with what it waits for when it was not yet.
pub(super) enum MadeOrWaits<T, W> {
    /// 201.
    Made(T),
    /// 202.
    Waits(W),
}

/// 204 when it was done, 202 with what it waits for when it was not yet.
pub(super) enum DoneOrWaits<W> {
    /// 204.
    Done,
    /// 202.
    Waits(W),
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl<T: Serialize> IntoResponse for MadeOrNow<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Made(body) => (StatusCode::CREATED, Json(body)).into_response(),
            Self::Now(body) => Json(body).into_response(),
        }
    }
}

impl<T: JsonSchema> OperationOutput for Created<T> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ApiResponse> {
        Json::<T>::operation_response(ctx, operation)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        Self::operation_response(ctx, operation).map(|response| (Some(201), response)).into_iter().collect()
    }
}

impl OperationOutput for NoContent {
    type Inner = Self;

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<ApiResponse> {
        Some(ApiResponse { description: "Done.".into(), ..Default::default() })
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        Self::operation_response(ctx, operation).map(|response| (Some(204), response)).into_iter().collect()
    }
}

impl<T: JsonSchema> OperationOutput for MadeOrNow<T> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ApiResponse> {
        Json::<T>::operation_response(ctx, operation)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        let Some(response) = Self::operation_response(ctx, operation) else { return Vec::new() };
        vec![(Some(200), response.clone()), (Some(201), response)]
    }
}

impl<T: Serialize, W: Serialize> IntoResponse for NowOrWaits<T, W> {
    fn into_response(self) -> Response {
        match self {
            Self::Now(body) => Json(body).into_response(),
            Self::Waits(body) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        }
    }
}

impl<T: Serialize, W: Serialize> IntoResponse for MadeOrWaits<T, W> {
    fn into_response(self) -> Response {
        match self {
            Self::Made(body) => (StatusCode::CREATED, Json(body)).into_response(),
            Self::Waits(body) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        }
    }
}

impl<W: Serialize> IntoResponse for DoneOrWaits<W> {
    fn into_response(self) -> Response {
        match self {
            Self::Done => StatusCode::NO_CONTENT.into_response(),
            Self::Waits(body) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        }
    }
}

impl<T: JsonSchema, W: JsonSchema> OperationOutput for NowOrWaits<T, W> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ApiResponse> {
        Json::<T>::operation_response(ctx, operation)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        let now = Json::<T>::operation_response(ctx, operation).map(|response| (Some(200), response));
        let waits = Json::<W>::operation_response(ctx, operation).map(|response| (Some(202), response));
        now.into_iter().chain(waits).collect()
    }
}

impl<T: JsonSchema, W: JsonSchema> OperationOutput for MadeOrWaits<T, W> {
    type Inner = T;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ApiResponse> {
        Json::<T>::operation_response(ctx, operation)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        let made = Json::<T>::operation_response(ctx, operation).map(|response| (Some(201), response));
        let waits = Json::<W>::operation_response(ctx, operation).map(|response| (Some(202), response));
        made.into_iter().chain(waits).collect()
    }
}

impl<W: JsonSchema> OperationOutput for DoneOrWaits<W> {
    type Inner = W;

    fn operation_response(ctx: &mut GenContext, operation: &mut Operation) -> Option<ApiResponse> {
        Json::<W>::operation_response(ctx, operation)
    }

    fn inferred_responses(ctx: &mut GenContext, operation: &mut Operation) -> Vec<(Option<u16>, ApiResponse)> {
        let done = NoContent::operation_response(ctx, operation).map(|response| (Some(204), response));
        let waits = Json::<W>::operation_response(ctx, operation).map(|response| (Some(202), response));
        done.into_iter().chain(waits).collect()
    }
}
