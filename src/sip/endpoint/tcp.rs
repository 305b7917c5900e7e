//! SIP over TCP: connections accepted and opened, each with a task that reads and one that writes.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::sip::core::message::Message;
use crate::sip::core::stream::{StreamDecoder, StreamItem};

/// Connections held at once; more are closed on arrival.
pub const CONNECTIONS_MAX: usize = 4_096;
/// Messages that may wait to be written to one connection; a peer that is slower is closed.
pub const WRITES_MAX: usize = 256;
/// Messages that may wait for the core from all connections.
pub const READS_MAX: usize = 1_024;
/// How long opening a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may say nothing at all.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Read buffer of one connection, in bytes.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Something that happened on a connection.
#[derive(Debug)]
pub enum TcpEvent {
    /// A connection was accepted.
    Accepted {
        /// The socket.
        stream: TcpStream,
        /// Its far end.
        peer: SocketAddr,
    },
    /// A message arrived.
    Message {
        /// The connection.
        connection: u64,
        /// Our end.
        local: SocketAddr,
        /// Its far end.
        peer: SocketAddr,
        /// The message.
        message: Message,
    },
    /// The connection is gone.
    Closed {
        /// The connection.
        connection: u64,
        /// Our end; unspecified if it was never open.
        local: SocketAddr,
        /// Its far end.
        peer: SocketAddr,
    },
}

struct Connection {
    peer: SocketAddr,
    writes: mpsc::Sender<Bytes>,
}

/// All connections of the SIP core.
pub struct TcpTransport {
    connections: HashMap<u64, Connection>,
    by_peer: HashMap<SocketAddr, u64>,
    next: u64,
    events: mpsc::Sender<TcpEvent>,
}

impl TcpTransport {
    /// No connections yet; events go to the returned receiver.
    pub fn new() -> (Self, mpsc::Receiver<TcpEvent>) {
        let (events, receiver) = mpsc::channel(READS_MAX);
        let transport =
            Self { connections: HashMap::new(), by_peer: HashMap::new(), next: 1, events };
        (transport, receiver)
    }

    /// Accepts connections on `address`, from now on.
    ///
    /// # Errors
    ///
    /// As `bind(2)`.
    pub async fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let local = listener.local_addr()?;
        let events = self.events.clone();
        tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => {
                        if events.send(TcpEvent::Accepted { stream, peer }).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a SIP connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        });
        Ok(local)
    }

    /// Takes an accepted connection into care.
    pub fn accepted(&mut self, stream: TcpStream, peer: SocketAddr) {
        if self.connections.len() >= CONNECTIONS_MAX {
            tracing::warn!("SIP connection refused: {CONNECTIONS_MAX} are open");
            return;
        }
        let (connection, reads) = self.register(peer);
        tokio::spawn(run(stream, connection, peer, reads, self.events.clone()));
    }

    /// The connection to `peer`, opened if there is none.
    pub fn connection(&mut self, peer: SocketAddr) -> u64 {
        if let Some(connection) = self.by_peer.get(&peer) {
            return *connection;
        }
        let (connection, reads) = self.register(peer);
        let events = self.events.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(peer)).await {
                Ok(Ok(stream)) => run(stream, connection, peer, reads, events).await,
                _ => {
                    let local = unspecified(peer);
                    let _ = events.send(TcpEvent::Closed { connection, local, peer }).await;
                }
            }
        });
        connection
    }

    /// Sends a message. A connection that does not keep up is closed.
    pub fn send(&mut self, connection: u64, message: Bytes) {
        let Some(entry) = self.connections.get(&connection) else { return };
        if entry.writes.try_send(message).is_err() {
            self.closed(connection);
        }
    }

    /// Connections that are open or being opened.
    pub fn open(&self) -> usize {
        self.connections.len()
    }

    /// Forgets a connection that is gone.
    pub fn closed(&mut self, connection: u64) {
        if let Some(entry) = self.connections.remove(&connection)
            && self.by_peer.get(&entry.peer) == Some(&connection)
        {
            self.by_peer.remove(&entry.peer);
        }
    }

    fn register(&mut self, peer: SocketAddr) -> (u64, mpsc::Receiver<Bytes>) {
        let connection = self.next;
        self.next += 1;
        let (writes, reads) = mpsc::channel(WRITES_MAX);
        self.connections.insert(connection, Connection { peer, writes });
        self.by_peer.insert(peer, connection);
        (connection, reads)
    }
}

/// Runs one connection to its end.
async fn run(
    stream: TcpStream,
    connection: u64,
    peer: SocketAddr,
    reads: mpsc::Receiver<Bytes>,
    events: mpsc::Sender<TcpEvent>,
) {
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().unwrap_or(unspecified(peer));
    let (input, output) = stream.into_split();
    let (pongs, pong_queue) = mpsc::channel(1);
    let writer = tokio::spawn(write(output, reads, pong_queue));
    if let Err(error) = read(input, connection, local, peer, &events, pongs).await {
        tracing::debug!(%error, "SIP connection failed");
    }
    writer.abort();
    let _ = events.send(TcpEvent::Closed { connection, local, peer }).await;
}

/// The address that stands for one that was never had.
const fn unspecified(peer: SocketAddr) -> SocketAddr {
    match peer {
        SocketAddr::V4(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        SocketAddr::V6(_) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    }
}

async fn read(
    mut input: OwnedReadHalf,
    connection: u64,
    local: SocketAddr,
    peer: SocketAddr,
    events: &mpsc::Sender<TcpEvent>,
    pongs: mpsc::Sender<()>,
) -> io::Result<()> {
    let mut decoder = StreamDecoder::new();
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    loop {
        let length = tokio::time::timeout(IDLE_TIMEOUT, input.read(&mut buffer)).await??;
        if length == 0 {
            return Ok(());
        }
        decoder.push(buffer.get(..length).unwrap_or_default());
        while let Some(item) = decoder.next().map_err(io::Error::other)? {
            match item {
                StreamItem::Message(message) => {
                    let event = TcpEvent::Message { connection, local, peer, message };
                    if events.send(event).await.is_err() {
                        return Ok(());
                    }
                }
                // RFC 5626 3.5.1: a ping is answered; one answer for many is enough.
                StreamItem::Ping => {
                    let _ = pongs.try_send(());
                }
                StreamItem::Malformed(error) => tracing::debug!(%error, "malformed SIP message"),
                StreamItem::Pong => {}
            }
        }
    }
}

async fn write(
    mut output: OwnedWriteHalf,
    mut reads: mpsc::Receiver<Bytes>,
    mut pongs: mpsc::Receiver<()>,
) -> io::Result<()> {
    loop {
        tokio::select! {
            message = reads.recv() => match message {
                Some(message) => output.write_all(&message).await?,
                None => return output.shutdown().await,
            },
            Some(()) = pongs.recv() => output.write_all(b"\r\n").await?,
        }
    }
}
