//! The ambient bed under what a peer hears.

use media::bed::Bed;
use media::codec::g711::Law;
use media::codec::{AudioFormat, Codec, l16};

use super::context::Context;
use super::path::MediaPath;

/// Samples of the longest frame: 60 ms at 48 kHz.
const FRAME_SAMPLES: usize = 2_880;

/// Mixes what comes next of `bed` under `frame`, which is coded as `format` and the agent's own
/// sound if `agents`.
pub(super) fn mix(bed: &mut Bed, format: AudioFormat, frame: &mut [u8], agents: bool) {
    let mut samples = [0; FRAME_SAMPLES];
    let law = match format.codec {
        Codec::Pcmu => Some(Law::Mu),
        Codec::Pcma => Some(Law::A),
        _ => None,
    };
    let count = match (law, format.codec) {
        (Some(law), _) => law.decode(frame, &mut samples),
        (None, Codec::L16Le) => l16::from_le(frame, &mut samples),
        (None, Codec::L16Be) => l16::from_be(frame, &mut samples),
        // Sounds wait in none of these.
        (None, _) => 0,
    };
    let samples = samples.get_mut(..count).unwrap_or_default();
    bed.mix(samples, agents);
    match (law, format.codec) {
        (Some(law), _) => law.encode(samples, frame),
        (None, Codec::L16Be) => l16::to_be(samples, frame),
        (None, _) => l16::to_le(samples, frame),
    };
}

impl MediaPath {
    /// The peer hears `bed` under its agent from now on, or none. One that is there already goes on
    /// at its place.
    pub(super) fn ambient(&mut self, ctx: &mut Context, bed: Option<Box<Bed>>) {
        let before = std::mem::replace(&mut self.bed, bed);
        if let (Some(bed), Some(before)) = (&mut self.bed, &before) {
            bed.go_on_from(before);
        }
        // Frames of the peer's own codec must be opened for what is mixed under them.
        if self.outlet.mix(self.bed.is_some()) {
            self.follow_peer();
            self.reformat(ctx);
        }
        self.tune_outlet();
        // A line that was quiet is not any more.
        self.restart_ticks(ctx.now);
    }
}
