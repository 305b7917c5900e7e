//! Sound in parts: what browsers ask for to wind in a recording and in a message of a caller, and
//! what a download is taken up again by.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use support::phone::Phone;
use support::ports::Ports;
use support::server::{Server, expect, folder};
use support::store::Schema;
use support::{until_told, wav};

const SAID_HZ: f64 = 700.0;
const BEEP_HZ: f64 = 1_000.0;
const SOON: Duration = Duration::from_secs(15);
/// Bytes of a header of WAV.
const HEADER_BYTES: usize = 44;

const CONFIG: &str = "[[agents]]\nname = \"tone\"\nkind = \"builtin\"\nbuiltin = \"tone\"\n\
    frequency_hz = 440\n\
    [[agents]]\nname = \"box\"\nkind = \"builtin\"\nbuiltin = \"voicemail\"\n\
    [[routes]]\nto = \"*\"\nagent = \"tone\"\nrecord = true\n\
    [[routes]]\nto = \"box\"\nagent = \"box\"\n";

/// Asks for `file` at `address` in every way.
#[track_caller]
fn check_parts(server: &Server, address: &str, file: &[u8]) {
    let length = file.len();
    let whole = server.http_answer(&[], "GET", address);
    assert_eq!((whole.status, whole.body.as_slice()), (200, file));
    assert_eq!(whole.field("accept-ranges"), Some("bytes"));
    assert_eq!(whole.field("content-range"), None);
    let tag = whole.field("etag").unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() > 4, "{tag} is a strong one");

    let last = length - 1;
    // A part that is longer than what is read of a file at a time is among them.
    for (range, from, to) in [
        ("bytes=0-".to_owned(), 0, last),
        ("bytes=0-43".to_owned(), 0, HEADER_BYTES - 1),
        (format!("bytes={last}-"), last, last),
        ("bytes=1001-".to_owned(), 1_001, last),
        ("bytes=-320".to_owned(), length - 320, last),
        (format!("bytes=-{}", length + 1), 0, last),
        (format!("bytes=7-{}", length * 2), 7, last),
    ] {
        let part = server.http_answer(&[("Range", &range)], "GET", address);
        assert_eq!((part.status, part.body.as_slice()), (206, &file[from..=to]), "{range}");
        let place = format!("bytes {from}-{to}/{length}");
        assert_eq!(part.field("content-range"), Some(place.as_str()), "{range}");
        assert_eq!(part.field("content-length"), Some((to - from + 1).to_string().as_str()));
        assert_eq!(part.field("content-type"), Some("audio/wav"));
        assert_eq!(part.field("etag"), Some(tag.as_str()), "{range}");
    }
    for range in ["bytes=0-1,4-5", "bytes=9-3", "bytes=x-", "samples=0-1"] {
        let ignored = server.http_answer(&[("Range", range)], "GET", address);
        assert_eq!((ignored.status, ignored.body.as_slice()), (200, file), "{range}");
    }
    for range in [format!("bytes={length}-"), "bytes=-0".to_owned()] {
        let refused = server.http_answer(&[("Range", &range)], "GET", address);
        assert_eq!(refused.status, 416, "{range}");
        assert_eq!(refused.field("content-range"), Some(format!("bytes */{length}").as_str()));
        let problem: Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!(problem["type"], "/problems/no-such-range");
    }

    let only_of = |tag: &str| {
        let fields = [("Range", "bytes=0-9"), ("If-Range", tag)];
        server.http_answer(&fields, "GET", address).status
    };
    assert_eq!((only_of(&tag), only_of("\"another\"")), (206, 200));

    let head = server.http_answer(&[("Range", "bytes=0-9")], "HEAD", address);
    assert_eq!((head.status, head.body.len()), (200, 0), "ranges are of GET alone");
    for field in ["content-length", "content-type", "accept-ranges", "etag"] {
        assert_eq!(head.field(field), whole.field(field), "{field}");
    }
}

/// Changes the last byte of a file, and nothing of its length.
fn change(path: &Path) {
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let last = std::fs::read(path).unwrap().pop().unwrap();
    file.seek(SeekFrom::End(-1)).unwrap();
    file.write_all(&[!last]).unwrap();
}

