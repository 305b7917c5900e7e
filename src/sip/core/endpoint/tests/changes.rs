//! Changes of a call by either side, and what happens when they meet.

use super::super::*;
use super::support::*;
use super::{inbound, outbound};
use crate::sip::core::HeaderName;

/// re-INVITE of the peer with an offer: 100, accepted, acknowledged; its Contact is the new target.
#[test]
fn peer_changes_the_call() {
    let mut ua = Ua::new();
    let (dialog, tag) = inbound::established(&mut ua);
    let text = request("INVITE", &tag, 2, "re", &with_sdp("")).replace("5062", "5099");
    ua.receive(&text);
    assert!(matches!(ua.event(), Event::Reinvite { offer: Some(_), .. }));
    ua.endpoint.accept_reinvite(ua.now, dialog, SDP.as_bytes()).unwrap();
    let sent = ua.sent();
    assert_eq!(sent.iter().map(line).collect::<Vec<_>>(), ["100", "200"]);
    assert_eq!(header(&sent[1], HeaderName::Contact), "<sip:talkpath@198.51.100.7:5060>");
    ua.pass(500);
    assert_eq!(ua.lines(), ["200"]);
    ua.receive(&request("ACK", &tag, 2, "ack2", ""));
    ua.pass(40_000);
    assert!(ua.lines().is_empty() && ua.events().is_empty());
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    assert_eq!(ua.sent()[0].uri(), Some("sip:them@192.0.2.1:5099"));
    ua.assert_empty();
}

/// re-INVITE without an offer: ours goes with the 200, the answer comes with the ACK.
#[test]
fn peer_asks_for_an_offer() {
    let mut ua = Ua::new();
    let (dialog, tag) = inbound::established(&mut ua);
    ua.receive(&request("INVITE", &tag, 2, "re", ""));
    assert!(matches!(ua.event(), Event::Reinvite { offer: None, .. }));
    ua.endpoint.accept_reinvite(ua.now, dialog, SDP.as_bytes()).unwrap();
    ua.lines();
    // Until the answer is there, neither side may offer again.
    ua.receive(&request("INVITE", &tag, 3, "re2", &with_sdp("")));
    assert_eq!(ua.lines(), ["491"]);
    assert_eq!(ua.endpoint.reinvite(ua.now, dialog, None), Err(CommandError::Busy));
    ua.receive(&request("ACK", &tag, 2, "ack2", &with_sdp("")));
    assert!(matches!(ua.event(), Event::Acked { answer: Some(_), .. }));
}

/// UPDATE with an offer is asked of the user and answered once; without one it is answered at once.
#[test]
fn peer_updates_the_call() {
    let mut ua = Ua::new();
    let (dialog, tag) = inbound::established(&mut ua);
    let text = request("UPDATE", &tag, 2, "up", &with_sdp("")).replace("5062", "5098");
    ua.receive(&text);
    assert!(ua.lines().is_empty());
    assert!(matches!(ua.event(), Event::Reinvite { offer: Some(_), .. }));
    ua.endpoint.accept_reinvite(ua.now, dialog, SDP.as_bytes()).unwrap();
    assert_eq!(ua.sent()[0].body(), SDP.as_bytes());
    ua.pass(40_000);
    assert!(ua.lines().is_empty());
    ua.receive(&request("UPDATE", &tag, 3, "up2", "").replace("5062", "5097"));
    assert_eq!(header(&ua.sent()[0], HeaderName::Contact), "<sip:talkpath@198.51.100.7:5060>");
    assert!(ua.events().is_empty());
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    assert_eq!(ua.sent()[0].uri(), Some("sip:them@192.0.2.1:5097"));
}

