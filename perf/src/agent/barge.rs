//! An agent that interrupts itself: it queues 20 s of audio at once, waits a random time, sends
//! `clear`, keeps the ledger it is given, and begins again.

use serde::Serialize;
use serde_json::{Value, json};

use super::server::Handler;
use crate::numbered;
use crate::rtp::{self, PCMU};
use crate::sys::clock::{self, SECOND_NS};
use crate::ws::frame;

/// Samples queued in a trial: 20 s of PCMU.
pub(crate) const QUEUED_SAMPLES: u32 = 160_000;

/// Samples in a binary message, trial by trial: one packet, two, no whole number of packets,
/// a second, four seconds.
const MESSAGE_SAMPLES: [u32; 5] = [160, 320, 264, 8_000, 32_000];

/// From the audio's sending to `clear`: at least this, in nanoseconds.
const LEAST_WAIT_NS: u64 = 150_000_000;

/// And at most this much more.
const MORE_WAIT_NS: u64 = 600_000_000;

/// Quiet after `cleared`, so that stale packets would be heard.
const QUIET_NS: u64 = 120_000_000;

/// A trial without `cleared` after this long has failed.
const PATIENCE_NS: u64 = 3 * SECOND_NS;

/// What one trial brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Trial {
    /// Its number.
    pub(crate) trial: u16,
    /// When its audio was handed to the kernel (real-time clock).
    pub(crate) queued_ns: u64,
    /// When `clear` was handed to the kernel (real-time clock).
    pub(crate) clear_sent_ns: u64,
    /// Older bytes were still waiting in front of it.
    pub(crate) clear_was_behind: bool,
    /// `samples` of `cleared`.
    pub(crate) cleared_samples: Option<u64>,
    /// `dropped_ms` of `cleared`.
    pub(crate) dropped_ms: Option<u64>,
    /// `samples` and `status` of the mark behind the audio.
    pub(crate) mark: Option<(u64, String)>,
    /// Samples and completeness of the utterance in `cleared`.
    pub(crate) utterance: Option<(u64, bool)>,
    /// `error` messages meanwhile.
    pub(crate) errors: Vec<String>,
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// The call's answer.
    Answer,
    /// The time of the next trial.
    Begin(u64),
    /// The time of `clear`.
    Clear(u64),
    /// The ledger, until then.
    Ledger(u64),
    /// Nothing more.
    Done,
}

struct Session {
    stream: Value,
    ssrc: u32,
    wait: Wait,
    next: u16,
    end: u16,
}

/// The agent.
pub(crate) struct Barge {
    sessions: Vec<Option<Session>>,
    per_call: u16,
    begun: u16,
    rng: fastrand::Rng,
    /// The trials of all calls in order of their beginning.
    pub(crate) trials: Vec<Trial>,
    /// Print what happens.
    pub(crate) verbose: bool,
}

impl Barge {
    /// An agent that makes `per_call` trials in each call; the first call's are numbered from 0,
    /// the next call's from `per_call`, and so on.
    pub(crate) fn new(per_call: u16, seed: u64) -> Self {
        Self {
            sessions: Vec::new(),
            per_call,
            begun: 0,
            rng: fastrand::Rng::with_seed(seed),
            trials: Vec::new(),
            verbose: false,
        }
    }

    /// Calls that have made all their trials.
    pub(crate) fn finished(&self) -> usize {
        self.sessions.iter().flatten().filter(|session| session.wait == Wait::Done).count()
    }

    fn started(&mut self, id: usize, message: &Value) {
        let stream = message.get("stream").cloned().unwrap_or_default();
        let ssrc = stream.as_u64().unwrap_or(0) as u32;
        let next = self.begun.saturating_mul(self.per_call);
        self.begun = self.begun.saturating_add(1);
        let answered = message.get("state").and_then(Value::as_str) == Some("answered");
        let begin = Wait::Begin(clock::mono_ns() + QUIET_NS);
        let wait = if answered { begin } else { Wait::Answer };
        let end = next.saturating_add(self.per_call);
        if self.sessions.len() <= id {
            self.sessions.resize_with(id + 1, || None);
        }
        if let Some(slot) = self.sessions.get_mut(id) {
            *slot = Some(Session { stream, ssrc, wait, next, end });
        }
    }

