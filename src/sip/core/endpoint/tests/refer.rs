//! Transfers in both directions: REFER, NOTIFY, and calls that replace others.

use super::super::*;
use super::support::*;
use super::{inbound, outbound};
use crate::sip::core::{HeaderName, Message};

const FRAGMENT: &str = "Content-Type: message/sipfrag;version=2.0\n";

/// A NOTIFY of the peer: number, event, state, and the status line in it.
fn news(tag: &str, cseq: u32, event: &str, state: &str, status: &str) -> String {
    let extra =
        format!("Event: {event}\nSubscription-State: {state}\n{FRAGMENT}\nSIP/2.0 {status}\r\n");
    request("NOTIFY", tag, cseq, &format!("n{cseq}"), &extra)
}

fn progress(event: Event) -> (Option<u16>, bool) {
    match event {
        Event::ReferProgress { status, last, .. } => (status, last),
        other => panic!("{other:?}"),
    }
}

/// Our REFER: what it says, what the peer answers and tells, in either order; each NOTIFY is
/// answered, and after the last there is no subscription any more.
#[test]
fn we_refer() {
    for overtaking in [false, true] {
        let mut ua = Ua::new();
        let (dialog, tag) = inbound::established(&mut ua);
        ua.endpoint.refer(ua.now, dialog, "<sip:desk@192.0.2.9>", &[("X-A", "b")]).unwrap();
        let again = ua.endpoint.refer(ua.now, dialog, "<sip:desk@192.0.2.9>", &[]);
        assert_eq!(again, Err(CommandError::Busy));
        let refer = ua.sent().remove(0);
        assert_eq!(
            (line(&refer).as_str(), refer.uri()),
            ("REFER", Some("sip:them@192.0.2.1:5062"))
        );
        assert_eq!(header(&refer, HeaderName::ReferTo), "<sip:desk@192.0.2.9>");
        assert_eq!(header(&refer, HeaderName::ReferredBy), "<sip:us@198.51.100.7>");
        assert_eq!(header(&refer, HeaderName::Contact), "<sip:talkpath@198.51.100.7:5060>");
        assert_eq!(refer.header_named("X-A"), Some("b"));
        let taken = response(&refer, 202, "", "");
        let trying = news(&tag, 2, "refer", "active;expires=60", "100 Trying");
        let texts = if overtaking { [&trying, &taken] } else { [&taken, &trying] };
        texts.into_iter().for_each(|text| ua.receive(text));
        let mut events = ua.events();
        if overtaking {
            events.reverse();
        }
        let Event::ReferAnswered { status: 202, subscribed: true, .. } = events[0] else {
            panic!("{events:?}");
        };
        assert_eq!(progress(events.remove(1)), (Some(100), false));
        assert_eq!(ua.lines(), ["200"]);
        ua.receive(&news(&tag, 3, "Refer;id=1", "terminated;reason=noresource", "200 OK"));
        assert_eq!(progress(ua.event()), (Some(200), true));
        ua.receive(&news(&tag, 4, "refer", "terminated", "200 OK"));
        assert_eq!(ua.lines(), ["200", "481"]);
        assert!(ua.events().is_empty());
        ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
        ua.assert_empty();
    }
}

/// A refusal and silence are told and leave the call; 481 ends it; a peer that will tell nothing
/// (RFC 4488) is not listened to.
#[test]
fn our_refer_is_refused() {
    for (status, extra, expected, ends) in [
        (Some(405), "", (405, false), false),
        (Some(603), "", (603, false), false),
        (Some(481), "", (481, false), true),
        (Some(202), "Refer-Sub: false\n", (202, false), false),
        (None, "", (408, false), false),
    ] {
        let mut ua = Ua::new();
        let (dialog, invite) = outbound::established(&mut ua);
        ua.endpoint.refer(ua.now, dialog, "<tel:+4930>", &[]).unwrap();
        let refer = ua.sent().remove(0);
        match status {
            Some(status) => ua.receive(&response(&refer, status, "", extra)),
            None => ua.pass(32_000),
        }
        let events = ua.events();
        let Event::ReferAnswered { status, subscribed, .. } = events[0] else {
            panic!("{events:?}");
        };
        assert_eq!((status, subscribed), expected);
        assert_eq!(events.len() == 2, ends);
        ua.sent();
        let tag = invite.from().unwrap().tag().unwrap().to_owned();
        let late = news(&tag, 1, "refer", "active", "100 Trying")
            .replace("tag=theirs", "tag=callee")
            .replace("c1", invite.call_id().unwrap());
        ua.receive(&late);
        assert_eq!(ua.lines(), ["481"]);
        if !ends {
            // The call lives, and may be transferred again.
            ua.endpoint.refer(ua.now, dialog, "<tel:+4930>", &[]).unwrap();
            ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
        }
        ua.assert_empty();
    }
}

