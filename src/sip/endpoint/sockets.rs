//! All sockets of SIP: where they are bound, what arrives, where messages leave.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::dial::{Dial, Verify};
use super::streams::{Identities, StreamEvent, Streams};
use super::udp::UdpTransport;
use crate::listen::bound;
use crate::listen::tls::{ClientFiles, ClientTls, ServerTls, TlsError};
use crate::sip::core::endpoint::{Flow, Transmit, Transport};

/// Peers of whom is remembered how they are dialled, so that a lost connection can be opened again.
pub const PEERS_MAX: usize = 4_096;

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The transport.
    pub transport: Transport,
    /// The address to bind.
    pub address: SocketAddr,
    /// What peers are told instead; a port of 0 stands for the one that was bound.
    pub advertised: Option<SocketAddr>,
}

impl Listen {
    fn told(&self, bound: SocketAddr) -> SocketAddr {
        let mut told = self.advertised.unwrap_or(bound);
        if told.port() == 0 {
            told.set_port(bound.port());
        }
        told
    }
}

/// The key of the configuration that says where a transport listens.
pub const fn listen_key(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp | Transport::Tcp => "sip.listen",
        Transport::Tls => "sip.tls_listen",
        Transport::Ws => "sip.ws_listen",
        Transport::Wss => "sip.wss_listen",
    }
}

/// What is ready.
#[derive(Debug)]
pub enum Ready {
    /// There may be datagrams at the socket of this number.
    Datagrams(usize),
    /// Something happened on a connection.
    Stream(StreamEvent),
}

/// All sockets of SIP.
pub struct Sockets {
    udp: Vec<(UdpTransport, SocketAddr)>,
    streams: Streams,
    events: mpsc::Receiver<StreamEvent>,
    locals: Vec<(Transport, SocketAddr)>,
    bound: Vec<(Transport, SocketAddr)>,
    peers: HashMap<(Transport, SocketAddr), Dial>,
    /// Verifies peers of whom nothing else is known.
    tls: Option<Arc<ClientTls>>,
    /// Whose turn it is to be looked at first.
    streams_first: bool,
}

impl Sockets {
    /// Binds every address. An address of TCP with port 0 takes the port that UDP just got, or any
    /// other if a connection of somebody has that one.
    ///
    /// # Errors
    ///
    /// As `bind(2)`; the message names key, transport and address, and what to do.
    pub fn bind(
        listen: &[Listen],
        tls: Option<&Arc<ServerTls>>,
        origins: &[String],
    ) -> io::Result<Self> {
        let (streams, events) = Streams::new();
        let mut sockets = Self {
            udp: Vec::new(),
            streams,
            events,
            locals: Vec::new(),
            bound: Vec::new(),
            peers: HashMap::new(),
            tls: None,
            streams_first: false,
        };
        let origins: Arc<[String]> = origins.into();
        for place in listen {
            let named = |error: io::Error| {
                let what = format!("SIP {}", place.transport.as_str());
                bound::named(listen_key(place.transport), &what, place.address, &error)
            };
            let bound = sockets.bind_one(place, tls, &origins).map_err(named)?;
            sockets.bound.push((place.transport, bound));
            sockets.locals.push((place.transport, place.told(bound)));
        }
        Ok(sockets)
    }

    fn bind_one(
        &mut self,
        place: &Listen,
        tls: Option<&Arc<ServerTls>>,
        origins: &Arc<[String]>,
    ) -> io::Result<SocketAddr> {
        let mut address = place.address;
        if place.transport == Transport::Udp {
            let udp = UdpTransport::bind(address)?;
            let bound = udp.local();
            self.udp.push((udp, place.told(bound)));
            return Ok(bound);
        }
        if address.port() == 0 && place.transport == Transport::Tcp {
            let twin = self.bound.iter().rev().find(|(_, bound)| bound.ip() == address.ip());
            address.set_port(twin.map_or(0, |(_, bound)| bound.port()));
        }
        let tls = tls.filter(|_| place.transport.is_secure()).cloned();
        let listen = |address| {
            let tell = |bound| place.told(bound);
            self.streams.listen(place.transport, address, tell, tls.clone(), Arc::clone(origins))
        };
        match listen(address) {
            Err(taken) if taken.kind() == io::ErrorKind::AddrInUse && place.address.port() == 0 => {
                listen(place.address)
            }
            other => other,
        }
    }

    /// Where each transport listens, as peers are told.
    pub fn locals(&self) -> &[(Transport, SocketAddr)] {
        &self.locals
    }

    /// Where each transport is bound.
    pub fn bound(&self) -> &[(Transport, SocketAddr)] {
        &self.bound
    }

    /// Our end of a path to `peer`. What has no listener of its own goes out beside another.
    pub fn local(&self, transport: Transport, peer: SocketAddr) -> Option<SocketAddr> {
        let of = |wanted: Transport| {
            let fits =
                |(t, local): &&(_, SocketAddr)| *t == wanted && local.is_ipv4() == peer.is_ipv4();
            self.locals.iter().find(fits).map(|(_, local)| *local)
        };
        let instead: &[Transport] = match transport {
            Transport::Udp | Transport::Tcp => &[],
            Transport::Tls | Transport::Ws => &[Transport::Tcp, Transport::Udp],
            Transport::Wss => &[Transport::Tls, Transport::Tcp, Transport::Udp],
        };
        of(transport).or_else(|| instead.iter().find_map(|other| of(*other)))
    }

