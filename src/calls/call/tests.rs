//! Each way a call can go, as a table of facts and the effects they must have.

use super::*;

const PLAN: Plan = Plan {
    direction: Direction::Inbound,
    answer_by: AnswerBy::Connected,
    early_media: false,
    agent_is_local: false,
    fallback: Fallback::Hangup,
    connect_timeout: Duration::from_secs(2),
    grace: Duration::from_secs(5),
    agent_rings: false,
    second: Second {
        connect_timeout: Duration::from_secs(2),
        grace: Duration::from_secs(5),
        rings: false,
    },
    ring_timeout: Duration::from_secs(30),
    max_duration: Duration::from_secs(3600),
    warning: Duration::ZERO,
};

struct Run {
    call: Call,
    now: MonoTime,
    effects: Vec<Effect>,
}

impl Run {
    fn new(plan: Plan) -> Self {
        let mut effects = Vec::new();
        let call = Call::start(plan, MonoTime::ZERO, &mut effects);
        Self { call, now: MonoTime::ZERO, effects }
    }

    fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn tell(&mut self, input: Input) -> Vec<Effect> {
        self.effects.clear();
        self.call.handle(self.now, input, &mut self.effects);
        self.take()
    }

    /// Moves to the next deadline and tells it.
    fn sleep(&mut self) -> Vec<Effect> {
        self.now = self.call.deadline();
        assert!(self.now < MonoTime::MAX, "nothing to wait for");
        self.tell(Input::Timeout)
    }
}

const CONNECT: Effect = Effect::Connect { agent: Which::Main, resumed: false };
const UP: Effect = Effect::State(CallState::Answered);

fn finish(cause: Cause, by: EndedBy) -> Effect {
    Effect::Finish { cause, by }
}

/// A remote agent: ring, dial, answer when it is connected, and the caller hangs up.
#[test]
fn an_inbound_call_is_answered_when_its_agent_is_connected() {
    let mut run = Run::new(PLAN);
    assert_eq!(run.take(), [Effect::Ring, CONNECT]);
    assert_eq!(run.tell(Input::AgentReady), [Effect::Answer, UP]);
    assert_eq!(run.call.state(), CallState::Answered);
    assert_eq!(run.tell(Input::PeerEnded(Cause::Normal)), [finish(Cause::Normal, EndedBy::Caller)]);
    assert!(run.call.is_over());
    assert_eq!(run.tell(Input::AgentLost), []);
    assert_eq!(run.call.deadline(), MonoTime::MAX);
}

/// A local agent needs no ringing.
#[test]
fn a_local_agent_answers_without_ringing() {
    let mut run = Run::new(Plan { agent_is_local: true, ..PLAN });
    assert_eq!(run.take(), [CONNECT]);
    assert_eq!(run.tell(Input::AgentReady), [Effect::Answer, UP]);
}

/// An agent that answers itself: ready is not yet an answer; reject refuses with its cause.
#[test]
fn an_agent_may_answer_or_refuse_itself() {
    let plan = Plan { answer_by: AnswerBy::Agent, ..PLAN };
    let mut run = Run::new(plan);
    assert_eq!(run.tell(Input::AgentAnswer), [], "an agent that is not connected");
    assert_eq!(run.tell(Input::AgentReady), []);
    assert_eq!(run.tell(Input::AgentAnswer), [Effect::Answer, UP]);
    assert_eq!(run.tell(Input::AgentAnswer), [], "twice");

    let mut run = Run::new(plan);
    run.tell(Input::AgentReady);
    assert_eq!(
        run.tell(Input::AgentReject(Cause::Busy)),
        [Effect::Reject(Cause::Busy), finish(Cause::Busy, EndedBy::Agent)]
    );

    let mut run = Run::new(PLAN);
    assert_eq!(run.tell(Input::AgentReject(Cause::Busy)), [], "the route does not let it");
}

