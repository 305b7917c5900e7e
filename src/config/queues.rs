//! `[[queues]]`: where calls wait for the next of several agents.

use std::time::Duration;

use super::Config;
use super::agents::{self, AgentConfig, AgentKind, SipAgent};
use super::assemble::callable;
use super::problem::suggestion;
use super::section::Section;

/// What stands in front of a queue's name where agents are named.
pub const QUEUE: &str = "queue:";

/// Most calls that may wait in a queue.
const MAX_WAITING_MAX: u32 = 10_000;
/// Default of `max_waiting`.
const MAX_WAITING: u32 = 50;
/// Longest `max_wait_s`: a day.
const MAX_WAIT_S_MAX: u64 = 24 * 3_600;
/// Default of `max_wait_s`.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// Longest `ring_timeout_s`: what a transfer may take.
const RING_TIMEOUT_S_MAX: u64 = 600;
/// Default of `ring_timeout_s`.
const RING_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest `rest_s`.
const REST_S_MAX: u64 = 3_600;
/// Default of `rest_s`.
const REST: Duration = Duration::from_secs(30);
/// Most calls that a member may be given at once.
const MEMBER_CALLS_MAX: u32 = 100_000;

/// A queue: calls wait in it for the next of its members.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueConfig {
    /// Unique name.
    pub name: String,
    /// Which of the free members gets the next call.
    pub strategy: Strategy,
    /// Who takes its calls; at least one.
    pub members: Vec<MemberConfig>,
    /// Calls that may wait at once.
    pub max_waiting: u32,
    /// How long a call may wait.
    pub max_wait: Duration,
    /// How long a member may take to answer.
    pub ring_timeout: Duration,
    /// How long a member that did not answer is passed over.
    pub rest: Duration,
    /// Who takes calls for which there is no place, or which have waited too long; they fall back
    /// as their route says if nobody does.
    pub overflow: Option<QueueTarget>,
    /// What stands for it where agents are named: its calls have that while they wait.
    pub agent: AgentConfig,
}

/// Which of the free members of a queue gets the next call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The one with the fewest calls; among those the one whose last call ended first.
    #[default]
    LongestIdle,
    /// The first in the order of the file.
    InOrder,
}

impl Strategy {
    /// All of them, by their words.
    pub const ALL: [(&'static str, Self); 2] =
        [("longest_idle", Self::LongestIdle), ("in_order", Self::InOrder)];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LongestIdle => "longest_idle",
            Self::InOrder => "in_order",
        }
    }
}

/// Who takes calls of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberConfig {
    /// Who it is.
    pub target: QueueTarget,
    /// Calls at once, those that it is being rung for included.
    pub max_calls: u32,
}

/// Whom a queue gives calls to.
#[derive(Clone, Debug, PartialEq)]
pub enum QueueTarget {
    /// The agent of this name; it exists, and is no queue.
    Named(String),
    /// A telephone that is called as an agent of this queue's own.
    Phone(Box<AgentConfig>),
}

impl QueueTarget {
    /// The name of the agent. It is no number.
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Phone(agent) => &agent.name,
        }
    }
}

/// The keys that name whom calls go to.
struct Keys {
    agent: &'static str,
    destination: &'static str,
    trunk: &'static str,
}

const MEMBER: Keys = Keys { agent: "agent", destination: "destination", trunk: "trunk" };
const OVERFLOW: Keys =
    Keys { agent: "overflow_agent", destination: "overflow_destination", trunk: "overflow_trunk" };

