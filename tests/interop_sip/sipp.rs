//! SIPp calls, is called, gives up, changes its mind, and is refused (RFC 3261, RFC 3264).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::ear::{self, Ear, Rtp};
use support::server::Server;
use support::sipp::{self, Run};
use support::{until, wav};

/// Agents in the process, each reached by its name.
const AGENTS: &str = r#"
    [[agents]]
    name = "echo"
    kind = "builtin"
    builtin = "echo"

    [[agents]]
    name = "tone"
    kind = "builtin"
    builtin = "tone"
    frequency_hz = 1000
"#;
/// The tone of these agents, and one that nobody makes.
const TONE_HZ: f64 = 1000.0;
const OTHER_HZ: f64 = 697.0;

/// An agent that attaches, and in these tests never does: its calls ring.
const RINGS: &str = r#"
    [[agents]]
    name = "rings"
    kind = "websocket"
    attach = true
    answers = true
    connect_timeout_ms = 20000
"#;

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(10);
/// Packets after which a second of sound has been heard whole.
const A_SECOND: usize = 60;

/// Those of `sent`, in their order, that are found in `heard`, in the same order.
fn returned(sent: &[Vec<u8>], heard: &[Rtp]) -> usize {
    let mut heard = heard.iter();
    sent.iter().filter(|sent| heard.any(|packet| packet.payload == **sent)).count()
}

/// A server, an ear for what it sends, and the port of that.
#[track_caller]
fn with_ear(config: &str) -> (Server, Ear, u16) {
    let server = Server::start(config);
    let port = server.ports.pair();
    let ear = Ear::listen(port);
    (server, ear, port)
}

/// Calls the tone by `scenario`; what is heard.
#[track_caller]
fn call_tone(scenario: &str, fields: &[(&str, &str)]) -> Vec<Rtp> {
    let (server, ear, port) = with_ear(AGENTS);
    Run { scenario, fields, ear: Some(port), user: "tone", ..Run::default() }
        .call(&server)
        .succeed();
    let heard = ear.packets();
    server.stop();
    heard
}

/// Fails unless so much of the tone was heard, in one continuous stream.
#[track_caller]
fn assert_tone(heard: &[Rtp], pt: u8, seconds: f64) {
    ear::assert_continuous(heard, &[pt]);
    wav::assert_heard(&ear::samples(heard), TONE_HZ, OTHER_HZ, seconds);
}

/// What a caller offers who says nothing and hangs up after a while.
const fn quiet<'a>(codec: (&'a str, &'a str), hold_ms: &'a str) -> [(&'a str, &'a str); 4] {
    [("FORMATS", codec.0), ("MAPS", codec.1), ("PLAY", ""), ("HOLD_MS", hold_ms)]
}

/// Plays `capture` through the echo from `scenario`; every payload must come back as it was, in one
/// continuous stream.
#[track_caller]
fn echo_returns(capture: &Path, codec: (&str, &str), pt: u8, scenario: &str, args: &[&str]) {
    let server = Server::start(AGENTS);
    let media_port = server.ports.run(4);
    let ear = Ear::overhear(media_port);
    let play = sipp::play(capture);
    let fields = [("FORMATS", codec.0), ("MAPS", codec.1), ("PLAY", &play), ("HOLD_MS", "3000")];
    let run =
        Run { scenario, fields: &fields, media_port: Some(media_port), args, ..Run::default() };
    run.call(&server).succeed();
    let heard = ear.packets();
    let sent = ear::captured_payloads(capture, pt);
    // Three seconds of packets of 20 or 30 ms; SIPp may begin and end late on a busy machine.
    let count = heard.len();
    assert!(count >= 80, "{count} packets came back");
    assert_eq!(returned(&sent[..count.min(sent.len())], &heard), count.min(sent.len()));
    ear::assert_continuous(&heard, &[pt]);
    server.finish();
}

