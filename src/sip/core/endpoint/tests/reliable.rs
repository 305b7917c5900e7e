//! Reliable provisional responses (RFC 3262) and UPDATE before the answer (RFC 3311).

use super::super::*;
use super::outbound::params;
use super::support::*;
use crate::sip::core::{HeaderName, Message};

const SUPPORTED: &str = "Supported: 100rel\nAllow: INVITE, ACK, BYE, PRACK, UPDATE\n";

fn incoming(ua: &mut Ua, extra: &str) -> DialogId {
    ua.receive(&request("INVITE", "", 1, "inv", extra));
    let Event::Incoming { dialog, .. } = ua.event() else { panic!() };
    assert_eq!(ua.lines(), ["100"]);
    dialog
}

fn early(ua: &mut Ua, dialog: DialogId) -> Message {
    let sdp = Some(SDP.as_bytes());
    ua.endpoint.provisional(ua.now, dialog, 183, "Session Progress", sdp, &[]).unwrap();
    ua.sent().remove(0)
}

fn tag(message: &Message) -> String {
    message.to().unwrap().tag().unwrap().to_owned()
}

fn prack(response: &Message, cseq: u32, extra: &str) -> String {
    let rack = format!("RAck: {} 1 INVITE\n{extra}", header(response, HeaderName::RSeq));
    request("PRACK", &tag(response), cseq, &format!("prack{cseq}"), &rack)
}

/// Which provisional responses are reliable, by what the caller says and what is configured.
#[test]
fn reliability_table() {
    use Reliability::{Off, Required, Supported};
    const REQUIRED: &str = "Require: 100rel\n";
    for (policy, fields, plain, described) in [
        (Supported, "", false, false),
        (Supported, SUPPORTED, false, true),
        (Supported, REQUIRED, true, true),
        (Required, "", false, false),
        (Required, SUPPORTED, true, true),
        (Off, SUPPORTED, false, false),
        (Off, REQUIRED, false, false),
    ] {
        for (sdp, reliable) in [(None, plain), (Some(SDP.as_bytes()), described)] {
            let mut ua = Ua::new();
            let dialog = incoming(&mut ua, &with_sdp(fields));
            ua.endpoint.set_reliability(dialog, policy).unwrap();
            ua.endpoint.provisional(ua.now, dialog, 180, "Ringing", sdp, &[]).unwrap();
            let sent = ua.sent().remove(0);
            let rseq = header(&sent, HeaderName::RSeq);
            assert_eq!(!rseq.is_empty(), reliable, "{policy:?} {fields}");
            assert_eq!(header(&sent, HeaderName::Require), if reliable { "100rel" } else { "" });
            if reliable {
                assert!((1..1 << 31).contains(&rseq.parse::<u64>().unwrap()));
            }
        }
    }
}

/// 183 with a description: sent again from T1 on, acknowledged by its PRACK alone; the 200 waits
/// for that and has no description of its own.
#[test]
fn answer_waits_for_prack() {
    let mut ua = Ua::new();
    let dialog = incoming(&mut ua, &with_sdp(SUPPORTED));
    let progress = early(&mut ua, dialog);
    assert_eq!(progress.body(), SDP.as_bytes());
    ua.pass(7_499);
    assert_eq!(ua.lines(), ["183", "183", "183"]);
    ua.endpoint.answer(ua.now, dialog, Some(SDP.as_bytes()), &[]).unwrap();
    assert!(ua.sent().is_empty());
    assert_eq!(ua.endpoint.answer(ua.now, dialog, None, &[]), Err(CommandError::State));
    for wrong in ["RAck: 1 1 INVITE\n", "RAck: x\n", ""] {
        ua.receive(&request("PRACK", &tag(&progress), 2, &format!("w{}", wrong.len()), wrong));
        assert!(ua.lines().iter().all(|line| line == "481" || line == "500"));
    }
    let ack = prack(&progress, 3, "");
    ua.receive(&ack);
    let sent = ua.sent();
    assert_eq!(sent.iter().map(line).collect::<Vec<_>>(), ["200", "200"]);
    assert_eq!(sent[0].cseq().unwrap().method.as_str(), "PRACK");
    assert!(sent[1].body().is_empty());
    assert!(matches!(ua.event(), Event::Pracked { answer: None, .. }));
    ua.receive(&ack);
    assert_eq!(ua.lines(), ["200"], "a copy of the PRACK gets its answer again");
    ua.receive(&request("ACK", &tag(&progress), 1, "ack", ""));
    assert!(matches!(ua.event(), Event::Acked { answer: None, .. }));
    ua.receive(&request("BYE", &tag(&progress), 4, "bye", ""));
    assert_eq!(ua.lines(), ["200"]);
    ua.assert_empty();
}

