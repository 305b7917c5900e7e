use bytes::Bytes;
use proptest::prelude::*;

use super::super::fuzz;
use super::super::method::Method;
use super::*;

const INVITE: &str = "INVITE sip:bob@example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP pc33.example.com;branch=z9hG4bK776asdhds, SIP/2.0/TCP [::1]\r\n\
    v: SIP/2.0/TLS a;branch=z9hG4bK1\r\n\
    Max-Forwards: 70\r\n\
    t: \"Bob, Jr.\" <sip:bob@example.com>\r\n\
    From: Alice <sip:alice@example.com>;tag=1928301774\r\n\
    i: a84b4c76e66710@pc33.example.com\r\n\
    CSeq: 314159 INVITE\r\n\
    m: <sip:alice@pc33.example.com>;q=0.5, \"x, y\" <sip:alice@h2>\r\n\
    X-Note: first\r\n\
    x-note: second\r\n\
    c: application/sdp\r\n\
    l: 4\r\n\
    \r\n\
    v=0\n";

fn parse(text: &str) -> Result<Message, ParseError> {
    Message::parse(Bytes::copy_from_slice(text.as_bytes()))
}

/// Every accessor of an ordinary request, compact names included.
#[test]
fn request() {
    let message = parse(INVITE).unwrap();
    assert!(message.is_request());
    assert_eq!(message.fault(), None);
    assert_eq!(message.method(), Some(&Method::Invite));
    assert_eq!(message.uri(), Some("sip:bob@example.com"));
    assert_eq!((message.status(), message.reason()), (None, None));
    assert_eq!(message.header(HeaderName::ContentType), Some("application/sdp"));
    assert_eq!(message.headers(HeaderName::Via).count(), 2);
    assert_eq!(message.values(HeaderName::Via).count(), 3);
    assert_eq!(message.values(HeaderName::Contact).count(), 2);
    assert_eq!(message.via().unwrap().branch(), Some("z9hG4bK776asdhds"));
    assert_eq!(message.from().unwrap().tag(), Some("1928301774"));
    assert_eq!(message.to().unwrap().display, Some("Bob, Jr."));
    assert_eq!(message.contact().unwrap().unwrap().params.get("q"), Some("0.5"));
    assert_eq!(message.cseq().unwrap().number, 314_159);
    assert_eq!(message.call_id(), Ok("a84b4c76e66710@pc33.example.com"));
    assert_eq!(message.max_forwards(), Ok(Some(70)));
    assert_eq!(message.body(), b"v=0\n");
    assert_eq!(message.bytes(), INVITE.as_bytes());
    assert_eq!(message.all_headers().count(), 12);
    let notes: Vec<_> = message.headers(HeaderName::Other("X-NOTE")).collect();
    assert_eq!(notes, ["first", "second"]);
    assert_eq!(message.header_named("x-Note"), Some("first"));
    assert_eq!(message.header_named("V"), message.header(HeaderName::Via));
    assert_eq!(message.header(HeaderName::Other("Call-ID")), message.header(HeaderName::CallId));
    assert_eq!(message.header_named("x-other"), None);
}

/// Nothing is copied of a message without folds and foreign octets.
#[test]
fn ordinary_messages_are_not_copied() {
    let raw = Bytes::copy_from_slice(INVITE.as_bytes());
    let range = raw.as_ptr_range();
    let message = Message::parse(raw).unwrap();
    let inside = |text: &[u8]| range.contains(&text.as_ptr());
    assert!(message.all_headers().all(|(name, value)| {
        inside(name.as_bytes()) && (value.is_empty() || inside(value.as_bytes()))
    }));
    assert!(inside(message.body()) && inside(message.uri().unwrap().as_bytes()));
}

/// Status lines: without reason, with an empty one, with one in UTF-8.
#[test]
fn responses() {
    for (line, status, reason) in [
        ("SIP/2.0 200 OK", 200, "OK"),
        ("SIP/2.0 100 ", 100, ""),
        ("SIP/2.0 486", 486, ""),
        ("sip/2.0 699 простое", 699, "простое"),
    ] {
        let message = parse(&format!("{line}\r\n\r\n")).unwrap();
        assert_eq!((message.status(), message.reason()), (Some(status), Some(reason)));
        assert!(!message.is_request() && message.method().is_none() && message.uri().is_none());
        assert_eq!(message.fault(), None);
    }
    let refused = ["SIP/2.0", "SIP/2.0 ", "SIP/2.0 20 OK", "SIP/2.0 +20 OK", "SIP/2.0 2000 OK"];
    for line in refused.into_iter().chain(["SIP/2.0 099 OK", "SIP/2.0 700 OK", "SIP/2.0  200 OK"]) {
        assert_eq!(parse(&format!("{line}\r\n\r\n")).unwrap_err(), ParseError::StartLine, "{line}");
    }
    let newer = parse("SIP/3.0 200 OK\r\n\r\n").unwrap();
    assert_eq!(newer.fault(), Some(Fault::Version));
}