/// An agent that is there and can do no more leaves the call to what the route says, and names why.
#[test]
fn an_agent_that_gives_up_leaves_the_call_to_the_fallback() {
    let mut run = Run::new(PLAN);
    run.tell(Input::AgentReady);
    assert_eq!(
        run.tell(Input::AgentGivesUp(Cause::Busy)),
        [Effect::Bye(Cause::Busy), finish(Cause::Busy, EndedBy::Server)]
    );

    let mut run = Run::new(Plan { fallback: Fallback::Agent, ..PLAN });
    run.tell(Input::AgentReady);
    let second = Effect::Connect { agent: Which::Fallback, resumed: false };
    assert_eq!(run.tell(Input::AgentGivesUp(Cause::NoAnswer)), [second]);
    run.tell(Input::AgentReady);
    assert_eq!(
        run.tell(Input::AgentGivesUp(Cause::Busy)),
        [Effect::Bye(Cause::Busy), finish(Cause::Busy, EndedBy::Server)]
    );

    let mut run = Run::new(Plan { fallback: Fallback::Message, ..PLAN });
    run.tell(Input::AgentReady);
    assert_eq!(run.tell(Input::AgentGivesUp(Cause::NoAnswer)), [Effect::PlayMessage]);
    assert_eq!(run.tell(Input::AgentGivesUp(Cause::NoAnswer)), [], "it has left already");
    assert_eq!(
        run.tell(Input::MessagePlayed),
        [Effect::Bye(Cause::NoAnswer), finish(Cause::NoAnswer, EndedBy::Server)]
    );
}

/// An agent out of reach is tried again with growing pauses, within its time; then 480.
#[test]
fn an_agent_out_of_reach_is_retried_then_refused() {
    let mut run = Run::new(PLAN);
    let mut attempts = 1;
    let last = loop {
        let effects = run.tell(Input::AgentFailed);
        if !effects.is_empty() {
            break effects;
        }
        assert_eq!(run.sleep(), [CONNECT]);
        attempts += 1;
    };
    assert_eq!(attempts, 5, "at 0, 100, 300, 700 and 1500 ms");
    let cause = Cause::AgentUnreachable;
    assert_eq!(last, [Effect::Reject(cause), finish(cause, EndedBy::Server)]);
    assert!(run.now < MonoTime::ZERO + PLAN.connect_timeout);
}

/// An agent that hangs in its handshake is given up at the timeout.
#[test]
fn a_silent_agent_times_out() {
    let mut run = Run::new(PLAN);
    let cause = Cause::AgentUnreachable;
    assert_eq!(run.sleep(), [Effect::Reject(cause), finish(cause, EndedBy::Server)]);
    assert_eq!(run.now, MonoTime::ZERO + PLAN.connect_timeout);
}

/// A message in place of the agent: answered, played, hung up.
#[test]
fn a_message_stands_in_for_the_agent() {
    let mut run = Run::new(Plan { fallback: Fallback::Message, ..PLAN });
    assert_eq!(run.sleep(), [Effect::Answer, UP, Effect::PlayMessage]);
    let cause = Cause::AgentUnreachable;
    assert_eq!(
        run.tell(Input::MessagePlayed),
        [Effect::Bye(cause), finish(cause, EndedBy::Server)]
    );
}

/// A second agent stands in for the first, and after it nobody.
#[test]
fn a_second_agent_stands_in_for_the_first() {
    let mut run = Run::new(Plan { fallback: Fallback::Agent, ..PLAN });
    assert_eq!(run.sleep(), [Effect::Connect { agent: Which::Fallback, resumed: false }]);
    let cause = Cause::AgentUnreachable;
    assert_eq!(run.sleep(), [Effect::Reject(cause), finish(cause, EndedBy::Server)]);
}

/// A lost agent is redialled while the caller hears comfort noise, and resumes.
#[test]
fn a_lost_agent_is_redialled() {
    let mut run = Run::new(PLAN);
    run.tell(Input::AgentReady);
    let again = Effect::Connect { agent: Which::Main, resumed: true };
    assert_eq!(run.tell(Input::AgentLost), [Effect::Comfort, again]);
    assert_eq!(run.tell(Input::AgentFailed), []);
    assert_eq!(run.sleep(), [again]);
    assert_eq!(run.tell(Input::AgentReady), [], "answered already");
    run.now += STEADY;
    assert_eq!(run.tell(Input::AgentLost), [Effect::Comfort, again]);
    run.now += PLAN.grace;
    let cause = Cause::AgentLost;
    assert_eq!(run.tell(Input::Timeout), [Effect::Bye(cause), finish(cause, EndedBy::Server)]);
}

