//! What a built-in agent hears, carried to a thread that may wait for a disk.

use media::codec::{AudioFormat, Codec};
use media::convert::Converter;
use media::ring::{Consumer, FrameMeta, Producer, frame_ring};
use media::rtp::Frame;
use media::time::MonoTime;

use super::taps::Tap;

/// Frames that may wait for the disk: two seconds at 20 ms.
const RING_FRAMES: usize = 100;
/// What a tape carries, whatever the peer's codec, which may change in mid-call.
pub const FORMAT: AudioFormat = AudioFormat::l16le(8_000);
/// Samples that are put on it at a time: 60 ms.
const FRAME_SAMPLES: usize = 480;
/// Samples of the longest packet that cannot be cut: 120 ms.
const PACKET_SAMPLES: usize = 960;
/// Bytes of the longest frame.
const FRAME_BYTES: usize = FRAME_SAMPLES * 2;
/// The longest gap that is filled with silence, in samples; a longer one is a new beginning.
const GAP_SAMPLES_MAX: u64 = 60 * 8_000;

/// The worker's end of a tape.
#[derive(Debug)]
pub struct TapeInput {
    frames: Producer,
    from_peer: Converter,
}

impl Tap for TapeInput {
    /// Takes what was heard. A disk that is two seconds behind loses the oldest.
    #[inline]
    fn heard(&mut self, now: MonoTime, frame: Frame<'_>) {
        let from = self.from_peer.from();
        let piece_bytes = match from.codec.is_packets() {
            true => frame.payload.len().max(1),
            false => FRAME_SAMPLES * from.codec.sample_bytes(),
        };
        let mut linear = [0; 2 * PACKET_SAMPLES];
        let mut ts = frame.ext_ts * u64::from(FORMAT.rate_hz) / u64::from(from.clock_hz().max(1));
        for payload in frame.payload.chunks(piece_bytes) {
            let length = self.from_peer.convert(payload, &mut linear);
            for samples in linear.get(..length).unwrap_or_default().chunks(FRAME_BYTES) {
                let meta = FrameMeta { seq: frame.ext_seq, ts, at: now, marker: frame.marker };
                self.frames.push(meta, samples);
                ts += (samples.len() / 2) as u64;
            }
        }
    }

    fn follow(&mut self, peer: AudioFormat) {
        if self.from_peer.from() != peer {
            self.from_peer = Converter::new(peer, FORMAT);
        }
    }
}

/// The reader's end of a tape.
#[derive(Debug)]
pub struct TapeOutput(Consumer);

/// Makes a tape.
pub fn tape() -> (TapeInput, TapeOutput) {
    let (producer, consumer) = frame_ring(RING_FRAMES, FRAME_BYTES);
    let from_peer = Converter::new(AudioFormat::PCMU, FORMAT);
    (TapeInput { frames: producer, from_peer }, TapeOutput(consumer))
}

impl TapeOutput {
    /// Gives all frames that wait to `sink`, with what is known of them.
    pub fn drain(&mut self, mut sink: impl FnMut(FrameMeta, &[u8])) {
        while let Some(frame) = self.0.peek() {
            sink(frame.meta(), frame.payload());
            frame.consume();
        }
    }
}

/// Puts frames at their places in time.
#[derive(Debug)]
pub struct Timeline {
    converter: Converter,
    samples: Vec<u8>,
    sample_bytes: usize,
    expected: Option<u64>,
}

impl Timeline {
    /// For frames in `format`; what comes out is linear, at the same rate.
    pub fn new(format: AudioFormat) -> Self {
        let linear = AudioFormat { codec: Codec::L16Le, rate_hz: format.rate_hz };
        Self {
            converter: Converter::new(format, linear),
            samples: Vec::new(),
            sample_bytes: format.codec.sample_bytes(),
            expected: None,
        }
    }

    /// Gives the samples of a frame at media time `ts` to `sink`, after silence for what is missing
    /// before it.
    pub fn place(&mut self, ts: u64, payload: &[u8], mut sink: impl FnMut(i16)) {
        if let Some(expected) = self.expected {
            let gap = ts.saturating_sub(expected);
            if gap <= GAP_SAMPLES_MAX {
                (0..gap).for_each(|_| sink(0));
            }
        }
        self.expected = Some(ts + (payload.len() / self.sample_bytes) as u64);
        self.samples.resize(self.converter.max_output(payload.len()), 0);
        let length = self.converter.convert(payload, &mut self.samples);
        for sample in self.samples.get(..length).unwrap_or_default().as_chunks::<2>().0 {
            sink(i16::from_le_bytes(*sample));
        }
    }
}
