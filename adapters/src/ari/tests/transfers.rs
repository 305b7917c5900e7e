//! Calls that are handed over, and those that come to nothing at any moment.

use serde_json::{Value, json};

use super::super::SPEC;
use super::flows::{BRIDGE, CALLER, Call, MEDIA, destroyed, event};
use super::rest::{answer, config};
use crate::address::Address;
use crate::event::{CallFact, CarrierCallId, HangupCause, TransferOf, TransferState};
use crate::flow::{FlowCommand, Routed};
use crate::hook::HookUrls;
use crate::op::{Step, Transfer, TransferKind};

/// The leg of a blind transfer, and that of one that is joined when it is asked for.
const BLIND: &str = "voiceapp.x.0190.t-1";
const APART: &str = "voiceapp.t.0190.t-1";

fn transfers(call: &Call) -> Vec<TransferState> {
    told(call).into_iter().map(|(state, _)| state).collect()
}

fn told(call: &Call) -> Vec<(TransferState, TransferOf)> {
    let states = call.facts.iter().filter_map(|fact| match fact {
        CallFact::Transfer { state, of } => Some((*state, of.clone())),
        _ => None,
    });
    states.collect()
}

fn joined(leg: &str) -> Value {
    let mut joined = event("ChannelEnteredBridge", leg, "Up");
    joined["bridge"] = json!({"id": BRIDGE});
    joined
}

/// A channel that Asterisk puts into the place of another, as a real one told it.
fn stands_in(channel: &str, replaced: &str) -> Value {
    let mut start = event("StasisStart", channel, "Down");
    start["channel"]["name"] = json!("Local/601@test-00000000;1");
    start["replace_channel"] = json!({"id": replaced, "name": "PJSIP/a", "state": "Up"});
    start
}

/// Of events in the application, whose they are.
fn routed(event: &Value) -> Routed {
    (SPEC.events.unwrap().route)(event.to_string().as_bytes()).unwrap()
}

/// The far end transfers itself: the call goes on with the channel that is in its place, which is
/// told of to its end, and whoever has asked for that is hung up. So does who has taken a call
/// over.
#[test]
fn the_far_end_transfers_itself() {
    const OTHER: &str = "pbx1-9.1";
    let start = stands_in(OTHER, CALLER);
    assert_eq!(routed(&start), Routed::Of(CarrierCallId(CALLER.to_owned())));
    let of_placed = stands_in(OTHER, "voiceapp.o.0190");
    assert_eq!(routed(&of_placed), Routed::Ours { call: "0190".to_owned(), leg: None });
    let mut call = Call::talking();
    call.tell(&start);
    let mut left = event("ChannelLeftBridge", CALLER, "Up");
    left["bridge"] = json!({"id": BRIDGE});
    call.tell(&left);
    call.settle();
    assert_eq!(call.replaced, [OTHER]);
    assert_eq!(call.has_asked(&format!("DELETE channels/{CALLER}")), 1);
    assert_eq!((call.has_asked("subscription"), call.has_asked("addChannel")), (2, 1));
    assert!(!call.done && call.facts.last() == Some(&CallFact::StreamStarted), "{:?}", call.facts);
    // It is transferred again, and then hangs up.
    call.tell(&stands_in("pbx1-9.2", OTHER));
    call.tell(&event("ChannelStateChange", "pbx1-9.2", "Up"));
    call.tell(&destroyed(OTHER, 16, None));
    assert!(!call.done);
    call.tell(&destroyed("pbx1-9.2", 16, None));
    call.settle();
    assert_eq!((call.end(), call.done), (HangupCause::Normal, true));
    // One that comes when the call is over has nobody to talk with.
    let mut call = Call::talking();
    call.command(FlowCommand::Hangup);
    call.tell(&stands_in(OTHER, CALLER));
    call.settle();
    assert_eq!(call.has_asked(&format!("DELETE channels/{OTHER}")), 1);
    // Two who were left together are looked after, whoever they are.
    let mut call = Call::talking();
    call.tell(&event("StasisStart", BLIND, "Up"));
    call.settle();
    call.tell(&stands_in(OTHER, BLIND));
    call.settle();
    assert!(!call.done && call.has_asked(&format!("DELETE channels/{BLIND}")) == 1);
    let mut left = event("ChannelLeftBridge", OTHER, "Up");
    left["bridge"] = json!({"id": BRIDGE});
    call.tell(&left);
    call.settle();
    assert!(call.done, "{:?}", call.asked);
    assert_eq!(call.has_asked(&format!("DELETE channels/{OTHER}")), 1);
}

