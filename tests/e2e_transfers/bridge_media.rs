//! Two RTP legs joined by a worker: what each hears of the other, packet by packet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::agent::{CallState, EndedBy};
use media::codec::AudioFormat;
use media::leg::LegConfig;
use media::srtp::{Inbound, InboundStart, MasterKey, SrtpKeys, Suite};
use support::ear::Rtp;
use support::phone::packet;
use support::{until, wav};
use talkpath::calls::cause::Cause;
use talkpath::calls::digits::{DigitsBy, DtmfMode};
use talkpath::telemetry::WorkerMetrics;
use talkpath::workers::command::{
    AgentLink, CallKey, Command, EVENTS_MAX, Event, EventKind, LegFormat, LegLink, MediaReport,
    RtpSockets, Steer,
};
use talkpath::workers::line::PeerLink;
use talkpath::workers::{Care, WorkerHandle};
use tokio::sync::mpsc;

/// How long something may take on a busy machine.
const SOON: Duration = Duration::from_secs(10);
const CALL: CallKey = CallKey(1);
const DTMF_PT: u8 = 101;

/// A phone's sockets, and where the worker listens for it.
struct Party {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    worker: SocketAddr,
    /// The worker's own socket, to see what it has not read yet.
    ours: UdpSocket,
    format: LegFormat,
    /// Number of the next packet; its time is 160 times as much.
    next: Cell<u32>,
}

impl Party {
    /// A phone that speaks `audio` as `pt`, and the sockets of its leg in the worker.
    fn new(audio: AudioFormat, pt: u8, dtmf_pt: Option<u8>) -> (Self, RtpSockets) {
        let socket = || {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            socket
        };
        let ours = RtpSockets { rtp: socket(), rtcp: socket() };
        ours.rtp.set_nonblocking(true).unwrap();
        ours.rtcp.set_nonblocking(true).unwrap();
        let (rtp, rtcp) = (socket(), socket());
        let format = LegFormat {
            remote: rtp.local_addr().unwrap(),
            remote_rtcp: rtcp.local_addr().unwrap(),
            signalling: Ipv4Addr::LOCALHOST.into(),
            media: LegConfig {
                audio,
                pt,
                receive_pt: pt,
                dtmf_pt,
                receive_dtmf_pt: dtmf_pt,
                cn_pt: None,
                ptime_ms: 20,
                opus: Default::default(),
            },
            send: true,
            receive: true,
            rtcp_mux: false,
            xr: false,
            srtp: None,
            // Where there are no events, keys are told by signalling.
            digits: DigitsBy::choose(DtmfMode::Auto, dtmf_pt.is_some(), true),
        };
        let worker = ours.rtp.local_addr().unwrap();
        let read = ours.rtp.try_clone().unwrap();
        // The sequence number wraps around soon.
        (Self { rtp, rtcp, worker, ours: read, format, next: Cell::new(65_530) }, ours)
    }

    /// Sends the packet `ahead` of the next one; its time is that of `at`.
    fn send(&self, pt: u8, ahead: u32, at: u32, payload: &[u8]) {
        let next = self.next.get();
        let (seq, ts) = (next.wrapping_add(ahead) as u16, next.wrapping_add(at).wrapping_mul(160));
        self.rtp.send_to(&packet(pt, seq, ts, payload), self.worker).unwrap();
    }

    /// Sends the next 20 ms of audio.
    fn say(&self, payload: &[u8]) {
        self.send(self.format.media.pt, 0, 0, payload);
        self.next.set(self.next.get() + 1);
    }

    /// The next packet.
    #[track_caller]
    fn hear(&self) -> Rtp {
        let mut buffer = [0; 2048];
        until(SOON, "a packet", || {
            let length = self.rtp.recv(&mut buffer).ok()?;
            Some(Rtp::parse(Instant::now(), &buffer[..length]))
        })
    }

    /// Waits until the worker has read what was sent.
    #[track_caller]
    fn wait_read(&self) {
        let read = || self.ours.peek(&mut [0; 2048]).is_err().then_some(());
        until(SOON, "the worker to read", read);
    }

