//! Silence explained end to end (`docs/silence.md`): each cause is produced with a phone and an
//! agent and must be named within two seconds; a hundred good calls must be passed over in silence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use support::agent::{Agent, Agents};
use support::phone::{Phone, offer, packet};
use support::ports::Ports;
use support::server::{Server, folder};
use support::wav;

const SPEECH: &[u8] = include_bytes!("../../media/tests/vectors/speech_english.ulaw");
const PTIME: Duration = Duration::from_millis(20);
/// Samples of a packet.
const SAMPLES: usize = 160;
/// Words about silence in the log: the name of the metric, without its prefix.
const METRIC: &str = "talkpath_call_silence_total{";

/// A call at both ends.
struct Call {
    phone: Phone,
    agent: Option<Agent>,
    id: String,
}

/// What a phone offers.
#[derive(Clone, Copy)]
enum Offer {
    Plain,
    Direction(&'static str),
    /// An address of somebody's home network; we are not to send there.
    Hidden,
}

/// A server whose calls go to an agent on a socket, or for numbers that begin with +2 to a tone.
fn start(ports: Ports) -> (Server, Agents) {
    let agents = Agents::listen();
    let config = format!(
        "[log]\nformat = \"json\"\n\
         [[agents]]\nname = \"bot\"\nkind = \"websocket\"\nurl = \"{}\"\ngrace_ms = 20000\n\
         [[agents]]\nname = \"tone\"\nkind = \"builtin\"\nbuiltin = \"tone\"\nfrequency_hz = 440\n\
         [[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n\
         [[routes]]\nto = \"+2*\"\nagent = \"tone\"\n\
         [[routes]]\nto = \"+3*\"\nagent = \"echo\"\n\
         [[routes]]\nto = \"*\"\nagent = \"bot\"\n",
        agents.url()
    );
    (Server::start_on(ports, folder(), &config), agents)
}

impl Call {
    /// An answered call whose agent wants to hear of silence.
    fn up(server: &Server, agents: &Agents, kind: Offer) -> Self {
        let mut phone = Phone::call_sdp(server.sip, "+15550005678", "", |port| match kind {
            Offer::Plain => offer("127.0.0.1", port, "sendrecv"),
            Offer::Direction(direction) => offer("127.0.0.1", port, direction),
            Offer::Hidden => {
                let sdp = offer("10.255.255.1", port, "sendonly");
                format!("{sdp}a=rtcp:{} IN IP4 127.0.0.1\r\n", port + 1)
            }
        });
        let mut agent = agents.accept();
        agent.say(&json!({ "event": "configure", "wants": ["silence"] }));
        let configured = agent.event("configured");
        assert_eq!(configured["wants"], json!(["silence"]));
        phone.wait_answer();
        let id = agent.start["call_id"].as_str().unwrap().to_owned();
        Self { phone, agent: Some(agent), id }
    }

    /// An answered call with an agent of the server's own.
    fn up_inside(server: &Server, to: &str) -> Self {
        let phone = Phone::up(server, to);
        Self { phone, agent: None, id: String::new() }
    }

    /// Lets `seconds` pass, with `each` every 20 ms.
    fn run(&mut self, seconds: f64, mut each: impl FnMut(u32, &mut Self)) {
        let begin = Instant::now();
        for frame in 0..(seconds * 50.0) as u32 {
            std::thread::sleep((begin + PTIME * frame).saturating_duration_since(Instant::now()));
            each(frame, self);
        }
    }

    fn speak(&mut self, frame: u32) {
        let at = frame as usize * SAMPLES % SPEECH.len();
        self.phone.send(&SPEECH[at..at + SAMPLES], frame == 0);
    }

