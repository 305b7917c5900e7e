//! All captures, of calls that live and of those that are over.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use media::ring::Consumer;
use media::time::MonoTime;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::draft::Draft;
use super::head::{self, Packet};
use super::name::{Dialog, Name, Namer};
use super::redact::redact;
use super::room::Room;
use super::shown::Shown;
use super::waiting::{Waiting, bytes_of};
use super::web::Web;
use super::{DIALOGS_MAX, MESSAGE_BYTES_MAX, MESSAGES_BYTES_MAX, MESSAGES_MAX, PACKETS_MAX};
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

/// A message that is kept.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// Of SIP.
    Sip(Message),
    /// Of HTTP.
    Web(Web),
}

impl Kept {
    const fn at(&self) -> MonoTime {
        match self {
            Self::Sip(message) => message.at,
            Self::Web(web) => web.at,
        }
    }

    const fn bytes(&self) -> usize {
        match self {
            Self::Sip(message) => message.bytes.len(),
            Self::Web(web) => web.text.len(),
        }
    }
}

/// The call that a message over HTTP is about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// Ours of this id.
    Call(Uuid),
    /// That which a configuration's carrier calls so.
    AtCarrier(Uuid, &'a str),
}

/// One capture.
#[derive(Debug)]
struct Capture {
    /// What its SIP messages are known by, of a call whose peer is reached by SIP.
    name: Name,
    /// Our tags of its other dialogs.
    more_tags: Vec<u128>,
    /// What its carrier calls it, by the carrier's configuration.
    at_carrier: Option<(Uuid, String)>,
    messages: Vec<Kept>,
    messages_bytes: usize,
    /// What the worker leaves; none once it has let go.
    ring: Option<Consumer>,
    /// Our RTP and RTCP.
    ends: (SocketAddr, SocketAddr),
    packets: VecDeque<Packet>,
    /// Its messages are to be written yet.
    is_unwritten: bool,
    /// They are written.
    is_written: bool,
    /// Its room is another's: it goes once its messages are written.
    is_parting: bool,
}

