//! A media socket of a carrier in miniature.

use std::io;
use std::time::Duration;

use adapters::agent::MessageKind;
use adapters::exchange::HttpRequest;
use http::Uri;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Input, client};
use crate::bridge::framing::{self, ControlFrame, Message, Opcode, Reader, Role, append_frame};
use crate::bridge::handshake::{ClientKey, KEY_BYTES};

/// Bytes that are read at a time.
const READ_BYTES: usize = 16 * 1024;
/// How long the handshake may take.
const OPEN_WAIT: Duration = Duration::from_secs(10);
/// How long the server may take to answer a close frame.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// The code that stands for a close frame without one (RFC 6455 7.4.1).
const NO_CODE: u16 = 1005;

/// What is to be done with a socket.
#[derive(Debug)]
pub(super) enum Order {
    /// Send a message.
    Message(MessageKind, Vec<u8>),
    /// Close it in order.
    Close(u16),
}

/// What came of a socket.
#[derive(Debug)]
pub(super) enum Came {
    /// It is open.
    Opened,
    /// It could not be opened.
    Refused(Option<u16>),
    /// A message.
    Message(MessageKind, Vec<u8>),
    /// It is closed.
    Closed(Option<u16>),
}

/// Opens the socket that `request` asks for and runs it to its end: until it is closed by either
/// side, or its orders end, which cuts it off.
pub(super) async fn run(
    socket: u32,
    request: HttpRequest,
    orders: mpsc::Receiver<Order>,
    inputs: mpsc::Sender<Input>,
) {
    let opened = timeout(OPEN_WAIT, open(request)).await.unwrap_or(Err(None));
    match opened {
        Ok(io) => keep(socket, (io, Role::Client), orders, inputs).await,
        Err(status) => {
            let _ = inputs.send(Input::Socket { socket, came: Came::Refused(status) }).await;
        }
    }
}

/// Runs a socket that is open to its end.
pub(super) async fn keep(
    socket: u32,
    (io, role): (TokioIo<Upgraded>, Role),
    orders: mpsc::Receiver<Order>,
    inputs: mpsc::Sender<Input>,
) {
    let opened = Input::Socket { socket, came: Came::Opened };
    if inputs.send(opened).await.is_err() {
        return;
    }
    let came = Came::Closed(talk(socket, (io, role), orders, &inputs).await.unwrap_or(None));
    let _ = inputs.send(Input::Socket { socket, came }).await;
}

/// The handshake of a client (RFC 6455 4.1); the HTTP status if there was another answer.
async fn open(what: HttpRequest) -> Result<TokioIo<Upgraded>, Option<u16>> {
    let uri: Uri = what.url.parse().map_err(|_| None)?;
    let io = client::connect(&uri).await.map_err(|_| None)?;
    let offered = what.headers.get(SEC_WEBSOCKET_PROTOCOL).and_then(|name| name.to_str().ok());
    let offered: Vec<String> = offered.into_iter().map(str::to_owned).collect();
    let offered: Vec<&str> = offered.iter().map(String::as_str).collect();
    let mut request = client::request(&uri, what).map_err(|_| None)?;
    let mut nonce = [0; KEY_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| None)?;
    let key = ClientKey::new(nonce);
    request.headers_mut().extend(key.request_headers(&[]));
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(io));
    let (mut sender, connection) = handshake.await.map_err(|_| None)?;
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request).await.map_err(|_| None)?;
    let status = response.status();
    key.check_response(status, response.headers(), &offered).map_err(|_| Some(status.as_u16()))?;
    hyper::upgrade::on(response).await.map(TokioIo::new).map_err(|_| None)
}

/// Sends what is ordered and tells what comes; the code of the end, if it was one in order.
async fn talk(
    socket: u32,
    (io, role): (TokioIo<Upgraded>, Role),
    mut orders: mpsc::Receiver<Order>,
    inputs: &mpsc::Sender<Input>,
) -> io::Result<Option<u16>> {
    let (mut read, mut write) = tokio::io::split(io);
    let mut reader = Reader::new(role);
    let (mut bytes, mut out) = (vec![0; READ_BYTES], Vec::new());
    // The code that we have closed with, and how long the answer may take.
    let mut closing: Option<(u16, Instant)> = None;
    loop {
        out.clear();
        let give_up = closing.map_or_else(Instant::now, |(_, by)| by);
        tokio::select! {
            order = orders.recv(), if closing.is_none() => match order {
                Some(Order::Message(kind, message)) => {
                    let opcode = match kind {
                        MessageKind::Text => Opcode::Text,
                        MessageKind::Binary => Opcode::Binary,
                    };
                    append_frame(&mut out, opcode, &message, mask(role)?);
                }
                Some(Order::Close(code)) => {
                    closing = Some((code, Instant::now() + CLOSE_WAIT));
                    out.extend_from_slice(ControlFrame::close(code, "", mask(role)?).as_bytes());
                }
                None => return Ok(None),
            },
            () = sleep_until(give_up), if closing.is_some() => return Ok(closing.map(|it| it.0)),
            length = read.read(&mut bytes) => {
                let length = length?;
                if length == 0 {
                    return Ok(closing.map(|it| it.0));
                }
                let mut input = framing::Input::new(bytes.get_mut(..length).unwrap_or_default());
                while let Some(message) = reader.next(&mut input).map_err(io::Error::other)? {
                    match message {
                        Message::Data(kind, message) => {
                            let came = Came::Message(kind, message.to_vec());
                            if inputs.send(Input::Socket { socket, came }).await.is_err() {
                                return Ok(None);
                            }
                        }
                        Message::Ping(payload) => {
                            let pong = ControlFrame::pong(payload, mask(role)?);
                            out.extend_from_slice(pong.as_bytes());
                        }
                        Message::Pong(_) => {}
                        Message::Close { code, .. } => {
                            let close = ControlFrame::close(
                                code.unwrap_or(framing::CLOSE_NORMAL), "", mask(role)?,
                            );
                            if closing.is_none() {
                                write.write_all(close.as_bytes()).await?;
                                write.flush().await?;
                            }
                            return Ok(Some(code.unwrap_or(NO_CODE)));
                        }
                    }
                }
            },
        }
        write.write_all(&out).await?;
        write.flush().await?;
    }
}

/// A key for the next frame: those of a client have one (RFC 6455 5.3).
fn mask(role: Role) -> io::Result<Option<[u8; 4]>> {
    if role == Role::Server {
        return Ok(None);
    }
    let mut key = [0; 4];
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(Some(key))
}
