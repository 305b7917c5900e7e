//! Digits towards the peer, whichever way it takes them.

use super::command::EventKind;
use super::context::Context;
use super::path::{Agent, MediaPath};
use crate::calls::digits::DigitsBy;

impl MediaPath {
    /// The agent sends digits.
    pub(super) fn send_digits(
        &mut self,
        ctx: &mut Context,
        digits: String,
        duration_ms: u32,
        gap_ms: u32,
    ) {
        let by = self.peer.digits();
        let queued = match by {
            Some(DigitsBy::Info) => {
                let event = EventKind::AgentDigits { digits, duration_ms, gap_ms };
                return ctx.tell(self.key, event);
            }
            Some(_) => self.queue_digits(&digits, duration_ms, gap_ms),
            None => Err("the call is not answered".to_owned()),
        };
        if let (Err(why), Agent::Socket(socket)) = (queued, &mut self.agent) {
            socket.session.failed(why);
        }
        self.press_keys(ctx);
        self.restart_ticks(ctx.now);
    }

    /// Puts digits behind those that the peer's media carry already.
    pub(super) fn queue_digits(
        &mut self,
        digits: &str,
        duration_ms: u32,
        gap_ms: u32,
    ) -> Result<(), String> {
        if let Some(line) = self.peer.line()
            && line.digits == DigitsBy::Events
        {
            let queued = line.keys.queue(digits, duration_ms, gap_ms);
            return queued.map_err(|error| error.to_string());
        }
        let (duration_ms, gap_ms) = (Some(duration_ms), Some(gap_ms));
        if self.peer.digits() == Some(DigitsBy::Tones) {
            let queued = self.peer.tones().queue(digits, duration_ms, gap_ms);
            return queued.map_err(|error| error.to_string());
        }
        let Some(leg) = self.peer.leg() else { return Ok(()) };
        leg.send_digits(digits, duration_ms, gap_ms).map_err(|error| error.to_string())
    }

    /// Writes a frame of the digits that go out as tones to `payload`, by way of `linear` if it has
    /// to be coded; the bytes of payload. None if there are no such digits.
    pub(super) fn say_digits(&mut self, linear: &mut [u8], payload: &mut [u8]) -> Option<usize> {
        let sounds = self.outlet.sounds();
        match self.outlet.encoder() {
            Some(encoder) => {
                let said = self.peer.tones().fill(sounds, linear);
                said.then(|| encoder.convert(linear, payload))
            }
            None => self.peer.tones().fill(sounds, payload).then_some(payload.len()),
        }
    }
}
