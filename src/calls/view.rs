//! A call as the API shows it, in one shape whether it lives or is over.

use adapters::agent::EndedBy;
use adapters::event::{AnsweredBy, Price};
use media::silence::{Reason, Way};
use serde::Serialize;
use uuid::Uuid;

use super::cause::Cause;
use super::log::{Estimate, QualitySummary, StageFigures, State, direction_word};
use crate::store::Timestamp;
use crate::store::calls::CallRecord;

/// A call as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct CallView {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    #[serde(skip)]
    pub organisation: Uuid,
    /// "inbound" or "outbound".
    pub direction: &'static str,
    /// "ringing", "answered", "ending" or "ended".
    pub state: &'static str,
    /// The calling address.
    pub from: String,
    /// The called address.
    pub to: String,
    /// Name of the trunk.
    pub trunk: Option<String>,
    /// Name of the agent.
    pub agent: String,
    /// When it began, in milliseconds since 1970.
    pub began_unix_ms: u64,
    /// From answer to end or now, in milliseconds.
    pub duration_ms: u64,
    /// How long the steps of its frames take, or took.
    pub stages: Vec<StageFigures>,
    /// What the log adds.
    #[serde(flatten)]
    pub record: Record,
}

/// What the log of a call knows.
#[derive(Clone, Debug, Serialize)]
pub struct Record {
    /// The canonical state.
    pub status: State,
    /// The configuration that it came by.
    pub configuration_id: Option<Uuid>,
    /// The carrier that has it, if one does.
    pub provider: Option<String>,
    /// The carrier's id of it.
    pub carrier_call_id: Option<String>,
    /// When it began.
    pub initiated_at: Option<Timestamp>,
    /// When it began to wait for its turn.
    pub queued_at: Option<Timestamp>,
    /// When it rang.
    pub ringing_at: Option<Timestamp>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub cause: Option<Cause>,
    /// Who ended it.
    pub ended_by: Option<EndedBy>,
    /// The final SIP status.
    pub sip_status: Option<u16>,
    /// The cause value of Q.850.
    pub q850: Option<u8>,
    /// Why it ended, in the words of peer or carrier.
    pub reason: Option<String>,
    /// What is billed, in seconds.
    pub billed_s: Option<u64>,
    /// What the carrier takes.
    pub cost: Option<Price>,
    /// What it costs by the table of rates.
    pub cost_estimate: Option<Estimate>,
    /// Who answered, as the carrier's detection says.
    pub answered_by: Option<AnsweredBy>,
    /// Why its directions were silent, if they were, once it is over.
    pub silences: Vec<SilenceView>,
    /// How its media fared.
    pub quality: Option<QualitySummary>,
    /// Facts about it were lost.
    pub is_incomplete: bool,
    /// The server that has it, or had it.
    pub node: Option<Uuid>,
}

/// What a direction of a call went without, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SilenceView {
    /// "in" from the peer, "out" to it.
    pub direction: &'static str,
    /// The reason that held longest.
    pub reason: String,
    /// Milliseconds without sound, for whatever reason.
    pub silent_ms: u64,
    /// What the reason means; absent for one that this version does not know.
    pub meaning: Option<&'static str>,
    /// What to do about it.
    pub advice: Option<&'static str>,
}

impl SilenceView {
    /// Those of a call.
    fn all(quality: &QualitySummary) -> Vec<Self> {
        let both = [
            (Way::In, quality.silence_in.as_deref(), quality.silence_in_ms),
            (Way::Out, quality.silence_out.as_deref(), quality.silence_out_ms),
        ];
        let silence = |(way, word, silent_ms): (Way, Option<&str>, u64)| {
            let word = word?;
            let reason = Reason::from_word(word);
            Some(Self {
                direction: way.as_str(),
                reason: word.to_owned(),
                silent_ms,
                meaning: reason.map(Reason::meaning),
                advice: reason.map(Reason::advice),
            })
        };
        both.into_iter().filter_map(silence).collect()
    }
}

