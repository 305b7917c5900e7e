//! Files of sound on their way to clients.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header;
use hyper::body::{Body as HttpBody, Frame};
use tokio::sync::mpsc;

use super::RETRY_AFTER_S;
use crate::http::problem::Problem;
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

/// The answer that is a file of WAV.
///
/// # Errors
///
/// If it cannot be read.
pub(super) fn answer(path: &Path, share: Share) -> std::io::Result<Response> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let head = [
        (header::CONTENT_TYPE, "audio/wav".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
    ];
    Ok((head, Body::new(FileBody::read(file, share))).into_response())
}

/// A file on its way to a client, read by a thread that may wait for the disk.
struct FileBody(mpsc::Receiver<std::io::Result<Bytes>>);

impl FileBody {
    fn read(mut file: File, share: Share) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        tokio::task::spawn_blocking(move || {
            let _share = share;
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let read = match file.read(&mut chunk) {
                    Ok(0) => return,
                    Ok(read) => {
                        chunk.truncate(read);
                        Ok(Bytes::from(chunk))
                    }
                    Err(error) => Err(error),
                };
                // A client that went away wants no more.
                let failed = read.is_err();
                if sender.blocking_send(read).is_err() || failed {
                    return;
                }
            }
        });
        Self(chunks)
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
