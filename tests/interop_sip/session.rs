//! What happens within a session, with SIPp at the other end: reliable provisional responses
//! (RFC 3262), early media, UPDATE (RFC 3311), session timers (RFC 4028), several streams, and
//! third-party call control (RFC 3725).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use support::agent::Agents;
use support::ear::{self, Ear};
use support::server::Server;
use support::sipp::{self, Run, Sipp};
use support::{until, wav};

/// The tone of the built-in agent, and one that nobody makes.
const TONE_HZ: f64 = 1000.0;
const OTHER_HZ: f64 = 697.0;
const TONE: &str =
    "[[agents]]\nname = \"tone\"\nkind = \"builtin\"\nbuiltin = \"tone\"\nfrequency_hz = 1000\n";
/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);
/// A description of µ-law at SIPp's port.
const ULAW: &str = "m=audio @PORT@ RTP/AVP 0\n      a=rtpmap:0 PCMU/8000";
const ALLOW: &str = "Allow: INVITE, ACK, BYE, CANCEL, PRACK, UPDATE";

/// A check that `header`, or the body if it is empty, has a match of `pattern`. A second variable
/// keeps SIPp quiet about the first.
fn check(header: &str, pattern: &str, name: &str) -> String {
    let place = if header.is_empty() {
        "search_in=\"body\"".to_owned()
    } else {
        format!("search_in=\"hdr\" header=\"{header}:\"")
    };
    format!(
        "<ereg regexp=\"{pattern}\" {place} check_it=\"true\" assign_to=\"{name}\"/>\
         <log message=\"[${name}]\"/>"
    )
}

/// Keeps what of a header matches `pattern` as the variable `name`.
fn keep(header: &str, pattern: &str, name: &str) -> String {
    check(header, pattern, name)
}

fn send(lines: &str, retransmitted: bool) -> String {
    let retrans = if retransmitted { " retrans=\"500\"" } else { "" };
    format!("<send{retrans}><![CDATA[\n\n{lines}\n\n]]></send>\n")
}

/// A request of the caller within the call; `fields` are lines, then an empty one and a body.
fn request(method: &str, number: u32, fields: &str) -> String {
    let fields = if fields.contains("\n\n") {
        fields.replacen("\n\n", "\nContent-Type: application/sdp\nContent-Length: [len]\n\n", 1)
    } else {
        format!("{fields}Content-Length: 0")
    };
    let lines = format!(
        "{method} [next_url] SIP/2.0\n\
         Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]\n\
         From: <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]\n\
         To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]\n\
         Call-ID: [call_id]\nCSeq: {number} {method}\n\
         Contact: <sip:sipp@[local_ip]:[local_port]>\nMax-Forwards: 70\n{fields}"
    );
    send(&lines, method != "ACK")
}

/// The answer to a request that was just received.
fn answer(status: &str, fields: &str) -> String {
    let lines = format!(
        "SIP/2.0 {status}\n[last_Via:]\n[last_From:]\n[last_To:]\n[last_Call-ID:]\n[last_CSeq:]\n\
         Contact: <sip:[local_ip]:[local_port];transport=[transport]>\n{fields}Content-Length: 0"
    );
    send(&lines, false)
}

fn expect(what: &str, checks: &str) -> String {
    let (kind, name) = if what.starts_with(|c: char| c.is_ascii_digit()) {
        ("response", what)
    } else {
        ("request", what)
    };
    format!(
        "<recv {kind}=\"{name}\" rrs=\"true\"><action>{checks}<log message=\"-\"/></action></recv>\n"
    )
}

fn pause(ms: u32) -> String {
    format!("<pause milliseconds=\"{ms}\"/>\n")
}

/// SIPp says BYE.
fn bye(number: u32) -> String {
    request("BYE", number, "") + &expect("200", "")
}

/// The description `lines` at SIPp's addresses, with the version `version`.
fn body(version: u32, lines: &str) -> String {
    format!(
        "\n\nv=0\no=sipp 53655765 {version} IN IP4 [local_ip]\ns=-\nc=IN IP4 [local_ip]\nt=0 0\n{lines}"
    )
}

/// The body of an answer in `session_called.xml`.
fn answered(lines: &str) -> String {
    format!("Content-Type: application/sdp{}", body(1, lines))
}

