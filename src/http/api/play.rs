//! Sounds that are handed in to be heard on a living call.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{self, State};
use http::{StatusCode, header};
use hyper::body::Body as _;
use media::wav::{self, Clip};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::{RETRY_AFTER_S, gone, living};
use crate::calls::request::Request;
use crate::fetch::{self, SOUND_BYTES_MAX};
use crate::http::auth::Caller;
use crate::http::body;
use crate::http::openapi::{Resource, post, schema};
use crate::http::path::Path;
use crate::http::problem::{Kind, Problem};
use crate::keys::Scope;
use crate::shares::Shares;
use crate::workers::audio::FILE_MAX_MS;

/// How long a file may take to arrive.
const FILE_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of sounds that come at once, until they are coded: they lie in memory meanwhile.
const COMING_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Those of one organisation.
const COMING_BYTES_PER_ORGANISATION_MAX: usize = 128 * 1024 * 1024;

static COMING: Shares = Shares::new(COMING_BYTES_MAX, COMING_BYTES_PER_ORGANISATION_MAX);
/// Names of the media type of WAV files.
const TYPES: [&str; 4] = ["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"];

pub(super) fn resource() -> Resource {
    Resource {
        tag: "play",
        about: "Sounds that are handed in to be heard on a living call.",
        endpoints: vec![
            post("/api/v1/calls/{id}/play", "play_sound", play)
                .summary("Lets the peer hear a WAV file, behind what the agent has queued.")
                .scope(Scope::Calls)
                .takes("audio/wav", json!({"type": "string", "format": "binary"}))
                .or_json(schema::object(&[("url", schema::format("uri"))], &[]))
                .answers_json(
                    202,
                    "it is queued; the call's events tell what becomes of it",
                    schema::object(
                        &[
                            ("id", schema::format("uuid")),
                            ("state", schema::word(&["queued"])),
                            ("length_ms", schema::count()),
                        ],
                        &[],
                    ),
                )
                .refuses(&[Kind::Conflict, Kind::Unavailable]),
        ],
        schemas: Vec::new(),
    }
}

/// Where a file is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    url: String,
}

/// A sound that waits to be heard.
#[derive(Serialize)]
struct Queued {
    id: Uuid,
    state: &'static str,
    length_ms: u64,
}

/// `POST /api/v1/calls/{id}/play`
async fn play(
    State(state): State<crate::http::State>,
    caller: Caller,
    Path(call): Path<Uuid>,
    request: extract::Request,
) -> Result<(StatusCode, axum::Json<Queued>), Problem> {
    living(&state, caller.organisation, call).await?;
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    let is_file = TYPES.iter().any(|name| kind.eq_ignore_ascii_case(name));
    let told = body.size_hint().upper().and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = told.filter(|_| is_file).unwrap_or(SOUND_BYTES_MAX).min(SOUND_BYTES_MAX);
    let busy = || Problem::unavailable("as many sounds come as may", RETRY_AFTER_S);
    let _share = COMING.take_many(caller.organisation.0, bytes).ok_or_else(busy)?;
    let clip = if is_file {
        let file = body::up_to(body, SOUND_BYTES_MAX, FILE_TIMEOUT).await?;
        let read = tokio::task::spawn_blocking(move || wav::read(&file, FILE_MAX_MS)).await;
        let clip = read.map_err(|_| gone())?;
        clip.map_err(|error| Problem::bad_request(format!("the file {error}")))?
    } else if kind.eq_ignore_ascii_case("application/json") {
        let Named { url } = body::read(&body::whole(body).await?)?;
        let outward = state.outward.of(caller.organisation.0);
        let fetched = fetch::sound((caller.organisation.0, &outward), &url, FILE_MAX_MS).await;
        fetched.map_err(|error| Problem::bad_field("url", error.to_string()))?
    } else {
        let why = "the body is a WAV file, of the type audio/wav, or JSON with its url";
        return Err(Problem::bad_request(why));
    };
    let length_ms = clip.length_ms();
    let clip: Arc<Clip> = Arc::new(clip);
    let queued = state.calls.ask(|reply| Request::Play { call, clip, reply }).await;
    let id = queued.ok_or_else(gone)??;
    Ok((StatusCode::ACCEPTED, axum::Json(Queued { id, state: "queued", length_ms })))
}
