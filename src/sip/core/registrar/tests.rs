use bytes::Bytes;

use super::*;

fn at(s: u64) -> MonoTime {
    MonoTime::from_nanos(s * 1_000_000_000)
}

fn flow(connection: u64) -> Flow {
    Flow {
        transport: if connection == 0 { Transport::Udp } else { Transport::Tcp },
        local: "198.51.100.7:5060".parse().unwrap(),
        peer: "192.0.2.1:40000".parse().unwrap(),
        connection,
    }
}

/// A REGISTER of alice.
fn request(call_id: &str, cseq: u32, lines: &str) -> Message {
    let text = format!(
        "REGISTER sip:talkpath SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\n\
         From: <sip:alice@talkpath>;tag=1\nTo: <sip:alice@talkpath>\nCall-ID: {call_id}\n\
         CSeq: {cseq} REGISTER\n{lines}\n"
    );
    Message::parse(Bytes::from(text.replace('\n', "\r\n"))).unwrap()
}

struct World {
    registrar: Registrar,
    cseq: u32,
}

impl World {
    fn new() -> Self {
        Self { registrar: Registrar::default(), cseq: 0 }
    }

    /// The answer to alice's REGISTER with these lines.
    fn register(&mut self, now: MonoTime, lines: &str) -> Refusal {
        self.cseq += 1;
        self.registrar.register(now, "alice", flow(0), &request("c", self.cseq, lines))
    }

    fn uris(&self, now: MonoTime) -> Vec<String> {
        self.registrar.targets(now, "alice").into_iter().map(|target| target.uri).collect()
    }
}

fn listed(answer: &Refusal, name: HeaderName) -> Vec<&str> {
    answer.headers.iter().filter(|(n, _)| *n == name).map(|(_, value)| value.as_str()).collect()
}

/// A contact is kept, listed with the time that is left, refreshed, and forgotten at its time.
#[test]
fn life_of_a_contact() {
    let mut world = World::new();
    let answer = world.register(at(0), "Contact: <sip:alice@192.0.2.1:5062>\nExpires: 600\n");
    assert_eq!(answer.status, 200);
    assert_eq!(listed(&answer, HeaderName::Contact), ["<sip:alice@192.0.2.1:5062>;expires=600"]);
    let asked = world.register(at(100), "");
    assert_eq!(listed(&asked, HeaderName::Contact), ["<sip:alice@192.0.2.1:5062>;expires=500"]);
    assert_eq!(world.registrar.deadline(), Some(at(600)));
    world.register(at(300), "Contact: <sip:alice@192.0.2.1:5062>;expires=900\nExpires: 1\n");
    assert_eq!(world.registrar.deadline(), Some(at(1_200)));
    let target = world.registrar.targets(at(300), "alice").remove(0);
    assert_eq!((target.flow, target.routes.len()), (flow(0), 0));
    assert!(world.uris(at(1_200)).is_empty(), "not even before the timer has fired");
    world.registrar.expire(at(1_200));
    assert!(world.registrar.is_empty() && world.registrar.users.is_empty());
    assert!(world.registrar.targets(at(0), "bob").is_empty());
}

/// Times: too brief is refused with the least, too long is cut, unreadable and missing are the
/// default (RFC 3261 10.3 7).
#[test]
fn times() {
    for (lines, expected) in [
        ("Contact: <sip:a@h>;expires=59\n", Err(423)),
        ("Contact: <sip:a@h>\nExpires: 1\n", Err(423)),
        ("Contact: <sip:a@h>;expires=60\n", Ok("<sip:a@h>;expires=60")),
        ("Contact: <sip:a@h>;expires=99999999999\n", Ok("<sip:a@h>;expires=7200")),
        ("Contact: <sip:a@h>;expires=soon\n", Ok("<sip:a@h>;expires=3600")),
        ("Contact: <sip:a@h>\n", Ok("<sip:a@h>;expires=3600")),
        ("Contact: <sip:a@h>;q=0.25;expires=90\n", Ok("<sip:a@h>;q=0.250;expires=90")),
    ] {
        let mut world = World::new();
        let answer = world.register(at(0), lines);
        match expected {
            Ok(contact) => assert_eq!(listed(&answer, HeaderName::Contact), [contact]),
            Err(status) => {
                assert_eq!(answer.status, status, "{lines}");
                assert_eq!(listed(&answer, HeaderName::MinExpires), ["60"]);
                assert!(world.registrar.is_empty());
            }
        }
    }
}

