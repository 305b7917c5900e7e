//! A server that is killed at any moment loses nothing that it has acknowledged, on either
//! database.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::ports::Ports;
use support::server::{Server, folder};
use support::store::Schema;

/// Where configurations are.
const CONFIGURATIONS: &str = "/api/v1/organizations/telephony-configs";
/// How often the server is killed; `TALKPATH_TEST_KILLS` says otherwise.
const KILLS: u64 = 20;
/// The moments at which it is killed lie within this time.
const LIFE_MS: u64 = 600;
/// Of how many calls of a life it is asked again that they are placed.
const AGAIN: usize = 3;
/// How long webhooks may take to come once the server is left alone: one that was refused comes
/// again after some seconds.
const WEBHOOKS: Duration = Duration::from_secs(60);

/// What was acknowledged.
#[derive(Debug, Default)]
struct Acknowledged {
    calls: BTreeSet<String>,
    /// Some of the requests that placed them, by their `Idempotency-Key`, with the call.
    placed: BTreeMap<String, String>,
    subscriptions: BTreeSet<String>,
    configurations: BTreeMap<String, Written>,
}

/// How a configuration is as far as was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    /// Its name as it was acknowledged last.
    name: String,
    /// One that was sent since, and that nobody answered: it may hold or not.
    sent: Option<String>,
}

/// What came: bodies by the ids of their events, and the ids that were refused once.
#[derive(Default)]
struct Came {
    bodies: BTreeMap<String, Vec<Value>>,
    refused: BTreeSet<String>,
}

/// Takes webhooks.
struct Receiver {
    port: u16,
    came: Arc<Mutex<Came>>,
}

impl Receiver {
    /// Refuses every third event when it first comes.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let came: Arc<Mutex<Came>> = Arc::default();
        let seen = Arc::clone(&came);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let seen = Arc::clone(&seen);
                std::thread::spawn(move || take(stream.ok()?, &seen));
            }
        });
        Self { port, came }
    }

    fn ids(&self) -> BTreeSet<String> {
        self.came.lock().unwrap().bodies.keys().cloned().collect()
    }
}

/// Reads one webhook and answers it; `None` if the sender was killed in the middle of it.
fn take(stream: TcpStream, seen: &Mutex<Came>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut id) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "talkpath-event-id" => value.clone_into(&mut id),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let number: u64 = id.parse().unwrap();
    let mut seen = seen.lock().unwrap();
    let status = if number.is_multiple_of(3) && seen.refused.insert(id.clone()) {
        "500 No"
    } else {
        let body = serde_json::from_slice(&body).unwrap();
        seen.bodies.entry(id).or_default().push(body);
        "200 OK"
    };
    drop(seen);
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    reader.into_inner().write_all(answer.as_bytes()).ok()
}

/// A request to a server that may be killed before it answers: then `None`.
fn ask(at: SocketAddr, key: &str, path: &str, body: &Value) -> Option<(u16, Value)> {
    send(at, key, ("POST", path), "", body)
}

/// Places a call, once for each `again`.
fn place(at: SocketAddr, key: &str, again: &str, to: SocketAddr) -> Option<(u16, Value)> {
    let wanted = json!({ "to": format!("sip:echo@{to}"), "agent": "echo" });
    send(at, key, ("POST", "/api/v1/calls"), &format!("Idempotency-Key: {again}\r\n"), &wanted)
}

fn send(
    at: SocketAddr,
    key: &str,
    (method, path): (&str, &str),
    more: &str,
    body: &Value,
) -> Option<(u16, Value)> {
    let body = body.to_string();
    let mut stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {key}\r\n\
         Connection: close\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n\
         {body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or_default()))
}

/// Writes a configuration, and then another name into it.
fn configure(http: SocketAddr, key: &str, name: &str, done: &mut Acknowledged) {
    let wanted = json!({ "name": name, "config": {
        "provider": "sip_trunk",
        "inbound": { "networks": ["192.0.2.0/24"] },
        "auth": { "enabled": true, "user": "u", "password": "a-password-that-is-sealed" },
    } });
    let Some((201, made)) = ask(http, key, CONFIGURATIONS, &wanted) else { return };
    let id = made["id"].as_str().unwrap().to_owned();
    let path = format!("{CONFIGURATIONS}/{id}");
    let mut written = Written { name: name.to_owned(), sent: None };
    let next = format!("{name}, renamed");
    written.sent = Some(next.clone());
    if let Some((200, _)) = send(http, key, ("PUT", &path), "", &json!({ "name": next })) {
        written = Written { name: next, sent: None };
    }
    done.configurations.insert(id, written);
}