/// A refused, a withdrawn and an unanswered change leave the call as it was.
#[test]
fn changes_that_fail() {
    for case in 0..3 {
        let mut ua = Ua::new();
        let (dialog, tag) = inbound::established(&mut ua);
        ua.receive(&request("INVITE", &tag, 2, "re", &with_sdp("")));
        ua.events();
        ua.lines();
        match case {
            0 => {
                ua.endpoint.reject_reinvite(ua.now, dialog, 488, "Not Here", &[]).unwrap();
                assert_eq!(ua.lines(), ["488"]);
                assert!(ua.events().is_empty());
            }
            1 => {
                ua.receive(&request("CANCEL", &tag, 2, "re", ""));
                assert_eq!(ua.lines(), ["200", "487"]);
                assert!(matches!(ua.event(), Event::ReinviteCancelled { .. }));
            }
            _ => {
                ua.pass(10_000);
                assert_eq!(ua.lines(), ["500"]);
                assert!(matches!(ua.event(), Event::ReinviteCancelled { .. }));
            }
        }
        assert_eq!(ua.endpoint.accept_reinvite(ua.now, dialog, b""), Err(CommandError::State));
        ua.receive(&request("ACK", &tag, 2, "re", ""));
        ua.pass(40_000);
        ua.receive(&request("INVITE", &tag, 3, "re3", &with_sdp("")));
        assert!(matches!(ua.event(), Event::Reinvite { .. }));
        assert_eq!(ua.lines(), ["100"]);
        ua.receive(&request("BYE", &tag, 4, "bye", ""));
        assert_eq!(ua.lines(), ["200", "487"]);
        ua.assert_empty();
    }
}

/// A second change before the first is answered gets 500 with Retry-After (RFC 3261 14.2), and one
/// whose 2xx waits for its ACK takes that as acknowledged.
#[test]
fn changes_in_a_row() {
    let mut ua = Ua::new();
    let (dialog, tag) = inbound::established(&mut ua);
    ua.receive(&request("INVITE", &tag, 2, "r2", &with_sdp("")));
    ua.receive(&request("INVITE", &tag, 3, "r3", &with_sdp("")));
    let sent = ua.sent();
    assert_eq!(sent.iter().map(line).collect::<Vec<_>>(), ["100", "500"]);
    assert!(header(&sent[1], HeaderName::RetryAfter).parse::<u32>().unwrap() <= 10);
    ua.receive(&request("ACK", &tag, 3, "r3", ""));
    ua.endpoint.accept_reinvite(ua.now, dialog, SDP.as_bytes()).unwrap();
    ua.receive(&request("INVITE", &tag, 4, "r4", &with_sdp("")));
    assert_eq!(ua.lines(), ["200", "100"]);
    ua.pass(600);
    assert!(ua.lines().is_empty(), "the 200 of the first change has arrived");
    assert_eq!(ua.events().len(), 2);
}

/// Our change: offer, 200, ACK; or no offer, 200 with one, ACK with the answer.
#[test]
fn we_change_the_call() {
    let mut ua = Ua::new();
    let (dialog, invite) = outbound::established(&mut ua);
    ua.endpoint.reinvite(ua.now, dialog, Some(SDP.as_bytes())).unwrap();
    assert_eq!(ua.endpoint.reinvite(ua.now, dialog, None), Err(CommandError::Busy));
    let change = ua.sent().remove(0);
    assert_eq!(change.uri(), Some("sip:callee@192.0.2.1:5070"));
    assert_eq!((change.cseq().unwrap().number, change.body()), (2, SDP.as_bytes()));
    ua.receive(&response(&change, 100, "", ""));
    let ok = response(&change, 200, "", &with_sdp("")).replace("5070", "5080");
    ua.receive(&ok);
    ua.receive(&ok);
    let acks = ua.sent();
    assert_eq!(acks.iter().map(line).collect::<Vec<_>>(), ["ACK", "ACK"]);
    assert_eq!(acks[0].uri(), Some("sip:callee@192.0.2.1:5080"));
    assert_eq!(header(&acks[0], HeaderName::CSeq), "2 ACK");
    assert!(matches!(ua.event(), Event::ReinviteAnswered { sdp: Some(_), .. }));
    // A copy of the first 200 is still acknowledged as what it is.
    ua.endpoint.reinvite(ua.now, dialog, None).unwrap();
    let change = ua.sent().remove(0);
    ua.receive(&response(&change, 200, "", &with_sdp("")));
    assert!(ua.sent().is_empty());
    assert!(matches!(ua.event(), Event::ReinviteAnswered { sdp: Some(_), .. }));
    ua.endpoint.ack_with(ua.now, dialog, SDP.as_bytes()).unwrap();
    let ack = ua.sent().remove(0);
    assert_eq!((header(&ack, HeaderName::CSeq).as_str(), ack.body()), ("3 ACK", SDP.as_bytes()));
    assert_eq!(ua.endpoint.call_id(dialog), Some(invite.call_id().unwrap()));
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    ua.assert_empty();
}

