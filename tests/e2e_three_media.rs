//! Three who talk on a media thread, whatever they speak: each pair of codecs, packets of other
//! lengths, and loss.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use adapters::agent::{CallState, EndedBy};
use media::codec::AudioFormat;
use media::convert::Converter;
use media::leg::LegConfig;
use support::ear::Rtp;
use support::phone::packet;
use support::{until, wav};
use talkpath::calls::cause::Cause;
use talkpath::calls::digits::DigitsBy;
use talkpath::telemetry::WorkerMetrics;
use talkpath::workers::builtin::{Builtin, Source};
use talkpath::workers::command::{
    AgentLink, CallKey, Command, EVENTS_MAX, Event, EventKind, GuestFrom, LegFormat, LegLink,
    RtpSockets,
};
use talkpath::workers::line::PeerLink;
use talkpath::workers::{Care, WorkerHandle, audio};
use tokio::sync::mpsc;

const SOON: Duration = Duration::from_secs(10);
const CALL: CallKey = CallKey(1);
/// The tones of the caller, the agent and the guest.
const CALLER_HZ: f64 = 600.0;
const AGENT_HZ: u32 = 1000;
const GUEST_HZ: f64 = 1500.0;
/// How long is talked at least and at most, in seconds, and how much of it must be heard: a busy
/// machine holds up who speaks and who mixes.
const TALK_S: f64 = 3.0;
const TALK_MOST_S: f64 = 15.0;
const HEARD_S: f64 = 1.0;
/// How often is looked whether that is so, once all have talked for long enough, in milliseconds.
const LOOK_MS: u32 = 500;
/// What caller and guest hear of each other and the agent.
const BOTH: [[f64; 2]; 2] = [[AGENT_HZ as f64, GUEST_HZ], [AGENT_HZ as f64, CALLER_HZ]];

/// A telephone.
struct Party {
    rtp: UdpSocket,
    worker: SocketAddr,
    format: LegFormat,
    sent: u32,
}

impl Party {
    fn new(audio: AudioFormat, pt: u8, ptime_ms: u32) -> (Self, RtpSockets) {
        let socket = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ours = RtpSockets { rtp: socket(), rtcp: socket() };
        ours.rtp.set_nonblocking(true).unwrap();
        ours.rtcp.set_nonblocking(true).unwrap();
        let (rtp, rtcp) = (socket(), socket());
        rtp.set_nonblocking(true).unwrap();
        let format = LegFormat {
            remote: rtp.local_addr().unwrap(),
            remote_rtcp: rtcp.local_addr().unwrap(),
            signalling: Ipv4Addr::LOCALHOST.into(),
            media: LegConfig {
                audio,
                pt,
                receive_pt: pt,
                dtmf_pt: None,
                receive_dtmf_pt: None,
                cn_pt: None,
                ptime_ms,
                opus: Default::default(),
            },
            send: true,
            receive: true,
            rtcp_mux: false,
            xr: false,
            srtp: None,
            digits: DigitsBy::Nothing,
        };
        let worker = ours.rtp.local_addr().unwrap();
        (Self { rtp, worker, format, sent: 0 }, ours)
    }

    /// Packets of a tone.
    fn tone(&self, hz: f64) -> Vec<Vec<u8>> {
        let LegConfig { audio, ptime_ms, .. } = self.format.media;
        let linear = AudioFormat::l16le(audio.rate_hz);
        let mut converter = Converter::new(linear, audio);
        let samples = wav::sine_at(hz, audio.rate_hz, TALK_S);
        samples
            .chunks_exact(audio.samples(ptime_ms))
            .map(|samples| {
                let bytes: Vec<u8> = samples.iter().flat_map(|it| it.to_le_bytes()).collect();
                let mut out = vec![0; converter.max_output(bytes.len())];
                let length = converter.convert(&bytes, &mut out);
                out.truncate(length);
                out
            })
            .collect()
    }

    /// Sends the next packet, or leaves it out.
    fn say(&mut self, payload: &[u8], lost: bool) {
        let LegConfig { audio, ptime_ms, pt, .. } = self.format.media;
        let ts = self.sent.wrapping_mul(audio.ticks(ptime_ms));
        if !lost {
            self.rtp.send_to(&packet(pt, self.sent as u16, ts, payload), self.worker).unwrap();
        }
        self.sent += 1;
    }

    fn hear(&self, heard: &mut Vec<Rtp>) {
        let mut buffer = [0; 2048];
        while let Ok(length) = self.rtp.recv(&mut buffer) {
            heard.push(Rtp::parse(Instant::now(), &buffer[..length]));
        }
    }

    /// What was heard, as samples at 8 kHz.
    fn samples(&self, heard: &[Rtp]) -> Vec<i16> {
        let mut converter =
            Converter::new(self.format.media.audio, AudioFormat::l16le(wav::RATE_HZ));
        let mut samples = Vec::new();
        for packet in heard {
            let mut out = vec![0; converter.max_output(packet.payload.len())];
            let length = converter.convert(&packet.payload, &mut out);
            let pairs = out[..length].as_chunks::<2>().0;
            samples.extend(pairs.iter().map(|pair| i16::from_le_bytes(*pair)));
        }
        samples
    }
}

