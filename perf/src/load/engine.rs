//! Sends each stream's packets on time, spread evenly over the packet interval, and books what
//! comes back by the kernel's stamps.

use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use hdrhistogram::Histogram;
use socket2::{SockAddr, Socket};

use super::account::{Account, Tally};
use super::heard::{Heard, book, book_packet};
use super::line::LineEnd;
use super::stamps::Stamps;
pub(crate) use super::stream::Pace;
use super::stream::{Carrier, Stream, hung_up, send_all};
use crate::error::{PerfError, Result};
use crate::pattern;
use crate::rtp::{self, Faults, SAMPLES_MS};
use crate::sound::Codec;
use crate::srtp::{Keying, Session};
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::net;
use crate::sys::poll::{Poll, Ready};
use crate::ws::frame::{self, Reader};

/// Longest latency a histogram tells apart, in nanoseconds.
const LONGEST_NS: u64 = 30 * SECOND_NS;

/// Sockets are read at least this often, in nanoseconds; arrival is stamped by the kernel.
const DRAIN_NS: u64 = 1_000_000;

/// Set in the token of a stream's RTCP socket.
const RTCP: u64 = 1 << 63;

/// Read at once from a stream socket, in bytes.
const READ_BYTES: usize = 65_536;

/// Mask of the generator's WebSocket frames; any will do against an echo.
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A histogram of nanoseconds.
pub(crate) type Times = Histogram<u64>;

/// An empty histogram of nanoseconds, three digits precise.
pub(crate) fn times() -> Result<Times> {
    Histogram::new_with_bounds(1, LONGEST_NS, 3)
        .map_err(|error| PerfError::Usage(format!("histogram: {error}")))
}

/// The generator.
pub(crate) struct Engine {
    pub(super) streams: Vec<Stream>,
    poll: Poll,
    ready: Vec<Ready>,
    period_ns: u64,
    tick_ns: u64,
    samples: u32,
    codec: Codec,
    exact: bool,
    epoch_ns: u64,
    slot: u64,
    /// Streams that there will be, among which the packet interval is divided.
    places: usize,
    /// Streams whose sockets the server has closed since that was last asked.
    closed: Vec<u32>,
    next_drain_ns: u64,
    window_open: bool,
    sending: bool,
    stamps: Option<Arc<Stamps>>,
    packet: Vec<u8>,
    message: Vec<u8>,
    scratch: Vec<u8>,
    heard: Heard,
}

impl Engine {
    /// A generator without streams.
    pub(crate) fn new(pace: Pace, stamps: Option<Arc<Stamps>>) -> Result<Self> {
        let heard = Heard {
            tally: Tally::default(),
            faults: Faults::default(),
            rtcp: 0,
            echo: times()?,
            forward: times()?,
            back: times()?,
            lateness: times()?,
            worst_late_ns: 0,
            generator_late: times()?,
            starved: 0,
        };
        let samples = pace.ptime_ms * SAMPLES_MS;
        let payload = (pace.ptime_ms * pace.bytes_ms) as usize;
        if payload < pattern::MIN_BYTES {
            return Err(PerfError::Usage(format!("ptime of {} ms is too short", pace.ptime_ms)));
        }
        Ok(Self {
            streams: Vec::new(),
            poll: Poll::new()?,
            ready: Vec::new(),
            period_ns: u64::from(pace.ptime_ms) * 1_000_000,
            tick_ns: pace.tick_us.max(1) * 1_000,
            samples,
            codec: pace.codec,
            exact: pace.exact,
            epoch_ns: clock::mono_ns(),
            slot: 0,
            places: 0,
            closed: Vec::new(),
            next_drain_ns: 0,
            window_open: false,
            sending: true,
            stamps,
            packet: vec![0; rtp::HEADER_BYTES + payload],
            message: Vec::new(),
            scratch: vec![0; READ_BYTES],
            heard,
        })
    }