/// All captures.
#[derive(Debug)]
pub struct Registry {
    captures: HashMap<Uuid, Capture>,
    room: Room,
    namer: Namer,
    by_tag: HashMap<u128, Uuid>,
    /// Those whose INVITE was not answered when they began.
    by_transaction: HashMap<u128, Uuid>,
    by_carrier: HashMap<(Uuid, String), Uuid>,
    /// Messages of dialogs that may be captured yet.
    waiting: Waiting,
    /// Captures that have no room any more, and whose messages are to be written yet.
    parting: usize,
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
            namer: Namer::default(),
            by_tag: HashMap::new(),
            by_transaction: HashMap::new(),
            by_carrier: HashMap::new(),
            waiting: Waiting::default(),
            parting: 0,
            expects,
            ended: None,
        }
    }

    /// Calls whose captures end from now on, and when they do, for one who asks. Their messages are
    /// there until [`Registry::written`] is told.
    pub fn ended(&mut self) -> mpsc::Receiver<(Uuid, MonoTime)> {
        // As many as have room, and as many whose room is another's.
        let (sender, ended) = mpsc::channel(self.room.calls_max().saturating_mul(2));
        self.ended = Some(sender);
        ended
    }

    /// True if messages are of any use.
    pub fn is_armed(&self) -> bool {
        self.expects || !self.by_tag.is_empty()
    }

    /// Takes a SIP message.
    pub fn message(&mut self, mut message: Message) {
        let name = self.namer.name(message.incoming, &message.bytes, message.peer);
        if !name.is_some() {
            return;
        }
        message.bytes.truncate(MESSAGE_BYTES_MAX);
        redact(&mut message.bytes);
        let by_tag = name.tag.and_then(|tag| self.by_tag.get(&tag));
        let of = |transaction| self.by_transaction.get(&transaction);
        if let Some(id) = by_tag.or_else(|| name.transaction.and_then(of)) {
            if let Some(capture) = self.captures.get_mut(id) {
                capture.keep(Kept::Sip(message));
            }
        } else if self.expects {
            self.waiting.push(name, message);
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
        dialog: Dialog<'_>,
        ring: Consumer,
        ends: (SocketAddr, SocketAddr),
    ) -> Result<(), CaptureError> {
        self.make_room(now, id, organisation)?;
        let invite = |(bytes, peer)| self.namer.name(true, bytes, peer);
        let invite = dialog.invite.map(invite).unwrap_or_default();
        let name = Name { tag: Some(self.namer.tag(dialog.tag)), ..invite };
        let messages = self.waiting.take(&name);
        self.by_tag.extend(name.tag.map(|tag| (tag, id)));
        self.by_transaction.extend(name.transaction.map(|transaction| (transaction, id)));
        let capture = Capture {
            name,
            messages_bytes: bytes_of(&messages),
            messages: messages.into_iter().map(Kept::Sip).collect(),
            ring: Some(ring),
            ends,
            ..Capture::new()
        };
        self.captures.insert(id, capture);
        Ok(())
    }

    /// A call whose peer is reached by SIP has another dialog with this tag of ours: another server
    /// is asked, or another peer takes over.
    pub fn goes_on(&mut self, id: Uuid, tag: &str) {
        let tag = self.namer.tag(tag);
        let Some(capture) = self.captures.get_mut(&id) else { return };
        let known = capture.name.tag == Some(tag) || capture.more_tags.contains(&tag);
        if known || capture.more_tags.len() >= DIALOGS_MAX {
            return;
        }
        capture.more_tags.push(tag);
        self.by_tag.insert(tag, id);
        for message in self.waiting.take(&Name { tag: Some(tag), ..Name::default() }) {
            capture.keep(Kept::Sip(message));
        }
    }

    /// Begins the capture of a call of an organisation that a carrier controls over HTTP: messages
    /// are all there is.
    ///
    /// # Errors
    ///
    /// When there is no room for another.
    pub fn begin_at_carrier(
        &mut self,
        now: MonoTime,
        (id, organisation): (Uuid, Uuid),
    ) -> Result<(), CaptureError> {
        self.make_room(now, id, organisation)?;
        self.captures.insert(id, Capture::new());
        Ok(())
    }

    /// The carrier of a configuration has told what it calls a call.
    pub fn known_as(&mut self, id: Uuid, configuration: Uuid, at_carrier: &str) {
        let Some(capture) = self.captures.get_mut(&id) else { return };
        let known = (configuration, at_carrier.to_owned());
        if let Some(before) = capture.at_carrier.replace(known.clone()) {
            self.by_carrier.remove(&before);
        }
        self.by_carrier.insert(known, id);
    }

    /// The captured call that a message over HTTP is about, if there is room for it.
    pub fn takes_web(&self, about: About<'_>) -> Option<Uuid> {
        let id = match about {
            About::Call(id) => id,
            About::AtCarrier(configuration, call) => {
                *self.by_carrier.get(&(configuration, call.to_owned()))?
            }
        };
        self.captures.get(&id)?.has_room(0).then_some(id)
    }

    /// Takes a message over HTTP.
    pub fn web(&mut self, id: Uuid, web: Web) {
        if let Some(capture) = self.captures.get_mut(&id) {
            capture.keep(Kept::Web(web));
        }
    }

    /// Takes room for another, and lets the oldest capture of a call that is over go for it.
    fn make_room(
        &mut self,
        now: MonoTime,
        id: Uuid,
        organisation: Uuid,
    ) -> Result<(), CaptureError> {
        self.forget_old(now);
        if let Some(gone) = self.room.take(id, organisation)? {
            self.forget(gone);
        }
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
            capture.is_unwritten |= ended.try_send((id, now)).is_ok();
        }
    }

    /// Forgets captures of calls that have been over for too long.
    pub fn forget_old(&mut self, now: MonoTime) {
        for id in self.room.take_old(now) {
            self.forget(id);
        }
    }

    /// The room of a capture is another's. Its messages stay until they are written, and take in
    /// those that are under way yet.
    fn forget(&mut self, id: Uuid) {
        let Some(capture) = self.captures.get_mut(&id) else { return };
        // Whoever writes is too far behind if there are more of them than captures may be.
        if capture.is_unwritten && self.parting < self.room.calls_max() {
            capture.packets = VecDeque::new();
            capture.is_parting = true;
            self.parting += 1;
            return;
        }
        self.remove(id);
    }

    /// The messages of a call that is over are written.
    pub fn written(&mut self, id: Uuid) {
        let Some(capture) = self.captures.get_mut(&id) else { return };
        (capture.is_unwritten, capture.is_written) = (false, true);
        if capture.is_parting {
            self.parting -= 1;
            self.remove(id);
        }
    }

    /// Calls whose messages are not written yet, be they over or not.
    pub(super) fn unwritten(&self) -> Vec<Uuid> {
        let all = self.captures.iter().filter(|(_, capture)| !capture.is_written);
        all.map(|(id, _)| *id).collect()
    }

    fn remove(&mut self, id: Uuid) {
        let Some(capture) = self.captures.remove(&id) else { return };
        let Name { tag, transaction, .. } = capture.name;
        for tag in tag.into_iter().chain(capture.more_tags) {
            self.by_tag.remove(&tag);
        }
        if let Some(transaction) = transaction {
            self.by_transaction.remove(&transaction);
        }
        if let Some(known) = capture.at_carrier.filter(|it| self.by_carrier.get(it) == Some(&id)) {
            self.by_carrier.remove(&known);
        }
    }

    /// What a file of a call's capture is made of.
    pub fn draft(&mut self, now: MonoTime, id: Uuid) -> Option<Draft> {
        let capture = self.captures.get_mut(&id).filter(|capture| !capture.is_parting)?;
        capture.drain();
        // What goes over HTTP is no datagram.
        let datagram = |kept: &Kept| match kept {
            Kept::Sip(message) => Some(message.clone()),
            Kept::Web(_) => None,
        };
        Some(Draft {
            wall: Wall::at(now),
            ends: capture.ends,
            messages: capture.messages.iter().filter_map(datagram).collect(),
            packets: capture.packets.clone(),
        })
    }

    /// Up to `limit` messages of a call, behind the first `after`.
    pub fn messages(
        &self,
        now: MonoTime,
        id: Uuid,
        after: usize,
        limit: usize,
    ) -> Option<Vec<Shown>> {
        let wall = Wall::at(now);
        let capture = self.captures.get(&id)?;
        let shown = |(at, kept): (usize, &Kept)| {
            let sequence = u32::try_from(at + 1).unwrap_or(u32::MAX);
            Shown::new(sequence, wall.unix_ns(kept.at()) / 1_000_000, kept)
        };
        let messages = capture.messages.iter().enumerate().skip(after).take(limit);
        Some(messages.map(shown).collect())
    }
}