    fn trial_of(&mut self, number: u16) -> Option<&mut Trial> {
        self.trials.iter_mut().rev().find(|trial| trial.trial == number)
    }

    fn ledger(&mut self, id: usize, message: &Value) {
        let Some(Some(session)) = self.sessions.get_mut(id) else { return };
        let number = session.next.wrapping_sub(1);
        let event = message.get("event").and_then(Value::as_str).unwrap_or_default();
        if event == "cleared" {
            let now = clock::mono_ns();
            let more = session.next < session.end;
            session.wait = if more { Wait::Begin(now + QUIET_NS) } else { Wait::Done };
        }
        let text = |name: &str| message.get(name).and_then(Value::as_str);
        let count = |from: &Value, name: &str| from.get(name).and_then(Value::as_u64);
        let Some(trial) = self.trial_of(number) else { return };
        let name = format!("t{number}");
        match event {
            "cleared" => {
                trial.cleared_samples = count(message, "samples");
                trial.dropped_ms = count(message, "dropped_ms");
                let list = message.get("utterances").and_then(Value::as_array);
                let own = list
                    .into_iter()
                    .flatten()
                    .find(|entry| entry.get("id").and_then(Value::as_str) == Some(name.as_str()));
                trial.utterance = own.and_then(|entry| {
                    Some((count(entry, "samples")?, entry.get("complete")?.as_bool()?))
                });
            }
            "mark" if text("name") == Some(name.as_str()) => {
                let status = text("status").unwrap_or_default().to_owned();
                trial.mark = count(message, "samples").map(|samples| (samples, status));
            }
            "error" => trial.errors.push(message.to_string()),
            _ => {}
        }
    }
}

/// Appends one trial: utterance, audio, mark.
fn queue(session: &Session, trial: u16, out: &mut Vec<u8>) {
    let stream = &session.stream;
    let say = |out: &mut Vec<u8>, message: Value| {
        frame::write(out, frame::TEXT, message.to_string().as_bytes(), None);
    };
    let name = format!("t{trial}");
    say(out, json!({ "event": "utterance", "stream": stream, "id": name }));
    let size = MESSAGE_SAMPLES[usize::from(trial) % MESSAGE_SAMPLES.len()];
    let mut at = 0;
    while at < QUEUED_SAMPLES {
        let count = size.min(QUEUED_SAMPLES - at);
        let sequence = (at / size) as u16;
        let mut message = rtp::header(PCMU, at == 0, sequence, at, session.ssrc).to_vec();
        message.extend((at..at + count).map(|position| numbered::sample(trial, position)));
        frame::write(out, frame::BINARY, &message, None);
        at += count;
    }
    say(out, json!({ "event": "mark", "stream": stream, "name": name }));
}

impl Handler for Barge {
    fn text(&mut self, id: usize, text: &str, _out: &mut Vec<u8>) {
        if self.verbose {
            println!("{id}: {text}");
        }
        let Ok(message) = serde_json::from_str::<Value>(text) else { return };
        match message.get("event").and_then(Value::as_str) {
            Some("start") => self.started(id, &message),
            Some("answered") => {
                if let Some(Some(session)) = self.sessions.get_mut(id)
                    && session.wait == Wait::Answer
                {
                    session.wait = Wait::Begin(clock::mono_ns() + QUIET_NS);
                }
            }
            _ => self.ledger(id, &message),
        }
    }

    fn binary(&mut self, _id: usize, _payload: &[u8], _stamp_ns: u64, _out: &mut Vec<u8>) {}

