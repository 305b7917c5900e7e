//! A call whose peer is on a carrier's media socket, on a worker: what the agent and the carrier
//! hear of each other, message by message.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "test"
)]

#[path = "support/carrier.rs"]
mod carrier;
mod support;

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::agent::{
    CallState, Direction, EndedBy, Framing, MessageKind, StreamFormat, StreamInfo,
};
use adapters::stream::{self, FrameSlot, Stream, StreamCommand, StreamEvent};
use adapters::wire::WireError;
// The carrier's dialect is written as those of the table are, which name these so.
use adapters::{agent, event, wire};
use carrier::{Carrier, stream};
use media::codec::AudioFormat;
use media::time::MonoTime;
use serde_json::json;
use support::agent::{Agent, Agents};
use support::server::Server;
use support::{ear, until, wav};
use talkpath::agent::socket::{AgentSocket, Role};
use talkpath::calls::cause::Cause;
use talkpath::calls::digits::DigitsBy;
use talkpath::recording;
use talkpath::telemetry::WorkerMetrics;
use talkpath::workers::builtin::{Builtin, Source};
use talkpath::workers::command::{
    AgentLine, AgentLink, CallKey, Command, EVENTS_MAX, Event, EventKind, MediaReport, SocketLink,
};
use talkpath::workers::line::{LineEvent, LineLink, LineLoss, LinePlan, PeerLink};
use talkpath::workers::mailbox::Mailbox;
use talkpath::workers::{Care, WorkerHandle};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite;

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);
const CALL: CallKey = CallKey(1);
const FORMAT: StreamFormat = StreamFormat { audio: AudioFormat::PCMU, ptime_ms: 20 };
/// How deep the carrier's buffer is kept, in milliseconds.
const DEPTH_MS: u32 = 80;

/// A worker with one call on a line.
struct Line {
    worker: WorkerHandle,
    events: mpsc::Receiver<Event>,
    agents: Agents,
}

impl Line {
    fn new() -> Self {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let metrics = Arc::new(WorkerMetrics::default());
        let worker = WorkerHandle::start(0, metrics, events, Care::default()).unwrap();
        let plan = LinePlan {
            format: FORMAT,
            buffer_ms: DEPTH_MS,
            digits: DigitsBy::Events,
            dtmf_inband: false,
        };
        worker.send(Command::Open { call: CALL, peer: PeerLink::Line(plan) });
        Self { worker, events: receiver, agents: Agents::listen() }
    }

    /// A call that is answered, with an agent and a carrier whose stream has started.
    fn talking() -> (Self, Agent, Carrier) {
        let mut line = Self::new();
        let agent = line.agent();
        let carrier = line.carrier();
        line.worker.send(Command::State { call: CALL, state: CallState::Answered });
        (line, agent, carrier)
    }

    /// Gives the call an agent that speaks the carrier's codec.
    fn agent(&self) -> Agent {
        let url = self.agents.url();
        let address = url.strip_prefix("ws://").unwrap().trim_end_matches('/').to_owned();
        let address = address.split('/').next().unwrap().to_owned();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let stream = TcpStream::connect(&address).unwrap();
                stream.set_nodelay(true).unwrap();
                let (socket, _) = tungstenite::client(url.as_str(), stream).unwrap();
                let stream = socket.into_inner();
                let socket =
                    AgentSocket { stream, tls: None, unread: Vec::new(), role: Role::Client };
                let link = SocketLink {
                    line: AgentLine::Own(socket),
                    dialect: &talkpath::agent::wire::SPEC,
                    info: info(),
                    max_queue_ms: 30_000,
                    dtmf_inband: None,
                };
                let link = AgentLink::Socket(Box::new(link));
                self.worker.send(Command::Attach { call: CALL, link });
            });
            self.agents.accept()
        })
    }

    /// Gives the call a socket of the carrier, whose stream starts.
    fn carrier(&mut self) -> Carrier {
        self.carrier_speaking(stream())
    }

    /// The same with this dialect.
    fn carrier_speaking(&mut self, stream: Box<dyn Stream>) -> Carrier {
        let (mut carrier, socket) = Carrier::open();
        self.bring(socket, stream);
        carrier.hello("c1");
        let started = self.hear("the start of the stream");
        let format = FORMAT;
        let (stream, call) = (Some("s1".to_owned()), Some("c1".to_owned()));
        assert_eq!(started, LineEvent::Started { stream, call, format });
        carrier
    }

    fn bring(&self, socket: AgentSocket, stream: Box<dyn Stream>) {
        let link = LineLink { socket, stream, call: Some("c1".to_owned()) };
        self.worker.send(Command::Line { call: CALL, link: Box::new(link) });
    }

    /// The next thing that happened on the line.
    #[track_caller]
    fn hear(&mut self, what: &str) -> LineEvent {
        until(SOON, what, || match self.events.try_recv().ok()?.kind {
            EventKind::Line(event) => Some(event),
            _ => None,
        })
    }

    fn close(mut self) -> MediaReport {
        let (cause, by) = (Cause::Normal, EndedBy::Caller);
        self.worker.send(Command::Close { call: CALL, cause, by });
        until(SOON, "the report", || match self.events.try_recv().ok()?.kind {
            EventKind::Closed(report) => Some(*report),
            _ => None,
        })
    }
}

