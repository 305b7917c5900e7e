//! What a try came to, and whether another follows.

use std::collections::BTreeMap;
use std::time::Duration;

use adapters::event::AnsweredBy;
use serde::{Deserialize, Serialize};

use crate::calls::cause::Cause;
use crate::calls::log::{State, Summary};

/// Most tries of a recipient, the first among them.
pub const TRIES_MAX: u32 = 20;
/// Longest pause before another try, in seconds: a week.
pub const DELAY_S_MAX: u64 = 7 * 86_400;
/// Shortest pause before another try, in seconds: whoever is called is a person.
pub const DELAY_S_MIN: u64 = 5;

/// What a try came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Somebody answered.
    Reached,
    /// A machine answered.
    Machine,
    /// The called party is busy.
    Busy,
    /// Nobody answered in time.
    NoAnswer,
    /// There was no way, and nothing rang.
    Failed,
    /// The called party declined, nobody has the number, or it is not called.
    Refused,
    /// Somebody gave the call up.
    Cancelled,
    /// Nobody knows whether it was placed, or what it came to.
    Uncertain,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Reached,
        Self::Machine,
        Self::Busy,
        Self::NoAnswer,
        Self::Failed,
        Self::Refused,
        Self::Cancelled,
        Self::Uncertain,
    ];

    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reached => "reached",
            Self::Machine => "machine",
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Uncertain => "uncertain",
        }
    }

    /// The outcome that this word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }

    /// What a call that is over came to.
    ///
    /// Only what says for sure that nobody talked, and that nothing goes on elsewhere, may be tried
    /// again: a call that a server lost, or of which a carrier was asked and never heard, is
    /// [`Outcome::Uncertain`].
    pub fn of(call: &Summary) -> Self {
        let cause = call.cause.unwrap_or(Cause::NodeLost);
        if call.state == State::Completed {
            return match call.answered_by {
                Some(AnsweredBy::MachineStart | AnsweredBy::MachineEnd | AnsweredBy::Fax) => {
                    Self::Machine
                }
                _ => Self::Reached,
            };
        }
        match cause {
            Cause::Busy => Self::Busy,
            Cause::NoAnswer => Self::NoAnswer,
            Cause::Rejected | Cause::NotFound => Self::Refused,
            Cause::Normal | Cause::Cancelled | Cause::PeerAbsent | Cause::Transferred => {
                Self::Cancelled
            }
            // A server said so: nobody has it any more.
            Cause::NetworkFailure if call.sip_status.is_some() => Self::Failed,
            Cause::Congestion
            | Cause::Draining
            | Cause::BudgetSpent
            | Cause::AgentUnreachable
            | Cause::AgentLost => Self::Failed,
            Cause::NodeLost
            | Cause::NetworkFailure
            | Cause::Internal
            | Cause::MaxDuration
            | Cause::MediaTimeout
            | Cause::SessionExpired => Self::Uncertain,
        }
    }
}

/// How often, and after what pause, is tried again what came to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Further tries.
    pub tries: u32,
    /// Pause before the first of them, in seconds.
    pub delay_s: u64,
    /// The pause doubles from one to the next, up to this; it stays the same if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_max_s: Option<u64>,
}

/// When is tried again, by what a try came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The called party is busy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<Rule>,
    /// Nobody answered in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_answer: Option<Rule>,
    /// There was no way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Rule>,
    /// A machine answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Rule>,
}

/// What follows a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another, after this pause.
    Again(Duration),
    /// None.
    Over,
}

/// How often the tries of a recipient came to what, the last one among them.
pub type Tally = BTreeMap<Outcome, u32>;

impl Policy {
    const fn rule(&self, outcome: Outcome) -> Option<Rule> {
        match outcome {
            Outcome::Busy => self.busy,
            Outcome::NoAnswer => self.no_answer,
            Outcome::Failed => self.failed,
            Outcome::Machine => self.machine,
            // Nobody is called twice who was reached, who declined, or of whom we do not know.
            Outcome::Reached | Outcome::Refused | Outcome::Cancelled | Outcome::Uncertain => None,
        }
    }

    /// The rules there are, each with its name.
    pub fn rules(&self) -> impl Iterator<Item = (&'static str, Rule)> {
        let named = [
            ("busy", self.busy),
            ("no_answer", self.no_answer),
            ("failed", self.failed),
            ("machine", self.machine),
        ];
        named.into_iter().filter_map(|(name, rule)| Some((name, rule?)))
    }

