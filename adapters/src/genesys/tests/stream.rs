use media::time::MonoTime;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::message::samples;
use super::super::stream;
use super::{SESSION, config};
use crate::agent::MessageKind;
use crate::event::{CarrierCallId, HangupCause};
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::wire::WireError;

/// A session, and what it says.
struct Rig {
    stream: Box<dyn Stream>,
    seq: u64,
    serverseq: u64,
    audio: Vec<u8>,
}

impl Rig {
    fn new() -> Self {
        let call = Some(CarrierCallId(SESSION.to_owned()));
        let stream = stream::open(&StreamStart { config: config(), call });
        Self { stream, seq: 0, serverseq: 0, audio: Vec::new() }
    }

    fn opened(media: &Value) -> (Self, Value) {
        let mut rig = Self::new();
        let said = rig.says("open", &open(media)).1;
        (rig, said.expect("it is opened"))
    }

    /// A message as it comes; what it means, and what is replied.
    fn takes(&mut self, message: &Value) -> (Result<String, WireError>, Option<Value>) {
        self.bytes(MessageKind::Text, message.to_string().into_bytes())
    }

    fn bytes(
        &mut self,
        kind: MessageKind,
        mut bytes: Vec<u8>,
    ) -> (Result<String, WireError>, Option<Value>) {
        let mut room = [0; 4096];
        let mut slot = FrameSlot::new(&mut room);
        let event = self.stream.decode(MonoTime::ZERO, kind, &mut bytes, &mut slot);
        let event = event.map(|event| format!("{event:?}"));
        self.audio = slot.filled().to_vec();
        let mut out = Vec::new();
        let replied = self.stream.reply(&mut out);
        assert_eq!(replied.is_some(), !out.is_empty());
        (event, replied.map(|_| self.heard(&out)))
    }

    /// The next message, as it should be.
    fn says(
        &mut self,
        kind: &str,
        parameters: &Value,
    ) -> (Result<String, WireError>, Option<Value>) {
        self.seq += 1;
        let message = message(kind, (self.seq, self.serverseq), parameters);
        self.takes(&message)
    }

    /// Looks at a message of ours.
    fn heard(&mut self, out: &[u8]) -> Value {
        let said: Value = serde_json::from_slice(out).unwrap();
        self.serverseq += 1;
        assert_eq!((&said["version"], &said["id"]), (&json!("2"), &json!(SESSION)));
        assert_eq!(said["seq"], self.serverseq, "{said}");
        assert!(said["parameters"].is_object() && said.get("position").is_none(), "{said}");
        said
    }

    fn command(&mut self, command: StreamCommand<'_>) -> Option<Value> {
        let mut out = Vec::new();
        self.stream.command(command, &mut out)?;
        Some(self.heard(&out))
    }
}

fn message(kind: &str, (seq, serverseq): (u64, u64), parameters: &Value) -> Value {
    json!({"version": "2", "id": SESSION, "type": kind, "seq": seq, "serverseq": serverseq,
        "position": "PT0S", "parameters": parameters})
}

fn media(format: &str, channels: &[&str], rate: u32) -> Value {
    json!({"type": "audio", "format": format, "channels": channels, "rate": rate})
}

fn open(media: &Value) -> Value {
    json!({"organizationId": SESSION, "conversationId": SESSION, "participant": {},
        "media": media})
}

fn mono() -> Value {
    json!([media("PCMU", &["external"], 8_000)])
}

/// The best of what is offered is chosen, as it was offered, and nothing where nothing is spoken.
#[test]
fn one_media_is_chosen() {
    let (external, internal) = (["external"], ["internal"]);
    let both = ["external", "internal"];
    let odd = media("PCMU", &["internal", "external"], 8_000);
    for (offered, chosen) in [
        (json!([media("L16", &external, 8_000), media("PCMU", &both, 8_000)]), 1),
        (json!([media("PCMU", &both, 8_000), media("PCMU", &external, 8_000)]), 1),
        (json!([media("L16", &both, 8_000), media("L16", &external, 16_000)]), 0),
        (json!([odd, media("PCMU", &internal, 8_000)]), 1),
    ] {
        let (_, said) = Rig::opened(&offered);
        assert_eq!(said["type"], "opened");
        assert_eq!(said["parameters"]["media"], json!([offered[chosen]]));
        assert_eq!(said["parameters"]["startPaused"], false);
    }
    for none in [json!([]), json!([odd]), json!([media("PCMU", &external, 16_000)])] {
        let (event, said) = Rig::new().says("open", &open(&none));
        assert!(matches!(event, Err(WireError::UnknownCodec(_))));
        let said = said.unwrap();
        assert_eq!(
            (&said["type"], &said["parameters"]["reason"]),
            (&json!("disconnect"), &json!("error"))
        );
    }
}

