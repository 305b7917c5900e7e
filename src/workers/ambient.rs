//! The ambient bed under what a peer hears.

use media::bed::Bed;
use media::codec::AudioFormat;

use super::context::Context;
use super::path::MediaPath;
use super::samples;

/// Samples of the longest frame: 60 ms at 48 kHz.
const FRAME_SAMPLES: usize = 2_880;

/// Mixes what comes next of `bed` under `frame`, which is coded as `format` and the agent's own
/// sound if `agents`.
pub(super) fn mix(bed: &mut Bed, format: AudioFormat, frame: &mut [u8], agents: bool) {
    let mut buffer = [0; FRAME_SAMPLES];
    let count = samples::read(format, frame, &mut buffer);
    let heard = buffer.get_mut(..count).unwrap_or_default();
    bed.mix(heard, agents);
    samples::write(format, heard, frame);
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
        if self.outlet.mix(self.is_mixed()) {
            self.follow_peer();
            self.reformat(ctx);
        }
        self.tune_outlet();
        // A line that was quiet is not any more.
        self.restart_ticks(ctx.now);
    }
}
