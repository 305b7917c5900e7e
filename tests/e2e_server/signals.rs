//! Starts that end before they have come to anything: by signals, whatever they wait for, and by
//! faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use support::ports::Ports;
use support::server::{self, Server};
use support::until;

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// How long a start that was called off may take to end: less than a database is waited for.
const AT_ONCE: Duration = Duration::from_secs(8);

const CONFIG: &str = "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n";

/// The end of a pipe that somebody reads at `path`, if somebody does yet.
fn read_by_somebody(path: &Path) -> Option<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).ok()
}

/// The exit code of a program that a signal has ended, as a shell tells it.
fn code(signal: i32) -> Option<i32> {
    Some(128 + signal)
}

/// Sends a signal to a server that waits for something; it ends by it at once, says so, and has
/// neither served nor panicked. What it said.
#[track_caller]
fn call_off(server: &mut Server, said: &Receiver<String>, signal: i32) -> Vec<String> {
    server.send(signal);
    let status = server.wait(AT_ONCE).expect("the server does not end");
    let log = server.log();
    assert_eq!(status.code(), code(signal), "{status}; log:\n{log}");
    let name = if signal == libc::SIGINT { "SIGINT" } else { "SIGTERM" };
    assert!(log.contains(&format!("talkpath: {name} while it started")), "{log}");
    assert!(!log.contains("panicked"), "{log}");
    let said: Vec<String> = said.iter().collect();
    assert!(!said.iter().any(|line| line.starts_with("talkpath listens")), "{said:?}");
    said
}

/// A server that is told to end while it reads its configuration ends, and has made nothing. The
/// configuration is a pipe into which nobody writes.
#[test]
fn a_server_that_reads_its_configuration_ends() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let folder = server::folder();
        let file = folder.join("pipe.toml");
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        let (mut server, said) = Server::spawn(Ports::claim(), folder, &file, &[]);
        let pipe = until(SOON, "it reads its configuration", || read_by_somebody(&file));
        assert_eq!(call_off(&mut server, &said, signal), [] as [String; 0]);
        assert!(!server.dir.join("data").exists(), "it has made something");
        drop(pipe);
    }
}

/// A server whose database takes the connection and never says a word ends when it is told to. The
/// next, in the same folder, starts as if there had been none.
#[test]
fn a_server_whose_database_is_silent_ends() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let database = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("postgres://u:p@{}/calls", database.local_addr().unwrap());
        let folder = server::folder();
        let file = folder.join("talkpath.toml");
        std::fs::write(&file, CONFIG).unwrap();
        let environment = [("TALKPATH_DATABASE_URL", url.as_str())];
        let (mut server, said) = Server::spawn(Ports::claim(), folder, &file, &environment);
        database.set_nonblocking(true).unwrap();
        // Held, so that it waits for an answer.
        let held = until(SOON, "it asks its database", || database.accept().ok());
        assert_eq!(call_off(&mut server, &said, signal), [] as [String; 0]);
        drop(held);
        let folder = server.dir.clone();
        server.leave_files();
        drop(server);
        let next = Server::start_in(folder, CONFIG);
        assert!(!next.key.is_empty(), "the first key is made once");
        next.stop();
    }
}

/// The first key of all is shown although the start fails after it was made, for it is not made
/// again: here HTTP cannot listen.
#[test]
fn the_first_key_is_shown_whatever_becomes_of_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = server::folder();
    let file = folder.join("talkpath.toml");
    std::fs::write(&file, CONFIG).unwrap();
    let environment = [("TALKPATH_HTTP_LISTEN", address.as_str())];
    let (mut server, said) = Server::spawn(Ports::claim(), folder, &file, &environment);
    let status = server.wait(SOON).expect("the server does not end");
    assert_eq!(status.code(), Some(1), "{status}; log:\n{}", server.log());
    assert!(server.log().contains("http.listen: HTTP on "), "{}", server.log());
    let shown = said.iter().find_map(|line| {
        line.split_once("API key, shown only now: ").map(|(_, key)| key.trim().to_owned())
    });
    let key = shown.expect("the first key was not shown");
    let folder = server.dir.clone();
    server.leave_files();
    drop(server);
    let mut next = Server::start_in(folder, CONFIG);
    assert_eq!(next.key, "", "a second first key");
    next.key = key;
    assert_eq!(next.http("GET", "/api/v1/calls", None).0, 200);
    next.stop();
}
