use super::*;

/// A session as the examples of the RFCs have theirs.
fn session(realm: &str, nonce: &str, cnonce: &str) -> Session {
    let challenge = Challenge { realm, nonce, has_qop: true, ..Challenge::default() };
    Session { cnonce: cnonce.to_owned(), count: 1, ..Session::new(false, &challenge) }
}

fn refusal(fields: &[&str]) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    format!("SIP/2.0 401 Unauthorized\r\n{fields}\r\n")
}

/// Takes a refusal with these fields.
fn challenged(answers: &mut Answers, fields: &[&str]) -> Result<(), Denied> {
    let text = refusal(fields);
    answers.challenged(&Message::parse(text.as_bytes()).expect("a message"))
}

/// The examples of RFC 2617 3.5, with its quality of protection and without, and of
/// RFC 7616 3.9.1, whose algorithms are those of RFC 8760.
#[test]
fn vectors_of_the_rfcs() {
    let (method, uri) = ("GET", "/dir/index.html");
    let mufasa = Account::new("Mufasa", "Circle Of Life");
    let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
    let old = session("testrealm@host.com", nonce, "0a4f113b");
    assert_eq!(old.response(&mufasa, method, uri), "6629fae49393a05397450978507c4ef1");
    let bare = Session { has_qop: false, ..old };
    assert_eq!(bare.response(&mufasa, method, uri), "670fd8c2df070c60b045671b8b24ff02");

    let mufasa = Account::new("Mufasa", "Circle of Life");
    let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let md5 = session("http-auth@example.org", nonce, cnonce);
    assert_eq!(md5.response(&mufasa, method, uri), "8ca523f5e9506fed4657c9700eebdbec");
    let sha256 = Session { algorithm: Some(Algorithm::Sha256), ..md5 };
    assert_eq!(
        sha256.response(&mufasa, method, uri),
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    );
}

/// A call, with every algorithm and with and without quality of protection, against what
/// Python's hashlib makes of the formulas of RFC 7616 3.4.
#[test]
fn every_combination() {
    use Algorithm::{Md5, Sha256, Sha512t256};
    let bob = Account::new("bob", "zanzibar");
    let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
    for (algorithm, has_qop, expected) in [
        (Md5, true, "89eb0059246c02b2f6ee02c7961d5ea3"),
        (Md5, false, "bf57e4e0d0bffc0fbaedce64d59add5e"),
        (Sha256, true, "b3b5a6c69453abafaab9ae4dccdac90a076b6c80615d5f3498e7433b6e93bf4f"),
        (Sha256, false, "38aad98c50c33abe72c5f88dd17246ffcfa6b1f68852c855719ff0659386c0ca"),
        (Sha512t256, true, "7f1a09de0f19af0a1eac2b28d33e3f2fb89cca1ad8fb01bba5e1883b288bac14"),
        (Sha512t256, false, "9e960b3a01beb63f1ea5d45d43bd8a2178879d3c9ddbbdb0624187ca823c6eca"),
    ] {
        let known = session("biloxi.com", nonce, "0a4f113b");
        let known = Session { algorithm: Some(algorithm), has_qop, ..known };
        assert_eq!(known.response(&bob, "INVITE", "sip:bob@biloxi.com"), expected, "{algorithm:?}");
    }
}

/// Challenges are read however they are written: order, case, quotes with commas and escapes.
#[test]
fn challenges_are_read() {
    let text = "digest  nonce=\"a,b=\\\"c\", Realm = \"one, two\" ,QOP=\"auth-int, auth\",\
                stale=TRUE,algorithm=sha-256 , opaque=\"\", domain=\"sip:x\"";
    let expected = Challenge {
        realm: "one, two",
        nonce: "a,b=\\\"c",
        opaque: Some(""),
        algorithm: Some(Algorithm::Sha256),
        has_qop: true,
        is_stale: true,
    };
    assert_eq!(Challenge::read(text), Some(expected));
    let short = Challenge { realm: "r", nonce: "n", ..Challenge::default() };
    assert_eq!(Challenge::read("Digest realm=\"r\",nonce=n"), Some(short));
    for unknown in [
        "",
        "Digest",
        "Basic realm=\"r\", nonce=\"n\"",
        "Digest realm=\"r\"",
        "Digest nonce=\"n\"",
        "Digest realm=\"r\", nonce=\"n",
        "Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess",
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
    ] {
        assert_eq!(Challenge::read(unknown), None, "{unknown}");
    }
    for end in 0..text.len() {
        // Whatever is cut off, nothing is read that is not there.
        let read = text.get(..end).and_then(Challenge::read);
        assert!(read.is_none_or(|read| read.realm == "one, two" && !read.nonce.is_empty()));
    }
}

