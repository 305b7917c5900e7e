//! Calls that we place.

use super::super::*;
use super::support::*;
use crate::sip::core::{HeaderName, Message};

pub(super) fn params(flow: Flow, offer: bool) -> InviteParams {
    InviteParams {
        uri: "sip:callee@192.0.2.1".into(),
        flow,
        from: "\"Us\" <sip:us@198.51.100.7>".into(),
        to: "<sip:callee@192.0.2.1>".into(),
        contact_user: None,
        sdp: offer.then(|| SDP.as_bytes().to_vec()),
        reliability: Reliability::default(),
        headers: vec![("X-Call".into(), "7".into()), ("Route".into(), "<sip:192.0.2.1;lr>".into())],
    }
}

fn calling(ua: &mut Ua, offer: bool) -> (DialogId, Message) {
    let dialog = ua.endpoint.invite(ua.now, params(ua.flow, offer)).unwrap();
    let invite = ua.sent().remove(0);
    (dialog, invite)
}

/// A call that was answered and acknowledged, and its INVITE.
pub(super) fn established(ua: &mut Ua) -> (DialogId, Message) {
    let (dialog, invite) = calling(ua, true);
    ua.receive(&response(&invite, 200, "callee", &with_sdp("")));
    assert_eq!(ua.lines(), ["ACK"]);
    assert!(matches!(ua.event(), Event::Answered { .. }));
    (dialog, invite)
}

/// An INVITE that is longer than a datagram may be is not sent in one, and leaves nothing; on a
/// stream, or to the byte as long as it may be, it goes (RFC 3261 18.1.1).
#[test]
fn datagrams_have_a_length() {
    let mut ua = Ua::new();
    let (_, invite) = calling(&mut ua, true);
    let length = invite.bytes().len();
    for (transport, most, sent) in [
        (Transport::Udp, length, true),
        (Transport::Udp, length - 1, false),
        (Transport::Tcp, length - 1, true),
    ] {
        let mut ua = Ua::with(EndpointConfig::default(), transport);
        let placing = Placing { datagram_max: Some(most), ..Placing::default() };
        let placed = ua.endpoint.invite_with(ua.now, params(ua.flow, true), placing);
        assert_eq!(placed.is_ok(), sent, "{transport:?} {most}");
        assert_eq!(ua.sent().len(), usize::from(sent));
        assert_eq!(ua.endpoint.calls(), usize::from(sent));
        if !sent {
            assert_eq!(placed, Err(CommandError::Datagram));
        }
    }
}

/// INVITE, 100, 180, 183 with early media, 200, ACK, BYE of the callee: headers and events.
#[test]
fn call_from_ring_to_hang_up() {
    let mut ua = Ua::new();
    let (dialog, invite) = calling(&mut ua, true);
    assert_eq!(invite.uri(), Some("sip:callee@192.0.2.1"));
    assert_eq!(header(&invite, HeaderName::MaxForwards), "70");
    assert_eq!(header(&invite, HeaderName::Contact), "<sip:talkpath@198.51.100.7:5060>");
    assert_eq!(invite.header_named("X-Call"), Some("7"));
    assert!(invite.via().unwrap().rport().is_some() && invite.via().unwrap().has_unique_branch());
    assert_eq!(ua.endpoint.call_id(dialog), Some(invite.call_id().unwrap()));
    let (tag, opening) = ua.endpoint.opening_of(dialog).unwrap();
    assert_eq!(Some(tag.as_str()), invite.from().unwrap().tag());
    assert!(opening.is_none(), "the peer has called nobody");
    ua.receive(&response(&invite, 100, "", ""));
    assert!(ua.events().is_empty());
    ua.receive(&response(&invite, 180, "callee", ""));
    assert!(matches!(ua.event(), Event::Ringing { status: 180, sdp: None, .. }));
    ua.receive(&response(&invite, 183, "callee", &with_sdp("")));
    assert!(matches!(ua.event(), Event::Ringing { status: 183, sdp: Some(_), .. }));
    let routes = "Record-Route: <sip:192.0.2.61;lr>\nRecord-Route: <sip:192.0.2.60;lr>\n";
    let ok = response(&invite, 200, "callee", &with_sdp(routes));
    ua.receive(&ok);
    let ack = ua.transmits().remove(0);
    assert_eq!(ack.flow.peer, "192.0.2.60:5060".parse().unwrap());
    let ack = Message::parse(ack.bytes).unwrap();
    assert_eq!(ack.uri(), Some("sip:callee@192.0.2.1:5070"));
    assert_eq!(ack.cseq().unwrap().number, invite.cseq().unwrap().number);
    assert_ne!(ack.via().unwrap().branch(), invite.via().unwrap().branch());
    let routes: Vec<_> = ack.values(HeaderName::Route).collect();
    assert_eq!(routes, ["<sip:192.0.2.60;lr>", "<sip:192.0.2.61;lr>"]);
    let Event::Answered { sdp: Some(_), .. } = ua.event() else { panic!() };
    // A copy of the 200 gets the same ACK, and no event.
    ua.receive(&ok);
    assert_eq!(ua.sent().remove(0).bytes(), ack.bytes());
    assert!(ua.events().is_empty());
    ua.pass(33_000);
    ua.receive(&ok);
    assert!(ua.sent().is_empty(), "timer M is over");
    let tag = invite.from().unwrap().tag().unwrap();
    let bye = request("BYE", tag, 1, "bye", "")
        .replace("tag=theirs", "tag=callee")
        .replace("c1", invite.call_id().unwrap());
    ua.receive(&bye);
    assert_eq!(ua.lines(), ["200"]);
    assert!(matches!(ua.event(), Event::Ended { cause: End::Bye { reason: None }, .. }));
    ua.assert_empty();
}

