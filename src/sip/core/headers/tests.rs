use std::net::IpAddr;

use proptest::prelude::*;

use super::super::lex::Syntax;
use super::super::method::Method;
use super::super::uri::Host;
use super::*;

/// Every name is found in any case, every compact form means its field, nothing else does.
#[test]
fn names() {
    for name in HeaderName::all() {
        let text = name.as_str();
        assert_eq!(HeaderName::from_name(text), Some(name));
        assert_eq!(HeaderName::from_name(&text.to_ascii_uppercase()), Some(name));
        assert_eq!(HeaderName::from_name(&text.to_ascii_lowercase()), Some(name));
        assert_eq!(HeaderName::from_name(&format!("{text}x")), None);
    }
    let compact: String = ('a'..='z')
        .filter(|&letter| {
            let name = HeaderName::from_name(&letter.to_string());
            name.is_some_and(|name| name.compact() == Some(letter))
        })
        .collect();
    assert_eq!(compact, "abcdefijklmnorstuvxy");
    assert_eq!(HeaderName::from_name("V"), Some(HeaderName::Via));
    for none in ["", "g", "@", "[", "é", "Vi", "Viaa", "C%6Fntact", &"x".repeat(300)] {
        assert_eq!(HeaderName::from_name(none), None, "{none}");
    }
}

/// CSeq takes leading zeros and any method, and refuses 2^31 (RFC 3261 section 8.1.1.5).
#[test]
fn cseq() {
    let read = |text| CSeq::parse(text).map(|cseq| (cseq.number, cseq.method));
    assert_eq!(read("0009   INVITE"), Ok((9, Method::Invite)));
    assert_eq!(read("2147483647 X"), Ok((2_147_483_647, Method::Other("X".into()))));
    assert_eq!(read("2147483648 INVITE"), Err(Syntax::Number));
    assert_eq!(read("36893488147419103232 INVITE"), Err(Syntax::Number));
    for text in ["", "1", "INVITE", "-1 INVITE", "1.5 INVITE"] {
        assert_eq!(read(text), Err(Syntax::Number), "{text}");
    }
    for text in ["1 ", "1 INVITE ACK", "1 IN,VITE"] {
        assert_eq!(read(text), Err(Syntax::Token), "{text}");
    }
}

