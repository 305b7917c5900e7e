//! A queue of packets: audio of an agent that speaks the caller's own codec, where that codec is
//! one whose payloads stay whole.
//!
//! Each packet stands in the queue behind its length. Positions count samples as everywhere, so
//! marks and utterances, which stand between packets, and the account are what they are for other
//! audio.

use super::{Playout, Popped, Pushed};
use crate::blocks::{BlockPool, Chain};
use crate::codec::opus::{PACKET_BYTES_MAX, packet_ticks};

/// Bytes of the length in front of a packet.
const LENGTH_BYTES: usize = 2;

impl Playout {
    /// Appends one packet. What is none, or too long to be sent, is refused and not `full`.
    pub(super) fn push_packet(&mut self, pool: &mut BlockPool, packet: &[u8]) -> Pushed {
        let samples = u64::from(packet_ticks(packet));
        if samples == 0 || packet.len() > PACKET_BYTES_MAX {
            return Pushed { accepted_bytes: 0, full: false };
        }
        let queued = self.pushed - self.head;
        let fits = queued + samples <= self.config.max_queue_samples();
        if !fits || !append(&mut self.queue, pool, packet) {
            self.refused += samples;
            self.utterances.refused();
            return Pushed { accepted_bytes: 0, full: true };
        }
        self.pushed += samples;
        Pushed { accepted_bytes: packet.len(), full: false }
    }

    /// Takes one packet, whatever it lasts.
    pub(super) fn pop_packet(&mut self, pool: &mut BlockPool, out: &mut [u8]) -> Popped {
        let bytes = take(&mut self.queue, pool, out);
        if bytes == 0 {
            self.talking = false;
            return Popped::Empty;
        }
        self.head += u64::from(packet_ticks(out.get(..bytes).unwrap_or_default()));
        let talkspurt_start = self.note_played();
        Popped::Packet { bytes, talkspurt_start }
    }
}

/// Puts a packet at the end of `queue`, unless the pool has no room for all of it.
pub(super) fn append(queue: &mut Chain, pool: &mut BlockPool, packet: &[u8]) -> bool {
    let Ok(length) = u16::try_from(packet.len()) else { return false };
    if queue.room_bytes(pool) < LENGTH_BYTES + packet.len() {
        return false;
    }
    queue.push(pool, &length.to_be_bytes()) + queue.push(pool, packet)
        == LENGTH_BYTES + packet.len()
}

