//! Each way a transfer can go, and what may be asked for.

use std::time::Duration;

use media::time::MonoTime;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;

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

const fn by_carrier(kind: Kind) -> Plan {
    Plan { by_carrier: true, ..plan(kind) }
}

/// A carrier connects caller and destination: what it tells late changes nothing, and where it
/// tells no more than the answer, time does.
#[test]
fn a_carrier_connects() {
    let bridged = [tell(State::Bridged), Effect::Release, Effect::Forget];
    let mut run = Run::new(by_carrier(Kind::Blind));
    assert!(run.transfer.takes_caller(), "from the request on");
    assert_eq!(run.tell(Input::TakenAway), []);
    assert_eq!(run.tell(Input::Dialling), [tell(State::Dialling)]);
    assert_eq!(run.tell(Input::Answered), [tell(State::Answered)]);
    assert_eq!(run.tell(Input::Dialling), [], "news that is old");
    assert_eq!(run.tell(Input::Connected), bridged);
    assert_eq!(run.tell(Input::Refused("unreached")), [], "the leg ends as legs do");
    assert_eq!(run.transfer.deadline(), MonoTime::MAX);
    let mut run = Run::new(by_carrier(Kind::Blind));
    run.tell(Input::Answered);
    assert_eq!(run.sleep(CONNECT_LIMIT), bridged);
    // A caller that hangs up at once has talked with somebody.
    let mut run = Run::new(by_carrier(Kind::Blind));
    run.tell(Input::Answered);
    let over = run.tell(Input::CallOver { by_peer: false });
    assert_eq!(over, [tell(State::Bridged), Effect::Forget]);
}

/// Nobody is reached: a caller that was taken away comes back. One of which nothing is heard is
/// where it was sent.
#[test]
fn a_carrier_reaches_nobody() {
    let failed = |cause| Effect::Tell(State::Failed, Some(cause));
    let mut run = Run::new(by_carrier(Kind::Blind));
    run.tell(Input::TakenAway);
    let back = run.tell(Input::Refused("unreached"));
    assert_eq!(back, [failed("unreached"), Effect::Return, Effect::Forget]);
    let mut run = Run::new(by_carrier(Kind::Blind));
    assert_eq!(run.tell(Input::Refused("unreached")), [failed("unreached"), Effect::Forget]);
    let mut run = Run::new(by_carrier(Kind::Blind));
    assert_eq!(run.sleep(s(100)), [failed("timeout"), Effect::Forget], "it never left");
    let mut run = Run::new(by_carrier(Kind::Blind));
    run.tell(Input::TakenAway);
    let lost = [State::Answered, State::Bridged].map(tell);
    assert_eq!(run.sleep(s(100)), [&lost[..], &[Effect::Release, Effect::Forget]].concat());
    let mut run = Run::new(by_carrier(Kind::Blind));
    run.tell(Input::TakenAway);
    let over = run.tell(Input::CallOver { by_peer: false });
    assert_eq!(over, [Effect::Tell(State::Cancelled, Some("call_over")), Effect::Forget]);
}

