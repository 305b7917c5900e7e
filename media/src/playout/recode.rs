//! Going on in another format with what is queued.

use super::ledger::scale;
use super::packets::{append, take};
use super::{Playout, PlayoutConfig};
use crate::blocks::{BlockPool, Chain};
use crate::codec::opus::packet_ticks;
use crate::convert::Converter;
use crate::time::MonoTime;

/// Bytes that are converted at a time: whole samples of every codec, and room for every packet.
const CHUNK_BYTES: usize = 1_920;
/// Pieces of a second of which packets are made: 20 ms each.
const PACKETS_PER_S: usize = 50;

impl Playout {
    /// As [`Playout::reconfigure`], also if audio is queued: `converter` turns it from the old
    /// format on the wire to the new one, in pieces that must fit into `scratch`. Marks and
    /// utterances stay where they are in what was said.
    ///
    /// Meant for a change of the format, which is rare: the whole queue is gone through.
    pub fn recode(
        &mut self,
        now: MonoTime,
        pool: &mut BlockPool,
        config: PlayoutConfig,
        converter: &mut Converter,
        scratch: &mut [u8],
    ) {
        let config = config.sane();
        let mut queue = Chain::new();
        let mut piece = [0; CHUNK_BYTES];
        let mut samples = 0;
        let wanted = match config.packets {
            true => self.config.wire_rate_hz as usize / PACKETS_PER_S * self.config.sample_bytes,
            false => CHUNK_BYTES,
        };
        loop {
            let taken = match self.config.packets {
                true => take(&mut self.queue, pool, &mut piece),
                false => self.queue.read(pool, piece.get_mut(..wanted).unwrap_or_default()),
            };
            let piece = piece.get(..taken).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            if converter.max_output(piece.len()) > scratch.len() {
                continue;
            }
            let length = converter.convert(piece, scratch);
            let made = scratch.get(..length).unwrap_or_default();
            samples += match config.packets {
                true if append(&mut queue, pool, made) => u64::from(packet_ticks(made)),
                true => 0,
                false => (queue.push(pool, made) / config.sample_bytes) as u64,
            };
        }
        let (from_hz, to_hz) = (self.config.wire_rate_hz, config.wire_rate_hz);
        let (head, newest) = (self.head, self.pushed);
        let end = head + samples;
        let moved = |position: u64| match position.checked_sub(head) {
            None | Some(0) => position,
            Some(_) if position >= newest => end,
            Some(ahead) => (head + scale(ahead, to_hz, from_hz)).min(end),
        };
        self.utterances.settle(head, self.dropped, &self.ledger, config.agent_rate_hz);
        self.utterances.relocate(moved);
        self.marks.iter_mut().for_each(|mark| mark.position = moved(mark.position));
        self.boundary = moved(self.boundary);
        self.stops.iter_mut().for_each(|stop| *stop = moved(*stop));
        self.ledger.rebase(head - self.dropped, to_hz, config.agent_rate_hz);
        self.pushed = end;
        self.floor = head;
        self.queue = queue;
        self.max_queue_bytes = config.max_queue_bytes();
        self.config = config;
        self.note_remainder(now, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::AudioFormat;
    use crate::playout::{PlayoutEvent, Popped};

    const NOW: MonoTime = MonoTime::ZERO;

    /// Pops everything, frame by frame.
    fn drain(playout: &mut Playout, pool: &mut BlockPool) -> Vec<u8> {
        let mut heard = Vec::new();
        let mut frame = [0; 1920];
        while let Popped::Frame { .. } = playout.pop(NOW, pool, &mut frame) {
            heard.extend_from_slice(&frame[..playout.config().frame_bytes]);
        }
        heard
    }

    fn marks(playout: &mut Playout) -> Vec<(String, u64)> {
        let events = std::iter::from_fn(|| playout.poll_event());
        events.map(|PlayoutEvent::Mark(mark)| (mark.name, mark.samples)).collect()
    }

    /// What waits in µ-law comes out in A-law, frame for frame what its conversion is, and marks
    /// come where they were set, in the agent's samples.
    #[test]
    fn audio_marks_and_account_survive() {
        let (ulaw, alaw) = (AudioFormat::PCMU, AudioFormat::PCMA);
        let mut pool = BlockPool::new(256);
        let mut playout = Playout::new(PlayoutConfig::new(ulaw, 20, 8000));
        let said: Vec<u8> = (0..4800u32).map(|n| (n * 7 % 251) as u8).collect();
        let mut heard = vec![0; 160];
        playout.utterance("u".into()).unwrap();
        let _ = playout.push(NOW, &mut pool, &said[..2000]);
        playout.mark("a".into()).unwrap();
        let _ = playout.push(NOW, &mut pool, &said[2000..]);
        playout.mark("b".into()).unwrap();
        playout.pop(NOW, &mut pool, &mut heard);
        let mut expected = vec![0; 4640];
        Converter::new(ulaw, alaw).convert(&said[160..], &mut expected);
        let config = PlayoutConfig::new(alaw, 30, 8000);
        let mut converter = Converter::new(ulaw, alaw);
        playout.recode(NOW, &mut pool, config, &mut converter, &mut [0; 4096]);
        assert_eq!(playout.queued_ms(), 580);
        let heard = drain(&mut playout, &mut pool);
        assert_eq!(heard[..4640], expected);
        assert!(heard[4640..].iter().all(|byte| *byte == alaw.codec.silence()));
        assert_eq!(marks(&mut playout), [("a".to_owned(), 2000), ("b".to_owned(), 4800)]);
        assert_eq!(playout.played_samples(), 4800);
        let cleared = playout.clear(NOW, &mut pool);
        assert_eq!((cleared.utterances[0].samples, cleared.utterances[0].complete), (4800, true));
        assert_eq!(pool.used_blocks(), 0);
    }

    /// To another rate and back: nothing is lost but what the filters hold back.
    #[test]
    fn other_rates() {
        let (narrow, wide) = (AudioFormat::PCMU, AudioFormat::l16be(16_000));
        let mut pool = BlockPool::new(256);
        let mut playout = Playout::new(PlayoutConfig::new(narrow, 20, 8000));
        let _ = playout.push(NOW, &mut pool, &[0x42; 8000]);
        playout.mark("end".into()).unwrap();
        let config = PlayoutConfig::new(wide, 20, 8000);
        let mut converter = Converter::new(narrow, wide);
        playout.recode(NOW, &mut pool, config, &mut converter, &mut [0; 8192]);
        assert!((980..=1000).contains(&playout.queued_ms()), "{}", playout.queued_ms());
        drain(&mut playout, &mut pool);
        let (name, samples) = marks(&mut playout).remove(0);
        assert!(name == "end" && (7900..=8000).contains(&samples), "{samples}");
        let counters = playout.counters();
        assert_eq!(counters.pushed_samples, counters.played_samples);
        assert_eq!(pool.used_blocks(), 0);
    }
}