fn info() -> StreamInfo {
    StreamInfo {
        call_id: "1".to_owned(),
        stream: 7,
        direction: Direction::Inbound,
        from: "+15550001".to_owned(),
        to: "+15550002".to_owned(),
        provider: "acme".to_owned(),
        trunk: None,
        state: CallState::Ringing,
        to_agent: FORMAT,
        from_agent: FORMAT,
        framing: Framing::Rtp,
        variables: Vec::new(),
        headers: Vec::new(),
        resumed: false,
        features: vec!["dtmf"],
    }
}

/// Codes that are all different to the ear: nothing can be lost or doubled unnoticed.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// What each side says the other hears byte by byte: the agent at once, gaps visible, the carrier
/// in frames of its own length, never further ahead than its buffer is deep.
#[test]
fn both_ways_untouched_and_paced() {
    let (line, mut agent, mut carrier) = Line::talking();
    let said = noise(8_000);
    for (n, frame) in said.chunks(160).enumerate() {
        if n == 20 {
            carrier.lose(2);
        }
        carrier.speak(frame);
    }
    agent.wait_frames(50);
    let heard: Vec<u8> = agent.frames.iter().flat_map(|frame| frame.payload.clone()).collect();
    assert!(heard == said, "the agent hears something else");
    let first = &agent.frames[0];
    for (n, frame) in agent.frames.iter().enumerate() {
        let ahead = if n < 20 { n } else { n + 2 };
        assert_eq!(usize::from(frame.seq.wrapping_sub(first.seq)), ahead);
        assert_eq!(frame.ts.wrapping_sub(first.ts) as usize, ahead * 160);
        assert_eq!(frame.marker, n == 0 || n == 20, "{n}");
    }
    let answer = noise(16_000 + 100);
    agent.play(0, &answer);
    carrier.wait_frames(101);
    assert!(carrier.frames.iter().all(|frame| frame.payload.len() == 160));
    assert!(carrier.heard()[..answer.len()] == answer, "the carrier hears something else");
    assert!(carrier.heard()[answer.len()..].iter().all(|code| *code == 0xff));
    carrier.assert_paced(DEPTH_MS.into());
    let report = line.close();
    assert_eq!(carrier.wait_close(), 1000);
    assert_eq!((report.leg.packets_received, report.leg.lost), (50, 2));
    assert_eq!(report.leg.packets_sent, 101);
    assert!(report.first_audio.is_some());
}

/// Nothing is sent while there is nothing to be heard, before the answer as after.
#[test]
fn silence_is_not_sent() {
    let mut line = Line::new();
    let mut agent = line.agent();
    let mut carrier = line.carrier();
    agent.play(0, &noise(320));
    carrier.speak(&noise(160));
    agent.wait_frames(1);
    carrier.look();
    assert!(carrier.frames.is_empty(), "audio before the answer");
    line.worker.send(Command::State { call: CALL, state: CallState::Answered });
    carrier.wait_frames(2);
    // Long enough that the pacer would have sent more.
    for _ in 0..10 {
        carrier.speak(&noise(160));
        carrier.look();
    }
    agent.wait_frames(11);
    assert_eq!(carrier.frames.len(), 2);
    line.close();
}

