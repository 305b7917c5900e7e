//! A softphone and a load generator over the transports beyond UDP and IPv4.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::UdpSocket;
use std::time::Duration;

use support::baresip::{self, Baresip, Setup};
use support::dns::{Dns, Record};
use support::gateway::{Gateway, Manner};
use support::ports::Ports;
use support::server::{self, Server};
use support::sipp::{self, PCMU, Run, Sipp};
use support::tls::Authority;
use support::{talk, until, wav};

const SOON: Duration = Duration::from_secs(15);
/// The tone of the server's side.
const SERVER_HZ: f64 = 1000.0;

/// baresip calls over TLS and hears the agent; BYE comes the same way.
#[test]
fn baresip_calls_over_tls() {
    let Some(()) = baresip::installed() else { return };
    let (folder, ports, authority) = (server::folder(), Ports::claim(), Authority::new());
    authority.write_identity(&folder, "server", "127.0.0.1");
    let ca = authority.write(&folder);
    let port = ports.pair();
    let config = format!(
        "[sip]\ntransports = [\"udp\"]\ntls_listen = \"127.0.0.1:{port}\"\n\
         tls_certificate = \"server.pem\"\ntls_key = \"server.key\"\n\
         [[agents]]\nname = \"tone\"\nkind = \"builtin\"\nbuiltin = \"tone\"\n\
         frequency_hz = 1000\n"
    );
    let server = Server::start_on(ports, folder, &config);
    let more = format!("sip_cafile {}", ca.display());
    let uri = format!("sip:tone@127.0.0.1:{port};transport=tls");
    let setup = Setup { codecs: "PCMU", dial: Some(&uri), more: &more, ..Setup::default() };
    let phone = Baresip::start_with(&server, &setup);
    until(SOON, "the call lasts", || {
        let lasted = server.calls().first().and_then(|call| call["duration_ms"].as_u64());
        lasted.is_some_and(|lasted| lasted >= 2_500).then_some(())
    });
    assert!(server.metric("talkpath_sip_connections") >= 1.0);
    let heard = phone.end();
    wav::assert_heard(&heard, SERVER_HZ, baresip::HZ, 1.5);
    server.wait_idle();
    server.stop();
}

/// baresip registers over TLS, by a certificate that it trusts, and is called by its name over that
/// connection, with SRTP or not at all: both sides hear each other, it hangs up, and takes its
/// registration back.
#[test]
fn baresip_registers_over_tls() {
    let Some(()) = baresip::installed() else { return };
    let ports = Ports::claim();
    let port = ports.pair();
    let (folder, ca, lines) = talk::secured(port);
    let config = format!(
        "[sip]\n{lines}srtp = \"required\"\nsrtp_over_plain = false\ndigest = [\"MD5\"]\n\
         [[users]]\nname = \"alice\"\npassword = \"wonderland\"\n"
    );
    let (server, agents) = talk::server_on(ports, folder, &config);
    let more = format!("sip_cafile {}", ca.display());
    let setup = Setup {
        codecs: "PCMU",
        account: ";mediaenc=srtp-mand",
        modules: &["srtp"],
        more: &more,
        ..Setup::default()
    };
    let at = ([127, 0, 0, 1], port).into();
    let phone = Baresip::register_with(&server, at, ("alice", "wonderland"), "tls", &setup);
    let bindings = |count: f64| {
        until(SOON, "registrations", || {
            ((server.metric("talkpath_sip_bindings") - count).abs() < 0.5).then_some(())
        });
    };
    bindings(1.0);
    server.place("alice", "bot");
    let mut agent = talk::answered(&agents);
    talk::talk(&mut agent, baresip::HZ);
    assert!(server.metric("reason=\"unauthentic\"") < 2.0);
    wav::assert_heard(&phone.end(), talk::AGENT_HZ, baresip::HZ, talk::HEARD_S);
    assert_eq!(agent.event("stop")["by"], "caller");
    server.wait_idle();
    bindings(0.0);
    server.stop();
}

/// SIPp calls over IPv6, by UDP and by TCP.
#[test]
fn sipp_calls_over_ipv6() {
    let Some(()) = sipp::installed() else { return };
    if UdpSocket::bind("[::1]:0").is_err() {
        return support::skip("this machine has no IPv6");
    }
    let ports = Ports::claim();
    let listen = format!("[::1]:{}", ports.pair());
    let environment = [("TALKPATH_SIP_LISTEN", listen.as_str())];
    let server = Server::start_with(ports, server::folder(), "", &environment);
    for transport in ["u1", "t1"] {
        let run = Run {
            scenario: "call.xml",
            fields: &[("FORMATS", PCMU.0), ("MAPS", PCMU.1), ("PLAY", ""), ("HOLD_MS", "200")],
            args: &["-t", transport, "-i", "::1", "-mi", "::1"],
            ..Run::default()
        };
        run.call(&server).succeed();
    }
    server.wait_idle();
    server.stop();
}

