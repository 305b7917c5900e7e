//! The peer's leg: its sockets, where it sends from, what it settled, and what protects it.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use adapters::agent::StreamFormat;
use media::codec::AudioFormat;
use media::dtmf::Tones;
use media::leg::{Leg, StreamStart};
use media::rtp::{Packet, has_version, is_rtcp};
use media::srtp::SrtpError;
use media::time::MonoTime;

use super::command::{LegFormat, RtpSockets};
use super::latch::{Heard, Latch, reachable};
use super::parked::Parked;
use super::peer_socket::PeerSocket;
use super::security::Security;
use crate::calls::digits::DigitsBy;
use crate::capture::{self, Kind};
use crate::telemetry::DropReason;

/// What is assumed of a peer with which nothing is settled yet.
const LIKELY_FORMAT: StreamFormat = StreamFormat { audio: AudioFormat::PCMU, ptime_ms: 20 };

/// The sockets and stream of a call's SIP side.
#[derive(Debug)]
pub(super) struct PeerLeg {
    /// RTP, and RTCP where they share a port.
    rtp: PeerSocket,
    /// RTCP.
    rtcp: PeerSocket,
    /// What was settled; nothing is understood before.
    format: Option<LegFormat>,
    /// Its keys at work; of no use while the format is plain.
    security: Option<Box<Security>>,
    /// The stream, once there is a format.
    leg: Option<Leg>,
    start: StreamStart,
    /// Where the peer really sends from, once there is a format.
    latch: Option<Latch>,
    /// Where the peer's reports really come from.
    reports_from: Option<SocketAddr>,
    /// Both sides were allowed to send once, so that what is one-way now is a hold.
    two_way: bool,
    /// When the last packet came.
    heard_at: MonoTime,
    /// Datagrams from elsewhere.
    foreign: u64,
    /// What came before there was a format.
    parked: Option<Box<Parked>>,
    /// Takes every packet as it is without protection.
    capture: Option<Box<capture::Head>>,
    /// Digits that are sent as tones.
    pub(super) tones: Tones,
}