/// Digits of the caller's come to the agent, and those of the agent's leave as messages.
#[test]
fn digits_both_ways() {
    let (line, mut agent, mut carrier) = Line::talking();
    for (digit, ms) in [('7', Some(120)), ('#', None)] {
        carrier.say(&json!({"type": "digit", "digit": digit, "ms": ms}));
        let told = agent.event("dtmf");
        assert_eq!(told["digit"], digit.to_string());
        assert_eq!(told["duration_ms"], ms.unwrap_or(100));
        assert_eq!(told["source"], "carrier");
    }
    agent.say(&json!({"event": "dtmf", "stream": 7, "digits": "4*2", "duration_ms": 60}));
    for digit in ["4", "*", "2"] {
        assert_eq!(carrier.hear("digit")["digit"], digit);
    }
    line.close();
}

/// A mark comes back when the carrier has played what is before it; without a word of the
/// carrier's it is told by estimate.
#[test]
fn marks_come_back() {
    let (line, mut agent, mut carrier) = Line::talking();
    let mark = |name: &str| json!({"event": "mark", "stream": 7, "name": name});
    agent.play(0, &noise(1_600));
    agent.say(&mark("one"));
    carrier.wait_frames(10);
    carrier.hear("mark");
    let told = agent.event("mark");
    assert_eq!((&told["name"], &told["status"]), (&json!("one"), &json!("played")));
    assert_eq!((&told["samples"], &told["basis"]), (&json!(1_600), &json!("carrier")));
    carrier.answers_marks = false;
    agent.play(0, &noise(1_600));
    agent.say(&mark("two"));
    carrier.hear("mark");
    let told = agent.event("mark");
    assert_eq!((&told["name"], &told["basis"]), (&json!("two"), &json!("estimate")));
    assert_eq!((&told["samples"], &told["status"]), (&json!(3_200), &json!("played")));
    line.close();
}

/// An agent is told of its own marks alone, though one of the agent before it comes back first.
#[test]
fn marks_are_told_to_whoever_set_them() {
    let (line, mut agent, mut carrier) = Line::talking();
    carrier.answers_marks = false;
    let mark = |name: &str| json!({"event": "mark", "stream": 7, "name": name});
    agent.play(0, &noise(1_600));
    agent.say(&mark("old"));
    let old = carrier.hear("mark")["name"].clone();
    let mut next = line.agent();
    next.play(0, &noise(1_600));
    next.say(&mark("new"));
    let new = carrier.hear("mark")["name"].clone();
    for name in [old, new] {
        carrier.say(&json!({"type": "mark", "name": name}));
    }
    let told = next.event("mark");
    assert_eq!((&told["name"], &told["samples"]), (&json!("new"), &json!(1_600)), "{told}");
    line.close();
}

/// A clear reaches the carrier, no audio comes behind it, marks are told as cleared, and what was
/// heard and what was dropped is all that was said.
#[test]
fn a_clear_drops_everything() {
    let (line, mut agent, mut carrier) = Line::talking();
    carrier.answers_marks = false;
    agent.say(&json!({"event": "utterance", "stream": 7, "id": "u1"}));
    agent.play(0, &noise(40_000));
    agent.say(&json!({"event": "mark", "stream": 7, "name": "end"}));
    carrier.wait_frames(25);
    agent.order("clear");
    carrier.hear("clear");
    let came = carrier.frames.len() as u64 * 160;
    let told = agent.event("mark");
    assert_eq!((&told["name"], &told["status"]), (&json!("end"), &json!("cleared")));
    let cleared = agent.event("cleared");
    assert_eq!(cleared["basis"], "estimate");
    let samples = cleared["samples"].as_u64().unwrap();
    assert!(samples <= came, "{samples} heard of {came} that came");
    assert!(samples + u64::from(DEPTH_MS) * 8 >= came, "{samples} heard of {came} that came");
    let dropped = cleared["dropped_ms"].as_u64().unwrap();
    assert!((40_000 - samples).abs_diff(dropped * 8) < 16, "{cleared}");
    assert_eq!(cleared["utterances"][0]["samples"], samples);
    assert_eq!(cleared["utterances"][0]["complete"], false);
    // What follows is heard at once, and nothing of before.
    let next = vec![0x11; 320];
    agent.play(0, &next);
    let before = carrier.frames.len();
    carrier.wait_frames(before + 2);
    assert_eq!(carrier.heard()[before * 160..], next);
    line.close();
}

