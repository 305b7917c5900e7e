//! What the log of calls is told.

use adapters::agent::{CallState, Direction, EndedBy};
use media::silence::Tally;
use uuid::Uuid;

use super::Control;
use super::effects::millis;
use super::incoming::unix_us;
use crate::agent::session::Quality;
use crate::calls::cause::Cause;
use crate::calls::live::LiveCall;
use crate::calls::log::{
    Began, CallFact, Ended, QualitySample, QualitySummary, Sample, Source, Spoken, What,
};
use crate::config::{AgentKind, Builtin};
use crate::workers::command::{CallKey, MediaReport};
use crate::workers::poller::now;
use crate::workers::speech::Spoke;

/// Facts that one call tells, its end and messages aside: an agent may put a peer on hold as often
/// as it likes.
const FACTS_MAX: u32 = 1_000;
/// Things that are said on one call and written down: hours of a lively conversation.
const SPOKEN_MAX: u32 = 4_000;

impl Control {
    /// A call begins.
    pub(super) fn log_beginning(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        let (trunk, configuration) = self.line_of_record(call);
        let began = Began {
            organisation: call.agent.organisation,
            direction: call.direction,
            from: call.from.clone(),
            to: call.to.clone(),
            trunk,
            agent: call.agent.name.clone(),
            configuration,
        };
        self.log_fact(key, What::Initiated(Box::new(began)));
    }

    /// What the record of a call names its way by: the trunk or carrier's configuration, and the
    /// configuration if it is one of the store.
    fn line_of_record(&self, call: &LiveCall) -> (Option<String>, Option<Uuid>) {
        let snapshot = self.directory.load();
        let account = call.trunk.as_ref().and_then(|trunk| snapshot.account(trunk.line));
        let carrier = call.carrier.as_ref().map(|leg| leg.account.id);
        (call.line_name(), account.map(|account| account.id).or(carrier))
    }

    /// A call goes on through another trunk, or by another configuration.
    pub(super) fn log_line(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        let (trunk, configuration) = self.line_of_record(call);
        self.log_fact(key, What::LineChanged { trunk, configuration });
    }

    /// A carrier has a call, and has told what it calls it.
    pub(super) fn log_at_carrier(&mut self, key: CallKey) {
        let leg = self.calls.get(&key).and_then(|call| call.carrier.as_ref());
        let told = leg.and_then(|leg| Some((leg.account.spec.name, leg.id.as_ref()?)));
        let Some((provider, id)) = told else { return };
        let (provider, call) = (provider.to_owned(), id.0.clone());
        self.log_fact(key, What::AtCarrier { provider, call });
    }

    /// Something happened to a call.
    pub(super) fn log_fact(&mut self, key: CallKey, what: What) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.logged.facts >= FACTS_MAX && !what.is_told_always() {
            return self.log.mark_incomplete(call.id);
        }
        let is_beginning = matches!(what, What::Initiated(_));
        if !is_beginning && !call.logged.began {
            // There was no room for how it began: without that, nothing of it can be written.
            self.log_beginning(key);
        }
        let Some(call) = self.calls.get_mut(&key) else { return };
        let id = call.logged.facts.to_string();
        call.logged.facts += 1;
        let source = Source::Node;
        let told = self.log.tell(CallFact { call: call.id, source, id, at_us: unix_us(), what });
        call.logged.began |= is_beginning && told;
    }

    /// A call's state changed, or was told again.
    pub(super) fn log_state(&mut self, key: CallKey, state: CallState) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let (told, what) = match state {
            CallState::Ringing => (&mut call.logged.ringing, What::Ringing),
            CallState::Early => (&mut call.logged.early, What::EarlyMedia),
            CallState::Answered => return self.log_fact(key, What::Answered),
        };
        if !std::mem::replace(told, true) {
            self.log_fact(key, what);
        }
    }

    /// A call is over.
    pub(super) fn log_end(&mut self, key: CallKey, cause: Cause, by: EndedBy) {
        let Some(call) = self.calls.get(&key) else { return };
        let ended = ended(call, cause, by);
        self.log_fact(key, What::Ended(Box::new(ended)));
    }

    /// The agent of a call is connected.
    pub(super) fn log_agent(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        let current = call.current_agent();
        if matches!(current.kind, AgentKind::Builtin(Builtin::Wait { .. })) {
            // Nobody is there: the record keeps whoever was.
            return;
        }
        let (agent, resumed) = (current.name.clone(), call.resumed);
        self.log_fact(key, What::AgentConnected { agent, resumed });
    }

    /// The agent of a call was lost.
    pub(super) fn log_agent_lost(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key).filter(|call| call.ended.is_none()) else { return };
        let agent = call.current_agent().name.clone();
        self.log_fact(key, What::AgentLost { agent });
    }

    /// How the media of a call fare.
    pub(super) fn log_sample(&self, key: CallKey, quality: Quality) {
        let Some(call) = self.calls.get(&key) else { return };
        let sample = QualitySample {
            at_us: unix_us(),
            loss: quality.loss,
            jitter_ms: quality.jitter_ms,
            buffer_ms: quality.buffer_ms,
            mos: quality.mos,
            round_trip_ms: quality.round_trip_ms,
            underruns: Some(quality.underruns),
        };
        self.log.sample(call.id, Sample::Quality(sample));
    }

    /// Something was said on a call.
    pub(super) fn log_speech(&mut self, key: CallKey, spoke: Spoke) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        if call.logged.spoken >= SPOKEN_MAX {
            return;
        }
        call.logged.spoken += 1;
        let ago_us = i64::try_from(now().since(spoke.began).as_micros()).unwrap_or(i64::MAX);
        let spoken = Spoken {
            at_us: unix_us().saturating_sub(ago_us),
            who: spoke.who,
            played_ms: spoke.played_ms,
            dropped_ms: spoke.dropped_ms,
            outcome: spoke.ending,
            waited_ms: spoke.waited.map(millis),
            utterance: spoke.utterance,
        };
        self.log.sample(call.id, Sample::Spoken(spoken));
    }

    /// How the media of a call fared.
    pub(super) fn log_report(&mut self, key: CallKey, report: &MediaReport) {
        if self.calls.get(&key).is_some_and(|call| call.call.answered_at().is_some()) {
            let leg = &report.leg;
            let quality = Quality {
                loss: leg.loss,
                jitter_ms: leg.jitter.as_secs_f32() * 1000.0,
                buffer_ms: 0,
                mos: leg.mos,
                round_trip_ms: leg.round_trip.map(|time| time.as_secs_f32() * 1000.0),
                underruns: report.underruns,
            };
            self.log_sample(key, quality);
        }
        let mut summary = summary(report);
        if let Some(call) = self.calls.get(&key) {
            summary.stages = call.stages();
        }
        self.log_fact(key, What::Quality(Box::new(summary)));
    }
}