/// Of two voices the customer's is heard, of samples of either length; half a sample is none.
#[test]
fn the_customer_is_heard() {
    let both = ["external", "internal"];
    let (mut rig, _) = Rig::opened(&json!([media("PCMU", &both, 8_000)]));
    let event = rig.bytes(MessageKind::Binary, vec![1, 2, 3, 4, 5, 6]).0;
    assert_eq!(
        (event.unwrap().as_str(), &*rig.audio),
        ("Audio { ts: Some(0), seq: None }", &[1, 3, 5][..])
    );
    assert!(rig.bytes(MessageKind::Binary, vec![1, 2, 3]).0.is_err());
    assert!(rig.bytes(MessageKind::Binary, Vec::new()).0.is_err());
    let event = rig.bytes(MessageKind::Binary, vec![7, 8]).0;
    assert_eq!(event.unwrap(), "Audio { ts: Some(3), seq: None }");
    let (mut rig, _) = Rig::opened(&json!([media("L16", &both, 16_000)]));
    rig.bytes(MessageKind::Binary, vec![1, 2, 3, 4, 5, 6, 7, 8]).0.unwrap();
    assert_eq!(rig.audio, [1, 2, 5, 6]);
    assert!(rig.bytes(MessageKind::Binary, vec![1, 2]).0.is_err());
}

/// What is asked is answered by the number of the question, in turn.
#[test]
fn questions_are_answered() {
    let (mut rig, _) = Rig::opened(&mono());
    for (kind, answer) in [("ping", "pong"), ("update", "updated"), ("ping", "pong")] {
        let (event, said) = rig.says(kind, &json!({"language": "de-DE"}));
        let said = said.unwrap();
        assert_eq!((event.unwrap().as_str(), &said["type"]), ("Nothing", &json!(answer)));
        assert_eq!(said["clientseq"], rig.seq);
    }
    for kind in ["paused", "error", "playback_started", "playback_completed", "of the future"] {
        let (event, said) = rig.says(kind, &json!({}));
        assert_eq!((event.unwrap().as_str(), said), ("Nothing", None), "{kind}");
    }
    let (event, said) = rig.says("close", &json!({"reason": "end"}));
    assert_eq!(event.unwrap(), format!("{:?}", StreamEvent::Stopped(Some(HangupCause::Normal))));
    assert_eq!(said.unwrap()["type"], "closed");
    assert_eq!(rig.command(StreamCommand::Hangup), None);
    assert_eq!(rig.bytes(MessageKind::Binary, vec![1]), (Ok("Nothing".to_owned()), None));
}

/// A number that is left out, comes again or was never sent, another session, another version, a
/// message out of its place, one that is none: the session ends, once.
#[test]
fn a_mistake_ends_the_session() {
    let ping = |numbers| message("ping", numbers, &json!({}));
    let mut other = ping((2, 1));
    other["id"] = json!("aaaaaaaa-84d3-4570-ac13-9a62d8f514c0");
    let mut first = ping((2, 1));
    first["version"] = json!("1");
    let again = message("open", (2, 1), &open(&mono()));
    let wrong = message("dtmf", (2, 1), &json!({"digit": "x"}));
    let gap = message("discarded", (2, 1), &json!({"discarded": "1 s"}));
    for bad in [ping((1, 1)), ping((3, 1)), ping((2, 2)), other, first, again, wrong, gap] {
        let (mut rig, _) = Rig::opened(&mono());
        let (event, said) = rig.takes(&bad);
        let said = said.unwrap_or_else(|| panic!("{bad}"));
        assert!(event.is_err(), "{bad}");
        assert_eq!(
            (&said["type"], &said["parameters"]["reason"]),
            (&json!("disconnect"), &json!("error"))
        );
        assert!(said["parameters"]["info"].is_string());
        assert_eq!(rig.takes(&json!({})).1, None, "it was said");
        let (mut out, audio) = (Vec::new(), rig.bytes(MessageKind::Binary, vec![1]).0);
        assert_eq!(audio.unwrap(), "Nothing", "what was on its way");
        rig.stream.encode(&[1, 2], &mut out);
        assert_eq!((out.len(), rig.command(StreamCommand::Hangup)), (0, None));
    }
    let early = Rig::new().bytes(MessageKind::Binary, vec![1]);
    assert!(early.0.is_err() && early.1.unwrap()["type"] == "disconnect");
    let early = Rig::new().says("ping", &json!({}));
    assert!(early.0.is_err() && early.1.unwrap()["type"] == "disconnect");
}