/// An agent that hangs up after its last words is followed when the carrier has played them.
#[test]
fn a_hang_up_waits_for_the_carrier() {
    let (mut line, mut agent, mut carrier) = Line::talking();
    carrier.answers_marks = false;
    agent.play(0, &noise(800));
    agent.order("hangup");
    carrier.wait_frames(5);
    let name = carrier.hear("mark")["name"].clone();
    assert!(line.events.try_recv().is_err(), "hung up before the carrier told");
    carrier.say(&json!({"type": "mark", "name": name}));
    until(SOON, "the hang-up", || {
        let event = line.events.try_recv().ok()?;
        matches!(event.kind, EventKind::AgentHungUp { .. }).then_some(())
    });
    line.close();
}

/// A socket that breaks is told, what the agent says waits, and another socket goes on with it.
#[test]
fn another_socket_goes_on() {
    let (mut line, mut agent, mut carrier) = Line::talking();
    let said = noise(24_000);
    agent.play(0, &said);
    carrier.wait_frames(10);
    carrier.speak(&said[..160]);
    agent.wait_frames(1);
    drop(carrier);
    assert_eq!(line.hear("the loss"), LineEvent::Lost(LineLoss::Broken));
    let mut carrier = line.carrier();
    carrier.wait_frames(20);
    let heard = carrier.heard();
    let at = said.windows(320).position(|window| *window == heard[..320]);
    assert!(at.is_some_and(|at| at >= 1_600 && at % 160 == 0), "{at:?}");
    carrier.speak(&said[..160]);
    agent.wait_frames(2);
    let [one, two] = &agent.frames[..] else { unreachable!() };
    assert_eq!(two.seq, one.seq.wrapping_add(1));
    let report = line.close();
    assert_eq!(report.leg.resyncs, 1);
}

/// What is no stream of this call ends the socket with the right code, and the call does not.
#[test]
fn what_ends_a_socket() {
    let mut line = Line::new();
    let long = format!("{{\"type\":\"other\",\"x\":\"{}\"}}", "x".repeat(70_000));
    let nonsense = "{\"type\":7}";
    for (text, count, code, loss) in [
        (long.as_str(), 1, 1009, LineLoss::TooBig),
        (nonsense, 40, 1007, LineLoss::Malformed),
        ("", 0, 1008, LineLoss::WrongCall),
    ] {
        let (mut carrier, socket) = Carrier::open();
        line.bring(socket, stream());
        for _ in 0..count {
            carrier.text(text);
        }
        if count == 0 {
            carrier.hello("another");
        }
        assert_eq!(line.hear("the loss"), LineEvent::Lost(loss));
        assert_eq!(carrier.wait_close(), code);
    }
    line.carrier();
    line.close();
}

/// What a carrier says to an echo comes back, all of it and in order.
#[test]
fn an_echo_comes_back() {
    let mut line = Line::new();
    line.worker.send(Command::Attach { call: CALL, link: AgentLink::Builtin(Builtin::echo()) });
    let mut carrier = line.carrier();
    line.worker.send(Command::State { call: CALL, state: CallState::Answered });
    let said = noise(16_000);
    for (n, frame) in said.chunks(160).enumerate() {
        carrier.speak(frame);
        carrier.wait_frames(n + 1);
    }
    assert!(carrier.heard() == said, "something else comes back");
    line.close();
}

/// A built-in agent's sound is heard to its end before the call ends; on hold another is heard.
#[test]
fn sounds_of_ours() {
    let mut line = Line::new();
    let sound = noise(3_300);
    let speaker = Builtin::speaker(Source::Once(sound.clone().into()), true);
    line.worker.send(Command::Attach { call: CALL, link: AgentLink::Builtin(speaker) });
    let mut carrier = line.carrier();
    line.worker.send(Command::State { call: CALL, state: CallState::Answered });
    until(SOON, "the end of the sound", || {
        carrier.look();
        let event = line.events.try_recv().ok()?;
        matches!(event.kind, EventKind::Played).then_some(())
    });
    carrier.look();
    assert!(carrier.heard()[..sound.len()] == sound);
    assert_eq!(carrier.frames.len(), 21);
    let held = Builtin::speaker(Source::Loop(vec![0x22; 160].into()), false);
    line.worker.send(Command::Hold { call: CALL, sound: Some(held) });
    carrier.wait_frames(41);
    assert!(carrier.frames[21..].iter().all(|frame| frame.payload == [0x22; 160]));
    line.close();
}

