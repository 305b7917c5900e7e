//! The half of a media path that sends back what it hears.

use adapters::agent::CallState;
use media::leg::HeardAudio;
use media::rtp::{Frame, HEADER_BYTES};
use media::stages::Stage;

use super::context::{Context, HEADROOM_BYTES};
use super::path::MediaPath;
use super::peer_end::PeerEnd;
use super::taps::Said;
use crate::telemetry::{DropReason, Kind};

impl MediaPath {
    /// Sends a packet back as it came, in the buffer in which it came, under our own header.
    #[inline]
    pub(super) fn reflect(&mut self, ctx: &mut Context, heard: HeardAudio) {
        let PeerEnd::Rtp(peer) = &mut self.peer else { return };
        let sends = peer.format().is_some_and(|format| format.send);
        if self.state == CallState::Ringing || self.hushed || !sends {
            return;
        }
        if peer.says_digits() || !self.plays.is_empty() {
            // They take the place of audio, and its media time.
            self.echo_ts = None;
            return;
        }
        let Some(leg) = peer.leg() else { return };
        // What is older than what was sent last is of no use to the ear; a gap stays visible in
        // media time.
        if self.echo_ts.is_some_and(|expected| heard.arrival.ext_ts < expected) {
            return;
        }
        let start = HEADROOM_BYTES + heard.start;
        let payload = ctx.packet.get(start..start + heard.len).unwrap_or_default();
        self.taps.heard(
            ctx.now,
            Frame {
                ext_seq: heard.arrival.ext_seq,
                ext_ts: heard.arrival.ext_ts,
                marker: heard.marker,
                payload,
            },
        );
        let ticks = leg.config().audio.payload_ticks(payload);
        if let Some(expected) = self.echo_ts {
            let gap = heard.arrival.ext_ts.saturating_sub(expected);
            leg.hold(u32::try_from(gap).unwrap_or(0));
        }
        self.echo_ts = Some(heard.arrival.ext_ts + u64::from(ticks));
        self.taps.said(Said { due: ctx.now, ts: leg.sender().ts(), payload });
        let start = start - HEADER_BYTES;
        // What follows the packet is room for its protection.
        let Some(packet) = ctx.packet.get_mut(start..) else { return };
        if let Some((header, rest)) = packet.split_first_chunk_mut::<HEADER_BYTES>() {
            leg.write_audio(ctx.now, header, rest.get(..heard.len).unwrap_or_default());
        }
        match peer.send(packet, HEADER_BYTES + heard.len) {
            Ok(sent) => ctx.metrics.sent(Kind::Rtp, sent),
            Err(_) => ctx.metrics.dropped(DropReason::SocketFull),
        }
        ctx.lap(Stage::KernelSend);
    }
}