/// NOTIFYs that are not about our REFER, or say nothing.
#[test]
fn news_that_is_none() {
    let mut ua = Ua::new();
    let (dialog, tag) = inbound::established(&mut ua);
    ua.receive(&news(&tag, 2, "refer", "active", "100 Trying"));
    assert_eq!(ua.lines(), ["481"]);
    ua.endpoint.refer(ua.now, dialog, "<sip:desk@192.0.2.9>", &[]).unwrap();
    ua.sent();
    ua.receive(&news(&tag, 3, "refer;id=77", "active", "100 Trying"));
    ua.receive(&news(&tag, 4, "refer;id=x", "active", "100 Trying"));
    ua.receive(&news(&tag, 5, "presence", "active", "100 Trying"));
    ua.receive(&request("NOTIFY", &tag, 6, "n6", "Event: refer\n"));
    assert_eq!(ua.lines(), ["481", "481", "489", "400"]);
    assert!(ua.events().is_empty());
    let odd = request("NOTIFY", &tag, 7, "n7", "Event: refer\nSubscription-State: active\n");
    ua.receive(&odd);
    assert_eq!(progress(ua.event()), (None, false));
    ua.receive(&request("NOTIFY", "", 1, "nx", "Event: refer\nSubscription-State: active\n"));
    assert_eq!(ua.lines(), ["200", "481"]);
    ua.endpoint.forget_refer(dialog);
    ua.receive(&news(&tag, 8, "refer", "active", "180 Ringing"));
    assert_eq!(ua.lines(), ["481"]);
}

fn refer(tag: &str, cseq: u32, extra: &str) -> String {
    request(
        "REFER",
        tag,
        cseq,
        &format!("r{cseq}"),
        &format!("Refer-To: <sip:b@192.0.2.7>\n{extra}"),
    )
}

/// The peer's REFER: 202 and NOTIFYs one at a time; the newest news counts; the BYE waits until the
/// last has arrived. The second REFER's NOTIFYs name it.
#[test]
fn the_peer_refers() {
    let mut ua = Ua::new();
    let (dialog, tag) = inbound::established(&mut ua);
    for (cseq, event) in [(2, "refer"), (3, "refer;id=3")] {
        ua.receive(&refer(&tag, cseq, ""));
        assert!(matches!(ua.event(), Event::Refer { .. }));
        ua.receive(&refer(&tag, cseq + 10, "").replace("z9hG4bKr", "z9hG4bKs"));
        assert_eq!(ua.lines(), ["491"]);
        ua.receive(&refer(&tag, cseq, ""));
        assert!(ua.lines().is_empty(), "a copy waits as well");
        if cseq == 2 {
            // The numbers go on from the one that was refused.
            ua.endpoint.accept_refer(ua.now, dialog).unwrap();
            let sent = ua.sent();
            assert_eq!(sent.iter().map(line).collect::<Vec<_>>(), ["202", "NOTIFY"]);
            assert_eq!(header(&sent[0], HeaderName::Contact), "<sip:talkpath@198.51.100.7:5060>");
            let notify = &sent[1];
            assert_eq!(header(notify, HeaderName::Event), event);
            assert_eq!(header(notify, HeaderName::SubscriptionState), "active;expires=300");
            assert_eq!(notify.body(), b"SIP/2.0 100 Trying\r\n");
            ua.endpoint.notify(ua.now, dialog, 180, "Ringing", false).unwrap();
            ua.endpoint.notify(ua.now, dialog, 486, "Busy Here", true).unwrap();
            let more = ua.endpoint.notify(ua.now, dialog, 200, "OK", true);
            assert_eq!(more, Err(CommandError::State));
            assert!(ua.lines().is_empty());
            ua.receive(&response(notify, 200, "", ""));
            let last = ua.sent().remove(0);
            assert_eq!(last.body(), b"SIP/2.0 486 Busy Here\r\n");
            let state = header(&last, HeaderName::SubscriptionState);
            assert_eq!(state, "terminated;reason=noresource");
            ua.receive(&response(&last, 200, "", ""));
            break;
        }
    }
    ua.receive(&refer(&tag, 20, ""));
    ua.event();
    ua.endpoint.accept_refer(ua.now, dialog).unwrap();
    let notify = ua.sent().remove(1);
    assert_eq!(header(&notify, HeaderName::Event), "refer;id=20");
    ua.endpoint.notify(ua.now, dialog, 200, "OK", true).unwrap();
    ua.endpoint.bye(ua.now, dialog, &[("X-B", "c")]).unwrap();
    assert!(ua.lines().is_empty(), "the outcome comes first");
    ua.receive(&response(&notify, 200, "", ""));
    let last = ua.sent().remove(0);
    assert_eq!(last.body(), b"SIP/2.0 200 OK\r\n");
    ua.receive(&response(&last, 200, "", ""));
    let bye = ua.sent().remove(0);
    assert_eq!((line(&bye).as_str(), bye.header_named("X-B")), ("BYE", Some("c")));
    ua.receive(&response(&bye, 200, "", ""));
    assert!(matches!(ua.event(), Event::Ended { cause: End::Local, .. }));
    ua.assert_empty();
}

