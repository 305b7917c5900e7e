//! The caller's side of many calls, without sockets or clock: INVITE to 200 to ACK, then BYE,
//! with the retransmissions that RFC 3261 17 demands of an unreliable transport.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddrV4;

use super::text::{self, Caller, Message, Request};
use crate::sound::Codec;
use crate::srtp::{Keying, Suite};

/// First retransmission (RFC 3261 17.1.1.1), in nanoseconds.
const T1_NS: u64 = 500_000_000;
/// Longest interval between retransmissions of a BYE.
const T2_NS: u64 = 4_000_000_000;
/// A transaction without an answer is given up after this (64 T1).
const GIVE_UP_NS: u64 = 64 * T1_NS;
/// How long a finished call still answers retransmissions.
const LINGER_NS: u64 = 5_000_000_000;

/// Where a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Calling,
    Proceeding,
    Up,
    Ending,
    Gone,
}

#[derive(Debug)]
struct Call {
    caller: Caller,
    keying: Option<Keying>,
    state: State,
    /// To, with the tag once known.
    to: String,
    /// Request-URI of requests inside the dialog.
    remote: String,
    routes: Vec<String>,
    /// Last request, for retransmission.
    request: Vec<u8>,
    /// ACK of the final response, sent again for each repeat of it.
    ack: Vec<u8>,
    /// Real-time clock when the INVITE (or BYE) was first handed to the kernel.
    sent_real_ns: u64,
    interval_ns: u64,
    give_up_ns: u64,
    deadline_ns: u64,
}

/// Why a call did not come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Failure {
    /// Refused with this status.
    Status(u16),
    /// No answer in time.
    Timeout,
    /// A 200 whose SDP has not the offered codec, or no key.
    NoAudio,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Timeout => f.write_str("timeout"),
            Self::NoAudio => f.write_str("not what was offered in the answer"),
        }
    }
}

/// What happened to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// 200 came and was acknowledged.
    Answered {
        /// Which.
        call: u32,
        /// Where its audio goes.
        rtp: SocketAddrV4,
        /// Our keying and the server's, if the call is secured.
        keying: Option<(Keying, Keying)>,
        /// From the INVITE's sending to the 200's arrival.
        setup_ns: u64,
        /// The stamp of that arrival.
        at_ns: u64,
    },
    /// It did not come up.
    Failed {
        /// Which.
        call: u32,
        /// Why.
        why: Failure,
    },
    /// The server hung up.
    HungUp {
        /// Which.
        call: u32,
    },
    /// Our BYE was answered, or not in time.
    Ended {
        /// Which.
        call: u32,
        /// From the BYE's sending to its answer; `None` without one.
        bye_ns: Option<u64>,
    },
}

/// Counters over all calls.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Counters {
    /// Requests that had to be sent again.
    pub(crate) retransmitted: u64,
    /// Final responses that came again.
    pub(crate) repeated_answers: u64,
    /// Calls that were refused with 503 and not told when to come again.
    pub(crate) without_retry_after: u64,
    /// Messages that belonged to nothing or were no SIP.
    pub(crate) strange: u64,
}

/// Settings common to all calls.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Our signalling address.
    pub(crate) local: SocketAddrV4,
    /// Request-URI of every call.
    pub(crate) target: String,
    /// A stream: nothing is sent twice.
    pub(crate) reliable: bool,
    /// Makes Call-IDs and branches of this run unlike any other's.
    pub(crate) run: u64,
    /// `a=ptime` of the offers.
    pub(crate) ptime_ms: u32,
    /// Codec of the offers.
    pub(crate) codec: Codec,
    /// Secures the calls.
    pub(crate) srtp: Option<Suite>,
}

/// The calls.
pub(crate) struct Uac {
    settings: Settings,
    calls: HashMap<u32, Call>,
    timers: BinaryHeap<Reverse<(u64, u32)>>,
    /// Messages to send, in order.
    pub(crate) out: VecDeque<Vec<u8>>,
    /// What happened, in order.
    pub(crate) events: VecDeque<Event>,
    /// Counters.
    pub(crate) counters: Counters,
}

impl Uac {
    /// No calls yet.
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            calls: HashMap::new(),
            timers: BinaryHeap::new(),
            out: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Calls of which something may still come.
    #[cfg(test)]
    pub(crate) fn live(&self) -> usize {
        self.calls.values().filter(|call| call.state != State::Gone).count()
    }

