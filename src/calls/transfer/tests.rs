//! Each way a transfer can go, and what may be asked for.

use std::time::Duration;

use media::time::MonoTime;

use super::*;

mod any_order;
mod by_carriers;
mod wishes;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const ACCEPT: Accept = Accept { digit: Some('1'), decline: Some('2'), limit: s(20) };

const fn plan(kind: Kind) -> Plan {
    let accept = Accept { digit: None, decline: None, limit: ACCEPT_LIMIT };
    Plan { kind, limit: s(100), accept, holds: false, by_carrier: false, stay: Stay::No }
}

const fn warm(accept: Accept) -> Plan {
    Plan { kind: Kind::Warm, limit: s(100), accept, holds: true, by_carrier: false, stay: Stay::No }
}

struct Run {
    transfer: Transfer,
    now: MonoTime,
}

const fn tell(state: State) -> Effect {
    Effect::Tell(state, None)
}

impl Run {
    fn new(plan: Plan) -> Self {
        let mut effects = Vec::new();
        let transfer = Transfer::start(MonoTime::ZERO, plan, &mut effects);
        let mut expected = vec![tell(State::Requested)];
        expected.extend(plan.holds.then_some(Effect::Hold));
        assert_eq!(effects, expected);
        Self { transfer, now: MonoTime::ZERO }
    }

    fn asked() -> Self {
        Self::new(plan(Kind::Blind))
    }

    fn tell(&mut self, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.transfer.handle(self.now, input, &mut effects);
        effects
    }

    /// Moves to the next deadline, which must be `after` from now, and tells it.
    fn sleep(&mut self, after: Duration) -> Vec<Effect> {
        assert_eq!(self.transfer.deadline(), self.now + after);
        self.now = self.transfer.deadline();
        self.tell(Input::Timeout)
    }
}

const TAKEN: Input = Input::Taken { status: 202, subscribed: true };

const fn news(status: u16) -> Input {
    Input::Progress { status: Some(status), last: status >= 200 }
}

fn failed(cause: &'static str) -> Vec<Effect> {
    vec![Effect::Tell(State::Failed, Some(cause)), Effect::Forget]
}

/// Taken, trying, ringing, answered; the peer does not hang up, so we do.
#[test]
fn a_transfer_by_the_peer_succeeds() {
    let mut run = Run::asked();
    assert!(!run.transfer.explains_bye());
    assert_eq!(run.tell(TAKEN), [tell(State::Dialling)]);
    assert!(run.transfer.explains_bye());
    assert_eq!(run.tell(news(100)), []);
    assert_eq!(run.tell(news(180)), [tell(State::Ringing)]);
    assert_eq!(run.tell(news(183)), []);
    assert_eq!(run.tell(news(100)), [], "news that is old");
    assert_eq!(run.tell(news(200)), [tell(State::Answered), tell(State::Bridged)]);
    assert_eq!(run.tell(news(486)), [], "an outcome is the last");
    assert_eq!(run.tell(Input::Cancel), []);
    assert_eq!(run.sleep(RELEASE_LIMIT), [Effect::Release]);
    assert_eq!(run.transfer.deadline(), MonoTime::MAX);
    assert!(run.transfer.explains_bye());
}

/// A NOTIFY that overtakes the 202 counts; the 202 changes nothing then. A peer that hangs up was
/// transferred.
#[test]
fn news_may_overtake_the_answer() {
    let mut run = Run::asked();
    assert_eq!(run.tell(news(180)), [tell(State::Ringing)]);
    assert_eq!(run.tell(TAKEN), []);
    assert_eq!(run.transfer.deadline(), MonoTime::ZERO + s(100));
    let over = run.tell(Input::CallOver { by_peer: true });
    assert_eq!(over, [tell(State::Bridged), Effect::Forget]);
    let mut run = Run::asked();
    let over = run.tell(Input::CallOver { by_peer: true });
    assert_eq!(over, [Effect::Tell(State::Cancelled, Some("call_over")), Effect::Forget]);
}

