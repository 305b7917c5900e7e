//! Carries out what a call's state machine wants done.

use adapters::agent::{CallState, Direction, EndedBy};

use super::Control;
use super::sip::log_refused;
use crate::calls::call::{Effect, Input, Which};
use crate::calls::cause::Cause;
use crate::calls::far::Seat;
use crate::calls::live::{Sound, Sounding, direction};
use crate::calls::queue::Leaving;
use crate::calls::reason::PeerReason;
use crate::calls::sounds::Wanted;
use crate::config::Masked;
use crate::telemetry::CallDirection;
use crate::workers::builtin::{Builtin, Source};
use crate::workers::command::{AgentLink, CallKey, Command, MediaReport};
use crate::workers::poller::now;

impl Control {
    /// Carries out `effects` in order and empties them.
    pub(super) fn perform(&mut self, key: CallKey, effects: &mut Vec<Effect>) {
        self.pbx_before_end(key, effects);
        for effect in effects.drain(..) {
            self.effect(key, effect);
        }
    }

    fn effect(&mut self, key: CallKey, effect: Effect) {
        if self.carrier_effect(key, effect) {
            return;
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let at = now();
        match effect {
            Effect::Ring => self.ring(key),
            Effect::Progress => self.progress(key),
            Effect::Answer => {
                if let Some(dialog) = call.dialog {
                    let added = std::mem::take(&mut call.answer_headers);
                    let added = added.iter().map(|(name, value)| (name.as_str(), value.as_str()));
                    let added: Vec<_> = added.collect();
                    let answered = self.endpoint.answer(at, dialog, Some(&call.sdp), &added);
                    log_refused(answered.err());
                }
            }
            Effect::Reject(cause) => {
                if let Some(dialog) = call.dialog.take() {
                    self.by_dialog.remove(&dialog);
                    // Whoever was called in the agent's place may have said it better.
                    let said = call.far_reason.passed_on();
                    let (status, reason) = said.unwrap_or_else(|| cause.sip_status());
                    let why = call.far_reason.header().unwrap_or_else(|| cause.reason_header());
                    let headers = [("Reason", why.as_str())];
                    let refused = self.endpoint.reject(at, dialog, status, reason, &headers);
                    log_refused(refused.err());
                }
            }
            Effect::Bye(cause) => {
                // Whoever asked for another party learns that there is none before the BYE.
                self.abandon_takeover(key, 487, "Request Terminated");
                let Some(call) = self.calls.get_mut(&key) else { return };
                if let Some(dialog) = call.dialog.take() {
                    self.by_dialog.remove(&dialog);
                    let why = call.far_reason.header().unwrap_or_else(|| cause.reason_header());
                    let said = self.endpoint.bye(at, dialog, &[("Reason", why.as_str())]);
                    log_refused(said.err());
                }
            }
            Effect::Cancel(cause) => {
                let why = cause.reason_header();
                self.give_up_branches(key, &why);
                let Some(call) = self.calls.get_mut(&key) else { return };
                if let Some(dialog) = call.dialog.take() {
                    self.by_dialog.remove(&dialog);
                    let headers = [("Reason", why.as_str())];
                    // Its answer may have come already, and is to be looked at next.
                    log_refused(self.endpoint.bye(at, dialog, &headers).err());
                }
            }
            Effect::Connect { agent, resumed } => {
                call.which = agent;
                if agent == Which::Fallback && !resumed {
                    self.leaves_queue(key, Leaving::Elsewhere);
                }
                self.leave_agent(key);
                self.connect(key, resumed);
            }
            Effect::State(state) => self.state(key, state),
            Effect::Comfort => self.comfort(key),
            Effect::Expiring { left } => self.expiring(key, left),
            Effect::Leave => drop(self.leave_conversation(key)),
            Effect::PlayMessage => self.play_instead(key),
            Effect::Finish { cause, by } => self.finish(key, cause, by),
        }
    }

    /// Lets go of all that a call has but its media, whose report is still to come.
    fn finish(&mut self, key: CallKey, cause: Cause, by: EndedBy) {
        // First of all: who is being rung for it has not failed to answer.
        self.leaves_queue(key, Leaving::Over);
        self.forget_parking(key);
        self.transfer_over(key, cause);
        self.abandon_takeover(key, 487, "Request Terminated");
        Seat::ALL.into_iter().for_each(|seat| self.drop_far(key, seat, cause));
        self.settle_peer(key);
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.ended = Some((cause, by));
        call.ended_at = Some(now());
        (call.attempt, call.awaits, call.slot) = (0, None, None);
        let worker = call.worker;
        self.log_end(key, cause, by);
        self.settle_credit(key);
        self.command(worker, Command::Close { call: key, cause, by });
    }

    /// Tells the caller that it rings.
    fn ring(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        if let Some(dialog) = call.dialog {
            let rung = self.endpoint.provisional(now(), dialog, 180, "Ringing", None, &[]);
            log_refused(rung.err());
        } else if call.web.is_none() && call.pbx.is_none() {
            return;
        }
        self.log_state(key, CallState::Ringing);
    }

    /// Plays the route's message in the agent's place.
    fn play_instead(&mut self, key: CallKey) {
        self.leaves_queue(key, Leaving::Elsewhere);
        self.leave_agent(key);
        self.play_message(key, false);
    }

    /// Somebody else is to be at the agent's end: the leg there is hung up.
    fn leave_agent(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.far_reason = PeerReason::default();
        self.drop_far(key, Seat::There, Cause::NoAnswer);
    }

    fn state(&mut self, key: CallKey, state: CallState) {
        self.log_state(key, state);
        if state == CallState::Answered {
            self.record_from_answer(key);
            self.joins_queue(key);
        }
        let Some(call) = self.calls.get(&key) else { return };
        if state == CallState::Answered {
            let label = label(call.direction);
            self.metrics.calls.answered(label, now().since(call.began));
        }
        if state == CallState::Early {
            // As caller nothing is said before the answer; see decision 11.
            let speaks = call.direction == Direction::Inbound;
            return self.command(call.worker, Command::Early { call: key, speaks });
        }
        self.command(call.worker, Command::State { call: key, state });
        if state == CallState::Answered {
            self.begin_charging(key);
        }
    }

    /// Lets the caller hear noise until an agent is there, or music if whoever was there has left
    /// it to somebody who comes.
    pub(super) fn comfort(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.format.is_some()) else {
            return;
        };
        let format = call.sounds_in();
        call.sounding = Some(Sounding { what: Sound::Noise, format });
        let worker = call.worker;
        let awaited = call.transfer.as_ref().is_some_and(|it| it.transfer.is_awaited());
        let music = call.current_agent().hold_music.clone().filter(|_| awaited);
        let sound = match &music {
            Some(file) => self.sounds.music(file, format),
            None => self.sounds.noise(format),
        };
        let noise = Builtin::speaker(Source::Loop(sound), false);
        self.command(worker, Command::Comfort { call: key, noise });
    }

