//! tshark judges our packets, and times our answers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use support::baresip::{self, Baresip, Setup};
use support::ear::Stalls;
use support::ports::Ports;
use support::server::Server;
use support::sipp::{self, Run};
use support::tshark::{self, Capture, Captured, Stream};

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

/// Calls of each kind.
const CALLS: u32 = 5;
/// How long each lasts, in milliseconds: some reports of RTCP fall into it (RFC 3550 6.2).
const CALL_MS: &str = "6000";

/// Longest time between two packets, in milliseconds, by which a machine counts as calm.
const CALM_MS: f64 = 60.0;
/// Mean jitter of a stream on a calm machine, in milliseconds; SIPp's own is in that of the echo.
const JITTER_MS: f64 = 5.0;
/// When an INVITE without an answer is repeated (RFC 3261 17.1.1.1).
const T1: Duration = Duration::from_millis(500);

/// Ten calls at once, half of them through the echo and half with a tone, as tshark sees them: no
/// packet of ours is lost or out of order, time stamps keep pace with the packets, nothing that we
/// send is malformed, and RTCP reports go out.
///
/// By hand: `dumpcap -i lo -f 'udp portrange FIRST-LAST' -w calls.pcapng` during calls, then
/// `tshark -r calls.pcapng -d udp.port==SIP-PORT,sip -q -z rtp,streams`.
#[test]
fn ten_calls_without_fault() {
    let Some(()) = tshark::installed() else { return };
    let Some(()) = sipp::installed_with_audio() else { return };
    let server = Server::start(AGENTS);
    let (first, last) = server.ports.block();
    let Some(capture) = Capture::start(&server, first, last) else { return };
    let play = sipp::play(Path::new(sipp::SPEECH_PCMA));
    let fields = [("FORMATS", "8"), ("MAPS", sipp::PCMA.1), ("PLAY", &play), ("HOLD_MS", CALL_MS)];
    let tones = [("FORMATS", "8"), ("MAPS", sipp::PCMA.1), ("PLAY", ""), ("HOLD_MS", CALL_MS)];
    let ports = u16::try_from(CALLS).unwrap() * 4;
    let run = |user, fields| Run {
        user,
        fields,
        args: &["-r", "20"],
        calls: CALLS,
        media_port: Some(server.ports.run(ports)),
        ..Run::default()
    };
    let (echo, tone) = (run("echo", &fields).call(&server), run("tone", &tones).call(&server));
    echo.succeed();
    tone.succeed();
    server.wait_idle();
    let captured = capture.end();
    let (low, high) = server.ports.rtp_range();
    let ours = |stream: &Stream| (low..=high).contains(&stream.from_port);
    let streams: Vec<Stream> = captured.streams().into_iter().filter(ours).collect();
    assert_eq!(streams.len(), 2 * CALLS as usize, "{streams:?}");
    for stream in &streams {
        println!("{stream:?}");
        assert!(stream.lost == 0 && !stream.problem, "{stream:?}");
        // 6 s of 20 or 30 ms packets; SIPp's machine may be busy at both ends of a call.
        assert!(stream.packets >= 180, "{stream:?}");
        // Where the machine let nobody wait, time stamps and packets keep pace.
        let calm = stream.max_delta_ms < CALM_MS;
        assert!(!calm || stream.mean_jitter_ms < JITTER_MS, "{stream:?}");
    }
    steps_are_exact(&captured, low, high);
    let reports = captured.fields(&format!("rtcp && {}", from(low, high)), &["rtcp.pt"]);
    assert!(reports.len() >= streams.len(), "{} reports", reports.len());
    let bad = format!("(_ws.malformed || rtp.version != 2) && {}", from(low - 1, high));
    assert_eq!(captured.fields(&bad, &["frame.number"]), Vec::<Vec<String>>::new());
    server.stop();
}

/// A filter for packets from these ports.
fn from(low: u16, high: u16) -> String {
    format!("udp.srcport >= {low} && udp.srcport <= {high}")
}

/// Each packet of ours is one later than the one before, in sequence numbers, and by its own length
/// in time stamps, by tshark's reading of them.
#[track_caller]
fn steps_are_exact(captured: &Captured, low: u16, high: u16) {
    let fields = ["rtp.ssrc", "rtp.seq", "rtp.timestamp", "udp.length", "frame.time_epoch"];
    let mut streams: HashMap<String, (u16, u32, f64, Stalls)> = HashMap::new();
    let packets = captured.fields(&format!("rtp && {}", from(low, high)), &fields);
    assert!(packets.len() > 100, "{} packets", packets.len());
    for packet in packets {
        let [ssrc, seq, ts, length, time] = packet.try_into().unwrap();
        let (seq, ts): (u16, u32) = (seq.parse().unwrap(), ts.parse().unwrap());
        let (samples, time) = (length.parse::<u32>().unwrap() - 8 - 12, time.parse().unwrap());
        let file = captured.file().display();
        let stream = streams.entry(ssrc).or_insert((seq, ts, time, Stalls::default()));
        let (due_seq, due_ts, before, stalls) = stream;
        assert_eq!(seq, *due_seq, "in {file}");
        assert!(stalls.step(time - *before, ts.wrapping_sub(*due_ts)), "{ts} at {seq} in {file}");
        (*due_seq, *due_ts, *before) = (seq.wrapping_add(1), ts.wrapping_add(samples), time);
    }
}