/// A caller's A-law comes back from the echo, every packet, byte for byte.
#[test]
fn echo_returns_alaw() {
    let Some(()) = sipp::installed_with_audio() else { return };
    echo_returns(Path::new(sipp::SPEECH_PCMA), sipp::PCMA, 8, "call.xml", &[]);
}

/// A caller's µ-law comes back from the echo, every packet, byte for byte.
#[test]
fn echo_returns_ulaw() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let folder = support::server::folder();
    let capture = folder.join("sine.pcap");
    // A sweep, so that no two packets are alike.
    let sweep = (0..20).flat_map(|step| wav::sine(300.0 + 137.0 * f64::from(step), 0.2));
    ear::write_capture(&capture, 0, &wav::to_ulaw(&sweep.collect::<Vec<_>>()));
    echo_returns(&capture, sipp::PCMU, 0, "call.xml", &[]);
    std::fs::remove_dir_all(folder).unwrap();
}

/// The same over TCP: INVITE, ACK and BYE go over one connection.
#[test]
fn echo_returns_alaw_over_tcp() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let capture = Path::new(sipp::SPEECH_PCMA);
    echo_returns(capture, sipp::PCMA, 8, "call.xml", &["-t", "t1"]);
}

/// An INVITE without an offer is answered with ours; the answer in the ACK sets the codec, and
/// audio flows by it.
#[test]
fn delayed_offer() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let capture = Path::new(sipp::SPEECH_PCMA);
    echo_returns(capture, sipp::PCMA, 8, "delayed_offer.xml", &[]);
}

/// An agent that speaks first is heard in the codec of an answer that came late.
#[test]
fn delayed_offer_with_tone() {
    let Some(()) = sipp::installed() else { return };
    let heard = call_tone("delayed_offer.xml", &[("PLAY", ""), ("HOLD_MS", "1500")]);
    assert_tone(&heard, 8, 1.0);
}

/// SIPp's own scenario of a call with audio and a digit, as everybody runs it.
#[test]
fn built_in_scenario_with_audio() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let server = Server::start(AGENTS);
    std::os::unix::fs::symlink("/usr/share/sip-tester", server.dir.join("pcap")).unwrap();
    let media_port = server.ports.run(4);
    let ear = Ear::overhear(media_port);
    Run { scenario: "-uac_pcap", media_port: Some(media_port), ..Run::default() }
        .call(&server)
        .succeed();
    let sent = ear::captured_payloads(Path::new(sipp::SPEECH_PCMA), 8);
    let audio: Vec<Rtp> = ear.packets().into_iter().filter(|packet| packet.pt == 8).collect();
    let count = audio.len().min(sent.len());
    assert!(count >= 200, "{count} packets came back");
    assert_eq!(returned(&sent[..count], &audio), count);
    server.finish();
}

/// A caller that holds gets no audio, while held in either way; audio goes on after it, in the same
/// stream, with the time that passed in its time stamps; another codec is taken up at once; a
/// change that cannot be is refused, and the call goes on as it was.
#[test]
fn hold_resume_and_change_of_codec() {
    let Some(()) = sipp::installed() else { return };
    let heard = call_tone("reinvite.xml", &[("STEP_MS", "1000")]);
    assert!(heard.iter().all(|packet| packet.ssrc == heard[0].ssrc), "one source all along");
    // The pause is where packets are furthest apart.
    let apart = |at: &usize| heard[at + 1].at - heard[*at].at;
    let pause = (0..heard.len() - 1).max_by_key(apart).unwrap();
    let paused = apart(&pause);
    assert!(paused > Duration::from_millis(1_800), "held for {paused:?}");
    let (talk, rest) = heard.split_at(pause + 1);
    let change = rest.iter().position(|packet| packet.pt == 8).expect("A-law is taken up");
    let (resumed, changed) = rest.split_at(change);
    for (phase, pt, seconds) in [(talk, 0, 0.7), (resumed, 0, 0.7), (changed, 8, 1.5)] {
        assert_tone(phase, pt, seconds);
    }
    // RFC 3550 5.1: sequence numbers count packets, time stamps count time.
    assert_eq!(rest[0].seq, talk[pause].seq.wrapping_add(1));
    let stamped = f64::from(rest[0].ts.wrapping_sub(talk[pause].ts)) / f64::from(wav::RATE_HZ);
    assert!((stamped - paused.as_secs_f64()).abs() < 0.1, "{stamped} s for {paused:?}");
}

