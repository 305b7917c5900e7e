use proptest::prelude::*;

use super::*;

fn parse(bytes: Bytes) -> Message {
    Message::parse(bytes).unwrap()
}

fn request() -> Message {
    let bytes = RequestBuilder::new(Method::Invite, "sip:bob@example.com")
        .header(HeaderName::Via, "SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK1")
        .header(HeaderName::Via, "SIP/2.0/UDP edge.example.com;branch=z9hG4bK0")
        .header(HeaderName::RecordRoute, "<sip:p1.example.com;lr>")
        .header(HeaderName::From, "<sip:alice@example.com>;tag=a")
        .header(HeaderName::To, "<sip:bob@example.com>")
        .header(HeaderName::CallId, "1@192.0.2.1")
        .header(HeaderName::CSeq, "7 INVITE")
        .body("application/sdp", b"v=0\r\n")
        .build();
    parse(bytes.unwrap())
}

fn via_after(via: &str, source: &str) -> String {
    let request = RequestBuilder::new(Method::Options, "sip:h").header("Via", via).build();
    let request = parse(request.unwrap());
    let response = ResponseBuilder::new(&request, 200, "OK").source(source.parse().unwrap());
    parse(response.build()).header(HeaderName::Via).unwrap().to_owned()
}

/// The exact octets of a request.
#[test]
fn request_octets() {
    assert_eq!(
        request().bytes(),
        &b"INVITE sip:bob@example.com SIP/2.0\r\n\
           Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK1\r\n\
           Via: SIP/2.0/UDP edge.example.com;branch=z9hG4bK0\r\n\
           Record-Route: <sip:p1.example.com;lr>\r\n\
           From: <sip:alice@example.com>;tag=a\r\n\
           To: <sip:bob@example.com>\r\n\
           Call-ID: 1@192.0.2.1\r\n\
           CSeq: 7 INVITE\r\n\
           Content-Type: application/sdp\r\n\
           Content-Length: 5\r\n\r\nv=0\r\n"[..]
    );
}

/// The exact octets of a response: what RFC 3261 section 8.2.6.2 copies, in its order.
#[test]
fn response_octets() {
    let request = request();
    let response = ResponseBuilder::new(&request, 183, "Session Progress")
        .source("198.51.100.7:6000".parse().unwrap())
        .to_tag("b")
        .record_route(&request)
        .header(HeaderName::Contact, "<sip:192.0.2.9>")
        .body("application/sdp", b"v=0\r\n")
        .try_build();
    assert_eq!(
        response.unwrap(),
        &b"SIP/2.0 183 Session Progress\r\n\
           Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;received=198.51.100.7;rport=6000\r\n\
           Via: SIP/2.0/UDP edge.example.com;branch=z9hG4bK0\r\n\
           Record-Route: <sip:p1.example.com;lr>\r\n\
           From: <sip:alice@example.com>;tag=a\r\n\
           To: <sip:bob@example.com>;tag=b\r\n\
           Call-ID: 1@192.0.2.1\r\n\
           CSeq: 7 INVITE\r\n\
           Contact: <sip:192.0.2.9>\r\n\
           Content-Type: application/sdp\r\n\
           Content-Length: 5\r\n\r\nv=0\r\n"[..]
    );
}

/// A tag that the request had in To stays; 100 needs none.
#[test]
fn to_tags() {
    let tagged = RequestBuilder::new(Method::Bye, "sip:h").header("To", "<sip:b@h>;tag=x").build();
    let tagged = parse(tagged.unwrap());
    let response = ResponseBuilder::new(&tagged, 200, "OK").to_tag("y").build();
    assert_eq!(parse(response).header(HeaderName::To), Some("<sip:b@h>;tag=x"));
    let request = request();
    let trying = ResponseBuilder::new(&request, 100, "Trying").build();
    assert_eq!(parse(trying).header(HeaderName::To), Some("<sip:bob@example.com>"));
}

/// `received` and `rport` are set by what the packet says, not by what the sender wrote (RFC 3261
/// section 18.2.1, RFC 3581 section 4); other parameters and further hops stay as they are.
#[test]
fn sources() {
    let cases = [
        ("SIP/2.0/UDP 192.0.2.1;branch=x", "192.0.2.1:9", "SIP/2.0/UDP 192.0.2.1;branch=x"),
        ("SIP/2.0/UDP h;branch=x", "192.0.2.1:9", "SIP/2.0/UDP h;branch=x;received=192.0.2.1"),
        (
            "SIP/2.0/UDP h;received=10.0.0.1;rport=1;a=\"q;r\", SIP/2.0/UDP i;rport",
            "192.0.2.1:9",
            "SIP/2.0/UDP h;a=\"q;r\";received=192.0.2.1;rport=9, SIP/2.0/UDP i;rport",
        ),
        (
            "SIP / 2.0 / UDP [2001:db8::1]:5060 ; rport",
            "[2001:db8::1]:9",
            "SIP / 2.0 / UDP [2001:db8::1]:5060;received=2001:db8::1;rport=9",
        ),
        ("SIP/2.0/UDP 192.0.2.1", "[::ffff:192.0.2.1]:9", "SIP/2.0/UDP 192.0.2.1"),
        ("no via", "192.0.2.1:9", "no via"),
    ];
    for (via, source, expected) in cases {
        assert_eq!(via_after(via, source), expected);
    }
}

