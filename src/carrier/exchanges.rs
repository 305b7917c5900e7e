//! Performs the operations of adapters.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use adapters::exchange::{CarrierError, HttpRequest, HttpResponse};
use adapters::op::{Moment, Op, Step};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use uuid::Uuid;

use super::Account;
use super::connect::{Connector, Reachable};
use super::pace::{Pace, REQUESTS, Turns};
use super::reverse::Tunnels;
use super::watch::Watch;
use crate::capture::Registry;
use crate::telemetry::{CarrierMetrics, ExchangeOutcome};
use crate::workers::poller::now;

/// How long one attempt may take, from the connection to the end of the answer, in milliseconds.
const ATTEMPT_MS: u64 = 10_000;
/// Longest body of an answer, in bytes.
const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Requests that one operation may take: lists have pages.
const STEPS_MAX: u32 = 200;
/// Pause before a second attempt where the carrier names none, in milliseconds; doubles.
const PAUSE_MS: u64 = 250;
/// Longest pause that a carrier may ask for within an operation, in seconds.
const PAUSE_S_MAX: u32 = 30;
/// Connections to one host that wait for the next request.
const IDLE_MAX: usize = 16;
/// How long they do, in milliseconds.
const IDLE_MS: u64 = 50_000;

/// What an operation that places calls is called: carriers have rates of their own for those.
pub const ORIGINATE: &str = "originate";

/// How hard an operation is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Attempts at each request.
    pub attempts: u32,
    /// How long the whole may take.
    pub within: Duration,
}

impl Patience {
    /// Somebody waits for the outcome.
    pub const SHORT: Self = Self { attempts: 2, within: Duration::from_secs(12) };
    /// The answer is of use now or not at all.
    pub const BRIEF: Self = Self { attempts: 1, within: Duration::from_secs(5) };
    /// It has to be done, however long that takes.
    pub const LONG: Self = Self { attempts: 5, within: Duration::from_secs(120) };
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// Why.
    pub error: CarrierError,
    /// A request that changes something got no answer that tells whether it was carried out: it
    /// must not be made again by another way.
    pub perhaps_done: bool,
}

impl From<CarrierError> for Failure {
    fn from(error: CarrierError) -> Self {
        Self { error, perhaps_done: false }
    }
}

/// What became of one attempt.
enum Attempt {
    Answered(HttpResponse),
    /// The request did not reach the carrier.
    NotSent,
    /// It may have.
    NoAnswer,
    /// The answer is longer than any may be.
    TooLong,
}

/// Asks carriers. Clones share connections and rates.
#[derive(Clone)]
pub struct Exchanges {
    client: Client<Connector, Full<Bytes>>,
    connector: Connector,
    pace: Arc<Mutex<Pace>>,
    metrics: Arc<CarrierMetrics>,
    tunnels: Tunnels,
    /// The captured call that is asked for.
    watch: Option<Watch>,
}

impl std::fmt::Debug for Exchanges {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchanges").finish_non_exhaustive()
    }
}

