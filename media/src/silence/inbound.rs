//! What comes from the peer.

use super::law::LawCheck;
use super::{
    COMFORT_LASTS, Conditions, Reason, SILENT_AFTER, SUPPRESSED_LASTS, Soundless, Verdict, is_flat,
};
use crate::codec::g711::Law;
use crate::codec::{AudioFormat, Codec};
use crate::time::MonoTime;

/// Frames of low level before packets stop that look like silence suppression: 200 ms at 20 ms.
const QUIET_FRAMES: u32 = 10;
/// Pause between packets, in milliseconds, that a marker at its end declares as suppressed silence.
const PAUSE_MS: u128 = 400;
/// Least magnitude of a G.711 code, by its seven bits, that is not quiet: -30 dB below overload.
const QUIET_CODE: u8 = 0x30;

/// Bytes of a packet of Opus that holds no speech: of what is sent before pauses (RFC 7587 3.1.3).
const QUIET_PACKET_BYTES: usize = 12;

/// Packets of the peer.
#[derive(Debug)]
pub(super) struct Inbound {
    law: Option<Law>,
    /// Payloads are packets, in which no level is to be seen.
    packets: bool,
    check: Option<LawCheck>,
    /// The last packet with sound.
    sound_at: Option<MonoTime>,
    /// The last packet of any kind, and what it lacked.
    last: Option<(MonoTime, Lack)>,
    /// Packets of low level since the last loud one.
    quiet_frames: u32,
    /// The peer is known to send nothing while nobody speaks.
    suppresses: bool,
    /// When the session was settled, or its direction changed.
    changed_at: MonoTime,
    receives: bool,
    foreign: u64,
    foreign_at: Option<MonoTime>,
}

/// What a packet lacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// Nothing: it had sound.
    Nothing,
    /// It was audio, but flat.
    Flat,
    /// It had no audio.
    Audio(Soundless),
}

impl Inbound {
    pub(super) fn new(format: AudioFormat) -> Self {
        let law = law(format);
        Self {
            law,
            packets: format.codec.is_packets(),
            check: law.map(LawCheck::new),
            sound_at: None,
            last: None,
            quiet_frames: 0,
            suppresses: false,
            changed_at: MonoTime::ZERO,
            receives: true,
            foreign: 0,
            foreign_at: None,
        }
    }

    pub(super) fn settled(&mut self, now: MonoTime, format: AudioFormat) {
        self.changed_at = now;
        self.law = law(format);
        self.packets = format.codec.is_packets();
        self.check = self.law.map(LawCheck::new);
    }

    #[inline]
    pub(super) fn heard(&mut self, now: MonoTime, payload: &[u8], marker: bool) {
        if !self.packets && is_flat(payload) {
            self.last = Some((now, Lack::Flat));
            return;
        }
        if marker && self.last.is_some_and(|(at, _)| now.since(at).as_millis() >= PAUSE_MS) {
            self.suppresses = true;
        }
        self.sound(now);
        let quiet = match self.law {
            Some(law) => Some(is_quiet(law, payload)),
            None => self.packets.then_some(payload.len() <= QUIET_PACKET_BYTES),
        };
        if let Some(quiet) = quiet {
            self.quiet_frames = if quiet { self.quiet_frames.saturating_add(1) } else { 0 };
        }
        if let Some(check) = &mut self.check {
            check.heard(now, payload);
        }
    }

    pub(super) const fn sound(&mut self, now: MonoTime) {
        self.sound_at = Some(now);
        self.last = Some((now, Lack::Nothing));
    }

    pub(super) const fn soundless(&mut self, now: MonoTime, what: Soundless) {
        self.last = Some((now, Lack::Audio(what)));
    }

    pub(super) fn verdict(
        &mut self,
        now: MonoTime,
        answered: MonoTime,
        conditions: &Conditions,
    ) -> Option<Verdict> {
        if self.receives != conditions.receives {
            self.receives = conditions.receives;
            self.changed_at = now;
        }
        if self.foreign != conditions.foreign {
            self.foreign = conditions.foreign;
            self.foreign_at = Some(now);
        }
        let began = answered.max(self.changed_at);
        if !conditions.receives {
            let reason = if conditions.held { Reason::Hold } else { Reason::OneWay };
            return Verdict::after(now, began, reason);
        }
        if let Some(since) = self.check.as_ref().and_then(LawCheck::mixed_since) {
            return Some(Verdict { reason: Reason::LawMixup, since: since.max(answered) });
        }
        let since = self.sound_at.map_or(began, |at| at.max(began));
        let reason = self.reason(now, answered, conditions)?;
        Verdict::after(now, since, reason)
    }

    /// Why there is no sound now, if there is none.
    fn reason(&self, now: MonoTime, answered: MonoTime, conditions: &Conditions) -> Option<Reason> {
        let recent = |at: MonoTime| now.since(at) < SILENT_AFTER;
        match self.last {
            Some((at, Lack::Flat)) if recent(at) => return Some(Reason::DigitalSilence),
            Some((at, Lack::Audio(Soundless::PayloadType))) if recent(at) => {
                return Some(Reason::PayloadType);
            }
            Some((at, Lack::Audio(Soundless::NotRtp))) if recent(at) => {
                return Some(Reason::NotRtp);
            }
            Some((at, Lack::Audio(Soundless::Unauthentic))) if recent(at) => {
                return Some(Reason::SrtpAuthentication);
            }
            Some((at, Lack::Audio(Soundless::Comfort))) if now.since(at) < COMFORT_LASTS => {
                return None;
            }
            Some((at, Lack::Nothing)) if self.is_suppressed(now, at) => return None,
            _ => {}
        }
        Some(if self.foreign_at.is_some_and(recent) {
            Reason::ForeignSource
        } else if conditions.held {
            Reason::Hold
        } else if self.last.is_some_and(|(at, _)| at >= answered) {
            Reason::StoppedArriving
        } else if conditions.hidden {
            Reason::PrivateAddress
        } else {
            Reason::NothingArrived
        })
    }

    /// True if a peer whose last sound came at `at` may be silent by its own choice.
    fn is_suppressed(&self, now: MonoTime, at: MonoTime) -> bool {
        let may = self.suppresses || self.quiet_frames >= QUIET_FRAMES;
        may && now.since(at) < SUPPRESSED_LASTS
    }
}

const fn law(format: AudioFormat) -> Option<Law> {
    match format.codec {
        Codec::Pcmu => Some(Law::Mu),
        Codec::Pcma => Some(Law::A),
        _ => None,
    }
}

/// True for G.711 of low level.
#[inline]
fn is_quiet(law: Law, codes: &[u8]) -> bool {
    // Codes are inverted on the wire: all bits of µ-law, every other one of A-law.
    let inversion = match law {
        Law::Mu => 0x7f,
        Law::A => 0x55,
    };
    let loudest = codes.iter().map(|code| (code ^ inversion) & 0x7f).max();
    loudest.unwrap_or(0) < QUIET_CODE
}
