//! Our registration with a provider (RFC 3261 10.2), without I/O: when to send which REGISTER, and
//! what its answer means.
//!
//! The owner sends what [`Registration::handle_timeout`] gives by
//! [`Endpoint::request`](super::endpoint::Endpoint::request), which answers challenges, and hands
//! back what came of it.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use media::time::MonoTime;

use super::auth::{Account, DigestClient};
use super::endpoint::{Flow, RequestParams};
use super::headers::{HeaderName, NameAddr};
use super::message::Message;
use super::method::Method;

/// Share of the granted time after which the registration is refreshed, in percent.
pub const REFRESH_PERCENT: u32 = 75;
/// The wait after the first failure.
pub const BACKOFF_MIN: Duration = Duration::from_secs(2);
/// The longest wait after failures.
pub const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// The longest wait that Retry-After may ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// The longest time that is asked for because of a Min-Expires, in seconds.
pub const EXPIRES_MAX_S: u32 = 86_400;
/// The shortest granted time that is taken at its word, in seconds.
const GRANTED_MIN_S: u32 = 10;
/// Hops of a Service-Route that are kept.
const SERVICE_ROUTES_MAX: usize = 8;

/// What is registered with whom.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The registrar's URI: the domain.
    pub registrar: String,
    /// The address of record.
    pub aor: String,
    /// User of our Contact: by it, calls of this registration are known.
    pub contact_user: String,
    /// How long we ask for, in seconds.
    pub expires_s: u32,
    /// Who we are.
    pub account: Arc<Account>,
}

/// Where a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not registered; will be tried.
    Waiting,
    /// The provider knows where we are.
    Registered,
    /// Refused for good: with credentials or addresses that it does not accept, trying again would
    /// only look like guessing.
    Refused,
    /// We left, or never came.
    Left,
}

/// What an answer changed, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Registered, for so long.
    Registered(Duration),
    /// Not this time; it will be tried again after so long. The status, if there was an answer.
    Failed(Option<u16>, Duration),
    /// Refused for good.
    Refused(u16),
    /// Deregistered, or no answer while leaving.
    Left,
}

/// A registration.
pub struct Registration {
    settings: Settings,
    state: State,
    expires_s: u32,
    call_id: String,
    cseq: u32,
    auth: Option<Box<DigestClient>>,
    /// A REGISTER is under way.
    pending: bool,
    leaving: bool,
    /// The REGISTER under way removes our contact.
    removing: bool,
    due: MonoTime,
    expires_at: MonoTime,
    failures: u32,
    service_routes: Vec<String>,
    random: u64,
}

impl Registration {
    /// A registration that begins now. `call_id` and `seed` are random.
    pub fn new(settings: Settings, call_id: String, seed: u64) -> Self {
        let auth = Some(Box::new(DigestClient::new(Arc::clone(&settings.account))));
        Self {
            expires_s: settings.expires_s,
            settings,
            state: State::Waiting,
            call_id,
            cseq: 0,
            auth,
            pending: false,
            leaving: false,
            removing: false,
            due: MonoTime::from_nanos(0),
            expires_at: MonoTime::from_nanos(0),
            failures: 0,
            service_routes: Vec::new(),
            random: seed | 1,
        }
    }

    /// What is registered.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where it stands at `now`: what has expired is not registered, whatever we hope for.
    pub fn state(&self, now: MonoTime) -> State {
        match self.state {
            State::Registered if now >= self.expires_at => State::Waiting,
            state => state,
        }
    }

    /// The route that calls take (RFC 3608): values of Route, the first hop first.
    pub fn service_routes(&self) -> &[String] {
        &self.service_routes
    }

    /// When [`Registration::handle_timeout`] is due; [`MonoTime::MAX`] for never.
    pub const fn deadline(&self) -> MonoTime {
        if self.pending { MonoTime::MAX } else { self.due }
    }

    /// The REGISTER that is due, to be sent over `flow`.
    pub fn handle_timeout(&mut self, now: MonoTime, flow: Flow) -> Option<RequestParams> {
        if now < self.deadline() {
            return None;
        }
        self.pending = true;
        self.removing = self.leaving;
        self.due = MonoTime::MAX;
        self.cseq = self.cseq.saturating_add(1);
        let expires_s = if self.leaving { 0 } else { self.expires_s };
        let address = format!("<{}>", self.settings.aor);
        Some(RequestParams {
            method: Method::Register,
            uri: self.settings.registrar.clone(),
            flow,
            from: address.clone(),
            to: address,
            call_id: Some(self.call_id.clone()),
            cseq: self.cseq,
            contact_user: Some(self.settings.contact_user.clone()),
            contact_params: format!(";expires={expires_s}"),
            headers: vec![
                (HeaderName::Expires, expires_s.to_string()),
                (HeaderName::Supported, "path".to_owned()),
            ],
            auth: self.auth.take(),
        })
    }

    /// The REGISTER could not even be sent.
    pub fn handle_unsent(&mut self, now: MonoTime) -> Outcome {
        self.pending = false;
        self.renew_auth();
        self.retry(now, None, None)
    }

