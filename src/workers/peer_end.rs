//! The peer's end of a call: an RTP leg, or a line.

use adapters::agent::StreamFormat;
use media::dtmf::Tones;
use media::leg::Leg;
use media::stats::LegSnapshot;
use media::time::MonoTime;

use super::command::LegFormat;
use super::inflow::Inflow;
use super::line::LineLeg;
use super::peer::PeerLeg;
use crate::calls::digits::DigitsBy;
use crate::capture;

/// Who is at the peer's end.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a packet of RTP need not follow a pointer")]
pub(super) enum PeerEnd {
    /// A SIP peer.
    Rtp(PeerLeg),
    /// A carrier.
    Line(Box<LineLeg>),
}

impl PeerEnd {
    /// The RTP leg, if it is one.
    #[inline]
    pub(super) const fn rtp(&mut self) -> Option<&mut PeerLeg> {
        match self {
            Self::Rtp(peer) => Some(peer),
            Self::Line(_) => None,
        }
    }

    /// The line, if it is one.
    #[inline]
    pub(super) fn line(&mut self) -> Option<&mut LineLeg> {
        match self {
            Self::Rtp(_) => None,
            Self::Line(line) => Some(line),
        }
    }

    /// The line, to be looked at.
    #[inline]
    pub(super) fn line_ref(&self) -> Option<&LineLeg> {
        match self {
            Self::Rtp(_) => None,
            Self::Line(line) => Some(line),
        }
    }

    /// True for a line.
    #[inline]
    pub(super) const fn is_line(&self) -> bool {
        matches!(self, Self::Line(_))
    }

    /// True for a line on which frames have to come without a pause.
    #[inline]
    pub(super) fn is_steady(&self) -> bool {
        self.line_ref().is_some_and(LineLeg::is_steady)
    }

    /// What offer and answer settled; nothing for a line.
    #[inline]
    pub(super) const fn format(&self) -> Option<&LegFormat> {
        match self {
            Self::Rtp(peer) => peer.format(),
            Self::Line(_) => None,
        }
    }

    /// The peer's audio as it is now; before it is settled, what it most likely will be.
    #[inline]
    pub(super) fn stream(&self) -> StreamFormat {
        match self {
            Self::Rtp(peer) => peer.stream(),
            Self::Line(line) => line.stream(),
        }
    }

    /// True if we may send.
    #[inline]
    pub(super) fn sends(&self) -> bool {
        match self {
            Self::Rtp(peer) => peer.format().is_some_and(|format| format.send),
            Self::Line(line) => line.sends(),
        }
    }

    /// True if it may send.
    pub(super) fn receives(&self) -> bool {
        match self {
            Self::Rtp(peer) => peer.format().is_some_and(|format| format.receive),
            Self::Line(line) => line.receives(),
        }
    }

    /// True if keys that are pressed there come as such.
    pub(super) fn tells_digits(&self) -> bool {
        match self {
            Self::Rtp(peer) => {
                peer.format().is_some_and(|format| format.media.receive_dtmf_pt.is_some())
            }
            Self::Line(line) => !line.dtmf_inband,
        }
    }

    /// How digits get there, once that is known.
    pub(super) fn digits(&self) -> Option<DigitsBy> {
        match self {
            Self::Rtp(peer) => peer.format().map(|format| format.digits),
            Self::Line(line) => Some(line.digits),
        }
    }

    /// Digits get there this way from now on.
    pub(super) fn digits_by(&mut self, by: DigitsBy) {
        match self {
            Self::Rtp(peer) => peer.digits_by(by),
            Self::Line(line) => line.digits = by,
        }
    }

    /// Digits that are sent as tones.
    #[inline]
    pub(super) fn tones(&mut self) -> &mut Tones {
        match self {
            Self::Rtp(peer) => &mut peer.tones,
            Self::Line(line) => &mut line.tones,
        }
    }

    /// Sound of a leg at the agent's end that waits to be heard on a line.
    #[inline]
    pub(super) fn inflow(&mut self) -> Option<&mut Inflow> {
        self.line().and_then(|line| line.inflow.as_deref_mut())
    }

    /// The RTP stream, if there is one.
    #[inline]
    pub(super) const fn leg(&mut self) -> Option<&mut Leg> {
        match self {
            Self::Rtp(peer) => peer.leg(),
            Self::Line(_) => None,
        }
    }

    /// The RTP stream, to be looked at.
    #[inline]
    pub(super) const fn leg_ref(&self) -> Option<&Leg> {
        match self {
            Self::Rtp(peer) => peer.leg_ref(),
            Self::Line(_) => None,
        }
    }

    /// Silence counts from now on.
    pub(super) const fn count_silence_from(&mut self, now: MonoTime) {
        if let Self::Rtp(peer) = self {
            peer.count_silence_from(now);
        }
    }

    /// Datagrams that came from elsewhere.
    pub(super) const fn foreign(&self) -> u64 {
        match self {
            Self::Rtp(peer) => peer.foreign(),
            Self::Line(_) => 0,
        }
    }

    /// True if the peer holds the call.
    pub(super) fn is_held(&self) -> bool {
        match self {
            Self::Rtp(peer) => peer.is_held(),
            Self::Line(line) => line.stopped,
        }
    }

    /// True if digits get there as events that may pass as they are.
    pub(super) fn takes_events(&self) -> bool {
        match self {
            Self::Rtp(peer) => peer.takes_events(),
            Self::Line(_) => false,
        }
    }

    /// True if digits of ours are sent there, which take the place of sound.
    pub(super) fn says_digits(&self) -> bool {
        match self {
            Self::Rtp(peer) => peer.says_digits(),
            Self::Line(line) => line.tones.is_busy(),
        }
    }

    /// Presses a key for it. False if it is to be told by signalling.
    pub(super) fn press(&mut self, digit: char, duration_ms: u32) -> bool {
        match self {
            Self::Rtp(peer) => peer.press(digit, duration_ms),
            Self::Line(line) => line.press(digit, duration_ms),
        }
    }

    /// When it has to be looked after.
    pub(super) fn care_deadline(&self) -> MonoTime {
        match self {
            Self::Rtp(peer) => peer.care_deadline(),
            Self::Line(_) => MonoTime::MAX,
        }
    }

    /// When something is due of a line.
    pub(super) fn line_deadline(&self) -> MonoTime {
        match self {
            Self::Rtp(_) => MonoTime::MAX,
            Self::Line(line) => line.deadline(),
        }
    }

    /// Captures every packet from now on; what a line carries are no packets.
    pub(super) fn capture(&mut self, head: Box<capture::Head>) {
        if let Self::Rtp(peer) = self {
            peer.capture(head);
        }
    }

    /// How it fares.
    pub(super) fn snapshot(&self) -> LegSnapshot {
        match self {
            Self::Rtp(peer) => {
                let leg = peer.leg_ref();
                leg.map(|leg| leg.snapshot(std::time::Duration::ZERO)).unwrap_or_default()
            }
            Self::Line(line) => line.snapshot(),
        }
    }
}
