use proptest::prelude::*;

use super::*;

fn pstn(text: &str, country: Option<&str>) -> Result<String, AddressError> {
    let address = Address::parse(text, country)?;
    assert_eq!(address.kind(), AddressKind::Pstn, "{text}");
    Ok(address.expose().to_owned())
}

/// Numbers as people and carriers write them come out as E.164 writes them.
#[test]
fn telephone_numbers() {
    for (country, text, expected) in [
        ("DE", "030 123456", "+4930123456"),
        ("de", "(030) 12-34-56", "+4930123456"),
        ("US", "(555) 123-4567", "+15551234567"),
        ("US", "1 212 555 0100", "+12125550100"),
        ("US", "011 44 20 7946 0000", "+442079460000"),
        ("IT", "06 1234567", "+39061234567"),
        ("RU", "8 495 123 45 67", "+74951234567"),
        ("HU", "06 1 234 5678", "+3612345678"),
        ("IN", "098765 43210", "+919876543210"),
        // Begins with the calling code of its own country and is a national number all the same.
        ("IN", "9198765432", "+919198765432"),
        ("GB", "020 7946 0000", "+442079460000"),
        ("JP", "03-1234-5678", "+81312345678"),
        ("JP", "010 44 20 7946 0000", "+442079460000"),
        ("AU", "02 9999 0000", "+61299990000"),
        ("DE", "0049 30 123456", "+4930123456"),
        ("FR", "01.23.45.67.89", "+33123456789"),
        ("ES", "912 345 678", "+34912345678"),
        // A number with + is what it says, whatever the country.
        ("US", "+49 30/123456", "+4930123456"),
    ] {
        assert_eq!(pstn(text, Some(country)).as_deref(), Ok(expected), "{country} {text}");
    }
    assert_eq!(pstn(" +1 (555) 123-4567 ", None).as_deref(), Ok("+15551234567"));
    assert_eq!(pstn("tel:+1-555-123-4567;phone-context=x", None).as_deref(), Ok("+15551234567"));
    let address = Address::international("14155550100").unwrap();
    assert_eq!((address.expose(), address.digits()), ("+14155550100", Some("14155550100")));
    assert_eq!(Address::international("anonymous").unwrap().digits(), None);
}

/// SIP URIs that RFC 3261 19.1.4 calls equal come out equal, as far as the letters of scheme, host
/// and parameters and the default port go.
#[test]
fn sip_uris() {
    for (text, expected) in [
        ("SIP:Alice@Example.COM:5060;Transport=TCP", "sip:Alice@example.com;transport=tcp"),
        ("sips:bob@example.com:5061", "sips:bob@example.com"),
        ("sip:bob@example.com:5061", "sip:bob@example.com:5061"),
        ("sip:example.com", "sip:example.com"),
        ("sip:+15551234567;ext=1@[2001:DB8::1]:5060", "sip:+15551234567;ext=1@[2001:db8::1]"),
        ("sip:a@192.0.2.1:5080?X-Tenant=Blue", "sip:a@192.0.2.1:5080?X-Tenant=Blue"),
    ] {
        let address = Address::parse(text, None).unwrap();
        assert_eq!((address.kind(), address.expose()), (AddressKind::SipUri, expected));
        assert_eq!(Address::parse(expected, None), Ok(address), "stable");
    }
}

/// Short numbers and names are extensions.
#[test]
fn extensions() {
    for (text, expected) in
        [("1000", "1000"), ("Sales", "sales"), ("*98", "*98"), ("12-34", "1234")]
    {
        let address = Address::parse(text, None).unwrap();
        assert_eq!((address.kind(), address.expose()), (AddressKind::SipExtension, expected));
    }
}

/// What is no address is refused with the reason, and the reason does not tell the text.
#[test]
fn refusals() {
    for (text, country, error) in [
        ("", None, AddressError::Empty),
        ("  ", None, AddressError::Empty),
        ("+123", None, AddressError::Digits),
        ("+1234567890123456", None, AddressError::Digits),
        ("+0123456789", None, AddressError::Digits),
        ("0227123456", None, AddressError::Ambiguous),
        ("0227123456", Some("XX"), AddressError::Country),
        ("1234", Some("US"), AddressError::National),
        ("12345678901234", Some("FR"), AddressError::National),
        ("a b", None, AddressError::Character),
        ("a\r\nVia: x", None, AddressError::Character),
        ("sip:", None, AddressError::SipUri),
        ("sip:@host", None, AddressError::SipUri),
        ("sip:a@host:99999", None, AddressError::SipUri),
        ("sip:a@[::1", None, AddressError::SipUri),
        ("sip:a b@host", None, AddressError::Character),
        ("sip:<a@host>", None, AddressError::Character),
    ] {
        assert_eq!(Address::parse(text, country), Err(error), "{text:?}");
    }
    assert_eq!(Address::parse(&"a".repeat(256), None), Err(AddressError::TooLong));
}

/// The plans are sorted, so that each is found, and cannot make numbers longer than E.164 allows
/// without that being noticed.
#[test]
fn every_plan_is_found() {
    for plan in REGIONS {
        assert_eq!(region(plan.code), Some(plan));
        assert!(plan.digits_min <= plan.digits_max && plan.calling_code > 0, "{plan:?}");
        // One must not be taken for the other.
        let (trunk, international) = (plan.trunk_prefix, plan.international_prefix);
        assert!(international.is_empty() || !trunk.starts_with(international), "{plan:?}");
    }
    assert_eq!(region("XX"), None);
    assert_eq!(region(""), None);
}

proptest! {
    /// No text makes the reader fail, and what it made reads as itself again, as long as it is no
    /// telephone number (whose form without + is another thing).
    #[test]
    fn normal_forms_are_stable(text in "\\PC{0,40}|sip:[ -~]{0,40}|\\+?[0-9 ()-]{0,20}") {
        for country in [None, Some("DE"), Some("US")] {
            if let Ok(address) = Address::parse(&text, country) {
                prop_assert_eq!(Address::parse(address.expose(), None), Ok(address));
            }
        }
    }
}
