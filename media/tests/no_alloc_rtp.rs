//! No heap allocation on the way of a packet: read, placed, reordered, through the ring, numbered,
//! reported, digits in and out.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

#[path = "support/counting.rs"]
mod counting;

use std::time::Duration;

use counting::allocations;
use media::dtmf::{self, Tick};
use media::ring::{Consumer, FrameMeta, Producer, frame_ring};
use media::rtcp::{COMPOUND_BYTES_MAX, Ntp, Session, SessionInput};
use media::rtp::{Arrival, Frame, HEADER_BYTES, Packet, Received, Receiver, Reorder, Sender};
use media::srtp::{Inbound, InboundStart, MasterKey, OVERHEAD_BYTES_MAX, Outbound, Suite};
use media::time::MonoTime;

const PTIME: Duration = Duration::from_millis(20);

/// A stream that is sent and heard.
struct Bed {
    sender: Sender,
    receiver: Receiver,
    reorder: Reorder,
    producer: Producer,
    consumer: Consumer,
    session: Session,
    peer: Session,
    digits_out: dtmf::Sender,
    digits_in: dtmf::Receiver,
    frames: u32,
    pressed: u32,
    reports: u32,
}

impl Bed {
    fn new() -> Self {
        let (producer, consumer) = frame_ring(10, 160);
        let mut receiver = Receiver::new(8000);
        receiver.set_event_pt(Some(101));
        Self {
            sender: Sender::new(1, u16::MAX - 10, u32::MAX - 1000),
            receiver,
            reorder: Reorder::new(4, 160, PTIME),
            producer,
            consumer,
            session: Session::new(MonoTime::ZERO, 1, "name", 1),
            peer: Session::new(MonoTime::ZERO, 1, "peer", 2),
            digits_out: dtmf::Sender::new(8000, 20),
            digits_in: dtmf::Receiver::new(8000),
            frames: 0,
            pressed: 0,
            reports: 0,
        }
    }

    /// Writes the next packet, audio or event; true if it is audio.
    fn write(&mut self, now: MonoTime, bytes: &mut [u8; HEADER_BYTES + 160]) -> bool {
        let (header, payload) = bytes.split_first_chunk_mut().unwrap();
        if let Tick::Event(event) = self.digits_out.tick(self.sender.ts()) {
            self.sender.hold(160);
            self.sender.write_event(header, 101, event.marker, event.ts, 4);
            payload[..4].copy_from_slice(&event.payload);
            return false;
        }
        self.sender.write(now, header, 0, 160, 160);
        true
    }

    fn hear(&mut self, now: MonoTime, bytes: &[u8]) {
        let packet = Packet::parse(bytes).unwrap();
        let (Received::Accept(arrival) | Received::Late(arrival)) =
            self.receiver.receive(now, &packet)
        else {
            return;
        };
        let mut sink = |frame: Frame<'_>| {
            let meta = FrameMeta { seq: frame.ext_seq, ..FrameMeta::default() };
            self.frames += u32::from(self.producer.push(meta, frame.payload));
        };
        let Arrival { ext_seq, ext_ts, .. } = arrival;
        if packet.header.pt == 101 {
            self.digits_in.receive(now, &packet.header, packet.payload).unwrap();
            self.reorder.pass_over(now, ext_seq, &mut sink);
        } else {
            let frame = Frame { ext_seq, ext_ts, marker: false, payload: packet.payload };
            self.reorder.push(now, frame, &mut sink);
        }
        self.reorder.poll(now, &mut sink);
    }

    fn drain(&mut self, now: MonoTime) {
        while let Some(frame) = self.consumer.peek() {
            assert_eq!(frame.payload().len(), 160);
            frame.consume();
        }
        self.pressed += u32::from(self.digits_in.poll(now).is_some());
        let input = SessionInput {
            ntp: Ntp::from_unix(now.since(MonoTime::ZERO)),
            sender: &self.sender,
            clock_hz: 8000,
            receiver: &mut self.receiver,
        };
        let mut report = [0; COMPOUND_BYTES_MAX];
        if let Some(len) = self.session.poll(now, input, &mut report).unwrap() {
            self.peer.handle(now, Some(1), &report[..len]).unwrap();
            self.reports += 1;
        }
    }
}

/// Ten minutes of a stream, with every fifth packet swapped with the next, every 37th lost and
/// digits now and then, ask the heap for nothing; and the count counts.
#[test]
fn ten_minutes_ask_for_no_memory() {
    let before = allocations();
    let mut bed = Bed::new();
    assert!(allocations() > before);

    let mut now = MonoTime::ZERO;
    let mut packets = [[0; HEADER_BYTES + 160]; 2];
    let before = allocations();
    for n in 0..30_000_usize {
        now += PTIME;
        if n.is_multiple_of(1000) {
            bed.digits_out.queue("12#", None, None).unwrap();
        }
        let is_audio = bed.write(now, &mut packets[n % 2]);
        let order: &[usize] = match n % 5 {
            3 if is_audio => &[],
            4 => &[n % 2, (n + 1) % 2],
            _ => &[n % 2],
        };
        for &index in order.iter().filter(|_| n % 37 != 0) {
            bed.hear(now, &packets[index]);
        }
        bed.drain(now);
    }
    assert_eq!(allocations() - before, 0);
    // The loop did what it says.
    let Bed { frames, pressed, reports, .. } = bed;
    assert!(frames > 25_000 && pressed == 90 && reports > 100, "{frames} {pressed} {reports}");
    assert!(bed.reorder.counters().held > 1000 && bed.receiver.lost_total() > 100);
}

/// Packets and reports are protected, opened, forged and replayed without asking for memory.
#[test]
fn protection_asks_for_no_memory() {
    for suite in Suite::ALL {
        let key = MasterKey::new(suite, &[7; 46][..MasterKey::bytes(suite)]).unwrap();
        let mut out = Outbound::new(&key).unwrap();
        let mut inn = Inbound::new(&key, InboundStart::default()).unwrap();
        let mut sender = Sender::new(1, u16::MAX - 10, 0);
        let mut buffer = [0; HEADER_BYTES + 160 + OVERHEAD_BYTES_MAX];
        let before = allocations();
        for _ in 0..1000 {
            let bytes = HEADER_BYTES + 160;
            sender.write(MonoTime::ZERO, buffer.first_chunk_mut().unwrap(), 0, 160, 160);
            let length = out.protect(&mut buffer, bytes).unwrap();
            let mut forged = buffer;
            forged[20] ^= 1;
            assert!(inn.unprotect(&mut forged[..length]).is_err());
            assert_eq!(inn.unprotect(&mut buffer[..length]), Ok(bytes));
            let length = out.protect_rtcp(&mut buffer, 32).unwrap();
            let mut replayed = buffer;
            assert_eq!(inn.unprotect_rtcp(&mut buffer[..length]), Ok(32));
            assert!(inn.unprotect_rtcp(&mut replayed[..length]).is_err());
        }
        assert_eq!(allocations() - before, 0, "{}", suite.name());
    }
}