impl Capture {
    /// One without anything.
    fn new() -> Self {
        let none = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            name: Name::default(),
            more_tags: Vec::new(),
            at_carrier: None,
            messages: Vec::new(),
            messages_bytes: 0,
            ring: None,
            ends: (none, none),
            packets: VecDeque::new(),
            is_unwritten: false,
            is_written: false,
            is_parting: false,
        }
    }

    /// True if a message of so many bytes is one of the first, which are kept.
    const fn has_room(&self, bytes: usize) -> bool {
        self.messages.len() < MESSAGES_MAX && self.messages_bytes + bytes <= MESSAGES_BYTES_MAX
    }

    /// Keeps a message, if it is one of the first.
    fn keep(&mut self, message: Kept) {
        let bytes = message.bytes();
        if self.has_room(bytes) {
            self.messages_bytes += bytes;
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
pub(super) const fn ends(
    incoming: bool,
    local: SocketAddr,
    peer: SocketAddr,
) -> (SocketAddr, SocketAddr) {
    if incoming { (peer, local) } else { (local, peer) }
}

/// Wall-clock time of what happened on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall {
    now: MonoTime,
    unix_ns: u64,
}

impl Wall {
    fn at(now: MonoTime) -> Self {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { now, unix_ns: u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX) }
    }

    pub(super) fn unix_ns(self, at: MonoTime) -> u64 {
        let passed = self.now.since(at).as_nanos();
        self.unix_ns.saturating_sub(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}
