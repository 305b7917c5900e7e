//! What an agent or the API asks for.

use std::time::Duration;

use uuid::Uuid;

use super::{Kind, NO_KIND, Stay};
use crate::config::QUEUE;
use crate::quota::Refusal;
use crate::quota::destination::Undialled;
use crate::sip::core::custom::CustomError;

/// How long a leg or an agent that is to take the agent's place may take to answer, unless the
/// agent says.
pub const BRIDGE_LIMIT: Duration = Duration::from_secs(60);
/// How long a transfer that the peer carries out may take, unless the agent says.
pub const OUTCOME_LIMIT: Duration = Duration::from_secs(185);
/// Longest time that an agent may give a transfer.
pub const OUTCOME_LIMIT_MAX: Duration = Duration::from_secs(600);
/// How long whoever answered may take to accept, unless the agent says.
pub const ACCEPT_LIMIT: Duration = Duration::from_secs(30);
/// Longest name of an agent, or of a sound of one, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// What stands in front of the name of a group.
const GROUP: &str = "group:";
/// What the names of variables for another agent begin with, among the options.
const VARIABLE: &str = "variable.";

/// A transfer as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Whom to.
    pub to: Destination,
    /// How long it may take.
    pub limit: Duration,
    /// What becomes of whoever is at the agent's end.
    pub stay: Stay,
    /// Header fields to add to the REFER.
    pub headers: Vec<(String, String)>,
    /// What of it is kept with the call.
    pub aim: Aim,
}

/// A transfer as it is told of: no more than was asked for.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Aim {
    /// The destination as it was named.
    pub destination: String,
    /// The call that is joined.
    pub other_call: Option<Uuid>,
    /// Options by name.
    pub options: Vec<(String, String)>,
}

impl Aim {
    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        Options(&self.options).get(name)
    }
}

/// Without the destination: it is somebody's number.
impl std::fmt::Debug for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Aim").field("other_call", &self.other_call).finish_non_exhaustive()
    }
}

/// A leg that we call for a transfer.
#[derive(Clone, PartialEq, Eq)]
pub struct LegWish {
    /// A SIP URI, the name of a user, or a number.
    pub to: String,
    /// Name of the trunk.
    pub trunk: Option<String>,
    /// User part of our From.
    pub from: Option<String>,
}

/// Without the numbers.
impl std::fmt::Debug for LegWish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LegWish").field("trunk", &self.trunk).finish_non_exhaustive()
    }
}

/// What whoever answered a leg has to do to get the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept {
    /// The key that accepts; none if nothing has to be accepted.
    pub digit: Option<char>,
    /// The key that refuses.
    pub decline: Option<char>,
    /// How long that may take, from the answer.
    pub limit: Duration,
}

impl Default for Accept {
    fn default() -> Self {
        Self { digit: None, decline: None, limit: ACCEPT_LIMIT }
    }
}

/// What is said to whoever answered.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Whisper {
    /// A tone that tells that the call is a transfer.
    #[default]
    Tone,
    /// A sound of the agent's, by name.
    Sound(String),
    /// A file that is fetched.
    Url(String),
}

/// A URL may have a secret in it.
impl std::fmt::Debug for Whisper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Tone => "Tone",
            Self::Sound(_) => "Sound",
            Self::Url(_) => "Url",
        })
    }
}

/// Whom a call is handed to.
#[derive(Clone, PartialEq, Eq)]
pub enum Destination {
    /// A URI that the peer calls.
    Uri(String),
    /// A number or user at the peer.
    User(String),
    /// A group of the PBX that owns the call.
    Group(String),
    /// The peer of another of our calls, in our place.
    Call(Uuid),
    /// Somebody whom we call.
    Bridge(LegWish),
    /// Somebody whom we call and tell what it is about.
    Warm {
        /// Whom.
        leg: LegWish,
        /// What is said there.
        whisper: Whisper,
        /// What has to be done there.
        accept: Accept,
        /// The caller is on hold meanwhile.
        holds: bool,
    },
    /// Another agent.
    Agent {
        /// Its name.
        name: String,
        /// What it is told besides, by name.
        variables: Vec<(String, String)>,
    },
}

impl Destination {
    /// How a transfer there is carried out.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Uri(_) | Self::User(_) | Self::Group(_) => Kind::Blind,
            Self::Call(_) => Kind::Attended,
            Self::Bridge(_) => Kind::Bridge,
            Self::Warm { .. } => Kind::Warm,
            Self::Agent { .. } => Kind::Agent,
        }
    }
}

/// Without the destination: it is somebody's number.
impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Uri(_) => "Uri",
            Self::User(_) => "User",
            Self::Group(_) => "Group",
            Self::Call(_) => "Call",
            Self::Bridge(_) => "Bridge",
            Self::Warm { .. } => "Warm",
            Self::Agent { .. } => "Agent",
        })
    }
}

