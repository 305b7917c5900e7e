//! What is done with the sound of one frame of 20 ms where it does not pass as it came: queued,
//! put in order behind a jitter buffer, concealed, mixed, listened to.

use std::f64::consts::TAU;
use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use media::blocks::BlockPool;
use media::codec::AudioFormat;
use media::conceal::Concealer;
use media::dtmf::inband::Inband;
use media::jitter::{Content, Incoming, JitterBuffer, JitterConfig};
use media::mix;
use media::playout::{Playout, PlayoutConfig};
use media::time::MonoTime;
use media::vad::Vad;

const RATE_HZ: u32 = 8_000;
const PTIME: Duration = Duration::from_millis(20);
const SAMPLES: usize = 160;
/// Blocks of the pool: more than a second of sound.
const BLOCKS: usize = 1_000;

fn tone(hz: f64) -> [i16; SAMPLES] {
    let sample = |n: usize| (n as f64 * TAU * hz / f64::from(RATE_HZ)).sin() * 8_000.0;
    std::array::from_fn(|n| sample(n) as i16)
}

fn queues(c: &mut Criterion) {
    let (mut pool, sound) = (BlockPool::new(BLOCKS), [0x5A_u8; SAMPLES]);
    let mut playout = Playout::new(PlayoutConfig::new(AudioFormat::PCMU, 20, 8_000));
    let (mut now, mut frame) = (MonoTime::ZERO, [0; SAMPLES]);
    c.bench_function("playout/push+pop", |b| {
        b.iter(|| {
            now += PTIME;
            let _ = black_box(playout.push(now, &mut pool, black_box(&sound)));
            black_box(playout.pop(now, &mut pool, &mut frame))
        });
    });
    let mut jitter = JitterBuffer::new(JitterConfig::new(RATE_HZ, RATE_HZ));
    let (mut number, mut out) = (0u64, [0i16; SAMPLES]);
    // A decoder that costs nothing: what G.711 costs is measured by itself.
    let decode = |_: u8, payload: &[u8], out: &mut [i16]| {
        let samples = payload.len().min(out.len());
        out.iter_mut().zip(payload).for_each(|(to, code)| *to = i16::from(*code));
        samples
    };
    c.bench_function("jitter/put+pull", |b| {
        b.iter(|| {
            now += PTIME;
            number += 1;
            let packet = Incoming {
                ext_seq: number,
                ext_ts: number * SAMPLES as u64,
                units: SAMPLES as u32,
                content: Content::Audio(0),
                splice: false,
                payload: black_box(&sound),
            };
            black_box(jitter.put(now, &mut pool, packet));
            black_box(jitter.pull(now, &mut pool, &mut out, decode))
        });
    });
}

fn sounds(c: &mut Criterion) {
    let said = tone(200.0);
    let (mut concealer, mut out) = (Concealer::new(RATE_HZ), [0i16; SAMPLES]);
    c.bench_function("conceal/remember", |b| b.iter(|| concealer.remember(black_box(&said))));
    c.bench_function("conceal/a frame that is lost", |b| {
        b.iter(|| {
            // The period is looked for once a gap, which each of these begins.
            concealer.reset();
            concealer.remember(black_box(&said));
            black_box(concealer.conceal(&mut out))
        });
    });
    let tones = [tone(300.0), tone(500.0), tone(700.0)];
    let parts: [&[i16]; 3] = tones.each_ref().map(|tone| tone.as_slice());
    c.bench_function("mix/three who talk", |b| {
        b.iter(|| {
            for place in 0..parts.len() {
                mix::minus(black_box(&parts), place, &mut out);
                black_box(&out);
            }
        });
    });
    let mut vad = Vad::new(RATE_HZ);
    c.bench_function("vad/push", |b| {
        b.iter(|| {
            vad.push(black_box(&said));
            black_box(vad.poll())
        });
    });
    let mut digits = Inband::new();
    c.bench_function("dtmf/listen for tones", |b| {
        b.iter(|| {
            digits.push(black_box(&said));
            black_box(digits.poll())
        });
    });
}

criterion_group!(benches, queues, sounds);
criterion_main!(benches);
