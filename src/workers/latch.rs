//! Where a peer's media come from: learned from its packets, and not to be stolen by others'.
//!
//! SDP says where the peer listens; behind a NAT it sends from elsewhere, and then that is where it
//! can be reached (symmetric RTP, RFC 4961). A source is believed if
//!
//! - its packets prove authentic (SRTP), wherever it is; or
//! - it has the address that was described, or the one that the signalling comes from: hosts with
//!   several addresses, and those that describe one that they no longer have, send from there.
//!
//! Among several, the one that was described to the port wins while the leg is young, and for ever
//! over one that has but the signalling's address, which others may share. Afterwards there is one
//! source. Only when it falls silent is another believed: one that proves authentic,
//! or one at a believable address that goes on with the very stream that was heard, which takes 48
//! bits of luck for who cannot see it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use media::time::MonoTime;

/// How long the port that was described may still win over another one of its address.
pub(super) const LEARN_MS: u64 = 500;
/// How long the source must be silent before another one is looked at.
pub(super) const RELATCH_AFTER_MS: u64 = 500;
/// Packets by which a stream may go on after a change of port, besides those that the silence
/// explains.
const GO_ON_PACKETS_MAX: u64 = 50;
/// Shortest time between two packets of a stream, in milliseconds.
const PTIME_MIN_MS: u64 = 10;

/// What decides about a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// Where the packet came from.
    pub(super) from: SocketAddr,
    /// It is authentic.
    pub(super) authentic: bool,
    /// Its stream and its place there.
    pub(super) ssrc: u32,
    pub(super) seq: u16,
}

/// Where a peer's media come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Latch {
    described: SocketAddr,
    signalling: IpAddr,
    source: Option<Source>,
}

#[derive(Clone, Copy, Debug)]
struct Source {
    at: SocketAddr,
    /// When it was first heard.
    since: MonoTime,
    heard_at: MonoTime,
    ssrc: u32,
    seq: u16,
}

impl Latch {
    /// Nothing heard yet of a peer that was described at `described` by who signals from
    /// `signalling`.
    pub(super) const fn new(described: SocketAddr, signalling: IpAddr) -> Self {
        Self { described, signalling, source: None }
    }

    /// Takes another description. If it names another place, everything is learned anew.
    pub(super) fn describe(&mut self, described: SocketAddr, signalling: IpAddr) {
        if self.described == described {
            self.signalling = signalling;
        } else {
            *self = Self::new(described, signalling);
        }
    }

    /// Where the peer's packets come from and ours go to.
    pub(super) fn source(&self) -> Option<SocketAddr> {
        self.source.map(|source| source.at)
    }

    /// The source, if no other one can be believed at `now`: whoever else sends can be kept out
    /// unheard.
    pub(super) fn settled(&self, now: MonoTime) -> Option<SocketAddr> {
        let source = self.source?;
        (!self.yields(&source, now) && now.since(source.heard_at) < RELATCH_AFTER)
            .then_some(source.at)
    }

    /// When [`Latch::settled`] may change by time alone.
    pub(super) fn deadline(&self) -> Option<MonoTime> {
        let source = self.source?;
        Some(source.heard_at + RELATCH_AFTER)
    }

    /// True if plain packets from this address can be the peer's.
    pub(super) fn is_believable(&self, from: IpAddr) -> bool {
        let from = from.to_canonical();
        from == self.described.ip().to_canonical() || from == self.signalling.to_canonical()
    }

    /// True if nothing was heard yet and this may be the peer.
    pub(super) fn may_be_first(&self, from: IpAddr, authentic: bool) -> bool {
        self.source.is_none() && (authentic || self.is_believable(from))
    }

    /// Judges a packet of the stream's payload types; true if it is the peer's, whose source it
    /// then is.
    pub(super) fn judge(&mut self, now: MonoTime, heard: &Heard) -> bool {
        let Some(source) = self.source else {
            return self.learn(now, heard);
        };
        if source.at == heard.from {
            let Heard { ssrc, seq, .. } = *heard;
            self.source = Some(Source { heard_at: now, ssrc, seq, ..source });
            return true;
        }
        if heard.from == self.described && self.yields(&source, now) {
            return self.learn(now, heard);
        }
        let silent = now.since(source.heard_at);
        if silent < RELATCH_AFTER {
            return false;
        }
        let goes_on = source.ssrc == heard.ssrc && {
            let ahead = u64::from(heard.seq.wrapping_sub(source.seq));
            let silent_ms = u64::try_from(silent.as_millis()).unwrap_or(u64::MAX);
            (1..=silent_ms / PTIME_MIN_MS + GO_ON_PACKETS_MAX).contains(&ahead)
        };
        (heard.authentic || goes_on) && self.learn(now, heard)
    }

