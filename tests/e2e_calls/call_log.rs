//! Calls are found again: their records, what happened to them, and how their media fared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::phone::Phone;
use support::ports::Ports;
use support::server::Server;
use support::store::on_both;
use support::talk;
use support::until;

const CONFIG: &str = "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
                      [[routes]]\nto = \"echo\"\nagent = \"echo\"\n";

/// Tenths of a second that an agent says what it is not to come to the end of.
const LONG_TENTHS: usize = 70;

#[track_caller]
fn get(server: &Server, path: &str) -> Value {
    let (status, body) = server.http("GET", path, None);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The record of a call once it is over.
#[track_caller]
fn over(server: &Server, id: &str) -> Value {
    until(Duration::from_secs(10), "the call is over", || {
        let call = get(server, &format!("/api/v1/calls/{id}"));
        (call["state"] == "ended" && call["quality"] != Value::Null).then_some(call)
    })
}

/// The types of what happened to a call.
fn kinds(server: &Server, id: &str) -> Vec<String> {
    let events = get(server, &format!("/api/v1/calls/{id}/events"));
    let items = events["items"].as_array().unwrap().iter();
    items.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

/// A call has one shape while it lives and when it is over; who ended it, and why, is told apart.
#[test]
fn calls_are_found_again() {
    let server = Server::start(CONFIG);
    let mut phone = Phone::call(&server, "echo");
    phone.wait_answer();
    let lives = server.calls().remove(0);
    assert_eq!((&lives["state"], &lives["status"]), (&"answered".into(), &"in-progress".into()));
    assert!(lives["answered_at"].is_string() && lives["ended_at"].is_null(), "{lives}");
    let id = lives["id"].as_str().unwrap().to_owned();
    phone.hang_up();
    let call = over(&server, &id);
    assert_eq!(call["status"], "completed");
    assert_eq!((&call["cause"], &call["ended_by"]), (&"normal".into(), &"caller".into()));
    assert_eq!(call["answered_at"], lives["answered_at"]);
    assert!(call["billed_s"].as_u64().unwrap() >= 1 && call["q850"] == 16, "{call}");
    let fields = |call: &Value| call.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&call), fields(&lives));
    assert_eq!(
        kinds(&server, &id),
        ["call.initiated", "call.agent_connected", "call.answered", "call.ended", "call.quality"]
    );
    let samples = get(&server, &format!("/api/v1/calls/{id}/quality"));
    assert!(samples["items"][0]["mos"].is_number(), "{samples}");

    let mut phone = Phone::call(&server, "echo");
    phone.wait_answer();
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    server.hang_up(&id);
    phone.wait_bye();
    assert_eq!(over(&server, &id)["ended_by"], "agent");

    // Nobody is called so at another server.
    let other = Server::start(CONFIG);
    let placed = server.place(&format!("sip:nobody@{}", other.sip), "echo");
    let refused = over(&server, placed["id"].as_str().unwrap());
    assert_eq!((&refused["status"], &refused["sip_status"]), (&"failed".into(), &404.into()));
    assert_eq!((&refused["cause"], &refused["ended_by"]), (&"not_found".into(), &"carrier".into()));
    server.stop();
}

