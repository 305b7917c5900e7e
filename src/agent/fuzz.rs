//! Bodies of the fuzz targets of the agent stream: what an agent sends, through the dialect and the
//! rules of its stream.

use adapters::agent::{
    AgentInput, CallState, Dialect, Direction, Framing, MessageKind, Outbox, StreamFormat,
    StreamInfo,
};
use media::codec::AudioFormat;
use media::time::MonoTime;

use super::session::link::{Delivery, LinkSession};
use super::session::{Action, AgentSession, feature};
use super::wire::{MESSAGE_MAX_BYTES, NativeDialect, mux};

/// Sends `data` as one text message, twice.
///
/// # Panics
///
/// If the stream answers with what is not JSON, or does more than one message can ask for.
pub fn agent_text(data: &[u8]) {
    converse(&[(MessageKind::Text, data), (MessageKind::Text, data)], Framing::Rtp);
}

/// Sends `data` as one binary message in either framing.
///
/// # Panics
///
/// If more audio comes out than went in, or part of a sample.
pub fn agent_binary(data: &[u8]) {
    for framing in [Framing::Rtp, Framing::Raw] {
        converse(&[(MessageKind::Binary, data)], framing);
    }
}

/// Sends `data` as one message of each kind on a link whose stream 1 is open.
///
/// # Panics
///
/// If anything of another stream is delivered, frames are not what was in the message, or something
/// is delivered of a message that is refused.
pub fn agent_link(data: &[u8]) {
    for kind in [MessageKind::Binary, MessageKind::Text] {
        let mut link = LinkSession::new(MonoTime::ZERO);
        link.open(1, ());
        let mut message = data.to_vec();
        let (mut deliveries, mut bytes, mut closed) = (0, 0, false);
        let received = link.receive(MonoTime::ZERO, kind, &mut message, |(), stream, what| {
            assert_eq!(stream, 1);
            deliveries += 1;
            match what {
                Delivery::Frame(frame) => bytes += frame.len() + mux::LENGTH_BYTES,
                Delivery::Text(text) => assert_eq!(text, data),
                Delivery::Close(_) => closed = true,
            }
        });
        assert!(bytes <= data.len());
        assert_eq!(link.is_empty(), closed);
        match received {
            Ok(frames) if kind == MessageKind::Binary => assert!(deliveries <= frames),
            Ok(_) => assert!(deliveries <= 1),
            Err(_) => assert_eq!(deliveries, 0),
        }
    }
}

/// The stream that the fuzz targets speak on.
fn info(framing: Framing) -> StreamInfo {
    let format = StreamFormat { audio: AudioFormat::l16le(16_000), ptime_ms: 20 };
    StreamInfo {
        call_id: "call".to_owned(),
        stream: 1,
        direction: Direction::Inbound,
        from: "from".to_owned(),
        to: "to".to_owned(),
        provider: "provider".to_owned(),
        trunk: None,
        state: CallState::Ringing,
        to_agent: format,
        from_agent: format,
        framing,
        variables: Vec::new(),
        headers: Vec::new(),
        resumed: false,
        features: vec![
            feature::ANSWER,
            feature::DTMF,
            feature::TRANSFER,
            feature::MUTE,
            feature::HOLD,
            feature::RECORD,
            feature::SPEECH,
        ],
    }
}

fn converse(messages: &[(MessageKind, &[u8])], framing: Framing) {
    let info = info(framing);
    let mut dialect = NativeDialect::new(&info);
    let mut session = AgentSession::new(MonoTime::ZERO, info, 30_000);
    drain(&mut session, &mut dialect);
    for (kind, data) in messages {
        let mut message = data.to_vec();
        let input = dialect.read(*kind, &mut message);
        if let Ok(AgentInput::Audio(audio)) = &input {
            assert!(audio.len() <= data.len().min(MESSAGE_MAX_BYTES));
            assert_eq!(audio.len() % 2, 0);
        }
        let _audio = session.receive(MonoTime::ZERO, input);
        let actions = drain(&mut session, &mut dialect);
        assert!(actions <= 3, "an error, a close and the loss, or less");
    }
}

fn drain(session: &mut AgentSession, dialect: &mut NativeDialect) -> usize {
    let mut actions = 0;
    while let Some(action) = session.poll_action() {
        actions += 1;
        if let Action::Send(event) = action {
            dialect.event(&event.event(), &mut Judge);
        }
    }
    actions
}

/// Insists that every answer is a JSON object.
struct Judge;

impl Outbox for Judge {
    fn message(&mut self, kind: MessageKind, bytes: &[u8]) {
        assert_eq!(kind, MessageKind::Text);
        let answer: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(bytes);
        assert!(answer.is_ok() && bytes.first() == Some(&b'{'));
    }
}