    fn add(
        &mut self,
        socket: Socket,
        rtcp: Option<Socket>,
        carrier: Carrier,
        active: bool,
    ) -> Result<()> {
        let id = self.streams.len();
        self.poll.add(socket.as_raw_fd(), id as u64)?;
        if let Some(rtcp) = &rtcp {
            self.poll.add(rtcp.as_raw_fd(), id as u64 | RTCP)?;
        }
        let linear = matches!(&carrier, Carrier::Line(line) if line.dialect().is_linear());
        let account = Account::new(id as u32, self.codec, self.exact).of_linear(linear);
        let sequence = (id as u16).wrapping_mul(977);
        let timestamp = (id as u32).wrapping_mul(0x0100_0193);
        let secure = None;
        self.streams.push(Stream {
            socket,
            rtcp,
            carrier,
            secure,
            account,
            sequence,
            timestamp,
            active,
            answered_ns: None,
            first_ns: None,
        });
        Ok(())
    }

    /// Adds a stream that waits for its peer ([`Self::start_udp`]).
    pub(crate) fn add_udp(&mut self, (rtp, rtcp): (Socket, Socket)) -> Result<()> {
        self.add(rtp, Some(rtcp), Carrier::Udp(None), false)
    }

    /// Adds a stream over a WebSocket that is open; `rest` is what came after the handshake.
    pub(crate) fn add_ws(&mut self, socket: Socket, rest: &[u8]) -> Result<()> {
        let mut reader = Reader::default();
        reader.push(rest);
        self.add(socket, None, Carrier::Ws(Box::new(reader)), true)
    }

    /// Adds a stream on a carrier's media socket.
    pub(crate) fn add_line(&mut self, socket: Socket, line: LineEnd) -> Result<()> {
        self.add(socket, None, Carrier::Line(Box::new(line)), true)
    }

    /// So many streams will come, each of which sends as soon as it is there.
    pub(crate) fn expect(&mut self, streams: usize) {
        self.places = streams;
    }

    /// The carrier says that the stream of call `id` is over.
    pub(crate) fn end_line(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(id as usize) else { return };
        let was_active = std::mem::replace(&mut stream.active, false);
        if let (Carrier::Line(line), true) = (&mut stream.carrier, was_active) {
            self.message.clear();
            line.stop(&mut self.message);
            // Whoever is gone meanwhile needs no farewell.
            let _ = send_all(&stream.socket, &self.message);
        }
    }

    /// The stream of call `id` is over, and its socket ends from our side.
    pub(crate) fn close_line(&mut self, id: u32) {
        self.end_line(id);
        if let Some(stream) = self.streams.get(id as usize) {
            // One that the server has closed meanwhile is closed.
            let _ = stream.socket.shutdown(std::net::Shutdown::Write);
        }
    }

    /// The carrier says this on the socket of stream `id`.
    pub(crate) fn say_on_line(&mut self, id: u32, opcode: u8, bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(id as usize) else { return };
        if let Carrier::Line(line) = &mut stream.carrier {
            self.message.clear();
            line.say(opcode, bytes, &mut self.message);
            // Whoever is gone meanwhile is seen when the socket is read.
            let _ = send_all(&stream.socket, &self.message);
        }
    }

    /// The next stream whose socket the server has closed.
    pub(crate) fn closed_line(&mut self) -> Option<u32> {
        self.closed.pop()
    }

    /// Stream `id` begins to send to its peer.
    pub(crate) fn start_udp(&mut self, id: u32, peer: SocketAddrV4) {
        if let Some(stream) = self.streams.get_mut(id as usize) {
            stream.carrier = Carrier::Udp(Some(peer));
            stream.active = true;
        }
    }

    /// Stream `id` is secured from now on.
    pub(crate) fn secure(&mut self, id: u32, (ours, theirs): (Keying, Keying)) -> Result<()> {
        if let Some(stream) = self.streams.get_mut(id as usize) {
            stream.secure = Some(Box::new(Session::new(&ours, &theirs)?));
        }
        Ok(())
    }

    /// Stream `id` sends no more.
    pub(crate) fn stop(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(id as usize) {
            stream.active = false;
        }
    }

    /// Where the streams' sockets are bound.
    pub(crate) fn local(&self, id: u32) -> Result<SocketAddrV4> {
        let stream = self.streams.get(id as usize);
        let stream = stream.ok_or_else(|| PerfError::Usage(format!("no stream {id}")))?;
        Ok(net::local(&stream.socket)?)
    }

    /// Packets sent from now on count (or no longer do).
    pub(crate) fn set_window(&mut self, open: bool) {
        self.window_open = open;
        if open {
            self.heard.generator_late.reset();
        }
    }