/// A transfer that is left to the application is declined, at once and for good.
#[test]
fn transfers_that_are_left_to_us() {
    let asked = json!({
        "type": "ChannelTransfer", "application": "voiceapp",
        "refer_to": {"requested_destination": {"destination": "601"}},
        "referred_by": {"source_channel": {"id": CALLER, "name": "PJSIP/a", "state": "Up"}},
    });
    assert_eq!(routed(&asked), Routed::Of(CarrierCallId(CALLER.to_owned())));
    let mut call = Call::talking();
    call.tell(&asked);
    let mut told = asked;
    told["state"] = json!("channel_declined");
    call.tell(&told);
    call.settle();
    assert_eq!(call.has_asked("POST channels/pbx1-1.1/transfer_progress"), 1);
    assert!(!call.done);
}

/// A call is handed over: whoever answered takes our place, and once one of the two is gone the
/// other goes too.
#[test]
fn calls_are_handed_over() {
    for caller_first in [true, false] {
        let mut call = Call::talking();
        call.tell(&event("ChannelStateChange", BLIND, "Ringing"));
        call.settle();
        assert_eq!(transfers(&call), [TransferState::Trying]);
        call.tell(&event("StasisStart", BLIND, "Up"));
        call.settle();
        let states = [TransferState::Trying, TransferState::Answered, TransferState::Done];
        assert_eq!(transfers(&call), states);
        let leg = Some(CarrierCallId(BLIND.to_owned()));
        let of = TransferOf { id: Some("t-1".to_owned()), leg, cause: None };
        assert!(told(&call).iter().all(|(_, told)| *told == of), "which it is of is told");
        assert_eq!(call.has_asked(&format!("DELETE channels/{MEDIA}")), 1);
        assert!(!call.done && call.has_asked("DELETE channels/pbx1-1.1") == 0);
        call.tell(&destroyed(if caller_first { CALLER } else { BLIND }, 16, None));
        call.settle();
        assert!(call.done, "{:?}", call.asked);
        let other = if caller_first { BLIND } else { CALLER };
        assert_eq!(call.has_asked(&format!("DELETE channels/{other}")), 1);
        assert_eq!(call.has_asked(&format!("DELETE bridges/{BRIDGE}")), 1);
    }
    // When it is asked for, the answer is told, and nothing is joined before.
    let mut call = Call::talking();
    call.tell(&event("StasisStart", APART, "Up"));
    call.settle();
    assert_eq!(transfers(&call), [TransferState::Trying, TransferState::Answered]);
    assert_eq!(call.has_asked("addChannel"), 1);
    call.tell(&joined(APART));
    call.settle();
    assert_eq!(transfers(&call).last(), Some(&TransferState::Done));
    assert_eq!(call.has_asked(&format!("DELETE channels/{MEDIA}")), 1);
}

/// Nobody is reached: why is told, the caller talks on, and the next transfer has a leg of its own.
#[test]
fn why_nobody_was_reached_is_told() {
    for (cause, tech, expected) in [
        (17, Some(486), HangupCause::Busy),
        (19, Some(480), HangupCause::NoAnswer),
        (21, Some(603), HangupCause::Rejected),
        (1, Some(404), HangupCause::NotFound),
    ] {
        let mut call = Call::talking();
        call.tell(&event("ChannelStateChange", BLIND, "Ringing"));
        call.tell(&destroyed(BLIND, cause, tech));
        call.settle();
        let (state, of) = told(&call).pop().unwrap();
        assert_eq!((state, of.cause), (TransferState::Failed, Some(expected)));
        assert!(!call.done && call.has_asked(&format!("DELETE channels/{MEDIA}")) == 0);
        let again = "voiceapp.x.0190.t-2";
        call.tell(&event("StasisStart", again, "Up"));
        call.settle();
        let (state, of) = told(&call).pop().unwrap();
        assert_eq!((state, of.id.as_deref()), (TransferState::Done, Some("t-2")));
    }
}

