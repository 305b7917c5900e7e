//! Voicemail end to end: a phone hears a greeting and a beep, says something, and the message is
//! listed, heard, marked and deleted over the API, by its organisation alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::io::Cursor;
use std::time::Duration;

use serde_json::{Value, json};

use support::phone::Phone;
use support::ports::Ports;
use support::server::{Server, folder};
use support::store::Schema;
use support::{until, until_told, wav};

/// What the greeting, the beep and the phone are.
const GREETING_HZ: f64 = 600.0;
const BEEP_HZ: f64 = 1_000.0;
const SAID_HZ: f64 = 700.0;
const SOON: Duration = Duration::from_secs(15);
/// The key `#` as an event (RFC 4733 3.2).
const HASH: u8 = 11;
const MESSAGES: &str = "/api/v1/voicemails";

/// An agent that nobody reaches, one that takes messages, and one whose messages are short.
const CONFIG: &str = "[[agents]]\nname = \"down\"\nkind = \"websocket\"\n\
    url = \"ws://127.0.0.1:1/\"\nconnect_timeout_ms = 100\n\
    [[agents]]\nname = \"greeter\"\nkind = \"builtin\"\nbuiltin = \"voicemail\"\n\
    greeting = \"greeting.wav\"\nsilence_s = 1\n\
    [[agents]]\nname = \"patient\"\nkind = \"builtin\"\nbuiltin = \"voicemail\"\nsilence_s = 60\n\
    [[agents]]\nname = \"short\"\nkind = \"builtin\"\nbuiltin = \"voicemail\"\nmax_s = 1\n\
    [[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
    [[routes]]\nto = \"support\"\nagent = \"down\"\nfallback_agent = \"greeter\"\n\
    [[routes]]\nto = \"*\"\nagent = \"patient\"\n\
    [[routes]]\nto = \"short\"\nagent = \"short\"\n\
    [[routes]]\nto = \"echo\"\nagent = \"echo\"\n";

fn server() -> Server {
    let folder = folder();
    wav::write(&folder.join("greeting.wav"), &wav::sine(GREETING_HZ, 1.0));
    Server::start_on(Ports::claim(), folder, CONFIG)
}

fn samples(codes: &[u8]) -> Vec<i16> {
    codes.iter().map(|code| wav::ulaw(*code)).collect()
}

/// Waits until the beep was heard, and silence behind it.
#[track_caller]
fn wait_beep(phone: &Phone) {
    phone.wait_audio("the beep", |audio| {
        let heard = samples(audio);
        let tail = heard.len().checked_sub(800)?;
        let (before, tail) = heard.split_at(tail);
        let beeped = wav::stretches(before, &[BEEP_HZ], &[]).0 >= 3;
        (beeped && tail.iter().all(|sample| *sample == 0)).then_some(())
    });
}

fn say(phone: &mut Phone, seconds: f64) {
    phone.speak(&wav::to_ulaw(&wav::sine(SAID_HZ, seconds)));
}

#[track_caller]
fn ask(server: &Server, status: u16, method: &str, path: &str, body: Option<&Value>) -> Value {
    let (found, text) = server.http(method, path, body);
    assert_eq!(found, status, "{method} {path}: {text}");
    if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
}

fn items(page: &Value) -> Vec<Value> {
    page["items"].as_array().unwrap().clone()
}

/// Waits for as many messages.
#[track_caller]
fn wait_messages(server: &Server, count: usize) -> Vec<Value> {
    until_told(SOON, "the messages", || {
        let found = items(&ask(server, 200, "GET", MESSAGES, None));
        (found.len() == count).then_some(found)
    })
}

/// The sound of a message.
#[track_caller]
fn sound(server: &Server, message: &Value) -> Vec<i16> {
    let id = message["id"].as_str().unwrap();
    let (status, body) = server.http_bytes("GET", &format!("{MESSAGES}/{id}/audio"));
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let mut reader = hound::WavReader::new(Cursor::new(body)).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 8_000, 16));
    reader.samples().map(Result::unwrap).collect()
}

