//! What others than the agent do to a media path.

use std::time::Duration;

use media::rtp::Stood;

use super::builtin::Builtin;
use super::command::{EventKind, LegFormat, RtpSockets};
use super::context::Context;
use super::path::{Agent, MediaPath};
use super::peer::PeerLeg;
use super::peer_end::PeerEnd;
use super::play::PlaySound;
use super::token::{Part, Token};

/// What may be done to a call's media besides by its agent.
#[derive(Debug)]
pub enum Steer {
    /// Send digits to the peer.
    Dtmf {
        /// `0-9`, `A-D`, `*`, `#`.
        digits: String,
        /// Length of each in milliseconds.
        duration_ms: u32,
        /// Pause between them in milliseconds.
        gap_ms: u32,
    },
    /// Whether the peer hears the agent.
    Mute(bool),
    /// Drop what is queued.
    Clear,
    /// Let the peer hear a sound.
    Play(PlaySound),
}

impl MediaPath {
    /// Does what the API asks for.
    pub(super) fn steer(&mut self, ctx: &mut Context, steer: Steer) {
        match steer {
            Steer::Dtmf { digits, duration_ms, gap_ms } => {
                // Whether the peer takes digits was asked before; a queue that is full drops them,
                // as it does for an agent.
                let _ = self.queue_digits(&digits, duration_ms, gap_ms);
                self.press_keys(ctx);
                // What is passed on, or sent back, has no clock by which digits leave.
                self.restart_ticks(ctx.now);
            }
            Steer::Mute(muted) => self.muted = muted,
            Steer::Play(sound) => self.play(ctx, sound),
            Steer::Clear => {
                self.clear(ctx);
                self.actions(ctx);
            }
        }
    }

    /// Another peer takes the place of ours.
    pub(super) fn replace(&mut self, ctx: &mut Context, sockets: RtpSockets, format: LegFormat) {
        let watched = ctx
            .poller
            .add(&sockets.rtp, Token::part(self.token, Part::Rtp))
            .and_then(|()| ctx.poller.add(&sockets.rtcp, Token::part(self.token, Part::Rtcp)));
        if let Err(error) = watched {
            tracing::error!(%error, "a call's sockets cannot be watched");
            return ctx.tell(self.key, EventKind::MediaTimeout);
        }
        let old = self.peer.stream();
        let start = ctx.stream_start();
        // Another telephone: what is known of its sound, its digits and its echo begins anew.
        self.silence.settled(ctx.now, None, &format);
        self.digits_otherwise = false;
        self.echo_ts = None;
        match &mut self.peer {
            PeerEnd::Rtp(peer) => {
                let before = peer.replace(ctx.now, sockets, format);
                ctx.poller.remove(&before.rtp);
                ctx.poller.remove(&before.rtcp);
            }
            PeerEnd::Line(line) => {
                // Three have a clock that counts what a line's frames were cut into.
                let stood = line.stands(self.conference.is_some());
                line.end(ctx);
                let peer = PeerLeg::new(ctx.now, sockets, Some(format), start);
                self.follow_line(peer, stood);
            }
        }
        self.settled(ctx, old);
    }

    /// Puts a telephone in the place of a line whose stream stood there: whoever hears the peer is
    /// in the same stream, and its media time goes on.
    fn follow_line(&mut self, mut peer: PeerLeg, stood: Option<Stood>) {
        if let (Some(leg), Some(stood)) = (peer.leg(), stood) {
            leg.receiver_mut().follow(stood);
        }
        if let Agent::Leg(leg) = &mut self.agent {
            // It was passed pieces, whose numbers are others.
            leg.pass_again(peer.stream().audio);
        }
        self.peer = PeerEnd::Rtp(peer);
    }

    /// The peer is on hold and hears `sound`, or it is back. The agent hears nothing meanwhile, and
    /// what it says waits.
    pub(super) fn hold(&mut self, ctx: &mut Context, sound: Option<Builtin>) {
        self.held = sound.map(Box::new);
        self.echo_ts = None;
        self.restart_ticks(ctx.now);
    }

    /// A transfer moved on.
    pub(super) fn transfer(
        &mut self,
        ctx: &mut Context,
        state: &'static str,
        cause: Option<&'static str>,
    ) {
        if let Agent::Socket(socket) = &mut self.agent {
            socket.session.transfer(state, cause.map(str::to_owned));
        }
        self.actions(ctx);
    }