/// `*` removes everything, but only alone and with Expires 0; `expires=0` removes one.
#[test]
fn removal() {
    let mut world = World::new();
    let two = "Contact: <sip:a@h>, <sip:b@h>\n";
    world.register(at(0), two);
    for lines in ["Contact: *\n", "Contact: *, <sip:a@h>\nExpires: 0\n", "Contact: *\nExpires: 9\n"]
    {
        assert_eq!(world.register(at(0), lines).status, 400);
    }
    assert_eq!(world.uris(at(0)).len(), 2);
    world.register(at(0), "Contact: <sip:a@h>;expires=0\n");
    assert_eq!(world.uris(at(0)), ["sip:b@h"]);
    world.register(at(0), two);
    let answer = world.register(at(0), "Contact: *\nExpires: 0\n");
    assert_eq!((answer.status, listed(&answer, HeaderName::Contact).len()), (200, 0));
    assert!(world.registrar.is_empty());
}

/// A request that was overtaken changes nothing; one of another Call-ID does.
#[test]
fn order_of_requests() {
    let mut registrar = Registrar::default();
    let mut register = |call_id, cseq, lines| {
        registrar.register(at(0), "alice", flow(0), &request(call_id, cseq, lines)).status
    };
    assert_eq!(register("one", 5, "Contact: <sip:a@h>\n"), 200);
    assert_eq!(register("one", 5, "Contact: <sip:a@h>;expires=0\n"), 500);
    assert_eq!(register("one", 4, "Contact: *\nExpires: 0\n"), 500);
    assert_eq!(register("one", 4, "Contact: <sip:b@h>, <sip:a@h>;expires=0\n"), 500);
    assert_eq!(register("two", 1, "Contact: <sip:a@h>;q=0.1\n"), 200);
    assert_eq!(registrar.targets(at(0), "alice").len(), 1, "all or nothing");
}

/// Nobody registers somebody else, nor what cannot be called.
#[test]
fn refusals() {
    let mut world = World::new();
    let mut other = World::new();
    let status = other.registrar.register(at(0), "bob", flow(0), &request("c", 1, "")).status;
    assert_eq!(status, 403);
    for (lines, status) in [
        ("Contact: <tel:+49>\n", 400),
        ("Contact: <sip:a@h?Route=x>\n", 400),
        ("Path: x\nSupported: path\nContact: <sip:a@h>\n", 400),
    ] {
        assert_eq!(world.register(at(0), lines).status, status, "{lines}");
    }
    let many: String = (0..9).map(|n| format!("Contact: <sip:a{n}@h>\n")).collect();
    assert_eq!(world.register(at(0), &many).status, 403);
    assert!(world.registrar.is_empty());
}

/// Preferred contacts come first, of equals the latest; beyond the bound the oldest goes; the same
/// flow of the same telephone is one contact, whatever its URI.
#[test]
fn several_contacts() {
    let mut world = World::new();
    for (n, q) in [(0, "0.3"), (1, "1"), (2, "0.3"), (3, "1.0")] {
        world.register(at(n), &format!("Contact: <sip:p{n}@h>;q={q}\n"));
    }
    assert_eq!(world.uris(at(9)), ["sip:p3@h", "sip:p1@h", "sip:p2@h", "sip:p0@h"]);
    for n in 4..=8 {
        world.register(at(n), &format!("Contact: <sip:p{n}@h>\n"));
    }
    let uris = world.uris(at(9));
    assert_eq!(uris.len(), CONTACTS_MAX);
    assert!(!uris.contains(&"sip:p0@h".to_owned()));
    let mut world = World::new();
    for port in [5070, 5080] {
        let instance = "+sip.instance=\"<urn:uuid:7>\";reg-id=1";
        world.register(at(0), &format!("Contact: <sip:a@192.0.2.1:{port}>;{instance}\n"));
    }
    assert_eq!(world.uris(at(0)), ["sip:a@192.0.2.1:5080"]);
}

