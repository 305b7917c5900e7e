//! Digest authentication and registration with programs that we did not write (RFC 7616,
//! RFC 8760, RFC 3261 10 and 22).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::time::Duration;

use support::baresip::{self, Baresip};
use support::ear::{self, Ear};
use support::kamailio::{self, Kamailio, Line};
use support::ports::Ports;
use support::server::Server;
use support::sipp::{self, Run};
use support::{until, wav};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// The tone of the agent, and one that nobody makes.
const TONE_HZ: f64 = 1000.0;
const OTHER_HZ: f64 = 697.0;

/// A tone for everybody who proves to be alice, or calls as the trunk. SIPp 3.6 and baresip 1.0
/// take part with the defaults.
const USERS: &str = r#"
    [[agents]]
    name = "tone"
    kind = "builtin"
    builtin = "tone"
    frequency_hz = 1000

    [[users]]
    name = "alice"
    password = "wonderland"

    [[trunks]]
    name = "roaming"
    auth = "digest"
    username = "roamer"
    password = "roamers-secret"
"#;

/// SIPp calls as `user` and hears the tone.
#[track_caller]
fn called_with(server: &Server, user: &str, password: &str) {
    let port = server.ports.pair();
    let ear = Ear::listen(port);
    let fields = [("USER", user), ("PASSWORD", password), ("HOLD_MS", "1500")];
    let run = Run {
        scenario: "auth_call.xml",
        fields: &fields,
        ear: Some(port),
        user: "tone",
        ..Run::default()
    };
    run.call(server).succeed();
    let heard = ear.packets();
    ear::assert_continuous(&heard, &[8]);
    wav::assert_heard(&ear::samples(&heard), TONE_HZ, OTHER_HZ, 1.0);
    server.wait_idle();
}

/// A user and a trunk prove who they are with MD5 and are heard; whoever does not know the password
/// is challenged again, and nothing is left of it.
#[test]
fn callers_prove_who_they_are() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(USERS);
    called_with(&server, "alice", "wonderland");
    called_with(&server, "roamer", "roamers-secret");
    for (user, password) in [("alice", "looking-glass"), ("nobody", "wonderland")] {
        let fields = [("USER", user), ("PASSWORD", password)];
        Run { scenario: "auth_wrong.xml", fields: &fields, ..Run::default() }
            .call(&server)
            .succeed();
    }
    assert!(server.calls().is_empty());
    for (outcome, count) in [("proven", 2.0), ("challenged", 6.0), ("failed", 2.0)] {
        let line = format!("talkpath_sip_auth_total{{outcome=\"{outcome}\"}}");
        assert!((server.metric(&line) - count).abs() < 0.1, "{outcome}: {}", server.metric(&line));
    }
    let log = server.log();
    assert!(!log.contains("wonderland") && !log.contains("looking-glass"), "{log}");
    server.stop();
}

/// baresip registers with its password, over UDP and over TCP, and is called by its name: over TCP
/// by the connection that it has opened, as it listens on none. It hears the agent; when it ends it
/// says so, and then nobody is there to be called.
#[test]
fn telephone_registers_and_is_called() {
    let Some(()) = baresip::installed() else { return };
    for transport in ["udp", "tcp"] {
        let server = Server::start(USERS);
        let phone = Baresip::register(&server, "alice", "wonderland", transport);
        until(SOON, "the telephone is registered", || {
            (server.metric("talkpath_sip_bindings") > 0.5).then_some(())
        });
        let to = if transport == "udp" { "alice".to_owned() } else { server.uri("alice") };
        let call = server.place(&to, "tone");
        until(SOON, "the call lasts", || {
            let calls = server.calls();
            let lasted = calls.first().and_then(|call| call["duration_ms"].as_u64());
            lasted.is_some_and(|lasted| lasted >= 2_500).then_some(())
        });
        server.hang_up(call["id"].as_str().unwrap());
        server.wait_idle();
        wav::assert_heard(&phone.end(), TONE_HZ, baresip::HZ, 1.5);
        until(SOON, "the telephone has left", || {
            (server.metric("talkpath_sip_bindings") < 0.5).then_some(())
        });
        let wanted = serde_json::json!({ "to": to, "agent": "tone" });
        let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
        assert_eq!(status, 400, "{body}");
        server.stop();
    }
}

/// A telephone with the wrong password does not get in, and its password is not in the log.
#[test]
fn telephone_with_the_wrong_password() {
    let Some(()) = baresip::installed() else { return };
    let server = Server::start(USERS);
    let phone = Baresip::register(&server, "alice", "looking-glass", "udp");
    until(SOON, "the telephone was refused", || {
        (server.metric("outcome=\"failed\"") > 0.5).then_some(())
    });
    assert!(server.metric("talkpath_sip_bindings") < 0.5);
    assert!(!server.log().contains("looking-glass"));
    drop(phone);
    server.stop();
}

