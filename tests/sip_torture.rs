//! RFC 4475, Session Initiation Protocol (SIP) Torture Test Messages: every message of the RFC.
//!
//! The table names each message, its section, and what becomes of it. Where the RFC leaves a choice
//! ("could reject", "may be liberal"), the choice is written beside the message.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use talkpath::sip::core::validate::check_hops;
use talkpath::sip::core::{
    Fault, HeaderName, Host, Message, Method, NameAddr, ParseError, ResponseBuilder, Scheme,
    StreamDecoder, StreamError, StreamItem, Uri, Via, fuzz, validate_request, validate_response,
};

/// What becomes of a message.
enum Outcome {
    /// It passes validation, and what the RFC points out in it is read right.
    Accepted(fn(&Message)),
    /// A request that is answered with this status and reason phrase.
    Refused(u16, &'static str),
    /// A response that is discarded.
    Discarded,
    /// Not a message; nothing can be sent.
    Unreadable(ParseError),
}

use Outcome::{Accepted, Discarded, Refused, Unreadable};

/// Name of the file, section of RFC 4475, outcome.
const TABLE: &[(&str, &str, Outcome)] = &[
    // 3.1.1 Valid messages
    ("wsinv", "3.1.1.1", Accepted(wsinv)),
    ("intmeth", "3.1.1.2", Accepted(intmeth)),
    ("esc01", "3.1.1.3", Accepted(esc01)),
    ("escnull", "3.1.1.4", Accepted(escnull)),
    ("esc02", "3.1.1.5", Accepted(esc02)),
    ("lwsdisp", "3.1.1.6", Accepted(lwsdisp)),
    ("longreq", "3.1.1.7", Accepted(longreq)),
    ("dblreq", "3.1.1.8", Accepted(dblreq)),
    ("semiuri", "3.1.1.9", Accepted(semiuri)),
    ("transports", "3.1.1.10", Accepted(transports)),
    ("mpart01", "3.1.1.11", Accepted(mpart01)),
    ("unreason", "3.1.1.12", Accepted(unreason)),
    ("noreason", "3.1.1.13", Accepted(noreason)),
    // 3.1.2 Invalid messages
    ("badinv01", "3.1.2.1", Refused(400, "Malformed Via Header Field")),
    ("clerr", "3.1.2.2", Refused(400, "Body Shorter Than Content-Length")),
    ("ncl", "3.1.2.3", Refused(400, "Malformed Content-Length Header Field")),
    ("scalar02", "3.1.2.4", Refused(400, "Malformed CSeq Header Field")),
    ("scalarlg", "3.1.2.5", Discarded),
    ("quotbal", "3.1.2.6", Refused(400, "Malformed To Header Field")),
    // The brackets could be ignored; whoever sends them is asked not to.
    ("ltgtruri", "3.1.2.7", Refused(400, "Malformed Request-URI")),
    ("lwsruri", "3.1.2.8", Refused(400, "Malformed Request-Line")),
    // The blanks could be ignored; the request line is not guessed at.
    ("lwsstart", "3.1.2.9", Refused(400, "Malformed Request-Line")),
    ("trws", "3.1.2.10", Refused(400, "Malformed Request-Line")),
    ("escruri", "3.1.2.11", Refused(400, "Header Fields in Request-URI")),
    // The malformed Date may be ignored and is.
    ("baddate", "3.1.2.12", Accepted(baddate)),
    ("regbadct", "3.1.2.13", Refused(400, "Malformed Contact Header Field")),
    // Blanks inside the brackets may be ignored and are.
    ("badaspec", "3.1.2.14", Accepted(badaspec)),
    // Display names without the quotes they need may be taken and are.
    ("baddn", "3.1.2.15", Accepted(baddn)),
    ("badvers", "3.1.2.16", Refused(505, "Version Not Supported")),
    ("mismatch01", "3.1.2.17", Refused(400, "CSeq Method Does Not Match")),
    // 501 would do as well: the method is unknown.
    ("mismatch02", "3.1.2.18", Refused(400, "CSeq Method Does Not Match")),
    ("bigcode", "3.1.2.19", Unreadable(ParseError::StartLine)),
    // 3.2 Transaction layer semantics
    ("badbranch", "3.2.1", Refused(400, "Missing Transaction Identifier in Via Branch")),
    // 3.3 Application layer semantics
    ("insuf", "3.3.1", Refused(400, "Missing From Header Field")),
    ("unkscm", "3.3.2", Refused(416, "Unsupported URI Scheme")),
    ("novelsc", "3.3.3", Refused(416, "Unsupported URI Scheme")),
    // Unknown schemes in To and Contact are a registrar's business.
    ("unksm2", "3.3.4", Accepted(unksm2)),
    // 420 is due where extensions are known: above the message layer. So are 415, 406 and 401.
    ("bext01", "3.3.5", Accepted(bext01)),
    ("invut", "3.3.6", Accepted(invut)),
    ("regaut01", "3.3.7", Accepted(regaut01)),
    ("multi01", "3.3.8", Refused(400, "Repeated Header Field")),
    ("mcl01", "3.3.9", Refused(400, "Malformed Content-Length Header Field")),
    // The transaction layer discards it: the topmost Via is not one of ours.
    ("bcast", "3.3.10", Accepted(bcast)),
    // The target itself handles it, who passes it on answers 483.
    ("zeromf", "3.3.11", Accepted(zeromf)),
    ("cparam01", "3.3.12", Accepted(cparam01)),
    ("cparam02", "3.3.13", Accepted(cparam02)),
    ("regescrt", "3.3.14", Accepted(regescrt)),
    ("sdp01", "3.3.15", Accepted(sdp01)),
    // 3.4 Backward compatibility
    ("inv2543", "3.4.1", Accepted(inv2543)),
];

fn octets(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/vectors/sip/torture/{name}.dat", env!("CARGO_MANIFEST_DIR"));
    fs::read(path).unwrap()
}

fn uri<'a>(address: &NameAddr<'a>) -> &'a str {
    address.uri.as_str()
}