/// What a caller says before and after a change of codec is recorded as it was said.
#[test]
fn recording_follows_the_codec() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let dir = support::server::folder();
    let kept = dir.join("kept");
    std::fs::create_dir(&kept).unwrap();
    let sine = wav::sine(OTHER_HZ, 1.0);
    ear::write_capture(&dir.join("u.pcap"), 0, &wav::to_ulaw(&sine));
    ear::write_capture(&dir.join("a.pcap"), 8, &wav::to_alaw(&sine));
    let fields = [
        ("PLAY_PCMU", &*sipp::play(&dir.join("u.pcap"))),
        ("PLAY_PCMA", &*sipp::play(&dir.join("a.pcap"))),
    ];
    let agent = "[[agents]]\nname = \"record\"\nkind = \"builtin\"\nbuiltin = \"record\"\n\
                 folder = \"{dir}/kept\"\n";
    let server = Server::start_in(dir, agent);
    Run { scenario: "two_codecs.xml", fields: &fields, user: "record", ..Run::default() }
        .call(&server)
        .succeed();
    server.wait_idle();
    let file = std::fs::read_dir(kept).unwrap().next().unwrap().unwrap().path();
    server.wait_recorded(&file);
    wav::assert_heard(&wav::read(&file), OTHER_HZ, TONE_HZ, 1.7);
    server.stop();
}

/// A re-INVITE without an offer is answered with ours, and the answer in its ACK sets the codec;
/// the usual re-INVITE after that does so, too.
#[test]
fn reinvite_without_offer() {
    let Some(()) = sipp::installed() else { return };
    let heard = call_tone("reinvite_delayed.xml", &[("STEP_MS", "1000")]);
    ear::assert_continuous(&heard, &[0, 8]);
    let phases: Vec<&[Rtp]> = heard.chunk_by(|before, after| before.pt == after.pt).collect();
    assert_eq!(phases.iter().map(|phase| phase[0].pt).collect::<Vec<_>>(), [0, 8, 0]);
    for phase in phases {
        wav::assert_heard(&ear::samples(phase), TONE_HZ, OTHER_HZ, 0.7);
    }
}

/// A 200 whose ACK is lost comes again, until an ACK arrives; the call goes on.
#[test]
fn lost_ack() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(&format!("[sip]\nt1_ms = 100\n{AGENTS}"));
    Run { scenario: "lost_ack.xml", args: &["-nr"], ..Run::default() }.call(&server).succeed();
    server.finish();
}

/// A caller that never acknowledges the 200 is hung up on after 64 T1, and not before.
#[test]
fn missing_ack() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(&format!("[sip]\nt1_ms = 50\nt2_ms = 400\n{AGENTS}"));
    let began = Instant::now();
    Run { scenario: "no_ack.xml", args: &["-nr"], ..Run::default() }.call(&server).succeed();
    assert!(began.elapsed() >= Duration::from_millis(64 * 50), "{:?}", began.elapsed());
    server.finish();
}

/// A caller that gives up while it rings gets 487; the repetition of its INVITE gets the 180 again,
/// with the same tag; nothing is left of the call.
#[test]
fn cancel_before_answer() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(RINGS);
    let run = Run { scenario: "cancel.xml", user: "rings", args: &["-nr"], ..Run::default() };
    run.call(&server).succeed();
    server.finish();
}

/// What a refusal must be.
struct Refusal<'a> {
    status: &'a str,
    /// A header, and what it must match.
    header: (&'a str, &'a str),
    user: &'a str,
    codec: (&'a str, &'a str),
    extra: &'a str,
    hops: &'a str,
}