/// An agent that is lost as soon as it is back is dialled with pauses that grow, and only for as
/// long as one that does not come back at all.
#[test]
fn an_agent_that_does_not_stay() {
    let mut run = Run::new(PLAN);
    run.tell(Input::AgentReady);
    let begin = run.now;
    let again = Effect::Connect { agent: Which::Main, resumed: true };
    assert_eq!(run.tell(Input::AgentLost), [Effect::Comfort, again]);
    let mut dialled = 1;
    let last = loop {
        assert_eq!(run.tell(Input::AgentReady), []);
        match run.tell(Input::AgentLost).as_slice() {
            [Effect::Comfort] => {}
            over => break over.to_vec(),
        }
        let before = run.now;
        assert_eq!(run.sleep(), [again]);
        assert!(run.now >= before + RETRY_PAUSE_MIN);
        dialled += 1;
    };
    let cause = Cause::AgentLost;
    let over = [Effect::Comfort, Effect::Bye(cause), finish(cause, EndedBy::Server)];
    assert_eq!(last, over);
    assert!(run.now < begin + PLAN.grace && (4..=12).contains(&dialled), "{dialled} times");
}

/// Ringing and talking both end in time.
#[test]
fn nothing_lasts_for_ever() {
    let mut run = Run::new(Plan { answer_by: AnswerBy::Agent, ..PLAN });
    run.tell(Input::AgentReady);
    let cause = Cause::NoAnswer;
    assert_eq!(run.sleep(), [Effect::Reject(cause), finish(cause, EndedBy::Server)]);
    assert_eq!(run.now, MonoTime::ZERO + PLAN.ring_timeout);

    let mut run = Run::new(PLAN);
    run.tell(Input::AgentReady);
    let cause = Cause::MaxDuration;
    assert_eq!(run.sleep(), [Effect::Bye(cause), finish(cause, EndedBy::Server)]);
}

/// A call that we place: the agent may be ready before or after the peer's answer.
#[test]
fn an_outbound_call() {
    let plan = Plan { direction: Direction::Outbound, ..PLAN };
    let mut run = Run::new(plan);
    assert_eq!(run.take(), [CONNECT]);
    assert_eq!(run.tell(Input::PeerRinging), [Effect::State(CallState::Ringing)]);
    assert_eq!(run.tell(Input::AgentReady), []);
    assert_eq!(run.tell(Input::PeerAnswered), [UP]);
    assert_eq!(
        run.tell(Input::AgentHangup),
        [Effect::Bye(Cause::Normal), finish(Cause::Normal, EndedBy::Agent)]
    );

    let mut run = Run::new(plan);
    let (cause, by) = (Cause::Draining, EndedBy::Server);
    assert_eq!(run.tell(Input::End(cause, by)), [Effect::Cancel(cause), finish(cause, by)]);
}

/// Whatever facts arrive in whatever order, a call ends once, says so last, and never answers
/// twice. The seed of a failure is in its message.
#[test]
fn any_order_of_facts_ends_once() {
    let causes = [Cause::Normal, Cause::Busy];
    for seed in 0..20_000_u64 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let fallbacks = [Fallback::Hangup, Fallback::Message, Fallback::Agent];
        let plan = Plan {
            direction: *rng.choice(&[Direction::Inbound, Direction::Outbound]).unwrap(),
            answer_by: *rng.choice(&[AnswerBy::Agent, AnswerBy::Connected]).unwrap(),
            early_media: rng.bool(),
            agent_is_local: rng.bool(),
            fallback: *rng.choice(&fallbacks).unwrap(),
            ..PLAN
        };
        let mut run = Run::new(plan);
        if rng.bool() {
            run.call.await_peer();
        }
        let mut all = run.take();
        for _ in 0..40 {
            let inputs = [
                Input::AgentReady,
                Input::AgentFailed,
                Input::AgentLost,
                Input::AgentAnswer,
                Input::AgentReject(Cause::Rejected),
                Input::AgentHangup,
                Input::MessagePlayed,
                Input::PeerCame,
                Input::PeerRinging,
                Input::PeerAnswered,
                Input::PeerConfirmed,
                Input::PeerEnded(*rng.choice(&causes).unwrap()),
                Input::Timeout,
            ];
            if rng.u8(..8) == 0 && run.call.deadline() < MonoTime::MAX {
                all.extend(run.sleep());
            } else {
                all.extend(run.tell(*rng.choice(&inputs).unwrap()));
            }
        }
        all.extend(run.tell(Input::End(Cause::Internal, EndedBy::Server)));
        let count = |want: fn(&Effect) -> bool| all.iter().filter(|e| want(e)).count();
        assert_eq!(count(|e| matches!(e, Effect::Finish { .. })), 1, "seed {seed}: {all:?}");
        assert!(matches!(all.last(), Some(Effect::Finish { .. })), "seed {seed}: {all:?}");
        assert!(count(|e| *e == Effect::Answer) <= 1, "seed {seed}: {all:?}");
        assert!(count(|e| *e == UP) <= 1, "seed {seed}: {all:?}");
    }
}