    /// True if the address that was described still takes the place of this source as soon as it is
    /// heard. A private one never will be, so nothing is kept open for it.
    fn yields(&self, source: &Source, now: MonoTime) -> bool {
        let described = self.described.ip().to_canonical();
        let elsewhere = source.at.ip().to_canonical() != described && !is_private(described);
        source.at != self.described && (elsewhere || now.since(source.since) < LEARN)
    }

    fn learn(&mut self, now: MonoTime, heard: &Heard) -> bool {
        if !heard.authentic && !self.is_believable(heard.from.ip()) {
            return false;
        }
        let Heard { from: at, ssrc, seq, .. } = *heard;
        self.source = Some(Source { at, since: now, heard_at: now, ssrc, seq });
        true
    }
}

const LEARN: Duration = Duration::from_millis(LEARN_MS);
const RELATCH_AFTER: Duration = Duration::from_millis(RELATCH_AFTER_MS);

/// True for addresses that mean nothing outside their own network.
pub(super) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            v4.is_private() || v4.is_link_local() || v4.is_unspecified() || shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_unspecified(),
    }
}

/// Refuses the wildcard, by which peers say that they want nothing (RFC 3264 8.4): the kernel would
/// take it for this machine.
pub(super) fn reachable(remote: SocketAddr) -> io::Result<SocketAddr> {
    if remote.ip().is_unspecified() {
        return Err(io::ErrorKind::NotConnected.into());
    }
    Ok(remote)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "192.0.2.1:4000";
    const THIRD: &str = "198.51.100.66:4000";

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Duration::from_millis(10_000 + ms)
    }

    fn latch(described: &str) -> Latch {
        Latch::new(described.parse().unwrap(), "203.0.113.5".parse().unwrap())
    }

    fn plain(from: &str, ssrc: u32, seq: u16) -> Heard {
        Heard { from: from.parse().unwrap(), authentic: false, ssrc, seq }
    }

    fn authentic(from: &str) -> Heard {
        Heard { authentic: true, ..plain(from, 9, 9) }
    }

    /// Who sends first is not believed unless its address was described; the peer is.
    #[test]
    fn a_third_party_that_sends_first_is_not_believed() {
        let mut latch = latch(PEER);
        assert!(!latch.judge(at(0), &plain(THIRD, 1, 1)));
        assert_eq!(latch.source(), None);
        assert!(latch.judge(at(2), &plain(PEER, 1, 1)));
        assert_eq!(latch.settled(at(3)), Some(PEER.parse().unwrap()));
    }

    /// Another port of the peer's address is believed at once, since NATs change ports, but the one
    /// that was described wins while the leg is young, and not later.
    #[test]
    fn the_described_port_wins_while_the_leg_is_young() {
        let other = "192.0.2.1:55555";
        let mut young = latch(PEER);
        assert!(young.judge(at(0), &plain(other, 1, 1)));
        assert_eq!(young.settled(at(1)), None, "others are still heard");
        assert!(young.judge(at(LEARN_MS - 1), &plain(PEER, 2, 7)));
        assert_eq!(young.source(), Some(PEER.parse().unwrap()));
        assert!(!young.judge(at(LEARN_MS), &plain(other, 1, 2)));

        let mut old = latch(PEER);
        for ms in (0..=LEARN_MS).step_by(20) {
            assert!(old.judge(at(ms), &plain(other, 1, (ms / 20) as u16)));
        }
        assert_eq!(old.settled(at(LEARN_MS)), Some(other.parse().unwrap()));
        assert!(!old.judge(at(LEARN_MS + 1), &plain(PEER, 2, 7)));
    }

    /// The signalling's address is believed whatever SDP names, be it of a private network or one
    /// that the peer no longer has; but what was described wins as soon as it is heard.
    #[test]
    fn the_signalling_address_counts() {
        for described in ["192.168.1.9:4000", "10.0.0.1:4000", "0.0.0.0:4000", PEER] {
            let mut latch = latch(described);
            assert!(!latch.judge(at(0), &plain(THIRD, 1, 1)));
            assert!(latch.judge(at(1), &plain("203.0.113.5:61000", 1, 1)), "{described}");
            assert!(!latch.judge(at(2), &plain(THIRD, 1, 2)));
            assert!(latch.judge(at(LEARN_MS), &plain(described, 2, 7)), "{described}");
            assert!(!latch.judge(at(LEARN_MS + 1), &plain("203.0.113.5:61000", 1, 2)));
        }
    }

    /// The signalling's address may be shared: a public one that was described wins over it however
    /// late it is heard, and the socket stays open for it; a private one cannot be heard.
    #[test]
    fn what_was_described_wins_over_a_shared_address() {
        for (described, wins) in [(PEER, true), ("192.168.1.9:4000", false)] {
            let mut latch = latch(described);
            for ms in (0..=60_000).step_by(20) {
                assert!(latch.judge(at(ms), &plain("203.0.113.5:61000", 1, (ms / 20) as u16)));
            }
            assert_eq!(latch.settled(at(60_001)).is_none(), wins, "{described}");
            assert_eq!(latch.judge(at(60_002), &plain(described, 2, 7)), wins, "{described}");
        }
    }

    /// What proves authentic is believed wherever it comes from, but the source must be silent
    /// before it is followed elsewhere.
    #[test]
    fn authentic_packets_are_followed() {
        let mut latch = latch(PEER);
        assert!(latch.judge(at(0), &authentic(THIRD)));
        assert!(!latch.judge(at(RELATCH_AFTER_MS - 1), &authentic("198.51.100.7:1")));
        assert!(latch.judge(at(RELATCH_AFTER_MS), &authentic("198.51.100.7:1")));
        assert_eq!(latch.source(), Some("198.51.100.7:1".parse().unwrap()));
    }

    /// A change of port in mid-call is followed once the old one is silent, if the stream goes on.
    #[test]
    fn a_stream_that_goes_on_is_followed_to_another_port() {
        let (moved, now) = ("192.0.2.1:50001", RELATCH_AFTER_MS);
        for (ssrc, seq, from, after, followed) in [
            (7, 101, moved, now, true),
            (7, 101, moved, now - 1, false),
            (7, 126, moved, now, true),
            // 500 ms of silence are 50 packets at most, and 50 more may have been lost.
            (7, 200, moved, now, true),
            (7, 201, moved, now, false),
            (7, 100, moved, now, false),
            (7, 99, moved, now, false),
            (8, 101, moved, now, false),
            (7, 101, THIRD, now, false),
        ] {
            let mut latch = latch(PEER);
            assert!(latch.judge(at(0), &plain(PEER, 7, 100)));
            let judged = latch.judge(at(after), &plain(from, ssrc, seq));
            assert_eq!(judged, followed, "{ssrc} {seq} {from} {after}");
            let source = if followed { from } else { PEER };
            assert_eq!(latch.source(), Some(source.parse().unwrap()));
        }
    }

    /// A flood from elsewhere with the stream's SSRC and every sequence number moves nothing while
    /// the peer speaks, nor from a foreign address when it is silent.
    #[test]
    fn a_flood_moves_nothing() {
        let mut latch = latch(PEER);
        for ms in (0..5000).step_by(20) {
            let seq = (ms / 20) as u16;
            assert!(latch.judge(at(ms), &plain(PEER, 7, seq)));
            for guess in (0..u16::MAX).step_by(101) {
                assert!(!latch.judge(at(ms), &plain(THIRD, 7, guess)));
                assert!(!latch.judge(at(ms), &plain("192.0.2.1:9", 7, guess)));
            }
            assert!(latch.settled(at(ms)).is_some());
        }
        for guess in 0..u16::MAX {
            assert!(!latch.judge(at(60_000), &plain(THIRD, 7, guess)));
        }
        assert_eq!(latch.source(), Some(PEER.parse().unwrap()));
    }

    /// A new description is learned anew, the same one changes nothing.
    #[test]
    fn a_new_description_is_learned_anew() {
        let mut latch = latch(PEER);
        assert!(latch.judge(at(0), &plain(PEER, 7, 100)));
        latch.describe(PEER.parse().unwrap(), "203.0.113.6".parse().unwrap());
        assert!(latch.source().is_some());
        latch.describe(THIRD.parse().unwrap(), "203.0.113.6".parse().unwrap());
        assert_eq!(latch.source(), None);
        assert!(
            !latch.judge(at(1), &plain(PEER, 7, 101)) && latch.judge(at(2), &plain(THIRD, 7, 1))
        );
    }

    /// The socket is opened when the source falls silent, and closed when it speaks again.
    #[test]
    fn silence_opens_the_socket() {
        let mut latch = latch(PEER);
        assert_eq!(latch.deadline(), None);
        assert!(latch.judge(at(0), &plain(PEER, 7, 100)));
        assert_eq!(latch.deadline(), Some(at(RELATCH_AFTER_MS)));
        assert_eq!(latch.settled(at(RELATCH_AFTER_MS)), None);
        assert!(latch.judge(at(9000), &plain(PEER, 7, 101)));
        assert_eq!(latch.settled(at(9001)), Some(PEER.parse().unwrap()));
    }
}