    /// The agent says something of 20 ms.
    fn say(&mut self, frame: u32) {
        let at = frame as usize * SAMPLES % SPEECH.len();
        self.agent.as_mut().unwrap().play(0, &SPEECH[at..at + SAMPLES]);
    }
}

/// What the log says of a call's silence: direction, reason, whether it began, and its length.
fn told(log: &str, id: &str) -> Vec<(String, String, bool, u64)> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let word = |line: &Value, name: &str| line[name].as_str().unwrap_or_default().to_owned();
    lines
        .filter(|line| line["span"]["id"].as_str() == Some(id))
        .filter(|line| word(line, "message").starts_with("silence"))
        .map(|line| {
            let began = word(&line, "message") == "silence";
            let since_ms = line["since_ms"].as_u64().unwrap();
            let reason = word(&line, "reason");
            // What is not meant comes with what to do about it.
            let is_meant = ["hold", "muted", "one_way"].contains(&reason.as_str());
            assert_eq!(line["advice"].is_string(), began && !is_meant, "{line}");
            (word(&line, "direction"), reason, began, since_ms)
        })
        .collect()
}

type Act = Box<dyn FnMut(u32, &mut Call) + Send>;

/// A cause: its name, what the phone offers, what happens every 20 ms, and what must be told.
struct Cause {
    name: &'static str,
    offer: Offer,
    act: Act,
    expect: Vec<(&'static str, &'static str)>,
}

fn cause(
    expect: &[(&'static str, &'static str)],
    act: impl FnMut(u32, &mut Call) + Send + 'static,
) -> Cause {
    let expect = expect.to_vec();
    Cause { name: expect[0].1, offer: Offer::Plain, act: Box::new(act), expect }
}

/// Causes on the phone's side. The agent greets, so that its side is no question.
fn causes_in() -> Vec<Cause> {
    fn greet(frame: u32, call: &mut Call) {
        if frame < 20 {
            call.say(frame);
        }
    }
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    let tone = wav::to_alaw(&wav::sine(440.0, 0.1));
    let mut causes = vec![
        cause(&[("in", "nothing_arrived")], greet),
        cause(&[("in", "foreign_source")], move |frame, call| {
            greet(frame, call);
            let packet = packet(0, frame as u16, frame * 160, &SPEECH[..160]);
            stranger.send_to(&packet, call.phone.media()).unwrap();
        }),
        cause(&[("in", "stopped_arriving")], |frame, call| {
            greet(frame, call);
            if frame < 30 {
                call.speak(frame);
            }
        }),
        cause(&[("in", "payload_type")], |frame, call| {
            greet(frame, call);
            call.phone.send_as(8, &SPEECH[..160]);
        }),
        cause(&[("in", "law_mixup")], move |frame, call| {
            greet(frame, call);
            let at = frame as usize % 5 * SAMPLES;
            call.phone.send(&tone[at..at + SAMPLES], false);
        }),
        cause(&[("in", "digital_silence")], |frame, call| {
            greet(frame, call);
            if frame < 30 { call.speak(frame) } else { call.phone.send(&[0xff; SAMPLES], false) }
        }),
        cause(&[("in", "not_rtp")], |frame, call| {
            greet(frame, call);
            let rtp = call.phone.rtp();
            rtp.send_to(b"\0\x01\0\0 not a packet of RTP", call.phone.media()).unwrap();
        }),
        cause(&[("in", "private_address"), ("out", "one_way")], |_, _| {}),
        cause(&[("in", "one_way")], greet),
        cause(&[("in", "hold"), ("out", "hold")], |frame, call| {
            greet(frame, call);
            match frame {
                0..30 => call.speak(frame),
                30 => call.phone.reinvite("inactive"),
                _ => {}
            }
        }),
    ];
    causes[7].offer = Offer::Hidden;
    causes[8].offer = Offer::Direction("recvonly");
    causes
}

/// Causes on the agent's side, while the phone speaks.
fn causes_out() -> Vec<Cause> {
    let mut causes = vec![
        cause(&[("out", "agent_silent")], |frame, call| call.speak(frame)),
        cause(&[("out", "underrun")], |frame, call| {
            call.speak(frame);
            if frame == 0 {
                call.agent.as_mut().unwrap().say(&json!({ "event": "utterance", "id": "one" }));
            }
            if frame < 15 {
                call.say(frame);
            }
        }),
        cause(&[("out", "muted")], |frame, call| {
            call.speak(frame);
            call.say(frame);
            if frame == 20 {
                call.agent.as_mut().unwrap().order("mute");
            }
        }),
        cause(&[("out", "one_way")], |frame, call| call.speak(frame)),
        cause(&[("out", "hold")], |frame, call| {
            call.speak(frame);
            match frame {
                0..20 => call.say(frame),
                20 => call.phone.reinvite("sendonly"),
                _ => {}
            }
        }),
        cause(&[("out", "agent_lost")], |frame, call| {
            call.speak(frame);
            match frame {
                0..20 => call.say(frame),
                // The connection breaks, and whoever dials again finds nobody who answers.
                20 => drop(call.agent.take()),
                _ => {}
            }
        }),
    ];
    causes[3].offer = Offer::Direction("sendonly");
    causes
}

