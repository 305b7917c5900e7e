use proptest::prelude::*;

use super::*;

const ALL: &[(Transport, bool)] = &[
    (Transport::Udp, true),
    (Transport::Tcp, true),
    (Transport::Tls, true),
    (Transport::Udp, false),
    (Transport::Tcp, false),
    (Transport::Tls, false),
];

/// Records by question: name, kind and text of each.
fn zone(question: &Question) -> Answer {
    let ip = |text: &str| text.parse().unwrap();
    let naptr = |order, preference, service: &str, replacement: &str| Naptr {
        order,
        preference,
        flags: "s".into(),
        service: service.into(),
        replacement: replacement.into(),
    };
    let srv = |priority, weight, port, target: &str| Srv {
        priority,
        weight,
        port,
        target: target.into(),
    };
    match question {
        Question::Naptr(name) => Answer::Naptr(match name.as_str() {
            "full.example" => vec![
                naptr(90, 50, "SIP+D2T", "_sip._tcp.full.example"),
                naptr(50, 50, "SIPS+D2T", "_sips._tcp.full.example"),
                naptr(90, 10, "SIP+D2U", "_sip._udp.full.example"),
                naptr(10, 10, "E2U+email", "mail.full.example"),
            ],
            _ => vec![],
        }),
        Question::Srv(name) => Answer::Srv(match name.as_str() {
            "_sips._tcp.full.example" => vec![srv(10, 0, 5061, "a.full.example")],
            "_sip._udp.full.example" => {
                vec![srv(20, 0, 5060, "b.full.example"), srv(10, 0, 5070, "a.full.example")]
            }
            "_sip._tcp.full.example" => vec![srv(10, 0, 5060, "b.full.example")],
            "_sip._tcp.some.example" => vec![srv(10, 0, 5080, "a.full.example")],
            "_sip._udp.none.example" => vec![srv(0, 0, 0, ".")],
            _ => vec![],
        }),
        Question::Addresses(name) => Answer::Addresses(match name.as_str() {
            "a.full.example" => vec![ip("192.0.2.1"), ip("2001:db8::1")],
            "b.full.example" => vec![ip("192.0.2.2")],
            "plain.example" | "none.example" | "some.example" => vec![ip("192.0.2.9")],
            _ => vec![],
        }),
    }
}

fn locate(uri: &str, able: &[(Transport, bool)]) -> Result<Vec<String>, LocateError> {
    let mut locator = Locator::new(&Uri::parse(uri).unwrap(), able)?;
    while let Some(question) = locator.question() {
        locator.answer(zone(&question), |_| 0);
    }
    let shown = |t: Target| format!("{} {}", t.transport.as_str(), t.peer);
    Ok(locator.into_targets().into_iter().map(shown).collect())
}

/// RFC 3263 4.1 and 4.2, case by case.
#[test]
fn servers_are_found_as_the_rfc_says() {
    let cases: &[(&str, &[&str])] = &[
        ("sip:a@192.0.2.7", &["UDP 192.0.2.7:5060"]),
        ("sip:a@192.0.2.7:99;transport=tcp", &["TCP 192.0.2.7:99"]),
        ("sips:a@[2001:db8::7]", &["TLS [2001:db8::7]:5061"]),
        // A port: no NAPTR, no SRV.
        ("sip:a@a.full.example:5090", &["UDP 192.0.2.1:5090", "UDP [2001:db8::1]:5090"]),
        ("sips:a@b.full.example:5090", &["TLS 192.0.2.2:5090"]),
        // A transport: SRV, without NAPTR.
        (
            "sip:a@full.example;transport=udp",
            &["UDP 192.0.2.1:5070", "UDP [2001:db8::1]:5070", "UDP 192.0.2.2:5060"],
        ),
        ("sip:a@plain.example;transport=tls", &["TLS 192.0.2.9:5061"]),
        // Neither: NAPTR.
        (
            "sip:a@full.example",
            &[
                "TLS 192.0.2.1:5061",
                "TLS [2001:db8::1]:5061",
                "UDP 192.0.2.1:5070",
                "UDP [2001:db8::1]:5070",
                "UDP 192.0.2.2:5060",
                "TCP 192.0.2.2:5060",
            ],
        ),
        // `sips:` takes what is secure alone.
        ("sips:a@full.example", &["TLS 192.0.2.1:5061", "TLS [2001:db8::1]:5061"]),
        // No NAPTR: SRV of each transport. No SRV: addresses.
        ("sip:a@some.example", &["TCP 192.0.2.1:5080", "TCP [2001:db8::1]:5080"]),
        ("sip:a@plain.example", &["UDP 192.0.2.9:5060"]),
        ("sips:a@plain.example", &["TLS 192.0.2.9:5061"]),
        ("sip:a@nowhere.example", &[]),
    ];
    for (uri, expected) in cases {
        assert_eq!(locate(uri, ALL).unwrap(), *expected, "{uri}");
    }
}

