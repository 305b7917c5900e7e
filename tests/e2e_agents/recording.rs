//! Recordings end to end: a phone, the real server, and the file that is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use support::agent::Agents;
use support::phone::Phone;
use support::ports::Ports;
use support::server::{Server, expect, folder, id as id_of};
use support::store::Schema;
use support::{until, until_told, wav};

/// What the phone says, what it hears, and samples of a second.
const SAID_HZ: f64 = 700.0;
const HEARD_HZ: f64 = 440.0;
const SECOND: usize = 8_000;
const SOON: Duration = Duration::from_secs(10);

const LIST: &str = "/api/v1/recordings";
/// An id that nothing has.
const NOWHERE: &str = "00000000-0000-7000-8000-000000000000";

const TONE: &str = "[[agents]]\nname = \"tone\"\nkind = \"builtin\"\nbuiltin = \"tone\"\n\
                    frequency_hz = 440\n";

/// Both channels of a file.
fn channels(path: &Path) -> (Vec<i16>, Vec<i16>) {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (2, 8_000, 16));
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    samples.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip()
}

/// The only file in a folder.
fn only_file(folder: &Path) -> Option<PathBuf> {
    let mut files = std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path());
    let first = files.next()?;
    assert_eq!(files.next(), None);
    Some(first)
}