/// Those who are called want credentials, as a server (401) and as a proxy (407), for the INVITE
/// and, with another nonce, for the BYE: they get them, and audio flows in between.
#[test]
fn called_want_credentials() {
    let Some(()) = sipp::installed() else { return };
    let config = |password: &str| {
        format!(
            "{USERS}\n[[trunks]]\nname = \"asks\"\npeers = \"127.0.0.1\"\nusername = \"us\"\n\
             password = \"{password}\"\n"
        )
    };
    // It looks at the credentials for a server alone; those for a proxy are judged by Kamailio.
    let whole = "<verifyauth assign_to=\"proven\" username=\"us\" password=\"our-secret\"/>";
    let there = "<ereg regexp=\"Proxy-Authorization: Digest username=.us., realm=.sipp.\" \
                 search_in=\"msg\" check_it=\"true\" assign_to=\"proven\"/>";
    for (status, field, verify) in
        [("401", "WWW-Authenticate", whole), ("407", "Proxy-Authenticate", there)]
    {
        let server = Server::start(&config("our-secret"));
        let port = server.ports.pair();
        let ear = Ear::listen(port);
        let fields = [
            ("STATUS", status),
            ("FIELD", field),
            ("VERIFY", verify),
            ("FORMATS", "8"),
            ("MAPS", "a=rtpmap:8 PCMA/8000"),
        ];
        let run =
            Run { scenario: "called_auth.xml", fields: &fields, ear: Some(port), ..Run::default() };
        let called = run.wait_for_call(&server);
        let call = server.place(&format!("sip:them@127.0.0.1:{}", called.port), "tone");
        until(SOON, "the call lasts", || {
            let calls = server.calls();
            let lasted = calls.first().and_then(|call| call["duration_ms"].as_u64());
            lasted.is_some_and(|lasted| lasted >= 1_500).then_some(())
        });
        server.hang_up(call["id"].as_str().unwrap());
        called.succeed();
        wav::assert_heard(&ear::samples(&ear.packets()), TONE_HZ, OTHER_HZ, 1.0);
        server.wait_idle();
        server.stop();
    }
}

/// The line that Kamailio has.
const LINE: Line<'_> = Line { user: "line1", password: "line-secret", algorithm: "" };

/// A server that registers its trunk with the Kamailio on `port`.
fn registering(port: u16, transport: &str, password: &str) -> String {
    format!(
        r#"
        [[agents]]
        name = "tone"
        kind = "builtin"
        builtin = "tone"
        frequency_hz = 1000

        [[trunks]]
        name = "provider"
        username = "line1"
        password = "{password}"
        register = true
        registrar = "sip:127.0.0.1:{port};transport={transport}"
        expires_s = 60
        "#
    )
}

/// Waits until the trunk is registered.
#[track_caller]
fn wait_registered(server: &Server) {
    until(SOON, "the trunk is registered", || {
        (server.metric("talkpath_sip_registered{trunk=\"provider\"}") > 0.5).then_some(())
    });
}

/// We register with Kamailio, with MD5 over UDP and SHA-256 over TCP; a call to our line comes
/// through it and hears the agent; and when we end, we take the registration back.
#[test]
fn registration_with_a_provider() {
    let (Some(modules), Some(())) = (kamailio::installed(), sipp::installed()) else { return };
    for (transport, algorithm, sipp_transport) in [("udp", "", "u1"), ("tcp", "SHA-256", "t1")] {
        let ports = Ports::claim();
        let (port, gateway) = (ports.pair(), ports.pair());
        let line = Line { algorithm, ..LINE };
        let proxy = Kamailio::start(&modules, transport, port, line, gateway);
        let server = Server::start(&registering(port, transport, LINE.password));
        wait_registered(&server);
        proxy.wait_for("expires=60");

        let ear_port = server.ports.pair();
        let ear = Ear::listen(ear_port);
        let fields = [("FORMATS", "8"), ("MAPS", "a=rtpmap:8 PCMA/8000"), ("PLAY", "")];
        let hold = [("HOLD_MS", "1500")];
        let fields: Vec<_> = fields.into_iter().chain(hold).collect();
        let run = Run {
            fields: &fields,
            user: LINE.user,
            ear: Some(ear_port),
            args: &["-t", sipp_transport],
            ..Run::default()
        };
        run.call_by(&server, port).succeed();
        let heard = ear.packets();
        ear::assert_continuous(&heard, &[8]);
        wav::assert_heard(&ear::samples(&heard), TONE_HZ, OTHER_HZ, 1.0);
        server.wait_idle();
        server.stop();
        proxy.wait_for("expires=0");
    }
}

