//! Session timers (RFC 4028): whether the other end still lives.
//!
//! A value without clock and messages of its own: what a message says goes in, and so does the
//! time; header fields, deadlines and what is due come out.

use std::time::Duration;

use media::time::MonoTime;

use super::headers::{HeaderName, Params};
use super::message::Message;

/// The option tag (RFC 4028 10).
pub const TIMER: &str = "timer";
/// Session interval that is asked for, unless configured, in seconds (RFC 4028 4).
pub const INTERVAL_S: u32 = 1800;
/// Shortest session interval that may be demanded, in seconds (RFC 4028 5).
pub const MIN_SE_S: u32 = 90;
/// Longest session interval that is taken, in seconds: a day.
pub const INTERVAL_MAX_S: u32 = 86_400;
/// The Reason of a BYE to a peer that did not refresh: recovery on timer expiry (Q.850 2.2.7.5).
pub const EXPIRED_REASON: &str = "Q.850;cause=102;text=\"session_expired\"";
/// By how much the end of a session is noticed early, at most (RFC 4028 10).
const EARLY_MAX: Duration = Duration::from_secs(32);
/// Shortest pause before a refresh is tried again.
const RETRY_MIN: Duration = Duration::from_secs(1);
/// Longest pause before a refresh is tried again.
const RETRY_MAX: Duration = Duration::from_secs(30);

/// What this side wants of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerConfig {
    /// Session interval that is asked for, in seconds.
    pub interval_s: u32,
    /// Shortest session interval that is accepted, in seconds; 90 at least.
    pub min_s: u32,
}

impl Default for TimerConfig {
    fn default() -> Self {
        Self { interval_s: INTERVAL_S, min_s: MIN_SE_S }
    }
}

/// Who refreshes, by the part played in the request that says so (RFC 4028 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresher {
    /// The sender of the request.
    Uac,
    /// Its receiver.
    Uas,
}

impl Refresher {
    /// The parameter's value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Uac => "uac",
            Self::Uas => "uas",
        }
    }
}

/// What a request or a response says of the session timer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The sender has the extension.
    pub supported: bool,
    /// Session-Expires, in seconds.
    pub interval_s: Option<u32>,
    /// Who is to refresh.
    pub refresher: Option<Refresher>,
    /// Min-SE, in seconds; 0 without.
    pub min_s: u32,
}

impl Terms {
    /// Reads a message. Fields that cannot be read are taken as absent.
    pub fn read(message: &Message) -> Self {
        let lists =
            |name| message.values(name).any(|tag: &str| tag.trim().eq_ignore_ascii_case(TIMER));
        let expires = message.header(HeaderName::SessionExpires).and_then(split);
        Self {
            supported: lists(HeaderName::Supported) || lists(HeaderName::Require),
            interval_s: expires.map(|(seconds, _)| seconds),
            refresher: expires.and_then(|(_, params)| match params.get("refresher") {
                Some(text) if text.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
                Some(text) if text.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
                _ => None,
            }),
            min_s: message
                .header(HeaderName::MinSe)
                .and_then(split)
                .map_or(0, |(seconds, _)| seconds),
        }
    }
}

/// Seconds and parameters of a value such as `1800;refresher=uac`.
fn split(value: &str) -> Option<(u32, Params<'_>)> {
    let at = value.find(';').unwrap_or(value.len());
    let (seconds, params) = value.split_at_checked(at)?;
    let seconds = seconds.trim();
    if seconds.is_empty() || !seconds.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // What exceeds the type exceeds every limit as well.
    let seconds = seconds.parse().unwrap_or(u32::MAX);
    Some((seconds, Params::parse(params).unwrap_or_default()))
}

/// What a 2xx grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The session interval, in seconds.
    pub interval_s: u32,
    /// Who refreshes.
    pub refresher: Refresher,
    /// The peer has the extension, so that it may be required.
    supported: bool,
}

impl Grant {
    /// The fields of the 2xx (RFC 4028 9). Who is to refresh must know how.
    pub fn headers(&self) -> impl Iterator<Item = (HeaderName, String)> {
        let value = format!("{};refresher={}", self.interval_s, self.refresher.as_str());
        let required = self.supported && self.refresher == Refresher::Uac;
        let require = required.then(|| (HeaderName::Require, TIMER.to_owned()));
        require.into_iter().chain([(HeaderName::SessionExpires, value)])
    }
}

/// A session interval that is too short; what must be said in Min-SE of the 422.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("session interval is too short; {min_s} s are accepted")]
pub struct TooShort {
    /// The shortest interval, in seconds.
    pub min_s: u32,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// This side refreshes now.
    Refresh,
    /// Nobody has refreshed: the session is over.
    Expired,
}

/// The session timer of one dialog, from the local view.
#[derive(Clone, Copy, Debug)]
pub struct SessionTimer {
    /// The session interval in seconds; 0 while there is none.
    interval_s: u32,
    /// The largest Min-SE that was heard, in seconds (RFC 4028 7.3).
    min_s: u32,
    /// This side refreshes.
    ours: bool,
    refresh_at: MonoTime,
    expire_at: MonoTime,
}

impl Default for SessionTimer {
    fn default() -> Self {
        Self {
            interval_s: 0,
            min_s: 0,
            ours: false,
            refresh_at: MonoTime::MAX,
            expire_at: MonoTime::MAX,
        }
    }
}

