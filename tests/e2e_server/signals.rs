//! Signals that end the server, whenever they come.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::ports::Ports;
use support::server::{self, Server};
use support::until;

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

const CONFIG: &str = "[[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n";

/// The end of a pipe that somebody reads at `path`, if somebody does yet.
fn read_by_somebody(path: &Path) -> Option<File> {
    OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path).ok()
}

/// A server that is told to end while it starts does so in order once it has started: it is not
/// killed by the signal. Its configuration is a pipe, so that it waits for what this test writes.
#[test]
fn a_server_that_starts_ends_in_order() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let folder = server::folder();
        let file = folder.join("pipe.toml");
        assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
        let (mut server, said) = Server::spawn(Ports::claim(), folder, &file, &[]);
        let mut pipe = until(SOON, "it reads its configuration", || read_by_somebody(&file));
        server.send(signal);
        // Where the signal has killed it, nobody reads this any more.
        let _ = pipe.write_all(CONFIG.as_bytes());
        drop(pipe);
        let status = server.wait(SOON).expect("the server does not end");
        let log = server.log();
        assert_eq!(status.code(), Some(0), "signal {signal}: {status}; log:\n{log}");
        assert!(!log.contains("panicked"), "{log}");
        let said: Vec<String> = said.iter().collect();
        let listens = said.iter().any(|line| line.starts_with("talkpath listens"));
        assert!(listens, "it had started: {said:?}");
    }
}