    /// Fails if anything but `expected` packets waits.
    fn nothing_waits(&self) {
        self.rtp.set_nonblocking(true).unwrap();
        assert!(self.rtp.recv(&mut [0; 2048]).is_err(), "a packet that should not be there");
        self.rtp.set_nonblocking(false).unwrap();
    }
}

/// A worker with one call that joins two phones.
struct Bridge {
    worker: WorkerHandle,
    events: mpsc::Receiver<Event>,
    caller: Party,
    callee: Party,
}

impl Bridge {
    fn new(caller: (AudioFormat, u8), callee: (AudioFormat, u8), callee_dtmf: Option<u8>) -> Self {
        Self::with(caller, callee, callee_dtmf, |_| {})
    }

    /// The same, with more settled with the callee.
    fn with(
        caller: (AudioFormat, u8),
        callee: (AudioFormat, u8),
        callee_dtmf: Option<u8>,
        settle: impl FnOnce(&mut LegFormat),
    ) -> Self {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let metrics = Arc::new(WorkerMetrics::default());
        let worker = WorkerHandle::start(0, metrics, events, Care::default()).unwrap();
        let (caller, sockets) = Party::new(caller.0, caller.1, Some(DTMF_PT));
        let (mut callee, leg) = Party::new(callee.0, callee.1, callee_dtmf);
        settle(&mut callee.format);
        worker.send(Command::Open {
            call: CALL,
            peer: PeerLink::Rtp { sockets, format: Some(caller.format.clone()) },
        });
        let link = LegLink { sockets: leg, format: Some(callee.format.clone()) };
        worker.send(Command::Attach { call: CALL, link: AgentLink::Leg(Box::new(link)) });
        worker.send(Command::State { call: CALL, state: CallState::Answered });
        let bridge = Self { worker, events: receiver, caller, callee };
        bridge.settle();
        bridge
    }

    /// Sends both ways until both are heard, so that sockets are latched and the call is up.
    fn settle(&self) {
        let (caller, callee) = (&self.caller, &self.callee);
        let mut heard = [false; 2];
        until(SOON, "both ways", || {
            let sound = vec![0xd5; 160];
            caller.say(&sound);
            callee.say(&sound);
            for (heard, party) in heard.iter_mut().zip([callee, caller]) {
                *heard |= party.rtp.recv(&mut [0; 2048]).is_ok();
            }
            (heard == [true; 2]).then_some(())
        });
        for party in [callee, caller] {
            while party.rtp.recv(&mut [0; 2048]).is_ok() {}
        }
    }

    fn close(mut self) -> MediaReport {
        let (cause, by) = (Cause::Normal, EndedBy::Caller);
        self.worker.send(Command::Close { call: CALL, cause, by });
        until(SOON, "the report", || match self.events.try_recv().ok()?.kind {
            EventKind::Closed(report) => Some(*report),
            _ => None,
        })
    }
}

/// Sends `codes` and returns what the other heard, packet by packet.
fn talk(from: &Party, to: &Party, codes: &[u8]) -> Vec<Rtp> {
    let mut heard = Vec::new();
    for payload in codes.chunks(160) {
        from.say(payload);
        heard.push(to.hear());
    }
    heard
}

fn assert_one_stream(packets: &[Rtp], pt: u8) {
    for pair in packets.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
        assert_eq!(pair[1].ts, pair[0].ts.wrapping_add(160));
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
    }
    assert!(packets.iter().all(|packet| packet.pt == pt));
}

/// The same codec on both sides: every payload arrives untouched, at once, under our own numbers,
/// and both legs are in the report.
#[test]
fn the_same_codec_passes_untouched() {
    let mut noise = 1_u32;
    let mut codes = || -> Vec<u8> {
        let mut next = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        };
        (0..8_000).map(|_| next()).collect()
    };
    let bridge = Bridge::new((AudioFormat::PCMU, 0), (AudioFormat::PCMU, 96), None);
    let (caller, callee) = (&bridge.caller, &bridge.callee);
    for (from, to) in [(caller, callee), (callee, caller)] {
        let said = codes();
        let heard = talk(from, to, &said);
        let payload: Vec<u8> = heard.iter().flat_map(|packet| packet.payload.clone()).collect();
        assert!(payload == said, "something else is heard");
        assert_one_stream(&heard, to.format.media.pt);
    }
    let report = bridge.close();
    let leg = report.agent_leg.unwrap();
    assert!(report.leg.packets_received >= 50 && leg.packets_received >= 50);
    assert!(report.leg.packets_sent >= 50 && leg.packets_sent >= 50);
}

