//! What is refused, and what is not answered at all.

use std::time::Duration;

use super::super::*;
use super::inbound::established;
use super::support::*;
use crate::sip::core::{HeaderName, Method};

/// Requests outside of dialogs and the answer each gets, with the header that explains it.
#[test]
fn refusal_table() {
    const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY";
    let text = "Content-Type: text/plain\n\nhello";
    let gzip = format!("Content-Type: application/sdp\nContent-Encoding: gzip\n\n{SDP}");
    let long = format!("Record-Route: <sip:{}>\n", "a".repeat(5000));
    for (method, to_tag, extra, status, name, value) in [
        ("FROBNICATE", "", "", 501, HeaderName::Allow, ALLOW),
        ("PUBLISH", "", "", 405, HeaderName::Allow, ALLOW),
        ("REGISTER", "", "", 405, HeaderName::Allow, ALLOW),
        ("SUBSCRIBE", "", "", 405, HeaderName::Allow, ALLOW),
        ("INVITE", "", "Require: 100rel, x\n", 420, HeaderName::Unsupported, "x"),
        ("INVITE", "", "Require: a\nRequire: b, c\n", 420, HeaderName::Unsupported, "a, b, c"),
        ("OPTIONS", "", "Require: x\n", 420, HeaderName::Unsupported, "x"),
        ("INVITE", "", text, 415, HeaderName::Accept, "application/sdp, multipart/mixed"),
        ("INVITE", "", &gzip, 415, HeaderName::AcceptEncoding, "identity"),
        ("INVITE", "", "Content-Type: application/sdp\n\nx", 400, HeaderName::Allow, ""),
        ("INVITE", "", &long, 513, HeaderName::Allow, ""),
        ("INVITE", "nobody", "", 481, HeaderName::Allow, ""),
        ("INVITE", "0123456789abcdef", "", 481, HeaderName::Allow, ""),
        ("BYE", "", "", 481, HeaderName::Allow, ""),
        ("BYE", "0123456789abcdef", "", 481, HeaderName::Allow, ""),
        ("INFO", "", "", 481, HeaderName::Allow, ""),
        ("UPDATE", "", "", 481, HeaderName::Allow, ""),
        ("CANCEL", "", "", 481, HeaderName::Allow, ""),
        ("OPTIONS", "", "", 200, HeaderName::Allow, ALLOW),
        ("OPTIONS", "", "", 200, HeaderName::Accept, "application/sdp, multipart/mixed"),
        ("OPTIONS", "nobody", "", 481, HeaderName::Allow, ""),
    ] {
        let mut ua = Ua::new();
        let text = request(method, to_tag, 1, "b", extra);
        ua.receive(&text);
        let sent = ua.sent();
        assert_eq!(sent.len(), 1, "{method} {extra:.40}");
        assert_eq!(sent[0].status(), Some(status), "{method} {extra:.40}");
        assert_eq!(header(&sent[0], name), value, "{method} {extra:.40}");
        let tag = sent[0].to().unwrap().tag().map(str::to_owned);
        assert!(tag.is_some());
        // The same again: the same answer with the same tag, and nothing was kept.
        ua.receive(&text);
        let again = ua.sent();
        assert_eq!(again[0].bytes(), sent[0].bytes(), "{method}");
        assert!(ua.events().is_empty());
        assert_eq!((ua.endpoint.calls(), ua.endpoint.transactions()), (0, (0, 0)));
        assert_eq!(ua.endpoint.deadline(), None);
    }
}

/// INFO within a call: digits are told, packages get 469, other bodies 415, and nothing is fine.
#[test]
fn info_bodies() {
    for (extra, status, told) in [
        ("Content-Type: application/dtmf-relay\n\nSignal=5", 200, true),
        ("Content-Type: Application/DTMF; x=y\n\n5", 200, true),
        ("", 200, true),
        ("Info-Package: nil\n", 200, true),
        ("Content-Type: text/plain\n\n5", 415, false),
        ("Info-Package: g.3gpp.mcptt\n", 469, false),
    ] {
        let mut ua = Ua::new();
        let (_, tag) = established(&mut ua);
        ua.receive(&request("INFO", &tag, 2, "info", extra));
        let sent = ua.sent().remove(0);
        assert_eq!(sent.status(), Some(status), "{extra}");
        let accept = header(&sent, HeaderName::Accept);
        assert_eq!(accept.contains("dtmf-relay"), status == 415, "{extra}");
        assert_eq!(sent.header_named("Recv-Info").is_some(), status == 469, "{extra}");
        assert_eq!(ua.events().len(), usize::from(told), "{extra}");
    }
}