    fn arm(&mut self, id: u32, deadline_ns: u64) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.deadline_ns = deadline_ns;
            self.timers.push(Reverse((deadline_ns, id)));
        }
    }

    /// Starts a call whose audio we take at `rtp`. `real_ns` is read just before sending.
    pub(crate) fn invite(&mut self, id: u32, rtp: SocketAddrV4, now_ns: u64, real_ns: u64) {
        let Settings { local, target, reliable, run, ptime_ms, codec, srtp } = &self.settings;
        let keying = srtp.map(Keying::random);
        let caller = Caller {
            local: *local,
            transport: if *reliable { "TCP" } else { "UDP" },
            target: target.clone(),
            call_id: format!("{id}-{run:x}"),
            tag: format!("{id}t{run:x}"),
            user: format!("perf{id}"),
        };
        let to = format!("<{target}>");
        let request = caller.request(&Request {
            method: "INVITE",
            uri: target,
            to: &to,
            branch: &format!("{id}i{run:x}"),
            cseq: 1,
            routes: &[],
            body: &text::offer(rtp, *ptime_ms, *codec, keying.as_ref()),
        });
        self.out.push_back(request.clone());
        let call = Call {
            keying,
            state: State::Calling,
            to,
            remote: target.clone(),
            routes: Vec::new(),
            request,
            ack: Vec::new(),
            sent_real_ns: real_ns,
            interval_ns: T1_NS,
            give_up_ns: now_ns + GIVE_UP_NS,
            deadline_ns: 0,
            caller,
        };
        let first = if *reliable { call.give_up_ns } else { now_ns + T1_NS };
        self.calls.insert(id, call);
        self.arm(id, first);
    }

    /// Ends a call that is up, or cancels one that rings.
    pub(crate) fn hang_up(&mut self, id: u32, now_ns: u64, real_ns: u64) {
        let (run, reliable) = (self.settings.run, self.settings.reliable);
        let Some(call) = self.calls.get_mut(&id) else { return };
        let branch = format!("{id}b{run:x}");
        match call.state {
            State::Up => {
                call.request = call.caller.request(&Request {
                    method: "BYE",
                    uri: &call.remote,
                    to: &call.to,
                    branch: &branch,
                    cseq: 2,
                    routes: &call.routes,
                    body: "",
                });
                call.state = State::Ending;
                call.sent_real_ns = real_ns;
                call.interval_ns = T1_NS;
                call.give_up_ns = now_ns + GIVE_UP_NS;
                self.out.push_back(call.request.clone());
                let first = if reliable { call.give_up_ns } else { now_ns + T1_NS };
                self.arm(id, first);
            }
            State::Proceeding => {
                let cancel = call.caller.request(&Request {
                    method: "CANCEL",
                    uri: &call.caller.target,
                    to: &call.to,
                    branch: &format!("{id}i{run:x}"),
                    cseq: 1,
                    routes: &[],
                    body: "",
                });
                self.out.push_back(cancel);
            }
            State::Calling | State::Ending | State::Gone => {}
        }
    }

    /// The next time at which [`Self::tick`] has something to do.
    #[cfg(test)]
    pub(crate) fn deadline(&self) -> Option<u64> {
        self.timers.peek().map(|Reverse((time, _))| *time)
    }

    /// Retransmits and gives up what is due.
    pub(crate) fn tick(&mut self, now_ns: u64) {
        while let Some(&Reverse((time, id))) = self.timers.peek() {
            if time > now_ns {
                return;
            }
            self.timers.pop();
            let Some(call) = self.calls.get_mut(&id) else { continue };
            if call.deadline_ns != time {
                continue;
            }
            match call.state {
                State::Gone => {
                    self.calls.remove(&id);
                }
                State::Up => {}
                State::Calling | State::Ending if now_ns < call.give_up_ns => {
                    self.counters.retransmitted += 1;
                    self.out.push_back(call.request.clone());
                    let ending = call.state == State::Ending;
                    let doubled = call.interval_ns * 2;
                    call.interval_ns = if ending { doubled.min(T2_NS) } else { doubled };
                    let next = (now_ns + call.interval_ns).min(call.give_up_ns);
                    self.arm(id, next);
                }
                State::Ending => self.finish(id, now_ns, Event::Ended { call: id, bye_ns: None }),
                State::Calling | State::Proceeding => {
                    let why = Failure::Timeout;
                    self.finish(id, now_ns, Event::Failed { call: id, why });
                }
            }
        }
    }

    fn finish(&mut self, id: u32, now_ns: u64, event: Event) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.state = State::Gone;
        }
        self.events.push_back(event);
        self.arm(id, now_ns + LINGER_NS);
    }

    /// Takes a message that arrived at `stamp_ns` on the real-time clock.
    pub(crate) fn receive(&mut self, bytes: &[u8], now_ns: u64, stamp_ns: u64) {
        let message = Message::parse(bytes);
        let id = message.as_ref().and_then(|message| {
            let (id, run) = message.header("Call-ID")?.split_once('-')?;
            let ours = u64::from_str_radix(run, 16) == Ok(self.settings.run);
            ours.then(|| id.parse::<u32>().ok())?
        });
        let (Some(message), Some(id)) = (message, id) else {
            self.counters.strange += 1;
            return;
        };
        if let Some(method) = message.method() {
            self.request(id, method, &message, now_ns);
            return;
        }
        match (message.status(), message.cseq()) {
            (Some(status), Some((1, "INVITE"))) => {
                self.invite_response(id, status, &message, now_ns, stamp_ns);
            }
            (Some(200..), Some((2, "BYE"))) => self.bye_response(id, now_ns, stamp_ns),
            (Some(_), Some((1, "CANCEL") | (2, "BYE"))) => {}
            _ => self.counters.strange += 1,
        }
    }

    fn request(&mut self, id: u32, method: &str, message: &Message<'_>, now_ns: u64) {
        let known = self.calls.get(&id).is_some_and(|call| call.state != State::Gone);
        let (status, reason) = match method {
            "ACK" => return,
            // It asks whether the call lives.
            "UPDATE" if known && message.body.is_empty() => {
                let contact = format!("sip:perf{id}@{}", self.settings.local);
                return self.out.push_back(text::refreshed(message, &contact));
            }
            "BYE" | "OPTIONS" | "INFO" if known => (200, "OK"),
            "INVITE" | "UPDATE" if known => (488, "Not Acceptable Here"),
            _ if known => (405, "Method Not Allowed"),
            _ => (481, "Call/Transaction Does Not Exist"),
        };
        self.out.push_back(text::response(message, status, reason));
        if known && method == "BYE" {
            self.finish(id, now_ns, Event::HungUp { call: id });
        }
    }

    fn bye_response(&mut self, id: u32, now_ns: u64, stamp_ns: u64) {
        match self.calls.get(&id) {
            Some(call) if call.state == State::Ending => {
                let bye_ns = Some(stamp_ns.saturating_sub(call.sent_real_ns));
                self.finish(id, now_ns, Event::Ended { call: id, bye_ns });
            }
            Some(_) => self.counters.repeated_answers += 1,
            None => self.counters.strange += 1,
        }
    }

    fn invite_response(
        &mut self,
        id: u32,
        status: u16,
        message: &Message<'_>,
        now_ns: u64,
        stamp_ns: u64,
    ) {
        let Some(call) = self.calls.get_mut(&id) else {
            self.counters.strange += 1;
            return;
        };
        let early = matches!(call.state, State::Calling | State::Proceeding);
        if status < 200 {
            if call.state == State::Calling {
                call.state = State::Proceeding;
                // Timer C of RFC 3261 16.6 is minutes; a load test waits as long as timer B.
                let give_up = call.give_up_ns;
                self.arm(id, give_up);
            }
            return;
        }
        if !early {
            self.counters.repeated_answers += 1;
            self.out.push_back(call.ack.clone());
            return;
        }
        call.to = message.header("To").unwrap_or_default().to_owned();
        let accepted = status < 300;
        if accepted {
            call.remote = message.contact().unwrap_or(&call.caller.target).to_owned();
            call.routes = message.route_set();
        }
        // The ACK of a 2xx is a transaction of its own (13.2.2.4), of another answer part of
        // the INVITE's (17.1.1.3).
        let branch = format!("{id}{}{:x}", if accepted { 'a' } else { 'i' }, self.settings.run);
        call.ack = call.caller.request(&Request {
            method: "ACK",
            uri: if accepted { &call.remote } else { &call.caller.target },
            to: &call.to,
            branch: &branch,
            cseq: 1,
            routes: &call.routes,
            body: "",
        });
        self.out.push_back(call.ack.clone());
        let setup_ns = stamp_ns.saturating_sub(call.sent_real_ns);
        if !accepted {
            let bare = status == 503 && message.header("Retry-After").is_none();
            self.counters.without_retry_after += u64::from(bare);
            let why = Failure::Status(status);
            self.finish(id, now_ns, Event::Failed { call: id, why });
            return;
        }
        call.state = State::Up;
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
}

#[cfg(test)]
mod tests;