/// A gateway that SIPp plays: it says that it is there, and takes calls.
fn gateway(server: &Server, port: Option<u16>) -> Sipp {
    let fields = [("FORMATS", PCMU.0), ("MAPS", PCMU.1)];
    let scenario = "gateway.xml";
    let (calls, seconds) = (0, 120);
    Run { scenario, fields: &fields, port, calls, seconds, ..Run::default() }.wait_for_call(server)
}

/// A gateway that dies is found out by OPTIONS and passed over without asking it; the trunk is down
/// when both are, and comes back with the first, which takes the next call. Log and metric tell.
#[test]
fn gateways_die_and_come_back() {
    let Some(()) = sipp::installed() else { return };
    let ports = Ports::claim();
    let (one, two) = (ports.pair(), ports.pair());
    let config = format!(
        "[[trunks]]\nname = \"carrier\"\noptions_interval_s = 1\n\
         targets = [\"sip:127.0.0.1:{one}\", \"sip:127.0.0.1:{two}\"]\n"
    );
    let server = Server::start_on(ports, server::folder(), &config);
    let is_up = |up: f64| {
        until(SOON * 2, "another state of the trunk", || {
            (server.metric("talkpath_sip_trunk_up{trunk=\"carrier\"}") == up).then_some(())
        });
    };
    let told = |what: &str, port: u16, count: usize| {
        let line = format!("{what} peer=127.0.0.1:{port}");
        until(SOON * 2, &line, || (server.log().matches(&*line).count() >= count).then_some(()));
    };
    let call = |gateway: &Sipp| {
        let before = gateway.messages().matches("\nACK ").count();
        let wanted = serde_json::json!({ "to": "100", "trunk": "carrier", "agent": "echo" });
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
        assert_eq!(status, 201, "{body}");
        until(SOON, "the call at this gateway", || {
            (gateway.messages().matches("\nACK ").count() > before).then_some(())
        });
        let call: serde_json::Value = serde_json::from_str(&body).unwrap();
        server.hang_up(call["id"].as_str().unwrap());
        server.wait_idle();
    };
    let (first, second) = (gateway(&server, Some(one)), gateway(&server, Some(two)));
    first.until_message("OPTIONS sip:");
    is_up(1.0);
    call(&first);
    drop(first);
    told("SIP server is down", one, 1);
    is_up(1.0);
    call(&second);
    drop(second);
    is_up(0.0);
    assert!(server.log().contains("trunk is down: no server answers"));
    let first = gateway(&server, Some(one));
    told("SIP server is up", one, 1);
    is_up(1.0);
    call(&first);
    server.stop();
}

/// The second target of a trunk is a real user agent; the first is busy or silent.
#[test]
fn failed_targets_give_way_to_sipp() {
    let Some(()) = sipp::installed() else { return };
    for manner in [Manner::Refuses("503 Service Unavailable"), Manner::Silent] {
        let first = Gateway::start(manner);
        let dns = Dns::start(vec![("a.gw.test", Record::A([127, 0, 0, 1].into()))]);
        let server = Server::start(&format!(
            "[sip]\ndns_servers = [\"{}\"]\n[[trunks]]\nname = \"carrier\"\n\
             targets = [\"sip:{}\", \"sip:gw.test;transport=udp\"]\n",
            dns.address, first.address
        ));
        let run = Run {
            scenario: "called.xml",
            fields: &[("FORMATS", PCMU.0), ("MAPS", PCMU.1), ("PLAY", "")],
            ..Run::default()
        };
        let called = run.wait_for_call(&server);
        dns.add("_sip._udp.gw.test", Record::Srv(1, 1, called.port, "a.gw.test"));
        let wanted = serde_json::json!({ "to": "100", "trunk": "carrier", "agent": "echo" });
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
        assert_eq!(status, 201, "{body}");
        let call: serde_json::Value = serde_json::from_str(&body).unwrap();
        until(SOON, "the answer", || {
            server.calls().iter().find(|call| call["state"] == "answered").cloned()
        });
        server.hang_up(call["id"].as_str().unwrap());
        called.succeed();
        assert!(!first.heard("INVITE ").is_empty());
        server.wait_idle();
        server.stop();
    }
}
