//! A socket to which a peer sends: connected while nobody else can be the peer, and answering from
//! the address that the peer sends to.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use super::{sys, wildcard};

/// A socket of a peer's media.
#[derive(Debug)]
pub(super) struct PeerSocket {
    socket: UdpSocket,
    /// Whom the kernel lets through, if it lets nobody else.
    connected: Option<SocketAddr>,
    /// It hears at every address of the machine. Connected it would hear at the one that the kernel
    /// chooses, so it is connected only where that is the one that the peer sends to.
    everywhere: bool,
    /// Which one that is, once it is known.
    reached: Option<IpAddr>,
    /// Towards this source the kernel would choose another.
    apart: Option<SocketAddr>,
}

impl PeerSocket {
    /// A socket that hears everybody.
    pub(super) fn new(socket: UdpSocket) -> Self {
        let everywhere = wildcard::hears_everywhere(&socket);
        if everywhere && let Err(error) = wildcard::watch(&socket) {
            tracing::warn!(%error, "nobody tells at which address packets arrive");
        }
        Self { socket, connected: None, everywhere, reached: None, apart: None }
    }

    /// The socket.
    pub(super) const fn get(&self) -> &UdpSocket {
        &self.socket
    }

    /// Gives the socket back.
    pub(super) fn into_inner(self) -> UdpSocket {
        self.socket
    }

    /// Whom the kernel lets through, if it lets nobody else.
    pub(super) const fn connected(&self) -> Option<SocketAddr> {
        self.connected
    }

    /// Whether [`PeerSocket::follow`] has nothing to do for this source.
    #[inline]
    pub(super) fn knows(&self, source: SocketAddr) -> bool {
        self.connected == Some(source) || self.apart == Some(source)
    }

    /// Receives a datagram: its length, where it came from, and at which address if that is not
    /// known by itself.
    #[inline]
    pub(super) fn receive(
        &self,
        buffer: &mut [u8],
    ) -> io::Result<(usize, SocketAddr, Option<IpAddr>)> {
        if self.everywhere && self.connected.is_none() {
            return wildcard::receive(&self.socket, buffer);
        }
        self.socket.recv_from(buffer).map(|(length, from)| (length, from, None))
    }

    /// The peer sends to this address of ours.
    #[inline]
    pub(super) fn reach(&mut self, reached: Option<IpAddr>) {
        if reached.is_some() && reached != self.reached {
            (self.reached, self.apart) = (reached, None);
        }
    }

    /// Connects the socket to the one source that counts, or opens it to all.
    #[cold]
    pub(super) fn follow(&mut self, source: Option<SocketAddr>) {
        let wanted = source.filter(|_| !self.everywhere || self.reached.is_some());
        if wanted == self.connected {
            return;
        }
        let done = match wanted {
            Some(source) => self.connect(source),
            None => sys::disconnect(&self.socket).map(|()| None),
        };
        // Whatever it is now: it is not left alone as if it were connected.
        self.connected = done.unwrap_or_else(|error| {
            tracing::debug!(%error, "an RTP socket cannot be connected anew");
            None
        });
    }

    fn connect(&mut self, source: SocketAddr) -> io::Result<Option<SocketAddr>> {
        self.socket.connect(source)?;
        if self.everywhere && self.reached != Some(self.socket.local_addr()?.ip()) {
            self.apart = Some(source);
            return sys::disconnect(&self.socket).map(|()| None);
        }
        Ok(Some(source))
    }

    /// Sends to whom it is connected to.
    #[inline]
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<usize> {
        self.socket.send(packet)
    }

    /// Sends to `to`, from where the peer sends to if that is known.
    pub(super) fn send_to(&self, packet: &[u8], to: SocketAddr) -> io::Result<usize> {
        match self.reached.filter(|reached| reached.is_ipv4() == to.is_ipv4()) {
            Some(from) => wildcard::send(&self.socket, packet, to, from),
            None => self.socket.send_to(packet, to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(reached: &str) -> (PeerSocket, UdpSocket, SocketAddr) {
        // A port that was asked for stays when the socket is opened again.
        let port = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let socket = UdpSocket::bind(("0.0.0.0", port)).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        let socket = PeerSocket::new(socket);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        (socket, peer, SocketAddr::new(reached.parse().unwrap(), port))
    }

    /// A wildcard that is reached where the kernel would send from is connected, and hears the peer
    /// there; one that is reached elsewhere stays open, hears it, and answers from there.
    #[test]
    fn answers_from_where_it_is_reached() {
        for (reached, connects) in [("127.0.0.1", true), ("127.0.0.9", false)] {
            let (mut socket, peer, there) = pair(reached);
            let source = peer.local_addr().unwrap();
            socket.follow(Some(source));
            assert_eq!(socket.connected(), None, "nothing has reached it yet");
            let mut buffer = [0; 8];
            for round in 0..3 {
                peer.send_to(b"x", there).unwrap();
                let (length, from, at) = socket.receive(&mut buffer).unwrap();
                assert_eq!((length, from), (1, source));
                socket.reach(at);
                socket.follow(Some(source));
                assert!(socket.knows(source), "{reached} {round}");
                assert_eq!(socket.connected().is_some(), connects);
                let sent = match socket.connected() {
                    Some(_) => socket.send(b"back"),
                    None => socket.send_to(b"back", source),
                };
                assert_eq!(sent.unwrap(), 4);
                assert_eq!(peer.recv_from(&mut buffer).unwrap(), (4, there));
            }
            // Opened again, it hears everybody, everywhere.
            socket.follow(None);
            let other = UdpSocket::bind("127.0.0.1:0").unwrap();
            other.send_to(b"y", ("127.0.0.3", there.port())).unwrap();
            let (_, from, at) = socket.receive(&mut buffer).unwrap();
            assert_eq!(from, other.local_addr().unwrap());
            assert_eq!(at, Some("127.0.0.3".parse().unwrap()));
        }
    }

    /// A socket at one address needs none of that.
    #[test]
    fn one_address_is_known_by_itself() {
        let mut socket = PeerSocket::new(UdpSocket::bind("127.0.0.1:0").unwrap());
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.follow(Some(peer.local_addr().unwrap()));
        assert_eq!(socket.connected(), Some(peer.local_addr().unwrap()));
        peer.send_to(b"x", socket.get().local_addr().unwrap()).unwrap();
        let received = socket.receive(&mut [0; 8]).unwrap();
        assert_eq!(received, (1, peer.local_addr().unwrap(), None));
    }
}