/// INVITE without offer: the 200 has one, the user's answer goes with the ACK.
#[test]
fn delayed_offer() {
    let mut ua = Ua::new();
    let (dialog, invite) = calling(&mut ua, false);
    assert!(invite.body().is_empty());
    let ok = response(&invite, 200, "callee", &with_sdp(""));
    ua.receive(&ok);
    ua.receive(&ok);
    assert!(ua.sent().is_empty());
    assert!(matches!(ua.event(), Event::Answered { sdp: Some(_), .. }));
    assert_eq!(ua.endpoint.reinvite(ua.now, dialog, None), Err(CommandError::Busy));
    ua.endpoint.ack_with(ua.now, dialog, SDP.as_bytes()).unwrap();
    ua.receive(&ok);
    let acks = ua.sent();
    assert_eq!((acks.len(), acks[0].body()), (2, SDP.as_bytes()));
    assert_eq!(acks[0].bytes(), acks[1].bytes());
    assert_eq!(ua.endpoint.ack_with(ua.now, dialog, b""), Err(CommandError::State));
    // A user that never answers loses the call.
    let mut ua = Ua::new();
    let (_, invite) = calling(&mut ua, false);
    ua.receive(&response(&invite, 200, "callee", &with_sdp("")));
    ua.events();
    ua.pass(32_000);
    assert_eq!(ua.lines(), ["ACK", "BYE"]);
    assert!(matches!(ua.event(), Event::Ended { cause: End::AckTimeout, .. }));
    ua.assert_empty();
}

/// Each failure is acknowledged, also its copies, and told with its response.
#[test]
fn failed_calls() {
    for status in [300u16, 302, 401, 404, 407, 486, 500, 503, 603] {
        let mut ua = Ua::new();
        let (_, invite) = calling(&mut ua, true);
        let failure = response(&invite, status, "callee", "");
        ua.receive(&failure);
        ua.receive(&failure);
        let acks = ua.sent();
        assert_eq!(acks.len(), 2, "{status}");
        assert_eq!(acks[0].via().unwrap().branch(), invite.via().unwrap().branch());
        assert_eq!(acks[0].uri(), invite.uri());
        assert_eq!(header(&acks[0], HeaderName::Route), "<sip:192.0.2.1;lr>");
        assert_eq!(acks[0].to().unwrap().tag(), Some("callee"));
        let Event::Failed { status: told, reason, response: Some(told_response), .. } = ua.event()
        else {
            panic!("{status}")
        };
        assert_eq!((told, &*reason), (status, "Reason"));
        assert!(told_response.contact().unwrap().is_some());
        assert_eq!(ua.endpoint.calls(), 0);
        ua.assert_empty();
    }
}

