//! Messages over HTTP: what is shown, and that no secret is.

use http::{HeaderMap, HeaderValue, StatusCode};
use media::time::MonoTime;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::config::CapturesConfig;

/// Calls that are captured at once.
const CALLS: usize = 64;
const SECRET: &str = "hu/nt+er2 \"ü\"";
const URL: &str =
    "https://voice.example/api/v1/telephony/acme/voice/hu%2Fnt%2Ber2%20%22%C3%BC%22/7?To=%2B4930";

fn secrets() -> Secrets {
    Secrets::new([SECRET, "", "s3"])
}

fn web(url: &str, status: Option<u16>, headers: &[(&'static str, &str)], body: &str) -> Web {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let status = status.map(|status| StatusCode::from_u16(status).unwrap());
    let raw = Raw { method: "POST", url, status, headers: Some(&map), body: body.as_bytes() };
    Web::new(MonoTime::ZERO, true, "192.0.2.7".to_owned(), &raw, &secrets())
}

/// A request shows method, path, harmless headers and body; an answer its status.
#[test]
fn what_is_shown() {
    let headers = [("content-type", "text/plain"), ("x-acme-signature", "abc def")];
    let asked = web(URL, None, &headers, "CallSid=CA1&From=%2B4930&Nothing=");
    assert_eq!((asked.secure, asked.method.as_str(), asked.status), (true, "POST", None));
    let blank = "x".repeat("hu%2Fnt%2Ber2%20%22%C3%BC%22".len());
    assert_eq!(asked.path, format!("/api/v1/telephony/acme/voice/{blank}/7?To=%2B4930"));
    assert!(asked.text.starts_with(&format!("POST {} HTTP/1.1\r\n", asked.path)), "{}", asked.text);
    assert!(asked.text.contains("content-type: text/plain\r\n"));
    assert!(asked.text.contains("x-acme-signature: xxx xxx\r\n"), "{}", asked.text);
    assert!(asked.text.ends_with("\r\n\r\nCallSid=CA1&From=%2B4930&Nothing="), "{}", asked.text);
    let said = web("/x", Some(429), &[], "{\"code\": 7}");
    assert_eq!((said.secure, said.path.as_str(), said.status), (false, "/x", Some(429)));
    assert_eq!(said.text, "HTTP/1.1 429 Too Many Requests\r\n\r\n{\"code\": 7}");
}

/// Secrets are known by value, by place and by name, however they are written, and what stands
/// around them stays.
#[test]
fn secrets_are_blanked() {
    let media = "wss://h/api/v1/telephony/ws/acme/7f/T0k-en.5?x";
    let twice = media.replace('/', "%252F");
    let form = media.replace(':', "%3A").replace('/', "%2F");
    let json = media.replace('/', "\\/");
    for (body, kept) in [
        ("<Stream url=\"MEDIA\"/><Say>hi</Say>".replace("MEDIA", media), "<Say>hi</Say>"),
        (format!("Twiml=%22{form}%22&To=1"), "%22&To=1"),
        (format!("Twiml=%22{twice}%22&To=1"), "%22&To=1"),
        (format!("{{\"stream_url\":\"{json}\",\"to\":\"1\"}}"), "\",\"to\":\"1\"}"),
        ("api_key=T0k-en.5&to=1".to_owned(), "api_key=xxxxxxxx&to=1"),
        (
            "{\"auth\":{\"bearer_token\" : \"T0k-en.5\\\"T0k-en.5\", \"b\":2}}".to_owned(),
            "\"b\":2}}",
        ),
        ("{\"Token\":T0k-en.5,\"b\":2}".to_owned(), ",\"b\":2}"),
        ("<P name=\"authToken\" password='T0k-en.5' to=\"1\"/>".to_owned(), "' to=\"1\"/>"),
        (format!("a={SECRET}&b"), "&b"),
        (format!("{{\"a\":{}}}", serde_json::to_string(SECRET).unwrap()), "\"}"),
    ] {
        let shown = web("/", None, &[], &body);
        for gone in ["T0k-en.5", "hu/nt", "hu%2Fnt", "er2"] {
            assert!(!shown.text.contains(gone), "{body}: {}", shown.text);
        }
        assert!(shown.text.contains(kept), "{body}: {}", shown.text);
    }
    let query = web("http://h/x?signature=T0k-en.5&to=1&s=s3", None, &[], "");
    assert_eq!(query.path, "/x?signature=xxxxxxxx&to=1&s=xx");
    let debug = format!("{:?}", secrets());
    assert!(!debug.contains("hu"), "{debug}");
}

/// What is long is cut, and a secret at the cut is blanked as a whole.
#[test]
fn long_messages_are_cut() {
    for before in (MESSAGE_BYTES_MAX - 80)..(MESSAGE_BYTES_MAX + 8) {
        let body = format!("{}{SECRET}{}", "-".repeat(before), "ü".repeat(MESSAGE_BYTES_MAX));
        let shown = web("/", None, &[], &body);
        assert!(shown.text.len() <= MESSAGE_BYTES_MAX);
        let (_, kept) = shown.text.split_once("\r\n\r\n").unwrap();
        let foreign = kept.trim_matches(['-', 'x', 'ü', ' ']);
        assert!(foreign.is_empty(), "{before}: {foreign}");
    }
}

proptest! {
    /// Wherever a secret stands, and among whatever else, nothing of it is shown; anything else is
    /// no panic.
    #[test]
    fn no_secret_is_shown(
        before in "\\PC{0,40}",
        behind in "\\PC{0,40}",
        secret in "[A-Za-z0-9+/=_.~ -]{4,24}",
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let known = Secrets::new([secret.as_str()]);
        let form = form(&secret);
        for written in [&secret, &form] {
            let url = format!("/p?{before}{written}{behind}");
            let body = format!("{before}{written}{behind}");
            let raw = Raw {
                method: "GET",
                url: &url,
                status: None,
                headers: None,
                body: body.as_bytes(),
            };
            let shown = Web::new(MonoTime::ZERO, false, String::new(), &raw, &known);
            // What stands around it may happen to say the same.
            if !before.contains(written.as_str()) && !behind.contains(written.as_str()) {
                prop_assert!(!shown.text.contains(written.as_str()), "{}", shown.text);
                prop_assert!(!shown.path.contains(written.as_str()), "{}", shown.path);
            }
        }
        let raw = Raw { method: "GET", url: &before, status: None, headers: None, body: &bytes };
        Web::new(MonoTime::ZERO, false, String::new(), &raw, &known);
    }
}

/// A text as forms write it.
fn form(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let write = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(write).collect()
}

/// A call at a carrier is found by our id and by the carrier's, takes so many messages, in one line
/// with each other, and gives way when others need the room.
#[test]
fn calls_at_carriers() {
    let bounds = CapturesConfig { calls: CALLS, calls_per_organisation: CALLS, keep: None };
    let mut registry = Registry::new(false, bounds);
    let organisation = Uuid::from_u128(7);
    let now = MonoTime::from_nanos(5);
    let (id, configuration) = (Uuid::from_u128(1), Uuid::from_u128(9));
    assert!(!registry.is_armed());
    assert_eq!(registry.takes_web(About::Call(id)), None);
    registry.begin_at_carrier(now, (id, organisation)).unwrap();
    assert_eq!(registry.takes_web(About::Call(id)), Some(id));
    assert_eq!(registry.takes_web(About::AtCarrier(configuration, "CA1")), None);
    registry.known_as(id, configuration, "CA1");
    assert_eq!(registry.takes_web(About::AtCarrier(configuration, "CA1")), Some(id));
    assert_eq!(registry.takes_web(About::AtCarrier(Uuid::nil(), "CA1")), None);
    for n in 0..MESSAGES_MAX {
        assert_eq!(registry.takes_web(About::Call(id)), Some(id), "{n}");
        let url = format!("/{n}");
        registry.web(id, web(&url, (n % 2 == 1).then_some(200), &[], ""));
    }
    assert_eq!(registry.takes_web(About::Call(id)), None, "full");
    registry.web(id, web("/more", None, &[], ""));
    let shown = registry.messages(now, id, 0, usize::MAX).unwrap();
    assert_eq!(shown.len(), MESSAGES_MAX);
    let second = serde_json::to_value(&shown[1]).unwrap();
    for (field, value) in [
        ("sequence", serde_json::json!(2)),
        ("direction", "in".into()),
        ("protocol", "http".into()),
        ("transport", "http".into()),
        ("from", "192.0.2.7".into()),
        ("to", "talkpath".into()),
        ("method", "POST".into()),
        ("path", "/1".into()),
        ("status", 200.into()),
        ("summary", "HTTP/1.1 200 OK".into()),
    ] {
        assert_eq!(second[field], value, "{field}");
    }
    assert!(serde_json::to_value(&shown[0]).unwrap().get("status").is_none());
    assert_eq!(registry.draft(now, id).unwrap().pcap().len(), 24, "no packets");
    registry.end(id, now);
    for n in 1..CALLS {
        let other = Uuid::from_u128(100 + n as u128);
        registry.begin_at_carrier(now, (other, organisation)).unwrap();
    }
    assert!(registry.messages(now, id, 0, 1).is_some());
    registry.begin_at_carrier(now, (Uuid::from_u128(2), organisation)).unwrap();
    assert!(registry.messages(now, id, 0, 1).is_none(), "it gave way");
    assert_eq!(registry.takes_web(About::AtCarrier(configuration, "CA1")), None);
    let more = registry.begin_at_carrier(now, (Uuid::from_u128(3), organisation));
    assert_eq!(more, Err(CaptureError::Full));
}