/// Request lines and headers with their own answers.
#[test]
fn malformed_and_looping() {
    let invite = request("INVITE", "", 1, "b", &with_sdp(""));
    for (from, to, expected) in [
        ("INVITE sip:us@198.51.100.7", "INVITE sips:us@198.51.100.7", "416"),
        ("INVITE sip:us@198.51.100.7", "INVITE http://us", "416"),
        ("INVITE sip:us@198.51.100.7", "INVITE nonsense", "400"),
        ("Max-Forwards: 70", "Max-Forwards: 0", "483"),
        ("Max-Forwards: 70", "Max-Forwards: x", "400"),
        ("Contact: <sip:them@192.0.2.1:5062>\n", "", "100"),
        ("Via: SIP/2.0/UDP", "Via: nonsense", "400"),
        ("Contact: <sip:them@192.0.2.1:5062>", "Contact: <tel:+1>", "400"),
        ("CSeq: 1 INVITE", "CSeq: 1 BYE", "400"),
        ("CSeq: 1 INVITE", "CSeq: 9999999999 INVITE", "400"),
        ("Call-ID: c1\n", "", "400"),
        ("SIP/2.0\nVia", "SIP/7.0\nVia", "505"),
    ] {
        let mut ua = Ua::new();
        ua.receive(&invite.replace(from, to));
        assert_eq!(ua.lines(), [expected], "{to}");
        assert_eq!(ua.endpoint.calls(), usize::from(expected == "100"));
    }
    let mut ua = Ua::new();
    ua.receive(&invite.replace("Max-Forwards: 70\n", ""));
    assert_eq!(ua.lines(), ["100"]);
    ua.receive(&request("OPTIONS", "", 1, "o", "").replace("Max-Forwards: 70", "Max-Forwards: 0"));
    assert_eq!(ua.lines(), ["200"], "an OPTIONS that arrived has not run out of hops");
}

/// What must not be answered: ACKs, responses, noise, requests without a usable Via.
#[test]
fn silence_table() {
    let mut ua = Ua::new();
    let invite = request("INVITE", "", 1, "b", "");
    for text in [
        request("ACK", "", 1, "b", ""),
        request("ACK", "0123456789abcdef", 1, "b", ""),
        request("ACK", "", 1, "b", "").replace("Call-ID: c1\n", ""),
        request("ACK", "", 1, "b", "Require: x\n"),
        request("ACK", "", 1, "b", "").replace("sip:us@198.51.100.7 SIP", "http:x SIP"),
        invite.replace("Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKb\n", ""),
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 198.51.100.7;branch=z9hG4bK0123456789abcdef\n\
         From: <sip:a@b>;tag=1\nTo: <sip:a@b>;tag=2\nCall-ID: c\nCSeq: 1 INVITE\n"
            .into(),
        "SIP/2.0 200 OK\n".into(),
        "GET / HTTP/1.1\nHost: x\n".into(),
    ] {
        ua.receive(&text);
        assert!(ua.sent().is_empty(), "{text}");
        assert!(ua.events().is_empty());
    }
    ua.endpoint.handle_datagram(ua.now, ua.flow, bytes::Bytes::from_static(b"\r\n\r\n"));
    let counters = *ua.endpoint.counters();
    assert_eq!((counters.sent, counters.keep_alives), (0, 1));
    assert_eq!((counters.stray_acks, counters.stray_responses), (3, 2));
    assert_eq!(ua.endpoint.deadline(), None);
}

