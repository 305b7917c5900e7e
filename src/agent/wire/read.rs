//! What an agent says in text.

use adapters::agent::{AgentCommand, Configure, FormatWish, Framing, RecordOrder};
use adapters::wire::WireError;
use serde::Deserialize;
use serde_json::error::Category;

use super::fields::{FormatFields, Nested, Pairs, Scalar, Strings, bad};

/// The longest ptime an agent may name.
const PTIME_MAX_MS: u32 = 120;

/// The fields of all events: which of them count depends on the event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    event: Scalar<'a>,
    #[serde(borrow)]
    stream: Scalar<'a>,
    #[serde(borrow)]
    name: Scalar<'a>,
    #[serde(borrow)]
    id: Scalar<'a>,
    #[serde(borrow)]
    cause: Scalar<'a>,
    #[serde(borrow)]
    digits: Scalar<'a>,
    #[serde(borrow)]
    duration_ms: Scalar<'a>,
    #[serde(borrow)]
    gap_ms: Scalar<'a>,
    #[serde(borrow)]
    kind: Scalar<'a>,
    #[serde(borrow)]
    destination: Scalar<'a>,
    options: Nested<Pairs>,
    headers: Nested<Pairs>,
    fields: Nested<Pairs>,
    #[serde(borrow)]
    after: Scalar<'a>,
    #[serde(borrow)]
    state: Scalar<'a>,
    #[serde(borrow)]
    framing: Scalar<'a>,
    wants: Nested<Strings>,
    #[serde(borrow, rename = "in")]
    to_agent: Nested<FormatFields<'a>>,
    #[serde(borrow, rename = "out")]
    from_agent: Nested<FormatFields<'a>>,
}

/// Reads one text message for the stream `stream`; `None` for an event that is not known.
///
/// # Errors
///
/// [`WireError::BadJson`], or [`WireError::BadField`] with the field's path: fields of `configure`
/// begin with "configure.", because a refused `configure` closes the socket.
pub(super) fn command(text: &[u8], stream: u32) -> Result<Option<AgentCommand>, WireError> {
    let text = std::str::from_utf8(text).map_err(|_| WireError::BadJson("not UTF-8".to_owned()))?;
    if !text.trim_ascii_start().starts_with('{') {
        return Err(WireError::BadJson("not an object".to_owned()));
    }
    let message: Message<'_> = serde_json::from_str(text).map_err(|error| json_error(&error))?;
    let Message { event, stream: named, .. } = &message;
    match named {
        Scalar::Absent => {}
        Scalar::Whole(number) if *number == u64::from(stream) => {}
        _ => return Err(bad("stream", "is not the stream of this socket")),
    }
    let event = match event {
        Scalar::Text(event) => event.clone(),
        Scalar::Absent => return Err(bad("event", "is missing")),
        _ => return Err(bad("event", "is not a string")),
    };
    meaning(&event, message)
}

fn meaning(event: &str, message: Message<'_>) -> Result<Option<AgentCommand>, WireError> {
    Ok(Some(match event {
        "configure" => AgentCommand::Configure(configure(message)?),
        "answer" => AgentCommand::Answer { headers: headers(message.headers)? },
        "reject" => AgentCommand::Reject { cause: cause(message)? },
        "clear" => AgentCommand::Clear,
        "utterance" => AgentCommand::Utterance { id: message.id.required_text("id")? },
        "mark" => AgentCommand::Mark { name: message.name.required_text("name")? },
        "dtmf" => AgentCommand::Dtmf {
            digits: message.digits.required_text("digits")?,
            duration_ms: message.duration_ms.whole("duration_ms")?,
            gap_ms: message.gap_ms.whole("gap_ms")?,
        },
        "transfer" => transfer(message)?,
        "hangup" => AgentCommand::Hangup {
            now: match message.after.text("after")?.as_deref() {
                None | Some("playout") => false,
                Some("now") => true,
                Some(_) => return Err(bad("after", "is neither \"playout\" nor \"now\"")),
            },
            cause: message.cause.text("cause")?.map(Into::into),
        },
        "mute" => AgentCommand::Mute,
        "unmute" => AgentCommand::Unmute,
        "hold" => AgentCommand::Hold,
        "resume" => AgentCommand::Resume,
        "update" => {
            let fields =
                message.fields.take("fields", "is not an object of strings and numbers")?;
            let fields = fields.ok_or_else(|| bad("fields", "is missing"))?.0;
            AgentCommand::Update { fields }
        }
        "record" => {
            let state = message.state.text("state")?;
            let order = RecordOrder::from_word(state.as_deref().unwrap_or("start"));
            let allowed = "is none of \"start\", \"stop\", \"pause\", \"resume\"";
            AgentCommand::Record(order.ok_or_else(|| bad("state", allowed))?)
        }
        _ => return Ok(None),
    }))
}

