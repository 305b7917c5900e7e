//! SIP over WebSockets (RFC 7118): the handshake of a server, and a message in each message, for
//! both sides.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use super::connection::{BoxedIo, Opener, READ_BUFFER_BYTES, Run, close, put};
use super::streams::StreamEvent;
use crate::bridge::framing::{
    CLOSE_NORMAL, ControlFrame, Input, Message as Frame, Opcode, Reader, Role, append_frame,
};
use crate::bridge::handshake;
use crate::bridge::mask::MaskKeys;
use crate::sip::core::message::{MESSAGE_BYTES_MAX, Message, ParseError};

/// The subprotocol (RFC 7118 4.1).
pub const SUBPROTOCOL: &str = "sip";
/// Longest request of a handshake, in bytes.
const HANDSHAKE_BYTES_MAX: usize = 16 * 1024;
/// How often a peer is pinged.
pub const PING_EVERY: Duration = Duration::from_secs(25);
/// How long a peer may say nothing, not even a pong.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Performs the handshake of a server on a connection; gives it back with the bytes that came
/// behind the request.
///
/// # Errors
/// When the client is no WebSocket client for SIP, or its page may not connect.
pub(super) async fn accept(io: BoxedIo, origins: &Arc<[String]>) -> io::Result<(BoxedIo, Vec<u8>)> {
    let upgrade: Arc<Mutex<Option<OnUpgrade>>> = Arc::default();
    let slot = Arc::clone(&upgrade);
    let origins = Arc::clone(origins);
    let service = service_fn(move |mut request: Request<Incoming>| {
        let response = match answer(&request, &origins) {
            Ok(headers) => {
                let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
                *slot = Some(hyper::upgrade::on(&mut request));
                respond(StatusCode::SWITCHING_PROTOCOLS, headers)
            }
            Err((status, mut headers)) => {
                headers.append(header::CONNECTION, HeaderValue::from_static("close"));
                respond(status, headers)
            }
        };
        std::future::ready(Ok::<_, Infallible>(response))
    });
    hyper::server::conn::http1::Builder::new()
        .max_buf_size(HANDSHAKE_BYTES_MAX)
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades()
        .await
        .map_err(io::Error::other)?;
    let upgraded = upgrade.lock().unwrap_or_else(PoisonError::into_inner).take();
    let refused = || io::Error::other("no WebSocket for SIP");
    let upgraded: Upgraded = upgraded.ok_or_else(refused)?.await.map_err(io::Error::other)?;
    let parts = upgraded.downcast::<TokioIo<BoxedIo>>().map_err(|_| refused())?;
    Ok((parts.io.into_inner(), parts.read_buf.to_vec()))
}

/// The headers of the answer to a handshake, or of its refusal.
fn answer<B>(
    request: &Request<B>,
    origins: &[String],
) -> Result<HeaderMap, (StatusCode, HeaderMap)> {
    // RFC 6455 10.2: a browser says which page asks; programs say nothing and are not held up.
    if let Some(origin) = request.headers().get(header::ORIGIN)
        && !origins.is_empty()
        && !origins.iter().any(|allowed| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes()))
    {
        return Err((StatusCode::FORBIDDEN, HeaderMap::new()));
    }
    let upgrade = handshake::check_request(
        request.method(),
        request.version(),
        request.headers(),
        &[SUBPROTOCOL],
    )
    .map_err(|error| (error.status(), error.headers()))?;
    if upgrade.subprotocol().is_none() {
        // RFC 7118 4.1: without the subprotocol this is no WebSocket for SIP.
        return Err((StatusCode::BAD_REQUEST, HeaderMap::new()));
    }
    Ok(upgrade.response_headers())
}

fn respond(status: StatusCode, headers: HeaderMap) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response.headers_mut().extend(headers);
    response
}

