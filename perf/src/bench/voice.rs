//! Calls that say coded chirps and listen for them.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd as _;

use socket2::{SockAddr, Socket};

use super::chirp::Chirps;
use super::coding::Coding;
use super::ear::{Ear, Playing};
use super::law::Law;
use super::offered::Offered;
use super::target::Target;
use crate::agent::server::dial_with;
use crate::error::{PerfError, Result};
use crate::line::emulated::Carrier;
use crate::line::talk::Talk;
use crate::load::line::LineEnd;
use crate::load::meter::{Cost, Meter};
use crate::report::Setup;
use crate::rtp;
use crate::run::calls::Desk;
use crate::sip::access::Access;
use crate::sip::link::Transport;
use crate::sip::signalling::{Callee, Signalling};
use crate::sip::uac::Event;
use crate::sound::Codec;
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::net::{self, RtpPorts};
use crate::sys::poll::{Poll, Ready};
use crate::ws::frame;

/// What is looked at at least this often, in nanoseconds; arrivals are stamped by the kernel.
const LOOK_NS: u64 = 1_000_000;

/// Read at once from a socket, in bytes.
const READ_BYTES: usize = 65_536;

/// How long calls may take to come up, and to end, in nanoseconds.
const PATIENCE_NS: u64 = 35 * SECOND_NS;

/// Calls placed a second: so that the server is measured in its talk, not in its start.
const RATE_HZ: u64 = 50;

/// Mask of the first messages; any will do.
const MASK: [u8; 4] = [0x11, 0x6C, 0xD2, 0x9F];

/// What is to be said.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) target: Target,
    pub(crate) law: Law,
    pub(crate) calls: u32,
    pub(crate) seconds: u64,
    pub(crate) ptime_ms: u32,
    pub(crate) local: Ipv4Addr,
    pub(crate) access: Access,
}

/// How a call's audio travels.
enum Way {
    /// RTP, once the peer is known.
    Rtp { peer: Option<SocketAddrV4>, sequence: u16, timestamp: u32 },
    /// Messages on a media socket.
    Line(Box<LineEnd>),
}

struct Call {
    socket: Socket,
    /// Kept so that the server's reports find a socket.
    _rtcp: Option<Socket>,
    way: Way,
    ear: Ear,
    up: bool,
}

/// The calls under way.
pub(super) struct Conversation<'a> {
    script: &'a Script,
    calls: Vec<Call>,
    coding: Coding,
    /// The sound, coded, cut into packets.
    sound: Vec<Vec<u8>>,
    poll: Poll,
    ready: Vec<Ready>,
    scratch: Vec<u8>,
    message: Vec<u8>,
    lost: u64,
    /// Calls whose sockets the server has closed since that was last asked.
    closed: Vec<usize>,
}

/// What was said and heard.
pub(crate) struct Spoken {
    pub(crate) ears: Vec<Ear>,
    /// Calls that came up.
    pub(crate) up: usize,
    /// Signalling, if there was any.
    pub(crate) setup: Option<Setup>,
    /// Calls that ended while they were meant to last.
    pub(crate) broken: u64,
    /// What the talk cost, without what came before and behind it.
    pub(crate) cost: Cost,
}

/// Places the calls, by the carrier that is played or as the script says, says the sound in each,
/// listens, and hangs up.
pub(crate) fn speak(
    script: &Script,
    carrier: Option<&Carrier>,
    chirps: &Chirps,
    mut meter: Meter,
) -> Result<Spoken> {
    if let Some(carrier) = carrier {
        let mut talk = Conversation::new(script, Coding::of(carrier.dialect), chirps)?;
        let mut offered = Offered::new(carrier);
        offered.place(&mut talk, script.calls)?;
        let up = offered.up();
        talk.converse(&mut meter, |talk| offered.look(talk))?;
        offered.hang_up(&mut talk)?;
        return Ok(talk.end(up, Some(offered.setup), &meter));
    }
    let mut talk = Conversation::new(script, Coding::Companded(script.law), chirps)?;
    match &script.target {
        Target::Sip { server, host, user, transport } => {
            let callee = script.callee((*server, host.as_str()), user, *transport);
            let mut signalling = Signalling::open(&callee)?;
            let mut desk = Desk::new()?;
            talk.place(&mut signalling, &mut desk)?;
            if desk.up == 0 {
                let failed = desk.result(&signalling).failed;
                return Err(PerfError::Peer(format!(
                    "no call to {} came up: {failed:?}",
                    script.target
                )));
            }
            let up = desk.up;
            talk.converse(&mut meter, |talk| talk.signal(&mut signalling, &mut desk))?;
            talk.hang_up(&mut signalling, &mut desk)?;
            Ok(talk.end(up, Some(desk.result(&signalling)), &meter))
        }
        Target::Media { server, path } => {
            for _ in 0..script.calls {
                talk.open(*server, path)?;
            }
            talk.converse(&mut meter, |_| Ok(()))?;
            Ok(talk.end(script.calls as usize, None, &meter))
        }
        Target::AudioSocket { .. } => {
            Err(PerfError::Usage("latency is measured by sip: and ws:, not audiosocket:".into()))
        }
    }
}