    /// What follows a try that came to `outcome`, as the one of the tries in `tally` that was last.
    pub fn after(&self, outcome: Outcome, tally: &Tally) -> Next {
        let Some(rule) = self.rule(outcome) else { return Next::Over };
        let all: u32 = tally.values().sum();
        let alike = tally.get(&outcome).copied().unwrap_or(0).max(1);
        if alike > rule.tries || all >= TRIES_MAX {
            return Next::Over;
        }
        let most = rule.delay_max_s.unwrap_or(rule.delay_s).min(DELAY_S_MAX);
        let doubled = rule.delay_s.saturating_mul(1 << (alike - 1).min(31));
        Next::Again(Duration::from_secs(doubled.min(most).max(DELAY_S_MIN)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::log::CallFact;
    use crate::calls::log::{Ended, Fold, Source, What};

    fn summary(cause: Cause, answered: bool, sip_status: Option<u16>) -> Summary {
        let mut fold = Fold::default();
        let ended = Ended { answered: Some(answered), sip_status, ..Ended::new(cause) };
        fold.apply(&CallFact {
            call: uuid::Uuid::nil(),
            source: Source::Node,
            id: "1".to_owned(),
            at_us: 1,
            what: What::Ended(Box::new(ended)),
        });
        fold.summary()
    }

    /// Whatever was answered was reached, whatever cut it short; and of all other ends only those
    /// are tried again after which surely nobody talks.
    #[test]
    fn outcomes_of_ends() {
        for cause in Cause::ALL {
            assert_eq!(Outcome::of(&summary(cause, true, None)), Outcome::Reached, "{cause:?}");
        }
        for (cause, sip_status, expected) in [
            (Cause::Busy, Some(486), Outcome::Busy),
            (Cause::NoAnswer, Some(480), Outcome::NoAnswer),
            (Cause::NoAnswer, None, Outcome::NoAnswer),
            (Cause::Rejected, Some(603), Outcome::Refused),
            (Cause::NotFound, Some(404), Outcome::Refused),
            (Cause::Normal, None, Outcome::Cancelled),
            (Cause::Congestion, Some(503), Outcome::Failed),
            (Cause::NetworkFailure, Some(500), Outcome::Failed),
            (Cause::NetworkFailure, None, Outcome::Uncertain),
            (Cause::NodeLost, None, Outcome::Uncertain),
            (Cause::Internal, None, Outcome::Uncertain),
        ] {
            let found = Outcome::of(&summary(cause, false, sip_status));
            assert_eq!(found, expected, "{cause:?} {sip_status:?}");
        }
    }

    /// Words are unique and lead back.
    #[test]
    fn words_name_outcomes() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_word(outcome.as_str()), Some(outcome));
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
        }
    }

    /// Each cause has its own number of tries and its own pauses, which double up to their bound.
    #[test]
    fn each_cause_has_its_rule() {
        let policy = Policy {
            busy: Some(Rule { tries: 3, delay_s: 60, delay_max_s: Some(150) }),
            no_answer: Some(Rule { tries: 1, delay_s: 600, delay_max_s: None }),
            ..Policy::default()
        };
        let after = |outcome, busy, no_answer| {
            let tally = [(Outcome::Busy, busy), (Outcome::NoAnswer, no_answer)];
            policy.after(outcome, &tally.into_iter().collect())
        };
        let again = |seconds| Next::Again(Duration::from_secs(seconds));
        assert_eq!(after(Outcome::Busy, 1, 0), again(60));
        assert_eq!(after(Outcome::Busy, 2, 1), again(120));
        assert_eq!(after(Outcome::Busy, 3, 1), again(150));
        assert_eq!(after(Outcome::Busy, 4, 1), Next::Over);
        assert_eq!(after(Outcome::NoAnswer, 3, 1), again(600));
        assert_eq!(after(Outcome::NoAnswer, 3, 2), Next::Over);
        assert_eq!(after(Outcome::Failed, 0, 0), Next::Over, "it has no rule");
    }

    /// Whatever the policy says: nobody is tried again who was reached or declined, or of whom
    /// nothing is known; no recipient has more tries than there may be, and no pause is shorter
    /// than the shortest or longer than the longest.
    #[test]
    fn no_policy_calls_without_end() {
        let rule = Some(Rule { tries: u32::MAX, delay_s: 0, delay_max_s: Some(u64::MAX) });
        let policy = Policy { busy: rule, no_answer: rule, failed: rule, machine: rule };
        for outcome in Outcome::ALL {
            let may = matches!(
                outcome,
                Outcome::Busy | Outcome::NoAnswer | Outcome::Failed | Outcome::Machine
            );
            let mut tries = 0;
            loop {
                tries += 1;
                match policy.after(outcome, &Tally::from([(outcome, tries)])) {
                    Next::Over => break,
                    Next::Again(pause) => {
                        assert!(may);
                        assert!((DELAY_S_MIN..=DELAY_S_MAX).contains(&pause.as_secs()));
                    }
                }
            }
            assert_eq!(tries, if may { TRIES_MAX } else { 1 }, "{outcome:?}");
        }
    }
}
