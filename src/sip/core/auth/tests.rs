use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use media::time::MonoTime;
use proptest::prelude::*;

use super::nonce::{COUNTED_MAX, Nonces, Origin};
use super::throttle::Throttle;
use super::*;
use crate::sip::core::{HeaderName, Message};

fn at(ms: u64) -> MonoTime {
    MonoTime::from_nanos(ms * 1_000_000)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The examples of RFC 2617 3.5 and RFC 7616 3.9.1.
#[test]
fn vectors_of_the_rfcs() {
    let old = Input {
        algorithm: Algorithm::Md5,
        username: "Mufasa",
        realm: "testrealm@host.com",
        password: "Circle Of Life",
        nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
        cnonce: "0a4f113b",
        nc: "00000001",
        qop: Some(Qop::Auth),
        method: "GET",
        uri: "/dir/index.html",
        body: b"",
    };
    assert_eq!(old.response(), "6629fae49393a05397450978507c4ef1");
    let new = Input {
        realm: "http-auth@example.org",
        password: "Circle of Life",
        nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        ..old
    };
    assert_eq!(new.response(), "8ca523f5e9506fed4657c9700eebdbec");
    assert_eq!(
        Input { algorithm: Algorithm::Sha256, ..new }.response(),
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    );
}

/// Every algorithm with every quality of protection, against what Python's hashlib makes of the
/// formulas of RFC 7616 3.4.
#[test]
fn every_combination() {
    use Algorithm::{Md5, Md5Sess, Sha256, Sha256Sess, Sha512t256, Sha512t256Sess};
    let (auth, int) = (Some(Qop::Auth), Some(Qop::AuthInt));
    for (algorithm, qop, expected) in [
        (Md5, auth, "89eb0059246c02b2f6ee02c7961d5ea3"),
        (Md5, int, "77226bb823dc077c1ad3537415667bae"),
        (Md5, None, "bf57e4e0d0bffc0fbaedce64d59add5e"),
        (Md5Sess, auth, "e4e4ea61d186d07a92c9e1f6919902e9"),
        (Md5Sess, int, "8527c9ab1b4eed3fd75491f811944e26"),
        (Md5Sess, None, "fff17611bcbbf00c9116a2c922dea8e1"),
        (Sha256, auth, "b3b5a6c69453abafaab9ae4dccdac90a076b6c80615d5f3498e7433b6e93bf4f"),
        (Sha256, int, "554a9ffe79ce71c3cb6c9630deddd2787d8033f895e5cdef6a73c8e84ed4c979"),
        (Sha256, None, "38aad98c50c33abe72c5f88dd17246ffcfa6b1f68852c855719ff0659386c0ca"),
        (Sha256Sess, auth, "5da59c9ca40954be9d5063a15a174066c8251be2c10cf47c144c366dc7daf792"),
        (Sha256Sess, int, "0b4a1efc19e1b701ec5775b6b16dde0fc416102e34a6c5bd6f957b20b5d79170"),
        (Sha256Sess, None, "2ceb74b5bf787a27f00a80b94f397228de1a9bab1c3c56b7c6f984cf9f3ffdf7"),
        (Sha512t256, auth, "7f1a09de0f19af0a1eac2b28d33e3f2fb89cca1ad8fb01bba5e1883b288bac14"),
        (Sha512t256, int, "e9a7fbc1c80a10421c59a0c982f28d40e0ddc7b62ef3dc4faf68f179c6e05922"),
        (Sha512t256, None, "9e960b3a01beb63f1ea5d45d43bd8a2178879d3c9ddbbdb0624187ca823c6eca"),
        (Sha512t256Sess, auth, "077d9677be83f41f162d1a4453dc163389919f81e5927391d972f477da767633"),
        (Sha512t256Sess, int, "0220683d8c9faccc1d05bd2ef0e7ccdff87eacd5f06fb6bfd9cd7d3acf66a00b"),
        (Sha512t256Sess, None, "10f52db7e2818a98871fd94294a2593a22eeaf07e23dad0b2bb52694442db5dd"),
    ] {
        let input = Input {
            algorithm,
            username: "bob",
            realm: "biloxi.com",
            password: "zanzibar",
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            cnonce: "0a4f113b",
            nc: "00000001",
            qop,
            method: "INVITE",
            uri: "sip:bob@biloxi.com",
            body: b"v=0\r\n",
        };
        assert_eq!(input.response(), expected, "{algorithm:?} {qop:?}");
    }
}

/// The challenge of RFC 3261 20.44 and the credentials of 20.7.
#[test]
fn fields_of_rfc_3261() {
    let challenge = Challenge::parse(
        "Digest realm=\"atlanta.com\", domain=\"sip:boxesbybob.com\", qop=\"auth,auth-int\", \
         nonce=\"f84f1cec41e6cbe5aea9c8e88d359\", opaque=\"\", stale=FALSE, algorithm=MD5",
    )
    .unwrap();
    assert_eq!((challenge.realm, challenge.opaque), ("atlanta.com", Some("")));
    assert_eq!((challenge.qop, challenge.stale), (Some(Qop::Auth), false));
    let credentials = Credentials::parse(
        "Digest username=\"Alice\", realm=\"atlanta.com\", nonce=\"84a4cc6f3082121f32b42a2187831a9e\
         \", response=\"7587245234b3434cc3412213e5f113a5432\", uri=\"sip:h\"",
    )
    .unwrap();
    assert_eq!((credentials.username, credentials.qop), ("Alice", None));
    assert_eq!(credentials.algorithm, Algorithm::Md5);
}

/// What is odd but legal is read, what is neither is refused for its own reason.
#[test]
fn oddities() {
    let read = |text| Challenge::parse(text).map(|c| (c.realm, c.algorithm, c.qop, c.stale));
    let full = "digest\tREALM = \"a,b=\\\"c\\\"\" ,, Nonce=n , Algorithm=sha-256 , qop=\"x, AUTH-INT\
                \",STALE=TRUE,unknown=\"1,2\"";
    let expected = ("a,b=\\\"c\\\"", Algorithm::Sha256, Some(Qop::AuthInt), true);
    assert_eq!(read(full), Ok(expected));
    let blanks = Challenge::parse("Digest realm=\" a \", nonce= n+/= ").unwrap();
    assert_eq!((blanks.realm, blanks.nonce), (" a ", "n+/="));
    for (text, error) in [
        ("", AuthError::Scheme),
        ("Basic realm=\"x\"", AuthError::Scheme),
        ("Digest", AuthError::Missing),
        ("Digest realm=\"a\"", AuthError::Missing),
        ("Digest realm=\"a\", nonce", AuthError::Syntax),
        ("Digest realm=\"a, nonce=b", AuthError::Syntax),
        ("Digest realm=\"a\" nonce=\"b\"", AuthError::Syntax),
        ("Digest =x", AuthError::Syntax),
        ("Digest realm=\"a\", nonce=b\"c\"", AuthError::Syntax),
        ("Digest realm=\"a\", nonce=b\\", AuthError::Syntax),
        ("Digest realm=\"a\", nonce=b c", AuthError::Syntax),
        ("Digest realm=\"a\", nonce=\"b\", realm=\"c\"", AuthError::Repeated),
        ("Digest realm=\"a\", nonce=\"b\", algorithm=SHA-3", AuthError::Algorithm),
        ("Digest realm=\"a\", nonce=\"b\", qop=\"conf\"", AuthError::Qop),
    ] {
        assert_eq!(read(text), Err(error), "{text}");
    }
    assert_eq!(read(&format!("Digest realm=\"{}\"", "x".repeat(5000))), Err(AuthError::TooLong));
    let given = "Digest username=u, realm=r, nonce=n, uri=x, response=y, qop=auth, cnonce=c, nc=";
    for (nc, good) in [("00000001", true), ("1", false), ("+0000001", false), ("0000000g", false)] {
        let read = Credentials::parse(&format!("{given}{nc}")).map(drop);
        assert_eq!(read, if good { Ok(()) } else { Err(AuthError::NonceCount) });
    }
}

/// Neither account nor credentials show what they hold.
#[test]
fn debug_hides_secrets() {
    let account = Account::new("alice", "hunter2", Some("r"));
    let client = DigestClient::new(Arc::new(account));
    let shown = format!("{client:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("alice"), "{shown}");
}

fn server() -> Server {
    Server::new(ServerConfig {
        realm: "talkpath".into(),
        algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
        key: [3; 32],
    })
}

/// A 401 with these challenges.
fn unauthorized(challenges: &[String]) -> Message {
    let lines: String =
        challenges.iter().map(|value| format!("WWW-Authenticate: {value}\r\n")).collect();
    Message::parse(Bytes::from(format!("SIP/2.0 401 Unauthorized\r\n{lines}\r\n"))).unwrap()
}

/// A REGISTER with what the client adds.
fn request(client: &mut DigestClient) -> Message {
    let fields: String = client
        .headers("REGISTER", "sip:talkpath", b"")
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    Message::parse(Bytes::from(format!("REGISTER sip:talkpath SIP/2.0\r\n{fields}\r\n"))).unwrap()
}

fn client(password: &str) -> DigestClient {
    DigestClient::new(Arc::new(Account::new("alice", password, None)))
}

fn secret(user: &str) -> Option<&'static str> {
    (user == "alice").then_some("wonderland")
}

const PEER: &str = "192.0.2.1";

fn judge(server: &mut Server, now: MonoTime, request: &Message) -> Verdict {
    server.verify(now, ip(PEER), request, secret)
}

const STALE: Verdict = Verdict::Unproven { stale: true, failed: false };
const WRONG: Verdict = Verdict::Unproven { stale: false, failed: true };
const NOTHING: Verdict = Verdict::Unproven { stale: false, failed: false };

fn alice() -> Verdict {
    Verdict::Proven("alice".into())
}

/// Client and server agree, the strongest algorithm is taken, the count grows, credentials cannot
/// be sent twice, and a nonce that expired asks for another one only.
#[test]
fn client_and_server_agree() {
    let (mut server, mut client) = (server(), client("wonderland"));
    assert_eq!(judge(&mut server, at(0), &request(&mut client)), NOTHING);
    let challenges = server.challenge(at(0), ip(PEER), false);
    assert!(challenges[0].contains("SHA-256") && challenges[1].contains("MD5"));
    client.challenged(&unauthorized(&challenges), 1).unwrap();
    let first = request(&mut client);
    assert!(first.header(HeaderName::Authorization).unwrap().contains("algorithm=SHA-256"));
    assert_eq!(judge(&mut server, at(1), &first), alice());
    assert_eq!(judge(&mut server, at(2), &first), STALE, "a replay");
    client.accepted();
    let second = request(&mut client);
    assert!(second.header(HeaderName::Authorization).unwrap().contains("nc=00000002"));
    assert_eq!(judge(&mut server, at(3), &second), alice());
    let late = at(1_000) + NONCE_LIFETIME;
    let third = request(&mut client);
    assert_eq!(judge(&mut server, late, &third), STALE);
    client.challenged(&unauthorized(&server.challenge(late, ip(PEER), true)), 2).unwrap();
    assert_eq!(judge(&mut server, late, &request(&mut client)), alice());
}

/// A nonce of another address or run is not judged, so that it tells nothing about a password.
#[test]
fn foreign_nonces_are_no_oracle() {
    for password in ["wonderland", "wrong"] {
        let (mut server, mut client) = (server(), client(password));
        let elsewhere = server.challenge(at(0), ip("192.0.2.2"), false);
        client.challenged(&unauthorized(&elsewhere), 1).unwrap();
        assert_eq!(judge(&mut server, at(1), &request(&mut client)), STALE);
        let own = ["Digest realm=\"talkpath\", nonce=\"mine\", qop=\"auth\"".to_owned()];
        let mut client = self::client(password);
        client.challenged(&unauthorized(&own), 1).unwrap();
        assert_eq!(judge(&mut server, at(1), &request(&mut client)), STALE);
    }
}

/// A wrong password and an unknown user get the same verdict; the client gives up at once.
#[test]
fn wrong_passwords_and_unknown_users() {
    for (name, password) in [("alice", "wrong"), ("nobody", "wonderland")] {
        let mut server = server();
        let mut client = DigestClient::new(Arc::new(Account::new(name, password, None)));
        client.challenged(&unauthorized(&server.challenge(at(0), ip(PEER), false)), 1).unwrap();
        assert_eq!(judge(&mut server, at(1), &request(&mut client)), WRONG);
        let again = unauthorized(&server.challenge(at(1), ip(PEER), false));
        assert_eq!(client.challenged(&again, 2), Err(AuthFailure::Refused));
    }
}

/// Some servers renew the nonce without saying stale: credentials that were accepted before are
/// tried once more, and only once.
#[test]
fn nonce_renewed_without_stale() {
    let challenge = |nonce: &str| {
        unauthorized(&[format!("Digest realm=\"r\", nonce=\"{nonce}\", qop=\"auth\"")])
    };
    let mut client = client("wonderland");
    client.challenged(&challenge("a"), 1).unwrap();
    request(&mut client);
    client.accepted();
    request(&mut client);
    client.challenged(&challenge("b"), 2).unwrap();
    request(&mut client);
    assert_eq!(client.challenged(&challenge("c"), 3), Err(AuthFailure::Refused));
}

/// A server that says stale for ever is left after some rounds; challenges of another realm and
/// of unknown algorithms are not answered.
#[test]
fn never_loops() {
    let stale = |n| unauthorized(&[format!("Digest realm=\"r\", nonce=\"{n}\", stale=true")]);
    let mut client = client("wonderland");
    let rounds = (0..100).take_while(|n| {
        let taken = client.challenged(&stale(*n), 1).is_ok();
        request(&mut client);
        taken
    });
    assert_eq!(rounds.count(), 6);
    let mut bound = DigestClient::new(Arc::new(Account::new("a", "b", Some("mine"))));
    assert_eq!(bound.challenged(&stale(0), 1), Err(AuthFailure::Realm));
    let unknown = unauthorized(&["Digest realm=\"r\", nonce=\"n\", algorithm=SHA-3".to_owned()]);
    assert_eq!(self::client("x").challenged(&unknown, 1), Err(AuthFailure::Unknown));
}

/// Unknown algorithms are skipped; of those known the topmost counts (RFC 8760 2.4); a proxy and a
/// server are answered together.
#[test]
fn several_challenges() {
    let text = "SIP/2.0 407 x\r\n\
        Proxy-Authenticate: Digest realm=\"p\", nonce=\"1\", algorithm=SHA-999\r\n\
        Proxy-Authenticate: Digest realm=\"p\", nonce=\"2\", algorithm=SHA-512-256, qop=\"auth\"\r\n\
        Proxy-Authenticate: Digest realm=\"p\", nonce=\"3\", algorithm=MD5, qop=\"auth\"\r\n\
        WWW-Authenticate: Digest realm=\"s\", nonce=\"4\", opaque=\"o\"\r\n\r\n";
    let mut client = client("wonderland");
    client.challenged(&Message::parse(Bytes::from(text)).unwrap(), 1).unwrap();
    let fields = client.headers("INVITE", "sip:b", b"");
    assert_eq!(fields.len(), 2);
    let (server, proxy) = (&fields[0], &fields[1]);
    assert_eq!(server.0, HeaderName::Authorization);
    assert!(server.1.contains("opaque=\"o\"") && !server.1.contains("qop"), "{}", server.1);
    assert_eq!(proxy.0, HeaderName::ProxyAuthorization);
    assert!(proxy.1.contains("nonce=\"2\"") && proxy.1.contains("SHA-512-256"), "{}", proxy.1);
}

/// Nonces are known by their seal alone, for their time and address; any other spelling is not.
#[test]
fn nonces() {
    let mut nonces = Nonces::new([1; 32]);
    let peer = ip(PEER);
    let nonce = nonces.make(at(5), peer);
    assert_eq!(nonces.judge(at(6), peer, &nonce), Origin::Fresh(1));
    assert_eq!(nonces.judge(at(6), ip("::ffff:192.0.2.1"), &nonce), Origin::Fresh(1));
    assert_eq!(nonces.judge(at(6) + NONCE_LIFETIME, peer, &nonce), Origin::Expired);
    assert_eq!(nonces.judge(at(6), ip("192.0.2.9"), &nonce), Origin::Foreign);
    assert_eq!(Nonces::new([2; 32]).judge(at(6), peer, &nonce), Origin::Foreign);
    for index in 0..nonce.len() {
        assert_eq!(nonces.judge(at(6), peer, &nonce[..index]), Origin::Foreign);
        let mut other = nonce.clone();
        other.replace_range(index..=index, if &nonce[index..=index] == "1" { "2" } else { "1" });
        assert_eq!(nonces.judge(at(6), peer, &other), Origin::Foreign);
    }
    let upper = nonce.to_uppercase();
    assert!(upper == nonce || nonces.judge(at(6), peer, &upper) == Origin::Foreign);
    assert_ne!(nonces.make(at(5), peer), nonce);
}

/// Counts are kept for so many nonces; what was forgotten counts as expired, so that it cannot be
/// used again.
#[test]
fn counts_are_bounded() {
    let mut nonces = Nonces::new([1; 32]);
    let peer = ip(PEER);
    let first = nonces.make(at(0), peer);
    assert!(nonces.count(1, 1) && !nonces.count(1, 1) && nonces.count(1, 2));
    assert!(!nonces.count(1, 1), "counts never go back");
    for number in 2..COUNTED_MAX as u64 + 2 {
        let _ = nonces.make(at(0), peer);
        assert!(nonces.count(number, 1));
    }
    assert_eq!(nonces.judge(at(1), peer, &first), Origin::Expired);
    let fresh = nonces.make(at(0), peer);
    assert!(matches!(nonces.judge(at(1), peer, &fresh), Origin::Fresh(_)));
}

/// Some failures are free, then each doubles the wait up to a limit; other addresses do not wait;
/// quiet ends it; the table does not grow beyond its bound.
#[test]
fn guessing_is_slowed() {
    let (mut throttle, peer) = (Throttle::default(), ip(PEER));
    for _ in 0..FAILURES_FREE {
        assert_eq!(throttle.wait(at(0), peer), Duration::ZERO);
        throttle.failed(at(0), peer);
    }
    for seconds in [0, 1, 2, 4, 8, 16, 32, 64, 64, 64] {
        assert_eq!(throttle.wait(at(0), peer), Duration::from_secs(seconds));
        throttle.failed(at(0), peer);
    }
    assert_eq!(throttle.wait(at(60_000), peer), Duration::from_secs(4));
    assert_eq!(throttle.wait(at(0), ip("192.0.2.2")), Duration::ZERO);
    assert_eq!(throttle.wait(at(0) + QUIET, peer), Duration::ZERO);
    for index in 0..10_000_u32 {
        throttle.failed(at(u64::from(index)), IpAddr::V4(index.into()));
        throttle.failed(at(u64::from(index)), ip("2001:db8::1"));
        throttle.failed(at(u64::from(index)), ip("2001:db8::2"));
    }
    assert!(throttle.len() <= ADDRESSES_MAX);
    assert!(!throttle.wait(at(9_999), ip("2001:db8::3")).is_zero(), "one network, one customer");
}

/// After too many failures even the right password waits, and is told for how long.
#[test]
fn server_slows_guesses() {
    let mut server = server();
    let attempt = |server: &mut Server, now, password: &str| {
        let mut client = client(password);
        client.challenged(&unauthorized(&server.challenge(now, ip(PEER), false)), 1).unwrap();
        judge(server, now, &request(&mut client))
    };
    for _ in 0..=FAILURES_FREE {
        assert_eq!(attempt(&mut server, at(0), "guess"), WRONG);
    }
    assert!(matches!(
        attempt(&mut server, at(0), "wonderland"),
        Verdict::Slowed { retry_after_s: 1..=2 }
    ));
    assert_eq!(attempt(&mut server, at(2_500), "wonderland"), alice());
}

/// What the fuzz target checks holds for pieces of real fields.
#[test]
fn random_fields() {
    const PIECES: [&str; 22] = [
        "Digest ",
        "realm=",
        "nonce=",
        "\"r\"",
        "\"",
        ",",
        " ",
        "qop=",
        "auth",
        "auth-int",
        "username=\"u\"",
        "uri=\"sip:h\"",
        "response=\"0123\"",
        "nc=00000001",
        "cnonce=\"c\"",
        "algorithm=",
        "MD5-sess",
        "SHA-256",
        "stale=true",
        "\\",
        "opaque=\"\"",
        "=",
    ];
    let mut random = fastrand::Rng::with_seed(3);
    for _ in 0..5_000 {
        let mut text = "Digest realm=\"r\", nonce=\"n\"".to_owned();
        for _ in 0..random.usize(0..14) {
            text.push_str(PIECES[random.usize(..PIECES.len())]);
        }
        fuzz::sip_auth(text.as_bytes());
    }
}

proptest! {
    /// Whatever account and challenge: what the client writes proves the account to a server that
    /// knows its password, and to no other.
    #[test]
    fn any_account_is_proven(
        user in "[!#-\\[\\]-~]{1,20}",
        password in "[ -~é]{0,20}",
        other in "[ -~é]{0,20}",
        md5 in any::<bool>(),
    ) {
        let algorithms = if md5 { vec![Algorithm::Md5] } else { vec![Algorithm::Sha512t256] };
        let config = ServerConfig { realm: "a b".into(), algorithms, key: [9; 32] };
        let mut server = Server::new(config);
        let mut client = DigestClient::new(Arc::new(Account::new(&user, &password, None)));
        client.challenged(&unauthorized(&server.challenge(at(0), ip(PEER), false)), 1).unwrap();
        let (first, second) = (request(&mut client), request(&mut client));
        let known = |name: &str| (name == user).then_some(password.as_str());
        let verdict = server.verify(at(1), ip(PEER), &first, known);
        prop_assert_eq!(verdict, Verdict::Proven(user.as_str().into()));
        prop_assume!(other != password);
        let verdict = server.verify(at(1), ip(PEER), &second, |_| Some(other.as_str()));
        prop_assert_eq!(verdict, WRONG);
    }
}