    /// Nothing is sent any more but what waits for frames that do not come; what is under way is
    /// still received.
    pub(crate) fn stop_sending(&mut self) {
        self.sending = false;
        for stream in self.streams.iter_mut().filter(|stream| stream.active) {
            if let Carrier::Line(line) = &mut stream.carrier {
                self.message.clear();
                line.flush(&mut self.message);
                // Whoever is gone meanwhile is seen when it is read.
                let _ = send_all(&stream.socket, &self.message);
            }
        }
    }

    /// Sleeps until the next tick, sends what is due, and reads what has come.
    pub(crate) fn step(&mut self) -> Result<()> {
        let now = clock::mono_ns();
        let tick = (now / self.tick_ns + 1) * self.tick_ns;
        clock::sleep_until(tick);
        if self.sending {
            self.send_due(tick)?;
        }
        let now = clock::mono_ns();
        if now >= self.next_drain_ns {
            self.next_drain_ns = now + DRAIN_NS;
            self.drain()?;
        }
        Ok(())
    }

    fn send_due(&mut self, tick_ns: u64) -> Result<()> {
        let count = self.places.max(self.streams.len()) as u64;
        if count == 0 {
            return Ok(());
        }
        loop {
            let (round, id) = (self.slot / count, self.slot % count);
            let due = self.epoch_ns + round * self.period_ns + id * self.period_ns / count;
            if due > tick_ns {
                return Ok(());
            }
            self.slot += 1;
            // What set-up kept from being sent is left out and not made up for: it would wait in
            // the queues of what is measured, to the end.
            if self.window_open || due + self.period_ns > tick_ns {
                self.send(id as usize, due)?;
            }
        }
    }

    fn send(&mut self, id: usize, due_ns: u64) -> Result<()> {
        let Some(stream) = self.streams.get_mut(id).filter(|stream| stream.active) else {
            return Ok(());
        };
        let index = stream.account.next_index();
        let head = rtp::header(
            self.codec.payload_type(),
            index == 0,
            stream.sequence,
            stream.timestamp,
            id as u32 + 1,
        );
        if let Some((header, payload)) = self.packet.split_first_chunk_mut() {
            *header = head;
            pattern::fill(payload, id as u32, index);
        }
        stream.sequence = stream.sequence.wrapping_add(1);
        stream.timestamp = stream.timestamp.wrapping_add(self.samples);
        let result = match &mut stream.carrier {
            Carrier::Udp(Some(peer)) => {
                let peer = SockAddr::from(*peer);
                let secured = match &mut stream.secure {
                    Some(session) => Some(session.protect(&self.packet)?),
                    None => None,
                };
                let packet =
                    secured.as_ref().map_or(self.packet.as_slice(), |bytes| bytes.as_ref());
                stream.account.sent(clock::real_ns(), self.window_open);
                stream.socket.send_to(packet, &peer)
            }
            Carrier::Udp(None) => return Ok(()),
            Carrier::Line(line) => {
                self.message.clear();
                line.media(self.packet.get(rtp::HEADER_BYTES..).unwrap_or(&[]), &mut self.message);
                stream.account.sent(clock::real_ns(), self.window_open);
                send_all(&stream.socket, &self.message)
            }
            Carrier::Ws(_) => {
                self.message.clear();
                frame::write(&mut self.message, frame::BINARY, &self.packet, Some(MASK));
                stream.account.sent(clock::real_ns(), self.window_open);
                send_all(&stream.socket, &self.message)
            }
        };
        let late = clock::mono_ns().saturating_sub(due_ns);
        self.heard.generator_late.saturating_record(late);
        if result.is_err() && matches!(stream.carrier, Carrier::Line(_)) {
            return hung_up(&self.poll, stream, id, &mut self.closed);
        }
        // A peer that is gone answers with an ICMP error: its packets count as lost.
        match result {
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionRefused => {
                Err(PerfError::io(format!("sending on stream {id}"))(error))
            }
            _ => Ok(()),
        }
    }

    fn drain(&mut self) -> Result<()> {
        let mut ready = std::mem::take(&mut self.ready);
        loop {
            self.poll.wait_into(Some(0), &mut ready)?;
            if ready.is_empty() {
                break;
            }
            for event in &ready {
                if event.token & RTCP == 0 {
                    self.receive(event.token as usize)?;
                } else {
                    self.receive_rtcp((event.token & !RTCP) as usize);
                }
            }
        }
        self.ready = ready;
        Ok(())
    }

