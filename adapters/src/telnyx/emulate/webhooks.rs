//! Webhooks: signed, sent again while they are not taken, and whatever else may happen to them.

use std::collections::VecDeque;
use std::time::Duration;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderName, HeaderValue};
use media::time::MonoTime;
use serde_json::{Value, json};

use crate::emulate::{Clock, Output, Quirks};
use crate::exchange::HttpRequest;

/// Everybody knows it: it proves nothing outside of tests.
const SEED: [u8; 32] = *b"talkpath emulated carrier seed 1";
/// Waits before each further attempt.
const RETRIES: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(10)];

/// Longest a webhook is held back to come after the next one.
const HELD: Duration = Duration::from_millis(200);

fn pair() -> Option<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(&SEED).ok()
}

/// The key of the account, as its portal shows it.
pub(super) fn public_key() -> String {
    pair().map(|pair| STANDARD.encode(pair.public_key())).unwrap_or_default()
}

/// A time as events write it.
pub(super) fn time(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1000, unix_ms % 1000);
    let (mut days, of_day) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    let length = |year: u64| {
        let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
        (if leap { 366 } else { 365 }, leap)
    };
    while days >= length(year).0 {
        days -= length(year).0;
        year += 1;
    }
    let february = if length(year).1 { 29 } else { 28 };
    let mut month = 1;
    for month_days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < month_days {
            break;
        }
        days -= month_days;
        month += 1;
    }
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}000Z", days + 1)
}

/// A webhook that is to be sent again.
struct Again {
    at: MonoTime,
    url: String,
    body: Value,
    attempt: usize,
}

/// A webhook whose answer is awaited.
struct Sent {
    hook: u32,
    url: String,
    body: Value,
    attempt: usize,
}

pub(super) struct Webhooks {
    twice: bool,
    swapped: bool,
    lost: bool,
    hooks: u32,
    /// Held back until the next one was sent, or until then.
    held: Option<(MonoTime, String, Value)>,
    sent: Vec<Sent>,
    again: Vec<Again>,
}

impl Webhooks {
    pub(super) fn new(quirks: &Quirks) -> Self {
        let (twice, swapped, lost) = (quirks.hooks_twice, quirks.hooks_swapped, quirks.hooks_lost);
        Self { twice, swapped, lost, hooks: 0, held: None, sent: Vec::new(), again: Vec::new() }
    }

    pub(super) fn send(
        &mut self,
        clock: Clock,
        url: &str,
        kind: &str,
        id: &str,
        payload: &Value,
        outputs: &mut VecDeque<Output>,
    ) {
        let body = json!({"data": {"record_type": "event", "event_type": kind, "id": id,
            "occurred_at": time(clock.unix_ms), "payload": payload}});
        // What begins a call is no report about one.
        let reports = payload["direction"] != "incoming";
        if self.lost && reports {
            return;
        }
        if self.swapped && reports && self.held.is_none() {
            self.held = Some((clock.now + HELD, url.to_owned(), body));
            return;
        }
        self.put(clock, url, &body, 1, outputs);
        if self.twice {
            self.put(clock, url, &body, 2, outputs);
        }
        if let Some((_, url, body)) = self.held.take() {
            self.put(clock, &url, &body, 1, outputs);
        }
    }

    fn put(
        &mut self,
        clock: Clock,
        url: &str,
        body: &Value,
        attempt: usize,
        outputs: &mut VecDeque<Output>,
    ) {
        let mut whole = body.clone();
        whole["meta"] = json!({"attempt": attempt, "delivered_to": url});
        let text = whole.to_string();
        let timestamp = (clock.unix_ms / 1000).to_string();
        let signed = format!("{timestamp}|{text}");
        let signature = pair().map(|pair| STANDARD.encode(pair.sign(signed.as_bytes())));
        let mut request = HttpRequest::post(url.to_owned(), "application/json", text);
        let headers = [
            ("telnyx-signature-ed25519", signature.unwrap_or_default()),
            ("telnyx-timestamp", timestamp),
        ];
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                request.headers.insert(HeaderName::from_static(name), value);
            }
        }
        self.hooks += 1;
        let (hook, url) = (self.hooks, url.to_owned());
        self.sent.push(Sent { hook, url, body: body.clone(), attempt });
        outputs.push_back(Output::Hook { hook, request });
    }

    /// Takes note of an answer; false if the carrier gives up.
    pub(super) fn answered(&mut self, clock: Clock, hook: u32, taken: bool) -> bool {
        let Some(at) = self.sent.iter().position(|sent| sent.hook == hook) else { return true };
        let Sent { url, body, attempt, .. } = self.sent.swap_remove(at);
        if taken {
            return true;
        }
        let Some(wait) = RETRIES.get(attempt - 1) else { return false };
        self.again.push(Again { at: clock.now + *wait, url, body, attempt: attempt + 1 });
        true
    }

    pub(super) fn timeout(&mut self, clock: Clock, outputs: &mut VecDeque<Output>) {
        let (due, later): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.again).into_iter().partition(|again| again.at <= clock.now);
        self.again = later;
        if let Some((_, url, body)) = self.held.take_if(|(until, ..)| *until <= clock.now) {
            self.put(clock, &url, &body, 1, outputs);
        }
        for Again { url, body, attempt, .. } in due {
            self.put(clock, &url, &body, attempt, outputs);
        }
    }

    pub(super) fn deadline(&self) -> Option<MonoTime> {
        let held = self.held.as_ref().map(|(until, ..)| *until);
        self.again.iter().map(|again| again.at).chain(held).min()
    }
}