/// PCMU on one side and PCMA on the other: each hears the tone of the other, to the quantisation
/// step, packet for packet.
#[test]
fn laws_are_transcoded_packet_by_packet() {
    let bridge = Bridge::new((AudioFormat::PCMU, 0), (AudioFormat::PCMA, 8), None);
    let (caller, callee) = (&bridge.caller, &bridge.callee);
    let heard = talk(caller, callee, &wav::to_ulaw(&wav::sine(440.0, 1.0)));
    assert_one_stream(&heard, 8);
    let samples = support::ear::samples(&heard);
    wav::assert_heard(&samples, 440.0, 697.0, 1.0);
    assert!((9_700.0..10_300.0).contains(&wav::amplitude(&samples, 440.0)));
    let heard = talk(callee, caller, &wav::to_alaw(&wav::sine(697.0, 1.0)));
    assert_one_stream(&heard, 0);
    wav::assert_heard(&support::ear::samples(&heard), 697.0, 440.0, 1.0);
    bridge.close();
}

/// What is lost, late or doubled on one side is so on the other: gaps in numbers and time are
/// kept, order is kept, copies are not passed on.
#[test]
fn losses_and_order_are_passed_on() {
    let bridge = Bridge::new((AudioFormat::PCMU, 0), (AudioFormat::PCMU, 0), None);
    let (caller, callee) = (&bridge.caller, &bridge.callee);
    let order = [0_u16, 1, 3, 2, 2, 5, 9, 8, 8, 10];
    for n in order {
        caller.send(0, n.into(), n.into(), &[n as u8; 160]);
    }
    let heard: Vec<Rtp> = [0_u16, 1, 3, 2, 5, 9, 8, 10].iter().map(|_| callee.hear()).collect();
    for (packet, n) in heard.iter().zip([0_u16, 1, 3, 2, 5, 9, 8, 10]) {
        assert_eq!(packet.payload, [n as u8; 160]);
        assert_eq!(packet.seq.wrapping_sub(heard[0].seq), n);
        assert_eq!(packet.ts.wrapping_sub(heard[0].ts), u32::from(n) * 160);
    }
    callee.nothing_waits();
    let report = bridge.close();
    assert_eq!(report.leg.duplicates, 2);
    assert!(report.leg.lost >= 3, "{:?}", report.leg);
}

/// A key that is pressed on one phone arrives at the other as the same event, under the payload
/// type that was settled there; a phone that takes no events misses nothing.
#[test]
fn telephone_events_pass() {
    for callee_dtmf in [Some(110), None] {
        let bridge = Bridge::new((AudioFormat::PCMU, 0), (AudioFormat::PCMU, 0), callee_dtmf);
        let (caller, callee) = (&bridge.caller, &bridge.callee);
        caller.say(&[1; 160]);
        let before = callee.hear();
        for n in 0..4_u16 {
            let end = if n == 3 { 0x80 } else { 0 };
            let [d0, d1] = (160 * (n + 1)).to_be_bytes();
            caller.send(DTMF_PT, n.into(), 0, &[5, end | 10, d0, d1]);
        }
        caller.send(0, 4, 4, &[2; 160]);
        if let Some(pt) = callee_dtmf {
            for n in 0..4_u16 {
                let event = callee.hear();
                assert_eq!((event.pt, event.payload[0]), (pt, 5));
                assert_eq!(event.seq, before.seq.wrapping_add(n + 1));
                assert_eq!(event.ts, before.ts.wrapping_add(160));
            }
        }
        let after = callee.hear();
        assert_eq!(after.payload, [2; 160]);
        let skipped = if callee_dtmf.is_some() { 5 } else { 1 };
        assert_eq!(after.seq, before.seq.wrapping_add(skipped));
        assert_eq!(after.ts, before.ts.wrapping_add(160 + 640));
        bridge.close();
    }
}

