//! Bodies of fuzz targets: whatever the bytes, nothing panics and what is claimed holds.

use crate::codec::AudioFormat;
use crate::dtmf;
use crate::rtcp::{Compound, Ntp, RtcpPacket, Session, SessionInput};
use crate::rtp::{Frame, HEADER_BYTES, Packet, Received, Receiver, Reorder, Sender, write_header};
use crate::silence::{AgentAt, Conditions, Reason, Soundless, Watch, Way};
use crate::srtp::{Inbound, InboundStart, MasterKey, Mki, Outbound, Suite};
use crate::time::MonoTime;
use std::time::Duration;

/// Reads `data` as a run of packets, each with two bytes of length and milliseconds in front, and
/// lets a receiver and a reorder window place them.
pub fn rtp(data: &[u8]) {
    let mut receiver = Receiver::new(8000);
    receiver.set_event_pt(Some(101));
    let mut reorder = Reorder::new(5, 160, Duration::from_millis(20));
    let mut now = MonoTime::ZERO;
    let (mut newest_seq, mut newest_ts, mut last_out) = (0, 0, None);
    let mut rest = data;
    while let Some((&[len, ms], after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        now += Duration::from_millis(u64::from(ms));
        let mut out = |frame: Frame<'_>| {
            assert!(last_out < Some(frame.ext_seq), "frames come out in order");
            last_out = Some(frame.ext_seq);
        };
        reorder.poll(now, &mut out);
        let Ok(packet) = Packet::parse(bytes) else { continue };
        check_header(bytes, &packet);
        let (Received::Accept(arrival) | Received::Late(arrival)) = receiver.receive(now, &packet)
        else {
            continue;
        };
        let Packet { header, payload, .. } = packet;
        if arrival.ext_seq > newest_seq && header.pt != 101 {
            assert!(arrival.ext_ts >= newest_ts, "media time does not run back");
            newest_ts = arrival.ext_ts;
        }
        newest_seq = newest_seq.max(arrival.ext_seq);
        let marker = header.marker;
        let frame = Frame { ext_seq: arrival.ext_seq, ext_ts: arrival.ext_ts, marker, payload };
        reorder.push(now, frame, &mut out);
        assert!(reorder.deadline().is_none_or(|at| at <= now + Duration::from_millis(20)));
    }
    receiver.report();
    assert!(receiver.lost_total() <= receiver.expected_total());
}

/// Reads `data` as a compound, and lets a session take it in.
pub fn rtcp(data: &[u8]) {
    let mut session = Session::new(MonoTime::ZERO, 1, "name", 0);
    let _ = session.handle(MonoTime::ZERO, None, data);
    let mut out = [0; 1024];
    let input = SessionInput {
        ntp: Ntp::default(),
        sender: &Sender::new(1, 0, 0),
        clock_hz: 8000,
        receiver: &mut Receiver::new(8000),
    };
    let sent = session.poll(MonoTime::ZERO + Duration::from_secs(60), input, &mut out);
    assert!(sent.is_ok_and(|len| len.is_some()), "a report is due after a minute");
    let Ok(compound) = Compound::parse(data) else { return };
    for packet in compound.packets() {
        match packet {
            RtcpPacket::SenderReport(report) => assert!(report.reports.iter().count() <= 31),
            RtcpPacket::ReceiverReport(report) => assert!(report.reports.iter().count() <= 31),
            RtcpPacket::Sdes(sdes) => {
                for chunk in sdes.chunks() {
                    assert!(chunk.cname().is_none_or(|name| name.len() <= 255));
                }
            }
            RtcpPacket::Bye(bye) => assert!(bye.sources().count() <= 31),
            RtcpPacket::ExtendedReport(report) => {
                assert!(report.blocks().count() <= data.len() / 4);
            }
            RtcpPacket::Other { .. } => {}
        }
    }
}