/// The forms of an address (RFC 3261 section 20.10): where the display name ends and to whom the
/// parameters belong.
#[test]
fn addresses() {
    let cases = [
        (r#""J \"R\"" <sip:j@h;lr>;tag=1"#, Some(r#"J "R""#), "sip:j@h;lr", Some("1")),
        ("J Rosenberg<sip:j@h>;tag=1", Some("J Rosenberg"), "sip:j@h", Some("1")),
        ("sip:j@h;user=phone;tag=1", None, "sip:j@h", Some("1")),
        ("<sip:j@h;tag=1>", None, "sip:j@h;tag=1", None),
        (r#""" <sip:j@h> ; tag = 1"#, None, "sip:j@h", Some("1")),
        ("Bell, Alexander <sip:a@h>", Some("Bell, Alexander"), "sip:a@h", None),
        ("\"a\" < sip:a@h >", Some("a"), "sip:a@h", None),
        ("Zoë <sip:z@h>", Some("Zoë"), "sip:z@h", None),
        (r#""a<b>c" <sip:z@h>"#, Some("a<b>c"), "sip:z@h", None),
        ("tel:+15550100;tag=1", None, "tel:+15550100", Some("1")),
        ("<sip:a@h?Route=%3Csip:b%3E>;tag=", None, "sip:a@h?Route=%3Csip:b%3E", None),
        ("<sip:a@h>;x=\"p;q=r\";tag=7", None, "sip:a@h", Some("7")),
        ("<sip:a@[::1]:5070>;TAG=7", None, "sip:a@[::1]:5070", Some("7")),
    ];
    for (text, display, uri, tag) in cases {
        let address = NameAddr::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(address.display_name().as_deref(), display, "{text}");
        assert_eq!(address.uri.as_str(), uri, "{text}");
        assert_eq!(address.tag(), tag, "{text}");
    }
}

/// Malformed addresses are refused, each for its own reason.
#[test]
fn malformed_addresses() {
    let cases = [
        ("", Syntax::Empty),
        ("  ", Syntax::Empty),
        ("*", Syntax::Uri),
        ("\"open <sip:a@h>", Syntax::Quote),
        ("a \"b\" <sip:a@h>", Syntax::Quote),
        ("\"a\" sip:a@h", Syntax::Bracket),
        ("\"a\"", Syntax::Bracket),
        ("<sip:a@h", Syntax::Bracket),
        ("sip:a@h>", Syntax::Bracket),
        ("sip:a@h?x=y", Syntax::Bracket),
        ("sip:a@h, sip:b@h", Syntax::Bracket),
        ("<>", Syntax::Uri),
        ("<sip:a@h> x", Syntax::Trailing),
        ("<sip:a@h>;;", Syntax::Param),
        ("<sip:a@h>;", Syntax::Param),
        ("<sip:a@h>;=x", Syntax::Param),
        ("<sip:a@h>;a b", Syntax::Param),
        ("<sip:a@h>;a=b c", Syntax::Param),
        ("<sip:a@h>;a=\"b\"c", Syntax::Param),
        ("<sip:a@h>;a=\"b", Syntax::Quote),
        ("<sip:a@h>,<sip:b@h>", Syntax::Trailing),
    ];
    for (text, cause) in cases {
        assert_eq!(NameAddr::parse(text), Err(cause), "{text}");
    }
}

/// A Via with everything, blanks and IPv6 included (RFC 3261 section 20.42, RFC 3581, RFC 5118).
#[test]
fn via() {
    let text = "SIP / 2.0 /  TCP   [2001:db8::9] : 5070 ; branch = z9hG4bKx;rport=5071;ttl=16\
                ;received=[2001:db8::1];maddr=224.0.1.75";
    let via = Via::parse(text).unwrap();
    assert_eq!(via.transport, "TCP");
    assert_eq!(via.host, Host::V6("2001:db8::9".parse().unwrap()));
    assert_eq!(via.port, Some(5070));
    assert_eq!(via.branch(), Some("z9hG4bKx"));
    assert!(via.has_unique_branch());
    assert_eq!(via.rport(), Some(Some(5071)));
    assert_eq!(via.ttl(), Some(16));
    assert_eq!(via.received(), "2001:db8::1".parse::<IpAddr>().ok());
    assert_eq!(via.maddr(), Some("224.0.1.75"));

    let via = Via::parse("sip/2.0/udp pc33;rport;received=2001:db8::1;branch=z9hG4bK").unwrap();
    assert_eq!((via.host, via.port), (Host::Name("pc33"), None));
    assert_eq!(via.rport(), Some(None));
    assert_eq!(via.received(), "2001:db8::1".parse::<IpAddr>().ok());
    assert!(!via.has_unique_branch());
    assert_eq!((via.ttl(), via.maddr()), (None, None));
}

/// Malformed Via values are refused.
#[test]
fn malformed_vias() {
    let cases = [
        ("", Syntax::Protocol),
        ("SIP/2.0", Syntax::Protocol),
        ("SIP/7.0/UDP h", Syntax::Protocol),
        ("HTTP/2.0/TCP h", Syntax::Protocol),
        ("SIP/2.0/UDP", Syntax::Host),
        ("SIP/2.0/UDP ", Syntax::Host),
        ("SIP/2.0/UDP ;branch=x", Syntax::Host),
        ("SIP/2.0/U,P h", Syntax::Token),
        ("SIP/2.0/UDP h:x", Syntax::Host),
        ("SIP/2.0/UDP h:99999", Syntax::Host),
        ("SIP/2.0/UDP 2001:db8::9", Syntax::Host),
        ("SIP/2.0/UDP h;;branch=x", Syntax::Param),
        ("SIP/2.0/UDP h;branch=x y", Syntax::Param),
        ("SIP/2.0/UDP h h2;branch=x", Syntax::Host),
    ];
    for (text, cause) in cases {
        assert_eq!(Via::parse(text), Err(cause), "{text}");
    }
}

/// Parameters are found by name in any case, the first one counts, quotes are taken off.
#[test]
fn params() {
    let params = Params::parse("; a = 1 ;B=\"x;y\";flag;a=2").unwrap();
    assert_eq!(params.get("A"), Some("1"));
    assert_eq!(params.get("b"), Some("x;y"));
    assert_eq!(params.get("flag"), Some(""));
    assert!(params.has("FLAG") && !params.has("fla"));
    assert_eq!(params.iter().count(), 4);
    assert!(Params::parse("").unwrap().is_empty());
    assert_eq!(Params::parse("x"), Err(Syntax::Param));
}

proptest! {
    /// What is written as an address is read as the same parts.
    #[test]
    fn address_round_trip(
        display in "[ -~]{1,20}",
        user in "[a-z0-9.!~*'()&=+$,;?/_-]{1,12}",
        host in "[a-z][a-z0-9-]{0,8}(\\.[a-z]{2,5})?",
        tag in "[A-Za-z0-9.!%*_+`'~-]{1,16}",
    ) {
        let escaped = display.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!("\"{escaped}\" <sip:{user}@{host};lr>;tag={tag}");
        let address = NameAddr::parse(&text).unwrap();
        prop_assert_eq!(address.display_name().unwrap(), display);
        prop_assert_eq!(address.uri.user, Some(user.as_str()));
        prop_assert_eq!(address.uri.host, Some(Host::Name(&host)));
        prop_assert_eq!(address.tag(), Some(tag.as_str()));
    }

    /// No text makes a view panic, and what a view accepts it can also walk through.
    #[test]
    fn any_text(text in "[ -~\t\u{e9}]{0,48}") {
        if let Ok(params) = Params::parse(&text) {
            prop_assert!(params.iter().all(|(name, _)| !name.is_empty()));
        }
        let _ = (NameAddr::parse(&text), Via::parse(&text), CSeq::parse(&text));
    }
}