/// REFERs that are refused: outside of a call, without a usable target, by the user, and those that
/// the user forgets. Whoever does not take a NOTIFY is told nothing more, and a BYE goes out.
#[test]
fn the_peers_refer_fails() {
    let mut ua = Ua::new();
    ua.receive(&refer("", 1, ""));
    assert_eq!(ua.lines(), ["403"]);
    let (dialog, tag) = inbound::established(&mut ua);
    ua.receive(&request("REFER", &tag, 2, "r2", ""));
    ua.receive(&refer(&tag, 3, "Refer-To: <sip:c@192.0.2.7>\n"));
    ua.receive(&request("REFER", &tag, 4, "r4", "Refer-To: <sip:b@c;method=BYE>\n"));
    assert_eq!(ua.lines(), ["400", "400", "400"]);
    assert!(ua.events().is_empty());
    ua.receive(&refer(&tag, 5, ""));
    ua.event();
    ua.endpoint.reject_refer(ua.now, dialog, 603, "Decline").unwrap();
    assert_eq!(ua.lines(), ["603"]);
    assert_eq!(ua.endpoint.accept_refer(ua.now, dialog), Err(CommandError::State));
    ua.receive(&refer(&tag, 6, ""));
    ua.event();
    ua.pass(10_000);
    assert_eq!(ua.lines(), ["500"]);
    ua.receive(&refer(&tag, 7, "Refer-Sub: false\n"));
    ua.event();
    ua.endpoint.accept_refer(ua.now, dialog).unwrap();
    let sent = ua.sent();
    assert_eq!((sent.len(), sent[0].header_named("Refer-Sub")), (1, Some("false")));
    assert_eq!(ua.endpoint.notify(ua.now, dialog, 200, "OK", true), Err(CommandError::State));
    ua.receive(&refer(&tag, 8, ""));
    ua.event();
    ua.endpoint.accept_refer(ua.now, dialog).unwrap();
    let notify = ua.sent().remove(1);
    ua.endpoint.notify(ua.now, dialog, 200, "OK", true).unwrap();
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    ua.receive(&response(&notify, 481, "", ""));
    assert_eq!(ua.lines(), ["BYE"]);
    ua.assert_empty();
}

/// The peer hangs up while its REFER waits, or while it is being told: everything is answered and
/// forgotten.
#[test]
fn the_referrer_hangs_up() {
    for accepted in [false, true] {
        let mut ua = Ua::new();
        let (dialog, tag) = inbound::established(&mut ua);
        ua.receive(&refer(&tag, 2, ""));
        ua.event();
        if accepted {
            ua.endpoint.accept_refer(ua.now, dialog).unwrap();
        }
        ua.lines();
        ua.receive(&request("BYE", &tag, 3, "b", ""));
        let expected: &[&str] = if accepted { &["200"] } else { &["200", "487"] };
        assert_eq!(ua.lines(), expected);
        assert!(matches!(ua.event(), Event::Ended { .. }));
        let told = ua.endpoint.notify(ua.now, dialog, 200, "OK", true);
        assert_eq!(told, Err(CommandError::NoSuchCall));
        ua.assert_empty();
    }
}

fn replacing(tag: &str, more: &str, branch: &str) -> String {
    let replaces = format!("Require: replaces\nReplaces: c1;to-tag={tag};from-tag=theirs{more}\n");
    request("INVITE", "", 1, branch, &with_sdp(&replaces)).replace("Call-ID: c1", "Call-ID: c2")
}