    /// What came of the REGISTER.
    pub fn handle_response(
        &mut self,
        now: MonoTime,
        response: Option<&Message>,
        cseq: u32,
        auth: Option<Box<DigestClient>>,
    ) -> Outcome {
        self.pending = false;
        self.cseq = self.cseq.max(cseq);
        self.auth = auth;
        let status = response.and_then(Message::status);
        if self.leaving && !self.removing && matches!(status, Some(200..300)) {
            // It had crossed our wish to leave.
            self.due = now;
            return Outcome::Failed(status, Duration::ZERO);
        }
        if self.leaving {
            self.state = State::Left;
            self.due = MonoTime::MAX;
            return Outcome::Left;
        }
        match (status, response) {
            (Some(200..300), Some(response)) => self.registered(now, response),
            (Some(423), Some(response)) => self.too_brief(now, response),
            // RFC 3261 8.1.3.3: what may be different next time.
            (Some(408 | 480 | 500..=599) | None, _) => {
                let after = response.and_then(retry_after);
                self.retry(now, status, after)
            }
            (Some(status), _) => {
                self.state = State::Refused;
                self.due = MonoTime::MAX;
                self.service_routes.clear();
                Outcome::Refused(status)
            }
        }
    }

    /// The server that failed has another in its place: that one is asked at once.
    pub fn handle_other_server(&mut self, now: MonoTime) {
        let over = matches!(self.state, State::Refused | State::Left);
        if !self.pending && !over {
            self.due = now;
        }
    }

    /// The connection to the registrar broke: it cannot reach us any more, so we come again at
    /// once.
    pub fn handle_flow_broken(&mut self, now: MonoTime) {
        if self.state == State::Registered && !self.leaving {
            self.state = State::Waiting;
            self.due = now;
        }
    }

    /// We leave: calls are not to come here any more. Ends in [`State::Left`].
    pub fn leave(&mut self, now: MonoTime) {
        self.leaving = true;
        if self.state(now) == State::Registered || self.pending {
            self.due = now;
        } else {
            self.state = State::Left;
            self.due = MonoTime::MAX;
        }
    }

    fn registered(&mut self, now: MonoTime, response: &Message) -> Outcome {
        let granted = Duration::from_secs(self.granted_s(response).into());
        self.failures = 0;
        self.state = State::Registered;
        self.expires_at = now + granted;
        // Up to a tenth earlier, so that many registrations do not come at once.
        let share = granted * REFRESH_PERCENT / 100;
        self.due = now + share - share.mul_f64(self.fraction() / 10.0);
        self.service_routes = response
            .values(HeaderName::ServiceRoute)
            .take(SERVICE_ROUTES_MAX)
            .filter(|hop| NameAddr::parse(hop).is_ok())
            .map(str::to_owned)
            .collect();
        Outcome::Registered(granted)
    }

    /// The time that our Contact is kept (RFC 3261 10.2.4).
    fn granted_s(&self, response: &Message) -> u32 {
        let ours = |text: &&str| {
            NameAddr::parse(text)
                .ok()
                .and_then(|contact| contact.uri.user_decoded().map(|user| *user == *self.user()))
                .unwrap_or(false)
        };
        let contact = response.values(HeaderName::Contact).find(ours);
        let contact = contact.and_then(|text| NameAddr::parse(text).ok());
        let granted = contact
            .and_then(|contact| contact.params.get("expires")?.parse().ok())
            .or_else(|| response.header(HeaderName::Expires)?.parse().ok());
        granted.unwrap_or(self.expires_s).clamp(GRANTED_MIN_S, EXPIRES_MAX_S)
    }

    fn user(&self) -> &str {
        &self.settings.contact_user
    }

    /// Asks for longer, as the registrar wants (RFC 3261 10.2.8).
    fn too_brief(&mut self, now: MonoTime, response: &Message) -> Outcome {
        let min = response.header(HeaderName::MinExpires).and_then(|text| text.parse().ok());
        match min {
            Some(min) if min > self.expires_s && min <= EXPIRES_MAX_S => {
                self.expires_s = min;
                self.due = now;
                Outcome::Failed(Some(423), Duration::ZERO)
            }
            _ => self.retry(now, Some(423), None),
        }
    }

    /// Tries again later: twice as late after each failure, and not all at the same time.
    fn retry(&mut self, now: MonoTime, status: Option<u16>, after: Option<Duration>) -> Outcome {
        if self.leaving {
            self.state = State::Left;
            self.due = MonoTime::MAX;
            return Outcome::Left;
        }
        let doubled = BACKOFF_MIN * 2_u32.saturating_pow(self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        let backoff = doubled.min(BACKOFF_MAX).mul_f64(0.5 + self.fraction() / 2.0);
        let wait = backoff.max(after.unwrap_or_default().min(RETRY_AFTER_MAX));
        self.due = now + wait;
        self.state = if self.state(now) == State::Registered { self.state } else { State::Waiting };
        Outcome::Failed(status, wait)
    }

    fn renew_auth(&mut self) {
        if self.auth.is_none() {
            let account = Arc::clone(&self.settings.account);
            self.auth = Some(Box::new(DigestClient::new(account)));
        }
    }

    /// A number from 0 to 1 (xorshift: spreading in time needs no more).
    fn fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        f64::from(u32::try_from(self.random >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }
}

/// The wait that a failure asks for.
fn retry_after(response: &Message) -> Option<Duration> {
    let text = response.header(HeaderName::RetryAfter)?;
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}