/// A leg on hold gets nothing; when it is back, its stream goes on. A leg that settles another
/// codec in mid-call is understood from then on.
#[test]
fn hold_and_change_of_codec() {
    let bridge = Bridge::new((AudioFormat::PCMU, 0), (AudioFormat::PCMU, 0), None);
    let (caller, callee) = (&bridge.caller, &bridge.callee);
    caller.say(&[7; 160]);
    let first = callee.hear();
    let held = LegFormat { send: false, ..callee.format.clone() };
    bridge.worker.send(Command::AgentFormat { call: CALL, format: held });
    // The other way still passes, which shows that the command was carried out after a while.
    until(SOON, "the hold", || {
        caller.say(&[8; 160]);
        callee.rtp.recv(&mut [0; 2048]).is_err().then_some(())
    });
    let media = LegConfig { audio: AudioFormat::PCMA, pt: 8, receive_pt: 8, ..callee.format.media };
    let back = LegFormat { media, ..callee.format.clone() };
    bridge.worker.send(Command::AgentFormat { call: CALL, format: back });
    let heard = until(SOON, "sound after the hold", || {
        caller.say(&wav::to_ulaw(&[1_000; 160]));
        let mut buffer = [0; 2048];
        let length = callee.rtp.recv(&mut buffer).ok()?;
        Some(Rtp::parse(Instant::now(), &buffer[..length]))
    });
    assert_eq!((heard.pt, heard.ssrc), (8, first.ssrc));
    assert!(heard.payload.iter().all(|code| (wav::alaw(*code) - 1_000).abs() < 40));
    bridge.close();
}

/// Who answers may be faster with its sound than with its answer: what came a moment before waits,
/// and is heard in its order; what somebody else sent is not.
#[test]
fn sound_that_overtakes_the_answer_is_heard() {
    let (events, _receiver) = mpsc::channel(EVENTS_MAX);
    let metrics = Arc::new(WorkerMetrics::default());
    let worker = WorkerHandle::start(0, metrics, events, Care::default()).unwrap();
    let (caller, sockets) = Party::new(AudioFormat::PCMU, 0, None);
    let (callee, leg) = Party::new(AudioFormat::PCMU, 0, None);
    worker.send(Command::Open { call: CALL, peer: PeerLink::Rtp { sockets, format: None } });
    let link = LegLink { sockets: leg, format: None };
    worker.send(Command::Attach { call: CALL, link: AgentLink::Leg(Box::new(link)) });
    let (stranger, _) = Party::new(AudioFormat::PCMU, 0, None);
    for party in [&caller, &callee] {
        // The address is the same, but a description that comes wins over it.
        stranger.rtp.send_to(b"not RTP at all", party.worker).unwrap();
        for n in 1..=3 {
            party.say(&[n; 160]);
        }
        party.wait_read();
    }
    worker.send(Command::Format { call: CALL, format: caller.format.clone() });
    worker.send(Command::State { call: CALL, state: CallState::Answered });
    worker.send(Command::AgentFormat { call: CALL, format: callee.format.clone() });
    for n in 1..=3 {
        assert_eq!(caller.hear().payload, [n; 160], "from the callee");
    }
    // The way to the callee was not known yet when the caller's was settled.
    caller.say(&[4; 160]);
    assert_eq!(callee.hear().payload, [4; 160], "from the caller");
}

/// RTCP ends at each leg: each phone gets reports of our own stream to it, about its own stream.
#[test]
fn reports_end_at_each_leg() {
    let bridge = Bridge::new((AudioFormat::PCMU, 0), (AudioFormat::PCMA, 8), None);
    for party in [&bridge.caller, &bridge.callee] {
        let mut buffer = [0; 2048];
        let report = until(SOON, "a report", || {
            let length = party.rtcp.recv(&mut buffer).ok()?;
            Some(buffer[..length].to_vec())
        });
        assert!(matches!(report[1], 200 | 201), "no report: {report:?}");
    }
    bridge.close();
}