/// A carrier calls the destination while the caller stays, and is asked to join the two when it
/// answers; whoever waits there is let go if nothing comes of it.
#[test]
fn a_carrier_joins() {
    let gone = |state, cause| vec![Effect::Drop, Effect::Tell(state, Some(cause)), Effect::Forget];
    let answered = || {
        let mut run = Run::new(by_carrier(Kind::Bridge));
        run.tell(Input::Dialling);
        assert!(!run.transfer.takes_caller());
        assert_eq!(run.tell(Input::Answered), [tell(State::Answered), Effect::Join]);
        assert_eq!(run.tell(Input::Answered), []);
        assert!(run.transfer.takes_caller());
        run
    };
    let bridged = [tell(State::Bridged), Effect::Release, Effect::Forget];
    assert_eq!(answered().tell(Input::Connected), bridged);
    assert_eq!(answered().tell(Input::Refused("busy")), gone(State::Failed, "busy"));
    assert_eq!(answered().sleep(JOIN_LIMIT), gone(State::Failed, "no_outcome"));
    let over = answered().tell(Input::CallOver { by_peer: false });
    assert_eq!(over, gone(State::Cancelled, "call_over"));
    let mut run = Run::new(by_carrier(Kind::Bridge));
    assert_eq!(run.sleep(s(100)), gone(State::Failed, "no_answer"));
    let mut run = Run::new(by_carrier(Kind::Bridge));
    assert_eq!(run.tell(Input::Cancel), gone(State::Cancelled, "unwanted"));
    // A telephone that was the agent hangs up meanwhile: if nobody comes, nobody is left.
    let mut run = Run::new(by_carrier(Kind::Bridge));
    assert_eq!(run.tell(Input::Left), []);
    let failed = Effect::Tell(State::Failed, Some("busy"));
    let alone = [Effect::Drop, failed, Effect::HangUp, Effect::Forget];
    assert_eq!(run.tell(Input::Refused("busy")), alone);
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

fn any_input() -> impl Strategy<Value = Input> {
    let status = prop::sample::select(vec![100, 180, 183, 200, 202, 302, 404, 486, 503, 603]);
    prop_oneof![
        (status.clone(), any::<bool>())
            .prop_map(|(status, subscribed)| Input::Taken { status: status.max(200), subscribed }),
        (prop::option::of(status), any::<bool>())
            .prop_map(|(status, last)| Input::Progress { status, last }),
        Just(Input::Dialling),
        Just(Input::Ringing),
        Just(Input::Answered),
        Just(Input::Whispered),
        prop::sample::select(vec!['1', '2', '9']).prop_map(Input::Digit),
        Just(Input::Refused("busy")),
        Just(Input::Left),
        Just(Input::TakenAway),
        Just(Input::Connected),
        Just(Input::Cancel),
        any::<bool>().prop_map(|by_peer| Input::CallOver { by_peer }),
        Just(Input::Timeout),
    ]
}

proptest! {
    /// Whatever comes in whatever order: states never go back and are told once; there is one end,
    /// with a cause if it is none that was wanted; nobody is joined and dropped; whom the caller
    /// was put on hold for, it is taken back from, unless one of both left; a call that nobody has
    /// any more is ended, once, and no other; and in the end nothing is waited for.
    #[test]
    fn any_order_of_facts(
        kind in prop::sample::select(Kind::ALL.to_vec()),
        keys in any::<bool>(),
        inputs in prop::collection::vec((any_input(), any::<bool>()), 0..16),
    ) {
        let accept = if keys { ACCEPT } else { Accept::default() };
        let holds = kind == Kind::Warm;
        let plan = Plan { kind, limit: s(100), accept, holds, by_carrier: false, stay: Stay::No };
        let mut run = Run::new(plan);
        let mut told = vec![State::Requested];
        let (mut joined, mut dropped, mut resumed, mut forgotten, mut hung_up) = (0, 0, 0, 0, 0);
        let (mut over, mut left) = (false, false);
        let mut take = |run: &mut Run, input: Input| {
            let awaited = run.transfer.is_awaited();
            over |= awaited && matches!(input, Input::CallOver { .. });
            left |= awaited && input == Input::Left;
            for effect in run.tell(input) {
                prop_assert!(forgotten == 0, "{effect:?} after the end");
                match effect {
                    Effect::Tell(state, cause) => {
                        prop_assert!(state > *told.last().unwrap(), "{told:?}, {state:?}");
                        let bad = matches!(state, State::Failed | State::Cancelled);
                        prop_assert_eq!(cause.is_some(), bad);
                        prop_assert!(!told.last().unwrap().is_over());
                        told.push(state);
                    }
                    Effect::Join => joined += 1,
                    Effect::Drop => dropped += 1,
                    Effect::Resume => resumed += 1,
                    Effect::Forget => forgotten += 1,
                    Effect::Whisper => prop_assert_eq!(kind, Kind::Warm),
                    Effect::Release => prop_assert!(kind.is_asked()),
                    Effect::HangUp => hung_up += 1,
                    Effect::Hold => prop_assert!(false, "held twice"),
                    Effect::Return => prop_assert!(false, "nobody was taken away"),
                }
            }
            Ok(())
        };
        for (input, late) in inputs {
            let at = run.transfer.deadline();
            if input == Input::Timeout && late && at < MonoTime::MAX {
                run.now = run.now.max(at);
            }
            take(&mut run, input)?;
        }
        for _ in 0..3 {
            if run.transfer.deadline() < MonoTime::MAX {
                run.now = run.transfer.deadline();
                take(&mut run, Input::Timeout)?;
            }
        }
        prop_assert_eq!(run.transfer.deadline(), MonoTime::MAX);
        let last = *told.last().unwrap();
        prop_assert!(last.is_over(), "{told:?}");
        prop_assert_eq!(joined, usize::from(!kind.is_asked() && last == State::Bridged));
        prop_assert_eq!(dropped, usize::from(!kind.is_asked() && last != State::Bridged));
        let alone = left && !over && last != State::Bridged;
        prop_assert_eq!(hung_up, usize::from(alone));
        prop_assert_eq!(resumed, usize::from(plan.holds && !over && !alone));
        if kind == Kind::Warm && keys && last == State::Bridged {
            prop_assert!(told.contains(&State::Accepted));
        }
    }
}

proptest! {
    /// What a carrier tells, in whatever order: states never go back, there is one end, a caller
    /// that was taken away is left where it is or comes back, and never both; whoever was called
    /// is joined or let go.
    #[test]
    fn any_order_of_a_carriers_facts(
        kind in prop::sample::select(vec![Kind::Blind, Kind::Bridge]),
        inputs in prop::collection::vec((any_input(), any::<bool>()), 0..16),
    ) {
        let mut run = Run::new(by_carrier(kind));
        let (mut told, mut effects) = (vec![State::Requested], Vec::new());
        let (mut away, mut over) = (false, false);
        let ends = [(Input::Timeout, true); 3];
        for (input, late) in inputs.into_iter().chain(ends) {
            let (at, was_over) = (run.transfer.deadline(), run.transfer.state().is_over());
            if input == Input::Timeout && late && at < MonoTime::MAX {
                run.now = run.now.max(at);
            }
            away |= input == Input::TakenAway && !was_over;
            over |= matches!(input, Input::CallOver { .. }) && !was_over;
            effects.extend(run.tell(input));
        }
        for effect in &effects {
            if let Effect::Tell(state, cause) = effect {
                let bad = matches!(state, State::Failed | State::Cancelled);
                prop_assert!(state > told.last().unwrap() && !told.last().unwrap().is_over());
                prop_assert_eq!(cause.is_some(), bad);
                told.push(*state);
            }
        }
        let count = |wanted| effects.iter().filter(|effect| **effect == wanted).count();
        let bridged = *told.last().unwrap() == State::Bridged;
        prop_assert!(told.last().unwrap().is_over(), "{told:?}");
        prop_assert_eq!(run.transfer.deadline(), MonoTime::MAX);
        prop_assert_eq!(count(Effect::Forget), 1);
        prop_assert_eq!(effects.last(), Some(&Effect::Forget));
        prop_assert_eq!(count(Effect::Release), usize::from(bridged && !over));
        prop_assert_eq!(count(Effect::Return), usize::from(away && !bridged && !over));
        prop_assert_eq!(count(Effect::Drop), usize::from(kind == Kind::Bridge && !bridged));
        prop_assert!(count(Effect::Join) <= usize::from(kind == Kind::Bridge));
    }
}

fn read(kind: &str, to: &str, options: &[(&str, &str)]) -> Result<Wish, TransferError> {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    Wish::read(kind, to, options.iter().map(owned).collect(), Vec::new())
}

/// What may be asked for.
#[test]
fn wishes() {
    let to = |kind: &str, destination: &str, options: &[(&str, &str)]| {
        read(kind, destination, options).unwrap().to
    };
    let uri = |text: &str| Destination::Uri(text.into());
    assert_eq!(to("blind", "sip:desk@example.org", &[]), uri("sip:desk@example.org"));
    assert_eq!(to("blind", "tel:+4930123", &[("x", "y")]), uri("tel:+4930123"));
    assert_eq!(to("blind", "+4930123", &[]), Destination::User("+4930123".into()));
    assert_eq!(to("blind", "#9", &[]), Destination::User("%239".into()));
    let id = Uuid::from_u128(7);
    let text = id.to_string();
    let attended = read("attended", "", &[("call_id", &text), ("timeout_s", "30")]).unwrap();
    assert_eq!((attended.to, attended.limit), (Destination::Call(id), s(30)));
    assert_eq!(attended.aim.other_call, Some(id));
    let leg = |to: &str, trunk: Option<&str>, from: Option<&str>| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        LegWish { to: to.to_owned(), trunk: owned(trunk), from: owned(from) }
    };
    let bridged = read("bridge", "#9", &[]).unwrap();
    let expected = Destination::Bridge(leg("#9", None, None));
    assert_eq!(bridged.to, expected, "a trunk writes the number itself");
    assert_eq!(bridged.limit, BRIDGE_LIMIT);
    let options = [("timeout_s", "20"), ("trunk", "out"), ("from", "+49")];
    let bridged = read("bridge", "sip:a@b", &options).unwrap();
    assert_eq!(bridged.to, Destination::Bridge(leg("sip:a@b", Some("out"), Some("+49"))));
    assert!(!format!("{bridged:?}").contains("+49"), "{bridged:?}");
    let options = [("accept_digit", "1"), ("decline_digit", "#"), ("whisper", "briefing")];
    let accept = Accept { digit: Some('1'), decline: Some('#'), limit: ACCEPT_LIMIT };
    let whisper = Whisper::Sound("briefing".into());
    let expected = Destination::Warm { leg: leg("+49", None, None), whisper, accept, holds: true };
    assert_eq!(to("warm", "+49", &options), expected);
    let secret = [("whisper", "https://a/b.wav?key=secret"), ("hold", "false")];
    let wish = read("warm", "+49", &secret).unwrap();
    assert!(matches!(wish.to, Destination::Warm { whisper: Whisper::Url(_), holds: false, .. }));
    assert_eq!(wish.aim.options, [("hold".to_owned(), "false".to_owned())], "no secret is kept");
    assert!(!format!("{wish:?}").contains("secret"));
    let options = [("variable.ticket", "7"), ("timeout_s", "9")];
    let variables = vec![("ticket".to_owned(), "7".to_owned())];
    let expected = Destination::Agent { name: "sales".into(), variables };
    assert_eq!(to("agent", "sales", &options), expected);
    for kind in Kind::ALL {
        assert_eq!(Kind::from_word(kind.as_str()), Some(kind));
        // Whom the peer calls talks with the peer alone.
        let stays = [("call_id", text.as_str()), ("stay", "listen")];
        let expected = if kind.is_asked() { Stay::No } else { Stay::Listen };
        assert_eq!(read(kind.as_str(), "a", &stays).unwrap().stay, expected, "{kind:?}");
        assert_eq!(read(kind.as_str(), "a", &stays[..1]).unwrap().stay, Stay::No);
    }
    for stay in Stay::ALL {
        assert_eq!(Stay::from_word(stay.as_str()), Some(stay));
        assert_eq!(stay.makes_three(), stay != Stay::No);
    }
}