/// A caller.
struct Caller<'a> {
    user: &'a str,
    fields: &'a str,
    offer: &'a str,
    early: &'a str,
    check: &'a str,
    then: &'a str,
    seconds: u32,
    ear: Option<u16>,
    media_port: Option<u16>,
}

impl Default for Caller<'_> {
    fn default() -> Self {
        Self {
            user: "tone",
            fields: ALLOW,
            offer: ULAW,
            early: "",
            check: "<log message=\"-\"/>",
            then: "",
            seconds: 25,
            ear: None,
            media_port: None,
        }
    }
}

impl Caller<'_> {
    #[track_caller]
    fn call(&self, server: &Server) -> Sipp {
        let fields = [
            ("FIELDS", self.fields),
            ("OFFER", self.offer),
            ("EARLY", self.early),
            ("CHECK", self.check),
            ("THEN", self.then),
        ];
        let run = Run {
            scenario: "session_caller.xml",
            fields: &fields,
            user: self.user,
            seconds: self.seconds,
            ear: self.ear,
            media_port: self.media_port,
            ..Run::default()
        };
        run.call(server)
    }
}

/// What the scenario of somebody who is called keeps of the INVITE.
fn kept() -> String {
    keep("Via", ".*", "via") + &keep("From", ".*", "from") + &keep("CSeq", "[0-9]+", "number")
}

/// A reliable 183 with a description, and its PRACK.
fn reliable_183(lines: &str) -> String {
    let progress = format!(
        "SIP/2.0 183 Session Progress\n[last_Via:]\n[last_From:]\n\
         To: <sip:x@[local_ip]:[local_port]>;tag=[pid]-uas-[call_number]\n[last_Call-ID:]\n\
         [last_CSeq:]\nContact: <sip:[local_ip]:[local_port];transport=[transport]>\n\
         Require: 100rel\nRSeq: 17\n{ALLOW}\nContent-Type: application/sdp\n\
         Content-Length: [len]{}",
        body(1, lines)
    );
    send(&progress, true)
        + &expect("PRACK", &check("RAck", "17 1 INVITE", "rack"))
        + &answer("200 OK", "")
}

/// An agent that decides about the answer is heard by a caller that has reliable responses, and
/// hears it, before it answers: 183 with a description, PRACK, UPDATE with another codec, and
/// a 200 without a description.
#[test]
fn inbound_early_media() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let agents = Agents::listen();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\nanswers = true\n\
         [[routes]]\nto = \"*\"\nagent = \"bot\"\nearly_media = true\n",
        agents.url()
    ));
    let media_port = server.ports.run(4);
    let ear = Ear::overhear(media_port);
    let early = expect(
        "183",
        &(keep("RSeq", "[0-9]+", "rseq")
            + &check("Require", "100rel", "require")
            + &check("", "m=audio [0-9]+ RTP/AVP 0", "answer")),
    ) + &request("PRACK", 2, "RAck: [$rseq] 1 INVITE\n")
        + &expect("200", "")
        + &sipp::play(Path::new(sipp::SPEECH_PCMA))
        + &pause(1_500)
        + &request(
            "UPDATE",
            3,
            &format!("{ALLOW}{}", body(2_353_687_638, "m=audio @PORT@ RTP/AVP 8")),
        )
        + &expect("200", &check("", "m=audio [0-9]+ RTP/AVP 8", "alaw"));
    let caller = Caller {
        user: "bot",
        fields: &format!("Supported: 100rel\n      {ALLOW}"),
        early: &early,
        check: &check("Content-Length", "^ *0", "length"),
        then: &(pause(1_000) + &bye(4)),
        media_port: Some(media_port),
        ..Caller::default()
    };
    let sipp = caller.call(&server);
    let mut agent = agents.accept();
    agent.event("early");
    agent.play(0, &wav::to_ulaw(&wav::sine(TONE_HZ, 1.2)));
    agent.say(&json!({ "event": "mark", "name": "said" }));
    let mark = agent.event("mark");
    assert_eq!(mark["status"], "played", "{mark}");
    until(SOON, "A-law of the caller in a call of A-law", || {
        agent.look();
        (agent.frames.len() > 20).then_some(())
    });
    until(SOON, "the UPDATE", || sipp.messages().contains("CSeq: 3 UPDATE").then_some(()));
    agent.order("answer");
    agent.event("answered");
    sipp.succeed();
    let heard = ear.packets();
    wav::assert_heard(&ear::samples(&heard), TONE_HZ, OTHER_HZ, 1.0);
    assert!(heard.iter().any(|packet| packet.pt == 8), "the codec of the UPDATE is taken up");
    server.wait_idle();
    server.stop();
}

