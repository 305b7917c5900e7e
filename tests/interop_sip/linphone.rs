//! linphone calls, is called, registers, encrypts, holds and transfers; everybody is known by their
//! tones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use support::linphone::{self, Linphone, Setup};
use support::ports::Ports;
use support::server::Server;
use support::talk::{self, AGENT_HZ, HEARD_S};
use support::{until, wav};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// alice may register.
const ALICE: (&str, &str) = ("alice", "wonderland");
const USERS: &str = "[[users]]\nname = \"alice\"\npassword = \"wonderland\"\n";

/// Waits until so many telephones are registered.
#[track_caller]
fn wait_registered(server: &Server, count: f64) {
    until(SOON, "registrations", || {
        ((server.metric("talkpath_sip_bindings") - count).abs() < 0.5).then_some(())
    });
}

/// Fails if anything that came was not authentic, but for one packet that linphone may send before
/// it has put our key to work. It counts its reports anew after a hold, under the same key.
#[track_caller]
fn assert_authentic(server: &Server, holds: u32) {
    assert!(server.metric("reason=\"unauthentic\"") < 2.0);
    assert!(server.metric("reason=\"replayed\"") <= f64::from(2 * holds));
}

/// linphone calls, in either codec, over UDP and TCP, plain and with SRTP; both sides hear each
/// other, and linphone hangs up.
#[test]
fn linphone_calls() {
    let Some(()) = linphone::installed() else { return };
    for (codec, transport, srtp) in
        [("PCMU", "udp", false), ("PCMA", "tcp", false), ("PCMA", "udp", true)]
    {
        let policy = if srtp { "[sip]\nsrtp = \"required\"\n" } else { "" };
        let (server, agents) = talk::server(policy);
        let setup = Setup { codec, transport, srtp, ..Setup::default() };
        let mut phone = Linphone::start(&server, &setup);
        phone.command(&format!("call {};transport={transport}", server.uri("bot")));
        let mut agent = talk::answered(&agents);
        talk::talk(&mut agent, linphone::HZ);
        assert_authentic(&server, 0);
        wav::assert_heard(&phone.end(), AGENT_HZ, linphone::HZ, HEARD_S);
        assert_eq!(agent.event("stop")["by"], "caller");
        server.wait_idle();
        server.stop();
    }
}

/// linphone is called, plain and with SRTP; both sides hear each other, and the server hangs up,
/// which linphone takes for the end.
#[test]
fn linphone_is_called() {
    let Some(()) = linphone::installed() else { return };
    for srtp in [false, true] {
        let policy = if srtp { "[sip]\nsrtp = \"required\"\n" } else { "" };
        let (server, agents) = talk::server(policy);
        let phone = Linphone::start(&server, &Setup { srtp, ..Setup::default() });
        let call = server.place(&format!("sip:linphone@127.0.0.1:{}", phone.port), "bot");
        let mut agent = talk::answered(&agents);
        talk::talk(&mut agent, linphone::HZ);
        assert_authentic(&server, 0);
        server.hang_up(call["id"].as_str().unwrap());
        phone.wait_for("ended (");
        wav::assert_heard(&phone.end(), AGENT_HZ, linphone::HZ, HEARD_S);
        server.wait_idle();
        server.stop();
    }
}

/// linphone registers by its password, over UDP, TCP and TLS, the last with SRTP, whichever
/// algorithms the server names first; it is called by its name and both hear each other. When it
/// ends it takes the registration back.
#[test]
fn linphone_registers_and_is_called() {
    let Some(()) = linphone::installed() else { return };
    for transport in ["udp", "tcp", "tls"] {
        let ports = Ports::claim();
        let port = ports.pair();
        let (folder, ca, lines) = talk::secured(port);
        let (srtp, policy) = (transport == "tls", "srtp = \"optional\"\n");
        let more = format!("[sip]\n{lines}{policy}{USERS}");
        let (server, agents) = talk::server_on(ports, folder, &more);
        let setup = Setup {
            transport,
            srtp,
            account: Some(ALICE),
            registrar: srtp.then_some(port),
            authority: Some(&ca),
            ..Setup::default()
        };
        let phone = Linphone::start(&server, &setup);
        wait_registered(&server, 1.0);
        let call = server.place("alice", "bot");
        let mut agent = talk::answered(&agents);
        talk::talk(&mut agent, linphone::HZ);
        assert_authentic(&server, 0);
        server.hang_up(call["id"].as_str().unwrap());
        server.wait_idle();
        wav::assert_heard(&phone.end(), AGENT_HZ, linphone::HZ, HEARD_S);
        wait_registered(&server, 0.0);
        assert!(!server.log().contains(ALICE.1));
        server.stop();
    }
}

/// linphone calls with its password, holds and resumes, encrypted: the agent is told, and both hear
/// each other afterwards.
#[test]
fn linphone_holds() {
    let Some(()) = linphone::installed() else { return };
    let (server, agents) = talk::server(&format!("[sip]\nsrtp = \"required\"\n{USERS}"));
    let setup = Setup { srtp: true, account: Some(ALICE), ..Setup::default() };
    let mut phone = Linphone::start(&server, &setup);
    wait_registered(&server, 1.0);
    phone.command(&format!("call {}", server.uri("bot")));
    let mut agent = talk::answered(&agents);
    talk::talk(&mut agent, linphone::HZ);
    phone.command("pause");
    phone.wait_for("paused.");
    phone.command("resume");
    until(SOON, "the resumption", || {
        (phone.said().matches("Media streams established").count() == 2).then_some(())
    });
    talk::talk(&mut agent, linphone::HZ);
    assert_authentic(&server, 1);
    wav::assert_heard(&phone.end(), AGENT_HZ, linphone::HZ, 2.0 * HEARD_S);
    server.wait_idle();
    server.stop();
}
