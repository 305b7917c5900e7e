//! `[[agents]]`: the programs that talk on calls.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use adapters::agent::StreamFormat;
use media::codec::{AudioFormat, Codec, opus};

use super::ambient::{Ambient, ambient};
use super::keep::{Keep, keep};
use super::length::{CallLength, length};
use super::secret::Secret;
use super::section::Section;
use super::values::AgentUrl;
use super::voicemail::{Voicemail, voicemail};

/// An agent that calls are routed to.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentConfig {
    /// Unique name.
    pub name: String,
    /// What it is.
    pub kind: AgentKind,
    /// True if the agent answers its calls itself; else they are answered when it is ready.
    pub answers: bool,
    /// Calls at once.
    pub max_calls: Option<u32>,
    /// How long its calls last, and who is told before that is over.
    pub length: CallLength,
    /// WAV file that its callers hear while they are on hold; comfort noise if absent.
    pub hold_music: Option<PathBuf>,
    /// Folder of WAV files that may be said to those whom its calls are handed to, by name.
    pub sounds: Option<PathBuf>,
    /// What its callers hear under it.
    pub ambient: Option<Ambient>,
    /// What of its calls is kept.
    pub keep: Keep,
}

/// What an agent is.
#[derive(Clone, Debug, PartialEq)]
pub enum AgentKind {
    /// Part of this server.
    Builtin(Builtin),
    /// A program that speaks a WebSocket dialect.
    WebSocket(WebSocketAgent),
    /// A program that takes and sends RTP.
    Rtp(RtpAgent),
    /// A telephone, or whatever else takes calls: its leg is joined with the caller's.
    Sip(SipAgent),
}

/// Agents that are part of this server.
#[derive(Clone, Debug, PartialEq)]
pub enum Builtin {
    /// Sends back what it hears.
    Echo,
    /// Plays a sine.
    Tone {
        /// Frequency in hertz.
        frequency_hz: u32,
    },
    /// Plays a WAV file.
    Play {
        /// The file.
        file: PathBuf,
        /// Start over at the end instead of hanging up.
        repeat: bool,
    },
    /// Writes what it hears to a WAV file per call.
    Record {
        /// Folder of the files.
        folder: PathBuf,
    },
    /// Sends silence.
    Silence,
    /// Lets the caller hear what is heard on hold, while nobody talks with it. No key says so: a
    /// queue has it, and a call that is put aside.
    Wait {
        /// The queue that the call waits in.
        queue: Option<String>,
    },
    /// Takes a message.
    Voicemail(Voicemail),
}

/// An agent on a WebSocket.
#[derive(Clone, Debug, PartialEq)]
pub struct WebSocketAgent {
    /// Where it is dialled; absent for an agent that attaches by itself.
    pub url: Option<AgentUrl>,
    /// Name of the dialect it speaks.
    pub dialect: String,
    /// Format it wants; the caller's if absent.
    pub format: Option<StreamFormat>,
    /// Key of the tokens that tell it who dials.
    pub secret: Option<Secret>,
    /// How long dialling may take, handshake included.
    pub connect_timeout: Duration,
    /// How long a broken socket may be redialled before the route's fallback.
    pub grace: Duration,
    /// Its calls share one socket.
    pub mux: bool,
}

/// An agent that takes and sends RTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtpAgent {
    /// Where its packets go.
    pub address: SocketAddr,
    /// Format it wants; the caller's if absent.
    pub format: Option<StreamFormat>,
    /// Payload type of formats without a fixed one (RFC 3551 6).
    pub payload_type: u8,
}

/// An agent that is called by SIP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipAgent {
    /// A SIP URI, the name of a user, or with a trunk a number.
    pub uri: String,
    /// Name of the trunk that it is called through.
    pub trunk: Option<String>,
    /// User part of our From; the caller's if absent.
    pub from: Option<String>,
    /// How long it may ring.
    pub ring_timeout: Duration,
    /// The caller hears what comes from it before its answer.
    pub early_media: bool,
}

/// Name of the native dialect of agents.
pub const NATIVE_DIALECT: &str = "talkpath";

/// Longest URI that is called.
const URI_BYTES_MAX: usize = 256;
/// Longest name of an agent, trunk or user.
const NAME_BYTES_MAX: usize = 64;
/// Shortest secret: HMAC-SHA-256 keys shorter than this can be guessed.
const SECRET_BYTES_MIN: usize = 16;
/// Default of `connect_timeout_ms`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Default of `grace_ms`.
const GRACE: Duration = Duration::from_secs(10);
/// Default of `ring_timeout_s`.
const RING_TIMEOUT: Duration = Duration::from_secs(60);
/// Default of `frequency_hz`.
const FREQUENCY_HZ: u32 = 440;
/// Default of `payload_type`: the first dynamic one (RFC 3551 6).
const PAYLOAD_TYPE: u8 = 96;
/// Default of a format's `ptime_ms`.
const PTIME_MS: u32 = 20;

/// The agent of a server that is told nothing.
pub(super) fn default_agent() -> AgentConfig {
    AgentConfig::plain("echo".to_owned(), AgentKind::Builtin(Builtin::Echo))
}

