//! PJSIP calls, is called, registers, encrypts and holds; both sides are known by their tones.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use support::pjsua::{self, Pjsua, Setup};
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

/// Nothing that came was forged or heard before.
#[track_caller]
fn assert_authentic(server: &Server) {
    assert_eq!(server.metric("reason=\"unauthentic\""), 0.0);
    assert_eq!(server.metric("reason=\"replayed\""), 0.0);
}

/// PJSIP calls, in several codecs, over UDP and TCP, plain and with SRTP; both sides hear each
/// other, over a hold too, and PJSIP hangs up.
#[test]
fn pjsip_calls_and_holds() {
    let Some(python) = pjsua::installed() else { return };
    for (codec, transport, srtp) in
        [("PCMU", "udp", "off"), ("G722", "tcp", "optional"), ("PCMA", "udp", "required")]
    {
        let policy = if srtp == "required" { srtp } else { "optional" };
        let more = format!("[sip]\nsrtp = \"{policy}\"\ncodecs = [\"{codec}\"]\n");
        let (server, agents) = talk::server(&more);
        let setup = Setup { codec, transport, srtp, ..Setup::default() };
        let phone = Pjsua::start(&python, &server, &setup);
        phone.command(&format!("call {};transport={transport}", server.uri("bot")));
        let mut agent = talk::answered(&agents);
        talk::talk(&mut agent, pjsua::HZ);
        phone.command("hold 0");
        phone.wait_for("held 0");
        phone.command("resume 0");
        phone.wait_for_times("media 0", 2);
        talk::talk(&mut agent, pjsua::HZ);
        assert_authentic(&server);
        wav::assert_heard(&phone.end(0), AGENT_HZ, pjsua::HZ, 2.0 * HEARD_S);
        assert_eq!(agent.event("stop")["by"], "caller");
        server.wait_idle();
        server.stop();
    }
}

/// PJSIP is called, plain and with SRTP; both sides hear each other, and the server hangs up.
#[test]
fn pjsip_is_called() {
    let Some(python) = pjsua::installed() else { return };
    for srtp in ["off", "required"] {
        let (server, agents) = talk::server(&format!("[sip]\nsrtp = \"{srtp}\"\n"));
        let phone = Pjsua::start(&python, &server, &Setup { srtp, ..Setup::default() });
        let call = server.place(&phone.uri, "bot");
        let mut agent = talk::answered(&agents);
        talk::talk(&mut agent, pjsua::HZ);
        assert_authentic(&server);
        server.hang_up(call["id"].as_str().unwrap());
        phone.wait_for("call 0 disconnected 200");
        wav::assert_heard(&phone.end(0), AGENT_HZ, pjsua::HZ, HEARD_S);
        server.wait_idle();
        server.stop();
    }
}

/// PJSIP registers by its password, over UDP, TCP and TLS, the last with SRTP, and is called by its
/// name; both hear each other. When it ends it takes the registration back.
#[test]
fn pjsip_registers_and_is_called() {
    let Some(python) = pjsua::installed() else { return };
    for transport in ["udp", "tcp", "tls"] {
        let ports = Ports::claim();
        let port = ports.pair();
        let (folder, ca, lines) = talk::secured(port);
        let secure = transport == "tls";
        let more = format!("[sip]\n{lines}{USERS}");
        let (server, agents) = talk::server_on(ports, folder, &more);
        let setup = Setup {
            transport,
            srtp: if secure { "required" } else { "off" },
            account: Some(ALICE),
            registrar: secure.then_some(port),
            authority: Some(&ca),
            ..Setup::default()
        };
        let phone = Pjsua::start(&python, &server, &setup);
        phone.wait_for("registered 200");
        wait_registered(&server, 1.0);
        let call = server.place("alice", "bot");
        let mut agent = talk::answered(&agents);
        talk::talk(&mut agent, pjsua::HZ);
        assert_authentic(&server);
        server.hang_up(call["id"].as_str().unwrap());
        server.wait_idle();
        wav::assert_heard(&phone.end(0), AGENT_HZ, pjsua::HZ, HEARD_S);
        wait_registered(&server, 0.0);
        assert!(!server.log().contains(ALICE.1));
        server.stop();
    }
}