/// Refused, refused later, ended without an outcome, silent, slow: each has its word, and nothing
/// that comes later changes it.
#[test]
fn a_transfer_by_the_peer_fails() {
    for (status, cause) in [
        (405, "not_supported"),
        (501, "not_supported"),
        (420, "not_supported"),
        (408, "no_response"),
        (403, "rejected"),
        (603, "rejected"),
        (503, "congestion"),
    ] {
        let mut run = Run::asked();
        assert_eq!(run.tell(Input::Taken { status, subscribed: false }), failed(cause));
        assert!(!run.transfer.explains_bye());
        assert_eq!(run.tell(news(200)), []);
        assert_eq!(run.transfer.deadline(), MonoTime::MAX);
    }
    for (status, cause) in
        [(486, "busy"), (404, "not_found"), (480, "no_answer"), (500, "network_failure")]
    {
        let mut run = Run::asked();
        run.tell(TAKEN);
        assert_eq!(run.tell(news(status)), failed(cause));
    }
    let mut run = Run::asked();
    assert_eq!(run.tell(Input::Refused("no_response")), failed("no_response"));
    let mut run = Run::asked();
    run.tell(news(200));
    assert_eq!(run.tell(Input::Refused("no_response")), [], "it has come to pass");
    let mut run = Run::asked();
    run.tell(TAKEN);
    assert_eq!(run.tell(Input::Progress { status: Some(180), last: true }), failed("no_outcome"));
    let mut run = Run::asked();
    run.tell(TAKEN);
    assert_eq!(run.sleep(NEWS_LIMIT), failed("no_news"));
    let mut run = Run::asked();
    run.tell(TAKEN);
    assert_eq!(run.tell(Input::Progress { status: None, last: false }), []);
    assert_eq!(run.sleep(s(100)), failed("timeout"));
}

/// A peer that tells nothing (RFC 4488) is let go after a while, and its BYE is no surprise.
#[test]
fn a_peer_that_tells_nothing_is_let_go() {
    let mut run = Run::asked();
    let taken = Input::Taken { status: 202, subscribed: false };
    assert_eq!(run.tell(taken), [tell(State::Dialling)]);
    assert!(run.transfer.explains_bye());
    assert_eq!(run.sleep(UNTOLD_LIMIT), [tell(State::Bridged), Effect::Release]);
}

/// A leg of ours, or another agent, has the call as soon as it answers.
#[test]
fn who_answers_has_the_call() {
    for kind in [Kind::Bridge, Kind::Agent] {
        let mut run = Run::new(plan(kind));
        assert_eq!(run.tell(Input::Dialling), [tell(State::Dialling)]);
        assert_eq!(run.tell(Input::Ringing), [tell(State::Ringing)]);
        let joined = [tell(State::Answered), tell(State::Bridged), Effect::Join, Effect::Forget];
        assert_eq!(run.tell(Input::Answered), joined);
        assert_eq!(run.tell(Input::CallOver { by_peer: true }), []);
    }
}

/// Nobody answers, or nobody wants to, or nobody wants it any more: who is called is let go.
#[test]
fn nobody_has_the_call() {
    let gone = |state, cause| [Effect::Drop, Effect::Tell(state, Some(cause)), Effect::Forget];
    let mut run = Run::new(plan(Kind::Bridge));
    assert_eq!(run.sleep(s(100)), gone(State::Failed, "no_answer"));
    let mut run = Run::new(plan(Kind::Bridge));
    assert_eq!(run.tell(Input::Refused("busy")), gone(State::Failed, "busy"));
    let mut run = Run::new(plan(Kind::Agent));
    assert_eq!(run.tell(Input::Cancel), gone(State::Cancelled, "unwanted"));
    let mut run = Run::new(plan(Kind::Bridge));
    let over = run.tell(Input::CallOver { by_peer: false });
    assert_eq!(over, gone(State::Cancelled, "call_over"));
}

/// Who answers a warm transfer is told what it is about and presses the key; the caller is on hold
/// until then. Other keys mean nothing.
#[test]
fn a_warm_transfer_is_accepted() {
    let mut run = Run::new(warm(ACCEPT));
    run.tell(Input::Dialling);
    assert_eq!(run.tell(Input::Answered), [tell(State::Answered), Effect::Whisper]);
    assert_eq!(run.tell(Input::Whispered), []);
    assert_eq!(run.tell(Input::Digit('9')), []);
    let joined =
        [tell(State::Accepted), tell(State::Bridged), Effect::Join, Effect::Resume, Effect::Forget];
    assert_eq!(run.tell(Input::Digit('1')), joined);
    let mut open = Run::new(warm(Accept::default()));
    open.tell(Input::Answered);
    assert_eq!(open.tell(Input::Digit('1')), []);
    let joined = [tell(State::Bridged), Effect::Join, Effect::Resume, Effect::Forget];
    assert_eq!(open.tell(Input::Whispered), joined);
}

