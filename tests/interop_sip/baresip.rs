//! A softphone calls and is called; both sides are known by their tones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::baresip::{self, Baresip};
use support::ear::{self, Rtp};
use support::server::Server;
use support::{until, wav};

/// The tone of the server's side.
const SERVER_HZ: f64 = 1000.0;
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// How long a call lasts before it is judged, by the agent's own account.
const TALK_MS: u64 = 2_500;
/// A packet's worth of time.
const FRAME: Duration = Duration::from_millis(20);
/// How much of that must be heard, in seconds: each side takes a moment to begin.
const HEARD_S: f64 = 1.5;

/// A server with an agent that says its tone, and one that keeps what it hears.
fn server() -> Server {
    let dir = support::server::folder();
    fs::create_dir(dir.join("kept")).unwrap();
    let config = r#"
        [[agents]]
        name = "tone"
        kind = "builtin"
        builtin = "tone"
        frequency_hz = 1000

        [[agents]]
        name = "record"
        kind = "builtin"
        builtin = "record"
        folder = "{dir}/kept"
    "#;
    Server::start_in(dir, config)
}

/// Waits until the one call has lasted long enough to be judged.
#[track_caller]
fn talk(server: &Server) {
    until(SOON, "the call lasts", || {
        let calls = server.calls();
        let lasted = calls.first().and_then(|call| call["duration_ms"].as_u64());
        lasted.is_some_and(|lasted| lasted >= TALK_MS).then_some(())
    });
}

/// The one recording, once it is complete.
#[track_caller]
fn kept(server: &Server) -> Vec<i16> {
    let folder = server.dir.join("kept");
    let file: PathBuf = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    server.wait_recorded(&file);
    wav::read(&file)
}

/// baresip calls, in either codec, and hears the agent's tone and nothing of its own.
#[test]
fn caller_hears_the_agent() {
    let Some(()) = baresip::installed() else { return };
    for codec in ["PCMU", "PCMA"] {
        let server = server();
        let phone = Baresip::start(&server, codec, Some(&server.uri("tone")));
        talk(&server);
        let heard = phone.end();
        wav::assert_heard(&heard, SERVER_HZ, baresip::HZ, HEARD_S);
        server.wait_idle();
        server.stop();
    }
}

/// baresip calls, and the agent hears its tone; the server hangs up, which baresip takes for the
/// end.
#[test]
fn agent_hears_the_caller() {
    let Some(()) = baresip::installed() else { return };
    let server = server();
    let phone = Baresip::start(&server, "PCMA", Some(&server.uri("record")));
    talk(&server);
    server.hang_up(server.calls()[0]["id"].as_str().unwrap());
    server.wait_idle();
    until(SOON, "baresip notes the end", || phone.log().contains("terminated").then_some(()));
    wav::assert_heard(&kept(&server), baresip::HZ, SERVER_HZ, HEARD_S);
    server.stop();
}

/// baresip is called, in either codec, and hears the agent's tone and nothing of its own.
#[test]
fn called_hears_the_agent() {
    let Some(()) = baresip::installed() else { return };
    for codec in ["PCMU", "PCMA"] {
        let server = server();
        let phone = Baresip::start(&server, codec, None);
        let to = format!("sip:alice@127.0.0.1:{}", phone.port);
        let call = server.place(&to, "tone");
        talk(&server);
        server.hang_up(call["id"].as_str().unwrap());
        server.wait_idle();
        wav::assert_heard(&phone.end(), SERVER_HZ, baresip::HZ, HEARD_S);
        server.stop();
    }
}

/// baresip is called and hangs up; the agent has heard its tone.
#[test]
fn agent_hears_the_called() {
    let Some(()) = baresip::installed() else { return };
    let server = server();
    let phone = Baresip::start(&server, "PCMA", None);
    server.place(&format!("sip:alice@127.0.0.1:{}", phone.port), "record");
    talk(&server);
    phone.end();
    server.wait_idle();
    wav::assert_heard(&kept(&server), baresip::HZ, SERVER_HZ, HEARD_S);
    server.stop();
}

/// Both directions at once, through an agent that takes and sends RTP: each side hears the other's
/// tone and nothing of its own, though the caller speaks A-law and the agent µ-law.
#[test]
fn both_hear_each_other() {
    let Some(()) = baresip::installed() else { return };
    let agent = UdpSocket::bind("127.0.0.1:0").unwrap();
    agent.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    let config = format!(
        "[[agents]]\nname = \"rtp\"\nkind = \"rtp\"\nurl = \"rtp://{}\"\n\
         format = {{ codec = \"PCMU\" }}\n",
        agent.local_addr().unwrap()
    );
    let server = Server::start(&config);
    let phone = Baresip::start(&server, "PCMA", Some(&server.uri("rtp")));
    let heard = converse(&agent);
    let heard_by_phone = phone.end();
    ear::assert_continuous(&heard, &[0]);
    wav::assert_heard(&ear::samples(&heard), baresip::HZ, SERVER_HZ, HEARD_S);
    wav::assert_heard(&heard_by_phone, SERVER_HZ, baresip::HZ, HEARD_S);
    server.wait_idle();
    server.stop();
}

/// An agent on `socket`: from the first packet that it hears on, it says one of the server's tone
/// every 20 ms, until it has heard and said enough.
#[track_caller]
fn converse(socket: &UdpSocket) -> Vec<Rtp> {
    let tone = wav::to_ulaw(&wav::sine(SERVER_HZ, 1.0));
    let mut frames = tone.chunks_exact(160).cycle();
    let enough = usize::try_from(TALK_MS / 20).unwrap();
    let (mut heard, mut said): (Vec<Rtp>, u32) = (Vec::new(), 0);
    let mut caller = None;
    let mut buffer = [0; 2048];
    let mut due = Instant::now();
    let end = due + SOON;
    while heard.len() < enough || (said as usize) < enough {
        assert!(Instant::now() < end, "the agent has heard {} packets, said {said}", heard.len());
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            heard.push(Rtp::parse(Instant::now(), &buffer[..length]));
            caller = Some(from);
        }
        let Some(caller) = caller.filter(|_| Instant::now() >= due) else { continue };
        let mut packet = vec![0x80, 0];
        packet.extend(u16::try_from(said).unwrap().to_be_bytes());
        packet.extend((said * 160).to_be_bytes());
        packet.extend(77_u32.to_be_bytes());
        packet.extend(frames.next().unwrap());
        socket.send_to(&packet, caller).unwrap();
        said += 1;
        // After a stall of this thread it goes on as if nothing had been: a burst would be dropped.
        due = (due + FRAME).max(Instant::now());
    }
    heard
}
