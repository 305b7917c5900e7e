//! The native protocol where many calls share a socket.

use adapters::agent::{
    AgentCommand, AgentEvent, AgentFrame, AgentInput, Dialect, Framing, MessageKind, Outbox,
    StreamFormat, StreamInfo,
};
use adapters::wire::WireError;

use super::super::NativeDialect;
use super::super::fields::bad;

/// As [`NativeDialect`], but audio without a header would be nobody's.
pub(super) struct LinkDialect(NativeDialect);

impl LinkDialect {
    /// Speaks for the stream that `info` describes.
    pub(super) fn new(info: &StreamInfo) -> Self {
        Self(NativeDialect::new(info))
    }
}

impl Dialect for LinkDialect {
    fn formats(
        &self,
        wished: Option<StreamFormat>,
        caller: StreamFormat,
    ) -> (StreamFormat, StreamFormat) {
        self.0.formats(wished, caller)
    }

    fn event(&mut self, event: &AgentEvent<'_>, out: &mut dyn Outbox) {
        self.0.event(event, out);
    }

    #[inline]
    fn audio(&mut self, frame: &AgentFrame<'_>, out: &mut Vec<u8>) -> MessageKind {
        self.0.audio(frame, out)
    }

    #[inline]
    fn read<'m>(
        &mut self,
        kind: MessageKind,
        message: &'m mut [u8],
    ) -> Result<AgentInput<'m>, WireError> {
        let input = self.0.read(kind, message)?;
        match &input {
            AgentInput::Command(AgentCommand::Configure(wish))
                if wish.framing == Some(Framing::Raw) =>
            {
                Err(bad("configure.framing", "is \"raw\" on a socket of many calls"))
            }
            _ => Ok(input),
        }
    }
}