/// Without a PRACK the call is refused after 64 × T1, also over TCP and with the answer waiting.
#[test]
fn prack_that_never_comes() {
    for (transport, answered) in [(Transport::Udp, false), (Transport::Tcp, true)] {
        let mut ua = Ua::with(EndpointConfig::default(), transport);
        let dialog = incoming(&mut ua, &with_sdp(SUPPORTED));
        early(&mut ua, dialog);
        if answered {
            ua.endpoint.answer(ua.now, dialog, None, &[]).unwrap();
        }
        ua.pass(32_000);
        let sent = ua.lines();
        assert_eq!((sent.len(), sent.last().map(String::as_str)), (7, Some("500")));
        assert!(matches!(ua.event(), Event::Ended { cause: End::PrackTimeout, .. }));
        assert_eq!(ua.endpoint.calls(), 0);
        ua.assert_empty();
    }
}

/// Responses that follow each other are sent one at a time, numbered in order; a final one without
/// a description before it waits for nothing; cancelling ends all.
#[test]
fn responses_in_a_row() {
    let mut ua = Ua::new();
    let dialog = incoming(&mut ua, &with_sdp("Require: 100rel\n"));
    for status in [180, 181, 182] {
        ua.endpoint.provisional(ua.now, dialog, status, "Progress", None, &[]).unwrap();
    }
    let first = ua.sent();
    assert_eq!(first.len(), 1);
    ua.receive(&prack(&first[0], 2, ""));
    let second = ua.sent();
    assert_eq!(second.iter().map(line).collect::<Vec<_>>(), ["200", "181"]);
    let number = |m: &Message| header(m, HeaderName::RSeq).parse::<u32>().unwrap();
    assert_eq!(number(&second[1]), number(&first[0]) + 1);
    ua.endpoint.answer(ua.now, dialog, Some(SDP.as_bytes()), &[]).unwrap();
    let ok = ua.sent().remove(0);
    assert_eq!((line(&ok).as_str(), ok.body()), ("200", SDP.as_bytes()));
    // The late PRACK of what was sent is welcome.
    ua.receive(&prack(&second[1], 3, ""));
    assert_eq!(ua.lines(), ["200"]);
    let mut ua = Ua::new();
    let dialog = incoming(&mut ua, &with_sdp(SUPPORTED));
    early(&mut ua, dialog);
    for _ in 0..4 {
        ua.endpoint.provisional(ua.now, dialog, 183, "", Some(b"v=0"), &[]).ok();
    }
    ua.receive(&request("CANCEL", "", 1, "inv", ""));
    assert_eq!(ua.lines(), ["200", "487"]);
    assert!(matches!(ua.event(), Event::Cancelled { .. }));
    ua.assert_empty();
}