/// A transfer that is given up takes nobody away: not when whoever was called is in the bridge
/// already, not when their joining is under way, not when they show themselves later. They go.
#[test]
fn what_is_given_up_keeps_the_caller() {
    let keep = || FlowCommand::Keep("t-1".to_owned());
    let stays = |call: &Call, leg: &str| {
        assert_eq!(call.has_asked(&format!("DELETE channels/{leg}")), 1, "{:?}", call.asked);
        assert_eq!(call.has_asked(&format!("DELETE channels/{MEDIA}")), 0, "the agent is heard");
        assert!(!call.done && call.has_asked("DELETE channels/pbx1-1.1") == 0);
        assert!(!transfers(call).contains(&TransferState::Done));
    };
    // It was asked to join them, and did just then.
    let mut call = Call::talking();
    call.tell(&event("StasisStart", APART, "Up"));
    call.command(keep());
    call.tell(&joined(APART));
    call.tell(&event("ChannelHangupRequest", APART, "Up"));
    call.settle();
    stays(&call, APART);

    // We have asked to join them.
    let mut call = Call::talking();
    call.tell(&event("StasisStart", BLIND, "Up"));
    call.command(keep());
    call.settle();
    stays(&call, BLIND);

    // They show themselves when nobody waits any more.
    let mut call = Call::talking();
    call.command(keep());
    call.tell(&event("ChannelStateChange", BLIND, "Ringing"));
    call.tell(&event("StasisStart", BLIND, "Up"));
    call.settle();
    stays(&call, BLIND);
    assert_eq!(transfers(&call), []);
    // The next one is none of that.
    call.tell(&event("StasisStart", "voiceapp.x.0190.t-2", "Up"));
    call.settle();
    assert_eq!(transfers(&call).last(), Some(&TransferState::Done));

    // They talk: it is too late.
    let mut call = Call::talking();
    call.tell(&event("StasisStart", BLIND, "Up"));
    call.settle();
    call.command(keep());
    call.settle();
    assert_eq!(call.has_asked(&format!("DELETE channels/{BLIND}")), 0);
}

/// Whoever is called for a call that is over is let go, and so is one that is gone before the
/// answer to our joining them is heard: the caller stays.
#[test]
fn who_comes_too_late_goes() {
    let mut call = Call::talking();
    call.command(FlowCommand::Hangup);
    call.tell(&event("ChannelStateChange", BLIND, "Ringing"));
    call.tell(&event("StasisStart", BLIND, "Up"));
    call.settle();
    assert_eq!(call.has_asked(&format!("DELETE channels/{BLIND}")), 1);
    assert!(call.done);

    let mut call = Call::talking();
    call.tell(&event("StasisStart", BLIND, "Up"));
    call.tell(&destroyed(BLIND, 16, None));
    call.settle();
    assert_eq!(transfers(&call).last(), Some(&TransferState::Failed));
    assert_eq!(call.has_asked(&format!("DELETE channels/{MEDIA}")), 0, "{:?}", call.asked);

    // One that cannot be joined is let go, once.
    let mut call = Call::talking();
    call.broken.push(("addChannel", 422));
    call.tell(&event("StasisStart", BLIND, "Up"));
    call.settle();
    assert_eq!(transfers(&call).last(), Some(&TransferState::Failed));
    assert_eq!(call.has_asked(&format!("DELETE channels/{BLIND}")), 1);
}

/// Each transfer of a call has a leg with a name of its own: a name that is in use brings some
/// versions down.
#[test]
fn legs_have_names_of_their_own() {
    let wanted = |id: &str, kind| Transfer {
        id: id.to_owned(),
        kind,
        call: CarrierCallId(CALLER.to_owned()),
        to: Address::parse("+4930123456", None).unwrap(),
        from: None,
        hooks: HookUrls::new("https://t.example", "ari", "tok").of_call("0190"),
        ring_timeout_s: 20,
    };
    let mut legs = Vec::new();
    for (id, kind) in [
        ("t-1", TransferKind::Blind),
        ("t-2", TransferKind::Blind),
        ("t-1", TransferKind::Attended),
    ] {
        let wanted = wanted(id, kind);
        let mut op = super::super::calls::transfer(&config(), &wanted).unwrap();
        let Step::Send(request) = op.next(None) else { panic!() };
        let Step::Done(Some(leg)) = op.next(Some(answer(200, &json!({"id": "x"})))) else {
            panic!()
        };
        assert!(request.url.contains(&format!("channelId={}&", leg.0)), "{}", request.url);
        if kind == TransferKind::Attended {
            let mut join = super::super::calls::join(&config(), &wanted).unwrap();
            let Step::Send(request) = join.next(None) else { panic!() };
            assert!(request.url.ends_with(&format!("channel={}", leg.0)), "{}", request.url);
        }
        legs.push(leg.0);
    }
    assert_eq!(legs, [BLIND, "voiceapp.x.0190.t-2", APART]);
}
