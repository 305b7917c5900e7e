//! What one call says and hears, as two time lines: when each sample was spoken and when it was
//! heard.

use super::chirp::{self, Chirps};
use super::coding::Coding;

/// Nanoseconds of a sample.
const SAMPLE_NS: f64 = 1e9 / chirp::RATE_HZ as f64;

/// Steps of the RTP clock beyond which a packet starts a new time line and is left out, in samples:
/// 30 s.
const JUMP_SAMPLES: i32 = 240_000;

/// Room before the first packet that is heard, in samples: what it says may have been said later
/// than the sound's beginning, if packets before it were lost or come behind it.
const ROOM_SAMPLES: usize = 4_000;

/// How what arrives becomes sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Playing {
    /// Each packet is heard when it arrives, at its place by the RTP clock: an ear without a jitter
    /// buffer, so that the figure is what the way adds and not what a telephone adds.
    OnArrival,
    /// A message is heard when it has arrived and the one before it has been played out: carriers
    /// play what comes faster than real time that way.
    InTurn,
}

/// Both sides of a call.
pub(crate) struct Ear {
    coding: Coding,
    playing: Playing,
    /// When the packets of the sound left, in order.
    sent_ns: Vec<u64>,
    /// Samples in each of them.
    packet_samples: usize,
    /// First RTP timestamp heard.
    base: Option<u32>,
    /// What was heard, by the RTP clock.
    heard: Vec<f32>,
    /// Where each packet lies in `heard`, and when it is heard.
    packets: Vec<(usize, usize, u64)>,
    /// When what was heard so far has been played.
    played_ns: u64,
    /// Packets left out because their clock jumped.
    pub(crate) strays: u64,
}

/// One chirp's way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Way {
    /// When it was spoken, in seconds after the first packet.
    pub(crate) at_s: f64,
    /// From mouth to ear, in nanoseconds.
    pub(crate) delay_ns: u64,
}

impl Ear {
    /// A call in which nothing was said yet.
    pub(super) fn new(coding: Coding, playing: Playing, packet_samples: usize) -> Self {
        Self {
            coding,
            playing,
            sent_ns: Vec::new(),
            packet_samples,
            base: None,
            heard: vec![0.0; ROOM_SAMPLES],
            packets: Vec::new(),
            played_ns: 0,
            strays: 0,
        }
    }

    /// The next packet of the sound leaves now.
    pub(crate) fn says(&mut self, now_ns: u64) {
        self.sent_ns.push(now_ns);
    }

    /// Packets said so far.
    pub(crate) fn said(&self) -> usize {
        self.sent_ns.len()
    }

    /// Packets heard so far.
    pub(crate) fn heard(&self) -> usize {
        self.packets.len()
    }

    /// A packet arrived. Of what is played in its turn the timestamp says nothing.
    pub(crate) fn hears(&mut self, timestamp: u32, payload: &[u8], arrived_ns: u64) {
        let place = match self.playing {
            Playing::OnArrival => {
                let base = *self.base.get_or_insert(timestamp);
                let step = timestamp.wrapping_sub(base).cast_signed();
                usize::try_from(step.saturating_add(ROOM_SAMPLES as i32)).ok()
            }
            Playing::InTurn => Some(self.heard.len()),
        };
        let limit = self.heard.len() + JUMP_SAMPLES.unsigned_abs() as usize;
        let Some(from) = place.filter(|place| *place <= limit) else {
            self.strays += 1;
            return;
        };
        let samples = payload.len() / self.coding.sample_bytes();
        let at_ns = match self.playing {
            Playing::OnArrival => arrived_ns,
            Playing::InTurn => arrived_ns.max(self.played_ns),
        };
        self.played_ns = at_ns + (samples as f64 * SAMPLE_NS) as u64;
        if self.playing == Playing::InTurn && self.sent_ns.is_empty() {
            // What a server sends before anything is said takes its turn, and is not sought in.
            return;
        }
        let to = from + samples;
        if self.heard.len() < to {
            self.heard.resize(to, 0.0);
        }
        if let Some(room) = self.heard.get_mut(from..to) {
            for (sample, heard) in room.iter_mut().zip(self.coding.decode(payload)) {
                *sample = heard;
            }
        }
        self.packets.push((from, to, at_ns));
    }

    /// When a sample of the sound was spoken: a packet leaves when its last sample has been.
    fn spoken_ns(&self, sample: usize) -> Option<f64> {
        let sent_ns = *self.sent_ns.get(sample / self.packet_samples)?;
        let before_end = self.packet_samples - sample % self.packet_samples;
        Some(sent_ns as f64 - before_end as f64 * SAMPLE_NS)
    }

    /// When a place of what was heard sounded. One that is found a hair before a packet is of that
    /// packet: the one before may have come at another time.
    fn heard_ns(&self, place: f64) -> Option<f64> {
        let sample = place.round() as usize;
        let (from, _, at_ns) =
            self.packets.iter().find(|(from, to, _)| (*from..*to).contains(&sample))?;
        Some(*at_ns as f64 + (place - *from as f64) * SAMPLE_NS)
    }

