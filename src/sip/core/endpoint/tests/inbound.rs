//! Calls that come in.

use super::super::*;
use super::support::*;
use crate::sip::core::{HeaderName, Message, Method};

fn incoming(ua: &mut Ua, extra: &str) -> DialogId {
    ua.receive(&request("INVITE", "", 1, "inv", extra));
    match ua.event() {
        Event::Incoming { dialog, .. } => dialog,
        other => panic!("{other:?}"),
    }
}

/// A call that was answered and acknowledged, and our tag.
pub(super) fn established(ua: &mut Ua) -> (DialogId, String) {
    let dialog = incoming(ua, &with_sdp(""));
    ua.endpoint.answer(ua.now, dialog, Some(SDP.as_bytes()), &[]).unwrap();
    let ok = ua.sent().pop().unwrap();
    let tag = ok.to().unwrap().tag().unwrap().to_owned();
    ua.receive(&request("ACK", &tag, 1, "ack", ""));
    assert!(matches!(ua.event(), Event::Acked { answer: None, .. }));
    (dialog, tag)
}

/// INVITE, 100, 180, 183, 200, ACK, BYE: what is sent, what its headers are, and nothing is left.
#[test]
fn call_from_ring_to_hang_up() {
    let config = EndpointConfig { user_agent: "Talkpath".into(), ..EndpointConfig::default() };
    let mut ua = Ua::with(config, Transport::Udp);
    ua.receive(&request(
        "INVITE",
        "",
        1,
        "inv",
        &with_sdp("Timestamp: 54\nRecord-Route: <sip:p;lr>\n"),
    ));
    let trying = ua.sent();
    assert_eq!(line(&trying[0]), "100");
    assert_eq!(header(&trying[0], HeaderName::Timestamp), "54");
    assert_eq!(trying[0].to().unwrap().tag(), None);
    let Event::Incoming { dialog, offer, flow, .. } = ua.event() else { panic!() };
    assert!(offer.is_some() && flow == ua.flow);
    ua.endpoint.provisional(ua.now, dialog, 180, "Ringing", None, &[("X-A", "b")]).unwrap();
    ua.endpoint.provisional(ua.now, dialog, 183, "Progress", Some(SDP.as_bytes()), &[]).unwrap();
    ua.endpoint.answer(ua.now, dialog, Some(SDP.as_bytes()), &[]).unwrap();
    let sent = ua.sent();
    assert_eq!(sent.iter().map(line).collect::<Vec<_>>(), ["180", "183", "200"]);
    assert_eq!(sent[0].header_named("X-A"), Some("b"));
    let tags: Vec<_> = sent.iter().map(|m| m.to().unwrap().tag().unwrap().to_owned()).collect();
    assert!(tags.iter().all(|tag| *tag == tags[0] && tag.len() == 16));
    for message in &sent {
        assert_eq!(header(message, HeaderName::RecordRoute), "<sip:p;lr>");
        assert_eq!(header(message, HeaderName::Contact), "<sip:talkpath@198.51.100.7:5060>");
        assert_eq!(header(message, HeaderName::Server), "Talkpath");
    }
    assert_eq!(sent[2].body(), SDP.as_bytes());
    ua.receive(&request("ACK", &tags[0], 1, "ack", ""));
    assert!(matches!(ua.event(), Event::Acked { answer: None, .. }));
    ua.pass(60_000);
    assert!(ua.sent().is_empty());
    ua.receive(&request("BYE", &tags[0], 2, "bye", "Reason: Q.850;cause=16\n"));
    assert_eq!(ua.lines(), ["200"]);
    let Event::Ended { cause: End::Bye { reason }, .. } = ua.event() else { panic!() };
    assert_eq!(reason.as_deref(), Some("Q.850;cause=16"));
    assert_eq!(ua.endpoint.calls(), 0);
    ua.receive(&request("BYE", &tags[0], 2, "bye", ""));
    assert_eq!(ua.lines(), ["200"]);
    ua.assert_empty();
}

/// Without an offer our 200 makes it, and the ACK has the answer.
#[test]
fn delayed_offer() {
    let mut ua = Ua::new();
    ua.receive(&request("INVITE", "", 1, "inv", ""));
    let Event::Incoming { dialog, offer: None, .. } = ua.event() else { panic!() };
    ua.endpoint.answer(ua.now, dialog, Some(SDP.as_bytes()), &[]).unwrap();
    let tag = ua.sent().pop().unwrap().to().unwrap().tag().unwrap().to_owned();
    ua.receive(&request("ACK", &tag, 1, "ack", &with_sdp("")));
    let Event::Acked { answer: Some(answer), .. } = ua.event() else { panic!() };
    assert_eq!(answer.media.len(), 1);
}