impl Exchanges {
    /// Asks what is `reachable`. Call it within the runtime that will perform.
    pub fn new(reachable: Reachable, metrics: Arc<CarrierMetrics>) -> Self {
        let connector = Connector::new(reachable);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(IDLE_MS))
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector.clone());
        let (pace, tunnels) = (Arc::default(), Tunnels::default());
        Self { client, connector, pace, metrics, tunnels, watch: None }
    }

    /// The same, on behalf of a captured call: what is asked is put among its messages.
    #[must_use]
    pub fn of_call(&self, call: Uuid, captures: &Arc<Mutex<Registry>>) -> Self {
        let watch = Some(Watch { call, captures: Arc::clone(captures) });
        Self { watch, ..self.clone() }
    }

    /// The sockets that carriers open, over which some are asked.
    pub fn tunnels(&self) -> Tunnels {
        self.tunnels.clone()
    }

    /// What makes its connections.
    pub(super) fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// Performs an operation to its end. `what` names it in the log.
    ///
    /// # Errors
    ///
    /// Why it failed, and whether it may have been carried out all the same.
    pub async fn run<T>(
        &self,
        account: &Account,
        what: &'static str,
        mut op: Box<dyn Op<T>>,
        patience: Patience,
    ) -> Result<T, Failure> {
        let until = Instant::now() + patience.within;
        let (mut answer, mut perhaps_done) = (None, false);
        for _ in 0..STEPS_MAX {
            match op.next(answer.take()) {
                Step::Done(done) => return Ok(done),
                Step::Fail(error) => return Err(Failure { error, perhaps_done }),
                Step::Send(request) => {
                    let changes = !request.repeatable;
                    let response = self.exchange(account, what, request, patience, until).await?;
                    // A server that failed may have done so after the deed; one that says yes in
                    // words that make no sense has done something.
                    let status = response.status;
                    perhaps_done = changes && (status.is_server_error() || status.is_success());
                    answer = Some(response);
                }
            }
        }
        Err(CarrierError::Answer("it has no end").into())
    }

    /// Sends one request, again if that does no harm, and yields the answer, whatever its status.
    ///
    /// # Errors
    ///
    /// If there was no answer.
    pub async fn exchange(
        &self,
        account: &Account,
        what: &'static str,
        request: HttpRequest,
        patience: Patience,
        until: Instant,
    ) -> Result<HttpResponse, Failure> {
        let delay = Duration::from_millis(request.delay_ms.into());
        if !delay.is_zero() {
            if Instant::now() + delay >= until {
                return Err(CarrierError::TooMany { retry_after_s: None }.into());
            }
            tokio::time::sleep(delay).await;
        }
        let mut pause = Duration::from_millis(PAUSE_MS);
        let mut attempt = 1;
        loop {
            self.turn(account, what, until).await?;
            let began = Instant::now();
            let outcome = self.attempt(account, request.clone(), until).await?;
            self.note(account, what, &outcome, began.elapsed());
            let last = attempt >= patience.attempts;
            let wait = match &outcome {
                Attempt::TooLong => return Err(CarrierError::Answer("too long").into()),
                Attempt::Answered(answer) => match wanted_pause(answer, request.repeatable) {
                    Some(wait) if !last => wait.unwrap_or(pause),
                    _ => return answered(outcome),
                },
                Attempt::NotSent if !last => pause,
                Attempt::NoAnswer if !last && request.repeatable => pause,
                Attempt::NotSent => return Err(CarrierError::Unavailable.into()),
                Attempt::NoAnswer => {
                    let perhaps_done = !request.repeatable;
                    return Err(Failure { error: CarrierError::Unavailable, perhaps_done });
                }
            };
            if Instant::now() + wait >= until {
                return answered(outcome);
            }
            // Who was refused together shall not come again together.
            let wait = wait + pause.mul_f64(fastrand::f64());
            if matches!(&outcome, Attempt::Answered(answer) if answer.status.as_u16() == 429) {
                let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
                pace.quiet((account.id, Turns::All), now() + wait);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
            attempt += 1;
        }
    }

    /// Waits for the configuration's turn.
    async fn turn(
        &self,
        account: &Account,
        what: &'static str,
        until: Instant,
    ) -> Result<(), Failure> {
        let limits = &account.spec.limits;
        let wait = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            let each = limits.requests.unwrap_or(REQUESTS);
            let wait = pace.turn((account.id, Turns::All), each, now());
            match limits.originate.filter(|_| what == ORIGINATE) {
                Some(calls) => wait.max(pace.turn((account.id, Turns::Calls), calls, now())),
                None => wait,
            }
        };
        if Instant::now() + wait >= until {
            return Err(CarrierError::TooMany { retry_after_s: None }.into());
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    async fn attempt(
        &self,
        account: &Account,
        mut wanted: HttpRequest,
        until: Instant,
    ) -> Result<Attempt, Failure> {
        let left = until.saturating_duration_since(Instant::now());
        let limit = left.min(Duration::from_millis(ATTEMPT_MS));
        if let Some(authorize) = account.spec.authorize {
            authorize(&account.config, &moment()?, &mut wanted)?;
        }
        let asked = self.watch.as_ref().and_then(|watch| watch.asks(account, &wanted));
        let reverse = account.spec.events.and_then(|events| events.reverse);
        let over_socket = reverse.is_some_and(|reverse| (reverse.wanted)(&account.config));
        let exchange = async {
            if over_socket {
                return self.over_socket(account.id, wanted).await;
            }
            let Some(request) = written(wanted) else { return Attempt::NotSent };
            let response = match self.client.request(request).await {
                Ok(response) => response,
                Err(error) if error.is_connect() => return Attempt::NotSent,
                Err(_) => return Attempt::NoAnswer,
            };
            let (head, body) = response.into_parts();
            match Limited::new(body, RESPONSE_BYTES_MAX).collect().await {
                Ok(body) => Attempt::Answered(HttpResponse {
                    status: head.status,
                    headers: head.headers,
                    body: body.to_bytes(),
                }),
                Err(error) if error.is::<http_body_util::LengthLimitError>() => Attempt::TooLong,
                Err(_) => Attempt::NoAnswer,
            }
        };
        let outcome = tokio::time::timeout(limit, exchange).await.unwrap_or(Attempt::NoAnswer);
        if let (Some(watch), Some(asked), Attempt::Answered(answer)) =
            (&self.watch, &asked, &outcome)
        {
            watch.hears(asked, answer);
        }
        Ok(outcome)
    }

    /// The same over the socket that the carrier has opened.
    async fn over_socket(&self, configuration: Uuid, wanted: HttpRequest) -> Attempt {
        let Some(answer) = self.tunnels.ask(configuration, wanted) else {
            return Attempt::NotSent;
        };
        answer.await.map_or(Attempt::NoAnswer, Attempt::Answered)
    }

    fn note(&self, account: &Account, what: &'static str, outcome: &Attempt, took: Duration) {
        let (word, status) = match outcome {
            Attempt::Answered(answer) => (ExchangeOutcome::of(answer.status), Some(answer.status)),
            Attempt::NotSent => (ExchangeOutcome::Unreached, None),
            Attempt::NoAnswer | Attempt::TooLong => (ExchangeOutcome::Unanswered, None),
        };
        self.metrics.exchanged(account.spec.name, word, took);
        let status = status.map(|status| status.as_u16());
        let (provider, configuration) = (account.spec.name, account.id);
        let outcome = word.as_str();
        if word == ExchangeOutcome::Done {
            tracing::debug!(provider, %configuration, what, status, ?took, "carrier asked");
        } else {
            tracing::info!(provider, %configuration, what, outcome, status, ?took, "carrier asked");
        }
    }
}

/// The last attempt as the outcome of all.
fn answered(outcome: Attempt) -> Result<HttpResponse, Failure> {
    match outcome {
        Attempt::Answered(answer) => Ok(answer),
        Attempt::NotSent | Attempt::NoAnswer | Attempt::TooLong => {
            Err(CarrierError::Unavailable.into())
        }
    }
}

/// How long to wait before the request is made again; none if it is not to be.
fn wanted_pause(answer: &HttpResponse, repeatable: bool) -> Option<Option<Duration>> {
    let again = match answer.status.as_u16() {
        // Nothing was done.
        429 => true,
        408 | 500.. => repeatable,
        _ => false,
    };
    let asked = answer.retry_after_s();
    let bearable = asked.is_none_or(|seconds| seconds <= PAUSE_S_MAX);
    (again && bearable).then(|| asked.map(|seconds| Duration::from_secs(seconds.into())))
}

/// When a request is sent, and what no other has.
fn moment() -> Result<Moment, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| CarrierError::Config("no randomness"))?;
    Ok(Moment { unix_s: since.as_secs(), random })
}

fn written(wanted: HttpRequest) -> Option<Request<Full<Bytes>>> {
    let mut request = Request::builder()
        .method(wanted.method)
        .uri(wanted.url)
        .body(Full::new(wanted.body))
        .ok()?;
    *request.headers_mut() = wanted.headers;
    let agent = concat!("talkpath/", env!("CARGO_PKG_VERSION"));
    let agent = http::HeaderValue::from_static(agent);
    request.headers_mut().entry(header::USER_AGENT).or_insert(agent);
    Some(request)
}