/// Takes the packet at the front of `queue`; its bytes, 0 if there is none.
pub(super) fn take(queue: &mut Chain, pool: &mut BlockPool, out: &mut [u8]) -> usize {
    let mut length = [0; LENGTH_BYTES];
    queue.read(pool, &mut length);
    // What was appended fits: see `append`.
    let length = usize::from(u16::from_be_bytes(length)).min(out.len());
    queue.read(pool, out.get_mut(..length).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::AudioFormat;
    #[cfg(feature = "opus")]
    use crate::convert::Converter;
    use crate::playout::{MarkReport, PlayoutConfig, PlayoutEvent};
    use crate::time::MonoTime;

    const NOW: MonoTime = MonoTime::ZERO;
    /// Of 20 and of 60 ms.
    const SHORT: u8 = 1 << 3;
    const LONG: u8 = 3 << 3;

    fn packet(toc: u8, n: u8) -> Vec<u8> {
        std::iter::once(toc).chain(std::iter::repeat_n(n, usize::from(n))).collect()
    }

    fn marks(playout: &mut Playout) -> Vec<(String, u64, bool)> {
        let events = std::iter::from_fn(|| playout.poll_event());
        events
            .map(|PlayoutEvent::Mark(MarkReport { name, samples, cleared, .. })| {
                (name, samples, cleared)
            })
            .collect()
    }

    /// Packets come out as they went in, each whole, of whatever length; marks and the account
    /// count what they hold, and a clear drops the rest.
    #[test]
    fn packets_stay_whole() {
        let mut pool = BlockPool::new(256);
        let mut playout = Playout::new(PlayoutConfig::new(AudioFormat::OPUS, 20, 48_000));
        let said: Vec<_> = (1..=100).map(|n| packet([SHORT, LONG][n % 2], n as u8)).collect();
        playout.utterance("u".into()).unwrap();
        for (n, packet) in said.iter().enumerate() {
            assert_eq!(
                playout.push(NOW, &mut pool, packet),
                Pushed { accepted_bytes: packet.len(), full: false }
            );
            if n == 9 {
                playout.mark("ten".into()).unwrap();
            }
        }
        playout.mark("end".into()).unwrap();
        assert_eq!(playout.queued_ms(), 4_000);
        let mut out = [0; PACKET_BYTES_MAX];
        for (n, packet) in said[..50].iter().enumerate() {
            let popped = playout.pop(NOW, &mut pool, &mut out);
            let expected = Popped::Packet { bytes: packet.len(), talkspurt_start: n == 0 };
            assert_eq!(popped, expected);
            assert_eq!(out[..packet.len()], **packet);
        }
        assert_eq!(marks(&mut playout), [("ten".to_owned(), 400 * 48, false)]);
        assert_eq!(playout.played_samples(), 2_000 * 48);
        let cleared = playout.clear(NOW, &mut pool);
        assert_eq!((cleared.dropped_ms, cleared.samples), (2_000, 2_000 * 48));
        assert_eq!(cleared.utterances[0].samples, 2_000 * 48);
        assert_eq!(marks(&mut playout), [("end".to_owned(), 2_000 * 48, true)]);
        assert_eq!(playout.pop(NOW, &mut pool, &mut out), Popped::Empty);
        assert_eq!(pool.used_blocks(), 0);
    }

    /// What is no packet is refused, what is too much is refused and told.
    #[test]
    fn refuses() {
        let mut pool = BlockPool::new(256);
        let mut config = PlayoutConfig::new(AudioFormat::OPUS, 20, 48_000);
        config.max_queue_ms = 200;
        let mut playout = Playout::new(config);
        let refused = Pushed { accepted_bytes: 0, full: false };
        for bad in [&[][..], &[1, 0], &[SHORT; PACKET_BYTES_MAX + 1]] {
            assert_eq!(playout.push(NOW, &mut pool, bad), refused);
        }
        for n in 0..4 {
            let pushed = playout.push(NOW, &mut pool, &packet(LONG, 9));
            assert_eq!(pushed.full, n == 3);
        }
        assert_eq!(playout.counters().refused_samples, 60 * 48);
        assert_eq!(playout.queued_ms(), 180);
        playout.release(&mut pool);
        assert_eq!(pool.used_blocks(), 0);
    }

    /// The caller goes over from Opus to G.711 and back: what waits is coded anew, and marks stay
    /// where they were.
    #[test]
    #[cfg(feature = "opus")]
    fn recoded_both_ways() {
        let (packets, linear) = (AudioFormat::OPUS, AudioFormat::l16le(48_000));
        let mut pool = BlockPool::new(1_024);
        let mut playout = Playout::new(PlayoutConfig::new(packets, 20, 48_000));
        let mut encoder = Converter::new(linear, packets);
        let mut out = [0; PACKET_BYTES_MAX];
        let tone = |at: usize| ((at as f64 * 0.06).sin() * 9_000.0) as i16;
        for frame in 0..100 {
            let sound: Vec<u8> =
                (frame * 960..(frame + 1) * 960).flat_map(|at| tone(at).to_le_bytes()).collect();
            let bytes = encoder.convert(&sound, &mut out);
            assert!(!playout.push(NOW, &mut pool, &out[..bytes]).full);
            if frame == 49 {
                playout.mark("half".into()).unwrap();
            }
        }
        let mut scratch = vec![0; 32_768];
        for (from, to) in [(packets, AudioFormat::PCMU), (AudioFormat::PCMU, packets)] {
            let config = PlayoutConfig::new(to, 20, 48_000);
            playout.recode(NOW, &mut pool, config, &mut Converter::new(from, to), &mut scratch);
            assert!((1_940..=2_000).contains(&playout.queued_ms()), "{}", playout.queued_ms());
        }
        let mut count = 0;
        while let Popped::Packet { .. } = playout.pop(NOW, &mut pool, &mut out) {
            count += 1;
        }
        assert!((97..=100).contains(&count), "{count}");
        let (name, samples, _) = marks(&mut playout).remove(0);
        assert!(name == "half" && (46_000..=48_960).contains(&samples), "{samples}");
        assert_eq!(pool.used_blocks(), 0);
    }
}