/// A full agent is not waited for: the fallback comes at once, and without one the call ends.
#[test]
fn a_full_agent_is_not_waited_for() {
    let mut run = Run::new(PLAN);
    assert_eq!(
        run.tell(Input::AgentFull),
        [Effect::Reject(Cause::AgentUnreachable), finish(Cause::AgentUnreachable, EndedBy::Server)]
    );
    let mut run = Run::new(Plan { fallback: Fallback::Agent, ..PLAN });
    let second = Effect::Connect { agent: Which::Fallback, resumed: false };
    assert_eq!(run.tell(Input::AgentFull), [second]);
    assert_eq!(run.tell(Input::AgentReady), [Effect::Answer, UP]);
    assert_eq!(run.tell(Input::AgentFull), [], "an agent that is connected has its place");
}

/// A telephone as agent: the caller hears that it rings when it does, once, and what it is heard to
/// say before its answer; its answer is the call's.
#[test]
fn a_telephone_rings_and_answers() {
    let plan = Plan { agent_rings: true, ..PLAN };
    let mut run = Run::new(plan);
    assert_eq!(run.take(), [CONNECT]);
    assert_eq!(run.tell(Input::AgentRinging), [Effect::Ring]);
    assert_eq!(run.tell(Input::AgentRinging), []);
    let early = [Effect::Progress, Effect::State(CallState::Early)];
    assert_eq!(run.tell(Input::AgentEarly), early);
    assert_eq!(run.tell(Input::AgentEarly), []);
    assert_eq!(run.tell(Input::AgentReady), [Effect::Answer, UP]);
    assert_eq!(run.tell(Input::AgentRinging), []);
    let end = [Effect::Bye(Cause::Normal), finish(Cause::Normal, EndedBy::Agent)];
    assert_eq!(run.tell(Input::AgentHangup), end);
}

/// What a telephone refuses with is what the caller hears; it is not asked again, and one that
/// nobody answers is a call without an answer.
#[test]
fn a_telephone_refuses() {
    let plan = Plan { agent_rings: true, ..PLAN };
    let mut run = Run::new(plan);
    let refused = |cause| vec![Effect::Reject(cause), finish(cause, EndedBy::Server)];
    assert_eq!(run.tell(Input::AgentRefused(Cause::Busy)), refused(Cause::Busy));
    let mut run = Run::new(plan);
    assert_eq!(run.sleep(), refused(Cause::NoAnswer));
    // A second agent is reached for, in its own time.
    let second = Second { connect_timeout: Duration::from_secs(9), ..PLAN.second };
    let mut run = Run::new(Plan { fallback: Fallback::Agent, second, ..plan });
    let other = Effect::Connect { agent: Which::Fallback, resumed: false };
    assert_eq!(run.tell(Input::AgentRefused(Cause::Busy)), [other]);
    assert_eq!(run.call.deadline(), run.now + Duration::from_secs(9));
    assert_eq!(run.tell(Input::AgentRefused(Cause::NotFound)), refused(Cause::NotFound));
}

/// We call somebody for a telephone: that rings once the called party is there.
#[test]
fn a_telephone_rings_after_the_answer() {
    let plan = Plan { agent_rings: true, direction: Direction::Outbound, ..PLAN };
    let mut run = Run::new(plan);
    assert_eq!(run.take(), []);
    assert_eq!(run.tell(Input::PeerAnswered), [UP, Effect::Comfort, CONNECT]);
    assert_eq!(run.tell(Input::AgentRinging), []);
    assert_eq!(run.tell(Input::AgentReady), []);
}