/// Reads `data` as a run of packets: what was protected opens once and only once, and nothing else
/// does.
pub fn srtp(data: &[u8]) {
    let Some((&[suite, with_mki], mut rest)) = data.split_first_chunk() else { return };
    let suite = Suite::ALL[usize::from(suite) % Suite::ALL.len()];
    let Some(key) = MasterKey::new(suite, &[suite as u8; 46][..MasterKey::bytes(suite)]) else {
        return;
    };
    let mki = (with_mki & 1 != 0).then_some(Mki { value: 1, bytes: with_mki >> 1 | 1 });
    let start = InboundStart { mki, rollover: 0 };
    let (Ok(mut out), Ok(mut inn)) = (Outbound::new(&key), Inbound::new(&key, start)) else {
        return;
    };
    let mut buffer = [0; 600];
    while let Some((&[op, len], after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        let mut copy = bytes.to_vec();
        assert!(inn.unprotect(&mut copy).is_err(), "forged");
        assert!(inn.unprotect_rtcp(&mut bytes.to_vec()).is_err(), "a forged report");
        buffer[..bytes.len()].copy_from_slice(bytes);
        let protected = match op & 1 {
            0 => out.protect(&mut buffer, bytes.len()),
            _ => out.protect_rtcp(&mut buffer, bytes.len()),
        };
        let Ok(length) = protected else { continue };
        if mki.is_some() {
            continue;
        }
        let mut packet = buffer[..length].to_vec();
        let mut open = |packet: &mut [u8]| match op & 1 {
            0 => inn.unprotect(packet),
            _ => inn.unprotect_rtcp(packet),
        };
        assert_eq!(open(&mut packet), Ok(bytes.len()), "what was protected opens");
        assert_eq!(&packet[..bytes.len()], bytes);
        assert!(open(&mut buffer[..length].to_vec()).is_err(), "but once");
    }
}

/// Reads `data` as event packets of ten bytes: milliseconds, marker, timestamp, payload.
pub fn dtmf(data: &[u8]) {
    let mut receiver = dtmf::Receiver::new(8000);
    let mut now = MonoTime::ZERO;
    for &[ms, marker, t0, t1, t2, t3, p0, p1, p2, p3] in data.as_chunks().0 {
        now += Duration::from_millis(u64::from(ms));
        let header = crate::rtp::Header {
            marker: marker & 1 != 0,
            pt: 101,
            seq: 0,
            ts: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from(marker >> 7),
        };
        let took = receiver.receive(now, &header, &[p0, p1, p2, p3]);
        assert_eq!(took, Ok(()), "four bytes are an event");
        while receiver.poll(now).is_some() {}
    }
    if let Ok(digits) = std::str::from_utf8(data) {
        let mut sender = dtmf::Sender::new(8000, 20);
        if sender.queue(digits, None, None).is_ok() {
            let ticks = (0..).take_while(|&tick: &u32| sender.tick(tick * 160) != dtmf::Tick::Idle);
            assert_eq!(ticks.count(), digits.chars().count() * 8, "100 ms and 60 ms a digit");
        }
    }
}

/// Listens to `data` as linear samples for digits sent as tones, in frames of changing length.
pub fn inband(data: &[u8]) {
    let mut inband = dtmf::inband::Inband::new();
    let samples: Vec<i16> =
        data.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
    let mut rest = &samples[..];
    let mut heard_ms = 0.0;
    for length in (1..480).step_by(37).cycle() {
        let (frame, later) = rest.split_at(length.min(rest.len()));
        rest = later;
        inband.push(frame);
        if let Some(pressed) = inband.poll() {
            assert!(pressed.duration_ms >= 32, "shorter ones are refused");
            heard_ms += f64::from(pressed.duration_ms);
        }
        if rest.is_empty() {
            break;
        }
    }
    // What is heard of a tone before and after it is less than a window.
    let digits_most = samples.len() as f64 / 8.0 * 2.0 + 40.0;
    assert!(heard_ms <= digits_most, "no more digits than time");
}

/// Decodes `data` as G.722 in one go and in pieces, in the mode that its first byte names, and
/// codes what comes of it again.
pub fn g722(data: &[u8]) {
    use crate::codec::g722::{Decoder, Encoder, Mode};
    let Some((&mode, bytes)) = data.split_first() else { return };
    let mode = [Mode::One, Mode::Two, Mode::Three][usize::from(mode) % 3];
    let mut samples = vec![0; 2 * bytes.len()];
    assert_eq!(Decoder::new(mode).decode(bytes, &mut samples), samples.len());
    let (mut decoder, mut pieces) = (Decoder::new(mode), vec![0; samples.len()]);
    for (bytes, samples) in bytes.chunks(7).zip(pieces.chunks_mut(14)) {
        decoder.decode(bytes, samples);
    }
    assert!(samples == pieces, "a stream is the same in pieces");
    let mut coded = vec![0; bytes.len()];
    assert_eq!(Encoder::new().encode(&samples, &mut coded), coded.len());
    assert!(coded.iter().all(|byte| byte & 63 > 3), "some codes are never sent");
}

/// Reads `data` as pairs of what happens and how long after: beginnings and ends of silence
/// alternate, and no more of it is explained than time has passed.
pub fn silence(data: &[u8]) {
    let mut watch = Watch::new(AudioFormat::PCMU);
    let (mut now, mut answered) = (MonoTime::from_nanos(1), None);
    let mut conditions = Conditions {
        sends: true,
        receives: true,
        held: false,
        hidden: false,
        foreign: 0,
        muted: false,
        agent: AgentAt::Nowhere,
    };
    let mut open: [Option<Reason>; 2] = [None; 2];
    for &[step, tens_ms] in data.as_chunks().0 {
        now += Duration::from_millis(u64::from(tens_ms) * 10);
        let c = &mut conditions;
        match step % 18 {
            0 => {
                watch.answered(now);
                answered.get_or_insert(now);
            }
            1 => watch.heard(now, &[step; 160], false),
            2 => watch.heard(now, data, step > 127),
            3 => watch.heard_event(now),
            4 => watch.heard_nothing(now, Soundless::Comfort),
            5 => watch.heard_nothing(now, Soundless::PayloadType),
            6 => watch.heard_nothing(now, Soundless::NotRtp),
            7 => watch.said(data),
            8 => watch.settled(now, AudioFormat::PCMA),
            9 => watch.settled(now, AudioFormat::l16be(8_000)),
            10 => c.sends ^= true,
            11 => c.receives ^= true,
            12 => c.held ^= true,
            13 => c.hidden ^= true,
            14 => c.foreign += 1,
            15 => c.muted ^= true,
            16 => c.agent = AgentAt::Inside,
            _ => c.agent = AgentAt::Connected { dry_since: (step > 127).then_some(now) },
        }
        for notice in watch.look(now, &conditions).into_iter().flatten() {
            let open = &mut open[usize::from(notice.way == Way::Out)];
            let before = open.take();
            let expected = if notice.silent { None } else { Some(notice.reason) };
            assert_eq!(before, expected, "a beginning after an end, and the other way round");
            *open = notice.silent.then_some(notice.reason);
        }
        for way in Way::ALL {
            let passed = answered.map(|at| now.since(at)).unwrap_or_default();
            assert!(watch.tally(now, way).total <= passed, "no more than has passed");
        }
    }
}

/// A packet with nothing but the fixed header is what the writer writes.
fn check_header(bytes: &[u8], packet: &Packet<'_>) {
    if bytes.first() == Some(&0x80) {
        let mut header = [0; HEADER_BYTES];
        write_header(&mut header, &packet.header);
        assert!(bytes.starts_with(&header), "reader and writer agree");
    }
}
