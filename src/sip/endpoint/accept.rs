//! Accepting connections: limits, and the handshakes that come before SIP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;

use super::connection::{BoxedIo, Framing};
use super::streams::StreamEvent;
use super::websocket;
use crate::listen::sources::{Place, Sources};
use crate::listen::tls::ServerTls;
use crate::sip::core::endpoint::Transport;
use crate::telemetry::few::Few;
use crate::workers::poller::now;

/// Handshakes under way at once; what comes beyond them is closed.
pub const HANDSHAKES_MAX: usize = 256;
/// Handshakes of one source under way at once: nobody keeps the others from theirs.
pub const HANDSHAKES_PER_SOURCE_MAX: usize = 64;
/// How long the handshakes of a connection may take, TLS and WebSocket together.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections from one source, those in their handshake included.
pub const CONNECTIONS_PER_SOURCE_MAX: usize = 512;
/// How long no connection is accepted after the system could not give one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection that is ready for SIP.
pub struct Accepted {
    /// The connection, decrypted.
    pub io: BoxedIo,
    /// How messages lie in it.
    pub framing: Framing,
    /// Bytes that came behind the handshake.
    pub unread: Vec<u8>,
    /// Its transport.
    pub transport: Transport,
    /// Our end, as peers are told.
    pub local: SocketAddr,
    /// Its far end.
    pub peer: SocketAddr,
    /// Names that the peer's certificate proves.
    pub names: Arc<[String]>,
    /// Its place among those of its source.
    pub(super) place: Place,
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted")
            .field("transport", &self.transport)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Places for handshakes: of all together, and of each source.
#[derive(Clone)]
pub(super) struct Handshakes {
    all: Arc<Semaphore>,
    each: Sources,
}

impl Handshakes {
    pub(super) fn new() -> Self {
        let all = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        Self { all, each: Sources::new(HANDSHAKES_PER_SOURCE_MAX) }
    }
}

/// A listener and what its connections go through.
pub(super) struct Door {
    pub(super) transport: Transport,
    /// As peers are told.
    pub(super) local: SocketAddr,
    pub(super) tls: Option<Arc<ServerTls>>,
    /// Pages that may open WebSockets; all if empty.
    pub(super) origins: Arc<[String]>,
    pub(super) sources: Sources,
    pub(super) handshakes: Handshakes,
    pub(super) refusals: Arc<Few>,
    pub(super) events: mpsc::Sender<StreamEvent>,
}

impl Door {
    /// Accepts connections for ever.
    pub(super) async fn run(self, listener: TcpListener) {
        let door = Arc::new(self);
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    if door.events.is_closed() {
                        return;
                    }
                    door.greet(stream, peer);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a SIP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn greet(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        let refuse = |why: &'static str, most: usize| {
            if let Some(unlogged) = self.refusals.line(now()) {
                tracing::warn!(source = %peer.ip(), why, most, unlogged, "SIP connection refused");
            }
        };
        let Some(place) = self.sources.take(peer.ip()) else {
            return refuse("connections of the source", CONNECTIONS_PER_SOURCE_MAX);
        };
        let Some(own) = self.handshakes.each.take(peer.ip()) else {
            return refuse("handshakes of the source", HANDSHAKES_PER_SOURCE_MAX);
        };
        let Ok(permit) = Arc::clone(&self.handshakes.all).try_acquire_owned() else {
            return refuse("handshakes", HANDSHAKES_MAX);
        };
        let door = Arc::clone(self);
        tokio::spawn(async move {
            let opened = tokio::time::timeout(HANDSHAKE_TIMEOUT, door.open(stream, peer, place));
            match opened.await {
                Ok(Ok(accepted)) => {
                    let _ = door.events.send(StreamEvent::Accepted(accepted)).await;
                }
                Ok(Err(error)) => tracing::debug!(%peer, %error, "SIP connection not opened"),
                Err(_) => tracing::debug!(%peer, "SIP connection not opened: it took too long"),
            }
            drop((permit, own));
        });
    }

    async fn open(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        place: Place,
    ) -> io::Result<Accepted> {
        stream.set_nodelay(true)?;
        let mut names = Arc::default();
        let io: BoxedIo = match &self.tls {
            None => Box::new(stream),
            Some(tls) => {
                let stream = TlsAcceptor::from(tls.config()).accept(stream).await?;
                names = tls.proven(stream.get_ref().1.peer_certificates());
                Box::new(stream)
            }
        };
        let (transport, local) = (self.transport, self.local);
        let (io, unread, framing) = if transport.is_websocket() {
            let (io, unread) = websocket::accept(io, &self.origins).await?;
            (io, unread, Framing::WebSocket)
        } else {
            (io, Vec::new(), Framing::Stream)
        };
        Ok(Accepted { io, framing, unread, transport, local, peer, names, place })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpSocket;

    use super::super::streams::Streams;
    use super::*;

    /// Somebody who begins as many handshakes as there may be, and goes on with none, does not keep
    /// others from theirs.
    #[tokio::test]
    async fn one_source_does_not_take_all_handshakes() {
        let (streams, mut events) = Streams::new();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let address = streams.listen(Transport::Ws, any, |it| it, None, Arc::default()).unwrap();
        let mut silent = Vec::new();
        for _ in 0..=HANDSHAKES_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
        let mut other = socket.connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\
                        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        other.write_all(request).await.unwrap();
        let mut status = [0; 12];
        other.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 101");
        assert!(matches!(events.recv().await, Some(StreamEvent::Accepted(_))));
        drop(silent);
    }
}
