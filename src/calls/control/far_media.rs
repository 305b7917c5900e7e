//! Media of legs at a call's far end: what offer and answer settle, changes in mid-call, and
//! holds, which the other side of the call hears too.

use adapters::agent::{CallState, Direction as Way, EndedBy, StreamFormat};

use super::begin::flows_of;
use super::holding::told;
use super::sip::{leg_format, log_refused};
use super::{Control, security};
use crate::calls::call::Input;
use crate::calls::cause::Cause;
use crate::calls::far::Seat;
use crate::calls::hold::Told;
use crate::calls::live::describe;
use crate::calls::transfer;
use crate::sip::core::endpoint::CommandError;
use crate::sip::core::offer_answer::{self, NegotiationError};
use crate::sip::core::sdp::{Direction, Sdp};
use crate::workers::builtin::{Builtin, Source};
use crate::workers::command::{AgentLink, CallKey, Command, GuestFrom, LegLink};
use crate::workers::poller::now;

impl Control {
    /// Lets media follow what was settled with the leg.
    pub(super) fn settle_far(&mut self, key: CallKey, seat: Seat) {
        let Some(outward) = self.outward_of_far(key, seat) else { return };
        let Some(far) = self.far_of(key, seat) else { return };
        let Some((leg, negotiated)) =
            far.leg.as_ref().and_then(|leg| Some((leg, leg.settled.as_ref()?)))
        else {
            return;
        };
        let mut format = leg_format(negotiated, leg.signalling, &outward);
        format.digits = self.far_digits_by(far, leg, format.media.dtmf_pt.is_some());
        let Some(call) = self.calls.get_mut(&key) else { return };
        let worker = call.worker;
        let Some(leg) = call.far_at_mut(seat).as_mut().and_then(|far| far.leg.as_mut()) else {
            return;
        };
        leg.format =
            Some(StreamFormat { audio: format.media.audio, ptime_ms: format.media.ptime_ms });
        leg.srtp.clone_from(&format.srtp);
        // What is encrypted stays so when we offer next.
        leg.media.srtp.offers = format.srtp.is_some();
        leg.flows = flows_of(&format);
        let command = match (leg.sockets.take(), seat) {
            (Some(sockets), Seat::Coming) => {
                let link = LegLink { sockets, format: Some(format) };
                Command::Aside { call: key, link: Box::new(link) }
            }
            (Some(sockets), Seat::There) => {
                call.sounding = None;
                let link = LegLink { sockets, format: Some(format) };
                Command::Attach { call: key, link: AgentLink::Leg(Box::new(link)) }
            }
            (Some(sockets), Seat::Third) => {
                let link = LegLink { sockets, format: Some(format) };
                let from = GuestFrom::Called(Box::new(link));
                Command::Guest { call: key, from }
            }
            (None, Seat::Third) => Command::GuestFormat { call: key, format },
            (None, Seat::Coming) => Command::AsideFormat { call: key, format },
            (None, Seat::There) => Command::AgentFormat { call: key, format },
        };
        self.command(worker, command);
        self.mirror_hold(key);
    }

    /// Answers a caller that has heard nothing of its media yet with the codec that the leg took,
    /// so that nothing has to be transcoded, if it offered that.
    pub(super) fn match_peer(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let leg = call.far.as_ref().and_then(|far| far.leg.as_ref());
        let Some(codec) = leg.and_then(|leg| leg.settled.as_ref()).map(|settled| settled.codec)
        else {
            return;
        };
        let open = call.direction == Way::Inbound && call.call.state() == CallState::Ringing;
        if !open || call.format.is_some_and(|format| format.audio == codec) {
            return;
        }
        let mut media = call.media.clone();
        let Some(offer) = &call.offer else {
            if call.format.is_none() {
                // It waits for our offer.
                call.media.codecs.retain(|own| *own != codec);
                call.media.codecs.insert(0, codec);
                call.sdp = offer_answer::build_offer(&call.media);
            }
            return;
        };
        media.codecs = vec![codec];
        if let Ok(answer) = offer_answer::answer(offer, &media) {
            call.sdp = answer.sdp;
            self.settle(key, &answer.selected);
        }
    }