/// Comfort noise of a phone passes to one that takes it, under its numbers and with its payload;
/// another misses nothing.
#[test]
fn comfort_noise_passes_to_whoever_takes_it() {
    for takes in [true, false] {
        let bridge = Bridge::new((AudioFormat::PCMU, 0), (AudioFormat::PCMA, 8), None);
        let (caller, callee) = (&bridge.caller, &bridge.callee);
        if takes {
            let media = LegConfig { cn_pt: Some(13), ..callee.format.media };
            let format = LegFormat { media, ..callee.format.clone() };
            bridge.worker.send(Command::AgentFormat { call: CALL, format });
        }
        caller.say(&[1; 160]);
        let before = callee.hear();
        // The command has been carried out once noise passes that was sent after it.
        until(SOON, "the noise, or what follows it", || {
            caller.send(13, 0, 0, &[40, 127]);
            caller.next.set(caller.next.get() + 1);
            caller.say(&[2; 160]);
            let next = callee.hear();
            if next.pt == 13 {
                assert_eq!(next.payload, [40, 127]);
                assert!(takes);
                return Some(());
            }
            assert_eq!((next.pt, next.ssrc), (8, before.ssrc));
            (!takes).then_some(())
        });
        bridge.close();
    }
}

/// Packets that the callee does not get to hear leave no gap in the numbers of what it does hear,
/// and the clock goes on; whatever is lost and late meanwhile, no number comes twice: under SRTP
/// that would give the secret of two packets away, and the second would not even be sent.
#[test]
fn a_pause_leaves_no_gap() {
    let key = |seed: u8| {
        let bytes: Vec<u8> =
            (0..MasterKey::bytes(Suite::AesCm128Sha1Tag80)).map(|n| n as u8 ^ seed).collect();
        MasterKey::new(Suite::AesCm128Sha1Tag80, &bytes).unwrap()
    };
    let keys = SrtpKeys { ours: key(1), theirs: key(2), mki: None };
    let plain = (AudioFormat::PCMU, 0);
    let bridge = Bridge::with(plain, plain, None, |_| {});
    let (caller, callee) = (&bridge.caller, &bridge.callee);
    let secure = LegFormat { srtp: Some(Arc::new(keys)), ..callee.format.clone() };
    bridge.worker.send(Command::AgentFormat { call: CALL, format: secure.clone() });
    let mut inbound = Inbound::new(&key(1), InboundStart::default()).unwrap();
    let mut open = |mut packet: Vec<u8>| {
        let length = inbound.unprotect(&mut packet).ok()?;
        Some(Rtp::parse(Instant::now(), &packet[..length]))
    };
    let mut hear = || {
        let mut buffer = [0; 2048];
        let length = callee.rtp.recv(&mut buffer).ok()?;
        open(buffer[..length].to_vec())
    };
    let mut heard = vec![until(SOON, "the first under a key", || {
        caller.say(&[1; 160]);
        hear()
    })];
    for on in [true, false, true, false] {
        let held = LegFormat { send: !on, ..secure.clone() };
        bridge.worker.send(Command::AgentFormat { call: CALL, format: held });
        if on {
            until(SOON, "the pause", || {
                caller.say(&[2; 160]);
                let next = hear();
                heard.extend(next.clone());
                next.is_none().then_some(())
            });
            // Lost, late and in order, none of it heard.
            for ahead in [3, 1, 4] {
                caller.send(0, ahead, ahead, &[3; 160]);
            }
            caller.next.set(caller.next.get() + 5);
            caller.wait_read();
        } else {
            heard.push(until(SOON, "sound after it", || {
                caller.say(&[4; 160]);
                hear()
            }));
            // Something from the pause, too late.
            caller.send(0, u32::MAX - 6, 0, &[5; 160]);
            caller.say(&[6; 160]);
            until(SOON, "what follows", || {
                heard.push(hear()?);
                let payload = &heard.last()?.payload;
                assert!(payload[0] == 4 || payload[0] == 6, "of the pause: {}", payload[0]);
                (payload[0] == 6).then_some(())
            });
        }
    }
    for pair in heard.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
        assert!((160..1 << 31).contains(&pair[1].ts.wrapping_sub(pair[0].ts)));
    }
    assert!(heard.len() >= 5);
    bridge.close();
}