/// What we have no socket for is not tried.
#[test]
fn only_what_can_be_sent_by_is_tried() {
    let udp4 = &[(Transport::Udp, true)][..];
    let found = locate("sip:a@full.example", udp4).unwrap();
    assert_eq!(found, ["UDP 192.0.2.1:5070", "UDP 192.0.2.2:5060"]);
    let tls = LocateError::Disabled(Transport::Tls);
    assert_eq!(locate("sips:a@full.example", udp4), Err(tls.clone()));
    assert_eq!(locate("sip:a@192.0.2.1;transport=tls", udp4), Err(tls));
    let v6 = Err(LocateError::Disabled(Transport::Udp));
    assert_eq!(locate("sip:a@[2001:db8::1]", udp4), v6);
    let ws = Err(LocateError::Disabled(Transport::Ws));
    assert_eq!(locate("sip:a@192.0.2.1;transport=ws", ALL), ws);
    let web = &[(Transport::Udp, true), (Transport::Ws, true), (Transport::Wss, true)][..];
    assert_eq!(locate("sip:a@192.0.2.1;transport=ws", web).unwrap(), ["WS 192.0.2.1:80"]);
    assert_eq!(locate("sips:a@plain.example;transport=ws", web).unwrap(), ["WSS 192.0.2.9:443"]);
    assert_eq!(
        locate("sip:a@plain.example:8088;transport=ws", web).unwrap(),
        ["WS 192.0.2.9:8088"]
    );
    assert_eq!(locate("tel:+1", ALL), Err(LocateError::Uri));
}

/// A record of weight 3 comes first three times as often as one of weight 1, and one without
/// weight hardly ever (RFC 2782).
#[test]
fn weights_are_kept_to() {
    let record = |weight| Srv { priority: 1, weight, port: 1, target: weight.to_string() };
    let mut rng = fastrand::Rng::with_seed(7);
    let mut first = [0; 4];
    for _ in 0..40_000 {
        let ordered = order(vec![record(1), record(0), record(3)], |max| rng.u32(0..=max));
        first[usize::from(ordered[0].weight)] += 1;
    }
    // Drawn from 0..=4: 0 takes the one without weight, 1 the next, 2 to 4 the last.
    assert!((7_500..8_500).contains(&first[0]), "{first:?}");
    assert!((7_500..8_500).contains(&first[1]), "{first:?}");
    assert!((23_000..25_000).contains(&first[3]), "{first:?}");
}

proptest! {
    /// Ordering loses and invents nothing, and a lower priority always comes first.
    #[test]
    fn ordering_is_a_permutation_by_priority(
        records in proptest::collection::vec((0_u16..4, 0_u16..4, any::<u16>()), 0..12),
        seed in any::<u64>(),
    ) {
        let records: Vec<Srv> = records
            .into_iter()
            .map(|(priority, weight, port)| Srv { priority, weight, port, target: "t".into() })
            .collect();
        let mut rng = fastrand::Rng::with_seed(seed);
        let ordered = order(records.clone(), |max| rng.u32(0..=max));
        prop_assert!(ordered.windows(2).all(|pair| pair[0].priority <= pair[1].priority));
        let key = |record: &Srv| (record.priority, record.weight, record.port);
        let (mut before, mut after) = (records, ordered);
        before.sort_by_key(key);
        after.sort_by_key(key);
        prop_assert_eq!(before, after);
    }

    /// Whatever a zone answers, the questions and the targets have an end.
    #[test]
    fn every_search_ends(answers in proptest::collection::vec(any::<(u8, u16, u16)>(), 0..80)) {
        let mut locator = Locator::new(&Uri::parse("sip:a@b.example").unwrap(), ALL).unwrap();
        let mut answers = answers.into_iter().cycle().take(500);
        let mut asked = 0;
        while locator.question().is_some() {
            asked += 1;
            prop_assert!(asked <= QUESTIONS_MAX);
            let (kind, a, b) = answers.next().unwrap_or_default();
            let count = usize::from(kind >> 2);
            let answer = match kind & 3 {
                0 => Answer::Naptr(vec![Naptr {
                    order: a, preference: b, flags: "s".into(), service: "SIP+D2U".into(),
                    replacement: "x".into(),
                }; count]),
                1 => Answer::Srv(vec![
                    Srv { priority: a, weight: b, port: a, target: "y".into() };
                    count
                ]),
                _ => Answer::Addresses(vec![IpAddr::from([192, 0, 2, kind]); count]),
            };
            locator.answer(answer, |max| u32::from(b) % (max + 1));
        }
        prop_assert!(locator.into_targets().len() <= TARGETS_MAX);
    }
}