    fn receive_rtcp(&mut self, id: usize) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let Some(rtcp) = &stream.rtcp else { return };
        let Ok(arrival) = net::receive(rtcp, &mut self.scratch) else { return };
        let packet = self.scratch.get(..arrival.length).unwrap_or_default();
        if rtp::is_rtcp(packet) {
            self.heard.rtcp += 1;
        } else {
            stream.account.not_rtp();
        }
    }

    fn receive(&mut self, id: usize) -> Result<()> {
        let Some(stream) = self.streams.get_mut(id) else { return Ok(()) };
        let arrival = match net::receive(&stream.socket, &mut self.scratch) {
            Ok(arrival) => arrival,
            Err(error) if net::would_block(&error) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(()),
            Err(_) if matches!(stream.carrier, Carrier::Line(_)) => {
                return hung_up(&self.poll, stream, id, &mut self.closed);
            }
            Err(error) => return Err(PerfError::io(format!("receiving on stream {id}"))(error)),
        };
        let bytes = self.scratch.get(..arrival.length).unwrap_or_default();
        let (open, stamp) = (self.window_open, arrival.stamp_ns);
        let heard = &mut self.heard;
        let stamps = self.stamps.as_deref();
        match &mut stream.carrier {
            Carrier::Udp(peer) => {
                if !rtp::is_rtcp(bytes) {
                    stream.first_ns.get_or_insert(stamp);
                }
                if *peer == Some(arrival.from) {
                    let opened = match &mut stream.secure {
                        // What cannot be opened is booked as it is: no RTP, or altered.
                        Some(session) if !rtp::is_rtcp(bytes) => session.unprotect(bytes),
                        _ => None,
                    };
                    let bytes = opened.as_ref().map_or(bytes, |opened| opened.as_ref());
                    book(&mut stream.account, heard, stamps, id, bytes, stamp, open);
                } else if peer.is_some() {
                    stream.account.stranger();
                }
            }
            Carrier::Line(line) => {
                if bytes.is_empty() {
                    return hung_up(&self.poll, stream, id, &mut self.closed);
                }
                let account = &mut stream.account;
                self.message.clear();
                line.receive(bytes, &mut self.message, |packet| {
                    book_packet(account, heard, stamps, id, packet, stamp, open);
                })
                .map_err(|error| PerfError::Peer(format!("WebSocket {id}: {error}")))?;
                if send_all(&stream.socket, &self.message).is_err() {
                    return hung_up(&self.poll, stream, id, &mut self.closed);
                }
            }
            Carrier::Ws(reader) => {
                if bytes.is_empty() {
                    return Err(PerfError::Peer(format!("WebSocket {id} was closed")));
                }
                reader.push(bytes);
                while let Some(frame) = reader
                    .next()
                    .map_err(|error| PerfError::Peer(format!("WebSocket {id}: {error}")))?
                {
                    if frame.opcode == frame::BINARY {
                        let message = reader.payload(&frame);
                        book(&mut stream.account, heard, stamps, id, message, stamp, open);
                    }
                }
            }
        }
        Ok(())
    }

    /// What was heard since this was last asked; the books of packets go on, and are told as they
    /// stand.
    pub(crate) fn interval(&mut self) -> Result<Heard> {
        self.drain()?;
        let mut told = self.heard.clone();
        for stream in &mut self.streams {
            let (tally, _) = stream.account.result();
            told.tally.add(&tally);
            stream.account.take_lateness(|late| told.lateness.saturating_record(late));
        }
        for times in [&mut self.heard.echo, &mut self.heard.generator_late] {
            times.reset();
        }
        Ok(told)
    }

    /// Closes the books of the window; the sockets stay open.
    pub(crate) fn finish(&mut self) -> Result<Heard> {
        self.drain()?;
        for stream in &self.streams {
            let (tally, faults) = stream.account.result();
            self.heard.starved += usize::from(tally.sent > 0 && tally.returned == 0);
            self.heard.tally.add(&tally);
            self.heard.faults.add(faults);
            let mut own: Vec<u64> = stream.account.lateness().collect();
            for late in &own {
                self.heard.lateness.saturating_record(*late);
            }
            own.sort_unstable();
            let p99 = own.get(own.len() * 99 / 100).copied().unwrap_or(0);
            self.heard.worst_late_ns = self.heard.worst_late_ns.max(p99);
        }
        Ok(self.heard.clone())
    }
}