/// What a socket had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// An RTP packet of the peer, of so many bytes.
    Rtp(usize),
    /// RTCP that may be the peer's, and where it came from.
    Rtcp(usize, SocketAddr),
    /// Something that is of no use.
    Dropped(DropReason),
    /// Nothing.
    Nothing,
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
            rtp: PeerSocket::new(sockets.rtp),
            rtcp: PeerSocket::new(sockets.rtcp),
            format: None,
            security: None,
            leg: None,
            start,
            latch: None,
            reports_from: None,
            two_way: false,
            heard_at: now,
            foreign: 0,
            parked: None,
            capture: None,
            tones: Tones::default(),
        };
        if let Some(format) = format {
            peer.settle(now, format);
        }
        peer
    }

    /// Goes over to another peer on `sockets`. Our stream goes on, and so does the timeline of what
    /// is received: another source takes over. The sockets before are given back.
    pub(super) fn replace(
        &mut self,
        now: MonoTime,
        sockets: RtpSockets,
        format: LegFormat,
    ) -> RtpSockets {
        let rtp = std::mem::replace(&mut self.rtp, PeerSocket::new(sockets.rtp));
        let rtcp = std::mem::replace(&mut self.rtcp, PeerSocket::new(sockets.rtcp));
        let before = RtpSockets { rtp: rtp.into_inner(), rtcp: rtcp.into_inner() };
        (self.latch, self.reports_from) = (None, None);
        (self.security, self.format, self.two_way) = (None, None, false);
        self.tones = Tones::default();
        if let Some(leg) = &mut self.leg {
            leg.forget_digits();
        }
        self.settle(now, format);
        before
    }

    /// Takes what offer and answer settled.
    pub(super) fn settle(&mut self, now: MonoTime, format: LegFormat) {
        let config = format.media;
        match &mut self.leg {
            Some(leg) => leg.reconfigure(config),
            None => self.leg = Some(Leg::new(now, config, self.start)),
        }
        if let Some(leg) = &mut self.leg {
            leg.extend_reports(format.xr);
        }
        self.secure(now, &format);
        match &mut self.latch {
            Some(latch) => latch.describe(format.remote, format.signalling),
            None => self.latch = Some(Latch::new(format.remote, format.signalling)),
        }
        let moved = self.format.as_ref().is_some_and(|old| old.remote_rtcp != format.remote_rtcp);
        if moved {
            self.reports_from = None;
        }
        self.heard_at = now;
        self.two_way |= format.send && format.receive;
        self.format = Some(format);
        self.follow_latch(now);
    }

    /// Puts the settled keys to work. Without contexts for them nothing is sent or believed: a leg
    /// never falls back to plain RTP.
    fn secure(&mut self, now: MonoTime, format: &LegFormat) {
        let Some(keys) = &format.srtp else { return };
        let changed = match &mut self.security {
            Some(security) => security.change(now, keys),
            None => Security::new(keys).map(|security| self.security = Some(Box::new(security))),
        };
        if let Err(error) = changed {
            tracing::error!(%error, "SRTP keys cannot be used");
            self.security = None;
        }
    }

    /// Digits get to the peer this way from now on.
    pub(super) const fn digits_by(&mut self, by: DigitsBy) {
        if let Some(format) = &mut self.format {
            format.digits = by;
        }
    }

    /// RTP.
    pub(super) const fn rtp(&self) -> &UdpSocket {
        self.rtp.get()
    }

    /// RTCP.
    pub(super) const fn rtcp(&self) -> &UdpSocket {
        self.rtcp.get()
    }

    /// What was settled.
    pub(super) const fn format(&self) -> Option<&LegFormat> {
        self.format.as_ref()
    }

    /// The peer's audio as it is now; before offer and answer, what it most likely will be.
    pub(super) fn stream(&self) -> StreamFormat {
        self.format.as_ref().map_or(LIKELY_FORMAT, |format| StreamFormat {
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

    /// Silence counts from now on.
    pub(super) const fn count_silence_from(&mut self, now: MonoTime) {
        self.heard_at = now;
    }

    /// Whether one side has put the call on hold.
    pub(super) fn is_held(&self) -> bool {
        let two_way = |format: &LegFormat| format.send && format.receive;
        self.two_way && !self.format.as_ref().is_some_and(two_way)
    }

    /// Whether packets must come. Who holds may well be silent, though it may send.
    pub(super) fn is_awaited(&self) -> bool {
        self.format.as_ref().is_some_and(|format| format.receive) && !self.is_held()
    }

    /// Datagrams that came from elsewhere.
    pub(super) const fn foreign(&self) -> u64 {
        self.foreign
    }

    /// When [`PeerLeg::handle_timeout`] is due.
    fn deadline(&self) -> Option<MonoTime> {
        self.rtp.connected().and(self.latch.as_ref()?.deadline())
    }

    /// When it has to be looked after: its source, and our reports.
    pub(super) fn care_deadline(&self) -> MonoTime {
        let report = self.leg.as_ref().and_then(Leg::report_deadline).unwrap_or(MonoTime::MAX);
        self.deadline().unwrap_or(MonoTime::MAX).min(report)
    }

    /// Opens the socket for others when the peer has fallen silent.
    pub(super) fn handle_timeout(&mut self, now: MonoTime) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.follow_latch(now);
        }
    }

    /// Receives one datagram on the RTP port into `buffer`.
    #[inline]
    pub(super) fn receive(&mut self, now: MonoTime, buffer: &mut [u8]) -> Received {
        let received = self.rtp.receive(buffer);
        let Ok((length, from, reached)) = received else { return Received::Nothing };
        if self.format.is_none() {
            return self.park(now, from, buffer.get(..length).unwrap_or_default());
        }
        self.examine(now, length, (from, reached), buffer)
    }

    /// Keeps a datagram for the moment until it is known who the peer is.
    #[cold]
    fn park(&mut self, now: MonoTime, from: SocketAddr, datagram: &[u8]) -> Received {
        if self.parked.get_or_insert_default().park(now, from, datagram) {
            return self.dropped(DropReason::Foreign);
        }
        Received::Nothing
    }

    /// True if datagrams wait that [`PeerLeg::receive_parked`] can judge now.
    pub(super) const fn has_parked(&self) -> bool {
        self.parked.is_some() && self.format.is_some()
    }

    /// Receives the next datagram that waited into `buffer`; `None` if there is no other.
    pub(super) fn receive_parked(&mut self, now: MonoTime, buffer: &mut [u8]) -> Option<Received> {
        let parked = self.parked.as_mut()?;
        let Some((length, from)) = parked.next(now, buffer, &mut self.foreign) else {
            self.parked = None;
            return None;
        };
        Some(self.examine(now, length, (from, None), buffer))
    }

    /// Judges the datagram of `length` bytes in `buffer`.
    #[inline]
    fn examine(
        &mut self,
        now: MonoTime,
        length: usize,
        (from, reached): (SocketAddr, Option<IpAddr>),
        buffer: &mut [u8],
    ) -> Received {
        let Some(datagram) = buffer.get_mut(..length) else { return Received::Nothing };
        let Some(latch) = &self.latch else { return self.dropped(DropReason::Foreign) };
        // What was under way when the socket was connected may still be of others.
        let known = latch.source() == Some(from);
        let Some(format) = &self.format else { return self.dropped(DropReason::Foreign) };
        if format.srtp.is_none() && !known && !latch.is_believable(from.ip()) {
            return self.dropped(DropReason::Foreign);
        }
        let reports = is_rtcp(datagram);
        let authentic = format.srtp.is_some();
        let length = match self.open(now, datagram, reports) {
            Ok(length) => length,
            Err(reason) => return self.dropped(reason),
        };
        if reports {
            self.note(now, Kind::RtcpIn, from, buffer.get(..length));
            return Received::Rtcp(length, from);
        }
        let packet = datagram.get(..length).unwrap_or_default();
        if !self.is_of_peer(now, packet, (from, reached), authentic) {
            return self.dropped(DropReason::Foreign);
        }
        self.heard_at = now;
        self.note(now, Kind::RtpIn, from, buffer.get(..length));
        Received::Rtp(length)
    }

    /// Takes off what protects a datagram.
    #[inline]
    fn open(
        &mut self,
        now: MonoTime,
        datagram: &mut [u8],
        reports: bool,
    ) -> Result<usize, DropReason> {
        let secure = self.format.as_ref().is_some_and(|format| format.srtp.is_some());
        match &mut self.security {
            _ if !secure => Ok(datagram.len()),
            // Such as STUN, by which telephones open the way through a NAT (RFC 7983 7).
            _ if !has_version(datagram) => Err(DropReason::Malformed),
            Some(security) => security.open(now, datagram, reports).map_err(|error| match error {
                SrtpError::Replayed => DropReason::Replayed,
                _ => DropReason::Unauthentic,
            }),
            None => Err(DropReason::Unauthentic),
        }
    }

    /// True if a packet is the peer's by what is known of its source.
    #[inline]
    fn is_of_peer(
        &mut self,
        now: MonoTime,
        datagram: &[u8],
        (from, reached): (SocketAddr, Option<IpAddr>),
        authentic: bool,
    ) -> bool {
        let Some(latch) = &mut self.latch else { return false };
        let known = latch.source() == Some(from);
        let Ok(packet) = Packet::parse(datagram) else {
            // Says nothing about its source, but why nothing is heard.
            return known || latch.may_be_first(from.ip(), authentic);
        };
        let header = packet.header;
        let settled = self.format.as_ref().is_some_and(|format| {
            header.pt == format.media.receive_pt || Some(header.pt) == format.media.receive_dtmf_pt
        });
        if !settled && !known {
            return latch.may_be_first(from.ip(), authentic);
        }
        let heard = Heard { from, authentic, ssrc: header.ssrc, seq: header.seq };
        let judged = latch.judge(now, &heard);
        if judged {
            self.rtp.reach(reached);
            self.rtcp.reach(reached);
            if !self.rtp.knows(from) {
                self.follow_latch(now);
            }
        }
        judged
    }

    /// Connects the socket to the one source that counts, or opens it to all.
    #[cold]
    fn follow_latch(&mut self, now: MonoTime) {
        self.rtp.follow(self.latch.as_ref().and_then(|latch| latch.settled(now)));
    }

    const fn dropped(&mut self, reason: DropReason) -> Received {
        if matches!(reason, DropReason::Foreign) {
            self.foreign += 1;
        }
        Received::Dropped(reason)
    }

    /// Captures every packet from now on.
    pub(super) fn capture(&mut self, head: Box<capture::Head>) {
        self.capture = Some(head);
    }

    /// Gives a packet to the capture, if there is one.
    #[inline]
    fn note(&mut self, now: MonoTime, kind: Kind, peer: SocketAddr, packet: Option<&[u8]>) {
        if let (Some(head), Some(packet)) = (&mut self.capture, packet) {
            head.take(now, kind, peer, packet);
        }
    }

    /// Sends the packet in the first `length` bytes of `buffer` to the peer. Behind it there must
    /// be room for what protects it.
    #[inline]
    pub(super) fn send(&mut self, buffer: &mut [u8], length: usize) -> io::Result<usize> {
        if self.capture.is_some() {
            let remote = self.remote()?;
            self.note(super::poller::now(), Kind::RtpOut, remote, buffer.get(..length));
        }
        let length = self.protect(buffer, length, false)?;
        let packet = buffer.get(..length).unwrap_or_default();
        self.send_media(packet)
    }

    #[inline]
    fn send_media(&self, packet: &[u8]) -> io::Result<usize> {
        match self.rtp.connected() {
            Some(_) => self.rtp.send(packet),
            None => self.rtp.send_to(packet, self.remote()?),
        }
    }

    /// Where RTP goes while the socket is open to all.
    fn remote(&self) -> io::Result<SocketAddr> {
        let learned = self.latch.as_ref().and_then(Latch::source);
        let described = || self.format.as_ref().map(|format| format.remote);
        learned
            .or_else(described)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
            .and_then(reachable)
    }

    /// Puts protection around what is sent.
    #[inline]
    fn protect(&mut self, buffer: &mut [u8], length: usize, reports: bool) -> io::Result<usize> {
        let secure = self.format.as_ref().is_some_and(|format| format.srtp.is_some());
        match &mut self.security {
            _ if !secure => Ok(length),
            Some(security) => {
                let protected = security.protect(buffer, length, reports);
                protected.map_err(|_| io::ErrorKind::InvalidData.into())
            }
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Sends the reports in the first `length` bytes of `buffer` to the peer; the bytes that went.
    pub(super) fn send_report(&mut self, buffer: &mut [u8], length: usize) -> io::Result<usize> {
        if let Some(format) = self.format.as_ref().filter(|_| self.capture.is_some()) {
            let remote = self.remote_rtcp(format);
            self.note(super::poller::now(), Kind::RtcpOut, remote, buffer.get(..length));
        }
        let length = self.protect(buffer, length, true)?;
        let packet = buffer.get(..length).unwrap_or_default();
        let format = self.format.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        if format.rtcp_mux {
            return self.send_media(packet);
        }
        let remote = reachable(self.remote_rtcp(format))?;
        self.rtcp.send_to(packet, remote)
    }

    /// Where reports go: where the peer's come from, else where it described. If that is hidden by
    /// a NAT that we have seen through, the port next to that of its RTP is the best guess.
    fn remote_rtcp(&self, format: &LegFormat) -> SocketAddr {
        let source = self.latch.as_ref().and_then(Latch::source);
        let hidden = source.filter(|source| {
            source.ip() != format.remote.ip() && format.remote_rtcp.ip() == format.remote.ip()
        });
        let guess = hidden.map(|at| SocketAddr::new(at.ip(), at.port().saturating_add(1)));
        self.reports_from.or(guess).unwrap_or(format.remote_rtcp)
    }

    /// Receives one datagram on the RTCP port into `buffer`, from wherever the peer's media may
    /// come.
    pub(super) fn receive_report(&mut self, now: MonoTime, buffer: &mut [u8]) -> Received {
        let received = self.rtcp.receive(buffer);
        let Ok((length, from, reached)) = received else { return Received::Nothing };
        let Some(datagram) = buffer.get_mut(..length) else { return Received::Nothing };
        let (Some(format), Some(latch)) = (&self.format, &self.latch) else {
            return self.dropped(DropReason::Foreign);
        };
        let ip = from.ip().to_canonical();
        let believable = format.srtp.is_some()
            || ip == format.remote_rtcp.ip().to_canonical()
            || latch.source().is_some_and(|source| source.ip().to_canonical() == ip)
            || latch.is_believable(ip);
        if !believable {
            return self.dropped(DropReason::Foreign);
        }
        match self.open(now, datagram, true) {
            Ok(length) => {
                self.rtcp.reach(reached);
                self.note(now, Kind::RtcpIn, from, buffer.get(..length));
                Received::Rtcp(length, from)
            }
            Err(reason) => self.dropped(reason),
        }
    }

    /// A report from here proved to be the peer's: ours go there (RFC 4961 4).
    pub(super) const fn follow_reports(&mut self, from: SocketAddr) {
        self.reports_from = Some(from);
    }
}
