//! A real Asterisk that brings calls by AudioSocket, by its media WebSocket and as a SIP peer:
//! sound both ways, keys, barge-in, and every way to end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use support::agent::{Agent, Agents};
use support::asterisk::{self, Asterisk, Settings};
use support::pbx::{bytes, samples};
use support::ports::Ports;
use support::server::{Server, folder};
use support::{until, wav};

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(20);
/// Payload type of linear audio.
const L16_PT: u8 = 96;
/// The ways in, by their extensions, and the format of each channel: AudioSocket, media WebSocket,
/// SIP.
const DOORS: [(&str, &str); 3] = [("800", "slin"), ("811", "slin16"), ("9123", "slin")];

/// Asterisk, and a server that it brings calls to.
struct Stage {
    asterisk: Asterisk,
    server: Server,
    agents: Agents,
}

/// An Asterisk that speaks `codecs` over SIP, and a server whose agent speaks linear audio at
/// `rate_hz`, with `more` of configuration.
#[track_caller]
fn stage(rate_hz: u32, codecs: &'static str, more: &str) -> Option<Stage> {
    asterisk::installed()?;
    let (agents, ports) = (Agents::listen(), Ports::claim());
    let door: SocketAddr = ([127, 0, 0, 1], ports.pair()).into();
    let config = format!(
        "[audiosocket]\nlisten = \"{door}\"\nto = \"nobody\"\n[sip]\n\
         codecs = [\"PCMU\", \"PCMA\", \"G722\"]\n{more}\n\
         [[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\ngrace_ms = 0\n\
         format = {{ codec = \"l16le\", rate_hz = {rate_hz} }}\n",
        agents.url()
    );
    let server = Server::start_on(ports, folder(), &config);
    let asterisk = Asterisk::start(&Settings {
        audiosocket: door,
        media_uri: format!("ws://{}/api/v1/media", server.http),
        sip_peer: server.sip,
        codecs,
        ..Settings::default()
    })?;
    Some(Stage { asterisk, server, agents })
}

impl Stage {
    /// The agent of the next call, once that is answered.
    #[track_caller]
    fn answered(&self) -> Agent {
        let mut agent = self.agents.accept();
        if agent.start["state"] != "answered" {
            agent.event("answered");
        }
        agent
    }

    /// Everything is over, on both sides.
    #[track_caller]
    fn finish(self) {
        self.server.wait_idle();
        self.asterisk.wait_idle();
        self.server.stop();
    }
}

/// The agent says a tone.
#[track_caller]
fn say(agent: &mut Agent, rate_hz: u32, hz: f64, seconds: f64) {
    let said = bytes(&wav::sine_at(hz, rate_hz, seconds));
    said.chunks(32_000).for_each(|part| agent.play(L16_PT, part));
}

/// The agent says a tone to an echo, and hears it.
#[track_caller]
fn hears_itself(agent: &mut Agent, rate_hz: u32, hz: f64) {
    hears(agent, rate_hz, hz, |heard| wav::has_tone(heard, rate_hz, hz));
}

/// The agent says a tone to an echo until what it hears is `enough`. It is looked at now and then:
/// fifty that did so all the time would leave no time to Asterisk.
#[track_caller]
fn hears(agent: &mut Agent, rate_hz: u32, hz: f64, enough: impl Fn(&[i16]) -> bool) {
    let mut frames = agent.frames.len() + 60;
    say(agent, rate_hz, hz, 4.0);
    until(SOON, "the agent hears itself", || {
        agent.look();
        if agent.frames.len() < frames {
            return None;
        }
        frames += 40;
        enough(&heard(agent)).then_some(())
    });
}

/// What an agent has heard.
fn heard(agent: &Agent) -> Vec<i16> {
    let frames = agent.frames.iter().flat_map(|frame| frame.payload.clone());
    samples(&frames.collect::<Vec<u8>>())
}

/// How long something of it was loud, in milliseconds.
fn loud_ms(samples: &[i16], rate_hz: u32) -> u64 {
    let loud = |part: &&[i16]| part.iter().any(|sample| sample.unsigned_abs() > 2_000);
    samples.chunks(rate_hz as usize / 500).filter(loud).count() as u64 * 2
}

/// One call through each extension, with an echo behind it: tones come back, as high as its rate
/// carries, and the call is what the dialplan said.
#[track_caller]
fn echoes(rate_hz: u32, hz: f64, codecs: &'static str, extensions: &[(&str, &str, &str)]) {
    let Some(stage) = stage(rate_hz, codecs, "") else { return };
    for (extension, format, provider) in extensions {
        stage.asterisk.connect("Local/600@test", extension, format);
        let mut agent = stage.answered();
        assert_eq!(agent.start["provider"], *provider, "{extension}: {}", agent.start);
        assert_eq!(agent.start["to"], *extension);
        hears_itself(&mut agent, rate_hz, hz);
        agent.order("hangup");
        assert_eq!(agent.event("stop")["by"], "agent");
        stage.server.wait_idle();
        stage.asterisk.wait_idle();
    }
    stage.finish();
}

