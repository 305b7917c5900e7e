//! Exchanges with a server that answers, refuses, fails, dawdles, breaks off and sends elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use adapters::chain::{Then, chain};
use adapters::config::RawConfig;
use adapters::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse};
use adapters::op::Op;
use adapters::table::PROVIDERS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use uuid::Uuid;

use super::*;
use crate::config::{Allowed, Cidr, Secret};
use crate::quota::Limits;
use crate::telemetry::CarrierMetrics;

/// What the server does with the requests that it gets, in turn; the last one again and again.
struct Server {
    at: SocketAddr,
    asked: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
enum Does {
    Answer(&'static str),
    /// Closes in the middle of an answer.
    BreakOff,
    /// Closes without a word.
    Close,
    /// Never answers.
    Dawdle,
    /// Answers with a body longer than any may be.
    Flood,
}

const OK: Does = Does::Answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
const FAIL: Does = Does::Answer("HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\n\r\n");

impl Server {
    async fn start(plan: &'static [Does]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (asked, connections) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let server = Self { at, asked: Arc::clone(&asked), connections: Arc::clone(&connections) };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let asked = Arc::clone(&asked);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).await.is_ok() {
                        head.push(byte[0]);
                        if !head.ends_with(b"\r\n\r\n") {
                            continue;
                        }
                        head.clear();
                        let number = asked.fetch_add(1, Ordering::SeqCst);
                        match plan[number.min(plan.len() - 1)] {
                            Does::Answer(answer) => {
                                stream.write_all(answer.as_bytes()).await.unwrap();
                            }
                            Does::BreakOff => {
                                let half = b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf";
                                return stream.write_all(half).await.unwrap();
                            }
                            Does::Close => return,
                            Does::Dawdle => std::future::pending().await,
                            Does::Flood => {
                                let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n";
                                stream.write_all(head).await.unwrap();
                                while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
                                return;
                            }
                        }
                    }
                });
            }
        });
        server
    }

    fn url(&self) -> String {
        format!("http://{}/v1/calls", self.at)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn account() -> Account {
    Account {
        id: Uuid::from_u128(1),
        organisation: Uuid::nil(),
        name: "test".into(),
        spec: PROVIDERS.iter().find(|spec| spec.authorize.is_none()).unwrap(),
        config: RawConfig::default(),
        token: Secret::new("token".into()),
        limits: Limits::default(),
        is_default: false,
    }
}

fn local() -> Exchanges {
    let loopback = Cidr::parse("127.0.0.0/8").unwrap();
    Exchanges::new(
        Reachable(Allowed::default().and(&[loopback])),
        Arc::new(CarrierMetrics::default()),
    )
}

fn read(answer: &HttpResponse) -> Result<usize, CarrierError> {
    CarrierError::from_status(answer, None).map_or(Ok(answer.body.len()), Err)
}

fn op(request: HttpRequest) -> Box<dyn Op<usize>> {
    Box::new(HttpExchange::new(request, read))
}

const QUICK: Patience = Patience { attempts: 3, within: Duration::from_secs(8) };

/// Asks for what may be repeated, and for what may not.
async fn both(plan: &'static [Does]) -> [(Result<usize, Failure>, usize); 2] {
    let mut outcomes = Vec::new();
    for repeatable in [true, false] {
        let server = Server::start(plan).await;
        let get = HttpRequest::get(server.url());
        let post = HttpRequest::post(server.url(), "text/plain", "");
        let request = if repeatable { get } else { post };
        let outcome = local().run(&account(), "test", op(request), QUICK).await;
        outcomes.push((outcome, server.asked()));
    }
    outcomes.try_into().unwrap()
}

fn failed(error: CarrierError, perhaps_done: bool) -> Result<usize, Failure> {
    Err(Failure { error, perhaps_done })
}

/// Connections are kept and used again.
#[tokio::test]
async fn connections_are_pooled() {
    let server = Server::start(&[OK]).await;
    let exchanges = local();
    for _ in 0..5 {
        let request = op(HttpRequest::get(server.url()));
        assert_eq!(exchanges.run(&account(), "test", request, QUICK).await, Ok(2));
    }
    assert_eq!((server.asked(), server.connections.load(Ordering::SeqCst)), (5, 1));
}

/// A server that fails is asked again for what may be repeated; of what may not be, nobody knows
/// whether it was done.
#[tokio::test]
async fn failures_are_repeated_where_that_does_no_harm() {
    let [repeated, once] = both(&[FAIL, FAIL, OK]).await;
    assert_eq!(repeated, (Ok(2), 3));
    assert_eq!(once, (failed(CarrierError::Unavailable, true), 1));
    for plan in [&[Does::Close, OK][..], &[Does::BreakOff, OK]] {
        let [repeated, once] = both(plan).await;
        assert_eq!(repeated, (Ok(2), 2));
        assert_eq!(once, (failed(CarrierError::Unavailable, true), 1));
    }
    let [repeated, _] = both(&[FAIL]).await;
    assert_eq!(repeated, (failed(CarrierError::Unavailable, false), 3));
}

/// Changes something, and then looks whether that was done.
async fn changes_and_looks(plan: &'static [Does]) -> Result<usize, Failure> {
    let server = Server::start(plan).await;
    let change = HttpRequest::post(server.url(), "text/plain", "");
    let look = HttpRequest::get(server.url());
    let op = chain(change, move |_| Ok(Then::send(look, |answer| read(&answer).map(Then::Done))));
    let patience = Patience { attempts: 1, ..QUICK };
    local().run(&account(), "test", op.unwrap(), patience).await
}

/// Something was perhaps done, and whoever looks is told that it was not, or cannot be told: only
/// the former may be done again.
#[tokio::test]
async fn what_was_perhaps_done_stays_so() {
    const NONE: Does = Does::Answer("HTTP/1.1 404 None\r\ncontent-length: 0\r\n\r\n");
    for change in [FAIL, OK] {
        let plan: &'static [Does] = Box::leak(Box::new([change, NONE]));
        assert_eq!(changes_and_looks(plan).await, failed(CarrierError::NotFound, false));
        for look in [FAIL, Does::Close, Does::BreakOff] {
            let plan: &'static [Does] = Box::leak(Box::new([change, look]));
            assert_eq!(changes_and_looks(plan).await, failed(CarrierError::Unavailable, true));
        }
    }
    assert_eq!(changes_and_looks(&[FAIL, OK]).await, Ok(2));
}

/// Who is told to come later comes then: nothing was done, so anything may be asked again. A wait
/// that is too long is told instead.
#[tokio::test]
async fn retry_after_is_kept() {
    const SLOW: Does =
        Does::Answer("HTTP/1.1 429 Too Many\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n");
    const NEVER: Does =
        Does::Answer("HTTP/1.1 429 Too Many\r\nretry-after: 3600\r\ncontent-length: 0\r\n\r\n");
    let began = Instant::now();
    let [repeated, once] = both(&[SLOW, OK]).await;
    assert_eq!((repeated, once), ((Ok(2), 2), (Ok(2), 2)));
    assert!(began.elapsed() >= Duration::from_secs(2));
    let [_, once] = both(&[NEVER, OK]).await;
    let told = CarrierError::TooMany { retry_after_s: Some(3_600) };
    assert_eq!(once, (failed(told, false), 1));
}

/// A request that is to be sent later is sent later; one for which it is too late then, never.
#[tokio::test]
async fn later_is_later() {
    let server = Server::start(&[OK]).await;
    let later = |ms| op(HttpRequest::get(server.url()).after_ms(ms));
    let began = Instant::now();
    assert_eq!(local().run(&account(), "test", later(300), QUICK).await, Ok(2));
    assert!(began.elapsed() >= Duration::from_millis(300));
    let late = local().run(&account(), "test", later(60_000), QUICK).await;
    let told = failed(CarrierError::TooMany { retry_after_s: None }, false);
    assert_eq!((late, server.asked()), (told, 1));
}

/// A redirection is not followed, a flood is cut off, a server that says nothing is given up in
/// time.
#[tokio::test]
async fn what_leads_astray() {
    const ELSEWHERE: Does = Does::Answer(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
    );
    let [redirected, _] = both(&[ELSEWHERE]).await;
    assert_eq!(redirected, (failed(CarrierError::Refused { status: 302, code: None }, false), 1));
    let [flooded, once] = both(&[Does::Flood]).await;
    assert_eq!(flooded, (failed(CarrierError::Answer("too long"), false), 1));
    assert_eq!(once, (failed(CarrierError::Answer("too long"), true), 1));
    let server = Server::start(&[Does::Dawdle]).await;
    let patience = Patience { attempts: 1, within: Duration::from_millis(300) };
    let post = op(HttpRequest::post(server.url(), "text/plain", ""));
    let given_up = local().run(&account(), "test", post, patience).await;
    assert_eq!(given_up, failed(CarrierError::Unavailable, true));
}

/// What cannot be reached was not done, and networks of our own are not reached.
#[tokio::test]
async fn what_is_not_reached() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{closed}/");
    let post = op(HttpRequest::post(url, "text/plain", ""));
    let outcome = local().run(&account(), "test", post, QUICK).await;
    assert_eq!(outcome, failed(CarrierError::Unavailable, false));
    let server = Server::start(&[OK]).await;
    let strict = Exchanges::new(Reachable::default(), Arc::new(CarrierMetrics::default()));
    let get = op(HttpRequest::get(server.url()));
    let outcome = strict.run(&account(), "test", get, QUICK).await;
    assert_eq!((outcome, server.asked()), (failed(CarrierError::Unavailable, false), 0));
}