/// The same the other way: the caller hears nothing of a far end that is muted, and misses nothing.
#[test]
fn a_muted_leg_leaves_no_gap() {
    let bridge = Bridge::new((AudioFormat::PCMU, 0), (AudioFormat::PCMU, 0), None);
    let (caller, callee) = (&bridge.caller, &bridge.callee);
    callee.say(&[1; 160]);
    let before = caller.hear();
    let mute = |on| bridge.worker.send(Command::Steer { call: CALL, steer: Steer::Mute(on) });
    mute(true);
    let mut last = before.clone();
    until(SOON, "silence", || {
        callee.say(&[2; 160]);
        let mut buffer = [0; 2048];
        match caller.rtp.recv(&mut buffer) {
            Ok(length) => {
                last = Rtp::parse(Instant::now(), &buffer[..length]);
                None
            }
            Err(_) => Some(()),
        }
    });
    mute(false);
    let after = until(SOON, "sound", || {
        callee.say(&[3; 160]);
        let mut buffer = [0; 2048];
        let length = caller.rtp.recv(&mut buffer).ok()?;
        Some(Rtp::parse(Instant::now(), &buffer[..length]))
    });
    assert_eq!((after.seq, after.ssrc), (last.seq.wrapping_add(1), before.ssrc));
    assert!(after.marker && after.ts.wrapping_sub(last.ts) >= 320, "time stood still");
    bridge.close();
}

/// A phone that wants other packets gets them, of the same sound, in either direction of length;
/// one that wants the same gets each packet as it comes.
#[test]
fn packets_are_cut_anew() {
    for (ptime_ms, transcodes) in [(30, false), (10, false), (40, true), (20, true)] {
        let callee = if transcodes { (AudioFormat::PCMA, 8) } else { (AudioFormat::PCMU, 0) };
        let bridge = Bridge::with((AudioFormat::PCMU, 0), callee, None, |format| {
            format.media.ptime_ms = ptime_ms;
        });
        let (caller, callee) = (&bridge.caller, &bridge.callee);
        let bytes = ptime_ms as usize * 8;
        let said: Vec<u8> = (0..60_u32 * 160).map(|n| ((n * n) >> 5) as u8).collect();
        let mut heard = Vec::new();
        let mut buffer = [0; 2048];
        callee.rtp.set_nonblocking(true).unwrap();
        // What is left from getting acquainted leaves with the first packet.
        for payload in said.chunks(160) {
            caller.say(payload);
            let wanted = heard.len() + 1;
            if ptime_ms == 20 {
                until(SOON, "the packet at once", || {
                    let length = callee.rtp.recv(&mut buffer).ok()?;
                    heard.push(Rtp::parse(Instant::now(), &buffer[..length]));
                    (heard.len() == wanted).then_some(())
                });
            }
        }
        let whole = said.len() / bytes * bytes;
        until(SOON, "all of it", || {
            if let Ok(length) = callee.rtp.recv(&mut buffer) {
                heard.push(Rtp::parse(Instant::now(), &buffer[..length]));
            }
            let sum: usize = heard.iter().map(|packet| packet.payload.len()).sum();
            (sum >= whole).then_some(())
        });
        for pair in heard.windows(2) {
            assert_eq!(pair[0].payload.len(), bytes, "{ptime_ms} ms");
            assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
            assert_eq!(pair[1].ts, pair[0].ts.wrapping_add(bytes as u32));
        }
        if !transcodes {
            let sound: Vec<u8> = heard.iter().flat_map(|packet| packet.payload.clone()).collect();
            // Before it may be a rest of what was said first.
            let at = sound.windows(400).position(|window| window == &said[..400]).unwrap();
            assert!(at < bytes && said.starts_with(&sound[at..]), "something else is heard");
        }
        bridge.close();
    }
}
