//! Requests that may be sent again: the same request with the same `Idempotency-Key` is carried out
//! once, and whoever asks again gets the first answer.
//!
//! Only an answer that says that something was done is kept. A request that was refused did
//! nothing, so its key is free for the next.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::api::RETRY_AFTER_S;
use super::auth::Caller;
use super::body;
use super::problem::{Kind, Problem};
use crate::store::idempotency::{Earlier, RequestHash};
use crate::store::{Store, Timestamp};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is that of an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key.
const KEY_BYTES_MAX: usize = 255;
/// Longest answer that is kept.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// What a request with a key makes has an id that follows from the key: whoever carries it out
/// again, because the server ended in between, makes the same or finds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Made {
    /// The id, of version 7 (RFC 9562 5.7) and of the time at which the request came first.
    pub(super) id: Uuid,
    /// True if the request came before.
    pub(super) again: bool,
}

impl Made {
    fn of(caller: &Caller, key: &str, first_at: Timestamp, began: Timestamp) -> Self {
        let time = first_at.0.to_be_bytes();
        let hash = Sha256::new().chain_update(caller.organisation.0.as_bytes());
        let hash = hash.chain_update(time).chain_update(key).finalize();
        let mut random = [0; 10];
        random.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        let ms = u64::try_from(first_at.0 / 1_000).unwrap_or(0);
        let id = uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid();
        Self { id, again: first_at < began }
    }
}

/// An answer as it is kept, but for its status.
#[derive(Serialize, Deserialize)]
struct Kept {
    content_type: Option<String>,
    location: Option<String>,
    body: String,
}

/// Carries a request out, unless it was before.
pub(super) async fn once(
    State(state): State<super::State>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    let Some(key) = request.headers().get(KEY) else { return next.run(request).await };
    let key = key.to_str().ok().filter(|key| (1..=KEY_BYTES_MAX).contains(&key.len()));
    let Some(key) = key.map(str::to_owned) else {
        let why = format!("not 1 to {KEY_BYTES_MAX} printable characters");
        return Problem::bad_field("Idempotency-Key", why).into_response();
    };
    let (parts, body) = request.into_parts();
    let body = match body::whole(body).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let hash = hash(&parts, &body);
    let began = Timestamp::now();
    let earlier = state.store.begin_request(caller.organisation, &key, &hash).await;
    let first_at = match earlier {
        Ok(Earlier::Nothing { first_at }) => first_at,
        Ok(Earlier::UnderWay) => {
            return Problem::in_flight(RETRY_AFTER_S).into_response();
        }
        Ok(Earlier::Another) => {
            let why = "a new request needs a new Idempotency-Key";
            return Problem::new(Kind::KeyReused, why).into_response();
        }
        Ok(Earlier::Answer { status, rest }) => return again(status, &rest),
        Err(error) => return Problem::from(error).into_response(),
    };
    let mut request = Request::from_parts(parts, Body::from(body));
    request.extensions_mut().insert(Made::of(&caller, &key, first_at, began));
    let store = state.store.clone();
    // Whoever asked may go away: what was begun is finished, and its answer kept.
    let done = tokio::spawn(async move {
        let response = next.run(request).await;
        keep(&store, &caller, &key, response).await
    });
    done.await.unwrap_or_else(|_| {
        Problem::new(Kind::Internal, "the request was not carried out").into_response()
    })
}

/// All that makes a request the same: method, path, query and body.
fn hash(parts: &Parts, body: &Bytes) -> RequestHash {
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let hash = Sha256::new().chain_update(parts.method.as_str()).chain_update([0]);
    hash.chain_update(target).chain_update([0]).chain_update(body).finalize().into()
}

/// Lets a key be free for the next request.
async fn forget(store: &Store, caller: &Caller, key: &str) {
    if let Err(error) = store.abandon_request(caller.organisation, key).await {
        tracing::warn!(%error, "an idempotency key is taken for a while");
    }
}

/// Keeps an answer that says that something was done. One that is too long to be kept is given all
/// the same, and leaves its key free.
async fn keep(store: &Store, caller: &Caller, key: &str, response: Response) -> Response {
    if !response.status().is_success() {
        forget(store, caller, key).await;
        return response;
    }
    let (parts, body) = response.into_parts();
    // It is in memory already, and given whether it is kept or not.
    let text = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let text = match String::from_utf8(text.into()) {
        Ok(text) if text.len() <= ANSWER_BYTES_MAX => text,
        Ok(text) => {
            forget(store, caller, key).await;
            return Response::from_parts(parts, Body::from(text));
        }
        Err(error) => {
            forget(store, caller, key).await;
            return Response::from_parts(parts, Body::from(error.into_bytes()));
        }
    };
    let header = |name| parts.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    let kept = Kept {
        content_type: header(header::CONTENT_TYPE),
        location: header(header::LOCATION),
        body: text,
    };
    let status = parts.status.as_u16();
    let finished = match serde_json::to_vec(&kept) {
        Ok(rest) => store.finish_request(caller.organisation, key, status, &rest).await,
        Err(_) => Ok(()),
    };
    if let Err(error) = finished {
        tracing::warn!(%error, "an answer could not be kept for those who ask again");
    }
    Response::from_parts(parts, Body::from(kept.body))
}

/// An answer that was given before.
fn again(status: u16, rest: &[u8]) -> Response {
    let Ok(kept) = serde_json::from_slice::<Kept>(rest) else {
        return Problem::new(Kind::Internal, "the answer was not kept").into_response();
    };
    let mut response = Response::new(Body::from(kept.body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    for (name, value) in
        [(header::CONTENT_TYPE, kept.content_type), (header::LOCATION, kept.location)]
    {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Scope;
    use crate::store::tests::on_both;

    /// An answer is kept for whoever asks again; one that is too long, or no text, is given as it
    /// is, and its key is free.
    #[test]
    fn long_answers_are_given() {
        on_both(async |db| {
            let store = db.store().await;
            let organisation = store.default_organisation();
            let caller = Caller { organisation, key_id: "k".to_owned(), scope: Scope::Admin };
            let long = vec![b'x'; ANSWER_BYTES_MAX + 1];
            for (key, body, is_kept) in
                [("a", b"short".to_vec(), true), ("b", long, false), ("c", vec![0xff], false)]
            {
                let begin =
                    async || store.begin_request(organisation, key, &[1; 32]).await.unwrap();
                assert!(matches!(begin().await, Earlier::Nothing { .. }));
                let answer = (StatusCode::CREATED, body.clone()).into_response();
                let given = keep(&store, &caller, key, answer).await;
                assert_eq!(given.status(), StatusCode::CREATED);
                assert!(to_bytes(given.into_body(), usize::MAX).await.unwrap() == body, "{key}");
                match begin().await {
                    Earlier::Answer { status: 201, .. } => assert!(is_kept, "{key}"),
                    Earlier::Nothing { .. } => assert!(!is_kept, "{key}"),
                    other => panic!("{other:?}"),
                }
            }
        });
    }
}
