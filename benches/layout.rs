//! What it costs that the state of a call is seldom in the cache when its next packet comes: the
//! same work for one call, whose state stays there, and for many in turns, in an order that no
//! prefetcher guesses. The difference is what a better layout could win at most.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use media::blocks::BlockPool;
use media::codec::{AudioFormat, opus};
use media::leg::{Leg, LegConfig, StreamStart};
use media::playout::{Playout, PlayoutConfig};
use media::rtp::{HEADER_BYTES, Sender};
use media::time::MonoTime;

const PTIME: Duration = Duration::from_millis(20);
const PAYLOAD_BYTES: usize = 160;
/// Calls whose state is larger than the caches of a core, whatever machine it is.
const MANY: usize = 16_384;
/// A step through the calls that meets each of them once: it has no factor with [`MANY`].
const STRIDE: usize = 6_151;

/// A call: its leg, what its peer sends, and sound of its agent that waits.
struct Call {
    leg: Leg,
    peer: Sender,
    playout: Playout,
    now: MonoTime,
}

impl Call {
    fn new(pool: &mut BlockPool, number: usize) -> Self {
        let config = LegConfig {
            audio: AudioFormat::PCMU,
            pt: 0,
            receive_pt: 0,
            dtmf_pt: Some(101),
            receive_dtmf_pt: Some(101),
            cn_pt: None,
            ptime_ms: 20,
            opus: opus::Settings::default(),
        };
        let start = StreamStart { ssrc: number as u32, seq: 0, ts: 0, seed: number as u64 };
        let mut playout = Playout::new(PlayoutConfig::new(AudioFormat::PCMU, 20, 8_000));
        let _ = playout.push(MonoTime::ZERO, pool, &[0x5A; PAYLOAD_BYTES]);
        Self {
            leg: Leg::new(MonoTime::ZERO, config, start),
            peer: Sender::new(1, 0, 0),
            playout,
            now: MonoTime::ZERO,
        }
    }

    /// A packet of the peer is heard, and one of the agent's sound goes out.
    fn turn(&mut self, pool: &mut BlockPool, packet: &mut [u8; HEADER_BYTES + PAYLOAD_BYTES]) {
        self.now += PTIME;
        let now = self.now;
        let Some(header) = packet.first_chunk_mut() else { return };
        self.peer.write(now, header, 0, PAYLOAD_BYTES, PAYLOAD_BYTES as u32);
        black_box(self.leg.receive(now, black_box(packet)));
        let Some((header, payload)) = packet.split_first_chunk_mut::<HEADER_BYTES>() else {
            return;
        };
        black_box(self.playout.pop(now, pool, payload));
        let _ = black_box(self.playout.push(now, pool, payload));
        self.leg.write_audio(now, header, payload);
    }
}

fn layout(c: &mut Criterion) {
    let mut packet = [0; HEADER_BYTES + PAYLOAD_BYTES];
    for (name, count) in [("one call", 1), ("16,384 calls in turns", MANY)] {
        let mut pool = BlockPool::new(4 * count.max(64));
        let mut calls: Vec<Call> = (0..count).map(|number| Call::new(&mut pool, number)).collect();
        let mut next = 0;
        c.bench_function(&format!("layout/{name}"), |b| {
            b.iter(|| {
                next = (next + STRIDE) % count;
                if let Some(call) = calls.get_mut(next) {
                    call.turn(&mut pool, &mut packet);
                }
            });
        });
    }
}

criterion_group!(benches, layout);
criterion_main!(benches);
