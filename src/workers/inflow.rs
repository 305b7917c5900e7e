//! Sound from a network on its way to a clock of ours: jitter buffer, decoder, converter.

use std::time::Duration;

use media::blocks::BlockPool;
use media::codec::AudioFormat;
use media::codec::l16;
use media::convert::Converter;
use media::jitter::{
    Content, Decode, FRAME_MAX_MS, Incoming, JitterBuffer, JitterConfig, JitterSnapshot, Kind,
    Pulled,
};
use media::leg::{Heard, HeardAudio};
use media::rtp::{Arrival, Continuity};
use media::time::MonoTime;

/// Sound of one RTP stream.
#[derive(Debug)]
pub(super) struct Inflow {
    from: AudioFormat,
    jitter: JitterBuffer,
    /// To linear samples at the stream's own rate, for the jitter buffer.
    decoder: Converter,
    /// From these to what is heard.
    encoder: Converter,
    /// A frame of samples, and their bytes.
    samples: Box<[i16]>,
    bytes: Box<[u8]>,
    /// Sound of the stream was in the last frame.
    sounded: bool,
}

/// A frame for the listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sounded {
    /// Nothing has come yet.
    Nothing,
    /// The stream has something to say, or did not long ago.
    Frame {
        /// It is the first sound after a pause.
        talkspurt: bool,
        /// Sound of the stream is in it.
        played: bool,
    },
}

impl Inflow {
    /// From a stream of `from` to frames of `to`, whose samples stand for themselves.
    pub(super) fn new(from: AudioFormat, to: AudioFormat) -> Self {
        let samples = AudioFormat::l16le(from.rate_hz).samples(FRAME_MAX_MS);
        Self {
            from,
            jitter: JitterBuffer::new(JitterConfig::new(from.rate_hz, from.clock_hz())),
            decoder: Converter::new(from, AudioFormat::l16le(from.rate_hz)),
            encoder: Converter::new(AudioFormat::l16le(from.rate_hz), to),
            samples: vec![0; samples].into(),
            bytes: vec![0; samples * 2].into(),
            sounded: false,
        }
    }

    /// True if it takes a stream of `from`.
    pub(super) fn takes(&self, from: AudioFormat) -> bool {
        self.from == from
    }

    /// The frames are of `to` from now on.
    pub(super) fn listen_as(&mut self, to: AudioFormat) {
        if self.encoder.to() != to {
            self.encoder = Converter::new(AudioFormat::l16le(self.from.rate_hz), to);
        }
    }

    /// Takes what was heard; `datagram` is what it was heard of.
    #[inline]
    pub(super) fn put(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        heard: Heard,
        datagram: &[u8],
    ) {
        let (content, arrival, audio) = match heard {
            Heard::Audio(audio) => (Content::Audio(0), audio.arrival, Some(audio)),
            Heard::Comfort(audio) => (Content::Comfort, audio.arrival, Some(audio)),
            Heard::Event(arrival) | Heard::Nothing(arrival, _) => (Content::Other, arrival, None),
            Heard::Ignored(_) => return,
        };
        let payload =
            audio.and_then(|HeardAudio { start, len, .. }| datagram.get(start..start + len));
        self.take(now, blocks, (content, arrival), payload.unwrap_or_default());
    }

    /// Takes audio of a stream that is none of RTP.
    #[inline]
    pub(super) fn put_audio(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        arrival: Arrival,
        payload: &[u8],
    ) {
        self.take(now, blocks, (Content::Audio(0), arrival), payload);
    }

    #[inline]
    fn take(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        (content, arrival): (Content, Arrival),
        payload: &[u8],
    ) {
        let units = match content {
            Content::Audio(_) => self.from.payload_ticks(payload),
            Content::Comfort | Content::Other => 0,
        };
        let Arrival { ext_seq, ext_ts, continuity, .. } = arrival;
        let splice = matches!(continuity, Continuity::Restart | Continuity::NewSource);
        let packet = Incoming { ext_seq, ext_ts, units, content, splice, payload };
        self.jitter.put(now, blocks, packet);
    }

