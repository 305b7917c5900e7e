//! Orders of calls as they are written in requests.

use serde::Deserialize;

use super::call_order_schema::{NAME_CHARS_MAX, RECIPIENTS_AT_ONCE, TO_CHARS_MAX};
use crate::http::problem::{FieldError, Problem};
use crate::orders::policy::{DELAY_S_MAX, DELAY_S_MIN, TRIES_MAX};
use crate::orders::rules::{CALLS_AT_ONCE, CALLS_AT_ONCE_MAX, CALLS_PER_MINUTE_MAX};
use crate::orders::{Hours, Policy, Rules, Template};
use crate::store::call_orders::NewOrder;
use crate::store::call_recipients::NewRecipient;
use crate::store::{CallOrderId, Timestamp};

/// How far ahead an order may be.
const AHEAD: std::time::Duration = std::time::Duration::from_secs(366 * 86_400);

/// An order that somebody makes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrderBody {
    name: Option<String>,
    call: Template,
    to: Option<String>,
    #[serde(default)]
    recipients: Vec<NewRecipient>,
    at: Option<String>,
    expires_at: Option<String>,
    hours: Option<Hours>,
    #[serde(default)]
    retry: Policy,
    max_calls: Option<u32>,
    calls_per_minute: Option<u32>,
    #[serde(default)]
    paused: bool,
}

/// Recipients that somebody adds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecipientsBody {
    recipients: Vec<NewRecipient>,
}

/// An order that was read.
#[derive(Debug)]
pub(super) struct ReadOrder {
    name: Option<String>,
    pub(super) template: Template,
    rules: Rules,
    begins_at: Timestamp,
    expires_at: Option<Timestamp>,
    recipients: Vec<NewRecipient>,
    paused: bool,
}

impl ReadOrder {
    /// The order, with this id.
    pub(super) fn with_id(&self, id: CallOrderId) -> NewOrder<'_> {
        NewOrder {
            id,
            name: self.name.as_deref(),
            paused: self.paused,
            template: &self.template,
            rules: &self.rules,
            begins_at: self.begins_at,
            expires_at: self.expires_at,
            recipients: &self.recipients,
        }
    }
}

/// What is wrong, each with its field.
#[derive(Default)]
struct Faults(Vec<FieldError>);

impl Faults {
    fn wrong(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        self.0.push(FieldError { field: field.into(), problem: problem.into() });
    }

    fn finish(self) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::invalid_all(self.0)) }
    }

    fn time(&mut self, field: &str, text: Option<&str>) -> Option<Timestamp> {
        let text = text?;
        let read = Timestamp::parse(text);
        if read.is_none() {
            self.wrong(field, "not a time such as 2026-11-22T08:15:30Z (RFC 3339)");
        }
        read
    }

    fn range(&mut self, field: &str, value: Option<u32>, max: u32) {
        if value.is_some_and(|value| !(1..=max).contains(&value)) {
            self.wrong(field, format!("not a whole number from 1 to {max}"));
        }
    }

    fn retry(&mut self, policy: &Policy) {
        for (name, rule) in policy.rules() {
            if !(1..=TRIES_MAX).contains(&rule.tries) {
                let why = format!("not a whole number from 1 to {TRIES_MAX}");
                self.wrong(format!("retry.{name}.tries"), why);
            }
            let pauses = DELAY_S_MIN..=DELAY_S_MAX;
            let why = || format!("not a whole number from {DELAY_S_MIN} to {DELAY_S_MAX}");
            if !pauses.contains(&rule.delay_s) {
                self.wrong(format!("retry.{name}.delay_s"), why());
            }
            match rule.delay_max_s {
                Some(most) if !pauses.contains(&most) => {
                    self.wrong(format!("retry.{name}.delay_max_s"), why());
                }
                Some(most) if most < rule.delay_s => {
                    self.wrong(format!("retry.{name}.delay_max_s"), "less than delay_s");
                }
                _ => {}
            }
        }
    }

    fn recipients(&mut self, recipients: &[NewRecipient]) {
        if recipients.len() > RECIPIENTS_AT_ONCE {
            self.wrong("recipients", format!("more than {RECIPIENTS_AT_ONCE} at once"));
        }
        let always = Hours {
            open: vec!["00:00-24:00".to_owned()],
            closed: Vec::new(),
            time_zone: "UTC".to_owned(),
        };
        for (index, one) in recipients.iter().enumerate().take(RECIPIENTS_AT_ONCE) {
            if !is_line(&one.to, TO_CHARS_MAX) {
                let why = format!("not 1 to {TO_CHARS_MAX} characters of one line");
                self.wrong(format!("recipients[{index}].to"), why);
            }
            let zone = one.time_zone.as_deref();
            if let Some(Err(error)) = zone.map(|zone| always.schedule(Some(zone))) {
                self.wrong(format!("recipients[{index}].time_zone"), error.to_string());
            }
        }
    }
}

/// True for a text of one line that says something.
fn is_line(text: &str, chars_max: usize) -> bool {
    let fits = (1..=chars_max).contains(&text.chars().count());
    fits && !text.trim().is_empty() && !text.contains(char::is_control)
}