/// Carries messages until the connection ends.
pub(super) async fn run(mut run: Run, mut io: BoxedIo) -> io::Result<()> {
    let role = match run.opener {
        Opener::Us => Role::Client,
        Opener::Peer => Role::Server,
    };
    let mut reader = Reader::with_limit(role, MESSAGE_BYTES_MAX);
    let mut masks = Masks::new(role)?;
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    let mut out = Vec::new();
    let mut unread = std::mem::take(&mut run.unread);
    let (mut ping_at, mut heard) = (Instant::now() + PING_EVERY, Instant::now());
    let mut ended = !take(&run, &mut reader, &mut masks, &mut unread, &mut out).await?;
    loop {
        if !out.is_empty() {
            put(&mut io, &out).await?;
            out.clear();
        }
        if ended {
            return close(&mut io).await;
        }
        tokio::select! {
            length = io.read(&mut buffer) => {
                let length = length?;
                if length == 0 {
                    return Ok(());
                }
                heard = Instant::now();
                let bytes = buffer.get_mut(..length).unwrap_or_default();
                ended = !take(&run, &mut reader, &mut masks, bytes, &mut out).await?;
            }
            message = run.writes.recv() => match message {
                Some(message) => append_frame(&mut out, Opcode::Text, &message, masks.next()),
                None => {
                    let close = ControlFrame::close(CLOSE_NORMAL, "", masks.next());
                    out.extend_from_slice(close.as_bytes());
                    ended = true;
                }
            },
            () = tokio::time::sleep_until(ping_at) => {
                if heard.elapsed() > SILENCE_MAX {
                    return Err(io::Error::other("the peer is silent"));
                }
                out.extend_from_slice(ControlFrame::ping(&[], masks.next()).as_bytes());
                ping_at = Instant::now() + PING_EVERY;
            }
        }
    }
}

/// Keys of the frames that we send: clients mask, servers do not (RFC 6455 5.1).
struct Masks(Option<MaskKeys>);

impl Masks {
    fn new(role: Role) -> io::Result<Self> {
        if role == Role::Server {
            return Ok(Self(None));
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self(Some(MaskKeys::new(seed))))
    }

    fn next(&mut self) -> Option<[u8; 4]> {
        self.0.as_mut().map(MaskKeys::next_key)
    }
}

/// Takes received bytes; what is to be answered goes to `out`. False when the connection ends.
async fn take(
    run: &Run,
    reader: &mut Reader,
    masks: &mut Masks,
    bytes: &mut [u8],
    out: &mut Vec<u8>,
) -> io::Result<bool> {
    let mut input = Input::new(bytes);
    loop {
        match reader.next(&mut input) {
            Ok(None) => return Ok(true),
            Ok(Some(Frame::Data(_, payload))) => {
                match Message::parse(Bytes::copy_from_slice(payload)) {
                    Ok(message) => {
                        let connection = run.connection;
                        let event = StreamEvent::Message { connection, message };
                        if run.events.send(event).await.is_err() {
                            return Ok(false);
                        }
                    }
                    // RFC 7118 6: the keep-alive of RFC 5626 may be used as well.
                    Err(ParseError::Empty) if payload == b"\r\n\r\n" => {
                        append_frame(out, Opcode::Text, b"\r\n", masks.next());
                    }
                    Err(error) => tracing::debug!(%error, "malformed SIP message"),
                }
            }
            Ok(Some(Frame::Ping(payload))) => {
                out.extend_from_slice(ControlFrame::pong(payload, masks.next()).as_bytes());
            }
            Ok(Some(Frame::Pong(_))) => {}
            Ok(Some(Frame::Close { code, .. })) => {
                let close = ControlFrame::close(code.unwrap_or(CLOSE_NORMAL), "", masks.next());
                out.extend_from_slice(close.as_bytes());
                return Ok(false);
            }
            Err(error) => {
                let close = ControlFrame::close(error.close_code(), "", masks.next());
                out.extend_from_slice(close.as_bytes());
                return Ok(false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(origin: Option<&str>, subprotocol: Option<&str>) -> Request<()> {
        let mut request = Request::get("/")
            .header("Upgrade", "websocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        if let Some(subprotocol) = subprotocol {
            request = request.header("Sec-WebSocket-Protocol", subprotocol);
        }
        request.body(()).unwrap()
    }

    /// Only SIP is spoken, and only to the pages that are allowed, if any are named.
    #[test]
    fn handshakes_are_judged() {
        let allowed = ["https://phone.example.com".to_owned()];
        for (origin, subprotocol, origins, status) in [
            (None, Some("sip"), &allowed[..], 101),
            (Some("https://phone.example.com"), Some("sip"), &allowed, 101),
            (Some("https://evil.example.com"), Some("sip"), &allowed, 403),
            (Some("https://evil.example.com"), Some("sip"), &[], 101),
            (None, Some("chat, sip"), &[], 101),
            (None, Some("chat"), &[], 400),
            (None, None, &[], 400),
        ] {
            let answered = answer(&asked(origin, subprotocol), origins);
            let found = answered.map_or_else(|(status, _)| status.as_u16(), |_| 101);
            assert_eq!(found, status, "{origin:?} {subprotocol:?}");
        }
    }
}