/// A recording is served in parts once it is complete, and before that not at all: how long it is
/// nobody knows. What has changed in its place has another tag.
#[test]
fn a_recording_is_served_in_parts() {
    let server = Server::start(CONFIG);
    let mut phone = Phone::up(&server, "+15550005678");
    let call = server.calls()[0]["id"].as_str().unwrap().to_owned();
    let address = format!("/api/v1/calls/{call}/recording");
    for method in ["GET", "HEAD"] {
        let early = server.http_answer(&[("Range", "bytes=0-9")], method, &address);
        assert_eq!((early.status, early.field("content-range")), (409, None), "{method}");
    }
    // Its file is longer than two chunks of 64 KiB.
    phone.speak(&wav::to_ulaw(&wav::sine(SAID_HZ, 4.5)));
    phone.hang_up();
    server.wait_idle();
    let path = server.dir.join("data/recordings").join(format!("{call}.wav"));
    server.wait_recorded(&path);
    let file = std::fs::read(&path).unwrap();
    assert!(file.len() > 2 * 64 * 1_024, "{}", file.len());
    check_parts(&server, &address, &file);

    let tag = server.http_answer(&[], "HEAD", &address).field("etag").unwrap().to_owned();
    change(&path);
    let fields = [("Range", "bytes=0-9"), ("If-Range", tag.as_str())];
    let other = server.http_answer(&fields, "GET", &address);
    assert_eq!((other.status, other.body), (200, std::fs::read(&path).unwrap()));

    expect(&server, 204, "DELETE", &address, None);
    let gone = server.http_answer(&[("Range", "bytes=0-9")], "GET", &address);
    assert_eq!(gone.status, 404);
    server.stop();
}

/// So is a message that a caller has left.
#[test]
fn a_message_is_served_in_parts() {
    let server = Server::start(CONFIG);
    let mut phone = Phone::up(&server, "box");
    phone.wait_audio("the beep, and silence behind it", |audio| {
        let heard: Vec<i16> = audio.iter().map(|code| wav::ulaw(*code)).collect();
        let (before, tail) = heard.split_at(heard.len().checked_sub(800)?);
        let beeped = wav::stretches(before, &[BEEP_HZ], &[]).0 >= 3;
        (beeped && tail.iter().all(|sample| *sample == 0)).then_some(())
    });
    phone.speak(&wav::to_ulaw(&wav::sine(SAID_HZ, 1.0)));
    phone.hang_up();
    let message = until_told(SOON, "the message", || {
        let page = expect(&server, 200, "GET", "/api/v1/voicemails", None);
        page["items"].as_array()?.first().cloned()
    });
    assert_eq!(message["agent"], json!("box"));
    let id = message["id"].as_str().unwrap();
    let address = format!("/api/v1/voicemails/{id}/audio");
    assert_eq!(server.http_bytes("GET", &address).0, 200, "it waits for the last of the file");
    let file = std::fs::read(server.dir.join("data/voicemail").join(format!("{id}.wav"))).unwrap();
    check_parts(&server, &address, &file);
    server.finish();
}

/// Of servers that share a database and a folder each serves what the other has recorded, under the
/// same tag, and neither serves nor deletes what the other is recording.
#[test]
fn a_file_that_another_server_writes_is_not_served() {
    let Some(schema) = Schema::make() else {
        eprintln!("skipped: two servers share a PostgreSQL, and there is none");
        return;
    };
    let seal = format!("k1:{}=", "A".repeat(43));
    let environment =
        [("TALKPATH_DATABASE_URL", schema.url.as_str()), ("TALKPATH_SEAL_KEYS", seal.as_str())];
    let first_folder = folder();
    let tapes = first_folder.join("tapes");
    let config = format!(
        "[[agents]]\nname = \"tone\"\nkind = \"builtin\"\nbuiltin = \"tone\"\n\
         frequency_hz = 440\n[[routes]]\nto = \"*\"\nagent = \"tone\"\n\
         record = {{ folder = \"{}\" }}\n",
        tapes.display()
    );
    let first = Server::start_with(Ports::claim(), first_folder, &config, &environment);
    let mut second = Server::start_with(Ports::claim(), folder(), &config, &environment);
    second.key.clone_from(&first.key);

    let mut phone = Phone::up(&first, "+15550005678");
    let call = first.calls()[0]["id"].as_str().unwrap().to_owned();
    let path = tapes.join(format!("{call}.wav"));
    let address = format!("/api/v1/calls/{call}/recording");
    phone.speak(&wav::to_ulaw(&wav::sine(SAID_HZ, 0.5)));
    // The second server knows of the call once the first has written its beginning down.
    until_told(SOON, "it is being recorded", || {
        (second.http_bytes("GET", &address).0 == 409).then_some(())
    });
    assert!(path.is_file());
    expect(&second, 409, "DELETE", &address, None);
    phone.hang_up();
    first.wait_idle();
    first.wait_recorded(&path);
    second.wait_recorded(&path);
    let file = std::fs::read(&path).unwrap();
    let answers = [&first, &second].map(|server| server.http_answer(&[], "GET", &address));
    assert!(answers.iter().all(|answer| answer.body == file));
    assert_eq!(answers[0].field("etag"), answers[1].field("etag"));
    first.stop();
    second.stop();
}