/// What an agent said is found again, by its name: what was heard whole, what was cut off and how
/// much of it was heard, to the millisecond that the agent was told, and what a hang-up cut short.
/// What the caller said is there for an agent that asked to be told of speech.
#[test]
fn what_was_said_is_found_again() {
    let (server, agents) = talk::server("");
    let mut phone = Phone::call(&server, "bot");
    let mut agent = agents.accept();
    phone.wait_answer();
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    agent.say(&json!({"event": "configure", "wants": ["speech"]}));
    agent.event("configured");
    let say = |agent: &mut support::agent::Agent, name: &str, tenths: usize| {
        agent.say(&json!({"event": "utterance", "id": name}));
        talk::say(agent, tenths);
        agent.say(&json!({"event": "mark", "name": name}));
    };
    say(&mut agent, "greeting", 5);
    assert_eq!(agent.event("mark")["status"], "played");
    // What the caller says is written in between.
    let spoken = |wanted: usize| {
        until(Duration::from_secs(10), "it is written", || {
            let list = get(&server, &format!("/api/v1/calls/{id}/speech"));
            let all = list["items"].as_array().unwrap().clone();
            let found = agent_words(&all).len();
            (found >= wanted).then_some(all)
        })
    };
    assert_eq!(spoken(1)[0]["utterance"], "greeting");
    // Longer than the caller takes to say something, however busy the machine is.
    say(&mut agent, "story", LONG_TENTHS);
    let began = Instant::now();
    phone.speak(&include_bytes!("../../media/tests/vectors/speech_english.ulaw")[..16_000]);
    let talked_ms = u64::try_from(began.elapsed().as_millis()).unwrap();
    agent.order("clear");
    let cleared = agent.event("cleared");
    assert_eq!(agent_words(&spoken(2)), [("greeting", "played"), ("story", "cleared")]);
    say(&mut agent, "farewell", LONG_TENTHS);
    phone.speak(&[0xff; 4_000]);
    phone.hang_up();
    // Its report is written behind all that was said.
    over(&server, &id);
    let all = spoken(3);
    assert_eq!(
        agent_words(&all),
        [("greeting", "played"), ("story", "cleared"), ("farewell", "ended")]
    );
    let ms = |name: &str, field: &str| {
        let one = all.iter().find(|one| one["utterance"] == name).unwrap();
        one[field].as_u64().unwrap()
    };
    assert_eq!((ms("greeting", "played_ms"), ms("greeting", "dropped_ms")), (500, 0));
    let heard = cleared["utterances"][1]["samples"].as_u64().unwrap() / 8;
    assert_eq!(ms("story", "played_ms"), heard);
    assert_eq!(ms("story", "dropped_ms"), cleared["dropped_ms"].as_u64().unwrap());
    let farewell_ms = ms("farewell", "played_ms") + ms("farewell", "dropped_ms");
    assert_eq!(farewell_ms, LONG_TENTHS as u64 * 100);
    let caller: Vec<_> = all.iter().filter(|one| one["who"] == "caller").collect();
    assert!(!caller.is_empty() && caller.iter().all(|one| one["dropped_ms"] == 0), "{all:?}");
    let said: u64 = caller.iter().filter_map(|one| one["played_ms"].as_u64()).sum();
    assert!((500..talked_ms + 500).contains(&said), "{said} ms of {talked_ms}: {all:?}");
    server.stop();
}

/// What the agent said, by name, and how it ended.
fn agent_words(all: &[Value]) -> Vec<(&str, &str)> {
    let agent = all.iter().filter(|one| one["who"] == "agent");
    agent
        .map(|one| (one["utterance"].as_str().unwrap(), one["outcome"].as_str().unwrap()))
        .collect()
}

