//! The bodies of requests: how long they may be, and how long they may take.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem};

/// The longest body of a request, in bytes.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a body may take to arrive.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The whole body.
///
/// # Errors
///
/// The problem to answer if it is too long or too slow.
pub(super) async fn whole(body: Body) -> Result<Bytes, Problem> {
    up_to(body, BODY_BYTES_MAX, BODY_TIMEOUT).await
}

/// The whole body, of at most so many bytes, that may take so long.
///
/// # Errors
///
/// The problem to answer if it is too long or too slow.
pub(super) async fn up_to(body: Body, max: usize, within: Duration) -> Result<Bytes, Problem> {
    match tokio::time::timeout(within, to_bytes(body, max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(_)) => {
            Err(Problem::new(Kind::TooLarge, format!("a body here has at most {max} bytes")))
        }
        Err(_) => {
            let seconds = within.as_secs();
            Err(Problem::new(Kind::TooSlow, format!("the body did not arrive within {seconds} s")))
        }
    }
}

/// A body of JSON.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<super::State> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &super::State) -> Result<Self, Problem> {
        let body = whole(request.into_body()).await?;
        // The message names the field and what is expected, and may repeat a value: what holds
        // secrets is read as a `Value` first.
        let read = serde_json::from_slice(&body);
        read.map(Self).map_err(|error| Problem::bad_request(error.to_string()))
    }
}