/// The 200 goes out again at T1, doubling up to T2, for 64 × T1; then BYE (RFC 3261 13.3.1.4).
#[test]
fn answer_is_repeated_until_acknowledged() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut ua = Ua::with(EndpointConfig::default(), transport);
        let dialog = incoming(&mut ua, &with_sdp(""));
        ua.endpoint.answer(ua.now, dialog, Some(SDP.as_bytes()), &[]).unwrap();
        ua.lines();
        let start = ua.now;
        let mut times = Vec::new();
        while ua.now.since(start).as_millis() < 31_999 {
            ua.pass(1);
            times.extend(ua.lines().iter().map(|line| {
                assert_eq!(line, "200");
                ua.now.since(start).as_millis()
            }));
        }
        assert_eq!(times, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
        ua.pass(1);
        assert_eq!(ua.lines(), ["BYE"]);
        assert!(matches!(ua.event(), Event::Ended { cause: End::AckTimeout, .. }));
        ua.assert_empty();
        assert!(ua.events().is_empty());
    }
}

/// A copy of the INVITE gets the latest response; one after the 200 is absorbed.
#[test]
fn copies_of_the_invite() {
    let mut ua = Ua::new();
    let invite = request("INVITE", "", 1, "inv", &with_sdp(""));
    let dialog = incoming(&mut ua, &with_sdp(""));
    assert_eq!(ua.lines(), ["100"]);
    ua.receive(&invite);
    assert_eq!(ua.lines(), ["100"]);
    ua.endpoint.provisional(ua.now, dialog, 180, "Ringing", None, &[]).unwrap();
    ua.receive(&invite);
    assert_eq!(ua.lines(), ["180", "180"]);
    ua.endpoint.answer(ua.now, dialog, None, &[]).unwrap();
    ua.receive(&invite);
    assert_eq!(ua.lines(), ["200"]);
    assert!(ua.events().is_empty());
    assert_eq!(ua.endpoint.counters().duplicates, 3);
}

/// A refusal is repeated until its ACK, which is absorbed, and ends the call without an event.
#[test]
fn rejected_call() {
    let mut ua = Ua::new();
    let dialog = incoming(&mut ua, &with_sdp(""));
    ua.endpoint.reject(ua.now, dialog, 486, "Busy Here", &[("Retry-After", "9")]).unwrap();
    assert_eq!(ua.endpoint.calls(), 0);
    ua.pass(1600);
    assert_eq!(ua.lines(), ["100", "486", "486", "486"]);
    ua.receive(&request("ACK", "x", 1, "inv", ""));
    ua.pass(60_000);
    assert!(ua.lines().is_empty() && ua.events().is_empty());
    assert_eq!(ua.endpoint.counters().stray_acks, 0);
    assert_eq!(ua.endpoint.answer(ua.now, dialog, None, &[]), Err(CommandError::NoSuchCall));
    ua.assert_empty();
}

/// CANCEL before the answer: 200 with our tag, 487, and the Reason is told. After it: no effect.
#[test]
fn cancelled_call() {
    let mut ua = Ua::new();
    let dialog = incoming(&mut ua, &with_sdp(""));
    ua.endpoint.provisional(ua.now, dialog, 180, "Ringing", None, &[]).unwrap();
    let tag = header(&ua.sent()[1], HeaderName::To);
    let cancel = request("CANCEL", "", 1, "inv", "Reason: SIP;cause=200\n");
    ua.receive(&cancel);
    let sent = ua.sent();
    assert_eq!(sent.iter().map(line).collect::<Vec<_>>(), ["200", "487"]);
    assert_eq!(sent[0].cseq().unwrap().method, Method::Cancel);
    assert!(sent.iter().all(|m| header(m, HeaderName::To) == tag));
    let Event::Cancelled { reason, .. } = ua.event() else { panic!() };
    assert_eq!(reason.as_deref(), Some("SIP;cause=200"));
    ua.receive(&cancel);
    assert_eq!(ua.lines(), ["200"]);
    ua.receive(&request("ACK", "x", 1, "inv", ""));
    ua.assert_empty();

    let mut ua = Ua::new();
    established(&mut ua);
    ua.receive(&cancel);
    assert_eq!(ua.lines(), ["200"]);
    assert_eq!((ua.endpoint.calls(), ua.events().len()), (1, 0));
    ua.receive(&request("CANCEL", "", 1, "other", ""));
    assert_eq!(ua.lines(), ["481"]);
}