impl Default for Refusal<'_> {
    fn default() -> Self {
        let header = ("Server", "Talkpath");
        Self {
            status: "404",
            header,
            user: "echo",
            codec: sipp::PCMU,
            extra: "X-Nothing: 0",
            hops: "70",
        }
    }
}

impl Refusal<'_> {
    /// Calls, and fails unless it is refused so, twice over, and nothing is left.
    #[track_caller]
    fn expect(&self, server: &Server) {
        self.call(server);
        server.wait_idle();
    }

    /// Calls, and fails unless it is refused so, twice over.
    #[track_caller]
    fn call(&self, server: &Server) {
        let fields = [
            ("STATUS", self.status),
            ("HEADER", self.header.0),
            ("VALUE", self.header.1),
            ("FORMATS", self.codec.0),
            ("MAPS", self.codec.1),
            ("EXTRA", self.extra),
            ("HOPS", self.hops),
        ];
        let run = Run {
            scenario: "refused.xml",
            fields: &fields,
            user: self.user,
            args: &["-nr"],
            ..Run::default()
        };
        run.call(server).succeed();
    }
}

/// Calls that cannot be: a number without a route, no codec in common, an extension that must be
/// understood and is not, no hop left. Each repetition of the INVITE gets the same answer, with the
/// same tag.
#[test]
fn refused_calls() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(AGENTS);
    Refusal { status: "404", user: "nobody", ..Refusal::default() }.expect(&server);
    Refusal { status: "488", codec: sipp::G729, ..Refusal::default() }.expect(&server);
    let unsupported = ("Unsupported", "x-teleport");
    let extra = "Require: x-teleport";
    Refusal { status: "420", header: unsupported, extra, ..Refusal::default() }.expect(&server);
    Refusal { status: "483", hops: "0", ..Refusal::default() }.expect(&server);
    server.stop();
}

/// Requests that no server of calls takes are told so, with what it does take; OPTIONS is answered.
#[test]
fn unknown_methods() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(AGENTS);
    for (method, status) in [("TELEPORT", "501"), ("PUBLISH", "405"), ("OPTIONS", "200")] {
        let fields =
            [("METHOD", method), ("STATUS", status), ("HEADER", "Allow"), ("VALUE", "INVITE")];
        Run { scenario: "method.xml", fields: &fields, ..Run::default() }.call(&server).succeed();
    }
    server.stop();
}

/// A peer that is in no trunk and is no user is refused, whatever it calls; a trunk's calls are
/// taken.
#[test]
fn strangers_are_refused() {
    let Some(()) = sipp::installed() else { return };
    let trunk = "[[trunks]]\nname = \"carrier\"\npeers = [\"192.0.2.0/24\"]\n";
    let server = Server::start(&format!("{AGENTS}\n{trunk}"));
    Refusal { status: "403", ..Refusal::default() }.expect(&server);
    Refusal { status: "403", user: "nobody", ..Refusal::default() }.expect(&server);
    server.stop();
    let server =
        Server::start(&format!("{AGENTS}\n{}", trunk.replace("192.0.2.0/24", "127.0.0.1")));
    Run { fields: &quiet(sipp::PCMU, "100"), ..Run::default() }.call(&server).succeed();
    server.stop();
}

/// A server that is full says so and when to come again; there is room again once a call has ended.
#[test]
fn full_server() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(&format!("[limits]\nmax_calls = 1\n{AGENTS}"));
    let first = Run { fields: &quiet(sipp::PCMU, "3000"), ..Run::default() }.call(&server);
    until(SOON, "the first call is answered", || {
        server.calls().iter().any(|call| call["state"] == "answered").then_some(())
    });
    let header = ("Retry-After", "[0-9]+");
    Refusal { status: "503", header, ..Refusal::default() }.call(&server);
    first.succeed();
    server.wait_idle();
    Run { fields: &quiet(sipp::PCMU, "100"), ..Run::default() }.call(&server).succeed();
    server.stop();
}

