//! Files of sound on their way to clients, whole or in parts (RFC 9110 14).

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Take};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{StatusCode, header};
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::mpsc;

use super::RETRY_AFTER_S;
use crate::http::problem::Problem;
use crate::http::range::{Asked, Part, UNIT, Wanted};
use crate::shares::{Share, Shares};
use crate::store::OrganisationId;

/// Bytes of a file that are read at a time.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks that wait for a client.
const CHUNKS_MAX: usize = 2;
/// Files that are fetched at once: each has a thread for as long as its client takes.
const FETCHES_MAX: usize = 64;
/// Those of one organisation.
const FETCHES_PER_ORGANISATION_MAX: usize = 16;

static FETCHES: Shares = Shares::new(FETCHES_MAX, FETCHES_PER_ORGANISATION_MAX);

/// Room for one more file that an organisation fetches.
///
/// # Errors
///
/// If as many are fetched as may.
pub(super) fn share(organisation: OrganisationId) -> Result<Share, Problem> {
    let busy = || Problem::unavailable("as many recordings are fetched as may", RETRY_AFTER_S);
    FETCHES.take(organisation.0).ok_or_else(busy)
}

/// The answer that is a complete file of WAV, or as much of it as is asked for.
///
/// # Errors
///
/// If it cannot be read.
pub(super) fn answer(path: &Path, asked: &Asked, share: Share) -> std::io::Result<Response> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    let (length, tag) = (about.len(), entity_tag(&about));
    let part = match asked.of_file(&tag, length) {
        Wanted::Nothing => return Ok(Problem::no_such_range(length).into_response()),
        Wanted::Whole => None,
        Wanted::Part(part) => Some(part),
    };
    let bytes = part.map_or(length, Part::length);
    let body = if asked.is_head {
        Body::empty()
    } else {
        file.seek(SeekFrom::Start(part.map_or(0, |part| part.first)))?;
        Body::new(FileBody::read(file.take(bytes), share))
    };
    let status = if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let head = [
        (header::CONTENT_TYPE, "audio/wav".to_owned()),
        (header::CONTENT_LENGTH, bytes.to_string()),
        (header::ACCEPT_RANGES, UNIT.to_owned()),
        (header::ETAG, tag),
    ];
    let place = part.map(|part| [(header::CONTENT_RANGE, part.within(length))]);
    Ok((status, head, place, body).into_response())
}

/// Names what is in a file. A strong one (RFC 9110 8.8.1): a complete file is written no more, and
/// another in its place is of another moment.
fn entity_tag(about: &Metadata) -> String {
    format!("\"{:x}-{:x}-{:x}\"", about.len(), about.mtime(), about.mtime_nsec())
}

/// A file on its way to a client, read by a thread that may wait for the disk.
struct FileBody(mpsc::Receiver<std::io::Result<Bytes>>);

impl FileBody {
    /// As many bytes as `file` is limited to, from where it stands.
    fn read(mut file: Take<File>, share: Share) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        tokio::task::spawn_blocking(move || {
            let _share = share;
            while let Some(chunk) = next_chunk(&mut file).transpose() {
                // A client that went away wants no more.
                let failed = chunk.is_err();
                if sender.blocking_send(chunk).is_err() || failed {
                    return;
                }
            }
        });
        Self(chunks)
    }
}

/// The next bytes of a file, until all that were promised are read.
fn next_chunk(file: &mut Take<File>) -> std::io::Result<Option<Bytes>> {
    let size = usize::try_from(file.limit()).map_or(CHUNK_BYTES, |left| left.min(CHUNK_BYTES));
    if size == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; size];
    match file.read(&mut chunk)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        read => {
            chunk.truncate(read);
            Ok(Some(Bytes::from(chunk)))
        }
    }
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}
