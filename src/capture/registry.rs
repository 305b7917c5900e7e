//! All captures, of calls that live and of those that are over.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use media::ring::Consumer;
use media::time::MonoTime;
use serde::Serialize;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::head::{self, Packet};
use super::pcap::Pcap;
use super::redact::{call_id, redact};
use super::room::Room;
use super::{
    MESSAGE_BYTES_MAX, MESSAGES_BYTES_MAX, MESSAGES_MAX, PACKETS_MAX, WAITING_BYTES_MAX,
    WAITING_MAX, WAITING_MESSAGES_MAX,
};
use crate::config::CapturesConfig;

/// Why a call is not captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// So many calls are captured that there is no room.
    #[error("as many calls are captured as may be")]
    Full,
}

/// A SIP message of a call.
#[derive(Clone, Debug)]
pub struct Message {
    /// When it came or left.
    pub at: MonoTime,
    /// It came.
    pub incoming: bool,
    /// "udp", "tcp", …
    pub transport: &'static str,
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// The message without secrets, and no longer than is kept.
    pub bytes: Vec<u8>,
}

/// A message as the API shows it.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its number among the messages of the call, from 1.
    pub sequence: u32,
    /// When it came or left.
    pub at_unix_ms: u64,
    direction: &'static str,
    transport: &'static str,
    /// Where it came from.
    pub from: SocketAddr,
    /// Where it went.
    pub to: SocketAddr,
    /// Its first line.
    summary: String,
    text: String,
}

impl Shown {
    /// True if it is one of ours.
    pub fn is_sent(&self) -> bool {
        self.direction == OUT
    }
}

/// The word for what we have sent.
const OUT: &str = "out";

/// One capture.
#[derive(Debug)]
struct Capture {
    sip_id: String,
    messages: Vec<Message>,
    messages_bytes: usize,
    /// What the worker leaves; none once it has let go.
    ring: Option<Consumer>,
    /// Our RTP and RTCP.
    ends: (SocketAddr, SocketAddr),
    packets: VecDeque<Packet>,
}

/// All captures.
#[derive(Debug)]
pub struct Registry {
    captures: HashMap<Uuid, Capture>,
    room: Room,
    by_sip_id: HashMap<String, Uuid>,
    /// Messages of dialogs that may be captured yet, the oldest dialog first.
    waiting: VecDeque<(String, Vec<Message>)>,
    waiting_bytes: usize,
    /// Some route, agent or trunk captures, so that messages wait.
    expects: bool,
    /// Takes the calls whose captures end, and when they did.
    ended: Option<mpsc::Sender<(Uuid, MonoTime)>>,
}

impl Registry {
    /// No capture yet; `expects` if calls may be captured from their beginning.
    pub fn new(expects: bool, bounds: CapturesConfig) -> Self {
        Self {
            captures: HashMap::new(),
            room: Room::new(bounds),
            by_sip_id: HashMap::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            expects,
            ended: None,
        }
    }

    /// Calls whose captures end from now on, and when they do, for one who asks.
    pub fn ended(&mut self) -> mpsc::Receiver<(Uuid, MonoTime)> {
        let (sender, ended) = mpsc::channel(self.room.calls_max());
        self.ended = Some(sender);
        ended
    }

    /// True if messages are of any use.
    pub fn is_armed(&self) -> bool {
        self.expects || !self.by_sip_id.is_empty()
    }

    /// Takes a SIP message.
    pub fn message(&mut self, mut message: Message) {
        let Some(sip_id) = call_id(&message.bytes).map(str::to_owned) else { return };
        message.bytes.truncate(MESSAGE_BYTES_MAX);
        redact(&mut message.bytes);
        if let Some(id) = self.by_sip_id.get(&sip_id) {
            let capture = self.captures.get_mut(id);
            if let Some(capture) = capture {
                capture.keep(message);
            }
        } else if self.expects {
            self.wait(sip_id, message);
        }
    }

    fn wait(&mut self, sip_id: String, message: Message) {
        let newest_first = self.waiting.iter_mut().rev();
        let mut bytes = message.bytes.len();
        match newest_first.into_iter().find(|(known, _)| *known == sip_id) {
            Some((_, messages)) if messages.len() < WAITING_MESSAGES_MAX => messages.push(message),
            Some(_) => return,
            None => {
                bytes += sip_id.len();
                self.waiting.push_back((sip_id, vec![message]));
            }
        }
        self.waiting_bytes += bytes;
        while self.waiting.len() > WAITING_MAX || self.waiting_bytes > WAITING_BYTES_MAX {
            let Some((sip_id, messages)) = self.waiting.pop_front() else { break };
            self.waiting_bytes -= sip_id.len() + bytes_of(&messages);
        }
    }

