//! Connections accepted and opened, and what runs over them.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::accept::{Accepted, CONNECTIONS_PER_SOURCE_MAX, Door, Handshakes};
use super::connection::{Opener, Run};
use super::dial::Dial;
use crate::listen::sources::Sources;
use crate::listen::tls::ServerTls;
use crate::sip::core::endpoint::{Flow, Transport};
use crate::sip::core::message::Message;
use crate::telemetry::few::Few;
use crate::workers::poller::now;

/// Connections held at once; more are closed on arrival.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Messages that may wait to be written to one connection; a peer that is slower is closed.
pub const WRITES_MAX: usize = 256;
/// Messages that may wait for the core from all connections.
pub const READS_MAX: usize = 1_024;
/// How long opening a connection may take, its TLS handshake included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that wait to be accepted by the kernel.
const BACKLOG: i32 = 1_024;

/// Something that happened on a connection.
#[derive(Debug)]
pub enum StreamEvent {
    /// A connection was accepted.
    Accepted(Accepted),
    /// A message arrived.
    Message {
        /// The connection.
        connection: u64,
        /// The message.
        message: Message,
    },
    /// The connection is gone.
    Closed {
        /// The connection.
        connection: u64,
    },
}

/// Names that peers proved by their certificates, by connection.
#[derive(Clone, Debug, Default)]
pub struct Identities(Arc<Mutex<HashMap<u64, Arc<[String]>>>>);

impl Identities {
    /// What the far end of a flow proved; nothing where it showed no certificate.
    pub fn names(&self, flow: Flow) -> Arc<[String]> {
        self.lock().get(&flow.connection).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<[String]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Connection {
    flow: Flow,
    /// How we opened it, if we did.
    dial: Option<Dial>,
    writes: mpsc::Sender<Bytes>,
    /// What runs over it.
    task: AbortHandle,
}

/// All connections of the SIP core.
pub struct Streams {
    connections: HashMap<u64, Connection>,
    by_peer: HashMap<(Transport, SocketAddr), Vec<u64>>,
    next: u64,
    identities: Identities,
    events: mpsc::Sender<StreamEvent>,
    sources: Sources,
    handshakes: Handshakes,
    /// Lines about connections that are refused.
    refusals: Arc<Few>,
}

impl Streams {
    /// No connections yet; events go to the returned receiver.
    pub fn new() -> (Self, mpsc::Receiver<StreamEvent>) {
        let (events, receiver) = mpsc::channel(READS_MAX);
        let streams = Self {
            connections: HashMap::new(),
            by_peer: HashMap::new(),
            next: 1,
            identities: Identities::default(),
            events,
            sources: Sources::new(CONNECTIONS_PER_SOURCE_MAX),
            handshakes: Handshakes::new(),
            refusals: Arc::default(),
        };
        (streams, receiver)
    }

    /// Accepts connections on `address` from now on; the address that was bound. `tell` makes of it
    /// what peers are told.
    ///
    /// # Errors
    ///
    /// As `bind(2)`.
    pub fn listen(
        &self,
        transport: Transport,
        address: SocketAddr,
        tell: impl FnOnce(SocketAddr) -> SocketAddr,
        tls: Option<Arc<ServerTls>>,
        origins: Arc<[String]>,
    ) -> io::Result<SocketAddr> {
        let listener = listener(address)?;
        let local = listener.local_addr()?;
        let door = Door {
            transport,
            local: tell(local),
            tls,
            origins,
            sources: self.sources.clone(),
            handshakes: self.handshakes.clone(),
            refusals: Arc::clone(&self.refusals),
            events: self.events.clone(),
        };
        tokio::spawn(door.run(listener));
        Ok(local)
    }

    /// Takes an accepted connection into care.
    pub fn accepted(&mut self, accepted: Accepted) {
        let Accepted { io, framing, unread, transport, local, peer, names, place } = accepted;
        if self.connections.len() >= CONNECTIONS_MAX {
            if let Some(unlogged) = self.refusals.line(now()) {
                tracing::warn!(unlogged, "SIP connection refused: {CONNECTIONS_MAX} are open");
            }
            return;
        }
        let connection = self.number();
        let flow = Flow { transport, local, peer, connection };
        let (sender, writes) = mpsc::channel(WRITES_MAX);
        if !names.is_empty() {
            self.identities.lock().insert(connection, names);
        }
        let events = self.events.clone();
        let run = Run { connection, framing, opener: Opener::Peer, unread, writes, events };
        let task = tokio::spawn(async move {
            run.run(io).await;
            drop(place);
        });
        self.register(Connection { flow, dial: None, writes: sender, task: task.abort_handle() });
    }

    /// The connection to the peer of `flow`, opened if there is none. With somebody to verify it is
    /// one whose far end proved to be that; none over TLS if nobody is, and none over WebSockets if
    /// nothing is said of where.
    pub fn open(&mut self, flow: Flow, dial: &Dial) -> Option<u64> {
        let known = self.by_peer.get(&(flow.transport, flow.peer)).into_iter().flatten().rev();
        let accepted = Dial::default();
        let fits = |connection: &&u64| {
            let entry = self.connections.get(connection);
            entry.is_some_and(|entry| dial.fits(entry.dial.as_ref().unwrap_or(&accepted)))
        };
        if let Some(connection) = known.copied().find(|connection| fits(&connection)) {
            return Some(connection);
        }
        let Flow { transport, .. } = flow;
        let (secure, web) = (transport.is_secure(), transport.is_websocket());
        let possible = transport.is_reliable()
            && (!secure || dial.verify.is_some())
            && (!web || dial.web.is_some());
        if !possible || self.connections.len() >= CONNECTIONS_MAX {
            return None;
        }
        let dial = Dial {
            verify: dial.verify.clone().filter(|_| secure),
            web: dial.web.clone().filter(|_| web),
        };
        let connection = self.number();
        let flow = Flow { connection, ..flow };
        let (sender, writes) = mpsc::channel(WRITES_MAX);
        let (opening, events) = (dial.clone().open(flow.peer), self.events.clone());
        let task = tokio::spawn(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
                Ok(Ok((io, framing, unread))) => {
                    let opener = Opener::Us;
                    let run = Run { connection, framing, opener, unread, writes, events };
                    return run.run(io).await;
                }
                Ok(Err(error)) => {
                    let transport = flow.transport.as_str();
                    tracing::info!(peer = %flow.peer, transport, %error, "cannot connect for SIP");
                }
                Err(_) => tracing::info!(peer = %flow.peer, "connecting for SIP took too long"),
            }
            let _ = events.send(StreamEvent::Closed { connection }).await;
        });
        let (dial, task) = (Some(dial), task.abort_handle());
        self.register(Connection { flow, dial, writes: sender, task });
        Some(connection)
    }