/// The same INVITE by another path, and an INVITE of ours that came back.
#[test]
fn merged_and_looped_requests() {
    let mut ua = Ua::new();
    ua.receive(&request("INVITE", "", 1, "path1", &with_sdp("")));
    ua.receive(&request("INVITE", "", 1, "path2", &with_sdp("")));
    assert_eq!(ua.lines(), ["100", "482"]);
    let params = super::outbound::params(ua.flow, true);
    ua.endpoint.invite(ua.now, params).unwrap();
    let invite = ua.sent().pop().unwrap();
    let top = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKp\n";
    let text = String::from_utf8(invite.bytes().to_vec()).unwrap();
    let (head, tail) = text.split_once("Content-Length").unwrap();
    let (_, tail) = tail.split_once("\r\n").unwrap();
    let text = format!("{head}{tail}");
    ua.receive(&text.replacen("\r\nVia", &format!("\n{top}Via"), 1).replace("\r\n\r\n", "\n\n"));
    assert_eq!(ua.lines(), ["482"]);
}

/// Calls, transactions and a drain: 503 with Retry-After, and room is made again.
#[test]
fn overload() {
    let limits = Limits { calls_max: 1, server_transactions_max: 3, ..Limits::default() };
    let mut ua = Ua::with(EndpointConfig { limits, ..EndpointConfig::default() }, Transport::Udp);
    let (dialog, tag) = established(&mut ua);
    let second = request("INVITE", "", 1, "other", "").replace("c1", "c2");
    ua.receive(&second);
    let refusal = ua.sent().remove(0);
    assert_eq!(refusal.status(), Some(503));
    assert_eq!(header(&refusal, HeaderName::RetryAfter), "5");
    for n in 2..5 {
        ua.receive(&request("INFO", &tag, n, &format!("info{n}"), ""));
    }
    // What needs no waiting is answered without a transaction; a re-INVITE would need one.
    ua.receive(&request("INVITE", &tag, 5, "re", &with_sdp("")));
    assert_eq!(ua.lines(), ["200", "200", "200", "503"]);
    assert_eq!(ua.endpoint.counters().overloaded, 2);
    assert_eq!(ua.events().len(), 3);
    ua.pass(40_000);
    ua.endpoint.bye(ua.now, dialog, &[]).unwrap();
    let bye = ua.sent().remove(0);
    ua.receive(&response(&bye, 200, "", ""));
    ua.events();
    ua.endpoint.refuse_calls(Some(77));
    ua.receive(&second);
    ua.receive(&request("OPTIONS", "", 1, "opt", ""));
    let refused = ua.sent();
    assert_eq!(refused.iter().map(line).collect::<Vec<_>>(), ["503", "503"]);
    assert_eq!(header(&refused[0], HeaderName::RetryAfter), "77");
    ua.endpoint.refuse_calls(None);
    ua.receive(&second);
    assert_eq!(ua.lines(), ["100"]);
}

/// A method can be forbidden by configuration.
#[test]
fn allowed_methods_are_configurable() {
    let mut allow = EndpointConfig::default().allow;
    allow.retain(|method| *method != Method::Info);
    let mut ua = Ua::with(EndpointConfig { allow, ..EndpointConfig::default() }, Transport::Udp);
    let (_, tag) = established(&mut ua);
    ua.receive(&request("INFO", &tag, 2, "i", ""));
    let refusal = ua.sent().remove(0);
    assert_eq!(refusal.status(), Some(405));
    assert_eq!(
        header(&refusal, HeaderName::Allow),
        "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, REFER, NOTIFY"
    );
    assert!(ua.events().is_empty());
}

/// A flood of requests that need no state leaves none, and one answer each.
#[test]
fn flood_takes_no_room() {
    let mut ua = Ua::new();
    for n in 0..2000 {
        let method = ["OPTIONS", "BYE", "FOO", "REGISTER", "CANCEL"][n % 5];
        ua.receive(&request(method, "", 1, &format!("b{n}"), ""));
        assert_eq!(ua.sent().len(), 1);
    }
    assert_eq!(ua.endpoint.transactions(), (0, 0));
    assert_eq!(ua.endpoint.deadline(), None);
    ua.pass(Duration::from_secs(1).as_millis() as u64);
}
