//! What the responses of the server mean for a call.

use super::{Event, Failure, State, Uac};
use crate::sip::digest::Denied;
use crate::sip::text::{Message, Request};
use crate::srtp::Keying;

/// Statuses of challenges (RFC 3261 21.4.2, 21.4.8).
const CHALLENGES: [u16; 2] = [401, 407];

/// When a response came: on the monotonic clock, and its stamp on the real-time clock, in
/// nanoseconds.
type Times = (u64, u64);

impl Uac {
    /// A provisional response to INVITE.
    pub(super) fn invite_rings(&mut self, id: u32, cseq: u32) {
        let Some(call) = self.calls.get_mut(&id) else {
            self.counters.strange += 1;
            return;
        };
        if call.state == State::Calling && call.cseq == cseq {
            call.state = State::Proceeding;
            // Timer C of RFC 3261 16.6 is minutes; a load test waits as long as timer B.
            let give_up = call.give_up_ns;
            self.arm(id, give_up);
        }
    }

    /// A final response to INVITE.
    pub(super) fn invite_response(
        &mut self,
        id: u32,
        cseq: u32,
        message: &Message<'_>,
        (now_ns, stamp_ns): Times,
    ) {
        let (Some(call), Some(status)) = (self.calls.get_mut(&id), message.status()) else {
            self.counters.strange += 1;
            return;
        };
        let is_early = matches!(call.state, State::Calling | State::Proceeding);
        if !is_early || call.cseq != cseq {
            match call.acks.iter().find(|(of, _)| *of == cseq) {
                Some((_, ack)) => {
                    self.counters.repeated_answers += 1;
                    self.out.push_back(ack.clone());
                }
                None => self.counters.strange += 1,
            }
            return;
        }
        let is_cancelled = call.is_cancelled;
        if status < 300 {
            call.remote = message.contact().unwrap_or(&call.caller.target).to_owned();
            call.routes = message.route_set();
            call.to = message.header("To").unwrap_or_default().to_owned();
        }
        self.acknowledge(id, message, status < 300);
        if CHALLENGES.contains(&status) && !is_cancelled {
            match self.answered(id, message) {
                Ok(()) => self.send(id, State::Calling, now_ns),
                Err(why) => self.fail(id, Failure::Denied(why), now_ns),
            }
            return;
        }
        if status >= 300 {
            let is_bare = status == 503 && message.header("Retry-After").is_none();
            self.counters.without_retry_after += u64::from(is_bare);
            self.fail(id, Failure::Status(status), now_ns);
            return;
        }
        self.up(id, message, (now_ns, stamp_ns));
    }

    /// Sends the ACK of a final response: that of a 2xx is a transaction of its own (RFC 3261
    /// 13.2.2.4) with the credentials of the INVITE (22.1), of another answer part of the INVITE's
    /// (17.1.1.3).
    fn acknowledge(&mut self, id: u32, message: &Message<'_>, is_2xx: bool) {
        let Self { settings, calls, out, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        let (letter, uri, credentials) = if is_2xx {
            ('a', &call.remote, call.credentials.as_str())
        } else {
            ('i', &call.caller.target, "")
        };
        let ack = call.caller.request(&Request {
            method: "ACK",
            uri,
            to: message.header("To").unwrap_or_default(),
            branch: &settings.branch(id, letter, call.cseq),
            cseq: call.cseq,
            routes: &call.routes,
            credentials,
            body: "",
        });
        out.push_back(ack.clone());
        call.acks.push((call.cseq, ack));
    }

    /// Takes the challenges of a response: whether the request is to be sent again.
    fn answered(&mut self, id: u32, message: &Message<'_>) -> Result<(), Denied> {
        if self.settings.account.is_none() {
            return Err(Denied::NoAccount);
        }
        if let Some(call) = self.calls.get_mut(&id) {
            call.answers.challenged(message)?;
            self.counters.challenged += 1;
        }
        Ok(())
    }

    fn fail(&mut self, id: u32, why: Failure, now_ns: u64) {
        self.finish(id, now_ns, Event::Failed { call: id, why });
    }

    /// A call was accepted: where its audio goes, if the answer says so.
    fn up(&mut self, id: u32, message: &Message<'_>, (now_ns, stamp_ns): Times) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        call.answers.accepted();
        call.state = State::Up;
        let setup_ns = stamp_ns.saturating_sub(call.sent_real_ns);
        let keying = call.keying.map(|ours| {
            let suite = self.settings.srtp?;
            Some((ours, Keying::of_answer(message.body, suite)?))
        });
        match (message.audio(self.settings.codec.payload_type()), keying) {
            (Some(rtp), None | Some(Some(_))) => {
                let keying = keying.flatten();
                let at_ns = stamp_ns;
                self.events.push_back(Event::Answered { call: id, rtp, keying, setup_ns, at_ns });
            }
            _ => {
                let why = Failure::NoAudio;
                self.events.push_back(Event::Failed { call: id, why });
                self.hang_up(id, now_ns, stamp_ns);
            }
        }
    }

    /// A final response to BYE.
    pub(super) fn bye_response(
        &mut self,
        id: u32,
        cseq: u32,
        message: &Message<'_>,
        (now_ns, stamp_ns): Times,
    ) {
        let Some(call) = self.calls.get(&id) else {
            self.counters.strange += 1;
            return;
        };
        if call.state != State::Ending || call.cseq != cseq {
            self.counters.repeated_answers += 1;
            return;
        }
        let mut bye_ns = Some(stamp_ns.saturating_sub(call.sent_real_ns));
        if message.status().is_some_and(|status| CHALLENGES.contains(&status)) {
            if self.answered(id, message).is_ok() {
                self.send(id, State::Ending, now_ns);
                return;
            }
            bye_ns = None;
        }
        self.finish(id, now_ns, Event::Ended { call: id, bye_ns });
    }
}