fn host(name: &str) -> Option<Host<'_>> {
    Some(Host::Name(name))
}

fn strings<'a>(values: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    values.collect()
}

fn wsinv(message: &Message) {
    assert_eq!(message.method(), Some(&Method::Invite));
    let target = Uri::parse(message.uri().unwrap()).unwrap();
    assert!(target.params.has("unknownparam"));
    let to = message.to().unwrap();
    assert_eq!((uri(&to), to.tag()), ("sip:vivekg@chair-dnrc.example.com", Some("1918181833n")));
    let from = message.from().unwrap();
    assert_eq!(from.display_name().as_deref(), Some(r#"J Rosenberg \""#));
    assert_eq!((uri(&from), from.tag()), ("sip:jdrosen@example.com", Some("98asjd8")));
    assert_eq!(message.max_forwards(), Ok(Some(68)));
    assert_eq!(message.cseq().unwrap().number, 9);
    assert_eq!(message.header(HeaderName::Subject), Some(""));
    assert_eq!(
        message.header_named("newfangledheader"),
        Some("newfangled value continued newfangled value")
    );
    assert_eq!(message.header_named("UnknownHeaderWithUnusualValue"), Some(";;,,;;,;"));
    let route = NameAddr::parse(message.header(HeaderName::Route).unwrap()).unwrap();
    assert!(route.uri.params.has("lr") && route.uri.params.has("unknown-no-value"));
    let vias: Vec<Via<'_>> =
        message.values(HeaderName::Via).map(|via| Via::parse(via).unwrap()).collect();
    let hops: Vec<_> = vias.iter().map(|via| (via.transport, via.branch().unwrap())).collect();
    assert_eq!(hops, [("UDP", "390skdjuw"), ("TCP", "z9hG4bK9ikj8"), ("UDP", "z9hG4bK30239")]);
    let contact = message.contact().unwrap().unwrap();
    assert_eq!(contact.display_name().as_deref(), Some("Quoted string \"\""));
    assert_eq!(contact.params.get("newparam"), Some("newvalue"));
    assert_eq!(
        (contact.params.get("secondparam"), contact.params.get("q")),
        (Some(""), Some("0.33"))
    );
    assert_eq!(message.body().len(), 150);
}

fn intmeth(message: &Message) {
    assert_eq!(message.method().unwrap().as_str(), "!interesting-Method0123456789_*+`.%indeed'~");
    assert!(!message.method().unwrap().is_known());
    let target = Uri::parse(message.uri().unwrap()).unwrap();
    assert_eq!(target.user, Some("1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"));
    assert_eq!(target.password, Some("&it+has=1,weird!*pas$wo~d_too.(doesn't-it)"));
    assert_eq!(target.host, host("example.com"));
    assert_eq!(message.via().unwrap().branch(), Some("z9hG4bK-.!%66*_+`'~"));
    let to = message.to().unwrap();
    assert_eq!(to.display_name().as_deref(), Some("BEL:\u{7} NUL:\0 DEL:\u{7f}"));
    let from = message.from().unwrap();
    assert_eq!(from.display, Some("token1~` token2'+_ token3*%!.-"));
    assert_eq!(from.params.get("fromParam''~+*_!.-%"), Some("работающий"));
    assert_eq!(from.tag(), Some("_token~1'+`*%!-."));
    assert_eq!(message.call_id(), Ok(r#"intmeth.word%ZK-!.*_+'@word`~)(><:\/"][?}{"#));
    assert_eq!(message.cseq().unwrap().number, 139_122_385);
    assert_eq!(message.max_forwards(), Ok(Some(255)));
    assert_eq!(message.header_named("extensionHeader-!.%*+_`'~"), Some("\u{feff}大停電"));
}

fn esc01(message: &Message) {
    let target = Uri::parse(message.uri().unwrap()).unwrap();
    assert_eq!(target.user_decoded().as_deref(), Some("sips:user@example.com"));
    assert_eq!((target.scheme, target.host), (Scheme::Sip, host("example.net")));
    let to = message.to().unwrap();
    assert_eq!(to.uri.user_decoded().as_deref(), Some("user"));
    assert!(to.uri.equivalent(&Uri::parse("sip:user@example.com").unwrap()));
    let from = message.from().unwrap();
    assert_eq!(from.uri.user_decoded().as_deref(), Some("I have spaces"));
    let contact = message.contact().unwrap().unwrap().uri;
    let same = "sip:caller@host5.example.net;lr;name=value%25%34%31";
    assert!(contact.equivalent(&Uri::parse(same).unwrap()));
}

fn escnull(message: &Message) {
    assert_eq!(message.to().unwrap().uri.user_decoded().as_deref(), Some("null-\0-null"));
    let contacts: Vec<_> =
        message.values(HeaderName::Contact).map(|one| NameAddr::parse(one).unwrap().uri).collect();
    let users: Vec<_> = contacts.iter().map(|one| one.user_decoded().unwrap()).collect();
    assert_eq!(users, ["\0", "\0\0"]);
    assert!(!contacts[0].equivalent(&contacts[1]));
}

fn esc02(message: &Message) {
    let method = Method::Other("RE%47IST%45R".into());
    assert_eq!(message.method(), Some(&method));
    assert_eq!(message.cseq().unwrap().method, method);
    assert_eq!(message.to().unwrap().display, Some("%Z%45"));
    assert_eq!(message.via().unwrap().branch(), Some("z9hG4bK209%fzsnel234"));
    let contacts = strings(message.values(HeaderName::Contact));
    assert_eq!(contacts, ["<sip:alias1@host1.example.com>", "<sip:alias3@host3.example.com>"]);
    assert_eq!(message.header_named("C%6Fntact"), Some("<sip:alias2@host2.example.com>"));
}

fn lwsdisp(message: &Message) {
    let from = message.from().unwrap();
    assert_eq!((from.display, uri(&from)), (Some("caller"), "sip:caller@example.com"));
    assert_eq!(from.tag(), Some("323"));
}

fn longreq(message: &Message) {
    let vias: Vec<_> =
        message.values(HeaderName::Via).map(|one| Via::parse(one).unwrap()).collect();
    assert_eq!(vias.len(), 34);
    assert_eq!(vias[0].host, Host::Name("sip33.example.com"));
    assert_eq!(vias[33].received(), "192.0.2.5".parse().ok());
    let name = |prefix: &str| format!("{prefix}{}", "name".repeat(25));
    let to = message.to().unwrap();
    assert_eq!(to.uri.params.get(&name("longparam")), Some("shortvalue"));
    assert_eq!(to.uri.port, Some(6000));
    assert_eq!(message.from().unwrap().tag().unwrap().len(), 2 + 150 + 3);
    assert_eq!(message.call_id().unwrap().len(), "longreq.onelongcallid".len() + 120);
    assert_eq!(message.body().len(), 150);
}

fn dblreq(message: &Message) {
    assert_eq!(message.method(), Some(&Method::Register));
    assert_eq!(message.body(), b"");
    assert!(message.bytes().ends_with(b"Content-Length: 0\r\n\r\n"));
}

fn semiuri(message: &Message) {
    let target = Uri::parse(message.uri().unwrap()).unwrap();
    assert_eq!(target.user_decoded().as_deref(), Some("user;par=u@example.net"));
    assert!(target.params.is_empty());
    assert_eq!(
        strings(message.values(HeaderName::Accept)),
        [
            "application/sdp",
            "application/pkcs7-mime",
            "multipart/mixed",
            "multipart/signed",
            "message/sip",
            "message/sipfrag"
        ]
    );
}

fn transports(message: &Message) {
    let transports: Vec<_> =
        message.values(HeaderName::Via).map(|one| Via::parse(one).unwrap().transport).collect();
    assert_eq!(transports, ["UDP", "SCTP", "TLS", "UNKNOWN", "TCP"]);
}

fn mpart01(message: &Message) {
    assert_eq!(message.method(), Some(&Method::Message));
    assert_eq!(message.via().unwrap().rport(), Some(None));
    assert_eq!(message.body().len(), 553);
    assert!(message.body().contains(&0));
    assert!(message.body().ends_with(b"\r\n--7a9cbec02ceef655--\r\n"));
}

fn unreason(message: &Message) {
    assert_eq!(message.status(), Some(200));
    assert_eq!(message.reason(), Some("= 2**3 * 5**2 но сто девяносто девять - простое"));
}

fn noreason(message: &Message) {
    assert_eq!((message.status(), message.reason()), (Some(100), Some("")));
}

fn baddate(message: &Message) {
    assert_eq!(message.header(HeaderName::Date), Some("Fri, 01 Jan 2010 16:00:00 EST"));
    assert_eq!(message.body().len(), 150);
}

fn badaspec(message: &Message) {
    let to = message.to().unwrap();
    assert_eq!((to.display, uri(&to)), (Some("Watson, Thomas"), "sip:t.watson@example.org"));
}

fn baddn(message: &Message) {
    let from = message.from().unwrap();
    assert_eq!((from.display, from.tag()), (Some("Bell, Alexander"), Some("43")));
    assert_eq!(message.to().unwrap().display, Some("Watson, Thomas"));
}

fn unksm2(message: &Message) {
    assert_eq!(message.to().unwrap().uri.scheme, Scheme::Other("isbn"));
    assert_eq!(uri(&message.from().unwrap()), "http://www.example.com");
    assert_eq!(uri(&message.contact().unwrap().unwrap()), "name:John_Smith");
}

fn bext01(message: &Message) {
    let required = strings(message.values(HeaderName::Require));
    assert_eq!(required, ["nothingSupportsThis", "nothingSupportsThisEither"]);
    assert_eq!(message.values(HeaderName::ProxyRequire).count(), 2);
}

fn invut(message: &Message) {
    assert_eq!(message.header(HeaderName::ContentType), Some("application/unknownformat"));
    assert_eq!(message.body().len(), 40);
}

fn regaut01(message: &Message) {
    let credentials = message.header(HeaderName::Authorization);
    assert_eq!(credentials, Some("NoOneKnowsThisScheme opaque-data=here"));
}

fn bcast(message: &Message) {
    assert_eq!(message.status(), Some(200));
    let second = message.values(HeaderName::Via).nth(1).unwrap();
    assert_eq!(Via::parse(second).unwrap().host.to_string(), "255.255.255.255");
}

fn zeromf(message: &Message) {
    assert_eq!(message.max_forwards(), Ok(Some(0)));
    assert_eq!(check_hops(message).unwrap_err().status, 483);
}

fn cparam01(message: &Message) {
    let contact = message.contact().unwrap().unwrap();
    assert_eq!(uri(&contact), "sip:+19725552222@gw1.example.net");
    assert!(contact.params.has("unknownparam"));
}

fn cparam02(message: &Message) {
    let contact = message.contact().unwrap().unwrap();
    assert!(contact.uri.params.has("unknownparam") && contact.params.is_empty());
}

fn regescrt(message: &Message) {
    let contact = message.contact().unwrap().unwrap();
    let headers: Vec<_> = contact.uri.header_fields().collect();
    assert_eq!(headers, [("Route", "%3Csip:sip.example.com%3E")]);
}

fn sdp01(message: &Message) {
    assert_eq!(message.header(HeaderName::Accept), Some("text/nobodyKnowsThis"));
}

fn inv2543(message: &Message) {
    assert_eq!(message.via().unwrap().branch(), None);
    let from = message.from().unwrap();
    assert_eq!((from.tag(), from.uri.params.get("user")), (None, Some("phone")));
    assert_eq!(message.to().unwrap().params.get("user"), Some("phone"));
    assert_eq!(message.max_forwards(), Ok(None));
    assert!(message.body().ends_with(b"m=audio 49217 RTP/AVP 0\r\n"));
}

/// Each message of the RFC meets its outcome, and a refused request can be answered.
#[test]
fn every_message() {
    for (name, section, outcome) in TABLE {
        println!("{name} ({section})");
        let parsed = Message::parse(Bytes::from(octets(name)));
        if let Unreadable(error) = outcome {
            assert_eq!(parsed.unwrap_err(), *error);
            continue;
        }
        let message = parsed.unwrap();
        let verdict = if message.is_request() {
            validate_request(&message)
        } else {
            validate_response(&message)
        };
        match outcome {
            Accepted(check) => {
                assert_eq!(verdict, Ok(()));
                check(&message);
            }
            Refused(status, reason) => {
                let refusal = verdict.unwrap_err();
                assert_eq!((refusal.status, refusal.reason), (*status, *reason));
                let bytes = ResponseBuilder::new(&message, *status, reason).try_build().unwrap();
                let response = Message::parse(bytes).unwrap();
                assert_eq!(response.status(), Some(*status));
                assert_eq!(response.header(HeaderName::Via), message.header(HeaderName::Via));
            }
            Discarded => assert!(!message.is_request() && verdict.is_err()),
            Unreadable(_) => unreachable!(),
        }
    }
}

/// The table and the files name the same messages, and there are as many as in the RFC.
#[test]
fn the_table_is_complete() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/sip/torture");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let named: BTreeSet<String> = TABLE.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(files, named);
    assert_eq!(named.len(), 49);
}

/// Every truncation of every message is refused, has a fault, or lost nothing but octets that do
/// not belong to the message; none panics.
#[test]
fn truncations() {
    for (name, ..) in TABLE {
        let whole = octets(name);
        let complete = Message::parse(Bytes::from(whole.clone())).ok();
        for length in 0..whole.len() {
            let cut = whole[..length].to_vec();
            fuzz::sip_message(&cut);
            let Ok(message) = Message::parse(Bytes::from(cut)) else { continue };
            let complete = complete.as_ref().unwrap();
            // Without Content-Length a datagram ends where it ends (inv2543).
            let open = complete.header(HeaderName::ContentLength).is_none();
            assert!(
                message.fault().is_some() || message.bytes() == complete.bytes() || open,
                "{name} cut to {length}"
            );
            if complete.fault().is_none() && message.fault() == Some(Fault::HeaderEnd) {
                assert!(message.body().is_empty(), "{name} cut to {length}");
            }
        }
    }
}

/// One stream carries all messages that a stream can carry, in any cut; those whose end cannot be
/// known end it with an error.
#[test]
fn as_a_stream() {
    // The second message of dblreq has a Content-Length that is three octets short.
    let unframed = ["dblreq", "clerr", "ncl", "mcl01", "inv2543"];
    let mut stream = vec![0];
    let mut expected = 0;
    for (name, _, outcome) in TABLE {
        if !unframed.contains(name) {
            stream.extend(octets(name));
            expected += usize::from(!matches!(outcome, Unreadable(_)));
        }
    }
    let mut decoder = StreamDecoder::new();
    decoder.push(&stream[1..]);
    let (mut messages, mut malformed) = (0, 0);
    while let Some(item) = decoder.next().unwrap() {
        match item {
            StreamItem::Message(_) => messages += 1,
            StreamItem::Malformed(_) => malformed += 1,
            StreamItem::Ping | StreamItem::Pong => {}
        }
    }
    assert_eq!((messages, malformed, decoder.buffered_bytes()), (expected, 1, 0));
    for size in [1, 2, 3, 7, 64, 255] {
        stream[0] = size;
        fuzz::sip_stream(&stream);
    }

    for (name, error) in [
        ("ncl", StreamError::ContentLength),
        ("mcl01", StreamError::ContentLength),
        ("inv2543", StreamError::NoContentLength),
    ] {
        let mut decoder = StreamDecoder::new();
        decoder.push(&octets(name));
        assert_eq!(decoder.next().unwrap_err(), error, "{name}");
    }
    let mut decoder = StreamDecoder::new();
    decoder.push(&octets("clerr"));
    assert!(decoder.next().unwrap().is_none(), "clerr waits for the rest of its body");
}
