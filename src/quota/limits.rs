//! What is limited, and by how much.

use std::fmt;

use uuid::Uuid;

/// What calls count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// What it is.
    pub kind: Kind,
    /// Which one; nil for the server.
    pub id: Uuid,
}

/// Kinds of subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// This server.
    Server,
    /// An organisation.
    Organisation,
    /// A carrier's configuration.
    Configuration,
    /// A trunk.
    Trunk,
    /// A number.
    Number,
    /// An agent.
    Agent,
}

/// Which way a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It comes in.
    In,
    /// We place it.
    Out,
}

/// A bound for all calls, and one for those of each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// Both ways together.
    pub both: Option<u32>,
    /// Calls that come in.
    pub inbound: Option<u32>,
    /// Calls that are placed.
    pub outbound: Option<u32>,
}

/// Bounds of a subject; without any it takes every call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Calls at once.
    pub calls: Ways,
    /// New calls a second.
    pub per_second: Ways,
}

impl Limits {
    /// At most `calls` at once, of which those that we place may take all but `reserve_percent`
    /// of them (rounded down): so much is kept for those that come in.
    pub fn calls(calls: u32, reserve_percent: u32) -> Self {
        let reserve = u64::from(calls) * u64::from(reserve_percent.min(100)) / 100;
        let outbound = calls.saturating_sub(u32::try_from(reserve).unwrap_or(calls));
        let calls = Ways { both: Some(calls), inbound: None, outbound: Some(outbound) };
        Self { calls, per_second: Ways::default() }
    }

    /// Also at most `per_second` new calls a second, both ways together.
    #[must_use]
    pub const fn at_rate(mut self, per_second: u32) -> Self {
        self.per_second.both = Some(per_second);
        self
    }
}

/// A subject and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Which.
    pub subject: Subject,
    /// How many of its calls are taken.
    pub limits: Limits,
}

impl Bound {
    /// Bounds of a subject.
    pub const fn new(kind: Kind, id: Uuid, limits: Limits) -> Self {
        Self { subject: Subject { kind, id }, limits }
    }
}

/// A limit that a call met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Calls at once.
    Calls,
    /// Calls at once that we place: the rest is kept for those that come in.
    OutboundCalls,
    /// Calls at once that come in.
    InboundCalls,
    /// New calls a second.
    Rate,
    /// The share of their time that media threads spend on calls, in percent.
    Busy,
    /// How late frames may be, in milliseconds.
    Lateness,
    /// Minutes that are talked in a day or a month.
    Minutes,
    /// Money that is spent in a day or a month; bounds are in hundredths.
    Money,
    /// Calls of a day that are placed from a number.
    CallsADay,
}

/// A call is not taken: which limit it met, of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit of {limit} of the {kind} is reached ({})", .limit.shown(*.bound))]
pub struct Refusal {
    /// Whose limit.
    pub kind: Kind,
    /// Which limit.
    pub limit: Limit,
    /// The limit.
    pub bound: u32,
}

impl Limit {
    /// A bound as people read it.
    fn shown(self, bound: u32) -> String {
        match self {
            Self::Money => format!("{}.{:02}", bound / 100, bound % 100),
            _ => bound.to_string(),
        }
    }
}

impl Refusal {
    /// True if its organisation has spent what it may, so that waiting for a moment is of no use.
    pub fn is_budget(&self) -> bool {
        matches!(self.limit, Limit::Minutes | Limit::Money)
    }

    /// True if the day has to be over before there is room.
    pub fn is_lasting(&self) -> bool {
        self.is_budget() || self.limit == Limit::CallsADay
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Organisation => "organisation",
            Self::Configuration => "configuration",
            Self::Trunk => "trunk",
            Self::Number => "number",
            Self::Agent => "agent",
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Calls => "calls",
            Self::OutboundCalls => "outbound calls",
            Self::InboundCalls => "inbound calls",
            Self::Rate => "calls a second",
            Self::Busy => "percent of busy time",
            Self::Lateness => "milliseconds of lateness",
            Self::Minutes => "minutes",
            Self::Money => "money",
            Self::CallsADay => "calls a day",
        })
    }
}
