//! The cost of one packet on its way: read, place, pass the reorder window; number and write.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use media::dtmf;
use media::rtcp::{COMPOUND_BYTES_MAX, Compound, Ntp, Session, SessionInput};
use media::rtp::{Frame, HEADER_BYTES, Packet, Received, Receiver, Reorder, Sender};
use media::time::MonoTime;

const PAYLOAD_BYTES: usize = 160;
const PTIME: Duration = Duration::from_millis(20);

fn receive(c: &mut Criterion) {
    let mut bytes = [0; HEADER_BYTES + PAYLOAD_BYTES];
    let mut sender = Sender::new(1, 0, 0);
    let mut receiver = Receiver::new(8000);
    let mut reorder = Reorder::new(5, PAYLOAD_BYTES, PTIME);
    let mut now = MonoTime::ZERO;
    let mut write = |now: MonoTime, bytes: &mut [u8; HEADER_BYTES + PAYLOAD_BYTES]| {
        if let Some(header) = bytes.first_chunk_mut() {
            sender.write(now, header, 0, PAYLOAD_BYTES, 160);
        }
    };
    c.bench_function("rtp/write", |b| {
        b.iter(|| {
            now += PTIME;
            write(now, black_box(&mut bytes));
        });
    });
    c.bench_function("rtp/parse", |b| {
        b.iter(|| black_box(Packet::parse(black_box(&bytes))).is_ok());
    });
    c.bench_function("rtp/write+parse+receive", |b| {
        b.iter(|| {
            now += PTIME;
            write(now, black_box(&mut bytes));
            Packet::parse(black_box(&bytes)).map(|packet| receiver.receive(now, &packet))
        });
    });
    c.bench_function("rtp/write+parse+receive+reorder", |b| {
        b.iter(|| {
            now += PTIME;
            write(now, black_box(&mut bytes));
            let Ok(packet) = Packet::parse(black_box(&bytes)) else { return };
            let Received::Accept(arrival) = receiver.receive(now, &packet) else { return };
            let frame = Frame {
                ext_seq: arrival.ext_seq,
                ext_ts: arrival.ext_ts,
                marker: packet.header.marker,
                payload: packet.payload,
            };
            reorder.push(now, frame, |frame| {
                black_box(frame);
            });
        });
    });
}

fn control(c: &mut Criterion) {
    let mut sender = Sender::new(1, 0, 0);
    let mut receiver = Receiver::new(8000);
    let mut bytes = [0; HEADER_BYTES];
    sender.write(MonoTime::ZERO, &mut bytes, 0, 0, 160);
    if let Ok(packet) = Packet::parse(&bytes) {
        receiver.receive(MonoTime::ZERO, &packet);
    }
    let mut session = Session::new(MonoTime::ZERO, 1, "k3jd82hf@talkpath", 1);
    let mut out = [0; COMPOUND_BYTES_MAX];
    let mut now = MonoTime::ZERO;
    let mut len = 0;
    c.bench_function("rtcp/report", |b| {
        b.iter(|| {
            now += Duration::from_secs(10);
            let input = SessionInput {
                ntp: Ntp::default(),
                sender: &sender,
                clock_hz: 8000,
                receiver: &mut receiver,
            };
            len = session.poll(now, input, &mut out).ok().flatten().unwrap_or(len);
        });
    });
    c.bench_function("rtcp/parse", |b| {
        b.iter(|| {
            let compound = Compound::parse(black_box(out.get(..len).unwrap_or_default()));
            compound.map(|compound| compound.packets().count())
        });
    });
    let mut idle = dtmf::Sender::new(8000, 20);
    c.bench_function("dtmf/idle tick", |b| b.iter(|| black_box(&mut idle).tick(black_box(0))));
}

criterion_group!(benches, receive, control);
criterion_main!(benches);
