//! External media: what of a channel carries audio between persons and the server, a frame each 20
//! milliseconds.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use media::time::MonoTime;
use serde_json::json;

use super::audio::{Format, Speech, of_payload_type};
use super::channel::Kind;
use super::{FRAME_MS, Pbx, SPOKEN};
use crate::agent::MessageKind;
use crate::emulate::{Clock, Output, Told, WireOutput};

/// Bytes of the header of RTP without more (RFC 3550 5.1).
const RTP_HEADER_BYTES: usize = 12;
/// What a person says who says nothing.
const SILENCE: u8 = 0xff;
/// Frames that the queue of a media WebSocket holds; what comes then is ignored.
pub(super) const QUEUE_FRAMES_MAX: usize = 1_000;

/// How audio travels.
#[derive(Debug)]
pub(super) enum Way {
    /// Packets to this address, and the number and time of the next.
    Rtp { to: SocketAddr, seq: u16, ts: u32 },
    /// A WebSocket.
    Socket(Queue),
    /// A bare connection, and what came of a message that is not whole yet.
    Bare { uuid: [u8; 16], unread: Vec<u8> },
}

/// What a media WebSocket plays, one frame a tick and never faster.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Names the connection that the server opens; none if it is the PBX that opens it.
    pub(super) connection: Option<String>,
    /// Control messages are JSON.
    pub(super) json: bool,
    pub(super) played: VecDeque<Played>,
    pub(super) paused: bool,
    /// The server was told to pause.
    pub(super) full: bool,
    /// The server wants to know when it is empty.
    pub(super) drains: bool,
    /// Marks that were reached, and when they are told.
    pub(super) reached: Vec<(MonoTime, String)>,
}

impl Queue {
    /// Frames that wait.
    pub(super) fn frames(&self) -> usize {
        self.played.iter().filter(|it| matches!(it, Played::Frame(_))).count()
    }
}

/// What is in such a queue.
#[derive(Debug)]
pub(super) enum Played {
    Frame(Vec<u8>),
    Mark(String),
}

/// The audio of a channel.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) way: Way,
    pub(super) format: Format,
    /// Its connection, if it has one.
    pub(super) socket: Option<u32>,
    /// The connection is there.
    pub(super) up: bool,
    pub(super) to_server: Speech,
    pub(super) from_server: Speech,
    /// Frames that are held back, to come together.
    held: Vec<Vec<u8>>,
}

impl Leg {
    pub(super) fn new(way: Way, format: Format) -> Self {
        let sent = if matches!(way, Way::Rtp { .. }) { format.rtp.0 } else { format.audio };
        let (to_server, from_server) = (Speech::to(sent), Speech::of(format.audio));
        let up = matches!(way, Way::Rtp { .. });
        Self { way, format, socket: None, up, to_server, from_server, held: Vec::new() }
    }

    /// The message that holds a frame.
    fn message(&mut self, frame: Vec<u8>) -> Vec<u8> {
        match &mut self.way {
            Way::Rtp { seq, ts, .. } => {
                let (audio, pt) = self.format.rtp;
                let mut packet = vec![0x80, pt];
                packet.extend_from_slice(&seq.to_be_bytes());
                packet.extend_from_slice(&ts.to_be_bytes());
                packet.extend_from_slice(b"PBX1");
                packet.extend_from_slice(&frame);
                (*seq, *ts) = (seq.wrapping_add(1), ts.wrapping_add(audio.ticks(FRAME_MS)));
                packet
            }
            Way::Socket(_) => frame,
            Way::Bare { .. } => bare(self.format.kind, &frame),
        }
    }
}

/// A message of AudioSocket.
pub(super) fn bare(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[kind], &length[..], payload].concat()
}

impl Pbx {
    /// The audio of a channel.
    pub(super) fn leg(&mut self, id: &str) -> Option<&mut Leg> {
        match &mut self.channels.get_mut(id)?.kind {
            Kind::Media(leg) => Some(leg),
            Kind::Person(_) => None,
        }
    }

    /// Tells persons that audio flows, and begins with it, where it does now.
    pub(super) fn flows(&mut self, clock: Clock) {
        let mut begin = Vec::new();
        for bridge in self.bridges.values() {
            let members = || bridge.members.iter().filter_map(|id| self.channels.get(id));
            let carries = members().any(|it| matches!(&it.kind, Kind::Media(leg) if leg.up));
            let persons = members().filter(|it| it.is_person() && it.state == "Up");
            let news = persons.filter(|it| carries && !it.streaming);
            begin.extend(news.map(|it| it.id.clone()));
            if members().filter(|it| it.state == "Up").count() > 1 {
                self.tick.get_or_insert(clock.now);
            }
        }
        for call in begin {
            if let Some(channel) = self.channels.get_mut(&call) {
                channel.streaming = true;
            }
            self.told(Told::Streaming { call });
        }
    }

    /// Everybody says a frame, and hears what is played.
    pub(super) fn frame(&mut self, clock: Clock) {
        let bridges: Vec<Vec<String>> =
            self.bridges.values().map(|bridge| bridge.members.iter().cloned().collect()).collect();
        let mut talks = false;
        for members in bridges {
            for id in &members {
                let Some(channel) = self.channels.get_mut(id).filter(|it| it.state == "Up") else {
                    continue;
                };
                let Kind::Person(says) = &mut channel.kind else {
                    self.plays(clock, id, &members);
                    continue;
                };
                talks |= members.len() > 1;
                let length = SPOKEN.bytes(FRAME_MS);
                let mut frame: Vec<u8> = says.drain(..length.min(says.len())).collect();
                frame.resize(length, SILENCE);
                for other in members.iter().filter(|other| *other != id) {
                    self.carry(other, &frame);
                }
            }
        }
        if !talks {
            self.tick = None;
        }
    }