/// What may not be asked for, and what is said of it.
#[test]
fn wishes_that_are_wrong() {
    for (kind, destination, options, error) in [
        ("bridge", "", &[][..], TransferError::Destination),
        ("bridge", "a b", &[], TransferError::Destination),
        ("bridge", "a", &[("timeout_s", "0")], TransferError::Timeout),
        ("hot", "a", &[], TransferError::Kind),
        ("cancel", "", &[], TransferError::Kind),
        ("warm", "a b", &[], TransferError::Destination),
        ("warm", "a", &[("accept_digit", "12")], TransferError::Digit),
        ("warm", "a", &[("accept_digit", "x")], TransferError::Digit),
        ("warm", "a", &[("accept_digit", "1"), ("decline_digit", "1")], TransferError::Digit),
        ("warm", "a", &[("accept_timeout_s", "601")], TransferError::Timeout),
        ("warm", "a", &[("whisper", "../etc/passwd")], TransferError::Whisper),
        ("warm", "a", &[("whisper", "..")], TransferError::Whisper),
        ("warm", "a", &[("whisper", "file:///a")], TransferError::Whisper),
        ("warm", "a", &[("hold", "maybe")], TransferError::Hold),
        ("agent", "", &[], TransferError::Agent),
        ("bridge", "a", &[("stay", "yes")], TransferError::Stay),
        ("agent", "a", &[("stay", "")], TransferError::Stay),
        ("leave", "", &[], TransferError::Kind),
        ("agent", "a b", &[], TransferError::Agent),
        ("blind", "", &[], TransferError::Destination),
        ("blind", "a b", &[], TransferError::Destination),
        ("blind", "http://a", &[], TransferError::Destination),
        ("blind", "sip:", &[], TransferError::Destination),
        ("blind", "sip:a@b?Replaces=1", &[], TransferError::Destination),
        ("blind", "sip:a@b>\r\nX: y", &[], TransferError::Destination),
        ("attended", "", &[], TransferError::CallId),
        ("attended", "", &[("call_id", "7")], TransferError::CallId),
        ("blind", "a", &[("timeout_s", "0")], TransferError::Timeout),
        ("blind", "a", &[("timeout_s", "601")], TransferError::Timeout),
        ("blind", "a", &[("timeout_s", "x")], TransferError::Timeout),
    ] {
        assert_eq!(read(kind, destination, options), Err(error), "{kind} {destination}");
    }
    assert_eq!(format!("{:?}", Destination::User("+49".into())), "User");
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