/// Lists filter and page; what is none of ours is not there.
#[test]
fn lists_filter_and_page() {
    let server = Server::start(CONFIG);
    for _ in 0..5 {
        let mut phone = Phone::call(&server, "echo");
        phone.wait_answer();
        phone.hang_up();
    }
    let other = Server::start(CONFIG);
    server.place(&format!("sip:nobody@{}", other.sip), "echo");
    server.wait_idle();
    let count = |query: &str| {
        let list = get(&server, &format!("/api/v1/calls?{query}"));
        list["items"].as_array().unwrap().len()
    };
    assert_eq!(count(""), 6);
    assert_eq!(count("status=completed"), 5);
    assert_eq!(count("status=completed,failed&direction=outbound"), 1);
    assert_eq!(count("to=echo&agent=echo&living=false"), 5);
    assert_eq!(count("living=true"), 0);
    assert_eq!(count("began_from=2100-01-01T00:00:00Z"), 0);
    assert_eq!(count("began_until=2100-01-01T00:00:00%2B01:00"), 6);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let list = get(&server, &format!("/api/v1/calls?limit=2{cursor}"));
        seen.extend(list["items"].as_array().unwrap().iter().map(|call| call["id"].to_string()));
        let Some(next) = list["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let mut sorted = seen.clone();
    sorted.sort_by(|one, two| two.cmp(one));
    sorted.dedup();
    assert_eq!((seen.len(), &seen), (6, &sorted));
    for wrong in
        ["status=gone", "direction=up", "began_from=yesterday", "limit=0", "cursor=x", "a=b"]
    {
        assert_eq!(server.http("GET", &format!("/api/v1/calls?{wrong}"), None).0, 400, "{wrong}");
    }
    let nobody = "/api/v1/calls/01890a5d-ac96-774b-bcce-b302099a8057";
    for path in ["", "/events", "/quality", "/speech"] {
        assert_eq!(server.http("GET", &format!("{nobody}{path}"), None).0, 404, "{path}");
    }
    assert_eq!(server.http("GET", "/api/v1/calls/1/events", None).0, 404);
    server.stop();
}

/// Events stream as they happen, and go on behind the last that was read.
#[test]
fn events_stream_and_resume() {
    let server = Server::start(CONFIG);
    let mut stream = listen(&server, "/api/v1/events", None);
    let mut phone = Phone::call(&server, "echo");
    phone.wait_answer();
    phone.hang_up();
    let seen = read_until(&mut stream, "call.ended");
    let kinds: Vec<&str> = seen.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(kinds, ["call.initiated", "call.agent_connected", "call.answered", "call.ended"]);
    let first = seen[0].0.clone();
    drop(stream);
    let mut stream = listen(&server, "/api/v1/events?types=call.ended", Some(&first));
    assert_eq!(read_until(&mut stream, "call.ended"), seen[3..]);
    server.stop();
}

/// A stream goes on behind the last event that was read though the server was killed in between:
/// what was missed comes first, then what is new, with ids that grow on.
#[test]
fn streams_outlive_the_server() {
    on_both(CONFIG, streams_go_on);
}

fn streams_go_on(mut server: Server, environment: &[(&str, &str)]) {
    let mut stream = listen(&server, "/api/v1/events", None);
    let mut phone = Phone::call(&server, "echo");
    phone.wait_answer();
    let first = server.calls()[0]["id"].as_str().unwrap().to_owned();
    phone.hang_up();
    let mut seen = read_until(&mut stream, "call.ended");
    over(&server, &first);
    let (dir, key) = (server.dir.clone(), server.key.clone());
    server.kill();
    server.leave_files();
    drop(server);
    let mut server = Server::start_with(Ports::claim(), dir, CONFIG, environment);
    server.key = key;
    let mut phone = Phone::call(&server, "echo");
    phone.wait_answer();
    phone.hang_up();
    // The end was not read.
    seen.truncate(3);
    let mut stream = listen(&server, "/api/v1/events", Some(&seen[2].0));
    seen.extend(read_until(&mut stream, "call.ended"));
    seen.extend(read_until(&mut stream, "call.ended"));
    let kinds: Vec<&str> = seen.iter().map(|(_, kind)| kind.as_str()).collect();
    let call = ["call.initiated", "call.agent_connected", "call.answered", "call.ended"];
    assert_eq!(kinds, [&call[..], &["call.quality"], &call[..]].concat());
    let ids: Vec<u64> = seen.iter().map(|(id, _)| id.parse().unwrap()).collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
    server.wait_idle();
    server.stop();
}

/// While the store stands still, calls are answered, talk and end as ever; afterwards everything
/// is in the log.
#[test]
fn a_store_that_stands_still_holds_up_no_call() {
    use sqlx::{ConnectOptions, Executor};
    let server = Server::start(CONFIG);
    let mut before = Phone::up(&server, "echo");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let file = server.dir.join("data/talkpath.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut lock = runtime.block_on(options.connect()).unwrap();
    runtime.block_on(lock.execute("BEGIN IMMEDIATE")).unwrap();
    let began = Instant::now();
    let mut during = Phone::up(&server, "echo");
    // Whoever wrote would wait for five seconds, and then do without.
    assert!(began.elapsed() < Duration::from_secs(4), "the answer took {:?}", began.elapsed());
    for phone in [&mut before, &mut during] {
        phone.speak(&[0x21; 8_000]);
        phone.wait_audio("its own audio", |audio| {
            (audio.iter().filter(|heard| **heard == 0x21).count() == 8_000).then_some(())
        });
        phone.hang_up();
    }
    runtime.block_on(lock.execute("ROLLBACK")).unwrap();
    server.wait_idle();
    let list = get(&server, "/api/v1/calls");
    let calls = list["items"].as_array().unwrap();
    assert_eq!(calls.len(), 2, "{list}");
    for call in calls {
        assert_eq!((&call["status"], &call["ended_by"]), (&"completed".into(), &"caller".into()));
        assert_eq!(call["is_incomplete"], false);
    }
    server.stop();
}

fn listen(server: &Server, path: &str, last: Option<&str>) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(server.http).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
    let (host, key) = (server.http, &server.key);
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n{last}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    // The stream is there once its first comment is.
    while !line(&mut stream).starts_with(": ") {}
    stream
}

fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    assert!(stream.read_line(&mut line).unwrap() > 0, "the stream has ended");
    line.trim().to_owned()
}

/// Ids and types of the events up to the first of this type.
fn read_until(stream: &mut BufReader<TcpStream>, last: &str) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let mut id = String::new();
    loop {
        let line = line(stream);
        if let Some(text) = line.strip_prefix("id: ") {
            text.clone_into(&mut id);
        } else if let Some(kind) = line.strip_prefix("event: ") {
            seen.push((id.clone(), kind.to_owned()));
        } else if let Some(data) = line.strip_prefix("data: ") {
            let event: Value = serde_json::from_str(data).unwrap();
            let (id, kind) = seen.last().unwrap();
            assert_eq!((&event["id"], &event["type"]), (&json!(id), &json!(kind)));
            if kind == last {
                return seen;
            }
        }
    }
}