impl SessionTimer {
    /// When [`SessionTimer::handle_timeout`] is due; [`MonoTime::MAX`] for never.
    pub fn deadline(&self) -> MonoTime {
        self.refresh_at.min(self.expire_at)
    }

    /// The session interval in seconds; none while the session does not expire.
    pub const fn interval_s(&self) -> Option<u32> {
        if self.interval_s == 0 { None } else { Some(self.interval_s) }
    }

    /// Whether this side refreshes.
    pub const fn is_ours(&self) -> bool {
        self.ours
    }

    /// The fields of a request that opens or refreshes the session (RFC 4028 7.1, 7.4). The parts
    /// stay as they are; at first it is left to the peer who refreshes.
    pub fn request_headers(&self, config: &TimerConfig) -> [Option<(HeaderName, String)>; 2] {
        let min_s = self.min_s.max(config.min_s).max(MIN_SE_S);
        let value = if self.interval_s == 0 {
            config.interval_s.max(min_s).to_string()
        } else {
            let part = if self.ours { Refresher::Uac } else { Refresher::Uas };
            format!("{};refresher={}", self.interval_s.max(min_s), part.as_str())
        };
        // Without Min-SE 90 s are meant (RFC 4028 5).
        let min = (min_s > MIN_SE_S).then(|| (HeaderName::MinSe, min_s.to_string()));
        [Some((HeaderName::SessionExpires, value)), min]
    }

    /// What a 2xx to a request with these `asked` terms says (RFC 4028 9): nothing if the peer did
    /// not ask and would not understand.
    ///
    /// # Errors
    /// [`TooShort`] if the request is to be refused with 422.
    pub fn grant(&self, config: &TimerConfig, asked: &Terms) -> Result<Option<Grant>, TooShort> {
        let min_s = config.min_s.max(MIN_SE_S);
        let most_s = config.interval_s.max(min_s).max(asked.min_s).min(INTERVAL_MAX_S);
        let interval_s = match asked.interval_s {
            // A peer without the extension would not understand the 422 (RFC 4028 9).
            Some(seconds) if seconds < min_s && asked.supported => return Err(TooShort { min_s }),
            Some(seconds) => seconds.min(most_s).max(MIN_SE_S),
            None if asked.supported => most_s,
            None => return Ok(None),
        };
        let refresher = match (asked.supported, asked.refresher) {
            (false, _) => Refresher::Uas,
            (true, Some(refresher)) => refresher,
            (true, None) if self.interval_s != 0 && self.ours => Refresher::Uas,
            (true, None) => Refresher::Uac,
        };
        Ok(Some(Grant { interval_s, refresher, supported: asked.supported }))
    }

    /// Our 2xx goes out with this grant; without one the session does not expire any more.
    pub fn granted(&mut self, now: MonoTime, grant: Option<Grant>) {
        match grant {
            Some(grant) => self.start(now, grant.interval_s, grant.refresher == Refresher::Uas),
            None => self.stop(),
        }
    }

    /// A 2xx to a request of ours came (RFC 4028 7.2).
    pub fn answered(&mut self, now: MonoTime, said: &Terms) {
        match said.interval_s {
            Some(seconds) => {
                let seconds = seconds.clamp(MIN_SE_S, INTERVAL_MAX_S);
                self.start(now, seconds, said.refresher != Some(Refresher::Uas));
            }
            None => self.stop(),
        }
    }

    /// A 422 to a request of ours came (RFC 4028 7.3). False if it names no longer interval than
    /// was asked for already, or one that nobody can mean: then there is no point in asking again.
    pub fn too_short(&mut self, said: &Terms) -> bool {
        let more = said.min_s > self.min_s && said.min_s <= INTERVAL_MAX_S;
        if more {
            self.min_s = said.min_s;
        }
        more
    }

    /// The refresh of this side failed or could not be sent: it is tried again, ever sooner, until
    /// the session is over (RFC 4028 10).
    pub fn refresh_failed(&mut self, now: MonoTime) {
        if self.expire_at == MonoTime::MAX || !self.ours {
            return;
        }
        let pause = (self.expire_at.since(now) / 2).clamp(RETRY_MIN, RETRY_MAX);
        self.refresh_at = now + pause;
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: MonoTime) -> Option<Due> {
        if now >= self.expire_at {
            self.stop();
            return Some(Due::Expired);
        }
        if now >= self.refresh_at {
            self.refresh_at = MonoTime::MAX;
            return Some(Due::Refresh);
        }
        None
    }

    /// The session does not expire any more, or is over.
    pub const fn stop(&mut self) {
        self.interval_s = 0;
        self.refresh_at = MonoTime::MAX;
        self.expire_at = MonoTime::MAX;
    }

    fn start(&mut self, now: MonoTime, interval_s: u32, ours: bool) {
        let interval = Duration::from_secs(u64::from(interval_s));
        self.interval_s = interval_s;
        self.ours = ours;
        self.refresh_at = if ours { now + interval / 2 } else { MonoTime::MAX };
        self.expire_at = now + (interval - (interval / 3).min(EARLY_MAX));
    }
}

#[cfg(test)]
mod tests;