/// A server whose calls are captured, and the capture.
fn captured_server(config: &str, listen: Option<&str>) -> Option<(Server, Capture)> {
    let ports = Ports::claim();
    let (first, last) = ports.block();
    let listen = listen.map(|address| format!("{address}:{}", ports.pair()));
    let environment: Vec<_> = listen.iter().map(|at| ("TALKPATH_SIP_LISTEN", &**at)).collect();
    let server = Server::start_with(ports, support::server::folder(), config, &environment);
    let capture = Capture::start(&server, first, last)?;
    Some((server, capture))
}

/// What tshark reads in the VoIP metrics that we send of a good call (RFC 3611 4.7): a block in its
/// place and of its length, with figures of a good call.
#[test]
fn voip_metrics_are_understood() {
    let (Some(()), Some(())) = (tshark::installed(), sipp::installed_with_audio()) else { return };
    let config = format!("[rtp]\nxr = true\n{AGENTS}");
    let Some((server, capture)) = captured_server(&config, None) else { return };
    let play = sipp::play(Path::new(sipp::SPEECH_PCMA));
    let fields = [("FORMATS", "8"), ("MAPS", sipp::PCMA.1), ("PLAY", &play), ("HOLD_MS", "7500")];
    Run { user: "echo", fields: &fields, ..Run::default() }.call(&server).succeed();
    server.wait_idle();
    let captured = capture.end();
    let (low, high) = server.ports.rtp_range();
    let ours = from(low, high);
    let names = ["bl", "voipmetrics.gmin", "voipmetrics.rfactor", "voipmetrics.moscq"];
    let names = names.map(|name| format!("rtcp.xr.{name}"));
    let names = names.each_ref().map(|name| &**name);
    let blocks = captured.fields(&format!("rtcp.xr.bt == 7 && {ours}"), &names);
    assert!(!blocks.is_empty(), "no VoIP metrics in {}", captured.file().display());
    for block in &blocks {
        let figures: Vec<f64> = block.iter().map(|figure| figure.parse().unwrap()).collect();
        let [words, gmin, r, mos] = figures.try_into().unwrap();
        assert_eq!((words, gmin), (8.0, 16.0), "{block:?}");
        assert!((70.0..=95.0).contains(&r) && (3.5..=4.5).contains(&mos), "{block:?}");
    }
    assert_eq!(captured.fields(&format!("_ws.malformed && {ours}"), &["frame.number"]).len(), 0);
    server.stop();
}

/// A call over IPv6 is as good as others: nothing lost, nothing malformed, reports go out.
#[test]
fn a_call_over_ipv6_without_fault() {
    let (Some(()), Some(())) = (tshark::installed(), sipp::installed()) else { return };
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        return support::skip("this machine has no IPv6");
    }
    let Some((server, capture)) = captured_server(AGENTS, Some("[::1]")) else { return };
    let fields = [("FORMATS", "8"), ("MAPS", sipp::PCMA.1), ("PLAY", ""), ("HOLD_MS", CALL_MS)];
    let args = ["-t", "u1", "-i", "::1", "-mi", "::1"];
    let run = Run { user: "tone", fields: &fields, args: &args, ..Run::default() };
    run.call(&server).succeed();
    server.wait_idle();
    let captured = capture.end();
    let (low, high) = server.ports.rtp_range();
    let ours = |stream: &Stream| (low..=high).contains(&stream.from_port);
    let streams: Vec<Stream> = captured.streams().into_iter().filter(ours).collect();
    assert_eq!(streams.len(), 1, "{streams:?}");
    assert!(streams[0].lost == 0 && !streams[0].problem && streams[0].packets >= 180);
    steps_are_exact(&captured, low, high);
    let here = format!("ipv6.src == ::1 && {}", from(low, high));
    assert!(!captured.fields(&format!("rtcp && {here}"), &["rtcp.pt"]).is_empty());
    assert_eq!(captured.fields(&format!("_ws.malformed && {here}"), &["frame.number"]).len(), 0);
    server.stop();
}

