//! A call in short: its record, while it lives and when it is over.

use adapters::agent::EndedBy;
use adapters::event::{AnsweredBy, Price};
use serde::{Deserialize, Serialize};

use super::{Began, QualitySummary, State};
use crate::calls::cause::Cause;
use crate::quota::amount::{Amount, Currency};
use crate::quota::rates::Rate;

/// When a call reached which state, in microseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamps {
    /// It began.
    pub initiated_us: Option<i64>,
    /// It waited for its turn.
    pub queued_us: Option<i64>,
    /// It rang.
    pub ringing_us: Option<i64>,
    /// It was answered.
    pub answered_us: Option<i64>,
    /// It was over.
    pub ended_us: Option<i64>,
}

/// What follows from the facts of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// How it began, if that is known.
    pub began: Option<Began>,
    /// The agent that had it last.
    pub agent: Option<String>,
    /// Its state.
    pub state: State,
    /// When it reached which.
    pub stamps: Stamps,
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
    /// From the answer to the end, in milliseconds.
    pub duration_ms: Option<u64>,
    /// What is billed: whole seconds begun, as the carrier counts them if it tells.
    pub billed_s: Option<u64>,
    /// What the carrier takes for it.
    pub cost: Option<Price>,
    /// What it costs by the table of rates, its legs included, once it is over.
    pub estimate: Option<Estimate>,
    /// What it costs while it lives.
    pub rate: Option<Rate>,
    /// Who answered, as the carrier's detection says.
    pub answered_by: Option<AnsweredBy>,
    /// How its media fared.
    pub quality: Option<QualitySummary>,
    /// Where it is beside us, if a carrier has it.
    pub carrier: Option<AtCarrier>,
}

/// What a call costs by the table of rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
}

/// A call as a carrier has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AtCarrier {
    /// The carrier.
    pub provider: String,
    /// Its id of the call.
    pub call: String,
}