/// The agent is down: the caller hears greeting and beep, speaks, and after a while of silence the
/// call ends. What is left is what the caller said, and nothing of what it heard.
#[test]
fn a_message_takes_the_place_of_an_agent() {
    let server = server();
    let mut phone = Phone::up(&server, "support");
    let call = server.calls()[0]["id"].as_str().unwrap().to_owned();
    wait_beep(&phone);
    let heard = samples(&phone.audio());
    let greeted = wav::stretches(&heard, &[GREETING_HZ], &[]).0;
    let beeped = wav::stretches(&heard, &[BEEP_HZ], &[]).0;
    assert!((8..=11).contains(&greeted), "{greeted} tenths of a second of greeting");
    assert!((3..=6).contains(&beeped), "{beeped} tenths of a second of beep");
    say(&mut phone, 1.5);
    let bye = phone.wait_bye();
    assert!(bye.contains("text=\"normal\""), "{bye}");

    let message = wait_messages(&server, 1).remove(0);
    assert_eq!(message["call_id"], call.as_str());
    assert_eq!((&message["from"], &message["to"]), (&json!("+15550001234"), &json!("support")));
    assert_eq!((&message["agent"], &message["heard"]), (&json!("greeter"), &json!(false)));
    let told_ms = message["duration_ms"].as_u64().unwrap();
    let said = sound(&server, &message);
    wav::assert_heard(&said, SAID_HZ, BEEP_HZ, 1.2);
    // A second and a half, the silence that ended it, and what a busy machine adds.
    assert!((2_400..12_000).contains(&told_ms), "{told_ms}");
    assert!((said.len() as u64).abs_diff(told_ms * 8) < 400, "{} of {told_ms} ms", said.len());

    let events = items(&ask(&server, 200, "GET", &format!("/api/v1/calls/{call}/events"), None));
    let told = events.iter().find(|event| event["type"] == "call.voicemail").unwrap();
    assert_eq!(told["data"]["id"], message["id"]);
    assert_eq!(told["data"]["duration_ms"], told_ms);
    let record = ask(&server, 200, "GET", &format!("/api/v1/calls/{call}"), None);
    assert_eq!((&record["status"], &record["cause"]), (&json!("completed"), &json!("normal")));
    assert_eq!(server.metric("talkpath_voicemails_left_total"), 1.0);
    server.stop();
}

/// `#`, a hang-up and the longest time end a message too; who says nothing leaves none, and no file
/// either. Messages are listed by pages, the latest first.
#[test]
fn what_ends_a_message() {
    let server = server();
    let mut phone = Phone::up(&server, "anybody");
    wait_beep(&phone);
    say(&mut phone, 1.0);
    phone.press(HASH);
    phone.wait_bye();
    let first = wait_messages(&server, 1).remove(0);
    wav::assert_heard(&sound(&server, &first), SAID_HZ, BEEP_HZ, 0.8);

    let mut phone = Phone::up(&server, "anybody");
    wait_beep(&phone);
    say(&mut phone, 1.0);
    phone.hang_up();
    let second = wait_messages(&server, 2).remove(0);
    wav::assert_heard(&sound(&server, &second), SAID_HZ, BEEP_HZ, 0.8);

    let mut silent = Phone::up(&server, "anybody");
    wait_beep(&silent);
    silent.hang_up();
    until_told(SOON, "a caller who left nothing", || {
        (server.metric("talkpath_voicemails_empty_total") == 1.0).then_some(())
    });
    let files = || std::fs::read_dir(server.dir.join("data/voicemail")).unwrap().count();
    until(SOON, "the file of nothing is gone", || (files() == 2).then_some(()));

    let mut phone = Phone::up(&server, "short");
    wait_beep(&phone);
    // It is cut off in mid-word.
    say(&mut phone, 1.6);
    phone.wait_bye();
    let all = wait_messages(&server, 3);
    let length_ms = all[0]["duration_ms"].as_u64().unwrap();
    assert!((1_000..1_500).contains(&length_ms), "{length_ms}");

    let ids: Vec<&Value> = all.iter().map(|message| &message["id"]).collect();
    assert_eq!(ids[1..], [&second["id"], &first["id"]]);
    let page = ask(&server, 200, "GET", &format!("{MESSAGES}?limit=2"), None);
    let rest = format!("{MESSAGES}?limit=2&cursor={}", page["next_cursor"].as_str().unwrap());
    let rest = ask(&server, 200, "GET", &rest, None);
    let paged: Vec<Value> = items(&page).into_iter().chain(items(&rest)).collect();
    assert_eq!(paged, all);
    assert_eq!(rest["next_cursor"], Value::Null);
    server.stop();
}