/// We hang up, and Genesys closes; a call that is not taken is not opened.
#[test]
fn hang_ups() {
    let (mut rig, _) = Rig::opened(&mono());
    let said = rig.command(StreamCommand::Hangup).unwrap();
    assert_eq!(
        (&said["type"], &said["parameters"]),
        (&json!("disconnect"), &json!({"reason": "completed"}))
    );
    assert_eq!(rig.command(StreamCommand::Hangup), None);
    assert_eq!(rig.says("ping", &json!({})).1.unwrap()["type"], "pong");
    let (event, said) = rig.says("close", &json!({"reason": "disconnect"}));
    assert_eq!(event.unwrap(), "Stopped(Some(Normal))");
    assert_eq!(said.unwrap()["type"], "closed");
    let mut rig = Rig::new();
    let mut bytes = message("open", (1, 0), &open(&mono())).to_string().into_bytes();
    let mut room = [0; 16];
    let mut slot = FrameSlot::new(&mut room);
    rig.stream.decode(MonoTime::ZERO, MessageKind::Text, &mut bytes, &mut slot).unwrap();
    let said = rig.command(StreamCommand::Hangup).unwrap();
    assert_eq!((&said["type"], &said["clientseq"]), (&json!("disconnect"), &json!(1)));
    assert_eq!(said["parameters"]["reason"], "error");
    assert_eq!(rig.stream.reply(&mut Vec::new()), None);
}

/// A barge-in is an event; marks and keys have no word.
#[test]
fn commands() {
    let (mut rig, _) = Rig::opened(&mono());
    let said = rig.command(StreamCommand::Clear).unwrap();
    assert_eq!(said["parameters"], json!({"entities": [{"type": "barge_in", "data": {}}]}));
    assert_eq!(rig.command(StreamCommand::Mark("m")), None);
    assert_eq!(rig.command(StreamCommand::Dtmf('1')), None);
    assert_eq!(Rig::new().command(StreamCommand::Clear), None);
    let manners = rig.stream.manners();
    assert!(manners.offers && manners.closed_by_peer && manners.pings && !manners.steady);
}

/// Durations are read as samples, and nothing else is.
#[test]
fn durations() {
    for (text, count) in [
        ("PT0S", 0),
        ("PT1S", 8_000),
        ("PT1.5S", 12_000),
        ("PT0.000125S", 1),
        ("PT1M", 480_000),
        ("PT1H2M3.25S", 29_786_000),
    ] {
        assert_eq!(samples(text, 8_000), Some(count), "{text}");
    }
    for none in [
        "",
        "PT",
        "P1D",
        "PT1",
        "PTS",
        "PT-1S",
        "PT1.S5",
        "PT1S1M",
        "PT1.0000000001S",
        "PT99999999999999999999S",
        "PT.5S",
        "1S",
        "PT1e3S",
    ] {
        assert_eq!(samples(none, 8_000), None, "{none}");
    }
}

proptest! {
    /// Whatever comes in whatever order, nothing panics, and what is said is well-formed and
    /// numbered without a gap.
    #[test]
    fn anything_is_survived(
        steps in proptest::collection::vec(
            (0..10_usize, 0..4_u64, 0..4_u64, proptest::collection::vec(any::<u8>(), 0..40)),
            0..20,
        )
    ) {
        let mut rig = Rig::new();
        let kinds = ["open", "close", "ping", "update", "dtmf", "discarded", "paused", "x"];
        for (what, seq, serverseq, bytes) in steps {
            match (kinds.get(what), what) {
                (Some(kind), _) => {
                    let seq = (rig.seq + seq).saturating_sub(1);
                    let numbers = (seq, rig.serverseq + serverseq / 2);
                    let parameters = match *kind {
                        "open" => open(&mono()),
                        _ => json!({"reason": "end", "digit": "1", "discarded": "PT1S"}),
                    };
                    let taken = rig.takes(&message(kind, numbers, &parameters));
                    rig.seq += u64::from(taken.0.is_ok());
                }
                (None, 8) => drop(rig.bytes(MessageKind::Binary, bytes)),
                (None, _) => drop(rig.bytes(MessageKind::Text, bytes)),
            }
        }
        rig.command(StreamCommand::Clear);
        rig.command(StreamCommand::Hangup);
    }
}