/// Nobody there: 408 after 64 × T1. Nothing could be sent: 503 at once.
#[test]
fn unreachable_peers() {
    let mut ua = Ua::new();
    calling(&mut ua, true);
    ua.pass(31_999);
    assert_eq!(ua.lines().len(), 6);
    assert!(ua.events().is_empty());
    ua.pass(1);
    assert!(matches!(ua.event(), Event::Failed { status: 408, response: None, .. }));
    ua.assert_empty();

    for by_address in [false, true] {
        let mut ua = Ua::with(EndpointConfig::default(), Transport::Tcp);
        ua.flow.connection = u64::from(!by_address);
        calling(&mut ua, true);
        if by_address {
            ua.endpoint.handle_unreachable(ua.now, Flow { local: ua.flow.peer, ..ua.flow });
        } else {
            ua.endpoint.handle_closed(ua.now, 1);
        }
        assert!(matches!(ua.event(), Event::Failed { status: 503, response: None, .. }));
        ua.assert_empty();
    }
}

/// CANCEL waits for a provisional response; 487 ends the call, and so does no 487.
#[test]
fn cancelled_calls() {
    for answered in [true, false] {
        let mut ua = Ua::new();
        let (dialog, invite) = calling(&mut ua, true);
        ua.endpoint.cancel(ua.now, dialog, &[("Reason", "SIP;cause=487")]).unwrap();
        assert!(ua.sent().is_empty());
        ua.receive(&response(&invite, 100, "", ""));
        let cancel = ua.sent().remove(0);
        assert_eq!(line(&cancel), "CANCEL");
        assert_eq!(header(&cancel, HeaderName::Via), header(&invite, HeaderName::Via));
        assert_eq!(header(&cancel, HeaderName::Reason), "SIP;cause=487");
        assert_eq!(header(&cancel, HeaderName::CSeq), "1 CANCEL");
        assert_eq!(header(&cancel, HeaderName::Route), "<sip:192.0.2.1;lr>");
        ua.receive(&response(&cancel, 200, "callee", ""));
        assert!(ua.events().is_empty());
        if answered {
            ua.receive(&response(&invite, 487, "callee", ""));
            assert_eq!(ua.lines(), ["ACK"]);
        } else {
            ua.pass(32_000);
            ua.lines();
        }
        assert!(matches!(ua.event(), Event::Failed { status: 487, .. }));
        ua.assert_empty();
    }
}

/// An answer that crosses our CANCEL is acknowledged and ended; the user sees a cancelled call.
#[test]
fn answer_crosses_cancel() {
    let mut ua = Ua::new();
    let (dialog, invite) = calling(&mut ua, true);
    ua.receive(&response(&invite, 180, "callee", ""));
    ua.events();
    ua.endpoint.cancel(ua.now, dialog, &[]).unwrap();
    let ok = response(&invite, 200, "callee", &with_sdp(""));
    ua.receive(&ok);
    assert_eq!(ua.lines(), ["CANCEL", "ACK", "BYE"]);
    assert!(matches!(ua.event(), Event::Failed { status: 487, .. }));
    ua.receive(&ok);
    assert_eq!(ua.lines(), ["ACK"]);
    ua.assert_empty();
    assert!(ua.events().is_empty());
}

/// A call that rings too long is cancelled and told as 408.
#[test]
fn rings_too_long() {
    let mut ua = Ua::new();
    let (_, invite) = calling(&mut ua, true);
    ua.receive(&response(&invite, 180, "callee", ""));
    ua.events();
    ua.pass(184_999);
    assert!(ua.lines().is_empty() && ua.events().is_empty());
    ua.pass(1);
    assert_eq!(ua.lines(), ["CANCEL"]);
    assert!(matches!(ua.event(), Event::Failed { status: 408, .. }));
    ua.assert_empty();
    assert!(ua.events().is_empty());
}