    /// Sound that waits.
    pub(super) fn waits(&self) -> Duration {
        self.jitter.waits()
    }

    /// Writes the frame that is due to `out`, unless nothing has come yet.
    #[inline]
    pub(super) fn pull(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        out: &mut [u8],
    ) -> Sounded {
        let to = self.encoder.to();
        let wanted = to.payload_samples(out.len()) * self.from.rate_hz as usize;
        let wanted = (wanted / to.rate_hz.max(1) as usize).min(self.samples.len());
        let Self { jitter, decoder, encoder, samples, bytes, .. } = self;
        let frame = samples.get_mut(..wanted).unwrap_or_default();
        let pulled = jitter.pull_with(now, blocks, frame, &mut Decoding { decoder, bytes });
        let Pulled { kind, played, .. } = pulled;
        if kind == Kind::Silence {
            return Sounded::Nothing;
        }
        let length = l16::to_le(frame, bytes) * 2;
        let length = encoder.convert(bytes.get(..length).unwrap_or_default(), out);
        // Rates that do not divide yield a sample less now and then.
        out.get_mut(length..).unwrap_or_default().fill(to.codec.silence());
        let talkspurt = played > 0 && !self.sounded;
        self.sounded = played > 0;
        Sounded::Frame { talkspurt, played: played > 0 }
    }

    /// How it fares.
    pub(super) fn snapshot(&mut self, now: MonoTime) -> JitterSnapshot {
        self.jitter.snapshot(now)
    }

    /// Gives all memory back.
    pub(super) fn release(&mut self, blocks: &mut BlockPool) {
        self.jitter.release(blocks);
    }
}

/// The stream's codec, as the jitter buffer uses it.
struct Decoding<'a> {
    decoder: &'a mut Converter,
    bytes: &'a mut [u8],
}

impl Decoding<'_> {
    fn samples(&self, length: usize, out: &mut [i16]) -> usize {
        l16::from_le(self.bytes.get(..length).unwrap_or_default(), out)
    }
}

