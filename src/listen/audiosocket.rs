//! Takes connections of AudioSocket, each of which is a call, and finds out which.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adapters::audiosocket::{self, FIRST_BYTES, HANGUP, Numbers};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::sources::Sources;
use crate::agent::socket::{AgentSocket, Role};
use crate::calls::pbx::{Door, PbxCall, PbxRefusal};
use crate::calls::request::{Handle, Request};

/// Connections at once that have not said which call they are.
const OPENINGS_MAX: usize = 512;
/// Those of one address.
const OPENINGS_PER_SOURCE_MAX: usize = 128;
/// How long a connection may take to say which call it is.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// How long nothing is accepted after the system could not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the connections of all listeners share.
#[derive(Clone, Debug)]
pub struct Doors {
    calls: Handle,
    sources: Sources,
    openings: Arc<Semaphore>,
}

impl Doors {
    /// Brings calls to `calls`.
    pub fn new(calls: Handle) -> Self {
        Self {
            calls,
            sources: Sources::new(OPENINGS_PER_SOURCE_MAX),
            openings: Arc::new(Semaphore::new(OPENINGS_MAX)),
        }
    }

    /// Takes what comes to `listeners`.
    pub fn open(&self, io: &tokio::runtime::Runtime, listeners: Vec<TcpListener>) {
        for listener in listeners {
            if let Ok(address) = listener.local_addr() {
                tracing::info!(%address, "AudioSocket listens");
            }
            io.spawn(self.clone().run(listener));
        }
    }

    /// Takes what comes to a listener, for ever.
    async fn run(self, listener: TcpListener) {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an AudioSocket connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (Some(place), Ok(opening)) =
                (self.sources.take(peer.ip()), Arc::clone(&self.openings).try_acquire_owned())
            else {
                tracing::debug!(%peer, "AudioSocket connection refused: too many say nothing");
                continue;
            };
            let doors = self.clone();
            tokio::spawn(async move {
                let opened = tokio::time::timeout(FIRST_WITHIN, first(stream));
                match opened.await {
                    Ok(Ok((stream, uuid))) => doors.bring(stream, peer, uuid).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "no AudioSocket connection"),
                    Err(_) => tracing::debug!(%peer, "an AudioSocket connection said nothing"),
                }
                drop((place, opening));
            });
        }
    }

    /// Brings the call that a connection is, and hands the connection over.
    async fn bring(&self, mut stream: TcpStream, peer: SocketAddr, uuid: [u8; 16]) {
        let numbers = Numbers::of(uuid);
        let call = PbxCall {
            door: Door::AudioSocket,
            address: peer.ip().to_canonical(),
            credentials: None,
            trusts_loopback: true,
            from: numbers.as_ref().and_then(|numbers| numbers.from.clone()),
            to: numbers.map(|numbers| numbers.to),
            variables: Vec::new(),
            id: Some(Uuid::from_bytes(uuid)),
        };
        let asked = self.calls.ask(|reply| Request::PbxCall { call: Box::new(call), reply });
        let call = match asked.await {
            Some(Ok(call)) => call,
            Some(Err(refusal)) => {
                // Strangers would fill the log.
                match refusal {
                    PbxRefusal::Stranger => {
                        tracing::debug!(%peer, %refusal, "an AudioSocket call is not taken");
                    }
                    PbxRefusal::Token(_) => {
                        tracing::warn!(%peer, %refusal, "a call's AudioSocket is not let in");
                    }
                    _ => tracing::info!(%peer, %refusal, "an AudioSocket call is not taken"),
                }
                return refuse(&mut stream).await;
            }
            None => return refuse(&mut stream).await,
        };
        let socket = stream.into_std().map(|stream| AgentSocket {
            stream,
            tls: None,
            // The stream begins with it.
            unread: audiosocket::first_message(uuid).to_vec(),
            role: Role::Server,
        });
        let socket = socket.inspect_err(|error| tracing::warn!(%error, "a connection is lost"));
        self.calls.send(Request::LineOpen { call, socket: socket.ok() }).await;
    }
}

/// The connection, and the UUID that it begins with.
async fn first(mut stream: TcpStream) -> io::Result<(TcpStream, [u8; 16])> {
    stream.set_nodelay(true)?;
    let mut message = [0; FIRST_BYTES];
    stream.read_exact(&mut message).await?;
    let uuid = audiosocket::uuid(&message).ok_or(io::ErrorKind::InvalidData)?;
    Ok((stream, uuid))
}

/// Lets the far end hang up. A connection that is closed while audio comes would be reset, and
/// take the word back.
async fn refuse(stream: &mut TcpStream) {
    let said = async {
        stream.write_all(&HANGUP).await?;
        stream.shutdown().await?;
        let mut rest = [0; 1_024];
        while stream.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(FIRST_WITHIN, said).await;
}