/// A fork: the first 2xx is the call, every other is acknowledged each time and ended once.
#[test]
fn forked_call() {
    let mut ua = Ua::new();
    let (dialog, invite) = calling(&mut ua, true);
    ua.receive(&response(&invite, 180, "one", ""));
    ua.receive(&response(&invite, 180, "two", ""));
    assert_eq!(ua.events().len(), 2);
    ua.receive(&response(&invite, 200, "two", &with_sdp("")));
    assert_eq!(ua.lines(), ["ACK"]);
    assert!(matches!(ua.event(), Event::Answered { dialog: of, .. } if of == dialog));
    let other = response(&invite, 200, "one", &with_sdp("")).replace("5070", "5071");
    ua.receive(&other);
    let ended = ua.sent();
    assert_eq!(ended.iter().map(line).collect::<Vec<_>>(), ["ACK", "BYE"]);
    assert!(ended.iter().all(|m| m.to().unwrap().tag() == Some("one")));
    assert!(ended.iter().all(|m| m.uri() == Some("sip:callee@192.0.2.1:5071")));
    ua.receive(&response(&ended[1], 200, "", ""));
    ua.receive(&other);
    assert_eq!(ua.lines(), ["ACK"]);
    assert!(ua.events().is_empty());
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    let bye = ua.sent().remove(0);
    assert_eq!(bye.to().unwrap().tag(), Some("two"));
    ua.receive(&response(&bye, 200, "", ""));
    assert!(matches!(ua.event(), Event::Ended { cause: End::Local, .. }));
    // The call is gone, yet a late copy of its answer is acknowledged, and not ended again.
    ua.receive(&response(&invite, 200, "two", &with_sdp("")));
    assert_eq!(ua.lines(), ["ACK"]);
    ua.assert_empty();
}

/// However many branches answer, a bounded number of them is ended; the others are acknowledged.
#[test]
fn endless_forks() {
    let mut ua = Ua::new();
    let (_, invite) = established(&mut ua);
    for n in 0..1_000 {
        ua.receive(&response(&invite, 200, &format!("fork{n}"), &with_sdp("")));
        let lines = ua.lines();
        let expected: &[&str] = if n < 8 { &["ACK", "BYE"] } else { &["ACK"] };
        assert_eq!(lines, expected, "{n}");
    }
    // The INVITE itself and a BYE for each branch that was ended.
    assert_eq!(ua.endpoint.transactions().1, 9);
    assert!(ua.events().is_empty());
}

/// A response with a second Via is somebody else's; the answer of a peer without tags counts once.
#[test]
fn odd_answers() {
    let mut ua = Ua::new();
    let (dialog, invite) = calling(&mut ua, true);
    let ok = response(&invite, 200, "", &with_sdp(""));
    ua.receive(&ok.replacen("\nFrom", "\nVia: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKx\nFrom", 1));
    assert!(ua.sent().is_empty() && ua.events().is_empty());
    ua.receive(&ok);
    ua.receive(&ok);
    assert_eq!(ua.lines(), ["ACK", "ACK"]);
    assert!(matches!(ua.event(), Event::Answered { .. }));
    ua.endpoint.reinvite(ua.now, dialog, Some(SDP.as_bytes())).unwrap();
    let change = ua.sent().remove(0);
    assert_eq!(change.to().unwrap().tag(), None);
    let ok = response(&change, 200, "", &with_sdp(""));
    ua.receive(&ok);
    ua.receive(&ok);
    assert_eq!(ua.lines(), ["ACK", "ACK"]);
    assert!(matches!(ua.event(), Event::ReinviteAnswered { .. }));
}

/// A full table of client transactions stops everything but what ends a call.
#[test]
fn calls_can_end_without_room() {
    let limits = Limits { client_transactions_max: 2, ..Limits::default() };
    let mut ua = Ua::with(EndpointConfig { limits, ..EndpointConfig::default() }, Transport::Udp);
    let (dialog, _) = established(&mut ua);
    let (other, invite) = calling(&mut ua, true);
    assert_eq!(ua.endpoint.info(ua.now, dialog, "a/b", b""), Err(CommandError::LimitReached));
    assert_eq!(ua.endpoint.reinvite(ua.now, dialog, None), Err(CommandError::LimitReached));
    let third = ua.endpoint.invite(ua.now, params(ua.flow, true));
    assert_eq!(third, Err(CommandError::LimitReached));
    let probe = ua.endpoint.options(ua.now, "sip:a", ua.flow, "<sip:b@c>", &[]);
    assert_eq!(probe, Err(CommandError::LimitReached));
    ua.receive(&response(&invite, 180, "callee", ""));
    ua.endpoint.cancel(ua.now, other, &[]).unwrap();
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    assert_eq!(ua.lines(), ["CANCEL", "BYE"]);
    ua.assert_empty();
}

