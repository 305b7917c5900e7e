//! What the miniature does that its documents say, spoken to by hand.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Method};
use media::time::MonoTime;
use serde_json::{Value, json};

use super::super::SPEC;
use crate::agent::MessageKind;
use crate::emulate::{
    Clock, Command, Emulator, EmulatorStart, Output, Quirks, SocketInput, Told, Upgraded,
    WireOutput,
};
use crate::exchange::HttpRequest;

const SERVER_RTP: &str = "127.0.0.1:40000";
const UUID: &str = "00112233-4455-6677-8899-aabbccddeeff";

struct World {
    pbx: Box<dyn Emulator>,
    now: MonoTime,
    events: Vec<Value>,
    told: Vec<Told>,
    /// What was sent on each socket, and by RTP.
    messages: Vec<(u32, MessageKind, Vec<u8>)>,
    packets: Vec<Vec<u8>>,
    /// Bare connections and WebSockets that it opens.
    opened: Vec<u32>,
    listening: u32,
}

impl World {
    fn new(quirks: &[&str]) -> Self {
        let emulator = SPEC.emulator.unwrap();
        let config = SPEC.read(&(emulator.config)("http://127.0.0.1:8088"), None).unwrap();
        let mut set = Quirks::default();
        quirks.iter().for_each(|quirk| set.set(quirk).unwrap());
        let voice_url = Some("http://t.example".to_owned());
        let start = EmulatorStart { config, numbers: Vec::new(), voice_url, seed: 1, quirks: set };
        let mut world = Self {
            pbx: (emulator.open)(start),
            now: MonoTime::ZERO,
            events: Vec::new(),
            told: Vec::new(),
            messages: Vec::new(),
            packets: Vec::new(),
            opened: Vec::new(),
            listening: 0,
        };
        world.listening = world.opens("/ari/events?app=voice").unwrap();
        world.socket(world.listening, SocketInput::Opened);
        world
    }

    fn clock(&self) -> Clock {
        Clock { now: self.now, unix_ms: 1_795_328_688_000 + self.now.as_nanos() / 1_000_000 }
    }

    fn request(method: Method, path: &str) -> HttpRequest {
        let mut request = HttpRequest::get(path.to_owned());
        request.method = method;
        let basic = format!("Basic {}", STANDARD.encode("talkpath:emulated-password"));
        request.headers.insert(AUTHORIZATION, HeaderValue::from_str(&basic).unwrap());
        request
    }

    fn opens(&mut self, path: &str) -> Option<u32> {
        let (clock, request) = (self.clock(), Self::request(Method::GET, path));
        let upgraded = self.pbx.wires().unwrap().upgrade(clock, &request);
        self.settle();
        match upgraded {
            Upgraded::Open { socket, .. } => Some(socket),
            Upgraded::Refused(_) => None,
        }
    }