    /// The call ends soon: whoever talks is told, and whoever comes later.
    pub(super) fn expiring(&mut self, ctx: &mut Context, left_ms: u64) {
        self.ends_at = Some(ctx.now + Duration::from_millis(left_ms));
        if let Agent::Socket(socket) = &mut self.agent {
            socket.session.expiring(left_ms);
        }
        self.actions(ctx);
    }

    /// An agent has come: it is told behind its `start` what was told before.
    pub(super) fn catch_up(&mut self, ctx: &Context) {
        let Agent::Socket(socket) = &mut self.agent else { return };
        socket.state(self.state);
        if let Some(ends_at) = self.ends_at {
            let left = ends_at.since(ctx.now).as_millis();
            socket.session.expiring(u64::try_from(left).unwrap_or(u64::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::sync::Arc;

    use adapters::agent::StreamFormat;
    use media::codec::AudioFormat;
    use media::leg::{Heard, LegConfig};
    use media::rtp::{HEADER_BYTES, Header, write_header};
    use tokio::sync::mpsc;

    use super::*;
    use crate::calls::digits::DigitsBy;
    use crate::telemetry::WorkerMetrics;
    use crate::workers::Care;
    use crate::workers::command::CallKey;
    use crate::workers::line::{LineLeg, LinePlan};

    /// Sockets of a leg, and what was settled with a telephone that takes this audio.
    fn telephone(audio: AudioFormat) -> (RtpSockets, LegFormat) {
        let socket = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sockets = RtpSockets { rtp: socket(), rtcp: socket() };
        let remote = sockets.rtp.local_addr().unwrap();
        let media = LegConfig {
            audio,
            pt: 0,
            receive_pt: 0,
            dtmf_pt: None,
            receive_dtmf_pt: None,
            cn_pt: None,
            ptime_ms: 20,
            opus: Default::default(),
        };
        let format = LegFormat {
            remote,
            remote_rtcp: remote,
            signalling: Ipv4Addr::LOCALHOST.into(),
            media,
            digits: DigitsBy::Nothing,
            send: true,
            receive: true,
            rtcp_mux: false,
            xr: false,
            srtp: None,
        };
        (sockets, format)
    }

    /// A telephone in the place of a line goes on where the line stood: at the next number, and at
    /// the media time that has passed since, whatever its packets are numbered by and however long
    /// the carrier's frames were.
    #[test]
    fn a_telephone_goes_on_in_the_stream_of_a_line() {
        for frame_ms in [20, 200] {
            let (events, _told) = mpsc::channel(16);
            let metrics = Arc::new(WorkerMetrics::default());
            let mut ctx = Context::new(metrics, events, Care::default()).unwrap();
            let audio = AudioFormat::PCMU;
            let format = StreamFormat { audio, ptime_ms: 20 };
            let (buffer_ms, digits, dtmf_inband) = (80, DigitsBy::Nothing, false);
            let mut line = LineLeg::new(LinePlan { format, buffer_ms, digits, dtmf_inband });
            let frame = vec![0xff; audio.bytes(frame_ms)];
            for _ in 0..3 {
                line.place(ctx.now, (None, None), &frame);
                ctx.now += Duration::from_millis(frame_ms.into());
            }
            ctx.now += Duration::from_secs(2);
            let peer = PeerEnd::Line(Box::new(line));
            let mut path = MediaPath::new(ctx.now, CallKey(1), Token::call(0, 0), peer);
            let (sockets, format) = telephone(audio);
            path.replace(&mut ctx, sockets, format);
            let mut packet = [0xff; HEADER_BYTES + 160];
            let header = Header { marker: true, pt: 0, seq: 9_000, ts: 7, ssrc: 5 };
            write_header(packet.first_chunk_mut().unwrap(), &header);
            let now = ctx.now + Duration::from_secs(1);
            let Heard::Audio(heard) = path.peer.leg().unwrap().receive(now, &packet) else {
                panic!("no audio");
            };
            assert_eq!(heard.arrival.ext_seq, 4);
            // A packet of 20 ms that came 20 ms after the newest frame would lack nothing; this one
            // came 3 s and a frame after it.
            let (ends, gap) = (audio.ticks(3 * frame_ms), audio.ticks(3_000 + frame_ms - 20));
            assert_eq!(heard.arrival.ext_ts, u64::from(ends + gap), "{frame_ms} ms");
        }
    }
}
