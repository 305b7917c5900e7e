//! What the other leg of a call gets that does not come from the first: the sound of a hold, and
//! digits that came by signalling.

use std::time::Duration;

use media::rtp::HEADER_BYTES;
use media::time::MonoTime;

use super::bridge::BridgeLeg;
use super::builtin::Builtin;
use super::context::Context;
use super::pace::CATCH_UP_TICKS_MAX;
use crate::telemetry::{DropReason, Kind};

impl BridgeLeg {
    /// The leg is on hold and hears `sound`, or it is back.
    pub(super) fn hold(&mut self, now: MonoTime, sound: Option<Builtin>) {
        self.sound = sound;
        self.said_all = false;
        self.restart_ticks(now);
    }

    /// Presses a key for it; false if it is to be told by signalling.
    pub(super) fn press(&mut self, now: MonoTime, digit: char, duration_ms: u32) -> bool {
        let pressed = self.peer.press(digit, duration_ms);
        self.restart_ticks(now);
        pressed
    }

    /// Whether something of ours is said to it.
    fn speaks(&self) -> bool {
        let sends = self.peer.format().is_some_and(|format| format.send);
        sends && (self.peer.says_digits() || self.sound.is_some())
    }

    /// Starts or stops the pacer.
    pub(super) fn restart_ticks(&mut self, now: MonoTime) {
        if !self.speaks() {
            self.next_tick = MonoTime::MAX;
        } else if self.next_tick == MonoTime::MAX {
            self.next_tick = now;
            let Some(leg) = self.peer.leg() else { return };
            // Media time goes on while nothing is sent (RFC 3550 5.1).
            let (at, clock_hz) = (leg.sender().ts(), leg.config().audio.clock_hz());
            let passed = leg.sender().ts_at(now, clock_hz).wrapping_sub(at);
            leg.pause(if passed < 1 << 31 { passed } else { 0 });
        }
    }

    /// Sends what is due.
    pub(super) fn ticks(&mut self, ctx: &mut Context) {
        if self.next_tick > ctx.now {
            return;
        }
        let Some(media) = self.peer.format().map(|format| format.media) else { return };
        let ptime = Duration::from_millis(u64::from(media.ptime_ms.max(1)));
        for _ in 0..CATCH_UP_TICKS_MAX {
            if !self.speaks() || self.next_tick > ctx.now {
                break;
            }
            self.tick(ctx, media.audio.bytes(media.ptime_ms), media.ptime_ms);
            self.next_tick += ptime;
        }
        if self.next_tick <= ctx.now {
            self.next_tick = ctx.now + ptime;
        }
        self.restart_ticks(ctx.now);
    }

    /// One packet.
    fn tick(&mut self, ctx: &mut Context, bytes: usize, ptime_ms: u32) {
        let Some(out) = ctx.packet.get_mut(..HEADER_BYTES + bytes) else { return };
        let Some(leg) = self.peer.leg() else { return };
        let event = out.first_chunk_mut().and_then(|out| leg.write_event(out));
        let length = match event {
            // The pause between two digits.
            Some(0) => return,
            Some(event) => event,
            None => {
                let Some((header, payload)) = out.split_first_chunk_mut::<HEADER_BYTES>() else {
                    return;
                };
                let sounds = self.outlet.sounds();
                let (tones, sound) = (&mut self.peer.tones, &mut self.sound);
                let said_all = &mut self.said_all;
                let mut next = |frame: &mut [u8]| match sound {
                    _ if tones.fill(sounds, frame) => {}
                    Some(sound) => {
                        *said_all |= !sound.next_frame(frame, sounds.codec.silence());
                    }
                    None => frame.fill(sounds.codec.silence()),
                };
                let length = match self.outlet.encoder() {
                    None => {
                        next(payload);
                        payload.len()
                    }
                    Some(encoder) => {
                        let linear = ctx.linear.get_mut(..sounds.bytes(ptime_ms));
                        let Some(linear) = linear else { return };
                        next(linear);
                        encoder.convert(linear, payload)
                    }
                };
                let Some(leg) = self.peer.leg() else { return };
                if length == 0 {
                    // Nobody speaks, and the peer wants no packets that say so.
                    return leg.pause(leg.config().audio.ticks(ptime_ms));
                }
                leg.write_audio(ctx.now, header, payload.get(..length).unwrap_or_default());
                HEADER_BYTES + length
            }
        };
        match self.peer.send(&mut ctx.packet, length) {
            Ok(sent) => ctx.metrics.sent(Kind::Rtp, sent),
            Err(_) => ctx.metrics.dropped(DropReason::SocketFull),
        }
    }
}
