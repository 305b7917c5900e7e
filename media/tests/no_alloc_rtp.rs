//! No heap allocation on the way of a packet: read, placed, reordered, through the ring, numbered,
//! reported, digits in and out.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use media::dtmf::{self, Tick};
use media::ring::{FrameMeta, frame_ring};
use media::rtcp::{COMPOUND_BYTES_MAX, Ntp, Session, SessionInput};
use media::rtp::{Frame, HEADER_BYTES, Packet, Received, Receiver, Reorder, Sender};
use media::time::MonoTime;

thread_local! {
    /// Calls for memory on this thread.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: hands every call to the system's allocator; the count has no destructor and needs no
// memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        // SAFETY: the caller's promises are those the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Ten minutes of two streams against each other, with every fifth packet swapped with the next,
/// every 37th lost and digits now and then, ask the heap for nothing.
#[test]
fn ten_minutes_ask_for_no_memory() {
    let ptime = Duration::from_millis(20);
    let mut now = MonoTime::ZERO;
    let mut sender = Sender::new(1, u16::MAX - 10, u32::MAX - 1000);
    let mut receiver = Receiver::new(8000);
    receiver.set_event_pt(Some(101));
    let mut reorder = Reorder::new(4, 160, ptime);
    let (mut producer, mut consumer) = frame_ring(10, 160);
    let mut session = Session::new(now, 1, "name", 1);
    let mut peer = Session::new(now, 1, "peer", 2);
    let mut digits_out = dtmf::Sender::new(8000, 20);
    let mut digits_in = dtmf::Receiver::new(8000);
    let mut packets = [[0; HEADER_BYTES + 160]; 2];
    let mut report = [0; COMPOUND_BYTES_MAX];
    let (mut frames, mut pressed, mut reports) = (0, 0, 0);

    let before = CALLS.get();
    for n in 0..30_000_u32 {
        now += ptime;
        if n % 1000 == 0 {
            digits_out.queue("12#", None, None).unwrap();
        }
        let bytes = &mut packets[n as usize % 2];
        let (header, payload) = bytes.split_first_chunk_mut().unwrap();
        let len = match digits_out.tick(sender.ts()) {
            Tick::Event(event) => {
                sender.hold(160);
                sender.write_event(header, 101, event.marker, event.ts, 4);
                payload[..4].copy_from_slice(&event.payload);
                4
            }
            _ => {
                sender.write(now, header, 0, 160, 160);
                160
            }
        };
        let order: &[usize] = match n % 5 {
            3 if len == 160 => &[],
            4 => &[n as usize % 2, (n as usize + 1) % 2],
            _ => &[n as usize % 2],
        };
        for &index in order.iter().filter(|_| n % 37 != 0) {
            let packet = Packet::parse(&packets[index]).unwrap();
            let (Received::Accept(arrival) | Received::Late(arrival)) =
                receiver.receive(now, &packet)
            else {
                continue;
            };
            let seq = arrival.ext_seq;
            let mut sink = |frame: Frame<'_>| {
                let meta = FrameMeta { seq: frame.ext_seq, ..FrameMeta::default() };
                frames += u32::from(producer.push(meta, frame.payload));
            };
            if packet.header.pt == 101 {
                digits_in.receive(now, &packet.header, packet.payload).unwrap();
                reorder.pass_over(now, seq, &mut sink);
            } else {
                let payload = packet.payload;
                let frame = Frame { ext_seq: seq, ext_ts: arrival.ext_ts, marker: false, payload };
                reorder.push(now, frame, &mut sink);
            }
            reorder.poll(now, &mut sink);
        }
        while let Some(frame) = consumer.peek() {
            assert!(frame.payload().len() == 160);
            frame.consume();
        }
        pressed += u32::from(digits_in.poll(now).is_some());
        let input = SessionInput {
            ntp: Ntp::from_unix(now.since(MonoTime::ZERO)),
            sender: &sender,
            clock_hz: 8000,
            receiver: &mut receiver,
        };
        if let Some(len) = session.poll(now, input, &mut report).unwrap() {
            peer.handle(now, Some(1), &report[..len]).unwrap();
            reports += 1;
        }
    }
    assert_eq!(CALLS.get() - before, 0);
    // The loop did what it says.
    assert!(frames > 25_000 && pressed == 90 && reports > 100, "{frames} {pressed} {reports}");
    assert!(reorder.counters().held > 1000 && receiver.lost_total() > 100);
}
