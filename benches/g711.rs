//! G.711 on each path of this machine, one 20 ms frame and one 64 KiB block.
#![allow(missing_docs, reason = "benchmark")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use media::codec::g711::Law;
use media::codec::{l16, simd};
use std::hint::black_box;

fn g711(criterion: &mut Criterion) {
    for samples in [160, 65536] {
        let mut group = criterion.benchmark_group(format!("g711/{samples}"));
        group.throughput(Throughput::Elements(samples as u64));
        let codes: Vec<u8> =
            (0..samples as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 9) as u8).collect();
        let pcm: Vec<u8> =
            codes.iter().flat_map(|code| Law::Mu.sample(*code).to_le_bytes()).collect();
        let (mut pcm_out, mut codes_out) = (vec![0; 2 * samples], vec![0; samples]);
        for path in simd::available() {
            for law in [Law::Mu, Law::A] {
                group.bench_function(BenchmarkId::new(format!("decode {law:?}"), path.name), |b| {
                    b.iter(|| law.decode_le_with(path, black_box(&codes), &mut pcm_out));
                });
                group.bench_function(BenchmarkId::new(format!("encode {law:?}"), path.name), |b| {
                    b.iter(|| law.encode_le_with(path, black_box(&pcm), &mut codes_out));
                });
            }
            group.bench_function(BenchmarkId::new("transcode", path.name), |b| {
                b.iter(|| Law::Mu.transcode_with(path, black_box(&codes), &mut codes_out));
            });
        }
        group.bench_function("swap", |b| b.iter(|| l16::swap(black_box(&pcm), &mut pcm_out)));
        group.finish();
    }
}

criterion_group!(benches, g711);
criterion_main!(benches);