    fn timer(&mut self, id: usize, out: &mut Vec<u8>) {
        let Some(Some(session)) = self.sessions.get_mut(id) else { return };
        let now = clock::mono_ns();
        match session.wait {
            Wait::Begin(due) if now >= due => {
                let trial = session.next;
                session.next += 1;
                let queued_ns = clock::real_ns();
                queue(session, trial, out);
                let wait_ns = LEAST_WAIT_NS + self.rng.u64(..MORE_WAIT_NS);
                session.wait = Wait::Clear(now + wait_ns);
                self.trials.push(Trial { trial, queued_ns, ..Trial::default() });
            }
            Wait::Clear(due) if now >= due => {
                let number = session.next.wrapping_sub(1);
                let clear = json!({ "event": "clear", "stream": session.stream });
                session.wait = Wait::Ledger(now + PATIENCE_NS);
                let behind = !out.is_empty();
                frame::write(out, frame::TEXT, clear.to_string().as_bytes(), None);
                if let Some(trial) = self.trial_of(number) {
                    trial.clear_was_behind = behind;
                    trial.clear_sent_ns = clock::real_ns();
                }
            }
            Wait::Ledger(due) if now >= due => session.wait = Wait::Done,
            _ => {}
        }
    }

    fn closed(&mut self, id: usize) {
        if let Some(slot) = self.sessions.get_mut(id)
            && let Some(session) = slot.as_mut()
        {
            session.wait = Wait::Done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::frame::Reader;

    /// A trial is its utterance, all of its samples in order, and its mark, whatever the size of
    /// its messages.
    #[test]
    fn a_trial_is_complete() {
        for trial in 0..5 {
            let session =
                Session { stream: json!(77), ssrc: 77, wait: Wait::Answer, next: 0, end: 1 };
            let mut out = Vec::new();
            queue(&session, trial, &mut out);
            let mut reader = Reader::default();
            reader.push(&out);
            let (mut texts, mut audio) = (Vec::new(), Vec::new());
            while let Some(frame) = reader.next().expect("frame") {
                let payload = reader.payload(&frame);
                assert!(payload.len() <= 64 << 10);
                if frame.opcode == frame::TEXT {
                    texts.push(serde_json::from_slice::<Value>(payload).expect("json"));
                } else {
                    audio.extend_from_slice(rtp::parse(payload).expect("rtp").payload);
                }
            }
            let events: Vec<_> = texts.iter().map(|text| text["event"].as_str()).collect();
            assert_eq!(events, [Some("utterance"), Some("mark")]);
            let want: Vec<u8> =
                (0..QUEUED_SAMPLES).map(|position| numbered::sample(trial, position)).collect();
            assert!(audio == want);
        }
    }

    /// The ledger of a `clear` is kept with its trial, and the next trial follows.
    #[test]
    fn keeps_the_ledger() {
        let mut agent = Barge::new(2, 1);
        let mut out = Vec::new();
        agent.text(0, r#"{"event":"start","stream":5,"state":"answered"}"#, &mut out);
        let now = clock::mono_ns();
        for wait in [Wait::Begin(now), Wait::Clear(now)] {
            agent.sessions[0].as_mut().expect("session").wait = wait;
            agent.timer(0, &mut out);
        }
        for text in [
            r#"{"event":"mark","stream":5,"name":"t0","status":"cleared","samples":1600}"#,
            r#"{"event":"cleared","stream":5,"dropped_ms":19800,"samples":1600,"basis":"wire",
                "utterances":[{"id":"t0","samples":1600,"complete":false}]}"#,
        ] {
            agent.text(0, text, &mut out);
        }
        let trial = &agent.trials[0];
        assert!(trial.clear_sent_ns > 0);
        assert_eq!(trial.cleared_samples, Some(1600));
        assert_eq!(trial.mark, Some((1600, "cleared".into())));
        assert_eq!((trial.utterance, trial.dropped_ms), (Some((1600, false)), Some(19_800)));
        let session = agent.sessions[0].as_ref().expect("session");
        assert!(matches!(session.wait, Wait::Begin(_)) && session.next == 1);
    }
}