/// A call is handed to the mailbox by the API. The message is marked as heard, and as new again,
/// and deleted with its sound; to another organisation it does not exist.
#[test]
fn a_message_belongs_to_its_organisation() {
    let mut server = server();
    let mut phone = Phone::up(&server, "echo");
    let call = server.calls()[0]["id"].as_str().unwrap().to_owned();
    let wanted = json!({ "kind": "agent", "destination": "patient" });
    ask(&server, 202, "POST", &format!("/api/v1/calls/{call}/transfer"), Some(&wanted));
    wait_beep(&phone);
    say(&mut phone, 1.0);
    phone.hang_up();
    let message = wait_messages(&server, 1).remove(0);
    assert_eq!((&message["agent"], &message["call_id"]), (&json!("patient"), &json!(call)));
    let path = format!("{MESSAGES}/{}", message["id"].as_str().unwrap());
    let sound_path = format!("{path}/audio");

    let made = json!({ "name": "strangers" });
    let made = ask(&server, 201, "POST", "/api/v1/organizations", Some(&made));
    let own = server.key.clone();
    made["first_key"]["key"].as_str().unwrap().clone_into(&mut server.key);
    let heard = json!({ "heard": true });
    ask(&server, 404, "GET", &path, None);
    assert_eq!(server.http_bytes("GET", &sound_path).0, 404);
    ask(&server, 404, "PATCH", &path, Some(&heard));
    ask(&server, 404, "DELETE", &path, None);
    assert_eq!(items(&ask(&server, 200, "GET", MESSAGES, None)), [] as [Value; 0]);
    server.key = own;

    assert_eq!(ask(&server, 200, "GET", &path, None), message);
    ask(&server, 400, "PATCH", &path, Some(&json!({})));
    ask(&server, 400, "PATCH", &path, Some(&json!({ "heard": "yes" })));
    let count = |heard: &str| {
        items(&ask(&server, 200, "GET", &format!("{MESSAGES}?heard={heard}"), None)).len()
    };
    assert_eq!((count("false"), count("true")), (1, 0));
    let marked = ask(&server, 200, "PATCH", &path, Some(&heard));
    assert_eq!((&marked["heard"], marked["heard_at"].is_string()), (&json!(true), true));
    assert_eq!((count("false"), count("true")), (0, 1));
    let again = ask(&server, 200, "PATCH", &path, Some(&json!({ "heard": false })));
    assert_eq!(again, message);

    assert_eq!(server.http_bytes("GET", &sound_path).0, 200);
    ask(&server, 204, "DELETE", &path, None);
    ask(&server, 404, "DELETE", &path, None);
    ask(&server, 404, "GET", &path, None);
    assert_eq!(server.http_bytes("GET", &sound_path).0, 404);
    assert_eq!(std::fs::read_dir(server.dir.join("data/voicemail")).unwrap().count(), 0);
    let audit = ask(&server, 200, "GET", "/api/v1/audit?limit=5", None).to_string();
    assert!(audit.contains("\"voicemail\""), "{audit}");
    server.wait_idle();
    server.stop();
}

/// A server that is stopped in the middle of a message keeps what was said of it: the next has it.
#[test]
fn a_server_that_stops_keeps_the_message() {
    let mut server = server();
    let (folder, key) = (server.dir.clone(), server.key.clone());
    let mut phone = Phone::up(&server, "anybody");
    wait_beep(&phone);
    say(&mut phone, 1.0);
    server.leave_files();
    // The first signal lets calls go on, the second ends them.
    drop(server);
    let mut server = Server::start_in(folder, CONFIG);
    server.key = key;
    let message = wait_messages(&server, 1).remove(0);
    assert_eq!(message["agent"], "patient");
    wav::assert_heard(&sound(&server, &message), SAID_HZ, BEEP_HZ, 0.8);
    server.stop();
}

/// Of servers that share a database the one that took a message deletes it; the other says that its
/// sound is not there, and leaves both where they are.
#[test]
fn servers_delete_what_each_has_taken() {
    let Some(schema) = Schema::make() else {
        eprintln!("skipped: two servers share a PostgreSQL, and there is none");
        return;
    };
    let seal = format!("k1:{}=", "A".repeat(43));
    let environment =
        [("TALKPATH_DATABASE_URL", schema.url.as_str()), ("TALKPATH_SEAL_KEYS", seal.as_str())];
    let start = || {
        let folder = folder();
        wav::write(&folder.join("greeting.wav"), &wav::sine(GREETING_HZ, 1.0));
        Server::start_with(Ports::claim(), folder, CONFIG, &environment)
    };
    let (first, mut second) = (start(), start());
    second.key.clone_from(&first.key);
    let mut phone = Phone::up(&first, "anybody");
    wait_beep(&phone);
    say(&mut phone, 1.0);
    phone.hang_up();
    let message = wait_messages(&first, 1).remove(0);
    wav::assert_heard(&sound(&first, &message), SAID_HZ, BEEP_HZ, 0.8);
    let path = format!("{MESSAGES}/{}", message["id"].as_str().unwrap());
    let told = ask(&second, 404, "DELETE", &path, None);
    assert_eq!(told["detail"], "the sound of the message is not on this server");
    assert_eq!(wait_messages(&second, 1), [message]);
    let files = || std::fs::read_dir(first.dir.join("data/voicemail")).unwrap().count();
    assert_eq!(files(), 1);
    ask(&first, 204, "DELETE", &path, None);
    assert_eq!(files(), 0);
    ask(&second, 404, "GET", &path, None);
    first.stop();
    second.stop();
}