/// At 8 kHz by every way in: AudioSocket as an application, the media WebSocket in plain text,
/// answered by us, and SIP.
#[test]
fn tones_at_8_khz() {
    let all = [
        ("800", "slin", "audiosocket"),
        ("810", "ulaw", "media_socket"),
        ("812", "slin", "media_socket"),
        ("9123", "slin", "sip_trunk"),
    ];
    echoes(8_000, 1_000.0, "ulaw,alaw", &all);
}

/// At 16 kHz, where a tone of 5.2 kHz passes: AudioSocket as a channel, the media WebSocket with
/// linear audio and with G.722, and SIP with G.722.
#[test]
fn tones_at_16_khz() {
    let all = [
        ("801", "slin16", "audiosocket"),
        ("811", "slin16", "media_socket"),
        ("813", "slin16", "media_socket"),
        ("9123", "slin16", "sip_trunk"),
    ];
    echoes(16_000, 5_200.0, "g722", &all);
}

/// At 48 kHz by AudioSocket.
#[test]
fn tones_at_48_khz() {
    echoes(48_000, 14_000.0, "ulaw", &[("803", "slin48", "audiosocket")]);
}

/// Who calls whom comes with the call, and variables by the media WebSocket; a UUID that says
/// nothing means whom the configuration names.
#[test]
fn who_calls_whom() {
    let Some(stage) = stage(8_000, "ulaw", "") else { return };
    for (extension, to, from) in [
        ("800", "800", "15550001234"),
        ("802", "nobody", "anonymous"),
        ("810", "810", "+15550001234"),
    ] {
        stage.asterisk.connect("Local/604@test", extension, "slin");
        let mut agent = stage.answered();
        assert_eq!((&agent.start["to"], &agent.start["from"]), (&json!(to), &json!(from)));
        if extension == "810" {
            assert_eq!(agent.start["variables"], json!({"color": "red"}));
        }
        agent.order("hangup");
        agent.event("stop");
    }
    stage.finish();
}

/// Keys that are pressed at the far end are told by every way in, each once and in order.
#[test]
fn keys_are_told() {
    let Some(stage) = stage(8_000, "ulaw", "") else { return };
    for (extension, format) in DOORS {
        stage.asterisk.connect("Local/602@test", extension, format);
        let mut agent = stage.answered();
        for key in "1234567890*#".chars() {
            assert_eq!(agent.event("dtmf")["digit"], key.to_string(), "{extension}");
        }
        agent.order("hangup");
        agent.event("stop");
    }
    stage.finish();
}

/// Keys that the agent presses get there: as tones where the way in has no word for them, as events
/// over SIP, which the echo sends back as such.
#[test]
fn keys_are_pressed() {
    let Some(stage) = stage(8_000, "ulaw", "") else { return };
    for (extension, format) in DOORS {
        stage.asterisk.connect("Local/600@test", extension, format);
        let mut agent = stage.answered();
        agent.say(&json!({"event": "dtmf", "digits": "5", "duration_ms": 400}));
        if agent.start["provider"] == "sip_trunk" {
            assert_eq!(agent.event("dtmf")["digit"], "5");
        } else {
            until(SOON, "the tones of the key", || {
                agent.look();
                let heard = heard(&agent);
                let is_five = |part: &[i16]| {
                    [770.0, 1_336.0].iter().all(|hz| wav::amplitude(part, *hz) > 2_000.0)
                };
                heard.chunks(1_600).any(is_five).then_some(())
            });
        }
        agent.order("hangup");
        agent.event("stop");
    }
    stage.finish();
}

/// A clear stops what the far end hears: what came back of a long tone is what the agent is told
/// was heard of it, by every way in.
#[test]
fn barge_in() {
    let Some(stage) = stage(8_000, "ulaw", "") else { return };
    for (extension, format) in DOORS {
        stage.asterisk.connect("Local/600@test", extension, format);
        let mut agent = stage.answered();
        say(&mut agent, 8_000, 1_000.0, 6.0);
        until(SOON, "some of the tone comes back", || {
            agent.look();
            (loud_ms(&heard(&agent), 8_000) > 800).then_some(())
        });
        agent.order("clear");
        let cleared = agent.event("cleared");
        let told_ms = cleared["samples"].as_u64().unwrap() / 8;
        assert!((800..5_000).contains(&told_ms), "{extension}: {cleared}");
        // A short tone of another pitch comes behind all that came before.
        say(&mut agent, 8_000, 2_400.0, 0.4);
        until(SOON, "what is said next comes back", || {
            agent.look();
            let tail = heard(&agent);
            let tail = &tail[tail.len().saturating_sub(1_600)..];
            (wav::amplitude(tail, 2_400.0) > 6_000.0).then_some(())
        });
        let all = heard(&agent);
        let first: usize =
            all.chunks(80).filter(|part| wav::amplitude(part, 1_000.0) > 4_000.0).count();
        let echoed_ms = first as u64 * 10;
        let differs_ms = echoed_ms.abs_diff(told_ms);
        eprintln!("{extension}: {told_ms} ms were told, {echoed_ms} ms came back");
        assert!(differs_ms <= 60, "{extension}: {echoed_ms} ms came back, {told_ms} were told");
        agent.order("hangup");
        agent.event("stop");
    }
    stage.finish();
}