impl AgentConfig {
    /// An agent of which nothing else is said.
    pub(super) fn plain(name: String, kind: AgentKind) -> Self {
        Self {
            name,
            kind,
            answers: false,
            max_calls: None,
            length: CallLength::default(),
            hold_music: None,
            sounds: None,
            ambient: None,
            keep: Keep::default(),
        }
    }

    /// What stands for an agent while a call waits, in a queue or put aside, and hears this.
    pub(crate) fn waiting(
        name: String,
        queue: Option<String>,
        hold_music: Option<PathBuf>,
    ) -> Self {
        let kind = AgentKind::Builtin(Builtin::Wait { queue });
        Self { hold_music, ..Self::plain(name, kind) }
    }
}

/// Reads `name`, which must be there.
pub(super) fn name(section: &Section<'_>) -> Option<String> {
    if !section.has("name") {
        section.missing("name", "every entry has a name");
    }
    let allowed = "letters, digits, \"-\", \"_\", \".\" and \"+\", up to 64";
    section.text("name", allowed, |text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
        if !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(fits) {
            Ok(text.to_owned())
        } else {
            Err("not a name".to_owned())
        }
    })
}

#[derive(Clone, Copy)]
enum Kind {
    Builtin,
    WebSocket,
    Rtp,
    Sip,
}

pub(super) fn agent(section: Section<'_>, dialects: &[&str]) -> Option<AgentConfig> {
    let name = name(&section);
    let kinds = [
        ("builtin", Kind::Builtin),
        ("websocket", Kind::WebSocket),
        ("rtp", Kind::Rtp),
        ("sip", Kind::Sip),
    ];
    if !section.has("kind") {
        section.missing("kind", "allowed: builtin, rtp, sip, websocket");
    }
    let answers = section.flag("answers").unwrap_or(false);
    let max_calls = section.number("max_calls", 1..=100_000);
    let length = length(&section);
    let hold_music = section.file("hold_music");
    let sounds = section.path("sounds");
    let ambient = ambient(&section);
    let keep = keep(&section);
    // Without a kind the other keys cannot be judged; one error is enough then.
    let kind = match section.word("kind", &kinds)? {
        Kind::Builtin => builtin(&section).map(AgentKind::Builtin),
        Kind::WebSocket => web_socket(&section, dialects).map(AgentKind::WebSocket),
        Kind::Rtp => rtp(&section).map(AgentKind::Rtp),
        Kind::Sip => sip(&section).map(AgentKind::Sip),
    };
    section.finish();
    Some(AgentConfig {
        name: name?,
        kind: kind?,
        answers,
        max_calls,
        length,
        hold_music,
        sounds,
        ambient,
        keep,
    })
}

fn builtin(section: &Section<'_>) -> Option<Builtin> {
    #[derive(Clone, Copy)]
    enum Which {
        Echo,
        Tone,
        Play,
        Record,
        Silence,
        Voicemail,
    }
    let words = [
        ("echo", Which::Echo),
        ("tone", Which::Tone),
        ("play", Which::Play),
        ("record", Which::Record),
        ("silence", Which::Silence),
        ("voicemail", Which::Voicemail),
    ];
    if !section.has("builtin") {
        section.missing("builtin", "allowed: echo, play, record, silence, tone, voicemail");
    }
    Some(match section.word("builtin", &words)? {
        Which::Echo => Builtin::Echo,
        Which::Tone => Builtin::Tone {
            frequency_hz: section.number("frequency_hz", 50..=3_800).unwrap_or(FREQUENCY_HZ),
        },
        Which::Play => {
            if !section.has("file") {
                section.missing("file", "the WAV file to play");
            }
            let repeat = section.flag("repeat").unwrap_or(false);
            Builtin::Play { file: section.file("file")?, repeat }
        }
        Which::Record => {
            if !section.has("folder") {
                section.missing("folder", "where the recordings go");
            }
            Builtin::Record { folder: section.path("folder")? }
        }
        Which::Silence => Builtin::Silence,
        Which::Voicemail => Builtin::Voicemail(voicemail(section)),
    })
}

fn web_socket(section: &Section<'_>, dialects: &[&str]) -> Option<WebSocketAgent> {
    let url = section.text("url", AgentUrl::ALLOWED, AgentUrl::parse);
    let attaches = section.flag("attach").unwrap_or(false);
    match (section.has("url"), attaches) {
        (false, false) => section.missing("url", "where the agent is dialled, or attach = true"),
        (true, true) => section.conflict("attach", "the agent has a url, so it is dialled".into()),
        _ => {}
    }
    let names: Vec<(&str, &str)> = std::iter::once(NATIVE_DIALECT)
        .chain(dialects.iter().copied().filter(|name| *name != NATIVE_DIALECT))
        .map(|name| (name, name))
        .collect();
    let dialect = section.word("dialect", &names).unwrap_or(NATIVE_DIALECT).to_owned();
    let format = section
        .optional_section("format")
        .and_then(|format| stream_format(format, ("l16le", Codec::L16Le)));
    let secret = section.secret("secret", SECRET_BYTES_MIN);
    let connect_timeout =
        section.millis("connect_timeout_ms", 100..=60_000).unwrap_or(CONNECT_TIMEOUT);
    let grace = section.millis("grace_ms", 0..=300_000).unwrap_or(GRACE);
    let mux = section.flag("mux").unwrap_or(false);
    if mux && dialect != NATIVE_DIALECT {
        section.conflict("mux", format!("true; the dialect {dialect} has a socket for each call"));
    }
    Some(WebSocketAgent { url, dialect, format, secret, connect_timeout, grace, mux })
}

