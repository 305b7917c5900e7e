//! `Debug` of what may hold a phone number, a PIN or a name: the kind of the thing, not the thing.

use std::fmt;

use super::{AgentCommand, AgentEvent, StreamInfo};

impl fmt::Debug for AgentCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configure(wish) => f.debug_tuple("Configure").field(wish).finish(),
            Self::Answer { headers } => {
                f.debug_struct("Answer").field("headers", &headers.len()).finish()
            }
            Self::Reject { cause } => f.debug_struct("Reject").field("cause", cause).finish(),
            Self::Clear => f.write_str("Clear"),
            Self::Utterance { id } => f.debug_struct("Utterance").field("id", id).finish(),
            Self::Mark { name } => f.debug_struct("Mark").field("name", name).finish(),
            Self::Dtmf { digits, duration_ms, gap_ms } => f
                .debug_struct("Dtmf")
                .field("digits", &digits.len())
                .field("duration_ms", duration_ms)
                .field("gap_ms", gap_ms)
                .finish(),
            Self::Transfer { kind, .. } => {
                f.debug_struct("Transfer").field("kind", kind).finish_non_exhaustive()
            }
            Self::Hangup { now, cause } => {
                f.debug_struct("Hangup").field("now", now).field("cause", cause).finish()
            }
            Self::Mute => f.write_str("Mute"),
            Self::Unmute => f.write_str("Unmute"),
            Self::Hold => f.write_str("Hold"),
            Self::Resume => f.write_str("Resume"),
            Self::Record(order) => f.debug_tuple("Record").field(order).finish(),
            Self::Update { fields } => {
                f.debug_struct("Update").field("fields", &fields.len()).finish()
            }
        }
    }
}

impl fmt::Debug for StreamInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamInfo")
            .field("call_id", &self.call_id)
            .field("stream", &self.stream)
            .field("direction", &self.direction)
            .field("provider", &self.provider)
            .field("trunk", &self.trunk)
            .field("state", &self.state)
            .field("to_agent", &self.to_agent)
            .field("from_agent", &self.from_agent)
            .field("framing", &self.framing)
            .field("resumed", &self.resumed)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for AgentEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(info) => f.debug_tuple("Start").field(info).finish(),
            Self::Configured { info, wants } => {
                f.debug_struct("Configured").field("info", info).field("wants", wants).finish()
            }
            Self::State(state) => f.debug_tuple("State").field(state).finish(),
            Self::Mark { name, status, samples, .. } => f
                .debug_struct("Mark")
                .field("name", name)
                .field("status", status)
                .field("samples", samples)
                .finish_non_exhaustive(),
            Self::Cleared { dropped_ms, samples, .. } => f
                .debug_struct("Cleared")
                .field("dropped_ms", dropped_ms)
                .field("samples", samples)
                .finish_non_exhaustive(),
            Self::Dtmf { source, .. } => {
                f.debug_struct("Dtmf").field("source", source).finish_non_exhaustive()
            }
            Self::Transfer { state, cause } => {
                f.debug_struct("Transfer").field("state", state).field("cause", cause).finish()
            }
            Self::Record { state } => f.debug_struct("Record").field("state", state).finish(),
            Self::Speech { started, at_ms } => {
                f.debug_struct("Speech").field("started", started).field("at_ms", at_ms).finish()
            }
            Self::Underrun { ms } => f.debug_struct("Underrun").field("ms", ms).finish(),
            Self::Expiring { left_ms } => {
                f.debug_struct("Expiring").field("left_ms", left_ms).finish()
            }
            Self::Silence(notice) => f.debug_tuple("Silence").field(notice).finish(),
            Self::Quality { loss, mos, .. } => f
                .debug_struct("Quality")
                .field("loss", loss)
                .field("mos", mos)
                .finish_non_exhaustive(),
            Self::Error { code, message, fatal } => f
                .debug_struct("Error")
                .field("code", code)
                .field("message", message)
                .field("fatal", fatal)
                .finish(),
            Self::Stop { cause, by, duration_ms } => f
                .debug_struct("Stop")
                .field("cause", cause)
                .field("by", by)
                .field("duration_ms", duration_ms)
                .finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither a PIN that is dialled nor the number a call is handed to gets into a log.
    #[test]
    fn commands_keep_what_is_personal_to_themselves() {
        let dtmf =
            AgentCommand::Dtmf { digits: "4711".to_owned(), duration_ms: None, gap_ms: None };
        let transfer = AgentCommand::Transfer {
            kind: "blind".to_owned(),
            destination: "+15550001234".to_owned(),
            options: vec![("caller".to_owned(), "+15550005678".to_owned())],
            headers: vec![("X-Caller".to_owned(), "+15550005679".to_owned())],
        };
        let shown = format!("{dtmf:?} {transfer:?}");
        assert!(shown.contains("blind"));
        assert!(!shown.contains("4711") && !shown.contains("5550"), "{shown}");
    }
}