/// What is not SIP at all is refused before anything is kept of it.
#[test]
fn foreign_start_lines() {
    for line in
        ["GET / HTTP/1.1", "INVITE", "INVITE sip:a@h", "x", " ", "\0\0\0\0", "A,B sip:a SIP/2.0"]
    {
        assert_eq!(parse(&format!("{line}\r\n\r\n")).unwrap_err(), ParseError::StartLine, "{line}");
    }
    for text in ["", "\r\n", "\r\n\r\n", "\n"] {
        assert_eq!(parse(text).unwrap_err(), ParseError::Empty, "{text:?}");
    }
}

/// Blanks that do not belong into a request line leave a readable message with a fault.
#[test]
fn request_lines_with_faults() {
    for line in [
        "OPTIONS  sip:a@h SIP/2.0",
        "OPTIONS sip:a@h  SIP/2.0",
        "OPTIONS sip:a@h SIP/2.0 ",
        "OPTIONS sip:a@h; lr SIP/2.0",
        " OPTIONS sip:a@h SIP/2.0",
        "OPTIONS\tsip:a@h;\tlr SIP/2.0",
        "OPTIONS   SIP/2.0",
    ] {
        let message = parse(&format!("{line}\r\n\r\n")).unwrap();
        assert_eq!(message.fault(), Some(Fault::StartLine), "{line}");
        assert_eq!(message.method(), Some(&Method::Options));
    }
    let newer = parse("OPTIONS sip:a@h SIP/2.1\r\n\r\n").unwrap();
    assert_eq!(newer.fault(), Some(Fault::Version));
}

/// Folded lines read as one space, wherever they stand; the octets stay as they came.
#[test]
fn folding() {
    let text = "OPTIONS sip:a@h SIP/2.0\r\nSubject: one\r\n two  \r\n\t three\r\n\r\nTo:\r\n <sip:b@h>\
                \r\nEmpty:\r\n \r\nLast:\n x\n\n body";
    let message = parse(&text.replace("three\r\n\r\n", "three\r\n")).unwrap();
    assert_eq!(message.header(HeaderName::Subject), Some("one two three"));
    assert_eq!(message.to().unwrap().uri.as_str(), "sip:b@h");
    assert_eq!(message.header_named("Empty"), Some(""));
    assert_eq!(message.header_named("Last"), Some("x"));
    assert_eq!(message.body(), b" body");
}

/// Octets that are not UTF-8 read as Latin-1, those that are read as UTF-8, in the same line.
#[test]
fn latin1() {
    let text = b"OPTIONS sip:a@h SIP/2.0\r\nFrom: \"Jos\xe9 \xc3\xa9\" <sip:j@h>;tag=1\r\n\r\n\xff";
    let message = Message::parse(Bytes::from_static(text)).unwrap();
    assert_eq!(message.from().unwrap().display, Some("José é"));
    assert_eq!(message.from().unwrap().tag(), Some("1"));
    assert_eq!(message.body(), b"\xff");
    assert_eq!(message.bytes(), &text[..]);
}

/// LF alone ends lines too; a carriage return that ends none is refused, because the next element
/// might take it for one.
#[test]
fn line_ends() {
    let message = parse("\r\n\nOPTIONS sip:a@h SIP/2.0\nTo : <sip:b@h>\nl: 1\n\nxy").unwrap();
    assert_eq!(message.to().unwrap().uri.as_str(), "sip:b@h");
    assert_eq!(message.body(), b"x");
    assert_eq!(message.bytes(), "OPTIONS sip:a@h SIP/2.0\nTo : <sip:b@h>\nl: 1\n\nx".as_bytes());
    let stray = parse("OPTIONS sip:a@h SIP/2.0\r\nTo: x\rVia: y\r\n\r\n");
    assert_eq!(stray.unwrap_err(), ParseError::StrayReturn);
    assert_eq!(parse("OPTIONS sip:a@h SIP/2.0\r").unwrap_err(), ParseError::Truncated);
}

/// Content-Length decides the body; what contradicts it is a fault of a readable message.
#[test]
fn content_length() {
    let with = |headers: &str| parse(&format!("OPTIONS sip:a@h SIP/2.0\r\n{headers}\r\nbody"));
    let cases = [
        ("", None, "body"),
        ("Content-Length: 4\r\n", None, "body"),
        ("Content-Length: 0002\r\n", None, "bo"),
        ("l: 0\r\n", None, ""),
        ("l: 4\r\nl: 4\r\n", None, "body"),
        ("l: 5\r\n", Some(Fault::BodyShort), "body"),
        ("l: 4294967296\r\n", Some(Fault::ContentLength), "body"),
        ("l: -1\r\n", Some(Fault::ContentLength), "body"),
        ("l:\r\n", Some(Fault::ContentLength), "body"),
        ("l: 4 4\r\n", Some(Fault::ContentLength), "body"),
        ("l: 4\r\nl: 3\r\n", Some(Fault::ContentLength), "body"),
    ];
    for (headers, fault, body) in cases {
        let message = with(headers).unwrap();
        assert_eq!(message.fault(), fault, "{headers}");
        assert_eq!(message.body(), body.as_bytes(), "{headers}");
    }
}