/// How a call ended, as its log says it.
fn ended(call: &LiveCall, cause: Cause, by: EndedBy) -> Ended {
    let answered = call.call.answered_at().is_some();
    let lasted = call.ended_at.map(|at| call.duration_ms(at));
    // What we refused a caller with is as much its final status as what a peer refuses us with.
    let ours = || (call.direction == Direction::Inbound).then(|| cause.sip_status().0);
    let goes_on = cause == Cause::Transferred && call.carrier.is_some();
    let sip_status = call.peer_reason.sip.or_else(|| ours().filter(|_| !answered));
    Ended {
        cause,
        by: Some(blame(cause, by, sip_status)),
        answered: Some(answered),
        duration_ms: lasted.filter(|_| answered),
        sip_status,
        q850: call.peer_reason.q850.or_else(|| Some(cause.q850())),
        reason: call.peer_reason.text.clone(),
        held_ms: goes_on.then(|| millis(call.call.plan().max_duration)),
    }
}

/// Who ended a call, where more is known than which side it was: a carrier that has no way or no
/// room answers in the place of the called party.
fn blame(cause: Cause, by: EndedBy, sip_status: Option<u16>) -> EndedBy {
    match (by, cause) {
        (EndedBy::Caller, Cause::NotFound | Cause::Congestion) => EndedBy::Carrier,
        (EndedBy::Network, _) if sip_status.is_some_and(|s| (500..600).contains(&s)) => {
            EndedBy::Carrier
        }
        _ => by,
    }
}

/// The reason that held longest, of a direction that was silent.
fn longest(tally: &Tally) -> Option<String> {
    tally.longest.map(|(reason, _)| reason.as_str().to_owned())
}

fn summary(report: &MediaReport) -> QualitySummary {
    let leg = &report.leg;
    let [silence_in, silence_out] = &report.silences;
    let in_ms = |time: std::time::Duration| time.as_secs_f32() * 1000.0;
    QualitySummary {
        packets_in: leg.packets_received,
        packets_out: leg.packets_sent.into(),
        lost: leg.lost,
        loss: leg.loss,
        jitter_ms: in_ms(leg.jitter),
        mos: (leg.packets_received > 0).then_some(leg.mos),
        remote_mos: leg.remote_mos,
        round_trip_ms: leg.round_trip.map(in_ms),
        first_audio_ms: report.first_audio.map(in_ms),
        underruns: report.underruns,
        agent_skipped: report.agent_skipped,
        silence_in: longest(silence_in),
        silence_in_ms: millis(silence_in.total),
        silence_out: longest(silence_out),
        silence_out_ms: millis(silence_out.total),
        stages: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who hung up, a lost network and a carrier that failed are told apart.
    #[test]
    fn blame_is_told_apart() {
        for (cause, by, status, expected) in [
            (Cause::Normal, EndedBy::Caller, None, EndedBy::Caller),
            (Cause::Normal, EndedBy::Agent, None, EndedBy::Agent),
            (Cause::NetworkFailure, EndedBy::Network, None, EndedBy::Network),
            (Cause::NetworkFailure, EndedBy::Network, Some(408), EndedBy::Network),
            (Cause::NetworkFailure, EndedBy::Network, Some(500), EndedBy::Carrier),
            (Cause::Congestion, EndedBy::Caller, Some(503), EndedBy::Carrier),
            (Cause::NotFound, EndedBy::Caller, Some(404), EndedBy::Carrier),
            (Cause::Busy, EndedBy::Caller, Some(486), EndedBy::Caller),
            (Cause::Draining, EndedBy::Server, None, EndedBy::Server),
        ] {
            assert_eq!(blame(cause, by, status), expected, "{cause:?} {by:?} {status:?}");
        }
    }
}
