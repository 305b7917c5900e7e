//! `talkpath.v1`: the native protocol of agents, as `docs/protocol.md` tells it.
//!
//! Pure: messages in, meanings out, and the other way round. The rules about what may be said when
//! live in [`crate::agent::session`].

pub mod close;
pub mod codecs;
mod fields;
mod frame;
pub mod mux;
mod read;
mod write;

use adapters::agent::{
    AgentEvent, AgentFrame, AgentInput, Dialect, DialectSpec, Framing, MessageKind, Outbox,
    StreamFormat, StreamInfo,
};
use adapters::wire::WireError;
use media::codec::{AudioFormat, Codec};

pub use close::CloseCode;

/// The version that `start` names.
pub const VERSION: u32 = 1;

/// The WebSocket subprotocol of one call a socket.
pub const SUBPROTOCOL: &str = "talkpath.v1";

/// Bytes of audio in one binary message, and of a text message.
pub const MESSAGE_MAX_BYTES: usize = 64 * 1024;

/// Bytes of the header in front of the audio with [`Framing::Rtp`].
pub const HEADER_BYTES: usize = 12;

/// The longest message a reader of frames must let through; a longer one closes the socket with
/// [`CloseCode::TooBig`]. Whether a shorter one is too long depends on its kind: [`too_big`].
pub const WEBSOCKET_MESSAGE_MAX_BYTES: usize = MESSAGE_MAX_BYTES + HEADER_BYTES;

/// Bytes of its text buffer that a stream keeps between messages.
const TEXT_KEPT_BYTES: usize = 1024;

/// The native protocol in the table of dialects.
pub static SPEC: DialectSpec = DialectSpec {
    name: "talkpath",
    subprotocol: Some(SUBPROTOCOL),
    open: |info| Box::new(NativeDialect::new(info)),
};

/// True if a message of `bytes` bytes is longer than the protocol allows.
pub const fn too_big(kind: MessageKind, framing: Framing, bytes: usize) -> bool {
    bytes
        > match (kind, framing) {
            (MessageKind::Binary, Framing::Rtp) => WEBSOCKET_MESSAGE_MAX_BYTES,
            _ => MESSAGE_MAX_BYTES,
        }
}

/// The native protocol on one stream.
///
/// What it reads and writes follows the last `start` or `configured` that went through
/// [`Dialect::event`], so both directions change exactly where the agent sees them change.
pub struct NativeDialect {
    stream: u32,
    to_agent: StreamFormat,
    from_agent: StreamFormat,
    framing: Framing,
    /// Reused for text messages.
    text: Vec<u8>,
}

impl NativeDialect {
    /// Speaks for the stream that `info` describes.
    pub fn new(info: &StreamInfo) -> Self {
        Self {
            stream: info.stream,
            to_agent: info.to_agent,
            from_agent: info.from_agent,
            framing: info.framing,
            text: Vec::new(),
        }
    }

    fn adopt(&mut self, info: &StreamInfo) {
        self.stream = info.stream;
        self.to_agent = info.to_agent;
        self.from_agent = info.from_agent;
        self.framing = info.framing;
    }
}

impl Dialect for NativeDialect {
    /// The wished format both ways, or else the caller's own, so that frames pass untouched; linear
    /// samples always least significant byte first, at the ptime of the caller.
    fn formats(
        &self,
        wished: Option<StreamFormat>,
        caller: StreamFormat,
    ) -> (StreamFormat, StreamFormat) {
        let mut audio = wished.map_or(caller.audio, |format| format.audio);
        if audio.codec == Codec::L16Be {
            audio.codec = Codec::L16Le;
        }
        if codecs::entry(audio).is_none() {
            audio = AudioFormat::PCMU;
        }
        let format = StreamFormat { audio, ptime_ms: caller.ptime_ms };
        (format, format)
    }

    fn event(&mut self, event: &AgentEvent<'_>, out: &mut dyn Outbox) {
        self.text.clear();
        write::event(event, self.stream, &mut self.text);
        if !self.text.is_empty() {
            out.message(MessageKind::Text, &self.text);
        }
        self.text.clear();
        self.text.shrink_to(TEXT_KEPT_BYTES);
        if let AgentEvent::Start(info) | AgentEvent::Configured { info, .. } = event {
            self.adopt(info);
        }
    }

    fn audio(&mut self, frame: &AgentFrame<'_>, out: &mut Vec<u8>) -> MessageKind {
        if self.framing == Framing::Rtp {
            let pt = codecs::payload_type(self.to_agent.audio);
            out.extend_from_slice(&frame::header(frame, pt, self.stream));
        }
        out.extend_from_slice(frame.payload);
        MessageKind::Binary
    }

    fn read<'m>(
        &mut self,
        kind: MessageKind,
        message: &'m mut [u8],
    ) -> Result<AgentInput<'m>, WireError> {
        match kind {
            MessageKind::Text => {
                let command = read::command(message, self.stream)?;
                Ok(command.map_or(AgentInput::Nothing, AgentInput::Command))
            }
            MessageKind::Binary => {
                let audio = match self.framing {
                    Framing::Raw => message,
                    Framing::Rtp => {
                        let pt = codecs::payload_type(self.from_agent.audio);
                        frame::payload(message, pt, self.stream)?
                    }
                };
                if audio.len() > MESSAGE_MAX_BYTES {
                    return Err(WireError::BadFrame("more than 64 KiB of audio"));
                }
                let format = self.from_agent.audio;
                if format.codec.is_packets() {
                    if !format.is_whole(audio) || audio.len() > media::codec::opus::PACKET_BYTES_MAX
                    {
                        return Err(WireError::BadFrame("not a packet of the codec"));
                    }
                } else if !audio.len().is_multiple_of(format.codec.sample_bytes()) {
                    return Err(WireError::BadFrame("not whole samples"));
                }
                Ok(AgentInput::Audio(audio))
            }
        }
    }
}

#[cfg(test)]
mod tests;