fn transfer(message: Message<'_>) -> Result<AgentCommand, WireError> {
    let kind = message.kind.required_text("kind")?;
    let destination = match kind.as_str() {
        // It joins two calls: the other one is the destination.
        "attended" | "cancel" => {
            message.destination.text("destination")?.unwrap_or_default().into()
        }
        _ => message.destination.required_text("destination")?,
    };
    let options = message.options.take("options", "is not an object of strings and numbers")?;
    let options = options.map(|pairs| pairs.0).unwrap_or_default();
    let headers = headers(message.headers)?;
    Ok(AgentCommand::Transfer { kind, destination, options, headers })
}

fn headers(headers: Nested<Pairs>) -> Result<Vec<(String, String)>, WireError> {
    let headers = headers.take("headers", "is not an object of strings and numbers")?;
    Ok(headers.map(|pairs| pairs.0).unwrap_or_default())
}

fn cause(message: Message<'_>) -> Result<Option<String>, WireError> {
    Ok(message.cause.text("cause")?.map(Into::into))
}

fn configure(message: Message<'_>) -> Result<Configure, WireError> {
    let framing = match message.framing.text("configure.framing")?.as_deref() {
        None => None,
        Some("rtp") => Some(Framing::Rtp),
        Some("raw") => Some(Framing::Raw),
        Some(_) => return Err(bad("configure.framing", "is neither \"rtp\" nor \"raw\"")),
    };
    let wants = message.wants.take("configure.wants", "is not an array of strings")?;
    let to_agent = message.to_agent.take("configure.in", "is not an object")?;
    let from_agent = message.from_agent.take("configure.out", "is not an object")?;
    Ok(Configure {
        to_agent: to_agent.map(|fields| wish(fields, &IN_PATHS)).transpose()?,
        from_agent: from_agent.map(|fields| wish(fields, &OUT_PATHS)).transpose()?,
        framing,
        wants: wants.map(|strings| strings.0).unwrap_or_default(),
    })
}

/// Paths of the fields of a format: codec, rate_hz, ptime_ms.
type Paths = [&'static str; 3];
const IN_PATHS: Paths = ["configure.in.codec", "configure.in.rate_hz", "configure.in.ptime_ms"];
const OUT_PATHS: Paths = ["configure.out.codec", "configure.out.rate_hz", "configure.out.ptime_ms"];

fn wish(fields: FormatFields<'_>, paths: &Paths) -> Result<FormatWish, WireError> {
    let [codec, rate_hz, ptime_ms] = *paths;
    let wish = FormatWish {
        codec: fields.codec.required_text(codec)?,
        rate_hz: fields.rate_hz.whole(rate_hz)?,
        ptime_ms: fields.ptime_ms.whole(ptime_ms)?,
    };
    if wish.ptime_ms.is_some_and(|ms| !(1..=PTIME_MAX_MS).contains(&ms)) {
        return Err(bad(ptime_ms, "is not within 1 to 120"));
    }
    Ok(wish)
}

/// The fields accept any value, so what is left is syntax, and a field that occurs twice.
pub(super) fn json_error(error: &serde_json::Error) -> WireError {
    match error.classify() {
        Category::Data => bad("message", "has a field twice"),
        _ => WireError::BadJson(format!("at line {} column {}", error.line(), error.column())),
    }
}