impl Decode for Decoding<'_> {
    fn decode(&mut self, _: u8, payload: &[u8], out: &mut [i16]) -> usize {
        if self.decoder.max_output(payload.len()) > self.bytes.len() {
            return 0;
        }
        let length = self.decoder.convert(payload, self.bytes);
        self.samples(length, out)
    }

    fn recover(&mut self, _: u8, next: &[u8], out: &mut [i16]) -> usize {
        let length = self.decoder.recover(next, self.bytes);
        self.samples(length, out)
    }

    fn conceal(&mut self, out: &mut [i16]) -> usize {
        let per_ms = self.decoder.to().samples(1).max(1);
        let ms = u32::try_from(out.len() / per_ms).unwrap_or(0);
        let length = self.decoder.conceal(ms, self.bytes);
        self.samples(length, out)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use media::leg::{Leg, LegConfig, StreamStart};
    use media::rtp::{HEADER_BYTES, Sender};

    use super::*;

    /// A stream of A-law comes out as µ-law, after a wait that begins with nothing, and what is
    /// lost is filled.
    #[test]
    fn flows_in_another_format() {
        let config = LegConfig {
            audio: AudioFormat::PCMA,
            pt: 8,
            receive_pt: 8,
            dtmf_pt: None,
            receive_dtmf_pt: None,
            cn_pt: None,
            ptime_ms: 20,
            opus: Default::default(),
        };
        let start = StreamStart { ssrc: 1, seq: 2, ts: 3, seed: 4 };
        let mut now = MonoTime::from_nanos(1);
        let mut leg = Leg::new(now, config, start);
        let mut inflow = Inflow::new(AudioFormat::PCMA, AudioFormat::PCMU);
        let mut blocks = BlockPool::new(64);
        let mut sender = Sender::new(9, 65_530, u32::MAX - 300);
        let law = media::codec::g711::Law::A;
        let (mut sounded, mut filled) = (Vec::new(), 0);
        for n in 0..100 {
            let mut packet = [law.code(4_000); HEADER_BYTES + 160];
            sender.write(now, packet.first_chunk_mut().unwrap(), 8, 160, 160);
            if n != 50 {
                let heard = leg.receive(now, &packet);
                inflow.put(now, &mut blocks, heard, &packet);
            }
            let mut out = [0; 160];
            sounded.push(inflow.pull(now, &mut blocks, &mut out));
            if n > 10 {
                let loud = |code: &u8| media::codec::g711::Law::Mu.sample(*code) > 3_500;
                filled += out.iter().filter(|code| loud(code)).count();
            }
            now += Duration::from_millis(20);
        }
        assert_eq!(sounded[0], Sounded::Nothing);
        let first = sounded.iter().find(|sounded| **sounded != Sounded::Nothing);
        assert_eq!(first, Some(&Sounded::Frame { talkspurt: true, played: true }));
        assert!(filled > 88 * 160, "{filled}");
        let snapshot = inflow.snapshot(now);
        assert_eq!((snapshot.counters.missing, snapshot.concealed_ms), (1, 20));
        inflow.release(&mut blocks);
        assert_eq!(blocks.used_blocks(), 0);
    }

    /// What comes in time is heard sample by sample once the wait has settled: the frames are cut
    /// at other places than the packets were, and nothing else is changed.
    #[test]
    fn what_comes_in_time_is_exact() {
        use media::codec::g711::Law;

        for (format, law, pt) in [(AudioFormat::PCMU, Law::Mu, 0), (AudioFormat::PCMA, Law::A, 8)] {
            for phase_ms in [0, 1, 7, 13, 19] {
                let (said, heard) = in_time(format, pt, phase_ms);
                let samples = |codes: &[u8]| -> Vec<i16> {
                    codes.iter().map(|code| law.sample(*code)).collect()
                };
                let (said, heard) = (samples(&said), samples(&heard));
                let (settled, window) = (4 * 8_000, 160);
                let first = heard.get(settled..settled + window).unwrap();
                let at = said.windows(window).position(|said| said == first);
                let at = at.unwrap_or_else(|| panic!("{format:?}, phase {phase_ms} ms: changed"));
                let rest = &heard[settled..];
                assert!(rest == &said[at..at + rest.len()], "{format:?}, phase {phase_ms} ms");
                let waited_ms = (settled - at) / 8;
                assert!(waited_ms <= 40, "waited {waited_ms} ms");
            }
        }
    }

    /// Eight seconds of codes in no order, and what is heard of it by a clock whose frames
    /// begin `phase_ms` after the packets.
    fn in_time(format: AudioFormat, pt: u8, phase_ms: u64) -> (Vec<u8>, Vec<u8>) {
        let config = LegConfig {
            audio: format,
            pt,
            receive_pt: pt,
            dtmf_pt: None,
            receive_dtmf_pt: None,
            cn_pt: None,
            ptime_ms: 20,
            opus: Default::default(),
        };
        let mut now = MonoTime::from_nanos(1);
        let stream = StreamStart { ssrc: 1, seq: 2, ts: 3, seed: 4 };
        let mut leg = Leg::new(now, config, stream);
        let mut inflow = Inflow::new(format, format);
        let mut blocks = BlockPool::new(64);
        let mut sender = Sender::new(9, 65_530, u32::MAX - 300);
        let mut random = fastrand::Rng::with_seed(7);
        let (mut said, mut heard) = (Vec::new(), Vec::new());
        for _ in 0..400 {
            let mut packet = [0; HEADER_BYTES + 160];
            random.fill(&mut packet[HEADER_BYTES..]);
            said.extend_from_slice(&packet[HEADER_BYTES..]);
            sender.write(now, packet.first_chunk_mut().unwrap(), pt, 160, 160);
            let arrived = leg.receive(now, &packet);
            inflow.put(now, &mut blocks, arrived, &packet);
            let mut out = [0; 160];
            if inflow.pull(now + Duration::from_millis(phase_ms), &mut blocks, &mut out)
                != Sounded::Nothing
            {
                heard.extend_from_slice(&out);
            } else {
                heard.extend_from_slice(&[format.codec.silence(); 160]);
            }
            now += Duration::from_millis(20);
        }
        inflow.release(&mut blocks);
        (said, heard)
    }
}
