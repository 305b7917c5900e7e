//! Pipecat, with its stock serializer and transport, is the agent of a call.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use support::peers;
use support::phone::Phone;
use support::server::Server;
use support::{until, wav};

/// What pipecat's imports may take on a busy machine.
const START: Duration = Duration::from_secs(120);
/// What the phone says, and what nobody says.
const TONE_HZ: f64 = 1_000.0;
const OTHER_HZ: f64 = 697.0;

/// A process that ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A call's audio comes back through pipecat's own transport, serializer and pipeline: the tone
/// that the phone plays is what it hears, and nothing else.
#[test]
fn a_call_comes_back_through_pipecat() {
    let Some(python) = peers::python() else { return };
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/pipecat_echo.py");
    let pipecat = Command::new(python).arg(example).arg(port.to_string()).spawn().unwrap();
    let mut pipecat = Process(pipecat);
    until(START, "pipecat listens", || {
        assert!(pipecat.0.try_wait().unwrap().is_none(), "pipecat has ended");
        TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let server = Server::start(&format!(
        "[[agents]]\nname = \"pipecat\"\nkind = \"websocket\"\ndialect = \"twilio\"\n\
         url = \"ws://127.0.0.1:{port}/\"\nconnect_timeout_ms = 20000\n"
    ));
    let mut phone = Phone::up(&server, "+15550005678");
    phone.speak(&wav::to_ulaw(&wav::sine(TONE_HZ, 4.0)));
    let heard = phone.wait_audio("three seconds of sound", |heard| {
        let samples: Vec<i16> = heard.iter().map(|code| wav::ulaw(*code)).collect();
        let found = wav::listen(&samples, TONE_HZ, OTHER_HZ);
        (found.stretches >= 33).then_some(samples)
    });
    wav::assert_heard(&heard, TONE_HZ, OTHER_HZ, 3.0);
    phone.assert_one_stream();
    phone.hang_up();
    server.wait_idle();
    server.stop();
}