/// No caller's text can end its line: every place that takes text refuses CR, LF and NUL, and a
/// response leaves it out.
#[test]
fn injection() {
    let good = || RequestBuilder::new(Method::Options, "sip:h");
    for evil in ["x\r\nEvil: 1", "x\nEvil: 1", "x\rEvil: 1", "x\0"] {
        assert_eq!(good().header("Subject", evil).build(), Err(BuildError::HeaderValue));
        assert_eq!(good().header(evil, "x").build(), Err(BuildError::HeaderName));
        assert_eq!(good().body(evil, b"").build(), Err(BuildError::HeaderValue));
        let method = Method::from_token(evil);
        assert_eq!(RequestBuilder::new(method, "sip:h").build(), Err(BuildError::Method));
        let uri = RequestBuilder::new(Method::Options, &format!("sip:{evil}"));
        assert_eq!(uri.build(), Err(BuildError::Uri));

        let request = request();
        let response = |reason| ResponseBuilder::new(&request, 200, reason);
        for response in [
            response(evil),
            response("OK").to_tag(evil),
            response("OK").header("Subject", evil),
            response("OK").header(evil, "x"),
            response("OK").body(evil, b""),
        ] {
            assert!(response.clone().try_build().is_err());
            let written = parse(response.build());
            assert_eq!(written.header_named("Evil"), None);
            assert_eq!(written.fault(), None);
        }
    }
}

/// The other faults of callers.
#[test]
fn refusals() {
    let good = || RequestBuilder::new(Method::Options, "sip:h");
    for uri in ["", "sip:a b", "<sip:a>", "sip:\"", "sip:\u{7f}"] {
        let built = RequestBuilder::new(Method::Options, uri).build();
        assert_eq!(built, Err(BuildError::Uri), "{uri}");
    }
    for name in ["", "a b", "a:", "é"] {
        assert_eq!(good().header(name, "x").build(), Err(BuildError::HeaderName), "{name}");
    }
    for name in ["Content-Length", "l", "CONTENT-LENGTH"] {
        assert_eq!(good().header(name, "0").build(), Err(BuildError::ContentLength));
    }
    let large = vec![0; MESSAGE_BYTES_MAX];
    assert_eq!(good().body("a/b", &large).build(), Err(BuildError::TooLarge));
    let request = request();
    for status in [0, 99, 700] {
        let built = ResponseBuilder::new(&request, status, "x").try_build();
        assert_eq!(built, Err(BuildError::Status));
    }
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        proptest::sample::select(vec!["INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "UPDATE"])
            .prop_map(Method::from_token),
        "[A-Za-z0-9.!%*_+`'~-]{1,12}".prop_map(|text| Method::from_token(&text)),
    ]
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    let known: Vec<String> = HeaderName::all()
        .filter(|name| *name != HeaderName::ContentLength)
        .map(|name| name.as_str().to_owned())
        .collect();
    let name = prop_oneof![proptest::sample::select(known), "X-[A-Za-z0-9-]{1,12}"];
    // Blanks at the ends are no part of a value.
    let value = "([!-~\u{e9}\u{4e2d}]([ -~\t\u{e9}]{0,40}[!-~])?)?";
    proptest::collection::vec((name, value), 0..20)
}

proptest! {
    /// What is written is read as the same method, URI, fields in order and body.
    #[test]
    fn request_round_trip(
        method in method(),
        uri in "(sip|sips|tel):[!#-;=?-~\u{e9}]{1,40}",
        headers in headers(),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut builder = RequestBuilder::new(method.clone(), &uri);
        for (name, value) in &headers {
            builder = builder.header(name, value);
        }
        let message = parse(builder.body("application/octet-stream", &body).build().unwrap());
        prop_assert_eq!(message.fault(), None);
        prop_assert_eq!(message.method(), Some(&method));
        prop_assert_eq!(message.uri(), Some(uri.as_str()));
        prop_assert_eq!(message.body(), &body[..]);
        let read: Vec<_> = message.all_headers().take(headers.len()).collect();
        let written: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        prop_assert_eq!(read, written);
    }

    /// The same for a response.
    #[test]
    fn response_round_trip(
        status in 100u16..700,
        reason in "([!-~\u{e9}]([ -~]{0,20}[!-~])?)?",
        tag in "[A-Za-z0-9.!%*_+`'~-]{1,16}",
        headers in headers(),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let request = request();
        let mut builder = ResponseBuilder::new(&request, status, &reason).to_tag(&tag);
        for (name, value) in &headers {
            builder = builder.header(name, value);
        }
        let message = parse(builder.body("a/b", &body).try_build().unwrap());
        prop_assert_eq!(message.status(), Some(status));
        prop_assert_eq!(message.reason(), Some(reason.as_str()));
        prop_assert_eq!(message.to().unwrap().tag(), Some(tag.as_str()));
        prop_assert_eq!(message.body(), &body[..]);
        let copied = 6;
        let read: Vec<_> = message.all_headers().skip(copied).take(headers.len()).collect();
        let written: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        prop_assert_eq!(read, written);
    }
}