/// BYE before the answer ends the call as CANCEL does (RFC 3261 15.1.2).
#[test]
fn bye_before_the_answer() {
    let mut ua = Ua::new();
    let dialog = incoming(&mut ua, &with_sdp(""));
    ua.endpoint.provisional(ua.now, dialog, 180, "Ringing", None, &[]).unwrap();
    let tag = ua.sent()[1].to().unwrap().tag().unwrap().to_owned();
    ua.receive(&request("BYE", &tag, 2, "bye", ""));
    assert_eq!(ua.lines(), ["200", "487"]);
    assert!(matches!(ua.event(), Event::Cancelled { .. }));
    ua.receive(&request("ACK", &tag, 1, "inv", ""));
    ua.assert_empty();
}

/// Nobody answers: the provisional response is repeated each minute, and at the limit, or the
/// caller's Expires, the call ends with 487.
#[test]
fn unanswered_call_ends() {
    for (expires, limit_ms) in [("", 300_000), ("Expires: 90\n", 90_000), ("Expires: x\n", 300_000)]
    {
        let mut ua = Ua::new();
        let dialog = incoming(&mut ua, &with_sdp(expires));
        ua.endpoint.provisional(ua.now, dialog, 180, "Ringing", None, &[]).unwrap();
        ua.lines();
        ua.pass(limit_ms - 1);
        let repeats = ua.lines();
        assert!(repeats.iter().all(|line| line == "180"));
        assert_eq!(repeats.len() as u64, (limit_ms - 1) / 60_000);
        ua.pass(1);
        assert_eq!(ua.lines(), ["487"]);
        assert!(matches!(ua.event(), Event::Cancelled { reason: None, .. }));
        ua.assert_empty();
    }
}

/// Our BYE before the ACK waits for it; after the ACK it goes out with its Reason, along the route
/// set and to the peer's Contact.
#[test]
fn our_bye() {
    let mut ua = Ua::new();
    let routes = "Record-Route: <sip:192.0.2.50;lr>, <sip:192.0.2.51;lr>\n";
    let dialog = incoming(&mut ua, &with_sdp(routes));
    ua.endpoint.answer(ua.now, dialog, Some(SDP.as_bytes()), &[]).unwrap();
    let tag = ua.sent().pop().unwrap().to().unwrap().tag().unwrap().to_owned();
    ua.endpoint.bye(ua.now, dialog, &[("Reason", "Q.850;cause=31")]).unwrap();
    assert!(ua.lines().is_empty());
    assert_eq!(ua.endpoint.bye(ua.now, dialog, &[]), Err(CommandError::State));
    ua.receive(&request("ACK", &tag, 1, "ack", ""));
    let transmit = ua.transmits().pop().unwrap();
    assert_eq!(transmit.flow.peer, "192.0.2.50:5060".parse().unwrap());
    let bye = Message::parse(transmit.bytes).unwrap();
    assert_eq!((line(&bye), bye.uri()), ("BYE".into(), Some("sip:them@192.0.2.1:5062")));
    let routes: Vec<_> = bye.values(HeaderName::Route).collect();
    assert_eq!(routes, ["<sip:192.0.2.50;lr>", "<sip:192.0.2.51;lr>"]);
    assert_eq!(header(&bye, HeaderName::Reason), "Q.850;cause=31");
    assert_eq!(bye.from().unwrap().tag(), Some(tag.as_str()));
    assert_eq!(bye.to().unwrap().tag(), Some("theirs"));
    assert!(ua.events().is_empty());
    ua.receive(&response(&bye, 200, "", ""));
    assert!(matches!(ua.event(), Event::Ended { cause: End::Local, .. }));
    ua.assert_empty();
}

/// A BYE that nobody answers is repeated and given up; the call is over all the same.
#[test]
fn our_bye_unanswered() {
    let mut ua = Ua::new();
    let (dialog, _) = established(&mut ua);
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    ua.pass(31_999);
    assert_eq!(ua.lines().len(), 11);
    assert!(ua.events().is_empty());
    ua.pass(1);
    assert!(matches!(ua.event(), Event::Ended { cause: End::Local, .. }));
    ua.assert_empty();
}

