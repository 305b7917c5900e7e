use proptest::prelude::*;

use super::super::fuzz;
use super::*;

fn message(name: &str, body: &str) -> String {
    format!("OPTIONS sip:{name}@h SIP/2.0\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// What a stream in one piece yields, as short text.
fn items(stream: &str) -> (Vec<String>, Result<(), StreamError>) {
    let mut decoder = StreamDecoder::new();
    decoder.push(stream.as_bytes());
    let mut items = Vec::new();
    loop {
        items.push(match decoder.next() {
            Ok(None) => return (items, Ok(())),
            Err(error) => {
                assert_eq!(decoder.next().unwrap_err(), error);
                assert_eq!(decoder.buffered_bytes(), 0);
                return (items, Err(error));
            }
            Ok(Some(StreamItem::Ping)) => "ping".to_owned(),
            Ok(Some(StreamItem::Pong)) => "pong".to_owned(),
            Ok(Some(StreamItem::Malformed(error))) => error.to_string(),
            Ok(Some(StreamItem::Message(message))) => {
                let body = String::from_utf8_lossy(message.body()).into_owned();
                format!("{} {body}", message.uri().unwrap_or_default())
            }
        });
    }
}

/// Messages follow each other without separators, with bodies and without.
#[test]
fn messages() {
    let stream = [message("a", ""), message("b", "body\r\n\r\n"), message("c", "")].concat();
    let (items, end) = items(&stream);
    assert_eq!(items, ["sip:a@h ", "sip:b@h body\r\n\r\n", "sip:c@h "]);
    assert_eq!(end, Ok(()));
}

/// Keep-alives between messages (RFC 5626 section 3.5.1): CR LF twice is a ping, once is a pong or
/// the line end that RFC 3261 section 7.5 lets pass.
#[test]
fn keep_alives() {
    let one = message("a", "");
    assert_eq!(items("\r\n\r\n").0, ["pong", "ping"]);
    assert_eq!(
        items(&format!("\r\n\r\n\r\n{one}\r\n")).0,
        ["pong", "ping", "pong", "sip:a@h ", "pong"]
    );
    assert_eq!(items(&format!("\r\n{one}\r\n{one}")).0, ["pong", "sip:a@h ", "pong", "sip:a@h "]);
    assert_eq!(items(&format!("\n\n\n{one}")).0, ["sip:a@h "]);
    assert_eq!(items("\r").0, [""; 0]);
}

/// A stream needs a Content-Length that can be trusted, or the next message cannot be found.
#[test]
fn content_lengths() {
    let with = |headers: &str| items(&format!("OPTIONS sip:a@h SIP/2.0\r\n{headers}\r\nabc"));
    assert_eq!(with("").1, Err(StreamError::NoContentLength));
    assert_eq!(with("Content-Length: x\r\n").1, Err(StreamError::ContentLength));
    assert_eq!(with("Content-Length: -1\r\n").1, Err(StreamError::ContentLength));
    assert_eq!(with("l: 3\r\nContent-Length: 2\r\n").1, Err(StreamError::ContentLength));
    assert_eq!(with("l: 3\r\n 0\r\n").1, Err(StreamError::ContentLength));
    // A name that is folded away from its colon is a field to whoever reads the message.
    for folded in ["Content-Length\r\n : 3\r\n", "l \r\n\t\r\n : 3\r\nl: 3\r\n", "l\n :x\r\nl:3\n"]
    {
        assert_eq!(with(folded).1, Err(StreamError::ContentLength), "{folded:?}");
    }
    // A form feed is no blank of SIP, whatever other readers make of it.
    assert_eq!(with("l: 0\x0c\r\n").1, Err(StreamError::ContentLength));
    assert_eq!(with("l: 18446744073709551616\r\n").1, Err(StreamError::ContentLength));
    assert_eq!(with("l: 18446744073709551615\r\n").1, Err(StreamError::TooLarge));
    assert_eq!(with("l: 65536\r\n").1, Err(StreamError::TooLarge));
    for good in [
        "l:3\r\n",
        "CONTENT-length \t: 003\r\n",
        "l:\r\n 3\r\n",
        "l: 3\r\n \r\n",
        "l: 3\r\nl: 3\r\n",
    ] {
        assert_eq!(with(good).0, ["sip:a@h abc"], "{good}");
    }
}

/// Neither header nor message may grow without bound.
#[test]
fn limits() {
    let long = format!("OPTIONS sip:a@h SIP/2.0\r\n{}", "x: y\r\n".repeat(HEAD_BYTES_MAX / 6));
    assert_eq!(items(&long).1, Err(StreamError::HeadTooLong));
    assert_eq!(items(&format!("{long}\r\n")).1, Err(StreamError::HeadTooLong));
    let fitting = message("a", &"b".repeat(MESSAGE_BYTES_MAX - 100));
    assert_eq!(items(&fitting).0.len(), 1);
}

/// A message that cannot be read does not end a stream whose framing is sound.
#[test]
fn malformed_messages() {
    let good = message("a", "");
    let stream = format!("GET / HTTP/1.1\r\nContent-Length: 2\r\n\r\nxx{good}");
    assert_eq!(items(&stream).0, ["the start line is not SIP", "sip:a@h "]);
}

/// A connection that is idle after a large message does not keep its buffer.
#[test]
fn idle_memory() {
    let mut decoder = StreamDecoder::new();
    decoder.push(message("a", &"b".repeat(50_000)).as_bytes());
    assert!(matches!(decoder.next(), Ok(Some(StreamItem::Message(_)))));
    decoder.push(b"\r\n");
    assert!(decoder.buffer.capacity() <= IDLE_BYTES_MAX);
}

proptest! {
    /// How a stream is cut into reads changes nothing.
    #[test]
    fn pieces(
        parts in proptest::collection::vec(
            prop_oneof![
                "[a-z]{0,40}".prop_map(|body| message("a", &body)),
                Just("\r\n".to_owned()),
                Just("\n".to_owned()),
                "[A-Za-z: \r\n]{0,12}",
            ],
            0..8,
        ),
        size in any::<u8>(),
    ) {
        let mut stream = vec![size];
        stream.extend_from_slice(parts.concat().as_bytes());
        fuzz::sip_stream(&stream);
    }

    /// Random octets never panic.
    #[test]
    fn random_octets(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz::sip_stream(&octets);
    }
}