impl Script {
    fn callee(
        &self,
        (server, host): (SocketAddrV4, &str),
        user: &str,
        transport: Transport,
    ) -> Callee {
        Callee {
            server,
            user: user.to_owned(),
            transport,
            local: SocketAddrV4::new(self.local, 0),
            ptime_ms: self.ptime_ms,
            codec: match self.law {
                Law::Pcmu => Codec::Pcmu,
                Law::Pcma => Codec::Pcma,
            },
            srtp: None,
            access: self.access.at(host),
        }
    }
}

impl<'a> Conversation<'a> {
    fn new(script: &'a Script, coding: Coding, chirps: &Chirps) -> Result<Self> {
        let packet = (script.ptime_ms * rtp::SAMPLES_MS) as usize;
        let samples = usize::try_from(script.seconds).unwrap_or(1) * super::chirp::RATE_HZ;
        let wire = coding.encode(&chirps.sound(samples / packet * packet));
        Ok(Self {
            script,
            calls: Vec::new(),
            coding,
            sound: wire.chunks(packet * coding.sample_bytes()).map(<[u8]>::to_vec).collect(),
            poll: Poll::new()?,
            ready: Vec::new(),
            scratch: vec![0; READ_BYTES],
            message: Vec::new(),
            lost: 0,
            closed: Vec::new(),
        })
    }

    fn add(&mut self, socket: Socket, rtcp: Option<Socket>, way: Way) -> Result<()> {
        self.poll.add(socket.as_raw_fd(), self.calls.len() as u64)?;
        let playing = match way {
            Way::Rtp { .. } => Playing::OnArrival,
            Way::Line(_) => Playing::InTurn,
        };
        let samples = (self.script.ptime_ms * rtp::SAMPLES_MS) as usize;
        let ear = Ear::new(self.coding, playing, samples);
        let up = matches!(way, Way::Line(_));
        self.calls.push(Call { socket, _rtcp: rtcp, way, ear, up });
        Ok(())
    }

    /// Opens a media socket as a carrier does.
    fn open(&mut self, server: SocketAddrV4, path: &str) -> Result<()> {
        let key = fastrand::u128(..).to_be_bytes();
        let (socket, rest) = dial_with(server, path, key, "")?;
        let number = format!("{:032x}", fastrand::u128(..));
        let mut talk = Talk::new(&format!("AC{number}"), &format!("CA{number}"));
        let mut bytes = Vec::new();
        for message in talk.opening() {
            frame::write(&mut bytes, frame::TEXT, message.as_bytes(), Some(MASK));
        }
        if socket.send_with_flags(&bytes, libc::MSG_NOSIGNAL)? != bytes.len() {
            return Err(PerfError::Peer("a fresh socket took less than two messages".into()));
        }
        self.take_line(socket, &rest, talk)
    }

    /// A media socket is open whose stream has begun; `rest` is what came behind the handshake.
    pub(super) fn take_line(&mut self, socket: Socket, rest: &[u8], talk: Talk) -> Result<()> {
        net::stamp(&socket)?;
        socket.set_nonblocking(true)?;
        self.add(socket, None, Way::Line(Box::new(LineEnd::new(talk, rest).uncut())))
    }

    /// The carrier says this on the socket of a call.
    pub(super) fn pass_on(&mut self, call: usize, opcode: u8, bytes: &[u8]) {
        let Some(call) = self.calls.get_mut(call) else { return };
        if let Way::Line(line) = &call.way {
            self.message.clear();
            line.say(opcode, bytes, &mut self.message);
            // Whoever is gone meanwhile is seen when the socket is read.
            let _ = call.socket.send_with_flags(&self.message, libc::MSG_NOSIGNAL);
        }
    }