/// Where a request within the dialog goes: Contact or first route if the peer is where its Via
/// says, else back to where it came from.
#[test]
fn next_hop_table() {
    for (via, contact, route, peer) in [
        ("192.0.2.1:5060", "sip:a@192.0.2.1:5062", "", "192.0.2.1:5062"),
        ("192.0.2.1:5060", "sip:a@192.0.2.9", "", "192.0.2.9:5060"),
        ("192.0.2.1:5060", "sip:a@192.0.2.9", "<sip:192.0.2.8:99;lr>", "192.0.2.8:99"),
        ("10.0.0.5:5060", "sip:a@10.0.0.5", "", "192.0.2.1:5060"),
        ("192.0.2.1:5060", "sip:a@10.0.0.5", "", "192.0.2.1:5060"),
        ("pc.example.com", "sip:a@pc.example.com", "", "192.0.2.1:5060"),
        ("192.0.2.1:5060", "sip:a@[2001:db8::1]", "", "192.0.2.1:5060"),
        ("192.0.2.1:5060", "sip:a@192.0.2.9:0", "", "192.0.2.9:5060"),
    ] {
        let mut ua = Ua::new();
        let route =
            if route.is_empty() { String::new() } else { format!("Record-Route: {route}\n") };
        let invite = request("INVITE", "", 1, "inv", &with_sdp(&route))
            .replace("UDP 192.0.2.1:5060", &format!("UDP {via};rport"))
            .replace("sip:them@192.0.2.1:5062", contact);
        ua.receive(&invite);
        let Event::Incoming { dialog, .. } = ua.event() else { panic!("{via}") };
        ua.endpoint.answer(ua.now, dialog, None, &[]).unwrap();
        ua.pass(32_000);
        let bye = ua.transmits().pop().unwrap();
        assert_eq!(bye.flow.peer, peer.parse().unwrap(), "{via} {contact} {route}");
    }
}

/// Responses go to the source address: to its port if `rport` is there, else to that of `sent-by`
/// (RFC 3261 18.2.2, RFC 3581 4); `maddr` is not followed.
#[test]
fn response_address_table() {
    for (via, port, expected) in [
        ("192.0.2.1:5060", "5060", "192.0.2.1:5060;branch=z9hG4bKinv"),
        ("192.0.2.1:6000", "6000", "192.0.2.1:6000;branch=z9hG4bKinv"),
        ("192.0.2.1", "5060", "192.0.2.1;branch=z9hG4bKinv"),
        ("10.1.1.1:7000", "7000", "10.1.1.1:7000;branch=z9hG4bKinv;received=192.0.2.1"),
        (
            "10.1.1.1:7000;rport",
            "40000",
            "10.1.1.1:7000;branch=z9hG4bKinv;received=192.0.2.1;rport=40000",
        ),
        (
            "192.0.2.1:6000;maddr=203.0.113.1",
            "6000",
            "192.0.2.1:6000;maddr=203.0.113.1;branch=z9hG4bKinv",
        ),
    ] {
        let mut ua = Ua::new();
        let source = Flow { peer: "192.0.2.1:40000".parse().unwrap(), ..ua.flow };
        let invite = request("INVITE", "", 1, "inv", "").replace("192.0.2.1:5060", via);
        ua.receive_from(source, &invite);
        let sent = ua.transmits();
        assert_eq!(sent[0].flow.peer, format!("192.0.2.1:{port}").parse().unwrap(), "{via}");
        let trying = Message::parse(sent[0].bytes.clone()).unwrap();
        assert_eq!(header(&trying, HeaderName::Via), format!("SIP/2.0/UDP {expected}"));
    }
}

/// INFO is answered, told, and told once; a lower number is out of order.
#[test]
fn info_within_the_call() {
    let mut ua = Ua::new();
    let (dialog, tag) = established(&mut ua);
    let info =
        request("INFO", &tag, 5, "info", "Content-Type: application/dtmf-relay\n\nSignal=1\r\n");
    ua.receive(&info);
    ua.receive(&info);
    assert_eq!(ua.lines(), ["200", "200"]);
    let Event::Info { dialog: of, request: told } = ua.event() else { panic!() };
    assert_eq!((of, told.body()), (dialog, &b"Signal=1\r\n"[..]));
    ua.receive(&request("INFO", &tag, 4, "late", ""));
    ua.receive(&request("OPTIONS", &tag, 6, "opt", ""));
    assert_eq!(ua.lines(), ["500", "200"]);
    assert!(ua.events().is_empty());
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    ua.assert_empty();
}

