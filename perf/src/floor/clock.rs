//! The floor of a playout clock: packets that leave at their times, and nothing else.

use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use super::serve::{STDIN, announce_udp, stdin_ended, watch_stdin};
use crate::error::Result;
use crate::rtp::{self, PCMU};
use crate::sys::clock;
use crate::sys::poll::Poll;
use crate::sys::timer::Timer;

/// From one packet of a call to the next, in nanoseconds.
const PERIOD_NS: u64 = 20_000_000;

/// Bytes of audio in a packet of PCMU.
const FRAME_BYTES: usize = 160;

/// The first byte of what it says, which makes it anything but silence.
const SOUND: u8 = 0x20;

/// Token of the timer.
const TIMER: u64 = STDIN - 2;

/// A packet of each call every 20 ms, the calls spread evenly, at what one timer says. What the
/// calls send is read and forgotten.
pub(super) fn run(calls: &[UdpSocket]) -> Result<()> {
    let mut poll = Poll::new()?;
    let timer = Timer::new()?;
    for (token, call) in (0u64..).zip(calls) {
        poll.add(call.as_raw_fd(), token)?;
    }
    poll.add(timer.as_raw_fd(), TIMER)?;
    watch_stdin(&poll)?;
    announce_udp(calls)?;
    let epoch_ns = clock::mono_ns() + PERIOD_NS;
    let count = calls.len().max(1) as u64;
    let due_ns = |slot: u64| epoch_ns + slot * PERIOD_NS / count;
    let (mut slot, mut ready, mut buffer) = (0u64, Vec::new(), [0; 2048]);
    let mut packet = [0xFF; rtp::HEADER_BYTES + FRAME_BYTES];
    packet[rtp::HEADER_BYTES] = SOUND;
    timer.set(due_ns(slot))?;
    loop {
        poll.wait_into(None, &mut ready)?;
        for event in &ready {
            if event.token == STDIN && stdin_ended() {
                return Ok(());
            }
            if let Some(call) = calls.get(event.token as usize) {
                // A peer that is gone answers with an ICMP error, which is of no interest.
                let _ = call.recv(&mut buffer);
            }
        }
        if clock::mono_ns() < due_ns(slot) {
            continue;
        }
        while clock::mono_ns() >= due_ns(slot) {
            let (index, id) = (slot / count, slot % count);
            let timestamp = (index as u32).wrapping_mul(FRAME_BYTES as u32);
            let head = rtp::header(PCMU, index == 0, index as u16, timestamp, id as u32 + 1);
            if let (Some((header, _)), Some(call)) =
                (packet.split_first_chunk_mut(), calls.get(id as usize))
            {
                *header = head;
                let _ = call.send(&packet);
            }
            slot += 1;
        }
        timer.set(due_ns(slot))?;
    }
}
