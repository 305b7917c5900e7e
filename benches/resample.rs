//! The resampler on each path of this machine, one 20 ms frame; and whole conversions.
#![allow(missing_docs, clippy::unwrap_used, reason = "benchmark")]

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use media::codec::{AudioFormat, simd};
use media::convert::Converter;
use media::resample::Resampler;
use std::hint::black_box;

fn tone(samples: usize) -> Vec<i16> {
    (0..samples).map(|i| (16000.0 * (i as f64 * 0.37).sin()) as i16).collect()
}

fn resample(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("resample");
    for (from_hz, to_hz) in [
        (8000, 16000),
        (16000, 8000),
        (24000, 8000),
        (8000, 24000),
        (16000, 24000),
        (24000, 16000),
        (48000, 8000),
        (8000, 48000),
    ] {
        let input = tone(from_hz as usize / 50);
        for path in simd::available() {
            let mut resampler = Resampler::with_path(path, from_hz, to_hz).unwrap();
            let mut out = vec![0; resampler.max_output(input.len())];
            group.bench_function(BenchmarkId::new(format!("{from_hz}-{to_hz}"), path.name), |b| {
                b.iter(|| resampler.process(black_box(&input), &mut out));
            });
        }
    }
    let input = tone(882);
    let mut resampler = Resampler::new(44100, 8000).unwrap();
    let mut out = vec![0; resampler.max_output(input.len())];
    group.bench_function("44100-8000", |b| {
        b.iter(|| resampler.process(black_box(&input), &mut out));
    });
    group.finish();
}

fn convert(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("convert");
    for (from, to) in [
        (AudioFormat::PCMU, AudioFormat::PCMA),
        (AudioFormat::PCMU, AudioFormat::l16le(8000)),
        (AudioFormat::PCMU, AudioFormat::l16le(16000)),
        (AudioFormat::l16le(16000), AudioFormat::PCMU),
        (AudioFormat::PCMU, AudioFormat::l16le(24000)),
        (AudioFormat::l16le(24000), AudioFormat::PCMU),
        (AudioFormat::G722, AudioFormat::l16le(16000)),
        (AudioFormat::l16le(16000), AudioFormat::G722),
    ] {
        let mut converter = Converter::new(from, to);
        let input: Vec<u8> = (0..from.bytes(20)).map(|i| (i * 37) as u8).collect();
        let mut out = vec![0; converter.max_output(input.len())];
        let name = format!("{:?}{}-{:?}{}", from.codec, from.rate_hz, to.codec, to.rate_hz);
        group.bench_function(name, |b| b.iter(|| converter.convert(black_box(&input), &mut out)));
    }
    group.finish();
}

criterion_group!(benches, resample, convert);
criterion_main!(benches);