/// Declined, not accepted in time, hung up meanwhile: the agent has its caller back.
#[test]
fn a_warm_transfer_is_not_accepted() {
    let back = |cause| {
        [Effect::Drop, Effect::Resume, Effect::Tell(State::Failed, Some(cause)), Effect::Forget]
    };
    let answered = || {
        let mut run = Run::new(warm(ACCEPT));
        run.tell(Input::Answered);
        run
    };
    assert_eq!(answered().tell(Input::Digit('2')), back("declined"));
    assert_eq!(answered().sleep(s(20)), back("not_accepted"));
    assert_eq!(answered().tell(Input::Refused("hung_up")), back("hung_up"));
    let over = answered().tell(Input::CallOver { by_peer: false });
    let nobody = [Effect::Drop, Effect::Tell(State::Cancelled, Some("call_over")), Effect::Forget];
    assert_eq!(over, nobody, "nobody is left to be taken back");
}

/// Whoever has the call may hang up while somebody is on the way: the caller waits, and is hung up
/// only if nobody comes; nobody is there then to take it back. What a peer carries out cannot go on
/// without who asked.
#[test]
fn the_call_may_be_left_meanwhile() {
    for kind in [Kind::Bridge, Kind::Agent] {
        let mut run = Run::new(plan(kind));
        assert!(run.transfer.is_awaited());
        assert_eq!(run.tell(Input::Left), []);
        let joined = [tell(State::Answered), tell(State::Bridged), Effect::Join, Effect::Forget];
        assert_eq!(run.tell(Input::Answered), joined);
        assert!(!run.transfer.is_awaited());
    }
    let alone = |state, cause| {
        [Effect::Drop, Effect::Tell(state, Some(cause)), Effect::HangUp, Effect::Forget]
    };
    let left = |plan| {
        let mut run = Run::new(plan);
        run.tell(Input::Left);
        run
    };
    let refused = left(plan(Kind::Bridge)).tell(Input::Refused("busy"));
    assert_eq!(refused, alone(State::Failed, "busy"));
    assert_eq!(left(plan(Kind::Agent)).sleep(s(100)), alone(State::Failed, "no_answer"));
    let cancelled = left(warm(ACCEPT)).tell(Input::Cancel);
    assert_eq!(cancelled, alone(State::Cancelled, "unwanted"));
    let over = left(plan(Kind::Bridge)).tell(Input::CallOver { by_peer: true });
    let nobody = [Effect::Drop, Effect::Tell(State::Cancelled, Some("call_over")), Effect::Forget];
    assert_eq!(over, nobody, "the call is over already");
    let mut asked = Run::asked();
    assert!(!asked.transfer.is_awaited());
    assert_eq!(asked.tell(Input::Left), []);
    assert_eq!(asked.tell(Input::Cancel).last(), Some(&Effect::Forget));
}

/// Who said that nothing would be told, and tells something that is no outcome, is waited for as
/// long as anybody else.
#[test]
fn news_without_a_subscription() {
    let plan = Plan {
        kind: Kind::Blind,
        limit: s(100),
        accept: Accept::default(),
        holds: false,
        by_carrier: false,
        stay: Stay::No,
    };
    let mut run = Run::new(plan);
    run.tell(Input::Taken { status: 200, subscribed: false });
    run.tell(Input::Progress { status: None, last: false });
    run.now = run.transfer.deadline();
    assert!(run.now < MonoTime::MAX);
    run.tell(Input::Timeout);
    assert!(run.transfer.state().is_over());
}

/// Whoever was to stay has hung up meanwhile: whoever comes has the caller alone.
#[test]
fn nobody_is_left_who_was_to_stay() {
    let mut run = Run::new(Plan { stay: Stay::Talk, ..plan(Kind::Bridge) });
    assert_eq!(run.tell(Input::Ringing), [tell(State::Ringing)]);
    assert!(run.transfer.makes_three());
    assert_eq!(run.tell(Input::Left), []);
    assert!(!run.transfer.makes_three());
    let came = [tell(State::Answered), tell(State::Bridged), Effect::Join, Effect::Forget];
    assert_eq!(run.tell(Input::Answered), came);
}
