//! A call that is recorded does not touch the heap for it: placed, converted, and into the ring.
#![allow(clippy::unwrap_used, missing_docs, reason = "test")]

#[path = "../media/tests/support/counting.rs"]
mod counting;

use std::time::Duration;

use counting::allocations;
use media::codec::AudioFormat;
use media::rtp::Frame;
use media::time::MonoTime;
use talkpath::recording::{head, rate_hz};
use talkpath::workers::taps::Said;

/// Ten seconds of both directions, in several formats, with a disk that reads and one that does
/// not.
#[test]
fn recording_a_frame_allocates_nothing() {
    for format in [AudioFormat::PCMU, AudioFormat::PCMA, AudioFormat::l16be(24_000)] {
        for reads in [true, false] {
            let (mut head, mut frames) = head(rate_hz(format), format);
            head.begin(MonoTime::ZERO);
            let payload = vec![0x55; format.bytes(20)];
            let before = allocations();
            for n in 0..500_u32 {
                let now = MonoTime::ZERO + Duration::from_millis(20) * n;
                let ts = n * format.samples(20) as u32;
                let payload = &payload[..];
                let frame = Frame { ext_seq: 0, ext_ts: ts.into(), marker: false, payload };
                head.heard(now, frame);
                head.said(Said { due: now, ts, payload });
                while let Some(frame) = frames.peek().filter(|_| reads) {
                    frame.consume();
                }
            }
            assert_eq!(allocations(), before, "{format:?}, read: {reads}");
        }
    }
}