/// The Path is kept as the route to the telephone, and listed for one that knows of it (RFC 3327
/// 5.3).
#[test]
fn path() {
    let mut world = World::new();
    let answer = world.register(
        at(0),
        "Supported: path, outbound\nPath: <sip:p2.example;lr>,<sip:p1.example;lr>\n\
         Contact: <sip:a@10.0.0.1>\n",
    );
    let path = ["<sip:p2.example;lr>", "<sip:p1.example;lr>"];
    assert_eq!(listed(&answer, HeaderName::Path), path);
    assert_eq!(world.registrar.targets(at(0), "alice").remove(0).routes, path);
    let mut unaware = World::new();
    let answer = unaware.register(at(0), "Path: <sip:p.example;lr>\nContact: <sip:a@h>\n");
    assert_eq!(answer.status, 200);
    assert!(listed(&answer, HeaderName::Path).is_empty());
    let routes = unaware.registrar.targets(at(0), "alice").remove(0).routes;
    assert_eq!(routes, ["<sip:p.example;lr>"]);
}

/// A contact over a connection that is gone stays only if it can be connected to.
#[test]
fn connections_break() {
    let mut registrar = Registrar::default();
    for (n, contact) in ["<sip:a@192.0.2.1:5060>", "<sip:b@10.0.0.1:5060>"].iter().enumerate() {
        let request = request("c", n as u32, &format!("Contact: {contact};transport=tcp\n"));
        registrar.register(at(0), "alice", flow(3), &request);
    }
    registrar.handle_closed(4);
    assert_eq!(registrar.len(), 2);
    registrar.handle_closed(3);
    let targets = registrar.targets(at(0), "alice");
    let expected = Flow { peer: "192.0.2.1:5060".parse().unwrap(), ..flow(3) };
    assert_eq!(
        targets.iter().map(|t| t.flow).collect::<Vec<_>>(),
        [Flow { connection: 0, ..expected }]
    );
    assert_eq!(registrar.len(), 1);
}

/// Random sequences: no bound is passed and nothing is left.
#[test]
fn random_operations() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..500 {
        let octets: Vec<u8> = (0..random.usize(0..300)).map(|_| random.u8(..)).collect();
        fuzz::sip_registrar(&octets);
    }
}

/// Who asks for its flow to be used is told that it is, unless a proxy on the way does not keep
/// flows (RFC 5626 6).
#[test]
fn flows_are_promised() {
    const FLOW: &str = "Contact: <sip:a@h.invalid>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"\n";
    let mut world = World::new();
    let mut told = |lines: &str| {
        let answer = world.register(at(0), lines);
        assert_eq!(answer.status, 200);
        assert_eq!(listed(&answer, HeaderName::Supported), ["path, outbound"]);
        listed(&answer, HeaderName::Require) == ["outbound"]
    };
    let second = "Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2\nPath: <sip:p.example;lr";
    assert!(told(&format!("Supported: outbound\n{FLOW}")));
    assert!(!told(FLOW), "it does not ask");
    assert!(!told("Supported: outbound\nContact: <sip:a@192.0.2.1>\n"), "no flow is named");
    assert!(told(&format!("Supported: path, outbound\n{second};ob>\n{FLOW}")));
    assert!(!told(&format!("Supported: path, outbound\n{second}>\n{FLOW}")));
}
