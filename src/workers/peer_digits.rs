//! Digits of ours to a peer, whichever way it takes them.

use media::leg::Leg;

use super::peer::PeerLeg;
use crate::calls::digits::DigitsBy;

impl PeerLeg {
    /// Whether telephone events are what digits get to the peer by, so that those of others pass.
    pub(super) fn takes_events(&self) -> bool {
        self.format().is_some_and(|format| {
            format.digits == DigitsBy::Events && format.media.dtmf_pt.is_some()
        })
    }

    /// Whether digits of ours are sent to it, which take the place of sound.
    pub(super) fn says_digits(&self) -> bool {
        self.tones.is_busy() || self.leg_ref().is_some_and(Leg::sends_digits)
    }

    /// Presses a key for it. False if it is to be told by signalling.
    pub(super) fn press(&mut self, digit: char, duration_ms: u32) -> bool {
        let mut text = [0; 4];
        let text: &str = digit.encode_utf8(&mut text);
        match self.format().map(|format| format.digits) {
            // Too many wait, or the key is held for too long: as if it had not been pressed.
            Some(DigitsBy::Tones) => drop(self.tones.queue(text, Some(duration_ms), None)),
            Some(DigitsBy::Events) => {
                let send = |leg: &mut Leg| leg.send_digits(text, Some(duration_ms), None);
                let _ = self.leg().map(send);
            }
            Some(DigitsBy::Info) => return false,
            Some(DigitsBy::Nothing) | None => {}
        }
        true
    }
}
