//! A transfer that we asked the peer for (REFER), without I/O: what the peer says and time go in,
//! what is to be told and done comes out.
//!
//! The call goes on until the transfer has succeeded; if it fails, caller and agent talk on.

use std::time::Duration;

use media::time::MonoTime;
use uuid::Uuid;

use crate::quota::destination::Undialled;

use super::cause::Cause;
use crate::sip::core::custom::CustomError;

/// How long a peer that took the REFER may keep silent about what comes of it.
pub const NEWS_LIMIT: Duration = Duration::from_secs(30);
/// How long a leg that is to take the agent's place may ring, unless the agent says.
pub const BRIDGE_LIMIT: Duration = Duration::from_secs(60);
/// How long a transfer may take from the request to its outcome, unless the agent says.
pub const OUTCOME_LIMIT: Duration = Duration::from_secs(185);
/// Longest time that an agent may give a transfer.
pub const OUTCOME_LIMIT_MAX: Duration = Duration::from_secs(600);
/// How long the peer may take to hang up after it was transferred; then we do.
pub const RELEASE_LIMIT: Duration = Duration::from_secs(2);
/// The same of a peer that took the REFER but will tell nothing of it (RFC 4488).
pub const UNTOLD_LIMIT: Duration = Duration::from_secs(5);

/// A transfer as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Whom to.
    pub to: Destination,
    /// How long it may take.
    pub limit: Duration,
    /// Header fields to add to the REFER.
    pub headers: Vec<(String, String)>,
}

/// A transfer that we carry out ourselves: whom we call.
#[derive(Clone, PartialEq, Eq)]
pub struct Bridge {
    /// A SIP URI, the name of a user, or a number.
    pub to: String,
    /// Name of the trunk.
    pub trunk: Option<String>,
    /// User part of our From.
    pub from: Option<String>,
    /// How long it may ring.
    pub limit: Duration,
}

/// Without the numbers.
impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { trunk, limit, .. } = self;
        f.debug_struct("Bridge").field("trunk", trunk).field("limit", limit).finish_non_exhaustive()
    }
}

/// Whom a call is handed to.
#[derive(Clone, PartialEq, Eq)]
pub enum Destination {
    /// A URI.
    Uri(String),
    /// A number or user at the peer.
    User(String),
    /// The peer of another of our calls, in our place.
    Call(Uuid),
    /// Somebody whom we call.
    Bridge(Bridge),
}

/// Without the destination: it is somebody's number.
impl std::fmt::Debug for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Uri(_) => "Uri",
            Self::User(_) => "User",
            Self::Call(_) => "Call",
            Self::Bridge(_) => "Bridge",
        })
    }
}

/// Why a transfer is not even tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Neither "blind", "attended" nor "bridge".
    #[error("kind: is neither \"blind\", \"attended\" nor \"bridge\"")]
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
    #[error("options.trunk: names no trunk with targets, and the call came by none")]
    Trunk,
    /// Not a number of seconds from 1 to 600.
    #[error("options.timeout_s: is not a number from 1 to 600")]
    Timeout,
    /// A header field may not be added.
    #[error("headers: {0}")]
    Headers(CustomError),
    /// The call, or the one it is to be joined with, is not answered.
    #[error("the call is not answered")]
    NotAnswered,
    /// Another transfer of the call is under way.
    #[error("another transfer of the call is under way")]
    Busy,
    /// The REFER could not be sent.
    #[error("no room for another request")]
    Full,
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
            Self::Headers(_) => "bad_headers",
            Self::NotAnswered => "bad_state",
            Self::Busy => "busy_transferring",
            Self::Full => "congestion",
        }
    }
}

impl Wish {
    /// Reads what an agent or the API asks for. Options that are not known are ignored.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(
        kind: &str,
        destination: &str,
        options: &[(String, String)],
        headers: Vec<(String, String)>,
    ) -> Result<Self, TransferError> {
        let option = |name: &str| {
            options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        let limit = match option("timeout_s") {
            None => OUTCOME_LIMIT,
            Some(text) => match text.parse().map(Duration::from_secs) {
                Ok(limit) if !limit.is_zero() && limit <= OUTCOME_LIMIT_MAX => limit,
                _ => return Err(TransferError::Timeout),
            },
        };
        let to = match kind {
            "blind" => Destination::read(destination)?,
            "attended" => {
                let id = option("call_id").and_then(|id| id.parse().ok());
                Destination::Call(id.ok_or(TransferError::CallId)?)
            }
            "bridge" => {
                // Read for what is wrong with it; a trunk puts the number into a URI of its own.
                Destination::read(destination)?;
                let limit = option("timeout_s").map_or(BRIDGE_LIMIT, |_| limit);
                let text = |name| option(name).map(str::to_owned);
                let (trunk, from) = (text("trunk"), text("from"));
                Destination::Bridge(Bridge { to: destination.to_owned(), trunk, from, limit })
            }
            _ => return Err(TransferError::Kind),
        };
        Ok(Self { to, limit, headers })
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

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The peer answered the REFER.
    Answered {
        /// 200 to 699.
        status: u16,
        /// It will tell what comes of it.
        subscribed: bool,
    },
    /// The peer tells how its call goes.
    Progress {
        /// The status that it got, if it said one.
        status: Option<u16>,
        /// It will tell nothing more.
        last: bool,
    },
    /// Look at the time.
    Timeout,
}

/// What must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell whoever asked: a state, and why if it is "failed".
    Tell(&'static str, Option<&'static str>),
    /// Hang up on the peer: it talks with somebody else now.
    Release,
    /// Forget the transfer; the call goes on.
    Forget,
}