/// An agent on a port where nobody listens, and the start of the route to it.
fn unreachable() -> String {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = nobody.local_addr().unwrap();
    format!(
        r#"{AGENTS}
        [[agents]]
        name = "gone"
        kind = "websocket"
        url = "ws://{address}/agent"
        connect_timeout_ms = 500

        [[routes]]
        to = "gone"
        agent = "gone"
        "#
    )
}

/// A call whose agent cannot be reached is refused with 480, and the reason says why (RFC 3326).
#[test]
fn unreachable_agent() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(&unreachable());
    let header = ("Reason", "Q.850.*cause=41.*agent_unreachable");
    Refusal { status: "480", header, user: "gone", ..Refusal::default() }.expect(&server);
    server.stop();
}

/// A call whose agent cannot be reached hears the route's message, and is hung up after it.
#[test]
fn unreachable_agent_with_message() {
    let Some(()) = sipp::installed() else { return };
    let dir = support::server::folder();
    wav::write(&dir.join("sorry.wav"), &wav::sine(TONE_HZ, 1.0));
    let config = unreachable() + "fallback_message = \"{dir}/sorry.wav\"\n";
    let server = Server::start_in(dir, &config);
    let port = server.ports.pair();
    let ear = Ear::listen(port);
    let fields = [("REASON", "agent_unreachable")];
    let scenario = "server_ends.xml";
    Run { scenario, fields: &fields, user: "gone", ear: Some(port), ..Run::default() }
        .call(&server)
        .succeed();
    let heard = ear.packets();
    assert_tone(&heard, 0, 0.8);
    assert!((48..=60).contains(&heard.len()), "{} packets of one second", heard.len());
    server.finish();
}

/// A call whose agent cannot be reached is taken over by the route's second agent.
#[test]
fn unreachable_agent_with_second() {
    let Some(()) = sipp::installed() else { return };
    let (server, ear, port) = with_ear(&(unreachable() + "fallback_agent = \"tone\"\n"));
    let fields = quiet(sipp::PCMA, "1500");
    Run { fields: &fields, user: "gone", ear: Some(port), ..Run::default() }
        .call(&server)
        .succeed();
    assert_tone(&ear.packets(), 8, 1.0);
    server.stop();
}