impl Record {
    /// Of a call of which the log is not asked.
    pub const fn living(status: State) -> Self {
        Self {
            status,
            configuration_id: None,
            provider: None,
            carrier_call_id: None,
            initiated_at: None,
            queued_at: None,
            ringing_at: None,
            answered_at: None,
            ended_at: None,
            cause: None,
            ended_by: None,
            sip_status: None,
            q850: None,
            reason: None,
            billed_s: None,
            cost: None,
            cost_estimate: None,
            answered_by: None,
            silences: Vec::new(),
            quality: None,
            is_incomplete: false,
            node: None,
        }
    }
}

impl CallView {
    /// What the store knows of a call; `now` is the end of one that lasts.
    pub fn stored(call: CallRecord, now: Timestamp) -> Self {
        let mut summary = call.summary;
        let stages = summary.quality.as_mut().map(|it| std::mem::take(&mut it.stages));
        let stamps = summary.stamps;
        let at = |us: Option<i64>| us.map(Timestamp);
        let so_far = stamps.answered_us.map(|answered| now.0.saturating_sub(answered) / 1_000);
        let so_far = so_far.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0);
        let began_ms = stamps.initiated_us.unwrap_or(0) / 1_000;
        let (direction, from, to, trunk, configuration_id) = match summary.began {
            Some(began) => {
                let direction = direction_word(began.direction);
                (direction, began.from, began.to, began.trunk, began.configuration)
            }
            None => Default::default(),
        };
        let carrier = summary.carrier;
        let (provider, carrier_call_id) = carrier.map(|it| (it.provider, it.call)).unzip();
        Self {
            id: call.id,
            organisation: call.organisation.0,
            direction,
            state: match (summary.state.is_terminal(), stamps.answered_us) {
                (true, _) => "ended",
                (false, Some(_)) => "answered",
                (false, None) => "ringing",
            },
            from,
            to,
            trunk,
            agent: summary.agent.unwrap_or_default(),
            began_unix_ms: u64::try_from(began_ms).unwrap_or(0),
            duration_ms: match summary.state.is_terminal() {
                true => summary.duration_ms.unwrap_or(0),
                false => so_far,
            },
            stages: stages.unwrap_or_default(),
            record: Record {
                status: summary.state,
                configuration_id,
                provider,
                carrier_call_id,
                initiated_at: at(stamps.initiated_us),
                queued_at: at(stamps.queued_us),
                ringing_at: at(stamps.ringing_us),
                answered_at: at(stamps.answered_us),
                ended_at: at(stamps.ended_us),
                cause: summary.cause,
                ended_by: summary.ended_by,
                sip_status: summary.sip_status,
                q850: summary.q850,
                reason: summary.reason,
                billed_s: summary.billed_s,
                cost: summary.cost,
                cost_estimate: summary.estimate,
                answered_by: summary.answered_by,
                silences: summary.quality.as_ref().map(SilenceView::all).unwrap_or_default(),
                quality: summary.quality,
                is_incomplete: call.is_incomplete,
                node: call.node.map(|node| node.0),
            },
        }
    }

    /// What a living call says of itself, with what the store knows of it besides.
    #[must_use]
    pub fn with_record(self, stored: Option<Self>) -> Self {
        match stored {
            Some(stored) => Self { record: stored.record, ..self },
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A direction that was silent is explained, one that was not is left out; a reason that is not
    /// known is told without words.
    #[test]
    fn silences_are_explained() {
        let mut quality = QualitySummary {
            silence_out: Some("agent_silent".to_owned()),
            silence_out_ms: 4_200,
            ..QualitySummary::default()
        };
        let told = SilenceView::all(&quality);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].direction, told[0].silent_ms), ("out", 4_200));
        assert_eq!(told[0].meaning, Some(Reason::AgentSilent.meaning()));
        assert_eq!(told[0].advice, Some(Reason::AgentSilent.advice()));
        quality.silence_in = Some("of_tomorrow".to_owned());
        let told = SilenceView::all(&quality);
        assert_eq!((told.len(), told[0].direction, told[0].meaning), (2, "in", None));
    }
}
