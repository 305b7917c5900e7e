use bytes::Bytes;

use super::*;

fn message(text: &str) -> Message {
    Message::parse(Bytes::from(format!("{}\r\n\r\n", text.trim_end().replace('\n', "\r\n"))))
        .unwrap()
}

fn invite(extra: &str) -> Message {
    message(&format!(
        "INVITE sip:us@b SIP/2.0\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\n\
         From: \"Them\" <sip:them@a>;tag=t1\nTo: Us <sip:us@b>\nCall-ID: c1\n\
         CSeq: 7 INVITE\n{extra}"
    ))
}

fn ok(extra: &str) -> Message {
    message(&format!(
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\nFrom: \"Them\" <sip:them@a>;tag=t1\n\
         To: Us <sip:us@b>;tag=u1\nCall-ID: c1\nCSeq: 7 INVITE\n{extra}"
    ))
}

fn bye(dialog: &mut Dialog) -> Message {
    let cseq = dialog.next_cseq();
    let via = "SIP/2.0/UDP x;branch=z9hG4bK2";
    Message::parse(dialog.request(Method::Bye, cseq, via).build().unwrap()).unwrap()
}

fn routes(message: &Message) -> Vec<String> {
    message.values(HeaderName::Route).map(str::to_owned).collect()
}

/// The called side: tags, target, route set in order, own numbers from 1.
#[test]
fn called_side() {
    let record = "Record-Route: <sip:p1;lr>, <sip:p2;lr>\nRecord-Route: <sip:p3;lr>\n";
    let contact = "Contact: <sip:them@10.0.0.1:5070;ob?X=y>\n";
    let mut dialog = Dialog::called(&invite(&format!("{record}{contact}")), "u1").unwrap();
    assert!(dialog.matches("c1", Some("t1")));
    assert!(!dialog.matches("c2", Some("t1")) && !dialog.matches("c1", Some("t2")));
    assert!(!dialog.matches("c1", None));
    assert_eq!((dialog.call_id(), dialog.remote_tag()), ("c1", Some("t1")));
    let bye = bye(&mut dialog);
    assert_eq!(bye.uri(), Some("sip:them@10.0.0.1:5070;ob"));
    assert_eq!(routes(&bye), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:p3;lr>"]);
    assert_eq!(bye.header(HeaderName::From), Some("Us <sip:us@b>;tag=u1"));
    assert_eq!(bye.header(HeaderName::To), Some("\"Them\" <sip:them@a>;tag=t1"));
    assert_eq!(bye.header(HeaderName::CSeq), Some("1 BYE"));
    assert_eq!(dialog.next_hop().unwrap().as_str(), "sip:p1;lr");
}

/// The calling side: the route set reversed, the tag and target of the response, own numbers on.
#[test]
fn calling_side() {
    let record = "Record-Route: <sip:p1;lr>, <sip:p2;lr>\nContact: <sip:us@10.0.0.2>\n";
    let mut dialog = Dialog::answered(&invite(""), &ok(record)).unwrap();
    assert!(dialog.matches("c1", Some("u1")));
    let bye = bye(&mut dialog);
    assert_eq!(bye.uri(), Some("sip:us@10.0.0.2"));
    assert_eq!(routes(&bye), ["<sip:p2;lr>", "<sip:p1;lr>"]);
    assert_eq!(bye.header(HeaderName::CSeq), Some("8 BYE"));
    assert_eq!(bye.header(HeaderName::To), Some("Us <sip:us@b>;tag=u1"));
    // Without a usable Contact the Request-URI stays the target.
    for contact in ["", "Contact: <tel:+1>\n"] {
        let dialog = Dialog::answered(&invite(""), &ok(contact)).unwrap();
        assert_eq!(dialog.target(), "sip:us@b");
    }
}

/// A first route without `lr` becomes the Request-URI, the target the last route (RFC 3261
/// 12.2.1.1, and the example in 16.12.1.2).
#[test]
fn strict_router() {
    let extra = "Record-Route: <sip:p1?X=y>, <sip:p2;lr>\nContact: <sip:them@a>\n";
    let mut dialog = Dialog::called(&invite(extra), "u1").unwrap();
    let bye = bye(&mut dialog);
    assert_eq!(bye.uri(), Some("sip:p1"));
    assert_eq!(routes(&bye), ["<sip:p2;lr>", "<sip:them@a>"]);
    assert_eq!(dialog.next_hop().unwrap().host.unwrap().to_string(), "p1");
}

/// An INVITE without Contact, as RFC 2543 allowed, names its target by From.
#[test]
fn no_contact() {
    let dialog = Dialog::called(&invite(""), "u1").unwrap();
    assert_eq!(dialog.target(), "sip:them@a");
}

/// Numbers of the peer only grow; a refused one changes nothing.
#[test]
fn order_of_the_peers_requests() {
    let mut dialog = Dialog::called(&invite("Contact: <sip:them@a>\n"), "u1").unwrap();
    assert!(!dialog.accept_cseq(6) && !dialog.accept_cseq(7));
    assert!(dialog.accept_cseq(9) && !dialog.accept_cseq(8) && dialog.accept_cseq(10));
    let mut dialog = Dialog::calling("c", "a", "b", "sip:b", 1);
    assert!(dialog.accept_cseq(0), "the first number of a callee may be any");
    assert!(!dialog.accept_cseq(0));
}

/// A target refresh takes a usable Contact and nothing else.
#[test]
fn target_refresh() {
    let mut dialog = Dialog::called(&invite("Contact: <sip:them@a>\n"), "u1").unwrap();
    let long = format!("Contact: <sip:{}@a>\n", "x".repeat(3000));
    for (contact, target) in [
        ("Contact: <sip:new@a;transport=tcp>\n", "sip:new@a;transport=tcp"),
        ("", "sip:new@a;transport=tcp"),
        ("Contact: <tel:+1>\n", "sip:new@a;transport=tcp"),
        ("Contact: <sip:\n", "sip:new@a;transport=tcp"),
        ("Contact: *\n", "sip:new@a;transport=tcp"),
        (long.as_str(), "sip:new@a;transport=tcp"),
        ("Contact: <sips:us?er@a?b=c>\n", "sips:us?er@a"),
    ] {
        dialog.refresh_target(&invite(contact));
        assert_eq!(dialog.target(), target, "{contact:.40}");
    }
}

/// What no dialog can be made of.
#[test]
fn unusable_messages() {
    let called = |extra: &str| Dialog::called(&invite(extra), "u1").map(|_| ()).unwrap_err();
    assert_eq!(called("Contact: <tel:+1>\n"), DialogError::Contact);
    assert_eq!(called("Contact: <sip:\n"), DialogError::Contact);
    let long = format!("Contact: <sip:a@b>\nRecord-Route: <sip:{}>\n", "r".repeat(4096));
    assert_eq!(called(&long), DialogError::TooLong);
    let no_from = message("INVITE sip:b SIP/2.0\nTo: <sip:b>\nCall-ID: c\nCSeq: 1 INVITE\n");
    assert_eq!(Dialog::called(&no_from, "u").map(|_| ()).unwrap_err(), DialogError::Header);
    let mut dialog = Dialog::calling("c1", "a", "<sip:us@b>", "sip:us@b", 7);
    assert_eq!(dialog.confirm(&ok(&long)), Err(DialogError::TooLong));
    assert_eq!((dialog.remote_tag(), dialog.target()), (None, "sip:us@b"));
}