    /// Sends a message. A connection that does not keep up is ended at once.
    ///
    /// # Errors
    /// The path that it was, if it is gone now.
    pub fn send(&mut self, connection: u64, message: Bytes) -> Result<(), Flow> {
        let Some(entry) = self.connections.get(&connection) else { return Ok(()) };
        if entry.writes.try_send(message).is_ok() {
            return Ok(());
        }
        self.closed(connection).map_or(Ok(()), Err)
    }

    /// The path that a connection is.
    pub fn flow(&self, connection: u64) -> Option<Flow> {
        self.connections.get(&connection).map(|entry| entry.flow)
    }

    /// Names that peers proved by their certificates.
    pub fn identities(&self) -> Identities {
        self.identities.clone()
    }

    /// Connections that are open or being opened.
    pub fn count(&self) -> usize {
        self.connections.len()
    }

    /// Forgets a connection that is gone, and ends what may still run over it; the path that it
    /// was.
    pub fn closed(&mut self, connection: u64) -> Option<Flow> {
        let entry = self.connections.remove(&connection)?;
        entry.task.abort();
        self.identities.lock().remove(&connection);
        let key = (entry.flow.transport, entry.flow.peer);
        if let Some(known) = self.by_peer.get_mut(&key) {
            known.retain(|known| *known != connection);
            if known.is_empty() {
                self.by_peer.remove(&key);
            }
        }
        Some(entry.flow)
    }

    const fn number(&mut self) -> u64 {
        let connection = self.next;
        self.next += 1;
        connection
    }

    fn register(&mut self, entry: Connection) {
        let flow = entry.flow;
        self.connections.insert(flow.connection, entry);
        self.by_peer.entry((flow.transport, flow.peer)).or_default().push(flow.connection);
    }
}

/// A listening socket. One for IPv6 leaves IPv4 alone, so that both may have the same port.
fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// A peer that does not keep up loses its connection at once, whatever waits to be written.
    #[tokio::test]
    async fn slow_peers_are_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut streams, _events) = Streams::new();
        let (local, peer) = ("127.0.0.1:5060".parse().unwrap(), listener.local_addr().unwrap());
        let flow = Flow { transport: Transport::Tcp, local, peer, connection: 0 };
        let connection = streams.open(flow, &Dial::default()).unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        let message = Bytes::from_static(&[b'x'; 1_000]);
        streams.send(connection, message.clone()).unwrap();
        far.read_exact(&mut [0; 1_000]).await.unwrap();
        // Nothing runs meanwhile: the queue fills.
        for _ in 0..WRITES_MAX {
            streams.send(connection, message.clone()).unwrap();
        }
        let gone = streams.send(connection, message.clone());
        assert_eq!(gone, Err(Flow { connection, ..flow }));
        assert_eq!((streams.count(), streams.flow(connection)), (0, None));
        assert_eq!(streams.send(connection, message), Ok(()), "told once");
        let mut rest = Vec::new();
        let _ = far.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "{} bytes", rest.len());
        assert_ne!(streams.open(flow, &Dial::default()), Some(connection));
    }
}