/// Calls of ours go through Kamailio, which wants credentials for INVITE and BYE.
#[test]
fn calls_through_a_provider() {
    let (Some(modules), Some(())) = (kamailio::installed(), sipp::installed()) else { return };
    let ports = Ports::claim();
    let port = ports.pair();
    let server = Server::start(&registering(port, "udp", LINE.password));
    let ear_port = server.ports.pair();
    let ear = Ear::listen(ear_port);
    let fields = [("FORMATS", "8"), ("MAPS", "a=rtpmap:8 PCMA/8000"), ("PLAY", "")];
    let run =
        Run { scenario: "called.xml", fields: &fields, ear: Some(ear_port), ..Run::default() };
    let gateway = run.wait_for_call(&server);
    let proxy = Kamailio::start(&modules, "udp", port, LINE, gateway.port);
    wait_registered(&server);
    let to = format!("sip:4711@127.0.0.1:{port}");
    let wanted = serde_json::json!({ "to": to, "agent": "tone", "from": LINE.user });
    let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
    assert_eq!(status, 201, "{body}");
    let call: serde_json::Value = serde_json::from_str(&body).unwrap();
    until(SOON, "the call lasts", || {
        let calls = server.calls();
        let lasted = calls.first().and_then(|call| call["duration_ms"].as_u64());
        lasted.is_some_and(|lasted| lasted >= 1_500).then_some(())
    });
    server.hang_up(call["id"].as_str().unwrap());
    gateway.succeed();
    let heard = ear.packets();
    wav::assert_heard(&ear::samples(&heard), TONE_HZ, OTHER_HZ, 1.0);
    for method in ["INVITE", "BYE"] {
        proxy.wait_for(&format!("proven: {method}"));
    }
    server.wait_idle();
    server.stop();
}

/// With the wrong password the registration ends at once, for good, and is told in log and metric;
/// when the connection to the provider breaks, we are back as soon as it is.
#[test]
fn refused_and_broken_registrations() {
    let Some(modules) = kamailio::installed() else { return };
    let ports = Ports::claim();
    let port = ports.pair();
    let proxy = Kamailio::start(&modules, "tcp", port, LINE, port);
    let server = Server::start(&registering(port, "tcp", "guess"));
    until(SOON, "the registration is refused", || {
        (server.metric("talkpath_sip_registration_failures") > 0.5).then_some(())
    });
    assert!(server.metric("talkpath_sip_registered") < 0.5);
    let log = server.log();
    assert!(log.contains("refused for good") && !log.contains("guess"), "{log}");
    assert!(!proxy.log().contains("registers:"));
    server.stop();
    let server = Server::start(&registering(port, "tcp", LINE.password));
    wait_registered(&server);
    drop(proxy);
    until(SOON, "the loss is noted", || {
        (server.metric("talkpath_sip_registered") < 0.5).then_some(())
    });
    let proxy = Kamailio::start(&modules, "tcp", port, LINE, port);
    wait_registered(&server);
    proxy.wait_for("registers:");
    server.stop();
}

/// A PBX registers with us as a telephone would: Kamailio, whose telephone is SIPp. It is called by
/// the name that it has here, and calls with the password that it registers with.
#[test]
fn a_pbx_registers_with_us() {
    let (Some(modules), Some(())) = (kamailio::installed(), sipp::installed()) else { return };
    let ports = Ports::claim();
    let port = ports.pair();
    let server = Server::start(USERS);
    let ear_port = server.ports.pair();
    let ear = Ear::listen(ear_port);
    let fields = [("FORMATS", "8"), ("MAPS", "a=rtpmap:8 PCMA/8000"), ("PLAY", "")];
    let run =
        Run { scenario: "called.xml", fields: &fields, ear: Some(ear_port), ..Run::default() };
    let desk = run.wait_for_call(&server);
    let line = ("alice", "wonderland");
    let pbx = Kamailio::pbx(&modules, port, server.sip, line, desk.port);
    until(SOON, "the PBX is registered", || {
        (server.metric("talkpath_sip_bindings") > 0.5).then_some(())
    });
    let call = server.place("alice", "tone");
    until(SOON, "the call lasts", || {
        let calls = server.calls();
        let lasted = calls.first().and_then(|call| call["duration_ms"].as_u64());
        lasted.is_some_and(|lasted| lasted >= 1_500).then_some(())
    });
    pbx.wait_for("comes in: ");
    server.hang_up(call["id"].as_str().unwrap());
    desk.succeed();
    wav::assert_heard(&ear::samples(&ear.packets()), TONE_HZ, OTHER_HZ, 1.0);
    server.wait_idle();

    let ear_port = server.ports.pair();
    let ear = Ear::listen(ear_port);
    let fields = [fields[0], fields[1], fields[2], ("HOLD_MS", "1500")];
    let run = Run { fields: &fields, user: "tone", ear: Some(ear_port), ..Run::default() };
    run.call_by(&server, port).succeed();
    pbx.wait_for("proves: ");
    let heard = ear.packets();
    ear::assert_continuous(&heard, &[8]);
    wav::assert_heard(&ear::samples(&heard), TONE_HZ, OTHER_HZ, 1.0);
    server.wait_idle();
    server.stop();
}