/// A called party that is heard before it answers, by a reliable 183: the agent hears it and is
/// told, the called gets silence alone; what the agent has said meanwhile comes with the answer,
/// whose 200 has no description.
#[test]
fn outbound_early_media() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let agents = Agents::listen();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n",
        agents.url()
    ));
    let media_port = server.ports.run(4);
    let ear = Ear::overhear(media_port);
    let early = reliable_183("m=audio @PORT@ RTP/AVP 8\na=rtpmap:8 PCMA/8000\na=ptime:20")
        + &sipp::play(Path::new(sipp::SPEECH_PCMA))
        + &pause(2_000);
    let fields = [
        ("CHECK", &*(kept() + &check("Supported", "100rel", "rel"))),
        ("EARLY", &early),
        ("FIELDS", ALLOW),
        ("ANSWER", ""),
        ("THEN", ""),
    ];
    let run = Run {
        scenario: "session_called.xml",
        fields: &fields,
        media_port: Some(media_port),
        ..Run::default()
    };
    let called = run.wait_for_call(&server);
    let call = server.place(&format!("sip:x@127.0.0.1:{}", called.port), "bot");
    let mut agent = agents.accept();
    // Whether the 183 comes before the agent is dialled is a matter of chance.
    let tone = wav::sine(TONE_HZ, 1.5);
    match agent.start["out"]["codec"].as_str() {
        Some("PCMA") => agent.play(8, &wav::to_alaw(&tone)),
        _ => agent.play(0, &wav::to_ulaw(&tone)),
    }
    if agent.start["state"] != "early" {
        agent.event("early");
    }
    agent.wait_frames(50);
    let silent = ear.packets();
    assert!(silent.iter().all(|packet| packet.payload.iter().all(|byte| *byte == 0xd5)));
    assert!(silent.len() > 20, "{} packets keep the way open", silent.len());
    agent.event("answered");
    until(SOON, "a second of tone", || {
        let heard = wav::listen(&ear::samples(&ear.packets()), TONE_HZ, OTHER_HZ);
        (heard.own > 12).then_some(())
    });
    server.hang_up(call["id"].as_str().unwrap());
    called.succeed();
    server.wait_idle();
    server.stop();
}

/// A caller with session timers is granted them; a demand that is too short is refused with what
/// is accepted, also in mid-call. Who is to refresh does: the server by UPDATE or by re-INVITE, as
/// the caller allows, with its description as it was; a caller that does not is hung up on.
#[test]
fn session_timers() {
    let Some(()) = sipp::installed() else { return };
    // SIPp says nothing for as long as a session lasts, which would end the call for another cause.
    let server = Server::start(&format!("[limits]\nmedia_timeout_s = 0\n{TONE}"));
    let short = "Supported: timer\n      Session-Expires: 60";
    let refused = [
        ("STATUS", "422"),
        ("HEADER", "Min-SE"),
        ("VALUE", "90"),
        ("FORMATS", "0"),
        ("MAPS", sipp::PCMU.1),
        ("EXTRA", short),
        ("HOPS", "70"),
    ];
    let refused =
        Run { scenario: "refused.xml", fields: &refused, args: &["-nr"], ..Run::default() };
    refused.call(&server).succeed();
    let granted = check("Session-Expires", "90;refresher=uac", "expires")
        + &check("Require", "timer", "require");
    let (uas, uac) = (
        "Supported: timer\n      Session-Expires: 90;refresher=uas",
        "Supported: timer\n      Session-Expires: 90;refresher=uac",
    );
    let ours = check("Session-Expires", "90;refresher=uac", "ours");
    let refreshed = "Require: timer\nSession-Expires: 90;refresher=uac\n";
    let by_update = expect("UPDATE", &ours) + &answer("200 OK", refreshed) + &bye(2);
    let unchanged = ours + &check("", "o=- [0-9]+ 1 IN", "version");
    let by_invite = expect("INVITE", &unchanged)
        + &answer("200 OK", refreshed).replace(
            "Content-Length: 0",
            &format!("Content-Type: application/sdp\nContent-Length: [len]{}", body(1, ULAW)),
        )
        + &expect("ACK", "")
        + &bye(2);
    let lost = expect("BYE", &check("Reason", "cause=102", "reason")) + &answer("200 OK", "");
    let short_update =
        request("UPDATE", 2, &format!("{}\n", short.replace("      ", ""))) + &expect("422", "");
    let with_update = format!("{uas}\n      {ALLOW}");
    let without_update = format!("{uas}\n      Allow: INVITE, ACK, BYE, CANCEL");
    let as_uas = check("Session-Expires", "90;refresher=uas", "expires");
    let calls = [
        (with_update.as_str(), as_uas.as_str(), by_update),
        (without_update.as_str(), as_uas.as_str(), by_invite),
        (uac, granted.as_str(), short_update + &lost),
    ];
    let calls: Vec<Sipp> = calls
        .iter()
        .map(|(fields, check, then)| {
            Caller { fields, check, then, seconds: 90, ..Caller::default() }.call(&server)
        })
        .collect();
    calls.into_iter().for_each(Sipp::succeed);
    server.wait_idle();
    assert!(server.metric("cause=\"session_expired\"") >= 1.0, "the cause is counted");
    server.stop();
}