/// How far it is; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Requested,
    Accepted,
    Trying,
    Ringing,
    Answered,
    Over,
}

impl Stage {
    const fn word(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Accepted => "accepted",
            Self::Trying => "trying",
            Self::Ringing => "ringing",
            Self::Answered => "answered",
            Self::Over => "failed",
        }
    }
}

/// One transfer.
#[derive(Debug)]
pub struct Transfer {
    stage: Stage,
    /// When the outcome must be known.
    outcome_by: MonoTime,
    /// When the stage has lasted too long.
    stage_by: MonoTime,
}

impl Transfer {
    /// A transfer whose REFER has just been sent.
    pub fn start(now: MonoTime, limit: Duration, effects: &mut Vec<Effect>) -> Self {
        effects.push(Effect::Tell(Stage::Requested.word(), None));
        Self { stage: Stage::Requested, outcome_by: now + limit, stage_by: MonoTime::MAX }
    }

    /// When [`Input::Timeout`] is due.
    pub fn deadline(&self) -> MonoTime {
        self.outcome_by.min(self.stage_by)
    }

    /// Whether a peer that hangs up now does so because it was transferred: it took the REFER.
    /// Many say BYE instead of telling the outcome.
    pub fn explains_bye(&self) -> bool {
        self.stage >= Stage::Accepted && self.stage < Stage::Over
    }

    /// Takes a fact; what must be done about it is appended to `effects`.
    pub fn handle(&mut self, now: MonoTime, input: Input, effects: &mut Vec<Effect>) {
        if self.stage >= Stage::Answered && input != Input::Timeout {
            return;
        }
        match input {
            Input::Answered { status, subscribed } => {
                self.answered(now, status, subscribed, effects);
            }
            Input::Progress { status, last } => self.progress(now, status, last, effects),
            Input::Timeout => self.timeout(now, effects),
        }
    }

    fn answered(
        &mut self,
        now: MonoTime,
        status: u16,
        subscribed: bool,
        effects: &mut Vec<Effect>,
    ) {
        match status {
            // A NOTIFY may have overtaken it (RFC 3515 2.4.4).
            200..300 if self.stage > Stage::Requested => {}
            200..300 => {
                self.reach(Stage::Accepted, effects);
                self.stage_by = now + if subscribed { NEWS_LIMIT } else { UNTOLD_LIMIT };
                if !subscribed {
                    self.outcome_by = MonoTime::MAX;
                }
            }
            405 | 420 | 501 => self.fail("not_supported", effects),
            408 => self.fail("no_response", effects),
            _ => self.fail(Cause::from_sip(status).as_str(), effects),
        }
    }

    fn progress(
        &mut self,
        now: MonoTime,
        status: Option<u16>,
        last: bool,
        effects: &mut Vec<Effect>,
    ) {
        // Told once, so it will tell more; the outcome is all that is waited for.
        self.stage_by = MonoTime::MAX;
        match status {
            Some(200..300) => {
                self.reach(Stage::Answered, effects);
                self.outcome_by = MonoTime::MAX;
                self.stage_by = now + RELEASE_LIMIT;
            }
            Some(300..) => self.fail(Cause::from_sip(status.unwrap_or(0)).as_str(), effects),
            _ if last => self.fail("no_outcome", effects),
            Some(101..200) => self.reach(Stage::Ringing, effects),
            Some(_) => self.reach(Stage::Trying, effects),
            None => {}
        }
    }

    fn timeout(&mut self, now: MonoTime, effects: &mut Vec<Effect>) {
        if now < self.deadline() {
            return;
        }
        let late = now >= self.outcome_by;
        match self.stage {
            Stage::Over => {}
            Stage::Answered => self.release(effects),
            // Nothing will be told: whoever takes a REFER so has taken the call over.
            Stage::Accepted if self.outcome_by == MonoTime::MAX => self.release(effects),
            _ => self.fail(if late { "timeout" } else { "no_news" }, effects),
        }
    }

    fn reach(&mut self, stage: Stage, effects: &mut Vec<Effect>) {
        if stage > self.stage {
            self.stage = stage;
            effects.push(Effect::Tell(stage.word(), None));
        }
    }

    fn release(&mut self, effects: &mut Vec<Effect>) {
        (self.outcome_by, self.stage_by) = (MonoTime::MAX, MonoTime::MAX);
        effects.push(Effect::Release);
    }

    fn fail(&mut self, cause: &'static str, effects: &mut Vec<Effect>) {
        self.stage = Stage::Over;
        (self.outcome_by, self.stage_by) = (MonoTime::MAX, MonoTime::MAX);
        effects.extend([Effect::Tell(self.stage.word(), Some(cause)), Effect::Forget]);
    }
}

#[cfg(test)]
mod tests;