    /// A call is over though it was meant to last.
    pub(super) fn ended(&mut self, call: usize) {
        if let Some(call) = self.calls.get_mut(call) {
            self.lost += u64::from(std::mem::replace(&mut call.up, false));
        }
    }

    /// All calls are over, as they should be.
    pub(super) fn all_ended(&mut self) {
        self.calls.iter_mut().for_each(|call| call.up = false);
    }

    /// The next call whose socket the server has closed.
    pub(super) fn closed(&mut self) -> Option<usize> {
        self.closed.pop()
    }

    /// Places the SIP calls at the rate.
    fn place(&mut self, signalling: &mut Signalling, desk: &mut Desk) -> Result<()> {
        let mut ports = RtpPorts::new(self.script.local);
        let start = clock::mono_ns();
        for number in 0..self.script.calls {
            let (rtp, rtcp) = ports.pair().map_err(PerfError::io("opening RTP sockets"))?;
            let local = net::local(&rtp)?;
            let timestamp = fastrand::u32(..);
            let way = Way::Rtp { peer: None, sequence: fastrand::u16(..), timestamp };
            self.add(rtp, Some(rtcp), way)?;
            clock::sleep_until(start + u64::from(number) * SECOND_NS / RATE_HZ);
            desk.placed();
            signalling.invite(number, local)?;
            self.signal(signalling, desk)?;
        }
        let end = clock::mono_ns() + PATIENCE_NS;
        while desk.up < desk.pending() && clock::mono_ns() < end {
            clock::sleep_until(clock::mono_ns() + LOOK_NS);
            self.signal(signalling, desk)?;
        }
        Ok(())
    }

    /// Takes what signalling has brought.
    fn signal(&mut self, signalling: &mut Signalling, desk: &mut Desk) -> Result<()> {
        signalling.pump(|event| {
            desk.book(event);
            match event {
                Event::Answered { call, rtp, .. } => {
                    if let Some(call) = self.calls.get_mut(call as usize) {
                        call.up = true;
                        if let Way::Rtp { peer, .. } = &mut call.way {
                            *peer = Some(rtp);
                        }
                    }
                }
                Event::HungUp { call } | Event::Ended { call, .. } => {
                    if let Some(call) = self.calls.get_mut(call as usize) {
                        call.up = false;
                    }
                }
                Event::Failed { .. } => {}
            }
        })
    }

    /// Says the whole sound in every call, the calls spread over a packet's time, and listens.
    fn converse(
        &mut self,
        meter: &mut Meter,
        mut meanwhile: impl FnMut(&mut Self) -> Result<()>,
    ) -> Result<()> {
        meter.open();
        let period_ns = u64::from(self.script.ptime_ms) * 1_000_000;
        let calls = self.calls.len().max(1) as u64;
        let start = clock::mono_ns() + period_ns;
        let total = self.sound.len() as u64 * calls;
        let (mut slot, mut next_look) = (0, 0);
        // What is still on its way when all has been said is listened for.
        let end = start + self.sound.len() as u64 * period_ns + SECOND_NS;
        loop {
            let due = start + slot / calls * period_ns + slot % calls * period_ns / calls;
            let due = if slot < total { due } else { end };
            clock::sleep_until(due.min(next_look));
            let now = clock::mono_ns();
            if slot < total && now >= due {
                self.say((slot % calls) as usize, (slot / calls) as usize)?;
                slot += 1;
            }
            if now >= next_look {
                next_look = now + LOOK_NS;
                self.listen()?;
                meanwhile(self)?;
            }
            if slot == total && now >= end {
                meter.close();
                return Ok(());
            }
        }
    }

    fn say(&mut self, call: usize, number: usize) -> Result<()> {
        let (Some(call), Some(part)) = (self.calls.get_mut(call), self.sound.get(number)) else {
            return Ok(());
        };
        if !call.up {
            return Ok(());
        }
        self.message.clear();
        let result = match &mut call.way {
            Way::Rtp { peer, sequence, timestamp } => {
                let Some(peer) = *peer else { return Ok(()) };
                let kind = match self.script.law {
                    Law::Pcmu => Codec::Pcmu.payload_type(),
                    Law::Pcma => Codec::Pcma.payload_type(),
                };
                let head = rtp::header(kind, number == 0, *sequence, *timestamp, 0x7A1C);
                self.message.extend_from_slice(&head);
                self.message.extend_from_slice(part);
                *sequence = sequence.wrapping_add(1);
                *timestamp = timestamp.wrapping_add(part.len() as u32);
                call.ear.says(clock::real_ns());
                call.socket.send_to(&self.message, &SockAddr::from(peer))
            }
            Way::Line(line) => {
                line.media(part, &mut self.message);
                call.ear.says(clock::real_ns());
                if self.message.is_empty() {
                    // It waits for those that make a message with it.
                    return Ok(());
                }
                call.socket.send_with_flags(&self.message, libc::MSG_NOSIGNAL)
            }
        };
        match result {
            Ok(sent) if sent == self.message.len() => Ok(()),
            // A peer that is gone, or takes nothing any more, is heard no more either.
            _ => {
                call.up = false;
                self.lost += 1;
                Ok(())
            }
        }
    }