/// Runs all causes at once, each in a call of its own, and looks at what was told of each.
fn name_each(causes: Vec<Cause>) {
    let (server, agents) = start(Ports::claim());
    let metric = |expect: &(&str, &str)| {
        let (direction, reason) = *expect;
        server.metric(&format!("{METRIC}direction=\"{direction}\",reason=\"{reason}\""))
    };
    let names: Vec<_> = causes.iter().flat_map(|cause| cause.expect.clone()).collect();
    let run = |mut cause: Cause| {
        let mut call = Call::up(&server, &agents, cause.offer);
        std::thread::spawn(move || {
            call.run(3.2, |frame, call| {
                (cause.act)(frame, call);
                if let Some(agent) = &mut call.agent {
                    agent.look();
                }
            });
            (cause, call)
        })
    };
    let threads: Vec<_> = causes.into_iter().map(run).collect();
    let done: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    for (cause, call) in &done {
        let told = told(&server.log(), &call.id);
        let mut began: Vec<_> =
            told.iter().map(|(way, why, began, _)| (way.as_str(), why.as_str(), *began)).collect();
        began.sort_unstable();
        let expect: Vec<_> = cause.expect.iter().map(|(way, why)| (*way, *why, true)).collect();
        assert_eq!(began, expect, "{}: {told:?}", cause.name);
        let late = told.iter().find(|(_, _, _, since_ms)| *since_ms > 2_000);
        assert_eq!(late, None, "{}", cause.name);
        if let Some(agent) = &call.agent {
            let said = agent.said.iter().filter(|event| event["event"] == "silence").count();
            assert_eq!(said, cause.expect.len(), "{}: {:?}", cause.name, agent.said);
        }
    }
    assert!(names.iter().all(|name| metric(name) >= 1.0));
    for (_, mut call) in done {
        call.phone.hang_up();
    }
    server.wait_idle();
    let log = server.log();
    let ends = log.lines().filter(|line| line.contains("call ended"));
    let explained =
        |line: &str| line.contains("\"silence_in\":") || line.contains("\"silence_out\":");
    assert!(ends.clone().count() > 0 && ends.clone().all(explained), "{log}");
    server.stop();
}

/// Each cause on the phone's side is named within two seconds of silence, to agent, log and
/// metrics, and nothing else is.
#[test]
fn causes_at_the_phone_are_named() {
    name_each(causes_in());
}

/// Each cause on the agent's side is named within two seconds of silence, and nothing else is.
#[test]
fn causes_at_the_agent_are_named() {
    name_each(causes_out());
}

/// Silence ends when sound is back, and the agent is told for how long it lasted.
#[test]
fn the_end_of_silence_is_told() {
    let (server, agents) = start(Ports::claim());
    let mut call = Call::up(&server, &agents, Offer::Plain);
    call.run(2.2, |frame, call| call.say(frame));
    let began = call.agent.as_mut().unwrap().event("silence");
    assert_eq!(
        (&began["state"], &began["direction"], &began["reason"]),
        (&json!("started"), &json!("in"), &json!("nothing_arrived"))
    );
    call.run(0.6, |frame, call| call.speak(frame));
    let over = call.agent.as_mut().unwrap().event("silence");
    assert_eq!((&over["state"], &over["reason"]), (&json!("stopped"), &json!("nothing_arrived")));
    assert!(over["since_ms"].as_u64() > began["since_ms"].as_u64(), "{began} {over}");
    call.phone.hang_up();
    server.wait_idle();
    server.stop();
}

