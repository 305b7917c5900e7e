//! What may be asked for.

use uuid::Uuid;

use super::*;

fn read(kind: &str, to: &str, options: &[(&str, &str)]) -> Result<Wish, TransferError> {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    Wish::read(kind, to, options.iter().map(owned).collect(), Vec::new())
}

/// What may be asked for.
#[test]
fn wishes() {
    let to = |kind: &str, destination: &str, options: &[(&str, &str)]| {
        read(kind, destination, options).unwrap().to
    };
    let uri = |text: &str| Destination::Uri(text.into());
    assert_eq!(to("blind", "sip:desk@example.org", &[]), uri("sip:desk@example.org"));
    assert_eq!(to("blind", "tel:+4930123", &[("x", "y")]), uri("tel:+4930123"));
    assert_eq!(to("blind", "+4930123", &[]), Destination::User("+4930123".into()));
    assert_eq!(to("blind", "#9", &[]), Destination::User("%239".into()));
    assert_eq!(to("blind", "group:A+B_1", &[]), Destination::Group("A+B_1".into()));
    let id = Uuid::from_u128(7);
    let text = id.to_string();
    let attended = read("attended", "", &[("call_id", &text), ("timeout_s", "30")]).unwrap();
    assert_eq!((attended.to, attended.limit), (Destination::Call(id), s(30)));
    assert_eq!(attended.aim.other_call, Some(id));
    let leg = |to: &str, trunk: Option<&str>, from: Option<&str>| {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        LegWish { to: to.to_owned(), trunk: owned(trunk), from: owned(from) }
    };
    let bridged = read("bridge", "#9", &[]).unwrap();
    let expected = Destination::Bridge(leg("#9", None, None));
    assert_eq!(bridged.to, expected, "a trunk writes the number itself");
    assert_eq!(bridged.limit, BRIDGE_LIMIT);
    let options = [("timeout_s", "20"), ("trunk", "out"), ("from", "+49")];
    let bridged = read("bridge", "sip:a@b", &options).unwrap();
    assert_eq!(bridged.to, Destination::Bridge(leg("sip:a@b", Some("out"), Some("+49"))));
    assert!(!format!("{bridged:?}").contains("+49"), "{bridged:?}");
    let options = [("accept_digit", "1"), ("decline_digit", "#"), ("whisper", "briefing")];
    let accept = Accept { digit: Some('1'), decline: Some('#'), limit: ACCEPT_LIMIT };
    let whisper = Whisper::Sound("briefing".into());
    let expected = Destination::Warm { leg: leg("+49", None, None), whisper, accept, holds: true };
    assert_eq!(to("warm", "+49", &options), expected);
    let secret = [("whisper", "https://a/b.wav?key=secret"), ("hold", "false")];
    let wish = read("warm", "+49", &secret).unwrap();
    assert!(matches!(wish.to, Destination::Warm { whisper: Whisper::Url(_), holds: false, .. }));
    assert_eq!(wish.aim.options, [("hold".to_owned(), "false".to_owned())], "no secret is kept");
    assert!(!format!("{wish:?}").contains("secret"));
    let options = [("variable.ticket", "7"), ("timeout_s", "9")];
    let variables = vec![("ticket".to_owned(), "7".to_owned())];
    let expected = Destination::Agent { name: "sales".into(), variables };
    assert_eq!(to("agent", "sales", &options), expected);
    let expected = Destination::Agent { name: "queue:sales".into(), variables: Vec::new() };
    assert_eq!(to("agent", "queue:sales", &[]), expected);
    assert_eq!(read("agent", "queue:", &[]), Err(TransferError::Agent));
    assert_eq!(read("agent", "queue:a/1", &[]), Err(TransferError::Agent));
    for kind in Kind::ALL {
        assert_eq!(Kind::from_word(kind.as_str()), Some(kind));
        // Whom the peer calls talks with the peer alone.
        let stays = [("call_id", text.as_str()), ("stay", "listen")];
        let expected = if kind.is_asked() { Stay::No } else { Stay::Listen };
        assert_eq!(read(kind.as_str(), "a", &stays).unwrap().stay, expected, "{kind:?}");
        assert_eq!(read(kind.as_str(), "a", &stays[..1]).unwrap().stay, Stay::No);
    }
    for stay in Stay::ALL {
        assert_eq!(Stay::from_word(stay.as_str()), Some(stay));
        assert_eq!(stay.makes_three(), stay != Stay::No);
    }
}

/// What may not be asked for, and what is said of it.
#[test]
fn wishes_that_are_wrong() {
    for (kind, destination, options, error) in [
        ("bridge", "", &[][..], TransferError::Destination),
        ("bridge", "a b", &[], TransferError::Destination),
        ("bridge", "a", &[("timeout_s", "0")], TransferError::Timeout),
        ("hot", "a", &[], TransferError::Kind),
        ("cancel", "", &[], TransferError::Kind),
        ("warm", "a b", &[], TransferError::Destination),
        ("warm", "a", &[("accept_digit", "12")], TransferError::Digit),
        ("warm", "a", &[("accept_digit", "x")], TransferError::Digit),
        ("warm", "a", &[("accept_digit", "1"), ("decline_digit", "1")], TransferError::Digit),
        ("warm", "a", &[("accept_timeout_s", "601")], TransferError::Timeout),
        ("warm", "a", &[("whisper", "../etc/passwd")], TransferError::Whisper),
        ("warm", "a", &[("whisper", "..")], TransferError::Whisper),
        ("warm", "a", &[("whisper", "file:///a")], TransferError::Whisper),
        ("warm", "a", &[("hold", "maybe")], TransferError::Hold),
        ("agent", "", &[], TransferError::Agent),
        ("bridge", "a", &[("stay", "yes")], TransferError::Stay),
        ("agent", "a", &[("stay", "")], TransferError::Stay),
        ("leave", "", &[], TransferError::Kind),
        ("agent", "a b", &[], TransferError::Agent),
        ("blind", "", &[], TransferError::Destination),
        ("blind", "a b", &[], TransferError::Destination),
        ("blind", "http://a", &[], TransferError::Destination),
        ("blind", "group:", &[], TransferError::Destination),
        ("blind", "group:a b", &[], TransferError::Destination),
        ("bridge", "group:a", &[], TransferError::Destination),
        ("blind", "sip:", &[], TransferError::Destination),
        ("blind", "sip:a@b?Replaces=1", &[], TransferError::Destination),
        ("blind", "sip:a@b>\r\nX: y", &[], TransferError::Destination),
        ("attended", "", &[], TransferError::CallId),
        ("attended", "", &[("call_id", "7")], TransferError::CallId),
        ("blind", "a", &[("timeout_s", "0")], TransferError::Timeout),
        ("blind", "a", &[("timeout_s", "601")], TransferError::Timeout),
        ("blind", "a", &[("timeout_s", "x")], TransferError::Timeout),
    ] {
        assert_eq!(read(kind, destination, options), Err(error), "{kind} {destination}");
    }
    assert_eq!(format!("{:?}", Destination::User("+49".into())), "User");
}