/// Places a call to SIPp, which follows `run`, and ends it once more than `count` packets were
/// heard; all that were.
#[track_caller]
fn place(
    server: &Server,
    (run, parameters): (&Run<'_>, &str),
    agent: &str,
    (ear, count): (&Ear, usize),
) -> Vec<Rtp> {
    let called = run.wait_for_call(server);
    let to = format!("sip:x@127.0.0.1:{}{parameters}", called.port);
    let call = server.place(&to, agent);
    assert_eq!(call["direction"], "outbound", "{call}");
    until(SOON, "enough of it", || (ear.packets().len() > count).then_some(()));
    server.hang_up(call["id"].as_str().unwrap());
    called.succeed();
    ear.packets()
}

/// A call that the API places rings, is answered in the codec that the called chose, carries the
/// agent's tone, and ends by the API.
#[test]
fn placed_call_with_tone() {
    let Some(()) = sipp::installed() else { return };
    let (server, ear, port) = with_ear(AGENTS);
    let fields = [("FORMATS", "8"), ("MAPS", sipp::PCMA.1), ("PLAY", "")];
    let run = Run { scenario: "called.xml", fields: &fields, ear: Some(port), ..Run::default() };
    assert_tone(&place(&server, (&run, ""), "tone", (&ear, A_SECOND)), 8, 1.0);
    server.finish();
}

/// A call that the API places over TCP: the connection to the called is ours, and the tone comes.
#[test]
fn placed_call_over_tcp() {
    let Some(()) = sipp::installed() else { return };
    let (server, ear, port) = with_ear(AGENTS);
    let fields = [("FORMATS", "0"), ("MAPS", sipp::PCMU.1), ("PLAY", "")];
    let (scenario, args) = ("called.xml", &["-t", "t1"]);
    let run = Run { scenario, fields: &fields, ear: Some(port), args, ..Run::default() };
    let heard = place(&server, (&run, ";transport=tcp"), "tone", (&ear, A_SECOND));
    wav::assert_heard(&ear::samples(&heard), TONE_HZ, OTHER_HZ, 1.0);
    server.finish();
}

/// What the called says comes back to it, when a placed call has the echo for an agent.
#[test]
fn placed_call_with_echo() {
    let Some(()) = sipp::installed_with_audio() else { return };
    let server = Server::start(AGENTS);
    let media_port = server.ports.run(4);
    let ear = Ear::overhear(media_port);
    let play = sipp::play(Path::new(sipp::SPEECH_PCMA));
    let fields = [("FORMATS", "8"), ("MAPS", sipp::PCMA.1), ("PLAY", &play)];
    let run = Run {
        scenario: "called.xml",
        fields: &fields,
        media_port: Some(media_port),
        ..Run::default()
    };
    let heard = place(&server, (&run, ""), "echo", (&ear, 2 * A_SECOND));
    let sent = ear::captured_payloads(Path::new(sipp::SPEECH_PCMA), 8);
    assert_eq!(returned(&sent[..heard.len()], &heard), heard.len());
    server.stop();
}

/// A placed call that is refused ends at once, with nothing left of it.
#[test]
fn placed_call_is_refused() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(AGENTS);
    let fields = [("STATUS", "486 Busy Here")];
    let run = Run { scenario: "busy.xml", fields: &fields, ..Run::default() };
    let called = run.wait_for_call(&server);
    server.place(&format!("sip:x@127.0.0.1:{}", called.port), "tone");
    called.succeed();
    server.wait_idle();
    assert!(server.metric("cause=\"busy\"") >= 1.0, "the cause is counted");
    server.stop();
}

/// A placed call that nobody answers is given up by CANCEL, with the branch of its INVITE.
#[test]
fn placed_call_is_given_up() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(AGENTS);
    let run = Run { scenario: "no_answer.xml", ..Run::default() };
    let called = run.wait_for_call(&server);
    let to = format!("sip:x@127.0.0.1:{}", called.port);
    let wanted = serde_json::json!({ "to": to, "agent": "tone", "ring_timeout_s": 1 });
    let (status, body) = server.http("POST", "/api/v1/calls", Some(&wanted));
    assert_eq!(status, 201, "{body}");
    called.succeed();
    server.finish();
}

/// Runs `talkpath call` to `uri`; what it prints as JSON.
#[track_caller]
fn talkpath_call(uri: &str, args: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_talkpath"));
    let output = command.args(["call", uri, "--json"]).args(args).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{error}");
    serde_json::from_str(&text).unwrap()
}

/// `talkpath call` finds its own sounds in SIPp's echo, and tells how long they were on their way.
#[test]
fn call_command_measures_sipp() {
    let Some(()) = sipp::installed() else { return };
    let server = Server::start(AGENTS);
    let run = Run { scenario: "-uas", args: &["-rtp_echo"], ..Run::default() };
    let called = run.wait_for_call(&server);
    let result = talkpath_call(&format!("sip:x@127.0.0.1:{}", called.port), &["--seconds", "3"]);
    called.succeed();
    assert!(result["chirps_found"].as_u64().unwrap() >= 2, "{result}");
    assert!(result["round_trip_ms"].as_f64().unwrap() < 200.0, "{result}");
    assert!(result["packets_received"].as_u64().unwrap() > 100, "{result}");
    assert!(result["set_up_ms"].as_f64().is_some(), "{result}");
}

/// `talkpath call` over TCP reaches the echo, and hears itself.
#[test]
fn call_command_over_tcp() {
    let server = Server::start(AGENTS);
    let uri = format!("{};transport=tcp", server.uri("echo"));
    let result = talkpath_call(&uri, &["--seconds", "3"]);
    assert!(result["chirps_found"].as_u64().unwrap() >= 2, "{result}");
    server.finish();
}