/// With SRTP the reports are encrypted too, as they are seen on the wire (RFC 3711 3.4): all of
/// them say so, their numbers go up by one, and neither our name nor audio is to be read.
#[test]
fn reports_beside_srtp_are_encrypted() {
    let (Some(()), Some(())) = (tshark::installed(), baresip::installed()) else { return };
    let config = format!(
        "[sip]\nsrtp = \"required\"\nsrtp_suites = [\"AES_CM_128_HMAC_SHA1_80\"]\n{AGENTS}"
    );
    let Some((server, capture)) = captured_server(&config, None) else { return };
    let uri = server.uri("tone");
    let setup = Setup {
        codecs: "PCMA",
        dial: Some(&uri),
        account: ";mediaenc=srtp-mand",
        modules: &["srtp"],
        ..Setup::default()
    };
    let phone = Baresip::start_with(&server, &setup);
    support::until(Duration::from_secs(40), "a call of 12 s", || {
        let lasted = server.calls().first().and_then(|call| call["duration_ms"].as_u64());
        lasted.is_some_and(|lasted| lasted >= 12_000).then_some(())
    });
    phone.end();
    server.wait_idle();
    let captured = capture.end();
    let (low, high) = server.ports.rtp_range();
    let payload = ["udp.srcport", "udp.payload"];
    let mut indices = Vec::new();
    for packet in captured.fields(&from(low, high), &payload) {
        let [port, hex] = packet.try_into().unwrap();
        if port.parse::<u16>().unwrap() % 2 == 0 {
            continue;
        }
        // The index is in front of the tag of ten bytes; its first bit says that it is encrypted.
        let word = hex.len() - 2 * (10 + 4);
        let word = u32::from_str_radix(&hex[word..word + 8], 16).unwrap();
        assert!(word >> 31 == 1, "a report in the clear: {hex}");
        indices.push(word & 0x7fff_ffff);
    }
    assert!(indices.len() >= 2, "{indices:?}");
    assert!(indices.windows(2).all(|pair| pair[1] == pair[0] + 1), "{indices:?}");
    let clear = format!("rtcp.sdes.text && {}", from(low, high));
    assert_eq!(captured.fields(&clear, &["frame.number"]).len(), 0);
    server.stop();
}

/// A variable of the environment as a number.
fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// SIPp calls 75 times a second for some seconds; every call is answered, and the time from INVITE
/// to 200, taken from the kernel's time stamps of a capture, is printed. The bound is loose, for
/// machines that are busy: half of the calls are answered before the INVITE would be repeated.
///
/// To measure: `SETUP_RATE=75 SETUP_SECONDS=60 cargo test --release --test interop_sip_tshark
/// set_up -- --nocapture`.
#[test]
fn set_up_at_75_calls_a_second() {
    let Some(()) = tshark::installed() else { return };
    let Some(()) = sipp::installed() else { return };
    let (rate, seconds) = (number("SETUP_RATE", 75), number("SETUP_SECONDS", 4));
    // Room for the calls of ten seconds of a machine that does not let SIPp hang up.
    let server = Server::start_on(Ports::claim_blocks(4), support::server::folder(), AGENTS);
    let sip = server.sip.port();
    let Some(capture) = Capture::start(&server, sip, sip + 1) else { return };
    let fields = [("FORMATS", "0"), ("MAPS", sipp::PCMU.1), ("PLAY", ""), ("HOLD_MS", "200")];
    let run = Run {
        fields: &fields,
        args: &["-r", &rate.to_string(), "-l", "1000"],
        calls: rate * seconds,
        seconds: seconds + 25,
        ..Run::default()
    };
    run.call(&server).succeed();
    server.wait_idle();
    let captured = capture.end();
    let mut times = set_up_times(&captured);
    assert_eq!(times.len(), (rate * seconds) as usize, "every call is answered");
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "{} calls at {rate}/s, INVITE to 200: median {:?}, 95 % {:?}, 99 % {:?}, longest {:?}",
        times.len(),
        at(50),
        at(95),
        at(99),
        at(100)
    );
    assert!(at(50) < T1, "median {:?}", at(50));
    server.stop();
}

/// From each call's first INVITE to its first 200.
#[track_caller]
fn set_up_times(captured: &Captured) -> Vec<Duration> {
    let fields = ["frame.time_epoch", "sip.Call-ID", "sip.Status-Code"];
    let mut invited: HashMap<String, f64> = HashMap::new();
    let mut answered: HashMap<String, f64> = HashMap::new();
    for packet in captured.fields("sip.CSeq.method == \"INVITE\"", &fields) {
        let [time, call, status] = packet.try_into().unwrap();
        let time = time.parse().unwrap();
        match status.as_str() {
            "" => invited.entry(call).or_insert(time),
            "200" => answered.entry(call).or_insert(time),
            _ => continue,
        };
    }
    let took = |(call, time): (String, f64)| Duration::from_secs_f64(time - invited[&call]);
    answered.into_iter().map(took).collect()
}
