//! A listener at the end of a simulated network: a jitter buffer that plays a tone.
#![allow(dead_code, unreachable_pub, reason = "each user takes a part")]

use std::time::Duration;

use media::blocks::BlockPool;
use media::jitter::{
    Content, Incoming, JitterBuffer, JitterConfig, JitterCounters, JitterSnapshot,
};
use media::time::MonoTime;

use super::network::{Network, Path};

/// Length of a pull.
pub const PULL: Duration = Duration::from_millis(20);
/// Samples after which the tone begins anew: 11 periods of 440 Hz at 8 kHz.
const TONE_SAMPLES: usize = 200;
/// Where media time begins.
const START_TS: u64 = 1 << 32;
const START_SEQ: u64 = 1 << 16;

/// What a call was like.
#[derive(Debug, Default)]
pub struct Listened {
    pub counters: JitterCounters,
    /// From when a sound was said to when it was heard, less what the network takes at least, of
    /// each pull that began with sound that came; in milliseconds.
    pub delays_ms: Vec<f32>,
    /// The longest that a packet waited.
    pub waited_max: Duration,
    /// The most sound that waited.
    pub depth_max: Duration,
    /// Largest second difference of what was heard.
    pub bend_max: i32,
    pub pulls: u64,
    /// Sums over all pulls.
    pub played: u64,
    pub concealed: u64,
    pub comfort: u64,
    pub last: JitterSnapshot,
    pub lost: u64,
    pub copies: u64,
    /// Packets that came.
    pub came: u64,
    /// Numbers of the first and the last packet that came.
    pub numbers: (u64, u64),
    /// Packets that wait at the end.
    pub waiting: u64,
}

/// The tone: amplitude 8,000 at 440 Hz.
pub fn tone() -> Vec<i16> {
    let turn = std::f64::consts::TAU * 440.0 / 8_000.0;
    (0..TONE_SAMPLES).map(|n| ((n as f64 * turn).sin() * 8_000.0).round() as i16).collect()
}

/// The tone's own second difference.
pub fn tone_bend() -> i32 {
    let tone: Vec<i16> = tone().iter().chain(&tone()).copied().collect();
    tone.windows(3).map(bend).max().unwrap()
}

fn bend(w: &[i16]) -> i32 {
    (i32::from(w[0]) - 2 * i32::from(w[1]) + i32::from(w[2])).abs()
}

/// Listens for `length`.
pub fn listen(path: Path, seed: u64, length: Duration) -> Listened {
    let mut network = Network::new(path, seed);
    let mut blocks = BlockPool::new(1_024);
    let mut buffer = JitterBuffer::new(JitterConfig::new(8_000, 8_000));
    let tone = tone();
    let units = (path.ptime.as_millis() * 8) as u64;
    let mut listened = Listened { numbers: (u64::MAX, 0), ..Listened::default() };
    // Pulls stand at no whole number of packets from the sender's.
    let mut now = MonoTime::from_nanos(7_300_000);
    let end = now + length;
    let mut out = [0_i16; 162];
    while now < end {
        while let Some(arrival) = network.arrives(now) {
            let number = arrival.number;
            listened.came += 1;
            listened.numbers.0 = listened.numbers.0.min(number);
            listened.numbers.1 = listened.numbers.1.max(number);
            let packet = Incoming {
                ext_seq: START_SEQ + number,
                ext_ts: START_TS + number * units,
                units: units as u32,
                content: Content::Audio(0),
                splice: false,
                payload: &number.to_be_bytes(),
            };
            buffer.put(arrival.at, &mut blocks, packet);
        }
        out.copy_within(160.., 0);
        let decode = |_: u8, payload: &[u8], out: &mut [i16]| {
            let number = u64::from_be_bytes(payload.try_into().unwrap());
            for n in 0..units {
                out[n as usize] = tone[((number * units + n) % TONE_SAMPLES as u64) as usize];
            }
            units as usize
        };
        let pulled = buffer.pull(now, &mut blocks, &mut out[2..], decode);
        listened.bend_max = out.windows(3).map(bend).max().unwrap().max(listened.bend_max);
        listened.played += pulled.played as u64;
        listened.concealed += pulled.concealed as u64;
        listened.comfort += pulled.comfort as u64;
        listened.pulls += 1;
        if let Some(ts) = pulled.ext_ts {
            let said = network.sent_at(0).as_nanos() as f64 / 1e6
                + (ts - START_TS) as f64 / 8.0 / (1.0 + path.skew_ppm / 1e6);
            listened.delays_ms.push((now.as_nanos() as f64 / 1e6 - said - 40.0) as f32);
        }
        now += PULL;
    }
    let snapshot = buffer.snapshot(now);
    listened.counters = snapshot.counters;
    listened.waited_max = snapshot.waited_max;
    listened.depth_max = snapshot.depth_max;
    listened.waiting = buffer.waiting() as u64;
    listened.last = snapshot;
    (listened.lost, listened.copies) = (network.lost, network.copies);
    listened
}