/// As caller the server obeys a 422 and takes what the called grants.
#[test]
fn session_timer_of_a_placed_call() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(TONE);
    let refusal = "SIP/2.0 422 Session Interval Too Small\n[last_Via:]\n[last_From:]\n\
                   [last_To:];tag=no\n[last_Call-ID:]\n[last_CSeq:]\nMin-SE: 3000\n\
                   Content-Length: 0";
    let again =
        kept() + &check("Session-Expires", "3000", "longer") + &check("Min-SE", "3000", "min");
    let early = send(refusal, false) + &expect("ACK", "") + &expect("INVITE", &again);
    let fields = [
        ("CHECK", &*(kept() + &check("Session-Expires", "1800", "expires"))),
        ("EARLY", &early),
        ("FIELDS", "Require: timer\n      Session-Expires: 3000;refresher=uac"),
        ("ANSWER", &answered(ULAW)),
        ("THEN", ""),
    ];
    let scenario = "session_called.xml";
    let run = Run { scenario, fields: &fields, ..Run::default() };
    let called = run.wait_for_call(&server);
    let call = server.place(&format!("sip:x@127.0.0.1:{}", called.port), "tone");
    until(SOON, "the answer", || {
        server.calls().iter().any(|call| call["state"] == "answered").then_some(())
    });
    server.hang_up(call["id"].as_str().unwrap());
    called.succeed();
    server.stop();
}

/// Of several streams the first that can be is taken, each other is refused in its place, whatever
/// attributes of other times and worlds they carry; UPDATE without and with a description leave it
/// so, and one that offers nothing usable is refused.
#[test]
fn several_streams() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(TONE);
    let port = server.ports.pair();
    let ear = Ear::listen(port);
    let offer = "a=group:BUNDLE 0 1\n      a=ice-lite\n      a=fingerprint:sha-256 00:11\n      \
        m=video 5000 RTP/AVP 96\n      a=rtpmap:96 VP8/90000\n      \
        m=audio 5002 UDP/TLS/RTP/SAVPF 0\n      a=setup:actpass\n      \
        m=audio 5004 RTP/AVP 18\n      \
        m=audio @PORT@ RTP/AVP 0 101\n      b=AS:64\n      a=rtpmap:101 telephone-event/8000\n      \
        a=fmtp:101 0-16\n      a=ice-ufrag:x\n      a=candidate:1 1 UDP 1 127.0.0.1 9 typ host\n      \
        m=application 5006 UDP/BFCP *\n      m=audio 5008 RTP/AVP 0";
    let refused = "m=video 0 RTP/AVP 96.*m=audio 0 UDP/TLS/RTP/SAVPF 0.*m=audio 0 RTP/AVP 18.*\
                   m=audio [1-9][0-9]+ RTP/AVP 0 101.*m=application 0 UDP/BFCP [*].*m=audio 0 RTP";
    let again = format!("{ALLOW}{}", body(2, &offer.replace("      ", "")));
    let then = pause(1_000)
        + &request("UPDATE", 2, &format!("{ALLOW}\n"))
        + &expect("200", &check("Content-Length", "^ *0", "length"))
        + &request("UPDATE", 3, &again)
        + &expect("200", &check("", "o=- [0-9]+ 1 IN", "version"))
        + &request("UPDATE", 4, &format!("{ALLOW}{}", body(3, "m=video 5000 RTP/AVP 96")))
        + &expect("488", "")
        + &bye(5);
    let check = check("", refused, "streams");
    let caller = Caller { offer, check: &check, then: &then, ear: Some(port), ..Caller::default() };
    caller.call(&server).succeed();
    let heard = ear.packets();
    ear::assert_continuous(&heard, &[0]);
    wav::assert_heard(&ear::samples(&heard), TONE_HZ, OTHER_HZ, 0.7);
    server.stop();
}