/// A new call that replaces one of ours names it; what names none, or may not be replaced, is
/// refused as RFC 3891 3 says.
#[test]
fn calls_that_replace_others() {
    let mut ua = Ua::new();
    let (dialog, tag) = inbound::established(&mut ua);
    ua.receive(&replacing(&tag, "", "ok"));
    let Event::Incoming { dialog: new, .. } = ua.event() else { panic!() };
    assert_eq!(ua.endpoint.replaces(new), Some(dialog));
    assert_eq!(ua.endpoint.replaces(dialog), None);
    ua.endpoint.answer(ua.now, new, Some(SDP.as_bytes()), &[]).unwrap();
    let ok = ua.sent().remove(1);
    assert_eq!(header(&ok, HeaderName::Supported), "100rel, replaces, norefersub");
    for (text, status) in [
        (replacing(&tag, ";early-only", "e1"), "486"),
        (replacing("0000000000000000", "", "e2"), "481"),
        (replacing("x", "", "e3"), "481"),
        (replacing(&tag, ";from-tag=x", "e4"), "400"),
        (replacing(&tag, "x", "e5"), "481"),
        (replacing(&tag, "", "e6").replace("Replaces: c1", "Replaces: c9"), "481"),
        (replacing(&tag, "\nReplaces: a;to-tag=b;from-tag=c", "e7"), "400"),
        (replacing(&tag, "\nJoin: a;to-tag=b;from-tag=c", "e8"), "400"),
    ] {
        ua.receive(&text);
        assert_eq!(ua.lines(), [status], "{text}");
        assert!(ua.events().is_empty());
    }
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    assert_eq!(ua.lines(), ["BYE"]);
    ua.receive(&replacing(&tag, "", "late"));
    assert_eq!(ua.lines(), ["603"]);
}

/// Before its answer, a call may be replaced by the caller's wish only if we placed it.
#[test]
fn calls_that_ring_may_be_replaced() {
    let mut ua = Ua::new();
    ua.receive(&request("INVITE", "", 1, "inv", &with_sdp("")));
    let Event::Incoming { dialog, .. } = ua.event() else { panic!() };
    ua.endpoint.provisional(ua.now, dialog, 180, "Ringing", None, &[]).unwrap();
    let tag = ua.sent().pop().unwrap().to().unwrap().tag().unwrap().to_owned();
    ua.receive(&replacing(&tag, "", "a"));
    assert_eq!(ua.lines(), ["481"]);
    let dialog = ua.endpoint.invite(ua.now, outbound::params(ua.flow, true)).unwrap();
    let invite = ua.sent().remove(0);
    let tag = invite.from().unwrap().tag().unwrap().to_owned();
    let call_id = invite.call_id().unwrap().to_owned();
    let text = replacing(&tag, ";early-only", "b")
        .replace("Replaces: c1", &format!("Replaces: {call_id}"));
    ua.receive(&text);
    let Event::Incoming { dialog: new, .. } = ua.event() else { panic!() };
    assert_eq!(ua.endpoint.replaces(new), Some(dialog));
    assert_eq!(ua.endpoint.replacement(dialog), None);
}

/// What makes the peer of a call accept somebody in our place: read by its own rules, it names the
/// dialog from the peer's view.
#[test]
fn what_replaces_a_call() {
    let mut ua = Ua::new();
    let (dialog, invite) = outbound::established(&mut ua);
    let (target, replaces) = ua.endpoint.replacement(dialog).unwrap();
    assert_eq!(target, "sip:callee@192.0.2.1:5070");
    let tag = invite.from().unwrap().tag().unwrap();
    let call_id = invite.call_id().unwrap();
    assert_eq!(replaces, format!("{call_id};to-tag=callee;from-tag={tag}"));
    assert_eq!(ua.endpoint.target(dialog), Some("sip:callee@192.0.2.1:5070"));
}

/// What is supported may be required; the rest is still refused.
#[test]
fn required_extensions() {
    let mut ua = Ua::new();
    let text =
        request("INVITE", "", 1, "q", &with_sdp("Require: replaces, foo\nRequire: NoReferSub\n"));
    ua.receive(&text);
    let refused: Message = ua.sent().remove(0);
    assert_eq!(
        (line(&refused).as_str(), refused.header(HeaderName::Unsupported)),
        ("420", Some("foo"))
    );
}