/// Reads a queue; agents, trunks and users that it names are those of `config`.
pub(super) fn queue(section: Section<'_>, config: &Config) -> Option<QueueConfig> {
    let name = agents::name(&section);
    let strategy = section.word("strategy", &Strategy::ALL).unwrap_or_default();
    let hold_music = section.file("hold_music");
    let max_waiting = section.number("max_waiting", 1..=MAX_WAITING_MAX).unwrap_or(MAX_WAITING);
    let max_wait = section.seconds("max_wait_s", 1..=MAX_WAIT_S_MAX).unwrap_or(MAX_WAIT);
    let ring_timeout =
        section.seconds("ring_timeout_s", 1..=RING_TIMEOUT_S_MAX).unwrap_or(RING_TIMEOUT);
    let rest = section.seconds("rest_s", 1..=REST_S_MAX).unwrap_or(REST);
    let called = name.as_deref().unwrap_or_default();
    let own = format!("{QUEUE}{called}/overflow");
    let overflow = target(&section, &OVERFLOW, (own, ring_timeout), config);
    let members = members(&section, (called, ring_timeout), config);
    section.finish();
    let name = name?;
    let agent = AgentConfig::waiting(format!("{QUEUE}{name}"), Some(name.clone()), hold_music);
    Some(QueueConfig {
        name,
        strategy,
        members,
        max_waiting,
        max_wait,
        ring_timeout,
        rest,
        overflow,
        agent,
    })
}

fn members(
    section: &Section<'_>,
    (queue, ring_timeout): (&str, Duration),
    config: &Config,
) -> Vec<MemberConfig> {
    let mut members: Vec<MemberConfig> = Vec::new();
    for (number, entry) in (1..).zip(section.sections("members")) {
        let max_calls = entry.number("max_calls", 1..=MEMBER_CALLS_MAX).unwrap_or(1);
        let own = format!("{QUEUE}{queue}/{number}");
        let target = target(&entry, &MEMBER, (own, ring_timeout), config);
        if !entry.has("agent") && !entry.has("destination") {
            entry.missing("agent", "who takes calls: an agent, or a destination that is called");
        }
        let same = |one: &MemberConfig| match (&one.target, &target) {
            (QueueTarget::Named(one), Some(QueueTarget::Named(other))) => one == other,
            (QueueTarget::Phone(one), Some(QueueTarget::Phone(other))) => one.kind == other.kind,
            _ => false,
        };
        if members.iter().any(same) {
            let key = if entry.has("agent") { "agent" } else { "destination" };
            entry.conflict(key, "is a member already; max_calls gives it more calls".to_owned());
        }
        entry.finish();
        members.extend(target.map(|target| MemberConfig { target, max_calls }));
    }
    if !section.has("members") {
        section.missing("members", "who takes its calls; write them as [[queues.members]]");
    }
    members
}

/// Whom these keys name, if they do: an agent of the configuration, or a telephone that becomes an
/// agent called `own`.
fn target(
    section: &Section<'_>,
    keys: &Keys,
    (own, ring_timeout): (String, Duration),
    config: &Config,
) -> Option<QueueTarget> {
    let agent = section.text(keys.agent, "the name of an agent", |text| Ok(text.to_owned()));
    let uri = agents::called(section, keys.destination);
    let trunk = section.text(keys.trunk, "the name of a trunk", |text| Ok(text.to_owned()));
    if section.has(keys.agent) && section.has(keys.destination) {
        let message = format!("{} is given, too; one of them takes the calls", keys.agent);
        section.conflict(keys.destination, message);
        return None;
    }
    if trunk.is_some() && !section.has(keys.destination) {
        section.conflict(keys.trunk, format!("means nothing without {}", keys.destination));
    }
    if let Some(agent) = agent {
        let names: Vec<&str> = config.agents.iter().map(|agent| agent.name.as_str()).collect();
        if !names.contains(&agent.as_str()) {
            let (near, listed) = (suggestion(&agent, &names), names.join(", "));
            let message = format!("no agent is called \"{agent}\"{near}; allowed: {listed}");
            section.conflict(keys.agent, message);
            return None;
        }
        return Some(QueueTarget::Named(agent));
    }
    let sip = SipAgent { uri: uri?, trunk, from: None, ring_timeout, early_media: false };
    if let Err(message) = callable(&sip, &config.trunks, &config.users) {
        section.conflict(keys.destination, message);
        return None;
    }
    Some(QueueTarget::Phone(Box::new(AgentConfig::plain(own, AgentKind::Sip(sip)))))
}