/// Places calls, hangs some of them up, subscribes and configures, until told to stop.
fn load(
    http: SocketAddr,
    sip: SocketAddr,
    key: &str,
    hook: &str,
    seed: u64,
    ended: &AtomicBool,
) -> Acknowledged {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut done = Acknowledged::default();
    for number in 0_u64.. {
        if ended.load(Ordering::Relaxed) {
            break;
        }
        if dice.u8(0..8) == 0 {
            let wanted = json!({ "url": hook, "events": ["nothing.*"] });
            if let Some((201, made)) = ask(http, key, "/api/v1/webhooks", &wanted) {
                done.subscriptions.insert(made["id"].as_str().unwrap().to_owned());
            }
        }
        if dice.u8(0..8) == 0 {
            let name = format!("c-{seed}-{}", done.configurations.len());
            configure(http, key, &name, &mut done);
        }
        let again = format!("{seed}-{number}");
        match place(http, key, &again, sip) {
            Some((201, call)) => {
                let id = call["id"].as_str().unwrap().to_owned();
                if dice.bool() {
                    let path = format!("/api/v1/calls/{id}/hangup");
                    ask(http, key, &path, &json!({}));
                }
                if done.placed.len() < AGAIN {
                    done.placed.insert(again, id.clone());
                }
                done.calls.insert(id);
            }
            // It is being killed, or full.
            Some(_) | None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    done
}

/// Starts the server on what the one before has left.
fn start(dir: &Path, key: &mut String, environment: &[(&str, &str)]) -> Server {
    let config = "[webhooks]\nallow_networks = [\"127.0.0.0/8\"]\n\
                  [limits]\ncalls_per_second = 1000\n";
    let mut server = Server::start_with(Ports::claim(), dir.to_owned(), config, environment);
    if server.key.is_empty() {
        server.key.clone_from(key);
    } else {
        key.clone_from(&server.key);
    }
    server
}

/// The answer to a question that has one.
#[track_caller]
fn get(server: &Server, path: &str) -> Value {
    let (status, body) = server.http("GET", path, None);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// All items of a list, by their ids: asking for each would cost more than all that is proven.
#[track_caller]
fn list(server: &Server, path: &str) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let page = get(server, &format!("{path}?limit=200{cursor}"));
        let items = page["items"].as_array().unwrap().iter();
        all.extend(items.map(|item| (item["id"].as_str().unwrap().to_owned(), item.clone())));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

/// Fails unless everything that was acknowledged is there and no call is open; how many calls were
/// cut off.
fn everything_is_there(server: &Server, all: &Acknowledged, kill: u64) -> usize {
    let mut cut_off = 0;
    let living = get(server, "/api/v1/calls?living=true");
    assert_eq!(living["items"], json!([]), "calls are stuck after kill {kill}");
    let calls = list(server, "/api/v1/calls");
    for id in &all.calls {
        let call = calls.get(id).unwrap_or_else(|| panic!("call {id} is lost by kill {kill}"));
        assert_eq!(call["state"], "ended", "{call}");
        cut_off += usize::from(call["cause"] == "node_lost");
    }
    let subscriptions = list(server, "/api/v1/webhooks");
    for id in &all.subscriptions {
        assert!(subscriptions.contains_key(id), "webhook {id} is lost by kill {kill}");
    }
    for (id, Written { name, sent }) in &all.configurations {
        let stored = get(server, &format!("{CONFIGURATIONS}/{id}"));
        let is = stored["name"].as_str().unwrap();
        assert!(is == name || Some(is) == sent.as_deref(), "{name}, {sent:?}: {stored}");
        let password = stored["credentials"]["auth"]["password"].as_str().unwrap();
        assert!(password.ends_with("aled") && password.starts_with("**"), "{stored}");
    }
    cut_off
}

/// Waits until every event of every call has come by webhook, each with what the call's log says of
/// it: how many there are, and how many came more than once.
#[track_caller]
fn every_event_came(server: &Server, all: &Acknowledged, receiver: &Receiver) -> (usize, usize) {
    let mut events = BTreeMap::new();
    for id in &all.calls {
        let list = get(server, &format!("/api/v1/calls/{id}/events?limit=200"));
        for event in list["items"].as_array().unwrap() {
            events.insert(event["id"].as_str().unwrap().to_owned(), event.clone());
        }
    }
    let expected: BTreeSet<String> = events.keys().cloned().collect();
    let end = Instant::now() + WEBHOOKS;
    while !receiver.ids().is_superset(&expected) {
        let missing = expected.difference(&receiver.ids()).count();
        assert!(Instant::now() < end, "{missing} webhooks of {} are lost", expected.len());
        std::thread::sleep(Duration::from_millis(50));
    }
    let came = &receiver.came.lock().unwrap().bodies;
    for (id, event) in &events {
        for body in &came[id] {
            assert_eq!((&body["type"], &body["call_id"]), (&event["type"], &event["call_id"]));
            assert_eq!(body["data"], event["data"]);
        }
    }
    let twice = came.values().filter(|bodies| bodies.len() > 1).count();
    (expected.len(), twice)
}

/// Killed at random moments under a load of calls and writes, the server has, each time it is back,
/// everything that it acknowledged, and no call is left open; and in the end every event of every
/// call has come by webhook, the same event always with the same id.
#[test]
fn killed_at_random_moments() {
    killed(&[]);
}

/// The same with PostgreSQL, where there is one.
#[test]
fn killed_at_random_moments_on_postgres() {
    match Schema::make() {
        Some(schema) => killed(&[("TALKPATH_DATABASE_URL", schema.url.as_str())]),
        None => eprintln!("not on PostgreSQL: there is none"),
    }
}

fn killed(environment: &[(&str, &str)]) {
    let kills = std::env::var("TALKPATH_TEST_KILLS").ok();
    let kills = kills.map_or(KILLS, |kills| kills.parse().unwrap());
    let receiver = Receiver::start();
    let hook = format!("http://127.0.0.1:{}/hook", receiver.port);
    let (dir, mut key) = (folder(), String::new());
    let mut all = Acknowledged::default();
    // Answers the calls, and is not killed.
    let callee = Server::start("[limits]\ncalls_per_second = 1000\n");
    let mut server = start(&dir, &mut key, environment);
    let wanted = json!({ "url": hook, "events": ["call.*"] });
    let (status, made) = server.http("POST", "/api/v1/webhooks", Some(&wanted));
    assert_eq!(status, 201, "{made}");
    let mut dice = fastrand::Rng::with_seed(4_711);
    let mut cut_off = 0;
    for kill in 0..kills {
        let ended = AtomicBool::new(false);
        let life = Duration::from_millis(dice.u64(0..LIFE_MS));
        let pid = server.pid();
        let done = std::thread::scope(|scope| {
            let loads: Vec<_> = (0..2)
                .map(|load_number| {
                    let (http, sip, key) = (server.http, callee.sip, server.key.as_str());
                    let (hook, ended) = (hook.as_str(), &ended);
                    scope.spawn(move || load(http, sip, key, hook, kill * 2 + load_number, ended))
                })
                .collect();
            std::thread::sleep(life);
            // SAFETY: kill(2) touches no memory, and the child has not been waited for.
            unsafe { libc::kill(pid.try_into().unwrap(), libc::SIGKILL) };
            ended.store(true, Ordering::Relaxed);
            loads.into_iter().map(|load| load.join().unwrap()).collect::<Vec<_>>()
        });
        server.kill();
        server.leave_files();
        server = start(&dir, &mut key, environment);
        for part in done {
            for (again, id) in part.placed {
                let (status, call) = place(server.http, &server.key, &again, callee.sip).unwrap();
                assert_eq!((status, &call["id"]), (201, &json!(id)), "a call of kill {kill}");
            }
            all.calls.extend(part.calls);
            all.subscriptions.extend(part.subscriptions);
            all.configurations.extend(part.configurations);
        }
        cut_off += everything_is_there(&server, &all, kill);
    }
    assert!(all.calls.len() as u64 > kills && cut_off > 0, "{} calls", all.calls.len());
    assert!(!all.configurations.is_empty(), "no configuration was written");
    let (expected, twice) = every_event_came(&server, &all, &receiver);
    println!(
        "{kills} kills: {} calls, {} subscriptions and {} configurations acknowledged, \
         {expected} events by webhook, {twice} of them more than once",
        all.calls.len(),
        all.subscriptions.len(),
        all.configurations.len(),
    );
}