    /// A channel gets a frame of a person's.
    fn carry(&mut self, id: &str, frame: &[u8]) {
        let burst = usize::try_from(self.quirks.burst_frames).unwrap_or(0).max(1);
        let Some(channel) = self.channels.get_mut(id).filter(|it| it.state == "Up") else { return };
        let leg = match &mut channel.kind {
            Kind::Media(leg) => leg,
            Kind::Person(_) => {
                let (call, audio) = (id.to_owned(), frame.to_vec());
                return self.told(Told::Heard { call, audio });
            }
        };
        if !leg.up {
            return;
        }
        let audio = leg.to_server.convert(frame);
        let message = leg.message(audio);
        leg.held.push(message);
        if leg.held.len() < burst {
            return;
        }
        let (held, socket) = (std::mem::take(&mut leg.held), leg.socket);
        let to = match leg.way {
            Way::Rtp { to, .. } => Some(to),
            _ => None,
        };
        for bytes in held {
            if let Some(to) = to {
                self.wires.push_back(WireOutput::Datagram { to, data: bytes });
            } else if let Some(socket) = socket {
                let kind = MessageKind::Binary;
                self.outputs.push_back(Output::Message { socket, kind, bytes });
            }
        }
    }

    /// A media WebSocket plays a frame, and tells of what it has reached.
    fn plays(&mut self, clock: Clock, id: &str, members: &[String]) {
        let delay = Duration::from_millis(self.quirks.mark_delay_ms.into());
        let Some(leg) = self.leg(id) else { return };
        let Way::Socket(queue) = &mut leg.way else { return };
        if queue.paused {
            return;
        }
        let mut frame = None;
        loop {
            match queue.played.front() {
                Some(Played::Frame(_)) if frame.is_some() => break,
                None => break,
                Some(_) => {}
            }
            match queue.played.pop_front() {
                Some(Played::Frame(audio)) => frame = Some(audio),
                Some(Played::Mark(mark)) => queue.reached.push((clock.now + delay, mark)),
                None => {}
            }
        }
        let told = queue.reached.extract_if(.., |(at, _)| *at <= clock.now);
        let told: Vec<String> = told.map(|(_, mark)| mark).collect();
        let drained = queue.played.is_empty() && std::mem::take(&mut queue.drains);
        let calms = queue.full && queue.frames() < 800;
        queue.full &= !calms;
        let audio = frame.map(|frame| leg.from_server.convert(&frame));
        if let Some(audio) = audio {
            self.hear(members, &audio);
        }
        if calms {
            self.control(id, "MEDIA_XON", json!({}));
        }
        let comes_back = !self.quirks.marks_lost;
        for mark in told.into_iter().filter(|_| comes_back) {
            self.control(id, "MEDIA_MARK_PROCESSED", json!({ "correlation_id": mark }));
        }
        if drained {
            self.control(id, "QUEUE_DRAINED", json!({}));
        }
    }

    /// Persons among these hear something.
    fn hear(&mut self, members: &[String], audio: &[u8]) {
        for id in members {
            let hears = |it: &&super::Channel| it.is_person() && it.state == "Up";
            if self.channels.get(id).filter(hears).is_some() {
                self.told(Told::Heard { call: id.clone(), audio: audio.to_vec() });
            }
        }
    }

    /// What came of the server is heard at once, by a channel's bridge.
    pub(super) fn is_heard(&mut self, id: &str, audio: &[u8]) {
        let members = self.bridges.values().find(|bridge| bridge.members.contains(id));
        let members: Vec<String> =
            members.into_iter().flat_map(|it| it.members.iter().cloned()).collect();
        self.hear(&members, audio);
    }

    /// A packet of RTP came.
    pub(super) fn packet(&mut self, from: SocketAddr, data: &[u8]) {
        let is_of = |leg: &Leg| matches!(leg.way, Way::Rtp { to, .. } if to == from);
        let id = self.channels.values().find_map(|channel| match &channel.kind {
            Kind::Media(leg) if is_of(leg) => Some(channel.id.clone()),
            _ => None,
        });
        let Some(id) = id else { return };
        let (Some(header), Some(payload)) =
            (data.get(..RTP_HEADER_BYTES), data.get(RTP_HEADER_BYTES..))
        else {
            return self.complain(None, "a packet that is none of RTP");
        };
        if header.first() != Some(&0x80) {
            return self.complain(None, "a packet of RTP with more than its header");
        }
        let pt = header.get(1).map_or(0, |byte| byte & 0x7f);
        let Some(format) = of_payload_type(pt) else {
            let what = format!("payload type {pt} is dropped without a word: it is not static");
            return self.complain(None, what);
        };
        let audio = self.leg(&id).map(|leg| leg.from_server.from(format, payload));
        if let Some(audio) = audio {
            self.is_heard(&id, &audio);
        }
    }

    /// A media channel is gone: so is its connection.
    pub(super) fn hang_up_media(&mut self, leg: &Leg) {
        let Some(socket) = leg.socket else { return };
        self.sockets.remove(&socket);
        self.outputs.push_back(match leg.way {
            Way::Socket(_) => Output::Close { socket, code: 1000 },
            _ => Output::Cut { socket },
        });
    }
}
