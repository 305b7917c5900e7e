//! The caller's side of many calls, without sockets or clock: INVITE to 200 to ACK, then BYE,
//! with the retransmissions that RFC 3261 17 demands of an unreliable transport, and the answers to
//! challenges.

mod answers;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddrV4;

use super::access::Account;
use super::digest::{Answers, Denied};
use super::link::Transport;
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
    /// Where its audio is taken.
    rtp: SocketAddrV4,
    state: State,
    /// Nobody wants it any more.
    is_cancelled: bool,
    /// Number of the last INVITE or BYE.
    cseq: u32,
    /// Who has asked who calls, and is told so in each request.
    answers: Answers,
    /// Header lines of the last request that do so.
    credentials: String,
    /// To, with the tag once known.
    to: String,
    /// Request-URI of requests inside the dialog.
    remote: String,
    routes: Vec<String>,
    /// Last request, for retransmission.
    request: Vec<u8>,
    /// ACKs of the final responses to each INVITE, sent again for each repeat of one.
    acks: Vec<(u32, Vec<u8>)>,
    /// Real-time clock when the INVITE (or BYE) was first handed to the kernel: what challenges
    /// take counts.
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
    /// It was asked who calls, and that was not known or not believed.
    Denied(Denied),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Timeout => f.write_str("timeout"),
            Self::NoAudio => f.write_str("not what was offered in the answer"),
            Self::Denied(why) => write!(f, "{why}"),
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
    /// Our BYE was answered, or not in time, or whoever got it does not believe that it is ours.
    Ended {
        /// Which.
        call: u32,
        /// From the BYE's sending to the answer that ended the call; `None` without one.
        bye_ns: Option<u64>,
    },
}

/// Counters over all calls.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Counters {
    /// Requests that had to be sent again.
    pub(crate) retransmitted: u64,
    /// Challenges that were answered.
    pub(crate) challenged: u64,
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
    /// What they travel on.
    pub(crate) transport: Transport,
    /// URI of From; of its own accord another one each call.
    pub(crate) from: Option<String>,
    /// Who answers challenges.
    pub(crate) account: Option<Account>,
    /// Makes Call-IDs and branches of this run unlike any other's.
    pub(crate) run: u64,
    /// `a=ptime` of the offers.
    pub(crate) ptime_ms: u32,
    /// Codec of the offers.
    pub(crate) codec: Codec,
    /// Secures the calls.
    pub(crate) srtp: Option<Suite>,
}

impl Settings {
    /// Branch of a request: CSeq and a letter for its kind tell it from the others of its call.
    fn branch(&self, id: u32, letter: char, cseq: u32) -> String {
        format!("{id}{letter}{:x}.{cseq}", self.run)
    }
}

impl Call {
    /// The request that its state and number ask for, with credentials for who has asked for them.
    fn next(&mut self, id: u32, settings: &Settings) -> Vec<u8> {
        let is_bye = self.state == State::Ending;
        let (method, letter) = if is_bye { ("BYE", 'b') } else { ("INVITE", 'i') };
        let uri = if is_bye { &self.remote } else { &self.caller.target };
        self.credentials = match &settings.account {
            Some(account) => self.answers.lines(account, method, uri),
            None => String::new(),
        };
        let body = if is_bye {
            String::new()
        } else {
            text::offer(self.rtp, settings.ptime_ms, settings.codec, self.keying.as_ref())
        };
        self.caller.request(&Request {
            method,
            uri,
            to: &self.to,
            branch: &settings.branch(id, letter, self.cseq),
            cseq: self.cseq,
            routes: &self.routes,
            credentials: &self.credentials,
            body: &body,
        })
    }
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
        let Settings { local, target, transport, from, run, srtp, .. } = &self.settings;
        let own = || format!("sip:perf{id}@{local}");
        let caller = Caller {
            local: *local,
            transport: *transport,
            target: target.clone(),
            call_id: format!("{id}-{run:x}"),
            tag: format!("{id}t{run:x}"),
            user: format!("perf{id}"),
            from: from.clone().unwrap_or_else(own),
        };
        let call = Call {
            keying: srtp.map(Keying::random),
            rtp,
            state: State::Calling,
            is_cancelled: false,
            cseq: 0,
            answers: Answers::default(),
            credentials: String::new(),
            to: format!("<{target}>"),
            remote: target.clone(),
            routes: Vec::new(),
            request: Vec::new(),
            acks: Vec::new(),
            sent_real_ns: real_ns,
            interval_ns: T1_NS,
            give_up_ns: 0,
            deadline_ns: 0,
            caller,
        };
        self.calls.insert(id, call);
        self.send(id, State::Calling, now_ns);
    }

    /// Sends the next INVITE or BYE of a call, which then is calling or ending.
    fn send(&mut self, id: u32, state: State, now_ns: u64) {
        let Self { settings, calls, out, .. } = self;
        let Some(call) = calls.get_mut(&id) else { return };
        call.state = state;
        call.cseq += 1;
        call.request = call.next(id, settings);
        call.interval_ns = T1_NS;
        call.give_up_ns = now_ns + GIVE_UP_NS;
        out.push_back(call.request.clone());
        let reliable = settings.transport.is_reliable();
        let first = if reliable { call.give_up_ns } else { now_ns + T1_NS };
        self.arm(id, first);
    }

    /// Ends a call that is up, or cancels one that rings.
    pub(crate) fn hang_up(&mut self, id: u32, now_ns: u64, real_ns: u64) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        match call.state {
            State::Up => {
                call.sent_real_ns = real_ns;
                self.send(id, State::Ending, now_ns);
            }
            State::Proceeding => {
                call.is_cancelled = true;
                let cancel = call.caller.request(&Request {
                    method: "CANCEL",
                    uri: &call.caller.target,
                    to: &call.to,
                    branch: &self.settings.branch(id, 'i', call.cseq),
                    cseq: call.cseq,
                    routes: &[],
                    credentials: "",
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
            (Some(..200), Some((cseq, "INVITE"))) => self.invite_rings(id, cseq),
            (Some(_), Some((cseq, "INVITE"))) => {
                self.invite_response(id, cseq, &message, (now_ns, stamp_ns));
            }
            (Some(200..), Some((cseq, "BYE"))) => {
                self.bye_response(id, cseq, &message, (now_ns, stamp_ns));
            }
            (Some(_), Some((_, "CANCEL" | "BYE"))) => {}
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
}

#[cfg(test)]
mod tests;