    /// Opens a path as `dial` says, or takes one that is open: none where the transport is not
    /// enabled, or the peer can only be reached over a connection of its own.
    pub fn path(&mut self, transport: Transport, peer: SocketAddr, dial: Dial) -> Option<Flow> {
        let local = self.local(transport, peer)?;
        let mut flow = Flow { transport, local, peer, connection: 0 };
        if transport == Transport::Udp {
            return Some(flow);
        }
        if dial.verify.is_some() || dial.web.is_some() {
            if self.peers.len() >= PEERS_MAX {
                self.peers.clear();
            }
            self.peers.insert((transport, peer), dial.clone());
        }
        flow.connection = self.streams.open(flow, &dial)?;
        Some(flow)
    }

    /// Waits until something is ready. Nothing is lost if the future is dropped.
    pub async fn ready(&mut self) -> Ready {
        self.streams_first = !self.streams_first;
        let Self { udp, events, streams_first, .. } = self;
        std::future::poll_fn(|context| {
            if *streams_first && let Poll::Ready(Some(event)) = events.poll_recv(context) {
                return Poll::Ready(Ready::Stream(event));
            }
            for (index, (udp, _)) in udp.iter().enumerate() {
                if udp.poll_readable(context).is_ready() {
                    return Poll::Ready(Ready::Datagrams(index));
                }
            }
            match events.poll_recv(context) {
                Poll::Ready(Some(event)) => Poll::Ready(Ready::Stream(event)),
                // Never closed: the streams hold a sender.
                Poll::Ready(None) | Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Takes the next datagram of a socket.
    pub fn datagram(&mut self, index: usize) -> Option<(Flow, Bytes)> {
        let (udp, local) = self.udp.get_mut(index)?;
        let (peer, data) = udp.receive()?;
        Some((Flow { transport: Transport::Udp, local: *local, peer, connection: 0 }, data))
    }

    /// The connections.
    pub const fn streams(&mut self) -> &mut Streams {
        &mut self.streams
    }

    /// Names that peers proved by their certificates.
    pub fn identities(&self) -> Identities {
        self.streams.identities()
    }

    /// Sends a message.
    ///
    /// # Errors
    /// The flow, if there is no way to its peer. Where it names a connection, that is gone.
    pub fn send(&mut self, transmit: Transmit) -> Result<(), Flow> {
        let Transmit { flow, bytes } = transmit;
        if flow.transport == Transport::Udp {
            let own = |(_, local): &&(UdpTransport, SocketAddr)| *local == flow.local;
            let family =
                |(_, local): &&(UdpTransport, SocketAddr)| local.is_ipv4() == flow.peer.is_ipv4();
            let socket = self.udp.iter().find(own).or_else(|| self.udp.iter().find(family));
            let (udp, _) = socket.ok_or(flow)?;
            udp.send(flow.peer, &bytes);
            return Ok(());
        }
        let connection = match flow.connection {
            0 => self.reopen(flow).ok_or(flow)?,
            connection => connection,
        };
        self.streams.send(connection, bytes)
    }

    /// A connection in the place of one that is gone.
    fn reopen(&mut self, flow: Flow) -> Option<u64> {
        let known = self.peers.get(&(flow.transport, flow.peer)).cloned();
        let dial = match known {
            Some(dial) => dial,
            None if flow.transport == Transport::Tls => {
                let name = flow.peer.ip().to_string().into();
                let tls = self.default_tls().inspect_err(|error| {
                    tracing::warn!(%error, "TLS towards SIP peers is not possible");
                });
                Dial { verify: Some(Verify { name, tls: tls.ok()? }), web: None }
            }
            None => Dial::default(),
        };
        self.streams.open(flow, &dial)
    }

    /// TLS with the authorities of the system.
    ///
    /// # Errors
    /// When there are none.
    pub fn default_tls(&mut self) -> Result<Arc<ClientTls>, TlsError> {
        if let Some(tls) = &self.tls {
            return Ok(Arc::clone(tls));
        }
        let tls = Arc::new(ClientTls::new(ClientFiles::default())?);
        Ok(Arc::clone(self.tls.insert(tls)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection of somebody else may have the port of TCP that UDP got.
    #[tokio::test]
    async fn tcp_takes_another_port_if_that_of_udp_is_taken() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let at = |transport, port| Listen {
            transport,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            advertised: None,
        };
        let listen = [at(Transport::Udp, port), at(Transport::Tcp, 0)];
        let sockets = Sockets::bind(&listen, None, &[]).unwrap();
        let [(_, udp), (_, tcp)] = sockets.bound() else { panic!("{:?}", sockets.bound()) };
        assert_eq!(udp.port(), port);
        assert_ne!(tcp.port(), port);
        assert_eq!(sockets.locals(), sockets.bound());

        drop(taken);
        drop(sockets);
        let sockets = Sockets::bind(&listen, None, &[]).unwrap();
        assert!(sockets.bound().iter().all(|(_, bound)| bound.port() == port));
    }
}