/// Another agent takes over while the last of a sound behind which the call was to end is still to
/// be heard: the call goes on.
#[test]
fn a_sound_of_before_ends_no_call() {
    let mut line = Line::new();
    let speaker = Builtin::speaker(Source::Once(noise(3_200).into()), true);
    line.worker.send(Command::Attach { call: CALL, link: AgentLink::Builtin(speaker) });
    let mut carrier = line.carrier();
    carrier.answers_marks = false;
    line.worker.send(Command::State { call: CALL, state: CallState::Answered });
    carrier.hear("mark");
    let mut agent = line.agent();
    agent.play(0, &noise(1_600));
    agent.say(&json!({"event": "mark", "stream": 7, "name": "new"}));
    // By estimate, so that all has been heard by then.
    assert_eq!(agent.event("mark")["name"], "new");
    line.worker.send(Command::Close { call: CALL, cause: Cause::Normal, by: EndedBy::Caller });
    until(SOON, "the report", || match line.events.try_recv().ok()?.kind {
        EventKind::Played => panic!("the call ends"),
        EventKind::Closed(_) => Some(()),
        _ => None,
    });
}

/// A message is taken on a line, where nothing is sent once the greeting has been heard: from then
/// on the caller is recorded, and a while without sound of it ends the message.
#[test]
fn a_message_is_taken() {
    let mut line = Line::new();
    let (id, greeting) = (uuid::Uuid::now_v7(), noise(1_600));
    let (head, mut frames) = recording::head(8_000, AudioFormat::PCMU);
    let mailbox = Mailbox::new(id, Box::new(head), 4 * SOON, Duration::from_secs(1));
    let speaker = Builtin::speaker(Source::Once(greeting.clone().into()), false);
    let link = AgentLink::Builtin(speaker.with_mailbox(mailbox));
    line.worker.send(Command::Attach { call: CALL, link });
    let mut carrier = line.carrier();
    line.worker.send(Command::State { call: CALL, state: CallState::Answered });
    let (said, silence) = (wav::to_ulaw(&wav::sine(700.0, 0.02)), [0xff; 160]);
    // Words and pauses by turns: a sound that does not vary is no speech.
    let mut spoken = 0;
    until(SOON, "the caller is recorded", || {
        spoken += 1;
        carrier.speak(if spoken / 10 % 2 == 0 { &said } else { &silence });
        frames.peek().is_some().then_some(())
    });
    carrier.look();
    assert!(carrier.heard() == greeting, "it was heard before");
    for _ in 0..25 {
        carrier.speak(&said);
    }
    until(SOON, "the end of the message", || {
        carrier.look();
        let event = line.events.try_recv().ok()?;
        matches!(event.kind, EventKind::Played).then_some(())
    });
    let (cause, by) = (Cause::Normal, EndedBy::Agent);
    line.worker.send(Command::Close { call: CALL, cause, by });
    let taken = until(SOON, "the message", || match line.events.try_recv().ok()?.kind {
        EventKind::Message(taken) => Some(taken),
        _ => None,
    });
    assert_eq!(taken.id, id);
    assert!(taken.length.unwrap() >= Duration::from_secs(1), "{taken:?}");
}

/// A carrier that wants no audio for a while gets none, and then all of it.
#[test]
fn a_carrier_may_stop_the_flow() {
    let (line, mut agent, mut carrier) = Line::talking();
    let said = noise(16_000);
    agent.play(0, &said);
    carrier.wait_frames(5);
    carrier.say(&json!({"type": "hold", "on": true}));
    carrier.speak(&said[..160]);
    // It was read behind the stop.
    agent.wait_frames(1);
    carrier.look();
    let before = carrier.frames.len();
    assert!(before < 100);
    carrier.look();
    assert_eq!(carrier.frames.len(), before);
    carrier.say(&json!({"type": "hold", "on": false}));
    carrier.wait_frames(100);
    assert!(carrier.heard() == said);
    line.close();
}