/// Every way to end: the far end hangs up, the agent does, the server refuses; nothing is left on
/// either side, and the log says who it was.
#[test]
fn ends() {
    let more =
        "[[routes]]\nto = \"8*\"\nagent = \"bot\"\n[[routes]]\nto = \"9*\"\nagent = \"bot\"\n";
    let Some(stage) = stage(8_000, "ulaw", more) else { return };
    for (extension, format) in DOORS {
        stage.asterisk.connect("Local/605@test", extension, format);
        let mut agent = stage.answered();
        let stop = agent.event("stop");
        assert_eq!((&stop["cause"], &stop["by"]), (&json!("normal"), &json!("caller")), "{stop}");
        assert_eq!(agent.wait_close(), 1000);
        let path = format!("/api/v1/calls/{}", agent.start["call_id"].as_str().unwrap());
        let view = until(SOON, "the end of the call", || {
            let (_, text) = stage.server.http("GET", &path, None);
            let view: Value = serde_json::from_str(&text).unwrap();
            (view["state"] == "ended").then_some(view)
        });
        assert_eq!((&view["status"], &view["ended_by"]), (&json!("completed"), &json!("caller")));
        stage.asterisk.wait_idle();
    }
    // No route leads from `nobody`: the far end is hung up, and nobody rings.
    stage.asterisk.connect("Local/604@test", "802", "slin");
    until(SOON, "the call is refused", || stage.server.log().contains("no route").then_some(()));
    stage.finish();
}

/// Calls by each way in at once, twenty times three, each with its own tone.
#[test]
fn many_calls_at_once() {
    const CALLS: usize = 51;
    let Some(stage) = stage(8_000, "ulaw", "") else { return };
    let mut agents = Vec::new();
    for number in 0..CALLS {
        let (extension, format) = DOORS[number % DOORS.len()];
        stage.asterisk.connect("Local/600@test", extension, format);
        agents.push(stage.answered());
    }
    assert_eq!(stage.server.calls().len(), CALLS);
    std::thread::scope(|scope| {
        for (number, agent) in agents.iter_mut().enumerate() {
            let own = 400.0 + 50.0 * number as f64;
            // A second of it, with gaps where the machine was busy.
            let enough = move |heard: &[i16]| wav::listen(heard, own, own).own >= 10;
            scope.spawn(move || hears(agent, 8_000, own, enough));
        }
    });
    for (number, agent) in agents.iter_mut().enumerate() {
        let own = 400.0 + 50.0 * number as f64;
        let other = 400.0 + 50.0 * ((number + 7) % CALLS) as f64;
        let heard = wav::listen(&heard(agent), other, own);
        assert_eq!(heard.own, 0, "{own} Hz hears {other} Hz: {heard:?}");
        agent.order("hangup");
    }
    agents.iter_mut().for_each(|agent| drop(agent.event("stop")));
    stage.finish();
}

/// Asterisk dies in the middle of calls, and is stopped in the middle of others: they end, nothing
/// is left, and once it is back there are new ones.
#[test]
fn asterisk_goes_and_comes() {
    let more = "[limits]\nmedia_timeout_s = 3\n";
    let Some(mut stage) = stage(8_000, "ulaw", more) else { return };
    for dies in [true, false] {
        let mut agents = Vec::new();
        for (extension, format) in DOORS {
            stage.asterisk.connect("Local/600@test", extension, format);
            let mut agent = stage.answered();
            hears_itself(&mut agent, 8_000, 1_000.0);
            agents.push(agent);
        }
        if dies {
            stage.asterisk.kill();
        } else {
            stage.asterisk.stop();
        }
        for (agent, (extension, _)) in agents.iter_mut().zip(DOORS) {
            let stop = agent.event("stop");
            eprintln!("{extension}, killed {dies}: {} by {}", stop["cause"], stop["by"]);
            if dies && extension == "9123" {
                assert_eq!(stop["cause"], "media_timeout", "{stop}");
            }
        }
        stage.server.wait_idle();
        stage.asterisk.start_again();
    }
    stage.asterisk.connect("Local/600@test", "800", "slin");
    let mut agent = stage.answered();
    hears_itself(&mut agent, 8_000, 1_000.0);
    agent.order("hangup");
    agent.event("stop");
    stage.finish();
}