/// In company an agent that hangs up, or that is lost and does not come back, leaves the others
/// talking, whatever the fallback is; alone with the peer again, its end is the call's.
#[test]
fn an_agent_leaves_company() {
    for fallback in [Fallback::Hangup, Fallback::Message, Fallback::Agent] {
        let mut run = Run::new(Plan { fallback, ..PLAN });
        run.tell(Input::AgentReady);
        run.call.accompany(true);
        assert_eq!(run.tell(Input::AgentHangup), [Effect::Leave]);
        assert!(!run.call.is_over());
        let again = Effect::Connect { agent: Which::Main, resumed: true };
        assert_eq!(run.tell(Input::AgentLost), [Effect::Comfort, again]);
        assert_eq!(run.sleep(), [Effect::Leave], "it does not come back");
        assert_eq!(run.tell(Input::AgentReady), []);
        // Only the longest duration is left.
        run.call.accompany(false);
        assert_eq!(run.call.deadline(), MonoTime::ZERO + PLAN.max_duration);
        let end = [Effect::Bye(Cause::Normal), finish(Cause::Normal, EndedBy::Agent)];
        assert_eq!(run.tell(Input::AgentHangup), end);
    }
    let mut run = Run::new(PLAN);
    run.tell(Input::AgentReady);
    run.call.accompany(true);
    let caller = [finish(Cause::Normal, EndedBy::Caller)];
    assert_eq!(run.tell(Input::PeerEnded(Cause::Normal)), caller, "it is the peer's call");
}

/// A call says in time that it ends, once, and then does; one that is shorter than that says
/// nothing.
#[test]
fn a_call_says_that_it_ends_soon() {
    let warning = Duration::from_secs(60);
    let mut run = Run::new(Plan { warning, ..PLAN });
    run.tell(Input::AgentReady);
    assert_eq!(run.sleep(), [Effect::Expiring { left: warning }]);
    assert_eq!(run.now, MonoTime::ZERO + PLAN.max_duration - warning);
    let end = [Effect::Bye(Cause::MaxDuration), finish(Cause::MaxDuration, EndedBy::Server)];
    assert_eq!(run.sleep(), end);
    assert_eq!(run.now, MonoTime::ZERO + PLAN.max_duration);
    let mut short = Run::new(Plan { warning, max_duration: warning, ..PLAN });
    short.tell(Input::AgentReady);
    assert_eq!(short.sleep(), end);
}

/// A call that is cut short says so at once and ends for that cause; it never gets longer, and one
/// that is not answered is left alone.
#[test]
fn a_call_is_cut_short() {
    let left = Duration::from_secs(30);
    let mut run = Run::new(PLAN);
    let mut effects = Vec::new();
    run.call.shorten(run.now, left, Cause::BudgetSpent, &mut effects);
    assert_eq!(effects, []);
    run.tell(Input::AgentReady);
    run.call.shorten(run.now, left, Cause::BudgetSpent, &mut effects);
    assert_eq!(effects, [Effect::Expiring { left }]);
    run.call.shorten(run.now, left * 2, Cause::MaxDuration, &mut effects);
    assert_eq!(effects.len(), 1);
    let end = [Effect::Bye(Cause::BudgetSpent), finish(Cause::BudgetSpent, EndedBy::Server)];
    assert_eq!(run.sleep(), end);
    assert_eq!(run.now, MonoTime::ZERO + left);
}

/// A peer that has yet to come is answered when it and its agent are both there, whoever is first,
/// and by an agent that was lost meanwhile no sooner than that is back; one that never comes was
/// never answered.
#[test]
fn a_peer_that_is_awaited() {
    let absent = |plan| {
        let mut run = Run::new(plan);
        run.call.await_peer();
        run.take();
        run
    };
    let mut run = absent(PLAN);
    assert_eq!(run.tell(Input::AgentReady), []);
    assert_eq!(run.call.answered_at(), None);
    assert_eq!(run.tell(Input::PeerCame), [Effect::Answer, UP]);

    let mut run = absent(PLAN);
    assert_eq!(run.tell(Input::PeerCame), []);
    assert_eq!(run.tell(Input::AgentReady), [Effect::Answer, UP]);
    assert_eq!(run.tell(Input::PeerCame), [], "it is there already");

    let mut run = absent(PLAN);
    run.tell(Input::AgentReady);
    run.tell(Input::AgentLost);
    assert_eq!(run.tell(Input::PeerCame), [], "nobody is there to talk with");
    assert_eq!(run.tell(Input::AgentReady), [Effect::Answer, UP]);

    let mut run = absent(PLAN);
    run.tell(Input::AgentReady);
    let (cause, by) = (Cause::PeerAbsent, EndedBy::Caller);
    assert_eq!(run.tell(Input::End(cause, by)), [Effect::Reject(cause), finish(cause, by)]);
    assert_eq!(run.call.answered_at(), None);
}