/// An INFO between our re-INVITE and its 200 does not confuse the number of the ACK.
#[test]
fn info_during_our_change() {
    let mut ua = Ua::new();
    let (dialog, _) = outbound::established(&mut ua);
    ua.endpoint.reinvite(ua.now, dialog, None).unwrap();
    let change = ua.sent().remove(0);
    ua.endpoint.info(ua.now, dialog, "text/plain", b"x").unwrap();
    ua.receive(&response(&change, 200, "", &with_sdp("")));
    ua.endpoint.ack_with(ua.now, dialog, SDP.as_bytes()).unwrap();
    let numbers: Vec<_> = ua.sent().iter().map(|m| header(m, HeaderName::CSeq)).collect();
    assert_eq!(numbers, ["3 INFO", "2 ACK"]);
}

/// A refused change leaves the call; 481, 408 and silence end it (RFC 3261 14.1).
#[test]
fn our_change_fails() {
    for (status, ends) in
        [(Some(488), false), (Some(500), false), (Some(481), true), (Some(408), true), (None, true)]
    {
        let mut ua = Ua::new();
        let (dialog, _) = outbound::established(&mut ua);
        ua.endpoint.reinvite(ua.now, dialog, Some(SDP.as_bytes())).unwrap();
        let change = ua.sent().remove(0);
        match status {
            Some(status) => ua.receive(&response(&change, status, "", "")),
            None => ua.pass(32_000),
        }
        match ua.event() {
            Event::ReinviteFailed { status: told, .. } => assert_eq!(Some(told), status),
            Event::Ended { cause: End::TransactionTimeout, .. } => assert!(ends, "{status:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(ua.lines().iter().any(|l| l == "BYE"), ends);
        if !ends {
            ua.endpoint.reinvite(ua.now, dialog, None).unwrap();
            ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
        }
        ua.assert_empty();
    }
}

/// Both change at once: 491 both ways, and each tries again after its own wait, the opener of the
/// call later (RFC 3261 14.1); after too many the user is told.
#[test]
fn glare() {
    let mut ua = Ua::new();
    let (dialog, invite) = outbound::established(&mut ua);
    ua.endpoint.reinvite(ua.now, dialog, Some(SDP.as_bytes())).unwrap();
    let change = ua.sent().remove(0);
    let tag = invite.from().unwrap().tag().unwrap().to_owned();
    let theirs = request("INVITE", &tag, 1, "g", &with_sdp(""))
        .replace("tag=theirs", "tag=callee")
        .replace("c1", invite.call_id().unwrap());
    ua.receive(&theirs);
    assert_eq!(ua.lines(), ["491"]);
    let mut refused = change;
    for tries in 0..5 {
        ua.receive(&response(&refused, 491, "", ""));
        assert_eq!(ua.lines(), ["ACK"]);
        if tries == 4 {
            break;
        }
        ua.pass(2_099);
        assert!(!ua.lines().contains(&"INVITE".to_owned()), "waits 2.1 to 4 s");
        ua.pass(1_901);
        refused = ua.sent().into_iter().find(|m| line(m) == "INVITE").unwrap();
        assert_eq!(refused.cseq().unwrap().number, 3 + tries);
        assert_eq!(refused.body(), SDP.as_bytes());
    }
    assert!(matches!(ua.event(), Event::ReinviteFailed { status: 491, .. }));
    ua.endpoint.reinvite(ua.now, dialog, None).unwrap();
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    ua.assert_empty();
}

/// BYE of the peer while our change is under way: its late 200 is acknowledged, nothing is left.
#[test]
fn bye_meets_our_change() {
    let mut ua = Ua::new();
    let (dialog, invite) = outbound::established(&mut ua);
    ua.endpoint.reinvite(ua.now, dialog, Some(SDP.as_bytes())).unwrap();
    let change = ua.sent().remove(0);
    let tag = invite.from().unwrap().tag().unwrap().to_owned();
    let bye = request("BYE", &tag, 1, "b", "")
        .replace("tag=theirs", "tag=callee")
        .replace("c1", invite.call_id().unwrap());
    ua.receive(&bye);
    assert!(matches!(ua.event(), Event::Ended { cause: End::Bye { .. }, .. }));
    ua.receive(&response(&change, 200, "", &with_sdp("")));
    assert!(ua.lines().contains(&"ACK".to_owned()));
    assert!(ua.events().is_empty());
    ua.assert_empty();
}