impl NewOrderBody {
    /// Reads it at `now`.
    pub(super) fn read(self, now: Timestamp) -> Result<ReadOrder, Problem> {
        let mut faults = Faults::default();
        if self.name.as_deref().is_some_and(|name| !is_line(name, NAME_CHARS_MAX)) {
            let why = format!("not 1 to {NAME_CHARS_MAX} characters of one line");
            faults.wrong("name", why);
        }
        let mut recipients = self.recipients;
        match (self.to, recipients.is_empty()) {
            (Some(to), true) => {
                let variables = std::collections::BTreeMap::new();
                recipients.push(NewRecipient { to, time_zone: None, variables });
            }
            (Some(_), false) => faults.wrong("to", "there are recipients, too"),
            (None, true) if !self.paused => {
                faults.wrong("recipients", "nobody is to be called, and the order is not paused");
            }
            (None, _) => {}
        }
        faults.recipients(&recipients);
        let begins_at = faults.time("at", self.at.as_deref()).unwrap_or(now).max(now);
        if begins_at > now.after(AHEAD) {
            faults.wrong("at", "more than a year ahead");
        }
        let expires_at = faults.time("expires_at", self.expires_at.as_deref());
        if expires_at.is_some_and(|end| end <= begins_at) {
            faults.wrong("expires_at", "before it begins");
        }
        let at = jiff::Timestamp::from_microsecond(begins_at.0).unwrap_or(jiff::Timestamp::MIN);
        if let Some(Err(error)) = self.hours.as_ref().map(|hours| hours.check(None, at)) {
            faults.wrong("hours", error.to_string());
        }
        faults.retry(&self.retry);
        faults.range("max_calls", self.max_calls, CALLS_AT_ONCE_MAX);
        faults.range("calls_per_minute", self.calls_per_minute, CALLS_PER_MINUTE_MAX);
        faults.finish()?;
        Ok(ReadOrder {
            name: self.name,
            template: self.call,
            rules: Rules {
                hours: self.hours,
                retry: self.retry,
                max_calls: self.max_calls.unwrap_or(CALLS_AT_ONCE),
                calls_per_minute: self.calls_per_minute,
            },
            begins_at,
            expires_at,
            recipients,
            paused: self.paused,
        })
    }
}

impl RecipientsBody {
    /// Reads it.
    pub(super) fn read(self) -> Result<Vec<NewRecipient>, Problem> {
        let mut faults = Faults::default();
        if self.recipients.is_empty() {
            faults.wrong("recipients", "none");
        }
        faults.recipients(&self.recipients);
        faults.finish().map(|()| self.recipients)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_305_600_000_000);

    fn read(body: Value) -> Result<ReadOrder, Problem> {
        serde_json::from_value::<NewOrderBody>(body).unwrap().read(NOW)
    }

    /// The least that can be ordered is a call, at once, to one recipient.
    #[test]
    fn a_call_is_ordered() {
        let order = read(json!({"to": "+4930123456", "call": {"agent": "bot"}})).unwrap();
        assert_eq!((order.begins_at, order.expires_at), (NOW, None));
        assert_eq!(order.recipients.len(), 1);
        assert_eq!(order.rules.max_calls, CALLS_AT_ONCE);
        let later = read(json!({
            "to": "x", "call": {"agent": "bot"}, "at": "2026-11-22T12:00:00+01:00",
        }));
        assert_eq!(later.unwrap().begins_at, NOW.after(std::time::Duration::from_secs(11 * 3_600)));
    }

    /// All that is wrong is told at once, each with its field.
    #[test]
    fn faults_are_told_with_their_fields() {
        let problem = read(json!({
            "name": "", "call": {"agent": "bot"}, "to": "x",
            "recipients": [{"to": ""}, {"to": "y", "time_zone": "Mars/Olympus"}],
            "at": "tomorrow", "expires_at": "2020-01-01T00:00:00Z",
            "hours": {"open": ["9-17"]},
            "retry": {
                "busy": {"tries": 0, "delay_s": 1}, "failed": {"tries": 99, "delay_s": 9_999_999},
                "machine": {"tries": 1, "delay_s": 60, "delay_max_s": 30},
            },
            "max_calls": 0, "calls_per_minute": 1_000_000,
        }));
        let detail = problem.unwrap_err().detail().to_owned();
        for field in [
            "name",
            "to",
            "recipients[0].to",
            "recipients[1].time_zone",
            "at",
            "expires_at",
            "hours",
            "retry.busy.tries",
            "retry.busy.delay_s",
            "retry.failed.tries",
            "retry.failed.delay_s",
            "retry.machine.delay_max_s",
            "max_calls",
            "calls_per_minute",
        ] {
            assert!(detail.contains(&format!("{field}: ")), "{field} of {detail}");
        }
        let nobody = read(json!({"call": {"agent": "bot"}})).unwrap_err();
        assert!(nobody.detail().contains("recipients: "));
        assert!(read(json!({"call": {"agent": "bot"}, "paused": true})).is_ok());
        let many = vec![json!({"to": "x"}); RECIPIENTS_AT_ONCE + 1];
        assert!(read(json!({"call": {"agent": "bot"}, "recipients": many})).is_err());
    }
}