/// Header lines without colon or with a name that is no token are a fault; the others count.
#[test]
fn malformed_header_lines() {
    for line in ["no colon", ": no name", "na me: x", "näme: x", "\"n\": x"] {
        let message =
            parse(&format!("OPTIONS sip:a@h SIP/2.0\r\n{line}\r\nTo: y\r\n\r\n")).unwrap();
        assert_eq!(message.fault(), Some(Fault::HeaderLine), "{line}");
        assert_eq!(message.all_headers().collect::<Vec<_>>(), [("To", "y")], "{line}");
    }
    let blank = parse("OPTIONS sip:a@h SIP/2.0\r\nTo \t:y\r\n\r\n").unwrap();
    assert_eq!((blank.fault(), blank.header(HeaderName::To)), (None, Some("y")));
    let open = parse("OPTIONS sip:a@h SIP/2.0\r\nTo: y\r\n").unwrap();
    assert_eq!((open.fault(), open.header(HeaderName::To)), (Some(Fault::HeaderEnd), Some("y")));
}

/// Each limit holds at its value and refuses one more.
#[test]
fn limits() {
    let with = |headers: &str| parse(&format!("OPTIONS sip:a@h SIP/2.0\r\n{headers}\r\n"));
    assert_eq!(with(&"a: b\r\n".repeat(HEADERS_MAX)).unwrap().all_headers().count(), HEADERS_MAX);
    let many = with(&"a: b\r\n".repeat(HEADERS_MAX + 1));
    assert_eq!(many.unwrap_err(), ParseError::TooManyHeaders);

    let line = |length: usize| format!("x: {}\r\n", "y".repeat(length - 3));
    assert!(with(&line(LINE_BYTES_MAX)).is_ok());
    assert_eq!(with(&line(LINE_BYTES_MAX + 1)).unwrap_err(), ParseError::LineTooLong);
    let folded = format!("x: y\r\n{}", " y\r\n".repeat(LINE_BYTES_MAX / 4));
    assert_eq!(with(&folded).unwrap_err(), ParseError::LineTooLong);

    let head = "OPTIONS sip:a@h SIP/2.0\r\n\r\n";
    let body = "b".repeat(MESSAGE_BYTES_MAX - head.len());
    assert_eq!(parse(&format!("{head}{body}")).unwrap().body().len(), body.len());
    assert_eq!(parse(&format!("{head}{body}x")).unwrap_err(), ParseError::TooLarge);
}

/// Typed views say which header is missing or malformed.
#[test]
fn header_errors() {
    let message = parse("OPTIONS sip:a@h SIP/2.0\r\nTo: \"x\r\nCall-ID: a b\r\n\r\n").unwrap();
    assert_eq!(message.via(), Err(HeaderError::Missing(HeaderName::Via)));
    assert_eq!(message.cseq(), Err(HeaderError::Missing(HeaderName::CSeq)));
    let cause = Syntax::Quote;
    assert_eq!(message.to(), Err(HeaderError::Malformed { name: HeaderName::To, cause }));
    assert_eq!(message.call_id().unwrap_err().name(), HeaderName::CallId);
    assert_eq!(message.contact(), Ok(None));
    assert_eq!(message.max_forwards(), Ok(None));
    let all = parse("REGISTER sip:h SIP/2.0\r\nContact: *\r\nMax-Forwards: 256\r\n\r\n").unwrap();
    assert_eq!(all.contact(), Ok(None));
    assert_eq!(all.max_forwards().unwrap_err().to_string(), "Max-Forwards is malformed");
}

/// `Debug` of a message holds none of its text but the method.
#[test]
fn debug_is_discreet() {
    let shown = format!("{:?}", parse(INVITE).unwrap());
    assert!(shown.contains("INVITE") && !shown.contains("bob") && !shown.contains("alice"));
}

/// Every truncation of a message is refused, faulty, or ends exactly at a line of the header; none
/// panics.
#[test]
fn truncations() {
    for length in 0..INVITE.len() {
        let text = &INVITE[..length];
        fuzz::sip_message(text.as_bytes());
        match parse(text) {
            Ok(message) => assert!(message.fault().is_some(), "{length}"),
            Err(error) => {
                assert!(matches!(error, ParseError::Truncated | ParseError::Empty), "{length}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Random octets never panic.
    #[test]
    fn random_octets(octets in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz::sip_message(&octets);
    }

    /// Nor does a message with random octets put over it, which gets further into the parser.
    #[test]
    fn damaged_messages(
        at in 0..INVITE.len(),
        octets in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(b" \t\r\n\",;<>:@=\\%?".to_vec())],
            0..12,
        ),
        removed in 0usize..12,
    ) {
        let mut message = INVITE.as_bytes().to_vec();
        let end = (at + removed).min(message.len());
        message.splice(at..end, octets);
        fuzz::sip_message(&message);
    }
}
