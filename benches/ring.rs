//! The cost of one frame through the ring: on one thread, on overflow, and from one thread to
//! another.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use media::ring::{FrameMeta, frame_ring};

const PAYLOAD_BYTES: usize = 160;
const DEPTH: usize = 10;

fn one_thread(c: &mut Criterion) {
    let payload = [0x55; PAYLOAD_BYTES];
    let (mut producer, mut consumer) = frame_ring(DEPTH, PAYLOAD_BYTES);
    c.bench_function("ring/push+peek+consume", |b| {
        b.iter(|| {
            producer.push(FrameMeta::default(), black_box(&payload));
            if let Some(frame) = consumer.peek() {
                black_box(frame.payload());
                frame.consume();
            }
        });
    });
    c.bench_function("ring/reserve+publish+peek+consume", |b| {
        b.iter(|| {
            if let Some(mut slot) = producer.reserve() {
                black_box(slot.payload_mut());
                slot.publish(FrameMeta::default(), PAYLOAD_BYTES);
            }
            if let Some(frame) = consumer.peek() {
                black_box(frame.payload());
                frame.consume();
            }
        });
    });
    c.bench_function("ring/peek at nothing", |b| {
        b.iter(|| black_box(&mut consumer).peek().is_none())
    });
    c.bench_function("ring/push on overflow", |b| {
        b.iter(|| producer.push(FrameMeta::default(), black_box(&payload)));
    });
}

fn two_threads(c: &mut Criterion) {
    c.bench_function("ring/across threads", |b| {
        b.iter_custom(|frames| {
            let (mut producer, mut consumer) = frame_ring(DEPTH, PAYLOAD_BYTES);
            let start = Instant::now();
            let feeder = thread::spawn(move || {
                let payload = [0x55; PAYLOAD_BYTES];
                for seq in 0..frames {
                    while producer.waiting() >= DEPTH {
                        std::hint::spin_loop();
                    }
                    producer.push(FrameMeta { seq, ..FrameMeta::default() }, &payload);
                }
            });
            let mut got = 0;
            while got < frames {
                match consumer.peek() {
                    Some(frame) => {
                        black_box(frame.payload());
                        frame.consume();
                        got += 1;
                    }
                    None => std::hint::spin_loop(),
                }
            }
            let took = start.elapsed();
            if feeder.join().is_err() { Duration::ZERO } else { took }
        });
    });
}

criterion_group!(benches, one_thread, two_threads);
criterion_main!(benches);