/// Why a transfer is not even tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// No kind of transfer.
    #[error("{NO_KIND}")]
    Kind,
    /// Neither a number, a user nor a `sip:`, `sips:` or `tel:` URI.
    #[error("destination: is no number, no user and no sip:, sips: or tel: URI")]
    Destination,
    /// Calls do not go there.
    #[error("destination: {0}")]
    Undialled(#[from] Undialled),
    /// An attended transfer without the call to join.
    #[error("options.call_id: is not the id of another call")]
    CallId,
    /// A number without a trunk that calls can be placed through.
    #[error("options.trunk: names no trunk with targets, and there is none for this number")]
    Trunk,
    /// Not a number of seconds from 1 to 600.
    #[error("options.timeout_s, accept_timeout_s: is not a number from 1 to 600")]
    Timeout,
    /// Not a key.
    #[error("options.accept_digit, decline_digit: is not one of 0-9, *, #, or both are the same")]
    Digit,
    /// No sound that can be said.
    #[error(
        "options.whisper: is neither the URL of a WAV file nor the name of a sound of the agent; \
         text is not spoken"
    )]
    Whisper,
    /// Not a flag.
    #[error("options.hold: is neither \"true\" nor \"false\"")]
    Hold,
    /// No agent is called so, or none that this call can be handed to.
    #[error("destination: is no agent that the call can be handed to")]
    Agent,
    /// No such way to stay, or nobody is there who could.
    #[error("options.stay: is none of \"no\", \"talk\", \"listen\", or nobody is there to stay")]
    Stay,
    /// Three talk in the call already.
    #[error("three talk in the call")]
    Three,
    /// Nobody else talks with the peer.
    #[error("nobody is there who would be left with the peer")]
    NothingToLeave,
    /// The agent has as many calls as it takes.
    #[error("the agent has no room for another call")]
    AgentFull,
    /// No number that a carrier could call from.
    #[error("options.from: is no number or address")]
    From,
    /// The call's carrier has no such way, or it is none.
    #[error("kind, options.way: the call's carrier does not hand calls over so")]
    Way,
    /// A header field may not be added.
    #[error("headers: {0}")]
    Headers(CustomError),
    /// Header fields for a carrier that takes none.
    #[error("headers: the call's carrier takes none")]
    NoHeaders,
    /// The call, or the one it is to be joined with, is not answered.
    #[error("the call is not answered")]
    NotAnswered,
    /// There is no transfer, or it is too late.
    #[error("no transfer is under way that can be given up")]
    NothingToCancel,
    /// Another transfer of the call is under way.
    #[error("another transfer of the call is under way")]
    Busy,
    /// There is no room for what is needed.
    #[error("no room for another request or call")]
    Full,
    /// The leg that is needed would exceed a limit of calls.
    #[error(transparent)]
    Limit(#[from] Refusal),
}

impl TransferError {
    /// The word that the agent is told as `cause`.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Kind => "bad_kind",
            Self::Destination => "bad_destination",
            Self::Undialled(_) => "destination_refused",
            Self::CallId => "bad_call_id",
            Self::Trunk => "bad_trunk",
            Self::Timeout => "bad_timeout",
            Self::Digit => "bad_digit",
            Self::Whisper => "bad_whisper",
            Self::Hold => "bad_hold",
            Self::Stay => "bad_stay",
            Self::Agent => "bad_agent",
            Self::AgentFull => "agent_full",
            Self::From => "bad_from",
            Self::Way => "not_supported",
            Self::Headers(_) | Self::NoHeaders => "bad_headers",
            Self::NotAnswered | Self::NothingToCancel | Self::Three | Self::NothingToLeave => {
                "bad_state"
            }
            Self::Busy => "busy_transferring",
            Self::Full => "congestion",
            Self::Limit(_) => "limit_reached",
        }
    }
}

/// Options by name.
struct Options<'o>(&'o [(String, String)]);

