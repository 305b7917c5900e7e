//! An agent that takes and sends RTP at a fixed address.

use std::io;
use std::net::UdpSocket;

use adapters::agent::StreamFormat;
use media::codec::AudioFormat;
use media::convert::Converter;
use media::leg::{Heard, Leg, LegConfig};
use media::playout::Playout;
use media::rtp::{Frame, HEADER_BYTES};
use media::time::MonoTime;

use super::command::RtpLink;
use super::context::{Context, FrameSink, HEADROOM_BYTES};
use super::outlet::Outlet;
use super::token::{Part, Token};
use crate::telemetry::Kind;

/// Audio of an RTP agent that may wait for the peer, in milliseconds: it sends in real time, so
/// more would only be delay.
pub(super) const QUEUE_MS: u32 = 200;

/// An agent that speaks RTP.
#[derive(Debug)]
pub(super) struct RtpAgent {
    pub(super) socket: UdpSocket,
    leg: Leg,
    to_agent: Converter,
    from_agent: Converter,
    to: StreamFormat,
    /// Media time expected next from the peer, in its clock.
    expected_ts: Option<u64>,
    peer: StreamFormat,
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
        };
        Ok(Self {
            socket: link.socket,
            leg: Leg::new(ctx.now, config, ctx.stream_start()),
            to_agent: Converter::new(peer.audio, link.audio),
            from_agent: Converter::new(link.audio, outlet.queued(link.audio)),
            to: StreamFormat { audio: link.audio, ptime_ms: link.ptime_ms },
            expected_ts: None,
            peer,
        })
    }

    /// The agent's own audio.
    pub(super) const fn audio(&self) -> AudioFormat {
        self.to.audio
    }

    /// When [`RtpAgent::handle_timeout`] is due.
    pub(super) fn deadline(&self) -> MonoTime {
        self.leg.deadline().unwrap_or(MonoTime::MAX)
    }

    /// Takes another format of the peer.
    pub(super) fn reformat(&mut self, peer: StreamFormat, outlet: &Outlet) {
        self.to_agent = Converter::new(peer.audio, self.to.audio);
        self.from_agent = Converter::new(self.to.audio, outlet.queued(self.to.audio));
        self.expected_ts = None;
        self.peer = peer;
    }

    /// Sends one frame of the peer's audio; gaps stay visible in media time.
    #[inline]
    pub(super) fn send_audio(&mut self, sink: &mut FrameSink<'_>, frame: Frame<'_>) {
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
    pub(super) fn on_packet(&mut self, ctx: &mut Context, playout: &mut Playout) {
        let Some(buffer) = ctx.packet.get_mut(HEADROOM_BYTES..) else { return };
        let Ok(length) = self.socket.recv(buffer) else { return };
        let datagram = buffer.get(..length).unwrap_or_default();
        ctx.metrics.received(Kind::AgentAudio, length);
        let Heard::Audio(heard) = self.leg.receive(ctx.now, datagram) else { return };
        let payload = datagram.get(heard.start..heard.start + heard.len).unwrap_or_default();
        let arrival = heard.arrival;
        let frame = Frame {
            ext_seq: arrival.ext_seq,
            ext_ts: arrival.ext_ts,
            marker: heard.marker,
            payload,
        };
        let Self { leg, from_agent, .. } = self;
        let Context { now, convert, blocks, .. } = ctx;
        leg.reorder(*now, frame, |frame| {
            if from_agent.max_output(frame.payload.len()) <= convert.len() {
                let length = from_agent.convert(frame.payload, convert);
                // What does not fit is the newest, as for every agent.
                let _ = playout.push(*now, blocks, convert.get(..length).unwrap_or_default());
            }
        });
    }

    /// Frames that waited for others in vain.
    pub(super) fn handle_timeout(&mut self, ctx: &mut Context, playout: &mut Playout) {
        let Self { leg, from_agent, .. } = self;
        let Context { now, convert, blocks, .. } = ctx;
        leg.poll_reorder(*now, |frame| {
            if from_agent.max_output(frame.payload.len()) <= convert.len() {
                let length = from_agent.convert(frame.payload, convert);
                let _ = playout.push(*now, blocks, convert.get(..length).unwrap_or_default());
            }
        });
    }
}