/// The dialect of a carrier that drops, for a clear, also what comes behind it.
struct ClearsLate(Box<dyn Stream>);

impl Stream for ClearsLate {
    fn decode<'m>(
        &mut self,
        now: MonoTime,
        kind: MessageKind,
        message: &'m mut [u8],
        slot: &mut FrameSlot<'_>,
    ) -> Result<StreamEvent<'m>, WireError> {
        self.0.decode(now, kind, message, slot)
    }

    fn encode(&mut self, audio: &[u8], out: &mut Vec<u8>) -> MessageKind {
        self.0.encode(audio, out)
    }

    fn command(&mut self, command: StreamCommand<'_>, out: &mut Vec<u8>) -> Option<MessageKind> {
        self.0.command(command, out)
    }

    fn clears_late(&self) -> bool {
        true
    }
}

/// Where a carrier drops what it gets before it has cleared, audio waits for its word; without one
/// it does not wait for ever.
#[test]
fn audio_waits_until_the_carrier_has_cleared() {
    let mut line = Line::new();
    let mut agent = line.agent();
    let mut carrier = line.carrier_speaking(Box::new(ClearsLate(stream())));
    line.worker.send(Command::State { call: CALL, state: CallState::Answered });
    let answer = noise(480);
    for words in [true, false] {
        agent.play(0, &noise(16_000));
        carrier.wait_frames(carrier.frames.len() + 4);
        // It is measured from before the word: who reads it late takes the wait for no shorter.
        let asked = Instant::now();
        agent.say(&json!({"event": "clear", "stream": 7}));
        carrier.hear("clear");
        let before = carrier.frames.len();
        agent.event("cleared");
        agent.play(0, &answer);
        // What is wrong is told in its turn: the audio before it has been taken.
        agent.say(&json!({"event": "mark", "stream": 7}));
        agent.event("error");
        if words {
            carrier.look();
            assert_eq!(carrier.frames.len(), before, "audio that the carrier would drop");
            carrier.say(&json!({"type": "cleared"}));
        }
        carrier.wait_frames(before + 3);
        let heard = carrier.frames[before..].iter().flat_map(|frame| frame.payload.clone());
        assert!(heard.eq(answer.iter().copied()), "the carrier hears something else");
        let waited = carrier.frames[before].at.duration_since(asked);
        assert!(words || waited > Duration::from_millis(300), "it was given {waited:?}");
    }
    line.close();
}

/// An agent that speaks linear audio hears the carrier's tone, and is heard.
#[test]
fn tones_are_known_by_ear() {
    let (line, mut agent, mut carrier) = Line::talking();
    agent.play(0, &wav::to_ulaw(&wav::sine(1000.0, 2.0)));
    for frame in wav::to_ulaw(&wav::sine(440.0, 2.0)).chunks(160) {
        carrier.speak(frame);
    }
    agent.wait_frames(100);
    wav::assert_heard(&ear::samples(&agent.frames), 440.0, 1000.0, 1.5);
    carrier.wait_frames(100);
    let samples: Vec<i16> = carrier.heard().iter().map(|code| wav::ulaw(*code)).collect();
    wav::assert_heard(&samples, 1000.0, 440.0, 1.5);
    line.close();
}

/// Whoever brings no token of a living call is refused, and learns nothing of calls; what is no
/// handshake is told so.
#[test]
fn a_socket_without_a_token_is_refused() {
    let server = Server::start("");
    let path = |call: &str| format!("/api/v1/telephony/ws/acme/{call}/{}", "A".repeat(43));
    let unknown = path("0198c0de-0000-7000-8000-000000000000");
    for path in [unknown.as_str(), &path("none")] {
        let stream = TcpStream::connect(server.http).unwrap();
        let url = format!("ws://{}{path}", server.http);
        let refused = tungstenite::client(url.as_str(), stream).unwrap_err();
        let tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer)) = refused else {
            panic!("{refused}");
        };
        assert_eq!(answer.status(), 404);
    }
    assert_eq!(server.http("GET", &unknown, None).0, 426);
    assert!(!server.log().contains(&"A".repeat(43)), "the token is in the log");
}