fn rtp(section: &Section<'_>) -> Option<RtpAgent> {
    if !section.has("url") {
        section.missing("url", "where the agent takes RTP, such as \"rtp://192.0.2.9:4000\"");
    }
    let allowed = "rtp://ADDRESS:PORT, such as \"rtp://192.0.2.9:4000\"";
    let address = section.text("url", allowed, |text| {
        let address = text.strip_prefix("rtp://").ok_or("the scheme is not rtp")?;
        let address: SocketAddr =
            address.trim_end_matches('/').parse().map_err(|_| "not an address with a port")?;
        if address.port() == 0 || address.ip().is_unspecified() {
            return Err("nobody can send to this address".to_owned());
        }
        Ok(address)
    });
    let format = section
        .optional_section("format")
        .and_then(|format| stream_format(format, ("L16", Codec::L16Be)));
    let payload_type = section
        .number("payload_type", 96..=127)
        .and_then(|payload_type| payload_type.try_into().ok());
    Some(RtpAgent { address: address?, format, payload_type: payload_type.unwrap_or(PAYLOAD_TYPE) })
}

/// Reads whom to call.
pub(super) fn called(section: &Section<'_>, key: &'static str) -> Option<String> {
    let allowed = "a SIP URI, the name of a user, or with a trunk a number";
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\".contains(&byte);
    section.text(key, allowed, |text| match text {
        "" => Err("empty".to_owned()),
        text if text.len() > URI_BYTES_MAX || !text.bytes().all(fits) => {
            Err("nobody is called so".to_owned())
        }
        text => Ok(text.to_owned()),
    })
}

fn sip(section: &Section<'_>) -> Option<SipAgent> {
    if !section.has("uri") {
        section.missing("uri", "whom to call, such as \"sip:desk@192.0.2.9\"");
    }
    let uri = called(section, "uri");
    let trunk = section.text("trunk", "the name of a trunk", |text| Ok(text.to_owned()));
    let from = section.text("from", "a number or user", |text| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+*".contains(&byte);
        match !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(fits) {
            true => Ok(text.to_owned()),
            false => Err("neither a number nor a user".to_owned()),
        }
    });
    let ring_timeout = section.seconds("ring_timeout_s", 1..=600).unwrap_or(RING_TIMEOUT);
    let early_media = section.flag("early_media").unwrap_or(true);
    Some(SipAgent { uri: uri?, trunk, from, ring_timeout, early_media })
}

/// Codecs of all agents by name.
const CODECS: [(&str, Codec); 3] =
    [("PCMU", Codec::Pcmu), ("PCMA", Codec::Pcma), ("G722", Codec::G722)];

fn stream_format(section: Section<'_>, linear: (&str, Codec)) -> Option<StreamFormat> {
    let opus = opus::AVAILABLE.then_some(("opus", Codec::Opus));
    let codecs: Vec<_> = CODECS.into_iter().chain([linear]).chain(opus).collect();
    if !section.has("codec") {
        section.missing("codec", "a format has a codec");
    }
    let codec = section.word("codec", &codecs);
    let rate_hz = section.number("rate_hz", 8_000..=48_000);
    let ptime_ms = section.number("ptime_ms", 10..=60).unwrap_or(PTIME_MS);
    if !ptime_ms.is_multiple_of(10) {
        section.conflict("ptime_ms", format!("{ptime_ms}; allowed: a multiple of 10"));
    }
    let linear = matches!(codec, Some(Codec::L16Le | Codec::L16Be));
    if let Some(rate_hz) = rate_hz {
        let rates: &[u32] = match codec {
            Some(Codec::G722) => &[16_000],
            Some(Codec::Opus) => &[opus::RATE_HZ],
            _ if linear => &[8_000, 16_000, 24_000, 48_000],
            _ => &[8_000],
        };
        if codec.is_some() && !rates.contains(&rate_hz) {
            let allowed: Vec<String> = rates.iter().map(u32::to_string).collect();
            let message = format!("{rate_hz}; allowed for this codec: {}", allowed.join(", "));
            section.conflict("rate_hz", message);
        }
    } else if linear {
        section.missing("rate_hz", "linear audio has a rate; allowed: 8000, 16000, 24000, 48000");
    }
    section.finish();
    let audio = AudioFormat {
        codec: codec?,
        rate_hz: rate_hz.unwrap_or(match codec {
            Some(Codec::G722) => 16_000,
            Some(Codec::Opus) => opus::RATE_HZ,
            _ => 8_000,
        }),
    };
    Some(StreamFormat { audio, ptime_ms })
}