    /// Reads what has come.
    pub(super) fn listen(&mut self) -> Result<()> {
        loop {
            self.poll.wait_into(Some(0), &mut self.ready)?;
            if self.ready.is_empty() {
                return Ok(());
            }
            for at in 0..self.ready.len() {
                let Some(token) = self.ready.get(at).map(|ready| ready.token) else { break };
                self.receive(token as usize)?;
            }
        }
    }

    fn receive(&mut self, number: usize) -> Result<()> {
        let Some(call) = self.calls.get_mut(number) else { return Ok(()) };
        let arrival = match net::receive(&call.socket, &mut self.scratch) {
            Ok(arrival) => arrival,
            Err(error) if net::would_block(&error) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(()),
            Err(_) if matches!(call.way, Way::Line(_)) => return self.gone(number),
            Err(error) => return Err(PerfError::io(format!("listening to call {number}"))(error)),
        };
        let bytes = self.scratch.get(..arrival.length).unwrap_or_default();
        let (stamp_ns, ear) = (arrival.stamp_ns, &mut call.ear);
        match &mut call.way {
            Way::Rtp { .. } => {
                let packet = rtp::parse(bytes).filter(|_| !rtp::is_rtcp(bytes));
                if let Some(packet) = packet.filter(|packet| matches!(packet.payload_type, 0 | 8)) {
                    ear.hears(packet.timestamp, packet.payload, stamp_ns);
                }
            }
            Way::Line(_) if bytes.is_empty() => return self.gone(number),
            Way::Line(line) => {
                self.message.clear();
                line.receive(bytes, &mut self.message, |packet| {
                    ear.hears(packet.timestamp, packet.payload, stamp_ns);
                })
                .map_err(|error| PerfError::Peer(format!("WebSocket {number}: {error}")))?;
                if !self.message.is_empty() {
                    // Whoever is gone meanwhile needs no answer.
                    let _ = call.socket.send_with_flags(&self.message, libc::MSG_NOSIGNAL);
                }
            }
        }
        Ok(())
    }

    /// The server has closed the socket of a call.
    fn gone(&mut self, number: usize) -> Result<()> {
        self.ended(number);
        self.closed.push(number);
        match self.calls.get(number) {
            Some(call) => Ok(self.poll.remove(call.socket.as_raw_fd())?),
            None => Ok(()),
        }
    }

    fn hang_up(&mut self, signalling: &mut Signalling, desk: &mut Desk) -> Result<()> {
        desk.hanging_up();
        for number in 0..self.script.calls {
            signalling.hang_up(number)?;
        }
        let end = clock::mono_ns() + PATIENCE_NS;
        while desk.pending() > 0 && clock::mono_ns() < end {
            clock::sleep_until(clock::mono_ns() + LOOK_NS);
            self.signal(signalling, desk)?;
        }
        Ok(())
    }

    /// What came of it. The sockets are open until what the kernel dropped at them is known.
    fn end(mut self, up: usize, setup: Option<Setup>, meter: &Meter) -> Spoken {
        for call in &mut self.calls {
            if let (Way::Line(line), true) = (&mut call.way, call.up) {
                self.message.clear();
                line.stop(&mut self.message);
                let _ = call.socket.send_with_flags(&self.message, libc::MSG_NOSIGNAL);
            }
        }
        let broken = self.lost + setup.as_ref().map_or(0, |setup| setup.hung_up_by_server);
        let said: usize = self.calls.iter().map(|call| call.ear.said()).sum();
        let cost = meter.cost(up, said as u64);
        let ears = self.calls.into_iter().map(|call| call.ear).collect();
        Spoken { ears, up, setup, broken, cost }
    }
}