    fn ask(&mut self, method: Method, path: &str) -> (u16, Value) {
        let answer = self.pbx.rest(self.clock(), &Self::request(method, path)).unwrap();
        self.settle();
        (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    fn post(&mut self, path: &str) -> (u16, Value) {
        self.ask(Method::POST, path)
    }

    fn socket(&mut self, socket: u32, input: SocketInput<'_>) {
        self.pbx.socket(self.clock(), socket, input);
        self.settle();
    }

    fn says(&mut self, socket: u32, kind: MessageKind, bytes: &[u8]) {
        self.socket(socket, SocketInput::Message(kind, bytes));
    }

    fn person(&mut self, command: Command) {
        self.pbx.command(self.clock(), command);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(output) = self.pbx.wires().unwrap().poll() {
            match output {
                WireOutput::Datagram { to, data } => {
                    assert_eq!(to.to_string(), SERVER_RTP);
                    self.packets.push(data);
                }
                WireOutput::Connect { socket, .. } => self.opened.push(socket),
            }
        }
        while let Some(output) = self.pbx.poll() {
            match output {
                Output::Message { socket, bytes, .. } if socket == self.listening => {
                    self.events.push(serde_json::from_slice(&bytes).unwrap());
                }
                Output::Message { socket, kind, bytes } => {
                    self.messages.push((socket, kind, bytes));
                }
                Output::Open { socket, request } => {
                    assert_eq!(
                        request.url,
                        "ws://t.example/api/v1/telephony/ws/ari?call=c&token=t"
                    );
                    self.opened.push(socket);
                }
                Output::Told(told) => self.told.push(told),
                Output::Hook { .. } | Output::Close { .. } | Output::Cut { .. } => {}
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.pbx.deadline().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.pbx.timeout(self.clock());
            self.settle();
        }
        self.now = until;
    }

    /// A caller who is answered, and hears this media channel.
    fn talks_by(&mut self, how: &str) -> String {
        self.person(Command::Call { from: "+15550100002".into(), to: "+15550100001".into() });
        let caller = self.events.last().unwrap()["channel"]["id"].as_str().unwrap().to_owned();
        let (status, _) =
            self.post(&format!("/ari/channels/externalMedia?app=voice&channelId=m&{how}"));
        assert_eq!(status, 200);
        if let Some(socket) = self.opened.first().copied() {
            self.socket(socket, SocketInput::Opened);
        }
        self.post("/ari/bridges?bridgeId=b");
        assert_eq!(self.post(&format!("/ari/bridges/b/addChannel?channel={caller},m")).0, 204);
        assert_eq!(self.post(&format!("/ari/channels/{caller}/answer")).0, 204);
        assert!(self.told.contains(&Told::Streaming { call: caller.clone() }), "{:?}", self.told);
        caller
    }

    fn kinds(&self) -> Vec<&str> {
        self.events.iter().map(|event| event["type"].as_str().unwrap()).collect()
    }

    fn complaints(&self) -> usize {
        self.told.iter().filter(|told| matches!(told, Told::Complaint { .. })).count()
    }

    fn heard(&self) -> usize {
        let heard = |told: &Told| match told {
            Told::Heard { audio, .. } => audio.len(),
            _ => 0,
        };
        self.told.iter().map(heard).sum()
    }
}

/// By RTP a frame each 20 ms, with the number and time that follow; what comes back is heard at
/// once, unless its payload type is none that is static.
#[test]
fn audio_by_rtp() {
    let mut world = World::new(&[]);
    let caller = world.talks_by(&format!("format=ulaw&external_host={SERVER_RTP}"));
    world.person(Command::Speak { call: caller.clone(), audio: vec![1; 400] });
    world.pass(100);
    let packets = std::mem::take(&mut world.packets);
    assert!((5..=6).contains(&packets.len()), "{}", packets.len());
    for pair in packets.windows(2) {
        let field =
            |packet: &[u8], at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
        assert_eq!(field(&pair[1], 0), field(&pair[0], 0) + 1, "sequence");
        assert_eq!(field(&pair[1], 4), field(&pair[0], 4) + 160, "time");
    }
    let said: Vec<u8> = packets.iter().flat_map(|packet| packet[12..].to_vec()).collect();
    assert!(said[..400].iter().all(|byte| *byte == 1) && said[400] == 0xff);
    let from: SocketAddr = SERVER_RTP.parse().unwrap();
    let clock = world.clock();
    for pt in [0, 118] {
        let packet = [&[0x80, pt][..], &[0; 10], &[2; 160]].concat();
        world.pbx.wires().unwrap().datagram(clock, from, &packet);
    }
    world.settle();
    assert_eq!((world.heard(), world.complaints()), (160, 1));
    world.person(Command::Press { call: caller.clone(), digit: '5' });
    assert_eq!(world.events.last().unwrap()["digit"], "5");
    world.person(Command::Hangup(caller.clone()));
    let kinds = world.kinds();
    assert!(
        kinds.ends_with(&["ChannelHangupRequest", "ChannelLeftBridge", "StasisEnd"]),
        "{kinds:?}"
    );
    assert_eq!(world.ask(Method::DELETE, "/ari/channels/m").0, 204);
    assert_eq!(world.ask(Method::DELETE, "/ari/bridges/b").0, 204);
    assert_eq!(world.ask(Method::GET, "/ari/channels").1, json!([]));
    assert_eq!(world.ask(Method::DELETE, "/ari/bridges/b").0, 404);
}

/// A media WebSocket plays a frame a tick and never faster, tells a mark once it is reached, and
/// forgets both when it is flushed; what it drops without a word is complained about.
#[test]
fn audio_by_a_socket() {
    let how = "format=slin16&transport=websocket&encapsulation=none&connection_type=";
    for (more, json) in
        [("client&transport_data=f(json)v(call=c,token=t)", true), ("server", false)]
    {
        let mut world = World::new(&[]);
        let socket = if more == "server" {
            let caller = "/ari/channels/externalMedia?app=voice&channelId=x&";
            let made = world.post(&format!("{caller}{how}server")).1;
            let id =
                made["channelvars"]["MEDIA_WEBSOCKET_CONNECTION_ID"].as_str().unwrap().to_owned();
            assert!(world.opens("/media/nobody").is_none());
            let socket = world.opens(&format!("/media/{id}")).unwrap();
            assert!(world.opens(&format!("/media/{id}")).is_none(), "in use");
            world.socket(socket, SocketInput::Opened);
            socket
        } else {
            world.talks_by(&format!("{how}{more}"));
            world.opened[0]
        };
        let first = String::from_utf8(world.messages[0].2.clone()).unwrap();
        assert_eq!(first.starts_with('{'), json, "{first}");
        assert!(first.contains("MEDIA_START") && first.contains("slin16") && first.contains("640"));
        if !json {
            continue;
        }
        world.pass(60);
        assert!(
            world
                .messages
                .iter()
                .any(|(_, kind, bytes)| { *kind == MessageKind::Binary && bytes.len() == 640 })
        );
        world.says(socket, MessageKind::Binary, &[0; 640 * 5]);
        world.says(socket, MessageKind::Text, br#"{"command":"MARK_MEDIA","correlation_id":"m1"}"#);
        world.pass(60);
        assert!((320..=640).contains(&world.heard()), "{}", world.heard());
        let marked = |world: &World| {
            let told = |it: &(u32, MessageKind, Vec<u8>)| it.2.windows(2).any(|part| part == b"m1");
            world.messages.iter().any(told)
        };
        assert!(!marked(&world));
        world.pass(100);
        assert!(marked(&world), "{:?}", world.told);
        let before = world.heard();
        world.says(socket, MessageKind::Binary, &[0; 640 * 50]);
        world.says(socket, MessageKind::Text, b"FLUSH_MEDIA");
        world.pass(100);
        assert_eq!(world.heard(), before);
        assert_eq!(world.complaints(), 0, "{:?}", world.told);
        world.says(socket, MessageKind::Binary, &[0; 641]);
        world.says(socket, MessageKind::Text, &[b' '; 129]);
        assert_eq!(world.complaints(), 2);
    }
}

/// By AudioSocket the id comes first; audio in any pieces is heard at once, and whatever else is
/// said than audio and a hang-up ends the channel.
#[test]
fn audio_by_audiosocket() {
    let mut world = World::new(&[]);
    let how = "format=slin&transport=tcp&encapsulation=audiosocket&external_host=127.0.0.1:9";
    world.talks_by(&format!("{how}&data={UUID}"));
    let socket = world.opened[0];
    assert_eq!(world.messages[0].2[..4], [1, 0, 16, 0x00]);
    let message = [&[0x10, 1, 64][..], &[0; 320]].concat();
    for part in message.chunks(7) {
        world.says(socket, MessageKind::Binary, part);
    }
    assert_eq!(world.heard(), 160);
    world.says(socket, MessageKind::Binary, &[0x03, 0, 1, b'5']);
    assert_eq!(world.complaints(), 1);
    assert_eq!(world.ask(Method::GET, "/ari/channels/m").0, 404);
    assert!(world.kinds().contains(&"ChannelDestroyed"));
}

/// Whoever is called rings, and answers or not; each end has its cause. Who was never answered is
/// refused with the status that the reason stands for.
#[test]
fn calls_and_their_ends() {
    let mut world = World::new(&[]);
    let call = |world: &mut World, id: &str| {
        let path = format!("/ari/channels?endpoint=PJSIP/5&app=voice&channelId={id}&timeout=2");
        assert_eq!(world.post(&path).0, 200);
        assert_eq!(world.ask(Method::GET, &format!("/ari/channels/{id}")).1["state"], "Ringing");
    };
    let last = |world: &World| {
        let event = world.events.last().unwrap();
        assert_eq!(event["type"], "ChannelDestroyed");
        (event["cause"].as_u64().unwrap(), event["tech_cause"].as_u64())
    };
    call(&mut world, "a");
    assert_eq!(world.post("/ari/channels?endpoint=PJSIP/5&app=voice&channelId=a").0, 409);
    world.person(Command::Busy("a".into()));
    assert_eq!(last(&world), (17, Some(486)));
    call(&mut world, "b");
    world.pass(2_000);
    assert_eq!(last(&world), (19, Some(480)));
    call(&mut world, "c");
    world.person(Command::Answer("c".into()));
    assert_eq!(world.kinds().last(), Some(&"StasisStart"));
    assert_eq!(world.ask(Method::DELETE, "/ari/channels/c?reason=nonsense").0, 400);
    assert_eq!(world.ask(Method::DELETE, "/ari/channels/c").0, 204);
    assert_eq!(last(&world), (16, None));
    assert_eq!(world.post("/ari/channels?endpoint=Nothing/5&app=voice").0, 500);
    world.person(Command::Call { from: "1".into(), to: "2".into() });
    let caller = world.events.last().unwrap()["channel"]["id"].as_str().unwrap().to_owned();
    world.post(&format!("/ari/applications/voice/subscription?eventSource=channel:{caller}"));
    world.ask(Method::DELETE, &format!("/ari/channels/{caller}?reason=busy"));
    assert_eq!(last(&world), (17, Some(486)));
}

/// The socket that comes last has the application; without one a caller waits, and fails in the
/// end. Nobody gets in without the password.
#[test]
fn who_listens() {
    let mut world = World::new(&[]);
    let other = world.opens("/ari/events?app=voice").unwrap();
    assert_eq!(world.kinds(), ["ApplicationReplaced"]);
    world.socket(other, SocketInput::Closed(None));
    world.socket(world.listening, SocketInput::Closed(None));
    world.person(Command::Call { from: "1".into(), to: "2".into() });
    world.pass(20_000);
    assert!(matches!(world.told.last(), Some(Told::Ended { why, .. }) if why.contains("FAILED")));
    let mut request = HttpRequest::get("/ari/events?app=voice".to_owned());
    request.headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic eDp5"));
    let clock = world.clock();
    let upgraded = world.pbx.wires().unwrap().upgrade(clock, &request);
    assert!(matches!(upgraded, Upgraded::Refused(answer) if answer.status == 401));
    assert_eq!(world.pbx.rest(clock, &request).unwrap().status, 401);
}