/// Over TCP, responses and requests use the connection; when it is gone, the address of the Via
/// and of the Contact, over a new one. The call lives on.
#[test]
fn connection_lost_within_a_call() {
    let mut ua = Ua::with(EndpointConfig::default(), Transport::Tcp);
    ua.flow.peer = "192.0.2.1:33333".parse().unwrap();
    let invite = request("INVITE", "", 1, "inv", &with_sdp("")).replace("UDP", "TCP");
    ua.receive(&invite);
    let Event::Incoming { dialog, .. } = ua.event() else { panic!() };
    assert_eq!(ua.transmits()[0].flow, ua.flow);
    ua.endpoint.handle_closed(ua.now, 1);
    ua.endpoint.answer(ua.now, dialog, None, &[]).unwrap();
    let ok = ua.transmits().remove(0);
    assert_eq!((ok.flow.connection, ok.flow.peer), (0, "192.0.2.1:5060".parse().unwrap()));
    let tag = Message::parse(ok.bytes).unwrap().to().unwrap().tag().unwrap().to_owned();
    ua.flow.connection = 2;
    ua.receive(&request("ACK", &tag, 1, "ack", ""));
    ua.events();
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    let bye = ua.transmits().remove(0);
    assert_eq!(bye.flow, ua.flow);
    ua.endpoint.handle_closed(ua.now, 2);
    assert!(matches!(ua.event(), Event::Ended { cause: End::Local, .. }));
    ua.assert_empty();
}

/// Peers of RFC 2543 without a branch are told apart by everything else.
#[test]
fn peer_without_branches() {
    let mut ua = Ua::new();
    let old = |text: String| text.replace(";branch=z9hG4bKinv", "");
    ua.receive(&old(request("INVITE", "", 1, "inv", &with_sdp(""))));
    ua.receive(&old(request("INVITE", "", 1, "inv", &with_sdp(""))));
    let Event::Incoming { dialog, .. } = ua.event() else { panic!() };
    ua.endpoint.reject(ua.now, dialog, 486, "Busy", &[]).unwrap();
    assert_eq!(ua.lines(), ["100", "100", "486"]);
    ua.receive(&old(request("ACK", "x", 1, "inv", "")));
    ua.pass(40_000);
    assert!(ua.lines().is_empty());
    ua.assert_empty();
}

/// What cannot stand in a message is refused before anything is sent.
#[test]
fn commands_are_checked() {
    let mut ua = Ua::new();
    let dialog = incoming(&mut ua, &with_sdp(""));
    ua.lines();
    let now = ua.now;
    let bad = [("X", "a\r\nEvil: 1")];
    let endpoint = &mut ua.endpoint;
    assert!(matches!(
        endpoint.provisional(now, dialog, 180, "R", None, &bad),
        Err(CommandError::Build(_))
    ));
    assert!(matches!(endpoint.answer(now, dialog, None, &bad), Err(CommandError::Build(_))));
    assert!(matches!(
        endpoint.reject(now, dialog, 486, "a\r\nb", &[]),
        Err(CommandError::Build(_))
    ));
    assert_eq!(endpoint.provisional(now, dialog, 100, "R", None, &[]), Err(CommandError::State));
    assert_eq!(endpoint.reject(now, dialog, 200, "R", &[]), Err(CommandError::State));
    assert_eq!(endpoint.accept_reinvite(now, dialog, b""), Err(CommandError::State));
    assert_eq!(endpoint.reinvite(now, dialog, None), Err(CommandError::State));
    assert_eq!(endpoint.cancel(now, dialog, &[]), Err(CommandError::State));
    assert_eq!(endpoint.ack_with(now, dialog, b""), Err(CommandError::State));
    assert_eq!(endpoint.info(now, dialog, "a/b", b""), Err(CommandError::State));
    assert!(ua.lines().is_empty());
    ua.endpoint.bye(now, dialog, &[]).unwrap();
    assert_eq!(ua.lines(), ["480"]);
    ua.assert_empty();
}

/// Our requests say who we are, if that is configured, as our answers do.
#[test]
fn requests_say_who_we_are() {
    for name in ["", "Talkpath"] {
        let config = EndpointConfig { user_agent: name.into(), ..EndpointConfig::default() };
        let mut ua = Ua::with(config, Transport::Udp);
        let (dialog, _) = established(&mut ua);
        ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
        let sent = ua.sent();
        assert_eq!(line(&sent[0]), "BYE");
        let said = sent[0].header(HeaderName::UserAgent);
        assert_eq!(said, (!name.is_empty()).then_some(name));
    }
}