/// A challenge is answered with what it says; the same nonce counts up; one that is stale is
/// answered anew; one that comes again says that the password is wrong.
#[test]
fn a_challenge_is_answered_once() {
    let bob = Account::new("bob", "zanzibar");
    let mut answers = Answers::default();
    assert_eq!(answers.lines(&bob, "INVITE", "sip:a@h"), "");
    let field = "WWW-Authenticate: Digest realm=\"r\", nonce=\"one\", opaque=\"o\", qop=\"auth\"";
    assert_eq!(challenged(&mut answers, &[field]), Ok(()));
    let first = answers.lines(&bob, "INVITE", "sip:a@h");
    let start = "Authorization: Digest username=\"bob\", realm=\"r\", nonce=\"one\", \
                 uri=\"sip:a@h\", response=\"";
    assert!(first.starts_with(start), "{first}");
    assert!(first.contains(", opaque=\"o\", qop=auth, nc=00000001, cnonce=\""), "{first}");
    assert!(!first.contains("algorithm") && !first.contains("zanzibar"), "{first}");
    let stale = field.replace("one", "two") + ", stale=true";
    assert_eq!(challenged(&mut answers, &[stale.as_str()]), Ok(()));
    assert!(answers.lines(&bob, "INVITE", "sip:a@h").contains("nonce=\"two\""));
    let wrong = field.replace("one", "three");
    assert_eq!(challenged(&mut answers, &[wrong.as_str()]), Err(Denied::Refused));

    // After it was let pass, the nonce serves again, and a new one is no refusal.
    answers.accepted();
    assert!(answers.lines(&bob, "BYE", "sip:a@h").contains("nc=00000002"));
    assert_eq!(challenged(&mut answers, &[wrong.as_str()]), Ok(()));
    assert!(answers.lines(&bob, "BYE", "sip:a@h").contains("nonce=\"three\""));
}

/// A proxy and the server behind it have credentials of their own; of one realm the first
/// challenge that is known counts; what cannot be answered is told, and so is a trunk that finds
/// every nonce stale.
#[test]
fn several_challenges() {
    let bob = Account::new("bob", "zanzibar");
    let mut answers = Answers::default();
    let proxy = "Proxy-Authenticate: Digest realm=\"p\", nonce=\"np\", algorithm=SHA-256";
    let server = [
        "WWW-Authenticate: Digest realm=\"s\", nonce=\"n1\", algorithm=SHA-3",
        "WWW-Authenticate: Digest realm=\"s\", nonce=\"n2\", algorithm=SHA-256",
        "WWW-Authenticate: Digest realm=\"s\", nonce=\"n3\", algorithm=MD5",
    ];
    assert_eq!(challenged(&mut answers, &[proxy]), Ok(()));
    let lines = answers.lines(&bob, "INVITE", "sip:a@h");
    assert!(lines.starts_with("Proxy-Authorization: ") && !lines.contains("cnonce"), "{lines}");
    assert_eq!(challenged(&mut answers, &server), Ok(()));
    let lines = answers.lines(&bob, "INVITE", "sip:a@h");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.contains("\r\nAuthorization: ") && lines.contains("nonce=\"n2\""), "{lines}");

    assert_eq!(challenged(&mut Answers::default(), &server[..1]), Err(Denied::Unknown));
    assert_eq!(challenged(&mut Answers::default(), &[]), Err(Denied::Unknown));
    let mut answers = Answers::default();
    let stale = ["WWW-Authenticate: Digest realm=\"s\", nonce=\"n\", stale=true"];
    for _ in 0..ROUNDS_MAX {
        assert_eq!(challenged(&mut answers, &stale), Ok(()));
        answers.lines(&bob, "INVITE", "sip:a@h");
    }
    assert_eq!(challenged(&mut answers, &stale), Err(Denied::TooOften));
}