fn id(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// An agent whose calls are recorded.
fn taped() -> String {
    format!("{TONE}[[routes]]\nto = \"*\"\nagent = \"tone\"\nrecord = true\n")
}

/// The recordings that are listed by a query.
#[track_caller]
fn listed(server: &Server, query: &str) -> Vec<Value> {
    let page = expect(server, 200, "GET", &format!("{LIST}{query}"), None);
    page["items"].as_array().unwrap().clone()
}

/// Waits for the only recording.
#[track_caller]
fn only(server: &Server) -> Value {
    until_told(SOON, "a recording", || listed(server, "").into_iter().next())
}

fn is_silent(samples: &[i16]) -> bool {
    samples.iter().all(|sample| *sample == 0)
}

/// A route that records: left is the phone's tone, right the agent's, nothing of one in the other;
/// the file is the operator's alone, is as long as the call, and the API serves it once the call
/// is over.
#[test]
fn each_side_has_its_channel() {
    let server = Server::start(&format!(
        "{TONE}[[routes]]\nto = \"*\"\nagent = \"tone\"\nrecord = {{ folder = \"{{dir}}/tapes\" }}\n"
    ));
    let mut phone = Phone::up(&server, "+15550005678");
    let folder = server.dir.join("tapes");
    let path = until(SOON, "a file", || only_file(&folder));
    let address = format!("/api/v1/calls/{}/recording", id(&path));
    assert_eq!(server.http("GET", &address, None).0, 409, "it is not complete");
    phone.speak(&wav::to_ulaw(&wav::sine(SAID_HZ, 3.0)));
    phone.hang_up();
    server.wait_idle();
    let status = || server.http_bytes("GET", &address);
    let body = until(SOON, "the recording", || {
        let (status, body) = status();
        (status == 200).then_some(body)
    });
    assert_eq!(body, std::fs::read(&path).unwrap());
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (left, right) = channels(&path);
    assert!((3 * SECOND..5 * SECOND).contains(&left.len()), "{}", left.len());
    wav::assert_heard(&left, SAID_HZ, HEARD_HZ, 2.5);
    wav::assert_heard(&right, HEARD_HZ, SAID_HZ, 2.5);
    let silent = right.iter().position(|sample| *sample != 0).unwrap();
    assert!(silent < 400, "the agent's first sample is at {silent}");
    assert_eq!(server.http("GET", "/api/v1/calls/7/recording", None).0, 404);
    assert_eq!(server.metric("talkpath_recordings_started_total"), 1.0);
    assert_eq!(server.metric("talkpath_recording_frames_lost_total"), 0.0);
    server.stop();
}

/// The API starts, pauses, resumes and stops a recording; what was paused is silence of the same
/// length, and a recording that is complete does not start again.
#[test]
fn the_api_steers_a_recording() {
    let server = Server::start(TONE);
    let mut phone = Phone::up(&server, "+15550005678");
    let id = server.calls()[0]["id"].as_str().unwrap().to_owned();
    let order = |state: &str| {
        server.http("POST", &format!("/api/v1/calls/{id}/record"), Some(&json!({ "state": state })))
    };
    assert_eq!(order("pause").0, 409, "it is not recorded");
    assert_eq!(order("erase").0, 400);
    assert_eq!(order("start"), (200, r#"{"state":"recording"}"#.to_owned()));
    let tone = wav::to_ulaw(&wav::sine(SAID_HZ, 1.0));
    phone.speak(&tone);
    assert_eq!(order("pause"), (200, r#"{"state":"paused"}"#.to_owned()));
    phone.speak(&tone);
    assert_eq!(order("resume"), (200, r#"{"state":"recording"}"#.to_owned()));
    phone.speak(&tone);
    assert_eq!(order("stop"), (200, r#"{"state":"stopped"}"#.to_owned()));
    assert_eq!(order("start").0, 409, "it is complete");
    let path = server.dir.join("data/recordings").join(format!("{id}.wav"));
    let address = format!("/api/v1/calls/{id}/recording");
    until(SOON, "the file is complete", || {
        (server.http_bytes("GET", &address).0 == 200).then_some(())
    });
    let (left, right) = channels(&path);
    // A busy machine makes seconds longer, never shorter.
    assert!((3 * SECOND - 400..5 * SECOND).contains(&left.len()), "{}", left.len());
    for channel in [&left, &right] {
        let longest = channel.chunk_by(|a, b| (*a == 0) == (*b == 0));
        let longest = longest.filter(|run| is_silent(run)).map(<[i16]>::len).max().unwrap();
        assert!((SECOND - 400..2 * SECOND).contains(&longest), "{longest}");
    }
    phone.hang_up();
    server.wait_idle();
    server.stop();
}

/// An agent that may record is told so, steers the recording and hears how it stands; packets that
/// are lost are silence in their place.
#[test]
fn an_agent_steers_a_recording() {
    let agents = Agents::listen();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n",
        agents.url()
    ));
    let mut phone = Phone::call(&server, "+15550005678");
    let mut agent = agents.accept();
    phone.wait_answer();
    agent.event("answered");
    let id = agent.start["call_id"].as_str().unwrap().to_owned();
    agent.say(&json!({ "event": "record", "state": "resume" }));
    assert_eq!(agent.event("error")["code"], "failed");
    agent.order("record");
    assert_eq!(agent.event("record")["state"], "recording");
    let tone = wav::to_ulaw(&wav::sine(SAID_HZ, 1.0));
    agent.play(0, &wav::to_ulaw(&wav::sine(HEARD_HZ, 1.0)));
    phone.speak(&tone);
    for _ in 0..5 {
        phone.skip(160);
    }
    phone.speak(&tone);
    agent.say(&json!({ "event": "record", "state": "pause" }));
    assert_eq!(agent.event("record")["state"], "paused");
    phone.hang_up();
    agent.event("stop");
    server.wait_idle();
    let path = server.dir.join("data/recordings").join(format!("{id}.wav"));
    let address = format!("/api/v1/calls/{id}/recording");
    until(SOON, "the file is complete", || {
        (server.http_bytes("GET", &address).0 == 200).then_some(())
    });
    let (left, right) = channels(&path);
    wav::assert_heard(&left, SAID_HZ, HEARD_HZ, 1.7);
    wav::assert_heard(&right, HEARD_HZ, SAID_HZ, 0.8);
    // From the phone's first sample on: a second, a gap of a tenth, a second.
    let start = left.iter().position(|sample| *sample != 0).unwrap() + SECOND;
    assert!(is_silent(&left[start + 10..start + 790]));
    assert!(!is_silent(&left[start + 810..start + 970]));
    server.stop();
}

/// A server that is killed leaves a file that can be read, up to the last two seconds. The next one
/// lists it: it is complete, and nobody knows how long it is.
#[test]
fn a_killed_server_leaves_a_whole_file() {
    let mut server = Server::start(&taped());
    let mut phone = Phone::up(&server, "+15550005678");
    let folder = server.dir.join("data/recordings");
    let path = until(SOON, "a file", || only_file(&folder));
    phone.speak(&wav::to_ulaw(&wav::sine(SAID_HZ, 4.0)));
    let copy = server.dir.join("killed.wav");
    server.kill();
    std::fs::copy(&path, &copy).unwrap();
    let (left, right) = channels(&copy);
    assert!(left.len() >= SECOND, "{}", left.len());
    wav::assert_heard(&left, SAID_HZ, HEARD_HZ, 0.8);
    wav::assert_heard(&right, HEARD_HZ, SAID_HZ, 0.8);

    let (folder, key) = (server.dir.clone(), server.key.clone());
    server.leave_files();
    drop(server);
    let mut server = Server::start_in(folder, &taped());
    server.key = key;
    let recording = only(&server);
    assert_eq!(
        (&recording["state"], &recording["call_id"]),
        (&json!("complete"), &json!(id(&path)))
    );
    assert!(recording["ended_at"].is_string(), "{recording}");
    assert_eq!((&recording["size_bytes"], &recording["duration_ms"]), (&json!(null), &json!(null)));
    let address = format!("/api/v1/calls/{}/recording", id(&path));
    let (status, body) = server.http_bytes("GET", &address);
    assert_eq!((status, body), (200, std::fs::read(&path).unwrap()));
    expect(&server, 204, "DELETE", &address, None);
    assert_eq!(listed(&server, ""), [] as [Value; 0]);
    server.stop();
}

/// A server that is stopped while it records tells of all that is on the disk.
#[test]
fn a_stopped_server_knows_what_it_has_recorded() {
    let mut server = Server::start(&taped());
    let mut phone = Phone::up(&server, "+15550005678");
    let call = only(&server)["call_id"].as_str().unwrap().to_owned();
    phone.speak(&wav::to_ulaw(&wav::sine(SAID_HZ, 1.0)));
    let (folder, key) = (server.dir.clone(), server.key.clone());
    server.leave_files();
    drop(server);
    let path = folder.join("data/recordings").join(format!("{call}.wav"));
    let mut server = Server::start_in(folder, &taped());
    server.key = key;
    let recording = only(&server);
    assert_eq!(recording["state"], "complete");
    assert_eq!(recording["size_bytes"], std::fs::metadata(&path).unwrap().len());
    let length_ms = recording["duration_ms"].as_u64().unwrap();
    assert_eq!(length_ms, channels(&path).0.len() as u64 / 8);
    assert!(length_ms >= 900, "{length_ms}");
    server.stop();
}

/// A recording is listed from its beginning: as it stands, and once it is complete with the bytes
/// of its file and its length, by its call and its state. It is not deleted while it is made, then
/// with its file, once, and the audit log has it. To another organisation it does not exist, and
/// nobody is told where it lies.
#[test]
fn a_recording_is_listed_and_deleted() {
    let mut server = Server::start(&taped());
    let mut phone = Phone::up(&server, "+15550005678");
    let begun = only(&server);
    let call = begun["call_id"].as_str().unwrap().to_owned();
    assert_eq!(server.calls()[0]["id"], call.as_str());
    let about = ["state", "channels", "rate_hz", "size_bytes", "duration_ms", "ended_at"];
    let about = about.map(|field| begun[field].clone());
    let null = || json!(null);
    assert_eq!(about, [json!("recording"), json!(2), json!(8_000), null(), null(), null()]);
    let address = format!("/api/v1/calls/{call}/recording");
    expect(&server, 409, "DELETE", &address, None);
    phone.speak(&wav::to_ulaw(&wav::sine(SAID_HZ, 1.0)));
    phone.hang_up();
    server.wait_idle();
    let path = server.dir.join("data/recordings").join(format!("{call}.wav"));
    server.wait_recorded(&path);

    let done = only(&server);
    assert_eq!((&done["state"], id_of(&done)), (&json!("complete"), id_of(&begun)));
    assert_eq!(done["size_bytes"], std::fs::metadata(&path).unwrap().len());
    assert_eq!(done["duration_ms"], channels(&path).0.len() as u64 / 8);
    assert_eq!(done["created_at"], begun["created_at"]);
    assert!(done["ended_at"].is_string(), "{done}");
    assert_eq!(
        listed(&server, &format!("?state=complete&call={call}")),
        std::slice::from_ref(&done)
    );
    for none in ["?state=recording".to_owned(), format!("?call={NOWHERE}")] {
        assert_eq!(listed(&server, &none), [] as [Value; 0], "{none}");
    }
    for wrong in ["?state=lost", "?call=7", "?calls=7"] {
        expect(&server, 400, "GET", &format!("{LIST}{wrong}"), None);
    }
    let events = expect(&server, 200, "GET", &format!("/api/v1/calls/{call}/events"), None);
    let events = events["items"].as_array().unwrap().clone();
    let told = events.iter().filter(|event| event["type"] == "call.recording");
    let told: Vec<&Value> = told.map(|event| &event["data"]).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[1]["at_server"]["size_bytes"], done["size_bytes"]);
    assert_eq!(told[1]["at_server"]["id"], done["id"]);
    assert!(!format!("{told:?}{done}").contains(".wav"), "where it lies");

    let made = json!({ "name": "strangers" });
    let made = expect(&server, 201, "POST", "/api/v1/organizations", Some(&made));
    let own = server.key.clone();
    made["first_key"]["key"].as_str().unwrap().clone_into(&mut server.key);
    assert_eq!(listed(&server, ""), [] as [Value; 0]);
    expect(&server, 404, "DELETE", &address, None);
    server.key = own;

    assert!(path.is_file());
    expect(&server, 204, "DELETE", &address, None);
    assert!(!path.exists());
    expect(&server, 404, "DELETE", &address, None);
    expect(&server, 404, "GET", &address, None);
    assert_eq!(listed(&server, ""), [] as [Value; 0]);
    let audit = expect(&server, 200, "GET", "/api/v1/audit?limit=1", None);
    let entry = &audit["items"][0];
    let entry = ["action", "object_type", "object_id"].map(|field| entry[field].clone());
    assert_eq!(entry, [json!("delete"), json!("recording"), json!(call)]);
    server.stop();
}

/// What the built-in agent records is listed as any recording is: the peer alone.
#[test]
fn what_the_built_in_agent_records_is_listed() {
    let server = Server::start(
        "[[agents]]\nname = \"tape\"\nkind = \"builtin\"\nbuiltin = \"record\"\n\
         folder = \"{dir}/tapes\"\n[[routes]]\nto = \"*\"\nagent = \"tape\"\n",
    );
    let mut phone = Phone::up(&server, "+15550005678");
    phone.speak(&wav::to_ulaw(&wav::sine(SAID_HZ, 1.0)));
    phone.hang_up();
    server.wait_idle();
    let path = only_file(&server.dir.join("tapes")).unwrap();
    server.wait_recorded(&path);
    let recording = only(&server);
    assert_eq!(recording["call_id"], id(&path));
    assert_eq!((&recording["state"], &recording["channels"]), (&json!("complete"), &json!(1)));
    assert_eq!(recording["size_bytes"], std::fs::metadata(&path).unwrap().len());
    server.stop();
}

/// Of servers that share a database each lists a recording. The one that made it serves and deletes
/// it; the other says that it is not there, and leaves it listed.
#[test]
fn servers_list_what_each_has_recorded() {
    let Some(schema) = Schema::make() else {
        eprintln!("skipped: two servers share a PostgreSQL, and there is none");
        return;
    };
    let seal = format!("k1:{}=", "A".repeat(43));
    let environment =
        [("TALKPATH_DATABASE_URL", schema.url.as_str()), ("TALKPATH_SEAL_KEYS", seal.as_str())];
    let start = || Server::start_with(Ports::claim(), folder(), &taped(), &environment);
    let (first, mut second) = (start(), start());
    second.key.clone_from(&first.key);
    let mut phone = Phone::up(&first, "+15550005678");
    phone.speak(&wav::to_ulaw(&wav::sine(SAID_HZ, 0.5)));
    phone.hang_up();
    first.wait_idle();
    let path = until(SOON, "a file", || only_file(&first.dir.join("data/recordings")));
    first.wait_recorded(&path);
    let made = only(&first);
    assert_eq!((&made["state"], &made["call_id"]), (&json!("complete"), &json!(id(&path))));
    let address = format!("/api/v1/calls/{}/recording", id(&path));
    for method in ["GET", "DELETE"] {
        let told = expect(&second, 404, method, &address, None);
        assert_eq!(told["detail"], "the recording is not on this server", "{method}");
    }
    assert_eq!(listed(&second, ""), [made]);
    expect(&first, 204, "DELETE", &address, None);
    assert!(!path.exists());
    assert_eq!(listed(&second, ""), [] as [Value; 0]);
    first.stop();
    second.stop();
}