/// A call without an offer: ours goes with the 183, the answer comes with its PRACK, which must
/// have one.
#[test]
fn offer_in_a_provisional_response() {
    let mut ua = Ua::new();
    let dialog = incoming(&mut ua, SUPPORTED);
    let progress = early(&mut ua, dialog);
    ua.receive(&prack(&progress, 2, ""));
    assert_eq!(ua.lines(), ["400"]);
    ua.receive(&prack(&progress, 3, &with_sdp("")));
    assert_eq!(ua.lines(), ["200"]);
    assert!(matches!(ua.event(), Event::Pracked { answer: Some(_), .. }));
    ua.endpoint.answer(ua.now, dialog, Some(SDP.as_bytes()), &[]).unwrap();
    assert!(ua.sent().remove(0).body().is_empty());
    ua.receive(&request("ACK", &tag(&progress), 1, "ack", ""));
    assert!(matches!(ua.event(), Event::Acked { answer: None, .. }));
}

/// Offers of the caller before the answer: not before the first answer is acknowledged, then in
/// a PRACK or an UPDATE, one at a time, and ours likewise.
#[test]
fn offers_before_the_answer() {
    let mut ua = Ua::new();
    let dialog = incoming(&mut ua, &with_sdp(SUPPORTED));
    let progress = early(&mut ua, dialog);
    let us = tag(&progress);
    assert_eq!(ua.endpoint.update(ua.now, dialog, SDP.as_bytes()), Err(CommandError::State));
    ua.receive(&request("UPDATE", &us, 2, "up2", &with_sdp("")));
    let refused = ua.sent().remove(0);
    assert_eq!(line(&refused), "500");
    assert!(header(&refused, HeaderName::RetryAfter).parse::<u32>().unwrap() <= 10);
    ua.receive(&prack(&progress, 3, &with_sdp("")));
    assert!(ua.sent().is_empty());
    assert!(matches!(ua.event(), Event::Reinvite { offer: Some(_), .. }));
    ua.receive(&request("UPDATE", &us, 4, "up4", &with_sdp("")));
    assert_eq!(ua.lines(), ["500"]);
    ua.endpoint.accept_reinvite(ua.now, dialog, SDP.as_bytes()).unwrap();
    let ok = ua.sent().remove(0);
    assert_eq!((line(&ok).as_str(), ok.body()), ("200", SDP.as_bytes()));
    // Ours; the caller's at the same time is refused.
    ua.endpoint.update(ua.now, dialog, SDP.as_bytes()).unwrap();
    let update = ua.sent().remove(0);
    assert_eq!((line(&update).as_str(), update.body()), ("UPDATE", SDP.as_bytes()));
    ua.receive(&request("UPDATE", &us, 5, "up5", &with_sdp("")));
    assert_eq!(ua.lines(), ["491"]);
    ua.receive(&response(&update, 200, "", &with_sdp("")));
    assert!(matches!(ua.event(), Event::ReinviteAnswered { sdp: Some(_), .. }));
    ua.receive(&request("UPDATE", &us, 6, "up6", &with_sdp("")));
    assert!(matches!(ua.event(), Event::Reinvite { .. }));
    ua.endpoint.reject_reinvite(ua.now, dialog, 488, "Not Here", &[]).unwrap();
    assert_eq!(ua.lines(), ["488"]);
    // One that nobody answers is refused in time, and a call that ends refuses it at once.
    ua.receive(&request("UPDATE", &us, 7, "up7", &with_sdp("")));
    ua.pass(10_000);
    assert_eq!(ua.lines(), ["500"]);
    ua.receive(&request("UPDATE", &us, 8, "up8", &with_sdp("")));
    ua.receive(&request("CANCEL", "", 1, "inv", ""));
    assert_eq!(ua.lines(), ["200", "487", "487"]);
    ua.assert_empty();
}

fn calling(ua: &mut Ua, offer: bool) -> (DialogId, Message) {
    let dialog = ua.endpoint.invite(ua.now, params(ua.flow, offer)).unwrap();
    (dialog, ua.sent().remove(0))
}

fn rel(rseq: u32, more: &str) -> String {
    format!("Require: 100rel\nRSeq: {rseq}\n{more}")
}

