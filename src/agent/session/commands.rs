//! What an agent asks for, and whether it may.

use adapters::agent::{AgentCommand, CallState, Configure, FormatWish, StreamFormat, StreamInfo};
use adapters::external_pbx::{FIELDS_MAX, VALUE_CHARS_MAX};
use adapters::wire::WireError;
use media::playout::NAME_MAX_BYTES;
use media::time::MonoTime;

use super::AgentSession;
use super::action::{Control, Outgoing};
use super::limits::{
    DTMF_DIGITS_MAX, DTMF_DURATION_DEFAULT_MS, DTMF_DURATION_MAX_MS, DTMF_DURATION_MIN_MS,
    DTMF_GAP_DEFAULT_MS, DTMF_GAP_MAX_MS, DTMF_GAP_MIN_MS, TRANSFER_OPTIONS_MAX, WORD_MAX_BYTES,
    error_code, feature,
};
use crate::agent::wire::{CloseCode, codecs};
use crate::calls::transfer::{CANCEL, Kind, LEAVE, NO_KIND};
use crate::sip::core::custom;

/// Why a command is not carried out: code and message of an `error`.
type Refusal = (&'static str, String);

impl AgentSession {
    /// Carries out one command or tells why not.
    pub(super) fn command(&mut self, now: MonoTime, command: AgentCommand) {
        if let AgentCommand::Configure(wish) = command {
            return self.configure(&wish);
        }
        // A call that is hanging up still has a queue, and nothing else to steer.
        if self.hangup.is_some() {
            return self.command_while_hanging_up(command);
        }
        match self.permit(now, command) {
            Ok(Some(control)) => self.call(control),
            Ok(None) => {}
            Err((code, message)) => self.fault(now, code, message),
        }
    }

    fn command_while_hanging_up(&mut self, command: AgentCommand) {
        match command {
            AgentCommand::Clear => self.call(Control::Clear),
            AgentCommand::Mark { name } => self.call(Control::Mark { name }),
            AgentCommand::Hangup { now: true, .. } => self.drained(),
            _ => {}
        }
    }

    fn permit(&mut self, now: MonoTime, command: AgentCommand) -> Result<Option<Control>, Refusal> {
        Ok(Some(match command {
            AgentCommand::Configure(_) => return Ok(None),
            AgentCommand::Answer { headers } => {
                check_headers(&headers)?;
                self.verdict()?;
                Control::Answer { headers }
            }
            AgentCommand::Reject { cause } => {
                check_word("cause", cause.as_deref())?;
                self.verdict()?;
                Control::Reject { cause }
            }
            AgentCommand::Clear => Control::Clear,
            AgentCommand::Utterance { id } => {
                check_name("id", &id)?;
                Control::Utterance { id }
            }
            AgentCommand::Mark { name } => {
                check_name("name", &name)?;
                Control::Mark { name }
            }
            AgentCommand::Dtmf { digits, duration_ms, gap_ms } => {
                self.offered(feature::DTMF)?;
                dtmf(digits, duration_ms, gap_ms)?
            }
            AgentCommand::Transfer { kind, destination, options, headers } => {
                self.offered(feature::TRANSFER)?;
                check_headers(&headers)?;
                transfer(kind, destination, options, headers)?
            }
            AgentCommand::Hangup { now: at_once, cause } => {
                check_word("cause", cause.as_deref())?;
                if !at_once {
                    self.hang_up_after_playout(now, cause);
                    return Ok(None);
                }
                Control::Hangup { cause }
            }
            AgentCommand::Mute => self.switch(feature::MUTE, Control::Mute(true))?,
            AgentCommand::Unmute => self.switch(feature::MUTE, Control::Mute(false))?,
            AgentCommand::Hold => self.switch(feature::HOLD, Control::Hold(true))?,
            AgentCommand::Resume => self.switch(feature::HOLD, Control::Hold(false))?,
            AgentCommand::Update { fields } => {
                self.offered(feature::UPDATE)?;
                check_fields(&fields)?;
                Control::Update(fields)
            }
            AgentCommand::Record(order) => self.switch(feature::RECORD, Control::Record(order))?,
        }))
    }

    fn switch(&self, feature: &str, control: Control) -> Result<Control, Refusal> {
        self.offered(feature).map(|()| control)
    }

    fn offered(&self, feature: &str) -> Result<(), Refusal> {
        if self.info.features.contains(&feature) {
            return Ok(());
        }
        Err((error_code::UNSUPPORTED, format!("this call does not offer {feature}")))
    }

    /// Whether the agent may answer or reject: once, before the answer, if the route says so.
    fn verdict(&mut self) -> Result<(), Refusal> {
        if !self.info.features.contains(&feature::ANSWER) {
            let message = "the route does not let the agent answer".to_owned();
            return Err((error_code::NOT_ALLOWED, message));
        }
        if self.info.state == CallState::Answered || self.verdict_given {
            return Err((error_code::BAD_STATE, "already answered or rejected".to_owned()));
        }
        self.verdict_given = true;
        Ok(())
    }

    fn configure(&mut self, wish: &Configure) {
        let problem = if self.configured {
            Some("configure came twice")
        } else if self.heard_audio {
            Some("configure came after audio")
        } else {
            None
        };
        if let Some(problem) = problem {
            let close = CloseCode::ConfigureRefused;
            return self.refuse(error_code::BAD_STATE, problem.to_owned(), close);
        }
        let info = match resolve(&self.info, wish) {
            Ok(info) => info,
            Err(error) => {
                let close = CloseCode::ConfigureRefused;
                return self.refuse(error.code(), error.to_string(), close);
            }
        };
        self.configured = true;
        self.wants = feature::WANTABLE
            .into_iter()
            .filter(|group| wish.wants.iter().any(|wanted| wanted == group))
            .filter(|group| info.features.contains(group))
            .collect();
        self.info = info.clone();
        self.call(Control::Configured {
            to_agent: info.to_agent,
            from_agent: info.from_agent,
            framing: info.framing,
        });
        self.send(Outgoing::Configured(Box::new((info, self.wants.clone()))));
    }
}

/// What holds once `wish` is granted. The ptime is that of the call: frames go to the agent as they
/// come from the caller, and from the agent in any length.
fn resolve(info: &StreamInfo, wish: &Configure) -> Result<StreamInfo, WireError> {
    let format = |held: StreamFormat, wish: &Option<FormatWish>| match wish {
        None => Ok(held),
        Some(wish) => {
            let audio = codecs::find(&wish.codec, wish.rate_hz)?;
            Ok(StreamFormat { audio, ptime_ms: held.ptime_ms })
        }
    };
    Ok(StreamInfo {
        to_agent: format(info.to_agent, &wish.to_agent)?,
        from_agent: format(info.from_agent, &wish.from_agent)?,
        framing: wish.framing.unwrap_or(info.framing),
        ..info.clone()
    })
}

fn bad_field(message: String) -> Refusal {
    (error_code::BAD_FIELD, message)
}

fn check_name(field: &str, name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > NAME_MAX_BYTES {
        return Err(bad_field(format!("field {field}: is not of 1 to {NAME_MAX_BYTES} bytes")));
    }
    Ok(())
}

fn check_word(field: &str, word: Option<&str>) -> Result<(), Refusal> {
    if word.is_some_and(|word| word.len() > WORD_MAX_BYTES || word.contains(char::is_control)) {
        return Err(bad_field(format!(
            "field {field}: is not of at most {WORD_MAX_BYTES} bytes without control characters"
        )));
    }
    Ok(())
}

/// Checks how much is to be updated; what of it can be is not known here.
fn check_fields(fields: &[(String, String)]) -> Result<(), Refusal> {
    if fields.is_empty() || fields.len() > FIELDS_MAX {
        return Err(bad_field(format!("field fields: has none, or more than {FIELDS_MAX}")));
    }
    let fits = |(name, value): &(String, String)| {
        name.len() <= WORD_MAX_BYTES && value.chars().count() <= VALUE_CHARS_MAX
    };
    if !fields.iter().all(fits) {
        return Err(bad_field(format!(
            "field fields: a value is longer than {VALUE_CHARS_MAX} characters"
        )));
    }
    Ok(())
}

/// Checks SIP header fields; whether the trunk lets them out is not known here.
fn check_headers(headers: &[(String, String)]) -> Result<(), Refusal> {
    let fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let checked = custom::check(fields, None);
    checked.map_err(|error| bad_field(format!("field headers: {error}")))
}

/// Checks digits and fills in how long they are.
pub(crate) fn dtmf(
    digits: String,
    duration_ms: Option<u32>,
    gap_ms: Option<u32>,
) -> Result<Control, Refusal> {
    if digits.is_empty() || digits.len() > DTMF_DIGITS_MAX {
        return Err(bad_field(format!("field digits: is not of 1 to {DTMF_DIGITS_MAX} digits")));
    }
    let digits = digits.to_ascii_uppercase();
    if !digits.chars().all(|digit| matches!(digit, '0'..='9' | 'A'..='D' | '*' | '#')) {
        return Err(bad_field("field digits: only 0-9, A-D, * and # are digits".to_owned()));
    }
    let within = |field, value: u32, min, max| {
        if (min..=max).contains(&value) {
            return Ok(value);
        }
        Err(bad_field(format!("field {field}: is not within {min} to {max}")))
    };
    let duration_ms = within(
        "duration_ms",
        duration_ms.unwrap_or(DTMF_DURATION_DEFAULT_MS),
        DTMF_DURATION_MIN_MS,
        DTMF_DURATION_MAX_MS,
    )?;
    let gap_ms =
        within("gap_ms", gap_ms.unwrap_or(DTMF_GAP_DEFAULT_MS), DTMF_GAP_MIN_MS, DTMF_GAP_MAX_MS)?;
    Ok(Control::Dtmf { digits, duration_ms, gap_ms })
}

fn transfer(
    kind: String,
    destination: String,
    options: Vec<(String, String)>,
    headers: Vec<(String, String)>,
) -> Result<Control, Refusal> {
    let is_kind = matches!(kind.as_str(), CANCEL | LEAVE) || Kind::from_word(&kind).is_some();
    if !is_kind {
        return Err(bad_field(format!("field {NO_KIND}")));
    }
    // An attended transfer joins two calls; the second is the destination.
    if destination.is_empty() && !matches!(kind.as_str(), "attended" | CANCEL | LEAVE) {
        return Err(bad_field("field destination: is missing or empty".to_owned()));
    }
    check_word("destination", Some(&destination))?;
    if options.len() > TRANSFER_OPTIONS_MAX {
        return Err(bad_field(format!("field options: has more than {TRANSFER_OPTIONS_MAX}")));
    }
    for (name, value) in &options {
        check_word("options", Some(name))?;
        check_word("options", Some(value))?;
    }
    Ok(Control::Transfer { kind, destination, options, headers })
}