/// Requests of the callee before its answer: BYE is refused, the rest answered without an effect.
#[test]
fn early_requests_of_the_callee() {
    let mut ua = Ua::new();
    let (_, invite) = calling(&mut ua, true);
    ua.receive(&response(&invite, 183, "callee", ""));
    ua.events();
    let tag = invite.from().unwrap().tag().unwrap().to_owned();
    for (number, (method, extra, expected)) in [
        ("BYE", String::new(), "481"),
        ("UPDATE", String::new(), "200"),
        ("UPDATE", with_sdp(""), "491"),
        ("INVITE", with_sdp(""), "491"),
        ("OPTIONS", String::new(), "200"),
        ("INFO", String::new(), "200"),
    ]
    .into_iter()
    .enumerate()
    {
        let text = request(method, &tag, number as u32 + 1, &format!("e{number}"), &extra)
            .replace("c1", invite.call_id().unwrap());
        ua.receive(&text);
        assert_eq!(ua.lines(), [expected], "{method}");
    }
    assert!(matches!(ua.event(), Event::Info { .. }));
    assert_eq!(ua.endpoint.calls(), 1);
}

/// OPTIONS as a probe: status or silence.
#[test]
fn probes() {
    let mut ua = Ua::new();
    let from = "<sip:us@198.51.100.7>";
    let probe = ua.endpoint.options(ua.now, "sip:192.0.2.1", ua.flow, from, &[]).unwrap();
    let options = ua.sent().remove(0);
    ua.receive(&response(&options, 404, "x", ""));
    assert!(matches!(ua.event(), Event::Probed { probe: of, status: Some(404) } if of == probe));
    let probe = ua.endpoint.options(ua.now, "sip:192.0.2.1", ua.flow, from, &[]).unwrap();
    ua.pass(32_000);
    assert!(matches!(ua.event(), Event::Probed { probe: of, status: None } if of == probe));
    ua.assert_empty();
    let bad = ua.endpoint.options(ua.now, "sip:192.0.2.1", ua.flow, "<", &[]);
    assert_eq!(bad, Err(CommandError::Address));
}

/// What cannot stand in an INVITE, and too many of them, are refused before anything is sent.
#[test]
fn commands_are_checked() {
    let limits = Limits { calls_max: 1, ..Limits::default() };
    let mut ua = Ua::with(EndpointConfig { limits, ..EndpointConfig::default() }, Transport::Udp);
    let good = params(ua.flow, true);
    for bad in [
        InviteParams { from: "<sip:".into(), ..good.clone() },
        InviteParams { to: "\"x <sip:a@b>".into(), ..good.clone() },
        InviteParams { contact_user: Some("a>b".into()), ..good.clone() },
    ] {
        assert_eq!(ua.endpoint.invite(ua.now, bad), Err(CommandError::Address));
    }
    for bad in [
        InviteParams { uri: "sip:a b".into(), ..good.clone() },
        InviteParams { headers: vec![("X".into(), "a\r\nb".into())], ..good.clone() },
        InviteParams { headers: vec![("X Y".into(), "a".into())], ..good.clone() },
    ] {
        assert!(matches!(ua.endpoint.invite(ua.now, bad), Err(CommandError::Build(_))));
    }
    assert_eq!((ua.endpoint.calls(), ua.sent().len()), (0, 0));
    ua.endpoint.invite(ua.now, good.clone()).unwrap();
    assert_eq!(ua.endpoint.invite(ua.now, good.clone()), Err(CommandError::LimitReached));
    let shown = format!("{good:?}");
    assert!(!shown.contains("callee") && !shown.contains("us@"), "{shown}");
}

/// 481 or silence to a request within the call ends it.
#[test]
fn lost_calls() {
    for answer in [Some(481), Some(408), None] {
        let mut ua = Ua::new();
        let (dialog, _) = established(&mut ua);
        ua.endpoint.info(ua.now, dialog, "application/dtmf-relay", b"Signal=1\r\n").unwrap();
        let info = ua.sent().remove(0);
        assert_eq!((line(&info), info.body()), ("INFO".into(), &b"Signal=1\r\n"[..]));
        match answer {
            Some(status) => ua.receive(&response(&info, status, "", "")),
            None => ua.pass(32_000),
        }
        assert!(matches!(ua.event(), Event::Ended { cause: End::TransactionTimeout, .. }));
        assert_eq!(ua.lines().pop().as_deref(), Some("BYE"));
        ua.assert_empty();
        assert!(ua.events().is_empty());
    }
}
