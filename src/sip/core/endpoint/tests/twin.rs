//! INVITEs that go by a stream, and in a datagram if nobody takes them from there.

use super::super::*;
use super::outbound::params;
use super::support::*;
use crate::sip::core::{HeaderName, Message};

/// A call whose INVITE is on the stream: it, and the INVITE.
fn placed(ua: &mut Ua) -> (DialogId, Message) {
    let placing = Placing { datagram: Some(flow(Transport::Udp)), ..Placing::default() };
    let dialog = ua.endpoint.invite_with(ua.now, params(ua.flow, true), placing).unwrap();
    (dialog, ua.sent().remove(0))
}

fn on_a_stream() -> Ua {
    Ua::with(EndpointConfig::default(), Transport::Tcp)
}

/// The next that was sent, and how.
fn next(ua: &mut Ua) -> (Transport, Message) {
    let mut all = ua.transmits();
    assert_eq!(all.len(), 1, "{all:?}");
    let Transmit { flow, bytes } = all.remove(0);
    (flow.transport, Message::parse(bytes).unwrap())
}

/// A call whose INVITE has gone both ways: it, and both INVITEs.
fn twice(ua: &mut Ua) -> (DialogId, Message, Message) {
    let (dialog, first) = placed(ua);
    ua.pass(3_999);
    assert!(ua.sent().is_empty());
    ua.pass(1);
    let (transport, second) = next(ua);
    assert_eq!(transport, Transport::Udp);
    assert!(matches!(ua.event(), Event::ByDatagram { dialog: told } if told == dialog));
    (dialog, first, second)
}

/// What nobody takes for four seconds goes in a datagram: the same request of the same transaction,
/// which is sent again like any other and ends like any other.
#[test]
fn a_datagram_follows() {
    let mut ua = on_a_stream();
    let (_, first, second) = twice(&mut ua);
    for name in [HeaderName::CallId, HeaderName::From, HeaderName::To, HeaderName::CSeq] {
        assert_eq!(header(&first, name), header(&second, name), "{name:?}");
    }
    let via = header(&first, HeaderName::Via).replace("/TCP", "/UDP");
    assert_eq!(header(&second, HeaderName::Via), via, "its branch above all");
    assert_eq!(first.body(), second.body());
    let contacts = [&first, &second].map(|it| header(it, HeaderName::Contact));
    assert_eq!(contacts.map(|it| it.contains("transport=tcp")), [true, false]);
    ua.pass(500);
    assert_eq!(next(&mut ua).0, Transport::Udp);
    ua.receive_from(flow(Transport::Udp), &response(&second, 200, "callee", &with_sdp("")));
    assert_eq!(line(&next(&mut ua).1), "ACK");
    assert!(matches!(ua.event(), Event::Answered { .. }));

    let mut ua = on_a_stream();
    twice(&mut ua);
    ua.pass(32_000);
    assert!(matches!(ua.event(), Event::Failed { status: 408, .. }));
    ua.assert_empty();
}

/// What cannot go by the stream goes in a datagram at once, and what happens to the stream then is
/// of no account; a call that was given up, or that somebody has heard of, does not.
#[test]
fn when_none_follows() {
    let mut ua = on_a_stream();
    placed(&mut ua);
    ua.endpoint.handle_closed(ua.now, 1);
    let (transport, second) = next(&mut ua);
    assert_eq!(transport, Transport::Udp);
    assert!(matches!(ua.event(), Event::ByDatagram { .. }));
    ua.endpoint.handle_closed(ua.now, 1);
    ua.endpoint.handle_unreachable(ua.now, Flow { connection: 0, ..ua.flow });
    assert!(ua.events().is_empty());
    ua.receive_from(flow(Transport::Udp), &response(&second, 486, "x", ""));
    assert_eq!(line(&next(&mut ua).1), "ACK");
    assert!(matches!(ua.event(), Event::Failed { status: 486, .. }));
    ua.assert_empty();

    let mut ua = on_a_stream();
    let (dialog, _) = placed(&mut ua);
    ua.endpoint.cancel(ua.now, dialog, &[]).unwrap();
    ua.pass(60_000);
    assert!(ua.sent().is_empty());
    assert!(matches!(ua.event(), Event::Failed { status: 487, .. }));

    let mut ua = on_a_stream();
    let (_, first) = placed(&mut ua);
    ua.receive(&response(&first, 100, "", ""));
    ua.pass(10_000);
    assert!(ua.sent().is_empty() && ua.events().is_empty());
}

/// Whoever has heard the first after all is told there that the call is given up.
#[test]
fn a_late_word_on_the_stream() {
    let mut ua = on_a_stream();
    let (dialog, first, _) = twice(&mut ua);
    ua.receive(&response(&first, 180, "callee", ""));
    assert!(matches!(ua.event(), Event::Ringing { .. }));
    ua.endpoint.cancel(ua.now, dialog, &[]).unwrap();
    let (transport, cancel) = next(&mut ua);
    assert_eq!((transport, line(&cancel).as_str()), (Transport::Tcp, "CANCEL"));
    assert_eq!(header(&cancel, HeaderName::Via), header(&first, HeaderName::Via));
}

/// Whoever says that it has the other one already does not end the call, however often it says so:
/// the other one is waited for.
#[test]
fn copies_are_told_apart() {
    for (merged, other) in [(Transport::Udp, Transport::Tcp), (Transport::Tcp, Transport::Udp)] {
        let mut ua = on_a_stream();
        let (_, first, second) = twice(&mut ua);
        let of = |transport| if transport == Transport::Tcp { &first } else { &second };
        for _ in 0..2 {
            ua.receive_from(flow(merged), &response(of(merged), 482, "copy", ""));
            let (transport, ack) = next(&mut ua);
            assert_eq!((transport, line(&ack).as_str()), (merged, "ACK"));
            assert_eq!(header(&ack, HeaderName::Via), header(of(merged), HeaderName::Via));
        }
        assert!(ua.events().is_empty());
        ua.receive_from(flow(other), &response(of(other), 200, "callee", &with_sdp("")));
        assert_eq!(line(&next(&mut ua).1), "ACK");
        assert!(matches!(ua.event(), Event::Answered { .. }));
    }
    // A loop is one on both ways.
    let mut ua = on_a_stream();
    let (_, first, second) = twice(&mut ua);
    ua.receive_from(flow(Transport::Udp), &response(&second, 482, "a", ""));
    ua.receive(&response(&first, 482, "b", ""));
    assert_eq!(ua.lines(), ["ACK", "ACK"]);
    assert!(matches!(ua.event(), Event::Failed { status: 482, .. }));
    ua.assert_empty();
}

/// Whoever gets both has one call.
#[test]
fn a_callee_rings_once() {
    let mut ua = on_a_stream();
    let (_, first, second) = twice(&mut ua);
    let mut callee = on_a_stream();
    let from = |transport| Flow { peer: "198.51.100.7:5060".parse().unwrap(), ..flow(transport) };
    let all = [(Transport::Tcp, &first), (Transport::Udp, &second)];
    for (transport, invite) in all {
        let bytes = invite.bytes().clone();
        callee.endpoint.handle_datagram(callee.now, from(transport), bytes);
    }
    assert_eq!(callee.endpoint.calls(), 1);
    assert!(matches!(callee.event(), Event::Incoming { .. }));
}
