//! An agent that takes and sends RTP at a fixed address.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use adapters::agent::StreamFormat;
use media::blocks::BlockPool;
use media::codec::{AudioFormat, opus};
use media::convert::Converter;
use media::jitter::JitterSnapshot;
use media::leg::{Leg, LegConfig};
use media::rtp::{Frame, HEADER_BYTES};
use media::time::MonoTime;

use super::command::RtpLink;
use super::context::{Context, FrameSink, HEADROOM_BYTES};
use super::inflow::{Inflow, Sounded};
use super::outlet::Outlet;
use super::token::{Part, Token};
use crate::telemetry::Kind;

/// An agent that speaks RTP. What it says comes over a network and is played out on the caller's
/// clock, so it goes through a jitter buffer.
#[derive(Debug)]
pub(super) struct RtpAgent {
    pub(super) socket: UdpSocket,
    leg: Leg,
    to_agent: Converter,
    inflow: Inflow,
    /// It has sent something.
    spoke: bool,
    to: StreamFormat,
    /// Media time expected next from the peer, in its clock.
    expected_ts: Option<u64>,
    peer: StreamFormat,
    /// It hears several at once, in the place of the peer's own frames.
    hears_mix: bool,
}

impl RtpAgent {
    pub(super) fn new(
        ctx: &mut Context,
        call: u64,
        link: RtpLink,
        peer: StreamFormat,
        outlet: &Outlet,
    ) -> io::Result<Self> {
        // Connected: the kernel lets nobody but the agent through.
        link.socket.connect(link.remote)?;
        ctx.poller.add(&link.socket, Token::part(call, Part::Agent))?;
        let config = LegConfig {
            audio: link.audio,
            pt: link.pt,
            receive_pt: link.pt,
            dtmf_pt: None,
            receive_dtmf_pt: None,
            cn_pt: None,
            ptime_ms: link.ptime_ms,
            opus: opus::Settings::default(),
        };
        Ok(Self {
            socket: link.socket,
            leg: Leg::new(ctx.now, config, ctx.stream_start()),
            to_agent: Converter::new(peer.audio, link.audio),
            inflow: Inflow::new(link.audio, outlet.sounds()),
            spoke: false,
            to: StreamFormat { audio: link.audio, ptime_ms: link.ptime_ms },
            expected_ts: None,
            peer,
            hears_mix: false,
        })
    }

    /// Takes another format of the peer.
    pub(super) fn reformat(&mut self, peer: StreamFormat, outlet: &Outlet) {
        self.to_agent = Converter::new(peer.audio, self.to.audio);
        self.inflow.listen_as(outlet.sounds());
        self.expected_ts = None;
        self.peer = peer;
    }

    /// It hears several at once from now on, or the peer alone again.
    pub(super) const fn hear_mix(&mut self, mixed: bool) {
        self.hears_mix = mixed;
    }

    /// Sends one frame of the peer's audio, unless it hears several at once.
    #[inline]
    pub(super) fn send_audio(&mut self, sink: &mut FrameSink<'_>, frame: Frame<'_>) {
        if !self.hears_mix {
            self.send_mixed(sink, frame);
        }
    }

    /// Sends one frame of what it hears; gaps stay visible in media time.
    #[inline]
    pub(super) fn send_mixed(&mut self, sink: &mut FrameSink<'_>, frame: Frame<'_>) {
        if self.to_agent.max_output(frame.payload.len()) + HEADER_BYTES > sink.convert.len() {
            return;
        }
        if let Some(expected) = self.expected_ts {
            let gap = frame.ext_ts.saturating_sub(expected) * u64::from(self.to.audio.clock_hz())
                / u64::from(self.peer.audio.clock_hz());
            self.leg.hold(u32::try_from(gap).unwrap_or(0));
        }
        let ticks = self.peer.audio.payload_ticks(frame.payload);
        self.expected_ts = Some(frame.ext_ts + u64::from(ticks));
        let Some((header, payload)) = sink.convert.split_first_chunk_mut::<HEADER_BYTES>() else {
            return;
        };
        let length = self.to_agent.convert(frame.payload, payload);
        if length == 0 {
            // A packet of Opus that waits for its rest.
            return;
        }
        if frame.marker {
            self.leg.mark();
        }
        self.leg.write_audio(sink.now, header, payload.get(..length).unwrap_or_default());
        let packet = sink.convert.get(..HEADER_BYTES + length).unwrap_or_default();
        if self.socket.send(packet).is_ok() {
            sink.metrics.sent(Kind::AgentAudio, packet.len());
        }
    }

    /// One datagram of the agent.
    pub(super) fn on_packet(&mut self, ctx: &mut Context) {
        let Some(buffer) = ctx.packet.get_mut(HEADROOM_BYTES..) else { return };
        let Ok(length) = self.socket.recv(buffer) else { return };
        let datagram = buffer.get(..length).unwrap_or_default();
        ctx.metrics.received(Kind::AgentAudio, length);
        let heard = self.leg.receive(ctx.now, datagram);
        self.inflow.put(ctx.now, &mut ctx.blocks, heard, datagram);
        self.spoke = true;
    }

    /// What the agent speaks.
    pub(super) const fn audio(&self) -> AudioFormat {
        self.to.audio
    }

    /// True once the agent has sent anything.
    pub(super) const fn spoke(&self) -> bool {
        self.spoke
    }

    /// Writes what the agent says next to `out`.
    #[inline]
    pub(super) fn pull(
        &mut self,
        now: MonoTime,
        blocks: &mut BlockPool,
        out: &mut [u8],
    ) -> Sounded {
        self.inflow.pull(now, blocks, out)
    }

    /// How much of what it has said waits.
    pub(super) fn waits(&self) -> Duration {
        self.inflow.waits()
    }

    /// Gives all memory back, and tells how its sound fared.
    pub(super) fn release(&mut self, now: MonoTime, blocks: &mut BlockPool) -> JitterSnapshot {
        let snapshot = self.inflow.snapshot(now);
        self.inflow.release(blocks);
        snapshot
    }
}
