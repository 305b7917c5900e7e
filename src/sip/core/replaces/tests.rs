//! The examples of RFC 3891 and what is wrong with others.

use proptest::prelude::*;

use super::*;

/// The examples of RFC 3891 6.1, in any order and case.
#[test]
fn reads_the_examples_of_the_rfc() {
    let plain = "98732@sip.example.com\r\n ;from-tag=r33th4x0r\r\n ;to-tag=ff87ff";
    let plain = plain.replace("\r\n", "");
    let expected = Replaces {
        call_id: "98732@sip.example.com",
        to_tag: "ff87ff",
        from_tag: "r33th4x0r",
        early_only: false,
    };
    assert_eq!(Replaces::parse(&plain), Ok(expected));
    let early = "12adf2f34456gs5;to-tag=12345;from-tag=54321;Early-Only;x=y";
    let read = Replaces::parse(early).unwrap();
    assert!(read.early_only);
    assert_eq!(read.to_string(), "12adf2f34456gs5;to-tag=12345;from-tag=54321;early-only");
    assert_eq!(
        Replaces::parse("87134@171.161.34.23;to-tag=24796;from-tag=0").unwrap().from_tag,
        "0"
    );
}

/// Each fault has its name.
#[test]
fn refuses_what_is_malformed() {
    for (text, fault) in [
        ("", ReplacesError::CallId),
        (";to-tag=1;from-tag=2", ReplacesError::CallId),
        ("a b;to-tag=1;from-tag=2", ReplacesError::CallId),
        ("a", ReplacesError::Tags),
        ("a;to-tag=1", ReplacesError::Tags),
        ("a;from-tag=1", ReplacesError::Tags),
        ("a;to-tag=1;from-tag=2;to-tag=1", ReplacesError::Tags),
        ("a;to-tag;from-tag=2", ReplacesError::Tags),
        ("a;to-tag=;from-tag=2", ReplacesError::Tags),
        ("a;to-tag=1 2;from-tag=2", ReplacesError::Tags),
    ] {
        assert_eq!(Replaces::parse(text), Err(fault), "{text}");
    }
}

proptest! {
    /// What is written is read back; nothing that is read panics.
    #[test]
    fn round_trip(id in "[a-zA-Z0-9.!%*_+`'~()<>:/?{}-]{1,40}(@[a-z0-9.-]{1,20})?",
                  to in "[a-zA-Z0-9.!%*_+`'~-]{1,20}", from in "[a-zA-Z0-9.-]{1,20}",
                  early_only: bool, noise in ".{0,60}") {
        let _ = Replaces::parse(&noise);
        let text = Replaces { call_id: &id, to_tag: &to, from_tag: &from, early_only }.to_string();
        let read = Replaces::parse(&text).unwrap();
        prop_assert_eq!((read.call_id, read.to_tag, read.from_tag), (&*id, &*to, &*from));
        prop_assert_eq!(read.early_only, early_only);
    }
}