    /// The ways of the chirps whose whole sound left, in order; `None` for one that is not found.
    pub(crate) fn ways(&mut self, chirps: &Chirps) -> Vec<Option<Way>> {
        self.packets.sort_unstable_by_key(|(from, ..)| *from);
        let samples = self.sent_ns.len() * self.packet_samples;
        // The end of the sound is not waited for by whoever hangs up.
        let whole = chirp::count(samples.saturating_sub(chirp::RATE_HZ / 2));
        let Some(first_ns) = self.spoken_ns(0) else { return Vec::new() };
        let mut near = None;
        (0..whole)
            .map(|number| {
                let place = chirps.find(&self.heard, number, near)?;
                near = (place.round() as usize).checked_sub(chirp::start(number));
                let spoken_ns = self.spoken_ns(chirp::start(number))?;
                let delay_ns = (self.heard_ns(place)? - spoken_ns).max(0.0).round() as u64;
                Some(Way { at_s: (spoken_ns - first_ns) / 1e9, delay_ns })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::law::Law;

    const PACKET: usize = 160;
    const PACKET_NS: u64 = 20_000_000;

    /// An echo that returns each packet after `way_ns`, `late` packets behind in its own clock; the
    /// packets numbered `lost` do not come.
    fn echo(
        coding: Coding,
        playing: Playing,
        way_ns: u64,
        late: usize,
        lost: &[usize],
    ) -> Vec<Option<Way>> {
        let chirps = Chirps::new();
        let sound = chirps.sound(4 * chirp::RATE_HZ);
        let mut ear = Ear::new(coding, playing, PACKET);
        let start_ns = 1_700_000_000_000_000_000;
        let wire = coding.encode(&sound);
        for (number, payload) in wire.chunks(PACKET * coding.sample_bytes()).enumerate() {
            let sent_ns = start_ns + number as u64 * PACKET_NS;
            ear.says(sent_ns);
            if !lost.contains(&number) {
                let behind = if number == 2 { number } else { number + late };
                let timestamp = (u32::MAX - 500).wrapping_add((behind * PACKET) as u32);
                ear.hears(timestamp, payload, sent_ns + way_ns + late as u64 * PACKET_NS);
            }
        }
        ear.ways(&chirps)
    }

    /// The delay is the packet's filling up and the way, to less than a sample, whether the time
    /// line wraps, the echo's clock is ahead, or packets are lost.
    #[test]
    fn the_way_is_measured() {
        let law = Coding::Companded(Law::Pcma);
        for (coding, playing, lost) in [
            (law, Playing::OnArrival, [0, 1, 26, 99].as_slice()),
            (law, Playing::InTurn, &[]),
            (Coding::Linear { samples: 1 }, Playing::InTurn, &[]),
            (Coding::Linear { samples: 2 }, Playing::InTurn, &[]),
        ] {
            for (late, way_ns) in [(0, 300_000), (0, 45_000_000), (3, 1_000_000)] {
                let ways = echo(coding, playing, way_ns, late, lost);
                assert!(ways.len() >= 4, "{}", ways.len());
                let wanted_ns = PACKET_NS + way_ns + late as u64 * PACKET_NS;
                for way in ways.iter().flatten() {
                    assert!(way.delay_ns.abs_diff(wanted_ns) < 60_000, "{way:?} for {wanted_ns}");
                }
                assert!(ways.iter().flatten().count() >= ways.len() - 1, "{ways:?}");
            }
        }
    }

    /// What comes in a burst is heard in its turn, and behind what came before anything was said,
    /// which is not kept.
    #[test]
    fn a_burst_is_played_in_turn() {
        let mut ear = Ear::new(Coding::Companded(Law::Pcmu), Playing::InTurn, PACKET);
        ear.hears(0, &[0xFF; PACKET], 1_000);
        ear.says(1_000);
        for packet in 1..4 {
            ear.hears(packet * 160, &[0xFF; PACKET], 1_000);
        }
        let starts: Vec<u64> = ear.packets.iter().map(|(.., at)| *at).collect();
        assert_eq!(starts, [1, 2, 3].map(|turn| 1_000 + turn * PACKET_NS));
    }

    /// A chirp begins with a packet, and its place is found to a fraction of a sample: it sounds
    /// when that packet does, not when the one before did, which came late.
    #[test]
    fn a_place_is_of_its_packet() {
        let mut ear = Ear::new(Coding::Companded(Law::Pcmu), Playing::OnArrival, PACKET);
        for (number, late_ns) in [(0, 3_000_000), (1, 0), (2, 0)] {
            ear.hears(number * 160, &[0xFF; PACKET], u64::from(number) * PACKET_NS + late_ns);
        }
        let second = (ROOM_SAMPLES + PACKET) as f64;
        let heard_ns = ear.heard_ns(second - 0.02).unwrap();
        assert!((heard_ns - PACKET_NS as f64).abs() < 3_000.0, "{heard_ns}");
        assert!(ear.heard_ns(second - 1.0).unwrap() > PACKET_NS as f64 + 2_000_000.0);
    }

    /// A clock that jumps far away is left out and counted.
    #[test]
    fn a_jump_is_left_out() {
        let mut ear = Ear::new(Coding::Companded(Law::Pcmu), Playing::OnArrival, PACKET);
        for timestamp in [7, 167, 400_000_000, 6, 7u32.wrapping_sub(5_000)] {
            ear.hears(timestamp, &[0xFF; PACKET], 2_000);
        }
        assert_eq!((ear.strays, ear.heard()), (2, 3));
    }
}