    /// Begins the capture of a call of an organisation, with the messages that have waited for it.
    /// `ends` are our RTP and RTCP.
    ///
    /// # Errors
    ///
    /// When there is no room for another.
    pub fn begin(
        &mut self,
        now: MonoTime,
        (id, organisation): (Uuid, Uuid),
        sip_id: &str,
        ring: Consumer,
        ends: (SocketAddr, SocketAddr),
    ) -> Result<(), CaptureError> {
        self.forget_old(now);
        if let Some(gone) = self.room.take(id, organisation)? {
            self.forget(gone);
        }
        let waited = self.waiting.iter().position(|(known, _)| known == sip_id);
        let waited = waited.and_then(|at| self.waiting.remove(at));
        let (waited_as, messages) = waited.unwrap_or_default();
        let messages_bytes = bytes_of(&messages);
        self.waiting_bytes -= waited_as.len() + messages_bytes;
        self.by_sip_id.insert(sip_id.to_owned(), id);
        let capture = Capture {
            sip_id: sip_id.to_owned(),
            messages,
            messages_bytes,
            ring: Some(ring),
            ends,
            packets: VecDeque::new(),
        };
        self.captures.insert(id, capture);
        Ok(())
    }

    /// The call is over, and its worker writes no more: what is there is kept until others need the
    /// room, but not the ring. Messages that are still under way, such as the last answer, are
    /// taken in.
    pub fn end(&mut self, id: Uuid, now: MonoTime) {
        let Some(capture) = self.captures.get_mut(&id) else { return };
        capture.drain();
        capture.ring = None;
        self.room.end(id, now);
        if let Some(ended) = &self.ended {
            // There is room for as many as there are captures.
            let _ = ended.try_send((id, now));
        }
    }

    /// Forgets captures of calls that have been over for too long.
    pub fn forget_old(&mut self, now: MonoTime) {
        for id in self.room.take_old(now) {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: Uuid) {
        if let Some(capture) = self.captures.remove(&id) {
            self.by_sip_id.remove(&capture.sip_id);
        }
    }

    /// The capture of a call as a file.
    pub fn pcap(&mut self, now: MonoTime, id: Uuid) -> Option<Vec<u8>> {
        let capture = self.captures.get_mut(&id)?;
        capture.drain();
        let wall = Wall::at(now);
        let mut pcap = Pcap::new();
        let mut packets = capture.packets.iter().peekable();
        let mut media = |pcap: &mut Pcap, until: MonoTime| {
            while let Some(packet) = packets.next_if(|packet| packet.at <= until) {
                let (rtp, rtcp) = capture.ends;
                let local = if packet.kind.is_rtcp() { rtcp } else { rtp };
                let (from, to) = ends(packet.kind.is_incoming(), local, packet.peer);
                pcap.datagram(wall.unix_ns(packet.at), from, to, &packet.bytes, packet.length);
            }
        };
        for message in &capture.messages {
            media(&mut pcap, message.at);
            let (from, to) = ends(message.incoming, message.local, message.peer);
            let length = message.bytes.len();
            pcap.datagram(wall.unix_ns(message.at), from, to, &message.bytes, length);
        }
        media(&mut pcap, MonoTime::MAX);
        Some(pcap.into_bytes())
    }

    /// Up to `limit` SIP messages of a call, behind the first `after`.
    pub fn messages(
        &self,
        now: MonoTime,
        id: Uuid,
        after: usize,
        limit: usize,
    ) -> Option<Vec<Shown>> {
        let wall = Wall::at(now);
        let capture = self.captures.get(&id)?;
        let shown = |(at, message): (usize, &Message)| {
            let (from, to) = ends(message.incoming, message.local, message.peer);
            let text = String::from_utf8_lossy(&message.bytes).into_owned();
            Shown {
                sequence: u32::try_from(at + 1).unwrap_or(u32::MAX),
                at_unix_ms: wall.unix_ns(message.at) / 1_000_000,
                direction: if message.incoming { "in" } else { OUT },
                transport: message.transport,
                from,
                to,
                summary: text.lines().next().unwrap_or_default().to_owned(),
                text,
            }
        };
        let messages = capture.messages.iter().enumerate().skip(after).take(limit);
        Some(messages.map(shown).collect())
    }
}

fn bytes_of(messages: &[Message]) -> usize {
    messages.iter().map(|message| message.bytes.len()).sum()
}

impl Capture {
    /// Keeps a message, if it is one of the first.
    fn keep(&mut self, message: Message) {
        let bytes = self.messages_bytes + message.bytes.len();
        if self.messages.len() < MESSAGES_MAX && bytes <= MESSAGES_BYTES_MAX {
            self.messages_bytes = bytes;
            self.messages.push(message);
        }
    }

    /// Takes what the worker has left so far.
    fn drain(&mut self) {
        let Some(ring) = &mut self.ring else { return };
        while let Some(packet) = head::next(ring) {
            if self.packets.len() >= PACKETS_MAX {
                self.packets.pop_front();
            }
            self.packets.push_back(packet);
        }
    }
}

/// From and to, of what went between us and a peer.
const fn ends(incoming: bool, local: SocketAddr, peer: SocketAddr) -> (SocketAddr, SocketAddr) {
    if incoming { (peer, local) } else { (local, peer) }
}

/// Wall-clock time of what happened on the monotonic clock.
#[derive(Clone, Copy, Debug)]
struct Wall {
    now: MonoTime,
    unix_ns: u64,
}

impl Wall {
    fn at(now: MonoTime) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { now, unix_ns: u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX) }
    }

    fn unix_ns(self, at: MonoTime) -> u64 {
        let passed = self.now.since(at).as_nanos();
        self.unix_ns.saturating_sub(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}
