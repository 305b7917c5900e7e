//! The half of a media path that listens on the agent's behalf.

use adapters::agent::{CallState, DtmfSource};
use std::time::Duration;

use super::command::EventKind;
use super::context::Context;
use super::ear::Ear;
use super::path::{Agent, MediaPath};
use crate::agent::session::feature;

impl MediaPath {
    /// Digits that have ended.
    pub(super) fn digits(&mut self, ctx: &mut Context) {
        let Some(leg) = self.peer.leg() else { return };
        let mut told = false;
        while let Some(pressed) = leg.poll_digit(ctx.now) {
            if let Agent::Socket(socket) = &mut self.agent {
                let digit = pressed.digit.as_char();
                socket.session.dtmf(digit, pressed.duration_ms, DtmfSource::Rtp);
                told = true;
            }
            if let Some(mailbox) = &mut self.taps.mailbox {
                mailbox.key(pressed.digit.as_char());
            }
            // Otherwise the event itself has passed.
            if let Agent::Leg(leg) = &mut self.agent
                && (!leg.peer.takes_events() || self.conference.is_some())
                && self.state == CallState::Answered
            {
                let (digit, duration_ms) = (pressed.digit.as_char(), pressed.duration_ms);
                if !leg.press(ctx.now, digit, duration_ms) {
                    ctx.tell(self.key, EventKind::Digit { to_agent: true, digit, duration_ms });
                }
            }
        }
        if told {
            self.actions(ctx);
        }
    }

    /// Listens for what the agent can use, and for nothing else.
    ///
    /// Digits are sought in the audio if the peer cannot send them otherwise, or if its trunk says
    /// so; and only until the first comes otherwise, so that none is told twice.
    pub(super) fn tune_ear(&mut self) {
        let peer = self.peer.stream().audio;
        // Before offer and answer nothing is known.
        let events = self.peer.tells_digits();
        let (digits, speech) = match &self.agent {
            Agent::Socket(socket) => (
                !self.digits_otherwise && socket.dtmf_inband.unwrap_or(!events),
                socket.session.wants(feature::SPEECH),
            ),
            // Whoever leaves a message is waited for until all is said.
            Agent::Builtin(_) if self.taps.mailbox.is_some() => {
                (!self.digits_otherwise && !events, true)
            }
            Agent::None | Agent::Builtin(_) | Agent::Rtp(_) | Agent::Leg(_) => (false, false),
        };
        if digits || speech {
            let ear = self.taps.ear.get_or_insert_with(|| Box::new(Ear::new(peer)));
            ear.tune(digits, speech);
        } else {
            self.taps.ear = None;
        }
    }

    /// A digit came as an event or by signalling: those in the audio would be the same.
    pub(super) fn digits_come_otherwise(&mut self) {
        if !std::mem::replace(&mut self.digits_otherwise, true) {
            self.tune_ear();
        }
    }

    /// Sound of the agent's leaves: it may be an answer.
    pub(super) fn note_turn(&mut self, ctx: &mut Context) {
        let waited = self.taps.ear.as_mut().and_then(|ear| ear.turns.agent_spoke(ctx.now));
        if let Some(waited) = waited {
            ctx.metrics.turns.record(waited);
        }
        self.note_speech(ctx, waited);
    }

    /// Tells the agent what the ear has made out.
    #[inline]
    pub(super) fn made_out(&mut self, ctx: &mut Context) {
        if self.taps.ear.is_some() {
            self.tell_made_out(ctx);
        }
    }

    fn tell_made_out(&mut self, ctx: &mut Context) {
        let Some(ear) = &mut self.taps.ear else { return };
        ear.idle(ctx.now);
        let (digit, speech) = (ear.poll_digit(), ear.poll_speech());
        if let Some((change, ago_ms)) = speech {
            let at = ctx.now - Duration::from_millis(ago_ms);
            if let Some(waited) = ear.turns.caller_spoke(ctx.now, at, change.started) {
                ctx.metrics.turns.record(waited);
            }
            self.caller_spoke(ctx, at, change.started);
        }
        if let Some(mailbox) = &mut self.taps.mailbox {
            mailbox.note(ctx.now, digit, speech);
        }
        let Agent::Socket(socket) = &mut self.agent else { return };
        if let Some(pressed) = digit {
            let digit = pressed.digit.as_char();
            socket.session.dtmf(digit, pressed.duration_ms, DtmfSource::Inband);
        }
        if let Some((change, ago_ms)) = speech {
            socket.session.speech(ctx.now - Duration::from_millis(ago_ms), change.started);
        }
        if digit.is_some() || speech.is_some() {
            self.actions(ctx);
        }
    }
}