    /// The leg acknowledged our answer: to a change without an offer that is where its own comes.
    pub(super) fn far_acked(&mut self, key: CallKey, seat: Seat, answer: Option<&Sdp>) {
        let leg = self.far_of_mut(key, seat).and_then(|far| far.leg.as_mut());
        let Some(leg) = leg else { return };
        if !std::mem::take(&mut leg.delayed_offer) {
            return;
        }
        let settled = Sdp::parse(&leg.sdp)
            .ok()
            .zip(answer)
            .map(|(offer, answer)| offer_answer::accept_answer_to(&offer, &leg.media, answer));
        match settled {
            Some(Ok(settled)) => {
                leg.settled = Some(settled);
                self.settle_far(key, seat);
            }
            _ => {
                let cause = Cause::NetworkFailure;
                let handed_over = self.is_handed_over(key);
                self.drop_far(key, seat, cause);
                match seat {
                    Seat::Coming => {
                        let refused = transfer::Input::Refused(cause.as_str());
                        self.transfer_input(key, refused);
                    }
                    Seat::Third => self.third_left(key, cause.as_str()),
                    // Two are left of three.
                    Seat::There if self.leave_conversation(key).is_ok() => {}
                    // The agent from before has no part in it any more.
                    Seat::There if handed_over => {
                        self.tell(key, Input::End(cause, EndedBy::Network));
                    }
                    Seat::There => self.tell(key, Input::AgentLost),
                }
            }
        }
    }

    /// The leg wants its session otherwise: hold, resume, another address or codec.
    pub(super) fn far_reinvited(&mut self, key: CallKey, seat: Seat, offer: Option<&Sdp>) {
        let at = now();
        let Some(call) = self.calls.get_mut(&key) else { return };
        let span = call.span.clone();
        let Some(leg) = call.far_at_mut(seat).as_mut().and_then(|far| far.leg.as_mut()) else {
            return;
        };
        let dialog = leg.dialog;
        let Some(offer) = offer else {
            // Streams stay in their places, refused ones too.
            let before = Sdp::parse(&leg.sdp).ok();
            let described = describe(&mut leg.media, &mut leg.sdp, |media| {
                let sdp = match &before {
                    Some(before) => offer_answer::build_reoffer(media, before),
                    None => offer_answer::build_offer(media),
                };
                Ok::<_, NegotiationError>((sdp, ()))
            });
            leg.delayed_offer = true;
            let accepted = described.map(|()| self.endpoint.accept_reinvite(at, dialog, &leg.sdp));
            return log_refused(accepted.ok().and_then(Result::err));
        };
        let answer = offer_answer::answer(offer, &leg.media);
        let keys = answer.as_ref().ok().and_then(|answer| answer.selected.srtp.as_ref());
        if security::is_rekeyed(leg.srtp.as_deref(), keys) {
            security::renew(&mut leg.media);
        }
        let answered = describe(&mut leg.media, &mut leg.sdp, |media| {
            offer_answer::answer(offer, media).map(|answer| (answer.sdp, answer.selected))
        });
        match answered {
            Ok(settled) => {
                log_refused(self.endpoint.accept_reinvite(at, dialog, &leg.sdp).err());
                leg.settled = Some(settled);
                // Before its answer it is not heard, unless it is to be.
                if leg.sockets.is_none() {
                    self.settle_far(key, seat);
                }
            }
            Err(error) => {
                tracing::info!(parent: &span, %error, "change of the session refused");
                let refused =
                    self.endpoint.reject_reinvite(at, dialog, 488, "Not Acceptable Here", &[]);
                log_refused(refused.err());
            }
        }
    }

