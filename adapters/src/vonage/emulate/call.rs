//! A call, or one of its legs, as Vonage keeps it.

use std::collections::VecDeque;

use media::time::MonoTime;
use serde_json::{Value, json};

/// What a leg is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A person calls the account.
    Inbound,
    /// The account calls a person.
    Outbound,
    /// Somebody whom a document connects the call `of` to.
    Connected {
        /// The call whose document it is.
        of: String,
    },
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is offered, or rings.
    Ringing,
    /// It is answered.
    Answered,
    /// It is over.
    Over,
}

/// A call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) uuid: String,
    pub(super) conversation: String,
    pub(super) kind: Kind,
    pub(super) state: State,
    pub(super) from: String,
    pub(super) to: String,
    /// Where its events go.
    pub(super) event_url: Option<String>,
    /// Actions still to be done.
    pub(super) actions: VecDeque<Value>,
    /// What it waits for.
    pub(super) doing: Doing,
    /// When it stops ringing.
    pub(super) rings_until: Option<MonoTime>,
    /// When the person answers by itself.
    pub(super) answers_at: Option<MonoTime>,
    /// True if machines are to be detected.
    pub(super) detects: bool,
    pub(super) answered_ms: Option<u64>,
    pub(super) ended_ms: Option<u64>,
    /// The last status.
    pub(super) status: String,
    /// Where a recording is told, once the call is over.
    pub(super) recording_url: Option<String>,
}

/// What a call waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Nothing: the next action may begin.
    Next,
    /// The answer to a webhook that may hold actions.
    Asking,
    /// The media socket of that number.
    Streaming(u32),
    /// A party, by its leg.
    Connected(String),
    /// A conversation; it is over when this call leaves it, if it `ends` it.
    Meeting {
        /// Its name.
        name: String,
        /// True to take it along.
        ends: bool,
    },
}

impl Call {
    /// What every event about it tells.
    pub(super) fn event(&self, status: &str, unix_ms: u64) -> Value {
        let direction = if self.kind == Kind::Inbound { "inbound" } else { "outbound" };
        json!({
            "from": self.from,
            "to": self.to,
            "uuid": self.uuid,
            "conversation_uuid": self.conversation,
            "status": status,
            "direction": direction,
            "timestamp": iso(unix_ms),
        })
    }

    /// Whole seconds from answer to end.
    pub(super) fn duration_s(&self) -> u64 {
        let talked = self.ended_ms.zip(self.answered_ms);
        talked.map_or(0, |(end, start)| end.saturating_sub(start).div_ceil(1000))
    }

    /// Euros at 0.0127 a minute, in Vonage's form.
    pub(super) fn price(&self) -> String {
        let millionths = self.duration_s() * 12_700 / 60;
        format!("{}.{:06}00", millionths / 1_000_000, millionths % 1_000_000)
    }
}

/// A time in the form of webhooks.
pub(super) fn iso(unix_ms: u64) -> String {
    let (seconds, millis) = (unix_ms / 1000, unix_ms % 1000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Counts years and months down from the days; a century without a leap day is far away.
    let leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let (mut year, mut rest) = (1970, days);
    while rest >= 365 + u64::from(leap(year)) {
        rest -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let day = rest + 1;
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

#[cfg(test)]
mod tests {
    use super::iso;

    /// Times come out in their form.
    #[test]
    fn times_are_written() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_767_225_600_100, "2026-01-01T00:00:00.100Z"),
            (1_709_208_000_000, "2024-02-29T12:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
        ] {
            assert_eq!(iso(ms), text);
        }
    }
}
