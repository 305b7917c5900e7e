use adapters::agent::{AgentCommand, Basis, CallState, Direction, MarkStatus};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

mod commands;
mod events;
mod frames;

use commands::agent_messages;
use events::{server_events, utterances};
use frames::audio_of;

const STREAM: u32 = 7;

fn info() -> StreamInfo {
    let format = StreamFormat { audio: AudioFormat::PCMU, ptime_ms: 20 };
    StreamInfo {
        call_id: "0192".to_owned(),
        stream: STREAM,
        direction: Direction::Inbound,
        from: "+15550001234".to_owned(),
        to: "sip:echo@example.org".to_owned(),
        provider: "sip_trunk".to_owned(),
        trunk: Some("office".to_owned()),
        state: CallState::Ringing,
        to_agent: format,
        from_agent: format,
        framing: Framing::Rtp,
        variables: vec![("customer".to_owned(), "a \"b\"".to_owned())],
        headers: vec![("X-Id".to_owned(), "5".to_owned())],
        resumed: false,
        features: vec!["dtmf", "mute"],
    }
}

#[derive(Default)]
struct Sent(Vec<(MessageKind, Vec<u8>)>);

impl Outbox for Sent {
    fn message(&mut self, kind: MessageKind, bytes: &[u8]) {
        self.0.push((kind, bytes.to_vec()));
    }
}

fn written(event: &AgentEvent<'_>) -> String {
    let mut sent = Sent::default();
    NativeDialect::new(&info()).event(event, &mut sent);
    let [(MessageKind::Text, text)] = &sent.0[..] else { panic!("one text message") };
    String::from_utf8(text.clone()).unwrap()
}

fn read(text: &str) -> Result<Option<AgentCommand>, WireError> {
    read::command(text.as_bytes(), STREAM)
}

/// The reference for readers tells the truth: every example of what the server sends has just the
/// fields that are sent, every example of what an agent sends is understood, and no event, close
/// code or codec is missing.
#[test]
fn the_reference_tells_the_truth() {
    let reference = include_str!("../../../docs/protocol.md");
    let (info, utterances) = (info(), utterances());
    let events = server_events(&info, &utterances);
    let fields = |text: &str| {
        let object: serde_json::Map<String, Value> = serde_json::from_str(text).unwrap();
        let event = object["event"].as_str().unwrap().to_owned();
        (event, object.keys().cloned().collect::<Vec<_>>())
    };
    let (of_server, of_agent) = reference.split_once("## What the agent sends").unwrap();
    let examples = |part: &'static str| part.lines().filter(|line| line.starts_with("{\""));
    let mut shown: Vec<String> = Vec::new();
    for example in examples(of_server) {
        let (event, keys) = fields(example);
        let same = events.iter().find(|(_, text)| fields(text).0 == event);
        assert_eq!(fields(same.unwrap().1).1, keys, "{example}");
        shown.push(event);
    }
    for (_, text) in &events {
        let (event, _) = fields(text);
        let told = shown.contains(&event) || of_server.contains(&format!("`{event}`"));
        assert!(told, "{event} is not told");
    }
    let mut shown: Vec<String> = Vec::new();
    for example in examples(of_agent) {
        assert!(matches!(read(example), Ok(Some(_))), "{example}");
        shown.push(fields(example).0);
    }
    for (text, _) in agent_messages() {
        let (event, _) = fields(text);
        assert!(shown.contains(&event) || of_agent.contains(&format!("`{event}`")), "{event}");
    }
    for code in CloseCode::ALL {
        assert!(reference.contains(&format!("\n| {} |", code.code())), "{code:?}");
    }
    for entry in codecs::CODECS {
        assert!(reference.contains(&format!("\n| `{}` |", entry.name)), "{}", entry.name);
    }
}

/// 64 KiB of audio fit whatever stands in front of them; text never may be longer than that.
#[test]
fn messages_have_a_longest_length() {
    let limit = MESSAGE_MAX_BYTES;
    assert!(!too_big(MessageKind::Text, Framing::Rtp, limit));
    assert!(too_big(MessageKind::Text, Framing::Rtp, limit + 1));
    assert!(!too_big(MessageKind::Binary, Framing::Raw, limit));
    assert!(too_big(MessageKind::Binary, Framing::Raw, limit + 1));
    assert!(!too_big(MessageKind::Binary, Framing::Rtp, limit + 12));
    assert!(too_big(MessageKind::Binary, Framing::Rtp, limit + 13));
}

/// The close codes of the contract, each with its number and a reason that fits a close frame.
#[test]
fn close_codes_have_their_numbers() {
    let numbers = CloseCode::ALL.map(CloseCode::code);
    assert_eq!(numbers, [1000, 1001, 1007, 1008, 1009, 4400, 4401, 4404, 4408, 4409]);
    for code in CloseCode::ALL {
        assert!((1..=123).contains(&code.reason().len()));
    }
}

proptest! {
    /// What one side writes as a frame the other side of the same stream reads, whatever the audio.
    #[test]
    fn frames_survive_the_way(
        seq: u16,
        ts: u32,
        marker: bool,
        stream: u32,
        raw: bool,
        payload in prop::collection::vec(any::<u8>(), 0..500),
    ) {
        let framing = if raw { Framing::Raw } else { Framing::Rtp };
        let mut dialect = NativeDialect::new(&StreamInfo { stream, framing, ..info() });
        let mut out = Vec::new();
        dialect.audio(&AgentFrame { seq, ts, marker, payload: &payload }, &mut out);
        prop_assert_eq!(audio_of(&mut dialect, &out), Ok(payload));
    }

    /// Any name survives the escapes of JSON in both directions.
    #[test]
    fn names_survive_the_way(name in "\\PC{0,40}|[\\x00-\\x7f]{0,40}") {
        let text = json!({"event": "mark", "stream": STREAM, "name": name}).to_string();
        prop_assert_eq!(read(&text), Ok(Some(AgentCommand::Mark { name: name.clone() })));
        let told = written(&AgentEvent::Mark {
            name: &name,
            status: MarkStatus::Played,
            samples: 1,
            played_ms: 1,
            basis: Basis::Wire,
        });
        prop_assert_eq!(read(&told), Ok(Some(AgentCommand::Mark { name })));
    }

    /// A message with one byte changed is read or refused, never a panic; so is any text.
    #[test]
    fn damaged_messages_are_survived(
        which: prop::sample::Index,
        at: prop::sample::Index,
        byte: u8,
    ) {
        let messages = agent_messages();
        let mut text = messages[which.index(messages.len())].0.as_bytes().to_vec();
        let at = at.index(text.len());
        text[at] = byte;
        crate::agent::fuzz::agent_text(&text);
    }

    /// Any bytes are survived as text and as audio.
    #[test]
    fn any_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..200)) {
        crate::agent::fuzz::agent_text(&data);
        crate::agent::fuzz::agent_binary(&data);
    }
}
