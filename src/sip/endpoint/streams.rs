//! Connections accepted and opened, and what runs over them.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsConnector;

use super::accept::{Accepted, Door, HANDSHAKES_MAX, Sources};
use super::connection::{BoxedIo, Framing, Opener, Run};
use super::tls::{ClientTls, ServerTls};
use crate::sip::core::endpoint::{Flow, Transport};
use crate::sip::core::message::Message;

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

/// Whom TLS expects at the far end, and by which authorities.
#[derive(Clone, Debug)]
pub struct Verify {
    /// The host of the URI that led there (RFC 5922 7.1).
    pub name: Arc<str>,
    /// Authorities and our own certificate.
    pub tls: Arc<ClientTls>,
}

impl Verify {
    fn same(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.tls, &other.tls)
    }
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
    /// Whom we verified, where we opened it.
    verify: Option<Verify>,
    writes: mpsc::Sender<Bytes>,
}

/// All connections of the SIP core.
pub struct Streams {
    connections: HashMap<u64, Connection>,
    by_peer: HashMap<(Transport, SocketAddr), Vec<u64>>,
    next: u64,
    identities: Identities,
    events: mpsc::Sender<StreamEvent>,
    sources: Sources,
    handshakes: Arc<Semaphore>,
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
            sources: Sources::default(),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
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
            handshakes: Arc::clone(&self.handshakes),
            events: self.events.clone(),
        };
        tokio::spawn(door.run(listener));
        Ok(local)
    }

    /// Takes an accepted connection into care.
    pub fn accepted(&mut self, accepted: Accepted) {
        let Accepted { io, framing, unread, transport, local, peer, names, place } = accepted;
        if self.connections.len() >= CONNECTIONS_MAX {
            return tracing::warn!("SIP connection refused: {CONNECTIONS_MAX} are open");
        }
        let flow = Flow { transport, local, peer, connection: 0 };
        let (connection, writes) = self.register(flow, None);
        if !names.is_empty() {
            self.identities.lock().insert(connection, names);
        }
        let events = self.events.clone();
        let run = Run { connection, framing, opener: Opener::Peer, unread, writes, events };
        tokio::spawn(async move {
            run.run(io).await;
            drop(place);
        });
    }

    /// The connection to the peer of `flow`, opened if there is none. With `verify` it is one whose
    /// far end proved to be that; none over TLS if nobody is to be verified.
    pub fn open(&mut self, flow: Flow, verify: Option<&Verify>) -> Option<u64> {
        let known = self.by_peer.get(&(flow.transport, flow.peer)).into_iter().flatten().rev();
        let fits = |connection: &&u64| match (verify, self.connections.get(connection)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(wanted), Some(entry)) => {
                entry.verify.as_ref().is_some_and(|verified| verified.same(wanted))
            }
        };
        if let Some(connection) = known.copied().find(|connection| fits(&connection)) {
            return Some(connection);
        }
        let secure = flow.transport == Transport::Tls;
        let plain = flow.transport == Transport::Tcp;
        if !(plain || secure && verify.is_some()) || self.connections.len() >= CONNECTIONS_MAX {
            return None;
        }
        let verify = verify.filter(|_| secure).cloned();
        let (connection, writes) = self.register(flow, verify.clone());
        let events = self.events.clone();
        let framing = Framing::Stream;
        let unread = Vec::new();
        let run = Run { connection, framing, opener: Opener::Us, unread, writes, events };
        tokio::spawn(async move {
            let connecting = connect(flow.peer, verify.as_ref());
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(io)) => return run.run(io).await,
                Ok(Err(error)) => {
                    let transport = flow.transport.as_str();
                    tracing::info!(peer = %flow.peer, transport, %error, "cannot connect for SIP");
                }
                Err(_) => tracing::info!(peer = %flow.peer, "connecting for SIP took too long"),
            }
            let _ = run.events.send(StreamEvent::Closed { connection }).await;
        });
        Some(connection)
    }

    /// Sends a message. A connection that does not keep up is closed.
    pub fn send(&mut self, connection: u64, message: Bytes) {
        let Some(entry) = self.connections.get(&connection) else { return };
        if entry.writes.try_send(message).is_err() {
            self.closed(connection);
        }
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

    /// Forgets a connection that is gone; the path that it was.
    pub fn closed(&mut self, connection: u64) -> Option<Flow> {
        let entry = self.connections.remove(&connection)?;
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

    fn register(&mut self, flow: Flow, verify: Option<Verify>) -> (u64, mpsc::Receiver<Bytes>) {
        let connection = self.next;
        self.next += 1;
        let (writes, receiver) = mpsc::channel(WRITES_MAX);
        let flow = Flow { connection, ..flow };
        self.connections.insert(connection, Connection { flow, verify, writes });
        self.by_peer.entry((flow.transport, flow.peer)).or_default().push(connection);
        (connection, receiver)
    }
}

/// Connects, and lets TLS verify whom we reached.
async fn connect(peer: SocketAddr, verify: Option<&Verify>) -> io::Result<BoxedIo> {
    let stream = TcpStream::connect(peer).await?;
    stream.set_nodelay(true)?;
    let Some(Verify { name, tls }) = verify else { return Ok(Box::new(stream)) };
    let name = ServerName::try_from(name.to_string()).map_err(io::Error::other)?;
    Ok(Box::new(TlsConnector::from(tls.config()).connect(name, stream).await?))
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