/// Each reliable response is acknowledged once, in order, within its own early dialog; copies and
/// those after a gap are not looked at. The answering branch's dialog goes on with its numbers.
#[test]
fn caller_acknowledges() {
    let mut ua = Ua::new();
    let (dialog, invite) = calling(&mut ua, true);
    assert_eq!(header(&invite, HeaderName::Supported), "100rel, replaces, norefersub");
    let progress = response(&invite, 183, "a", &with_sdp(&rel(7, "")));
    ua.receive(&progress);
    let prack = ua.sent().remove(0);
    assert_eq!(line(&prack), "PRACK");
    assert_eq!(header(&prack, HeaderName::RAck), "7 1 INVITE");
    assert_eq!(prack.uri(), Some("sip:callee@192.0.2.1:5070"));
    assert_eq!((prack.to().unwrap().tag(), prack.cseq().unwrap().number), (Some("a"), 2));
    assert!(matches!(ua.event(), Event::Ringing { status: 183, sdp: Some(_), .. }));
    ua.receive(&progress);
    ua.receive(&response(&invite, 180, "a", &rel(9, "")));
    assert!(ua.sent().is_empty() && ua.events().is_empty());
    ua.receive(&response(&invite, 180, "b", &rel(100, "")));
    ua.receive(&response(&invite, 180, "a", &rel(8, "")));
    let sent = ua.sent();
    let numbers = |m: &Message| (tag(m), m.cseq().unwrap().number, header(m, HeaderName::RAck));
    assert_eq!(numbers(&sent[0]), ("b".into(), 2, "100 1 INVITE".into()));
    assert_eq!(numbers(&sent[1]), ("a".into(), 3, "8 1 INVITE".into()));
    assert_eq!(ua.events().len(), 2);
    ua.receive(&response(&invite, 199, "b", ""));
    assert!(ua.events().is_empty());
    ua.receive(&response(&invite, 200, "a", ""));
    let ack = ua.sent().remove(0);
    assert_eq!((line(&ack).as_str(), ack.cseq().unwrap().number), ("ACK", 1));
    let Event::Answered { sdp, .. } = ua.event() else { panic!() };
    assert!(sdp.is_some(), "the description of the branch that answered");
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    let bye = ua.sent().remove(0);
    assert_eq!(bye.cseq().unwrap().number, 4);
    ua.receive(&response(&bye, 200, "", ""));
    ua.assert_empty();
}

/// A callee that says more and more reliably is not followed for ever, in one early dialog or in
/// many.
#[test]
fn endless_reliable_responses() {
    for forks in [false, true] {
        let mut ua = Ua::new();
        let (dialog, invite) = calling(&mut ua, true);
        let mut acknowledged = 0;
        for n in 0..1_000 {
            let tag = if forks { format!("fork{n}") } else { "one".to_owned() };
            ua.receive(&response(&invite, 180, &tag, &rel(n + 1, "")));
            acknowledged += ua.lines().len();
            if forks {
                ua.receive(&response(&invite, 199, &tag, ""));
            }
        }
        assert_eq!(acknowledged, 200, "{forks}");
        assert_eq!((ua.events().len(), ua.endpoint.transactions().1), (200, 201));
        ua.receive(&response(&invite, 200, "one", &with_sdp("")));
        assert_eq!(ua.lines(), ["ACK"]);
        assert!(matches!(ua.event(), Event::Answered { dialog: of, .. } if of == dialog));
    }
}