/// A worker with one call of three: the agent is a tone of this process.
struct Three {
    worker: WorkerHandle,
    events: mpsc::Receiver<Event>,
    caller: Party,
    guest: Party,
}

impl Three {
    fn new(caller: (AudioFormat, u8, u32), guest: (AudioFormat, u8, u32)) -> Self {
        let sound = audio::tone(AGENT_HZ, caller.0.waiting());
        Self::with_agent(caller, guest, Builtin::speaker(Source::Loop(sound), false))
    }

    fn with_agent(
        caller: (AudioFormat, u8, u32),
        guest: (AudioFormat, u8, u32),
        agent: Builtin,
    ) -> Self {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let metrics = Arc::new(WorkerMetrics::default());
        let worker = WorkerHandle::start(0, metrics, events, Care::default()).unwrap();
        let (caller, sockets) = Party::new(caller.0, caller.1, caller.2);
        let (guest, leg) = Party::new(guest.0, guest.1, guest.2);
        worker.send(Command::Open {
            call: CALL,
            peer: PeerLink::Rtp { sockets, format: Some(caller.format.clone()) },
        });
        worker.send(Command::Attach { call: CALL, link: AgentLink::Builtin(agent) });
        worker.send(Command::State { call: CALL, state: CallState::Answered });
        let link = LegLink { sockets: leg, format: Some(guest.format.clone()) };
        let from = GuestFrom::Called(Box::new(link));
        worker.send(Command::Guest { call: CALL, from });
        Self { worker, events: receiver, caller, guest }
    }

    /// Both telephones say their tones until each has heard all of its `tones` for long enough, or
    /// for as long as may be; what they hear. Of each ten packets of the guest `lost` are left out.
    fn talk(&mut self, lost: usize, tones: [[f64; 2]; 2]) -> [Vec<Rtp>; 2] {
        let (mine, yours) = (self.caller.tone(CALLER_HZ), self.guest.tone(GUEST_HZ));
        let lengths = [self.caller.format.media.ptime_ms, self.guest.format.media.ptime_ms];
        let (mut heard, mut next) = ([Vec::new(), Vec::new()], [0; 2]);
        let began = Instant::now();
        for ms in (0..(TALK_MOST_S * 1_000.0) as u32).step_by(10) {
            let is_long = f64::from(ms) >= TALK_S * 1_000.0 && ms.is_multiple_of(LOOK_MS);
            if is_long && self.hear_enough(&heard, tones) {
                break;
            }
            let due = began + Duration::from_millis(ms.into());
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if ms % lengths[0] == 0 {
                self.caller.say(&mine[next[0] % mine.len()], false);
                next[0] += 1;
            }
            if ms % lengths[1] == 0 {
                self.guest.say(&yours[next[1] % yours.len()], next[1] % 10 >= 10 - lost);
                next[1] += 1;
            }
            self.caller.hear(&mut heard[0]);
            self.guest.hear(&mut heard[1]);
        }
        heard
    }

    /// Whether both hear all of their tones for long enough.
    fn hear_enough(&self, heard: &[Vec<Rtp>; 2], tones: [[f64; 2]; 2]) -> bool {
        [&self.caller, &self.guest].into_iter().zip(heard).zip(tones).all(
            |((party, heard), tones)| {
                let (both, _) = wav::stretches(&party.samples(heard), &tones, &[]);
                both as f64 >= HEARD_S * 10.0
            },
        )
    }

    fn close(mut self) {
        let (cause, by) = (Cause::Normal, EndedBy::Caller);
        self.worker.send(Command::Close { call: CALL, cause, by });
        until(SOON, "the report", || {
            matches!(self.events.try_recv().ok()?.kind, EventKind::Closed(_)).then_some(())
        });
    }
}

#[track_caller]
fn assert_three(three: &Three, heard: &[Vec<Rtp>; 2], what: &str) {
    assert_hear(three, heard, BOTH, what);
}

/// Fails unless caller and guest hear these tones, in one stream of packets as they want them, and
/// never themselves.
#[track_caller]
fn assert_hear(three: &Three, heard: &[Vec<Rtp>; 2], tones: [[f64; 2]; 2], what: &str) {
    for (party, heard, tones, own) in [
        (&three.caller, &heard[0], tones[0], CALLER_HZ),
        (&three.guest, &heard[1], tones[1], GUEST_HZ),
    ] {
        let samples = party.samples(heard);
        let (both, leaks) = wav::stretches(&samples, &tones, &[own]);
        assert!(both as f64 >= HEARD_S * 10.0, "{what}: {own} hears both in {both} stretches");
        assert_eq!(leaks, 0, "{what}: {own} hears itself");
        let LegConfig { audio, ptime_ms, pt, .. } = party.format.media;
        // Packets of Opus are as long as what is mixed at once.
        let any = audio.codec.is_packets();
        let clock = audio.ticks(three.caller.format.media.ptime_ms);
        let own = if any { clock } else { audio.ticks(ptime_ms) };
        for pair in heard.windows(2) {
            // Where the machine did not let the clock run, it goes on by whole ticks of its own.
            let step = pair[1].ts.wrapping_sub(pair[0].ts);
            let skipped = step.wrapping_sub(own);
            assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1), "{what}");
            assert!(step >= own && skipped.is_multiple_of(clock), "{what}: {step}");
        }
        let whole = |packet: &Rtp| any || packet.payload.len() == audio.bytes(ptime_ms);
        assert!(heard.iter().all(|packet| packet.pt == pt && whole(packet)), "{what}");
    }
}