    /// The leg answered a change or a refresh of ours.
    pub(super) fn far_change_answered(&mut self, key: CallKey, seat: Seat, answer: Option<&Sdp>) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let span = call.span.clone();
        let Some(leg) = call.far_at_mut(seat).as_mut().and_then(|far| far.leg.as_mut()) else {
            return;
        };
        let held = leg.hold.answered();
        // Keys hold until somebody offers others.
        let settles = held || leg.srtp.is_none();
        let offer = Sdp::parse(&leg.sdp).ok().filter(|_| settles);
        let settled = offer
            .zip(answer)
            .map(|(offer, answer)| offer_answer::accept_answer_to(&offer, &leg.media, answer));
        match settled {
            Some(Ok(settled)) => {
                leg.settled = Some(settled);
                self.settle_far(key, seat);
            }
            Some(Err(error)) => {
                tracing::info!(parent: &span, %error, "answer of a change cannot be used");
            }
            None => {}
        }
        self.tell_far_hold(key, seat);
    }

    /// The leg refused a change of ours: what was settled before holds.
    pub(super) fn far_change_refused(&mut self, key: CallKey, seat: Seat, status: u16) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let span = call.span.clone();
        let Some(leg) = call.far_at_mut(seat).as_mut().and_then(|far| far.leg.as_mut()) else {
            return;
        };
        if leg.hold.answered() {
            leg.media.direction = Direction::SendRecv;
            tracing::info!(parent: &span, status, "the leg takes no hold");
            self.tell_far_hold(key, seat);
        }
    }

    /// Lets each side of a call that joins two know that the other has put it on hold. Who holds
    /// and sends, with music perhaps, is heard; who sends nothing is replaced by a sound of ours.
    pub(super) fn mirror_hold(&mut self, key: CallKey) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.ended.is_none()) else {
            return;
        };
        if call.third.is_some() {
            return self.let_three_talk(key);
        }
        let (flows, worker, sounds) =
            (call.flows, call.worker, call.current_agent().hold_music.clone());
        let own_hold = call.hold.is_on();
        let Some(far) = call.far.as_mut() else { return };
        let Some(leg) = far.leg.as_mut().filter(|leg| leg.up && leg.sockets.is_none()) else {
            return;
        };
        let far_holds = !leg.flows.sends;
        let changes = far_holds != far.holds_peer && (far.holds_peer || !own_hold);
        if changes {
            far.holds_peer = far_holds;
        }
        // Whom somebody else than the leg has put on hold, the leg waits for and does not hear.
        let ours = own_hold && !far.holds_peer;
        let held = !flows.sends || ours;
        let sounding = held && (ours || !flows.receives || far.hears_nothing);
        let mirrored = std::mem::replace(&mut leg.mirrored, (held, sounding));
        let format = leg.format;
        let told = leg.hold.want(held);
        if mirrored.1 != sounding
            && let Some(format) = format
        {
            let format = format.audio.waiting();
            let sound = sounding.then(|| match &sounds {
                Some(file) => self.sounds.music(file, format),
                None => self.sounds.noise(format),
            });
            let sound = sound.map(|sound| Builtin::speaker(Source::Loop(sound), false));
            self.command(worker, Command::AgentHold { call: key, sound });
        }
        if told {
            self.tell_far_hold(key, Seat::There);
        }
        if changes {
            drop(self.hold(key, far_holds));
        }
    }

    /// Among three, who holds is not heard, and the others talk on: no leg waits for anybody, nor
    /// the peer for a leg.
    fn let_three_talk(&mut self, key: CallKey) {
        for seat in [Seat::There, Seat::Third] {
            let Some(call) = self.calls.get_mut(&key) else { return };
            let worker = call.worker;
            let Some(far) = call.far_at_mut(seat).as_mut() else { continue };
            let held_peer = std::mem::take(&mut far.holds_peer);
            let Some(leg) = far.leg.as_mut().filter(|leg| leg.up && leg.sockets.is_none()) else {
                continue;
            };
            let (_, sounding) = std::mem::take(&mut leg.mirrored);
            let told = leg.hold.want(false);
            // Whoever moves to another seat leaves its sound behind.
            if sounding && seat == Seat::There {
                self.command(worker, Command::AgentHold { call: key, sound: None });
            }
            if told {
                self.tell_far_hold(key, seat);
            }
            if held_peer {
                drop(self.hold(key, false));
            }
        }
    }

    /// Tells the leg what it has not been told yet of its hold.
    pub(super) fn tell_far_hold(&mut self, key: CallKey, seat: Seat) {
        let at = now();
        // Through the field, as the endpoint is needed besides.
        let far = self.calls.get_mut(&key).and_then(|call| call.far_at_mut(seat).as_mut());
        let leg = far.and_then(|far| far.leg.as_mut());
        let Some(leg) = leg.filter(|leg| leg.up) else { return };
        let Some(on) = leg.hold.to_tell(at) else { return self.reschedule(key) };
        let before = (leg.media.clone(), leg.sdp.clone());
        leg.media.direction = if on { Direction::SendOnly } else { Direction::SendRecv };
        let streams = Sdp::parse(&leg.sdp).ok();
        let offered = describe(&mut leg.media, &mut leg.sdp, |media| {
            let sdp = match &streams {
                Some(streams) => offer_answer::build_reoffer(media, streams),
                None => offer_answer::build_offer(media),
            };
            Ok::<_, NegotiationError>((sdp, ()))
        });
        let sent = match offered {
            Ok(()) => self.endpoint.reinvite(at, leg.dialog, Some(&leg.sdp)),
            Err(_) => Err(CommandError::State),
        };
        let told = told(sent);
        if told != Told::Sent {
            (leg.media, leg.sdp) = before;
        }
        leg.hold.telling(at, on, told);
        self.reschedule(key);
    }
}
