//! The peer's leg: its sockets, where it sends from, and what it settled.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use adapters::agent::StreamFormat;
use media::codec::AudioFormat;
use media::leg::{Leg, StreamStart};
use media::time::MonoTime;

use super::command::{LegFormat, RtpSockets};

/// What is assumed of a peer with which nothing is settled yet.
const LIKELY_FORMAT: StreamFormat = StreamFormat { audio: AudioFormat::PCMU, ptime_ms: 20 };

/// The sockets and stream of a call's SIP side.
#[derive(Debug)]
pub(super) struct PeerLeg {
    /// RTP; connected once the peer's address is known for sure.
    rtp: UdpSocket,
    /// RTCP.
    rtcp: UdpSocket,
    /// What was settled; nothing is understood before.
    format: Option<LegFormat>,
    /// The stream, once there is a format.
    leg: Option<Leg>,
    start: StreamStart,
    /// Where the peer really sends from.
    latched: Option<SocketAddr>,
    /// When the last packet came.
    heard_at: MonoTime,
    /// Datagrams from elsewhere.
    foreign: u64,
}

impl PeerLeg {
    /// A leg on `sockets`.
    pub(super) fn new(
        now: MonoTime,
        sockets: RtpSockets,
        format: Option<LegFormat>,
        start: StreamStart,
    ) -> Self {
        let mut peer = Self {
            rtp: sockets.rtp,
            rtcp: sockets.rtcp,
            format: None,
            leg: None,
            start,
            latched: None,
            heard_at: now,
            foreign: 0,
        };
        if let Some(format) = format {
            peer.settle(now, format);
        }
        peer
    }

    /// Takes what offer and answer settled.
    pub(super) fn settle(&mut self, now: MonoTime, format: LegFormat) {
        let config = format.media;
        match &mut self.leg {
            Some(leg) => leg.reconfigure(config),
            None => self.leg = Some(Leg::new(now, config, self.start)),
        }
        let moved = self.format.is_some_and(|old| old.remote != format.remote);
        if moved && self.latched.is_some() && self.rtp.connect(format.remote).is_ok() {
            self.latched = Some(format.remote);
        }
        self.heard_at = now;
        self.format = Some(format);
    }

    /// RTP.
    pub(super) const fn rtp(&self) -> &UdpSocket {
        &self.rtp
    }

    /// RTCP.
    pub(super) const fn rtcp(&self) -> &UdpSocket {
        &self.rtcp
    }

    /// What was settled.
    pub(super) const fn format(&self) -> Option<&LegFormat> {
        self.format.as_ref()
    }

    /// The peer's audio as it is now; before offer and answer, what it most likely will be.
    pub(super) fn stream(&self) -> StreamFormat {
        self.format.map_or(LIKELY_FORMAT, |format| StreamFormat {
            audio: format.media.audio,
            ptime_ms: format.media.ptime_ms,
        })
    }

    /// The stream.
    pub(super) const fn leg(&mut self) -> Option<&mut Leg> {
        self.leg.as_mut()
    }

    /// The stream, to be looked at.
    pub(super) const fn leg_ref(&self) -> Option<&Leg> {
        self.leg.as_ref()
    }

    /// When the last packet came, or when something was settled.
    pub(super) const fn heard_at(&self) -> MonoTime {
        self.heard_at
    }

    /// Datagrams that came from elsewhere.
    pub(super) const fn foreign(&self) -> u64 {
        self.foreign
    }

    /// True if the peer described an address that means nothing where its signalling comes from.
    pub(super) fn is_hidden(&self) -> bool {
        self.format
            .is_some_and(|format| is_private(format.remote.ip()) && !is_private(format.signalling))
    }

    /// Receives one datagram into `buffer`; `None` if there is none for us.
    #[inline]
    pub(super) fn receive(&mut self, now: MonoTime, buffer: &mut [u8]) -> Option<usize> {
        let length = if self.latched.is_some() {
            // Connected: the kernel lets nobody else through.
            self.rtp.recv(buffer).ok()?
        } else {
            self.receive_unlatched(buffer)?
        };
        self.heard_at = now;
        Some(length)
    }

    /// Sends one packet to the peer.
    #[inline]
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<usize> {
        match (self.latched, &self.format) {
            (Some(_), _) => self.rtp.send(packet),
            (None, Some(format)) => self.rtp.send_to(packet, format.remote),
            (None, None) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Sends one RTCP packet to the peer.
    pub(super) fn send_report(&self, packet: &[u8]) {
        if let Some(format) = &self.format {
            // Lost reports are followed by others.
            let _ = self.rtcp.send_to(packet, format.remote_rtcp);
        }
    }

    /// Receives one RTCP datagram into `buffer`, from wherever the peer's media come.
    pub(super) fn receive_report(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let (length, from) = self.rtcp.recv_from(buffer).ok()?;
        let format = self.format.as_ref()?;
        let known = from.ip() == format.remote_rtcp.ip()
            || self.latched.is_some_and(|latched| latched.ip() == from.ip());
        if !known {
            self.foreign += 1;
            return None;
        }
        Some(length)
    }

    /// The first packets decide where the peer sends from (symmetric RTP, RFC 4961): from the
    /// described address any port will do, since NATs change it; another address only if the
    /// described one cannot be reached from here and the packet comes from where the signalling
    /// comes.
    #[cold]
    fn receive_unlatched(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let (length, from) = self.rtp.recv_from(buffer).ok()?;
        let Some(format) = &self.format else {
            self.foreign += 1;
            return None;
        };
        let described = format.remote.ip().to_canonical();
        let from_ip = from.ip().to_canonical();
        let hidden = is_private(described) && !is_private(format.signalling);
        if from_ip != described && !(hidden && from_ip == format.signalling.to_canonical()) {
            self.foreign += 1;
            return None;
        }
        if self.rtp.connect(from).is_ok() {
            self.latched = Some(from);
        }
        Some(length)
    }
}

/// True for addresses that mean nothing outside their own network.
fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_link_local() || v4.is_unspecified() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
    }
}
