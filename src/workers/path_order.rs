//! The half of a media path that puts what the peer sends into its order.

use media::rtp::Frame;

use super::context::Context;
use super::path::MediaPath;

impl MediaPath {
    /// A frame that is not the next one: it waits, or what waited goes on.
    #[cold]
    pub(super) fn out_of_order(&mut self, ctx: &mut Context, frame: Frame<'_>) {
        let Self { agent, peer, taps, .. } = self;
        let Some(leg) = peer.leg() else { return };
        let (mut sink, mut went_on) = (ctx.frame_sink(), 0);
        leg.reorder(sink.now, frame, |frame| {
            went_on += 1;
            sink.give(agent, taps, frame);
        });
        self.timeline.reordered(ctx.now, &ctx.metrics, went_on);
    }

    /// A packet without audio takes its place in the order, so that nobody waits for it.
    pub(super) fn pass_over(&mut self, ctx: &mut Context, ext_seq: u64) {
        let Self { agent, peer, taps, .. } = self;
        let Some(leg) = peer.leg() else { return };
        let (mut sink, mut went_on) = (ctx.frame_sink(), 0);
        leg.pass_over(sink.now, ext_seq, |frame| {
            went_on += 1;
            sink.give(agent, taps, frame);
        });
        if went_on > 0 {
            self.timeline.reordered(ctx.now, &ctx.metrics, went_on);
        }
    }

    /// Frames whose predecessors have not come in time.
    pub(super) fn late_frames(&mut self, ctx: &mut Context) {
        let Self { agent, peer, taps, .. } = self;
        let Some(leg) = peer.leg() else { return };
        let (mut sink, mut went_on) = (ctx.frame_sink(), 0);
        leg.poll_reorder(sink.now, |frame| {
            went_on += 1;
            sink.give(agent, taps, frame);
        });
        if went_on > 0 {
            self.timeline.reordered(ctx.now, &ctx.metrics, went_on);
        }
    }
}
