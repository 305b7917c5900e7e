use proptest::prelude::*;

use super::*;

fn uri(text: &str) -> Uri<'_> {
    Uri::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Every part of a full SIP URI lands in its field (RFC 3261 section 19.1.1).
#[test]
fn full_sip_uri() {
    let uri =
        uri("sips:alice:secret@[2001:db8::9]:5071;transport=tcp;lr?subject=project&priority=");
    assert_eq!(uri.scheme, Scheme::Sips);
    assert_eq!(uri.user, Some("alice"));
    assert_eq!(uri.password, Some("secret"));
    assert_eq!(uri.host, Some(Host::V6("2001:db8::9".parse().unwrap())));
    assert_eq!(uri.port, Some(5071));
    assert_eq!(uri.params.get("Transport"), Some("tcp"));
    assert!(uri.params.has("lr"));
    let headers: Vec<_> = uri.header_fields().collect();
    assert_eq!(headers, [("subject", "project"), ("priority", "")]);
}

/// Hosts are told apart: address, name that begins like an address, name with underscore.
#[test]
fn hosts() {
    assert_eq!(uri("sip:192.0.2.1").host, Some(Host::V4(Ipv4Addr::new(192, 0, 2, 1))));
    assert_eq!(uri("sip:1.example.com").host, Some(Host::Name("1.example.com")));
    assert_eq!(uri("sip:sbc_1.example.com").host, Some(Host::Name("sbc_1.example.com")));
    assert_eq!(Host::V6(Ipv6Addr::LOCALHOST).to_string(), "[::1]");
}

/// A user may hold what looks like parameters, headers or a colon (RFC 4475 sections 3.1.1.2 and
/// 3.1.1.9); telephones send `#` without escaping it.
#[test]
fn users() {
    assert_eq!(
        uri("sip:user;par=u%40example.net@example.com").user,
        Some("user;par=u%40example.net")
    );
    assert_eq!(uri("sip:*72#@example.com").user, Some("*72#"));
    assert_eq!(uri("sip:a?b@example.com").headers, None);
    assert_eq!(uri("sip:I%20have%20spaces@h").user_decoded().as_deref(), Some("I have spaces"));
    assert_eq!(uri("sip:%ff@h").user_decoded().as_deref(), Some("\u{fffd}"));
}

/// `tel:` URIs keep number and parameters (RFC 3966); other schemes keep their text.
#[test]
fn other_schemes() {
    let number = uri("tel:+1-201-555-0123;phone-context=example.com");
    assert_eq!(number.scheme, Scheme::Tel);
    assert_eq!(number.user, Some("+1-201-555-0123"));
    assert_eq!(number.params.get("phone-context"), Some("example.com"));
    assert_eq!(uri("TEL:*31#").user, Some("*31#"));
    let other = uri("isbn:2983792873");
    assert_eq!(other.scheme, Scheme::Other("isbn"));
    assert_eq!(other.as_str(), "isbn:2983792873");
}

/// Each malformed URI is refused for its own reason.
#[test]
fn refusals() {
    let cases = [
        ("", UriError::Scheme),
        ("alice", UriError::Scheme),
        (":x", UriError::Scheme),
        ("1sip:x", UriError::Scheme),
        ("s p:x", UriError::Scheme),
        ("sip:", UriError::Host),
        ("sip:@example.com", UriError::User),
        ("sip:a@b@c", UriError::User),
        ("sip:a@", UriError::Host),
        ("sip:a@h:", UriError::Host),
        ("sip:a@h:65536", UriError::Host),
        ("sip:a@h:+1", UriError::Host),
        ("sip:a@2001:db8::1", UriError::Host),
        ("sip:a@[2001:db8::1", UriError::Host),
        ("sip:a@[192.0.2.1]", UriError::Host),
        ("sip:a@h ;lr", UriError::Character),
        ("sip:a@h>", UriError::Character),
        ("sip:\"a\"@h", UriError::Character),
        ("sip:a@h;;lr", UriError::Param),
        ("sip:a@h;", UriError::Param),
        ("sip:a@h;=x", UriError::Param),
        ("sip:%4@h", UriError::Escape),
        ("sip:%zz@h", UriError::Escape),
        ("tel:", UriError::Number),
        ("tel:+", UriError::Number),
        ("tel:()", UriError::Number),
        ("tel:call-me", UriError::Number),
        ("isbn:", UriError::Host),
    ];
    for (text, error) in cases {
        assert_eq!(Uri::parse(text), Err(error), "{text:?}");
    }
}

/// The examples of RFC 3261 section 19.1.4 and RFC 3966 section 5, in both directions.
#[test]
fn equivalence() {
    let same = [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        (
            "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
            "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
        ),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("tel:+1-201-555-0123", "tel:+1(201)5550123"),
        ("tel:123;phone-context=A.b;x=1", "TEL:1.23;x=1;Phone-Context=a.B"),
        ("ISBN:1", "isbn:1"),
    ];
    let different = [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=off", "sip:carol@chicago.com;security=on"),
        ("sip:a@h", "sips:a@h"),
        ("sip:a@h", "sip:h"),
        ("sip:a%3Bb@h", "sip:a;b@h"),
        ("tel:+123", "tel:123"),
        ("tel:123", "tel:123;phone-context=+1"),
        ("isbn:1", "isbn:2"),
    ];
    for (cases, expected) in [(&same[..], true), (&different[..], false)] {
        for (one, two) in cases {
            assert_eq!(uri(one).equivalent(&uri(two)), expected, "{one} {two}");
            assert_eq!(uri(two).equivalent(&uri(one)), expected, "{two} {one}");
        }
    }
}

/// What `Debug` prints of a URI holds neither user nor password nor parameters.
#[test]
fn debug_is_discreet() {
    let shown = format!("{:?}", uri("sip:+15550100:hunter2@example.com;key=value?x=y"));
    for secret in ["15550100", "hunter2", "key", "value", "x=y"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

proptest! {
    /// Parsing any text neither panics nor finds parts that are not in the text, and a URI is
    /// equivalent to itself.
    #[test]
    fn any_text(text in "(sips?:|tel:|x:)?[ -~\u{e9}]{0,40}") {
        if let Ok(uri) = Uri::parse(&text) {
            prop_assert_eq!(uri.as_str(), &text);
            prop_assert!(uri.equivalent(&uri));
            for part in [uri.user, uri.password, uri.headers].into_iter().flatten() {
                prop_assert!(text.contains(part));
            }
        }
    }
}
