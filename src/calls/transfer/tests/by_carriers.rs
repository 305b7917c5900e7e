//! Transfers that a carrier carries out.

use super::*;

pub(super) const fn by_carrier(kind: Kind) -> Plan {
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