/// What an agent says before a placed call is answered is not lost when the called chooses another
/// codec and another ptime than those that were likely: it comes with the answer, whole, and the
/// agent's account of it is exact.
#[test]
fn audio_before_the_answer_follows_the_codec() {
    let Some(()) = sipp::installed() else { return };
    let agents = Agents::listen();
    let server = Server::start(&format!(
        "[[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\n",
        agents.url()
    ));
    let port = server.ports.pair();
    let ear = Ear::listen(port);
    let fields = [
        ("CHECK", &*kept()),
        ("EARLY", &pause(1_500)),
        ("FIELDS", ALLOW),
        ("ANSWER", &answered("m=audio @PORT@ RTP/AVP 8\na=rtpmap:8 PCMA/8000\na=ptime:30")),
        ("THEN", ""),
    ];
    let scenario = "session_called.xml";
    let run = Run { scenario, fields: &fields, ear: Some(port), ..Run::default() };
    let called = run.wait_for_call(&server);
    let call = server.place(&format!("sip:x@127.0.0.1:{}", called.port), "bot");
    let mut agent = agents.accept();
    assert_eq!(agent.start["state"], "ringing");
    let said = wav::sine(TONE_HZ, 2.0);
    agent.play(0, &wav::to_ulaw(&said));
    agent.say(&json!({ "event": "mark", "name": "said" }));
    agent.event("answered");
    let mark = agent.event("mark");
    assert_eq!((&mark["status"], &mark["samples"]), (&json!("played"), &json!(16_000)), "{mark}");
    server.hang_up(call["id"].as_str().unwrap());
    called.succeed();
    let heard = ear.packets();
    assert!(heard.iter().all(|packet| packet.pt == 8 && packet.payload.len() == 240));
    ear::assert_continuous(&heard, &[8]);
    wav::assert_heard(&ear::samples(&heard), TONE_HZ, OTHER_HZ, 1.9);
    server.wait_idle();
    server.stop();
}

/// A third party joins two calls of ours (RFC 3725 4.1): it asks one for its offer, gives that to
/// the other, and the other's answer back to the first with the ACK. Then each sends to the other,
/// and the recorder at one end hears the tone at the other.
#[test]
fn third_party_call_control() {
    let Some(()) = sipp::installed() else { return };
    let dir = support::server::folder();
    let kept = dir.join("kept");
    std::fs::create_dir(&kept).unwrap();
    let record = "[[agents]]\nname = \"record\"\nkind = \"builtin\"\nbuiltin = \"record\"\n\
                  folder = \"{dir}/kept\"\n";
    let server = Server::start_in(dir, &format!("{TONE}{record}"));
    let twin_port = server.ports.pair();
    let twin = format!("127.0.0.1:{twin_port}");
    let args = ["-3pcc", twin.as_str()];
    let half = |scenario, user| Run { scenario, user, args: &args, ..Run::default() };
    let second = half("-3pcc-C-B", "record").call(&server);
    until(SOON, "the other half waits", || sipp::listens_tcp(twin_port).then_some(()));
    let first = half("-3pcc-C-A", "tone").call(&server);
    first.succeed();
    second.succeed();
    server.wait_idle();
    let file = std::fs::read_dir(kept).unwrap().next().unwrap().unwrap().path();
    let heard = until(SOON, "the recording is complete", || {
        let samples = wav::read(&file);
        (!samples.is_empty()).then_some(samples)
    });
    wav::assert_heard(&heard, TONE_HZ, OTHER_HZ, 0.6);
    server.stop();
}