    /// Plays the route's message; without one that can be played the call ends. With `goes_on` it
    /// plays already, in another format.
    pub(super) fn play_message(&mut self, key: CallKey, goes_on: bool) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.playing_message = true;
        let format = call.sounds_in();
        call.sounding = Some(Sounding { what: Sound::Message, format });
        let worker = call.worker;
        let wanted = match (&call.message, call.format) {
            (Some(path), Some(_)) => Wanted::file(path, format),
            _ => return self.tell_later(key, Input::MessagePlayed),
        };
        self.ambient(key);
        let Some(sound) = self.sound_for(key, (Sound::Message, goes_on), wanted) else { return };
        let message = Builtin::speaker(Source::Once(sound), true);
        let link = AgentLink::Builtin(if goes_on { message.going_on() } else { message });
        self.command(worker, Command::Attach { call: key, link });
    }

    /// The worker has let go of a call: its record is complete.
    pub(super) fn closed(&mut self, key: CallKey, report: &MediaReport) {
        self.log_report(key, report);
        let Some(mut call) = self.calls.remove(&key) else { return };
        self.leave_links(key);
        if let Some(leg) = call.carrier.take() {
            self.carrier_closed((key, call.id), *leg);
        }
        self.deadlines.remove(&(call.scheduled, key));
        self.by_id.remove(&call.id);
        if call.captured {
            self.end_capture(call.id);
        }
        if let Some(dialog) = call.dialog {
            self.by_dialog.remove(&dialog);
        }
        let (cause, by) = call.ended.unwrap_or((Cause::Internal, EndedBy::Server));
        let metrics = &self.metrics.calls;
        metrics.ended(label(call.direction), cause.as_str());
        if let Some(first) = report.first_audio {
            metrics.first_audio.record(first);
        }
        self.metrics.recordings.lost.add(report.recording_lost);
        let at = now();
        if call.call.answered_at().is_some() {
            metrics.duration.record(std::time::Duration::from_millis(call.duration_ms(at)));
        }
        let [silence_in, silence_out] = &report.silences;
        tracing::info!(
            parent: &call.span,
            direction = direction(call.direction),
            from = %Masked(&call.from),
            to = %Masked(&call.to),
            agent = %call.current_agent().name,
            cause = cause.as_str(),
            by = by.as_str(),
            sip = call.peer_reason.sip,
            q850 = call.peer_reason.q850,
            reason = call.peer_reason.text.as_deref(),
            duration_ms = call.duration_ms(at),
            packets_in = report.leg.packets_received,
            packets_out = report.leg.packets_sent,
            lost = report.leg.lost,
            jitter_ms = hundredths(report.leg.jitter.as_secs_f32() * 1000.0),
            mos = hundredths(report.leg.mos),
            remote_mos = report.leg.remote_mos.map(hundredths),
            foreign = report.foreign,
            underruns = report.underruns,
            agent_skipped = report.agent_skipped,
            agent_lost = report.agent_leg.map(|leg| leg.lost),
            agent_mos = report.agent_leg.map(|leg| hundredths(leg.mos)),
            agent_late = report.agent_jitter.map(|jitter| jitter.counters.late),
            agent_concealed_ms = report.agent_jitter.map(|jitter| jitter.concealed_ms),
            recording = call.recording.map(crate::recording::State::as_str),
            recording_lost = report.recording_lost,
            silence_in = silence_in.longest.map(|(reason, _)| reason.as_str()),
            silence_in_ms = millis(silence_in.total),
            silence_out = silence_out.longest.map(|(reason, _)| reason.as_str()),
            silence_out_ms = millis(silence_out.total),
            "call ended"
        );
    }
}

/// A figure as a log line has it.
fn hundredths(figure: f32) -> f64 {
    (f64::from(figure) * 100.0).round() / 100.0
}

/// A length of time in milliseconds.
pub(super) fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The label of a direction.
pub(super) const fn label(direction: Direction) -> CallDirection {
    match direction {
        Direction::Inbound => CallDirection::Inbound,
        Direction::Outbound => CallDirection::Outbound,
    }
}