/// Every codec of the caller with every codec of the guest: each hears the other and the agent, in
/// packets as it wants them, and never itself.
#[test]
fn every_pair_of_codecs() {
    let codecs = [
        (AudioFormat::PCMU, 0),
        (AudioFormat::PCMA, 8),
        (AudioFormat::G722, 9),
        (AudioFormat::l16be(16_000), 97),
    ];
    for caller in codecs {
        let talks = codecs.map(|guest| {
            let mut three = Three::new((caller.0, caller.1, 20), (guest.0, guest.1, 20));
            std::thread::spawn(move || {
                let heard = three.talk(0, BOTH);
                assert_three(&three, &heard, &format!("{caller:?} and {guest:?}"));
                three.close();
            })
        });
        talks.into_iter().for_each(|talk| talk.join().unwrap());
    }
}

/// Packets of other lengths on either side, longer and shorter than those of the other.
#[test]
fn packets_of_other_lengths() {
    let mut running = Vec::new();
    for (caller_ms, guest_ms) in [(20, 30), (30, 20), (10, 40), (40, 10), (60, 20)] {
        let (caller, guest) = ((AudioFormat::PCMU, 0, caller_ms), (AudioFormat::PCMA, 8, guest_ms));
        let mut three = Three::new(caller, guest);
        running.push(std::thread::spawn(move || {
            let heard = three.talk(0, BOTH);
            assert_three(&three, &heard, &format!("{caller_ms} ms and {guest_ms} ms"));
            three.close();
        }));
    }
    running.into_iter().for_each(|it| it.join().unwrap());
}

/// One packet in ten of the guest is lost: what is missing is concealed, and the others are heard
/// as before.
#[test]
fn loss_is_concealed() {
    let format = (AudioFormat::PCMU, 0, 20);
    let mut three = Three::new(format, format);
    let heard = three.talk(1, BOTH);
    assert_three(&three, &heard, "loss");
    // Of a tone that was cut out for 20 ms in 200, every other piece would fall to eight tenths. A
    // machine that held up who speaks may spoil a few.
    let samples = three.caller.samples(&heard[0]);
    let settled = &samples[samples.len() / 2..samples.len() - 1_600];
    let loud: Vec<f64> =
        settled.chunks_exact(800).map(|stretch| wav::amplitude(stretch, GUEST_HZ)).collect();
    let whole = loud.iter().filter(|amplitude| **amplitude > 9_300.0).count();
    assert!(whole * 4 >= loud.len() * 3, "{loud:?}");
    three.close();
}

/// An echo among three would let all hear themselves: caller and guest hear each other alone, each
/// in one stream.
#[test]
fn an_echo_keeps_silent() {
    let mut running = Vec::new();
    for format in [(AudioFormat::PCMU, 0, 20), (AudioFormat::G722, 9, 20)] {
        let mut three = Three::with_agent(format, format, Builtin::echo());
        running.push(std::thread::spawn(move || {
            let tones = [[GUEST_HZ, GUEST_HZ], [CALLER_HZ, CALLER_HZ]];
            let heard = three.talk(0, tones);
            assert_hear(&three, &heard, tones, &format!("{format:?}"));
            three.close();
        }));
    }
    running.into_iter().for_each(|it| it.join().unwrap());
}

/// Opus on one side, and on both, in packets of 20 ms and others.
#[cfg(feature = "opus")]
#[test]
fn opus_among_three() {
    let opus = |ptime_ms| (AudioFormat::OPUS, 111, ptime_ms);
    let mut running = Vec::new();
    for (caller, guest) in [
        (opus(20), (AudioFormat::PCMU, 0, 20)),
        ((AudioFormat::PCMU, 0, 20), opus(20)),
        (opus(20), opus(20)),
        ((AudioFormat::G722, 9, 20), opus(40)),
        (opus(60), (AudioFormat::PCMA, 8, 30)),
    ] {
        let mut three = Three::new(caller, guest);
        running.push(std::thread::spawn(move || {
            let heard = three.talk(0, BOTH);
            assert_three(&three, &heard, &format!("{caller:?} and {guest:?}"));
            three.close();
        }));
    }
    running.into_iter().for_each(|it| it.join().unwrap());
}