/// A good call of one of many kinds.
fn good(kind: u32, call: &mut Call, tone: &[u8]) {
    let noise: Vec<u8> =
        (0..160_u32).map(|n| 0xf8 | (n.wrapping_mul(2_654_435_761) >> 29) as u8).collect();
    let inside = call.agent.is_none();
    call.run(4.0, |frame, call| {
        let talks = match kind % 10 {
            // Pauses with the noise of a room.
            0 => frame % 150 < 40,
            _ => true,
        };
        match kind % 10 {
            // A tone.
            1 => {
                let at = frame as usize % 10 * SAMPLES;
                call.phone.send(&tone[at..at + SAMPLES], false);
            }
            // Comfort noise, then nothing, then speech again.
            2 => match frame {
                0..50 => call.speak(frame),
                50 => call.phone.send_as(13, &[60]),
                51..170 => call.phone.skip(SAMPLES),
                170 => call.phone.send(&SPEECH[8_000..8_160], true),
                _ => call.speak(frame),
            },
            // Silence suppressed after a hangover of low noise, without a word.
            3 => match frame {
                0..40 => call.speak(frame),
                40..55 => call.phone.send(&noise, false),
                55..170 => call.phone.skip(SAMPLES),
                170 => call.phone.send(&SPEECH[8_000..8_160], true),
                _ => call.speak(frame),
            },
            // A short hold, and back.
            4 => match frame {
                60 => call.phone.reinvite("sendonly"),
                85 => call.phone.reinvite("sendrecv"),
                _ => call.speak(frame),
            },
            // Keys.
            5 => match frame {
                0..40 => call.speak(frame),
                _ if frame % 20 == 0 => call.phone.press((frame / 20 % 10) as u8),
                _ => call.phone.send(&noise, false),
            },
            // Loss.
            6 if frame % 7 == 0 => call.phone.skip(SAMPLES),
            // A short stretch of digital silence, as phones make at the start.
            7 if frame < 25 => call.phone.send(&[0xff; SAMPLES], false),
            _ if talks => call.speak(frame),
            _ => call.phone.send(&noise, false),
        }
        if inside {
            return;
        }
        let begins = match kind / 10 % 4 {
            // Speaks at once.
            0 => 0,
            // Takes its time.
            1 => 25,
            _ => 15,
        };
        let agent = call.agent.as_mut().unwrap();
        match kind / 10 % 4 {
            // Says all at once, then listens for the rest of the call.
            2 if frame == begins => agent.play(0, &SPEECH[8_000..16_000]),
            // Utterances with a mark at their end, and pauses between.
            3 if frame % 100 == begins => {
                agent.say(&json!({ "event": "utterance", "id": format!("u{frame}") }));
                agent.play(0, &SPEECH[8_000..14_400]);
                agent.say(&json!({ "event": "mark", "name": "end" }));
            }
            0 | 1 if frame >= begins && frame % 110 < 60 => agent.play(0, &SPEECH[8_000..8_160]),
            _ => {}
        }
    });
}

/// A hundred good calls at once, of many kinds, and not a word about silence.
#[test]
fn a_hundred_good_calls_are_passed_over() {
    let (server, agents) = start(Ports::claim());
    let tone: Arc<[u8]> = wav::to_ulaw(&wav::sine(350.0, 0.2)).into();
    let threads: Vec<_> = (0..100)
        .map(|kind| {
            let mut call = match kind % 4 {
                0 => Call::up_inside(&server, if kind % 8 == 0 { "+2000" } else { "+3000" }),
                _ => Call::up(&server, &agents, Offer::Plain),
            };
            let tone = Arc::clone(&tone);
            std::thread::spawn(move || {
                good(kind, &mut call, &tone);
                // At once: a call that waits for the others has nothing more to say.
                call.phone.hang_up();
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    server.wait_idle();
    let log = server.log();
    let words: Vec<_> = log.lines().filter(|line| line.contains("\"silence\"")).collect();
    assert_eq!(words, Vec::<&str>::new());
    assert_eq!(server.metric(METRIC), 0.0);
    assert_eq!(log.lines().filter(|line| line.contains("call ended")).count(), 100);
    server.stop();
}