/// The description of each branch is its own, and the one that answers counts.
#[test]
fn forked_early_media() {
    let mut ua = Ua::new();
    let (_, invite) = calling(&mut ua, true);
    for (branch, id) in [("a", "11"), ("b", "22"), ("c", "")] {
        let body = with_sdp("").replace("o=- 1", &format!("o=- {id}"));
        ua.receive(&response(&invite, 183, branch, if id.is_empty() { "" } else { &body }));
    }
    assert_eq!(ua.events().len(), 3);
    ua.receive(&response(&invite, 200, "a", ""));
    let Event::Answered { sdp: Some(sdp), .. } = ua.event() else { panic!() };
    assert_eq!(&*sdp.origin.session_id, "11");
    // The other branch answers, too: it is thanked and ended, with a number above all of its own.
    ua.sent();
    ua.receive(&response(&invite, 200, "b", &with_sdp("")));
    let sent = ua.sent();
    assert_eq!(sent.iter().map(line).collect::<Vec<_>>(), ["ACK", "BYE"]);
    assert!(sent[1].cseq().unwrap().number > 100);
}

/// Without an offer of ours the 183 brings it, and the PRACK has our answer.
#[test]
fn caller_answers_in_prack() {
    let mut ua = Ua::new();
    let (dialog, invite) = calling(&mut ua, false);
    ua.receive(&response(&invite, 183, "a", &with_sdp(&rel(1, ""))));
    assert!(ua.sent().is_empty());
    assert!(matches!(ua.event(), Event::Ringing { sdp: Some(_), .. }));
    ua.endpoint.prack_with(ua.now, dialog, SDP.as_bytes()).unwrap();
    assert_eq!(ua.sent().remove(0).body(), SDP.as_bytes());
    assert_eq!(ua.endpoint.prack_with(ua.now, dialog, b""), Err(CommandError::State));
    ua.receive(&response(&invite, 200, "a", ""));
    assert_eq!(ua.lines(), ["ACK"]);
    assert!(matches!(ua.event(), Event::Answered { .. }));
}

/// UPDATE before the answer of a call that we place: both ways once settled, 491 before.
#[test]
fn caller_updates() {
    let mut ua = Ua::new();
    let (dialog, invite) = calling(&mut ua, true);
    let us = invite.from().unwrap().tag().unwrap().to_owned();
    let theirs = |cseq: u32, extra: &str| {
        request("UPDATE", &us, cseq, &format!("up{cseq}"), extra)
            .replace("tag=theirs", "tag=a")
            .replace("c1", invite.call_id().unwrap())
    };
    ua.receive(&response(&invite, 180, "a", "Allow: UPDATE\n"));
    ua.events();
    ua.receive(&theirs(1, &with_sdp("")));
    assert_eq!(ua.lines(), ["491"]);
    ua.receive(&theirs(2, ""));
    assert_eq!(ua.lines(), ["200"]);
    assert_eq!(ua.endpoint.update(ua.now, dialog, SDP.as_bytes()), Err(CommandError::State));
    let settled = with_sdp(&rel(5, "Allow: INVITE, UPDATE\n"));
    ua.receive(&response(&invite, 183, "a", &settled));
    let prack = ua.sent().remove(0);
    ua.receive(&response(&prack, 200, "", ""));
    ua.events();
    ua.receive(&theirs(3, &with_sdp("")));
    assert!(matches!(ua.event(), Event::Reinvite { offer: Some(_), .. }));
    ua.endpoint.accept_reinvite(ua.now, dialog, SDP.as_bytes()).unwrap();
    assert_eq!(ua.lines(), ["200"]);
    ua.endpoint.update(ua.now, dialog, SDP.as_bytes()).unwrap();
    let update = ua.sent().remove(0);
    assert_eq!((tag(&update), update.cseq().unwrap().number), ("a".into(), 3));
    ua.receive(&response(&update, 491, "", ""));
    assert!(ua.events().is_empty());
    ua.pass(4_001);
    let update = ua.sent().remove(0);
    ua.receive(&response(&update, 488, "", ""));
    assert!(matches!(ua.event(), Event::ReinviteFailed { status: 488, .. }));
    ua.endpoint.cancel(ua.now, dialog, &[]).unwrap();
    let cancel = ua.sent().remove(0);
    ua.receive(&response(&cancel, 200, "", ""));
    ua.receive(&response(&invite, 487, "a", ""));
    ua.assert_empty();
}