impl<'o> Options<'o> {
    fn get(&self, name: &str) -> Option<&'o str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn seconds(&self, name: &str, default: Duration) -> Result<Duration, TransferError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.parse().map(Duration::from_secs) {
            Ok(limit) if !limit.is_zero() && limit <= OUTCOME_LIMIT_MAX => Ok(limit),
            _ => Err(TransferError::Timeout),
        }
    }

    fn digit(&self, name: &str) -> Result<Option<char>, TransferError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let mut keys = text.chars();
        match (keys.next(), keys.next()) {
            (Some(key @ ('0'..='9' | '*' | '#')), None) => Ok(Some(key)),
            _ => Err(TransferError::Digit),
        }
    }

    fn accept(&self) -> Result<Accept, TransferError> {
        let (digit, decline) = (self.digit("accept_digit")?, self.digit("decline_digit")?);
        if digit.is_some() && digit == decline {
            return Err(TransferError::Digit);
        }
        let limit = self.seconds("accept_timeout_s", ACCEPT_LIMIT)?;
        Ok(Accept { digit, decline, limit })
    }

    fn whisper(&self) -> Result<Whisper, TransferError> {
        match self.get("whisper") {
            None | Some("") => Ok(Whisper::Tone),
            Some(url) if is_url(url) => Ok(Whisper::Url(url.to_owned())),
            Some(name) if is_name(name) => Ok(Whisper::Sound(name.to_owned())),
            Some(_) => Err(TransferError::Whisper),
        }
    }

    fn stay(&self, kind: Kind) -> Result<Stay, TransferError> {
        match self.get("stay").filter(|_| !kind.is_asked()) {
            None => Ok(Stay::No),
            Some(word) => Stay::from_word(word).ok_or(TransferError::Stay),
        }
    }

    fn leg(&self, destination: &str) -> Result<LegWish, TransferError> {
        // Read for what is wrong with it; a trunk puts the number into a URI of its own.
        Destination::read(destination)?;
        let (trunk, from) = (self.text("trunk"), self.text("from"));
        Ok(LegWish { to: destination.to_owned(), trunk, from })
    }

    fn variables(&self) -> Vec<(String, String)> {
        let named = |(name, value): &(String, String)| {
            Some((name.strip_prefix(VARIABLE)?.to_owned(), value.clone()))
        };
        self.0.iter().filter_map(named).collect()
    }
}

/// Whether a message is a file that is fetched.
fn is_url(whisper: &str) -> bool {
    whisper.starts_with("https://") || whisper.starts_with("http://")
}

/// The file that is said to whoever answers a transfer of this kind with these options, if one is
/// to be fetched.
pub fn whispered_url<'o>(
    kind: &str,
    options: &'o std::collections::BTreeMap<String, String>,
) -> Option<&'o str> {
    let whisper = options.get("whisper").filter(|_| kind == Kind::Warm.as_str());
    whisper.map(String::as_str).filter(|whisper| is_url(whisper))
}

/// What can be the name of an agent or a sound: no path.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    let dots = name.bytes().all(|byte| byte == b'.');
    !dots && name.len() <= NAME_BYTES_MAX && name.bytes().all(fits)
}

impl Wish {
    /// Reads what an agent or the API asks for. Options that are not known are ignored.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(
        kind: &str,
        destination: &str,
        options: Vec<(String, String)>,
        headers: Vec<(String, String)>,
    ) -> Result<Self, TransferError> {
        let kind = Kind::from_word(kind).ok_or(TransferError::Kind)?;
        let given = Options(&options);
        let usual = if kind.is_asked() { OUTCOME_LIMIT } else { BRIDGE_LIMIT };
        let limit = given.seconds("timeout_s", usual)?;
        let stay = given.stay(kind)?;
        let to = match kind {
            Kind::Blind => match destination.strip_prefix(GROUP) {
                Some(name) if is_name(name) => Destination::Group(name.to_owned()),
                Some(_) => return Err(TransferError::Destination),
                None => Destination::read(destination)?,
            },
            Kind::Attended => {
                let id = given.get("call_id").and_then(|id| id.parse().ok());
                Destination::Call(id.ok_or(TransferError::CallId)?)
            }
            Kind::Bridge => Destination::Bridge(given.leg(destination)?),
            Kind::Warm => Destination::Warm {
                leg: given.leg(destination)?,
                whisper: given.whisper()?,
                accept: given.accept()?,
                holds: match given.get("hold") {
                    None | Some("true") => true,
                    Some("false") => false,
                    Some(_) => return Err(TransferError::Hold),
                },
            },
            Kind::Agent if is_name(destination.strip_prefix(QUEUE).unwrap_or(destination)) => {
                let name = destination.to_owned();
                Destination::Agent { name, variables: given.variables() }
            }
            Kind::Agent => return Err(TransferError::Agent),
        };
        let other_call = match &to {
            Destination::Call(id) => Some(*id),
            _ => None,
        };
        // A URL may have a secret in it.
        let is_url = matches!(&to, Destination::Warm { whisper: Whisper::Url(_), .. });
        let mut options = options;
        options.retain(|(name, _)| !(is_url && name == "whisper"));
        let aim = Aim { destination: destination.to_owned(), other_call, options };
        Ok(Self { to, limit, stay, headers, aim })
    }
}

impl Destination {
    fn read(text: &str) -> Result<Self, TransferError> {
        use crate::sip::core::uri::{Scheme, Uri};
        if let Ok(uri) = Uri::parse(text) {
            return match uri.scheme {
                Scheme::Sip | Scheme::Sips | Scheme::Tel if uri.headers.is_none() => {
                    Ok(Self::Uri(text.to_owned()))
                }
                _ => Err(TransferError::Destination),
            };
        }
        // RFC 3261 25.1: what a user part may hold without escapes, less what no number or
        // extension has.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()+#".contains(&byte);
        if text.is_empty() || !text.bytes().all(fits) {
            return Err(TransferError::Destination);
        }
        Ok(Self::User(text.replace('#', "%23")))
    }
}
