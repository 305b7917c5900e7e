//! The whole dialect: what it says against the carrier's own messages, what it reads of anything.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{SPEC, Stream, fuzz, push_decimal, read};
use crate::agent::{
    AgentCommand, AgentEvent, AgentFrame, AgentInput, Basis, CallState, Dialect, Direction,
    DtmfSource, EndedBy, Framing, MarkStatus, MessageKind, Outbox, StreamFormat, StreamInfo,
};
use crate::dialect::{AGENT_REST, RestOutcome};
use crate::json::scan;
use crate::wire::WireError;
use media::codec::AudioFormat;

const CALL: &str = "019337a1-5c3e-7d4b-9f00-0123456789ab";
const VECTORS_STREAM: &str = "MZcccccccccccccccccccccccccccccccc";

fn vectors() -> Value {
    serde_json::from_str(include_str!("../fixtures/twilio.json")).unwrap()
}

fn info(state: CallState) -> StreamInfo {
    let format = StreamFormat { audio: AudioFormat::PCMU, ptime_ms: 20 };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    StreamInfo {
        call_id: CALL.to_owned(),
        stream: 1,
        direction: Direction::Inbound,
        from: "+15557654321".to_owned(),
        to: "+15551234567".to_owned(),
        provider: "sip_trunk".to_owned(),
        trunk: None,
        state,
        to_agent: format,
        from_agent: format,
        framing: Framing::Rtp,
        variables: vec![pair("session", "s_01"), pair("quote", "a \"b\"\n"), pair("none", "")],
        headers: Vec::new(),
        resumed: false,
        features: Vec::new(),
    }
}

#[derive(Default)]
struct Said(Vec<String>);

impl Outbox for Said {
    fn message(&mut self, kind: MessageKind, bytes: &[u8]) {
        assert_eq!(kind, MessageKind::Text);
        self.0.push(String::from_utf8(bytes.to_vec()).unwrap());
    }
}

impl Said {
    fn only(&mut self) -> Value {
        let message = self.0.pop().unwrap();
        assert!(self.0.is_empty());
        serde_json::from_str(&message).unwrap()
    }
}

/// An open stream of an answered call, past its `start`, and the stream's id.
fn started() -> (Stream, String) {
    let info = info(CallState::Answered);
    let mut stream = Stream::open(&info);
    stream.event(&AgentEvent::Start(&info), &mut Said::default());
    let sid = stream.ids.stream.clone();
    (stream, sid)
}

fn media(stream: &mut Stream, seq: u16, audio: &[u8]) -> String {
    let frame = AgentFrame { seq, ts: u32::from(seq) * 160, marker: false, payload: audio };
    let mut out = Vec::new();
    assert_eq!(stream.audio(&frame, &mut out), MessageKind::Text);
    String::from_utf8(out).unwrap()
}

fn mark(name: &str) -> AgentEvent<'_> {
    let (status, basis) = (MarkStatus::Cleared, Basis::Wire);
    AgentEvent::Mark { name, status, samples: 0, played_ms: 0, basis }
}

fn dtmf(digit: char) -> AgentEvent<'static> {
    AgentEvent::Dtmf { digit, duration_ms: 100, source: DtmfSource::Rtp }
}

fn stop() -> AgentEvent<'static> {
    AgentEvent::Stop { cause: "normal", by: EndedBy::Caller, duration_ms: 1 }
}

/// The shape of a value: its keys, types, and texts that are not ids, so that two messages can be
/// compared whose ids, numbers and parameters differ.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let open = |name: &str| matches!(name, "customParameters");
            let each = |(name, value): (&String, &Value)| {
                (name.clone(), if open(name) { json!({}) } else { shape(value) })
            };
            Value::Object(fields.iter().map(each).collect())
        }
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::String(text) => {
            let id = ["AC", "CA", "MZ"].iter().find(|id| text.starts_with(**id));
            let kind = match id {
                Some(id) if text.len() == 34 => id,
                _ if text.bytes().all(|byte| byte.is_ascii_digit()) => "number",
                _ => text.as_str(),
            };
            Value::String(kind.to_owned())
        }
        other => other.clone(),
    }
}

/// Every message has the fields, types and fixed texts of the carrier's own, and the whole
/// conversation is numbered from 1 after `connected`.
#[test]
fn says_what_the_carrier_says() {
    let vectors = vectors();
    let carrier = &vectors["from_carrier"];
    let info = info(CallState::Answered);
    let mut stream = Stream::open(&info);
    let mut said = Said::default();
    stream.event(&AgentEvent::Start(&info), &mut said);
    let start: Value = serde_json::from_str(&said.0.pop().unwrap()).unwrap();
    assert_eq!(said.only(), carrier["connected"]);
    assert_eq!(shape(&start), shape(&carrier["start"]));
    assert_eq!(
        start["start"]["customParameters"],
        json!({
            "session": "s_01",
            "quote": "a \"b\"\n",
            "from_number": "+15557654321",
            "to_number": "+15551234567",
        })
    );
    assert_eq!(start["start"]["streamSid"], start["streamSid"]);
    assert_eq!(start["start"]["callSid"], "CA019337a15c3e7d4b9f000123456789ab");

    let mut numbers = vec![start["sequenceNumber"].clone()];
    let mut check = |message: Value, wanted: &Value| {
        assert_eq!(shape(&message), shape(wanted));
        assert_eq!(message["streamSid"], start["streamSid"]);
        numbers.push(message["sequenceNumber"].clone());
    };
    for (seq, name) in [(7, "media_silence"), (8, "media_pattern")] {
        let audio = decode(carrier[name]["media"]["payload"].as_str().unwrap());
        let message: Value = serde_json::from_str(&media(&mut stream, seq, &audio)).unwrap();
        assert_eq!(message["media"], carrier[name]["media"]);
        check(message, &carrier[name]);
    }
    stream.event(&dtmf('1'), &mut said);
    check(said.only(), &carrier["dtmf"]);
    stream.event(&mark("utt-0007"), &mut said);
    check(said.only(), &carrier["mark"]);
    stream.event(&stop(), &mut said);
    check(said.only(), &carrier["stop"]);
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6"]);
    // Nothing follows `stop`.
    stream.event(&mark("late"), &mut said);
    assert!(said.0.is_empty());
    assert_eq!(media(&mut stream, 9, &[0; 160]), "");
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

/// The text of media messages is what the carrier sends, down to the order of the fields, and is
/// appended behind what the buffer held.
#[test]
fn media_to_the_byte() {
    let (mut stream, sid) = started();
    let frame = AgentFrame { seq: 65535, ts: 5, marker: true, payload: &[0xff; 3] };
    let mut out = b"head".to_vec();
    stream.audio(&frame, &mut out);
    let wanted = format!(
        "head{{\"event\":\"media\",\"sequenceNumber\":\"2\",\"streamSid\":\"{sid}\",\
         \"media\":{{\"track\":\"inbound\",\"chunk\":\"1\",\"timestamp\":\"0\",\
         \"payload\":\"////\"}}}}"
    );
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
}

/// A call that still rings is not told about until it is answered: no `start`, no audio, no digits.
#[test]
fn start_waits_for_the_answer() {
    for state in [CallState::Ringing, CallState::Early] {
        let info = info(state);
        let mut stream = Stream::open(&info);
        let mut said = Said::default();
        stream.event(&AgentEvent::Start(&info), &mut said);
        assert_eq!(said.only()["event"], "connected");
        stream.event(&AgentEvent::State(CallState::Early), &mut said);
        stream.event(&dtmf('5'), &mut said);
        assert!(said.0.is_empty());
        assert_eq!(media(&mut stream, 1, &[0; 160]), "");
        stream.event(&AgentEvent::State(CallState::Answered), &mut said);
        let start = said.only();
        assert_eq!((&start["event"], &start["sequenceNumber"]), (&json!("start"), &json!("1")));
        stream.event(&AgentEvent::State(CallState::Answered), &mut said);
        assert!(said.0.is_empty());
        assert!(media(&mut stream, 1, &[0; 160]).contains(r#""sequenceNumber":"2""#));
    }
    // A call that ends while it rings has had no stream.
    let info = info(CallState::Ringing);
    let mut stream = Stream::open(&info);
    let mut said = Said::default();
    stream.event(&stop(), &mut said);
    stream.event(&AgentEvent::State(CallState::Answered), &mut said);
    assert!(said.0.is_empty());
}

/// A variable of the user's own keeps its value, and of two with one name the first holds.
#[test]
fn parameters_keep_the_users_values() {
    let mut info = info(CallState::Answered);
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    info.variables = vec![pair("from_number", "mine"), pair("x", "1"), pair("x", "2")];
    info.to = String::new();
    let mut stream = Stream::open(&info);
    let mut said = Said::default();
    stream.event(&AgentEvent::Start(&info), &mut said);
    let start: Value = serde_json::from_str(&said.0.pop().unwrap()).unwrap();
    let wanted = json!({"from_number": "mine", "x": "1"});
    assert_eq!(start["start"]["customParameters"], wanted);
}

/// Whatever was asked for and whatever the caller speaks: µ-law at 8 kHz, both ways, and no
/// subprotocol, as with the carrier.
#[test]
fn one_format() {
    let wide = StreamFormat { audio: AudioFormat::l16le(16_000), ptime_ms: 20 };
    let caller = StreamFormat { audio: AudioFormat::PCMA, ptime_ms: 30 };
    let stream = (SPEC.open)(&info(CallState::Answered));
    let (to, from) = stream.formats(Some(wide), caller);
    assert_eq!((to.audio, from.audio), (AudioFormat::PCMU, AudioFormat::PCMU));
    assert_eq!(to.ptime_ms, 30);
    assert_eq!(SPEC.subprotocol, None);
}

/// What agents send to the carrier is understood, in any spelling of JSON: order, white space,
/// further fields, escapes.
#[test]
fn reads_what_agents_send() {
    let vectors = vectors();
    let to = &vectors["to_carrier"];
    let silence = [0xff; 160];
    let payload = to["media"]["media"]["payload"].as_str().unwrap();
    let sid = VECTORS_STREAM;
    let escaped = payload.replace('/', "\\/");
    for text in [
        to["media"].to_string(),
        serde_json::to_string_pretty(&to["media"]).unwrap(),
        format!(r#"{{"media":{{"payload":"{payload}"}},"streamSid":"{sid}","event":"media"}}"#),
        format!(
            "\n{{ \"event\": \"media\", \"streamSid\": \"{sid}\", \
             \"media\": {{\"payload\": \"{payload}\"}}}} "
        ),
        format!(
            r#"{{"event":"media","streamSid":"{sid}","sequenceNumber":12,"last":true,"z":null,
                "media":{{"track":"outbound","chunk":"1","timestamp":0,"payload":"{payload}"}}}}"#
        ),
        format!(
            r#"{{"event":"media","streamSid":"{sid}","x":{{"y":[1,{{}}]}},
                "media":{{"payload":"{payload}","ü":-1.5e3}}}}"#
        ),
        format!(r#"{{"event":"media","streamSid":"{sid}","media":{{"payload":"{escaped}"}}}}"#),
        format!(
            r#"{{"event":"\u006dedia","streamSid":"{sid}","media":{{"payload":"{payload}"}}}}"#
        ),
    ] {
        let mut message = text.clone().into_bytes();
        assert_eq!(read::text(sid, &mut message), Ok(AgentInput::Audio(&silence)), "{text}");
        fuzz(text.as_bytes());
    }
    let read = |value: &Value| match read::text(sid, &mut value.to_string().into_bytes()) {
        Ok(AgentInput::Command(command)) => command,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(&to["mark"]), AgentCommand::Mark { name: "utt-0007".to_owned() });
    assert_eq!(read(&to["clear"]), AgentCommand::Clear);
    let odd = json!({"event": "mark", "streamSid": sid, "mark": {"name": "ü \"\n"}, "x": []});
    assert_eq!(read(&odd), AgentCommand::Mark { name: "ü \"\n".to_owned() });
}

/// The plain forms, which are all that libraries write, never reach the full parser.
#[test]
fn usual_forms_take_the_quick_way() {
    let vectors = vectors();
    let media = &vectors["to_carrier"]["media"];
    let python = media.to_string().replace("\":", "\": ").replace(",\"", ", \"");
    for text in [media.to_string(), python, serde_json::to_string_pretty(media).unwrap()] {
        assert!(scan::media(text.as_bytes(), b"streamSid").is_some(), "{text}");
    }
    for message in vectors["from_carrier"].as_object().unwrap().values() {
        let quick = scan::media(message.to_string().as_bytes(), b"streamSid").is_some();
        assert_eq!(quick, message["event"] == "media", "{message}");
    }
}

/// Each malformed message of the vectors does what they say: refused by name of the field, or
/// ignored, or accepted.
#[test]
fn malformed_messages() {
    let vectors = vectors();
    let mut seen = 0;
    for case in vectors["malformed"].as_array().unwrap() {
        let frame = &case["frame"];
        let text = frame.as_str().map_or_else(|| frame.to_string(), str::to_owned);
        let mut message = text.clone().into_bytes();
        let got = read::text(VECTORS_STREAM, &mut message);
        match case["id"].as_str().unwrap() {
            "not-json" => assert!(matches!(got, Err(WireError::BadJson(_)))),
            "no-event" => assert_eq!(field(got), Some("event")),
            "bad-base64" => assert_eq!(field(got), Some("media.payload")),
            "unknown-event" | "empty-payload" | "unknown-dtmf-digit" => {
                assert_eq!(got, Ok(AgentInput::Nothing));
            }
            "odd-size-payload" | "sequence-number-as-integer" => {
                assert!(matches!(got, Ok(AgentInput::Audio(_))), "{got:?}");
            }
            other => panic!("{other} is new"),
        }
        fuzz(text.as_bytes());
        seen += 1;
    }
    assert_eq!(seen, 8);
}

fn field(got: Result<AgentInput<'_>, WireError>) -> Option<&'static str> {
    match got {
        Err(WireError::BadField { field, .. }) => Some(field),
        _ => None,
    }
}

/// What is missing, of a wrong type, or of another stream is refused by name; an agent that mixes
/// up its calls is not heard on this one.
#[test]
fn refusals_name_the_field() {
    let (mut stream, sid) = started();
    let other = VECTORS_STREAM;
    for (text, wanted) in [
        (json!({"event": 5}), "event"),
        (json!({"event": "clear"}), "streamSid"),
        (json!({"event": "clear", "streamSid": other}), "streamSid"),
        (json!({"event": "clear", "streamSid": 1}), "streamSid"),
        (json!({"event": "media", "streamSid": other, "media": {"payload": ""}}), "streamSid"),
        (json!({"event": "media", "media": {"payload": ""}}), "streamSid"),
        (json!({"event": "mark", "media": {}}), "streamSid"),
        (json!({"event": "media", "streamSid": sid}), "media.payload"),
        (json!({"event": "media", "streamSid": sid, "media": {}}), "media.payload"),
        (json!({"event": "media", "streamSid": sid, "media": [""]}), "media.payload"),
        (json!({"event": "media", "streamSid": sid, "media": {"payload": 1}}), "media.payload"),
        (json!({"event": "mark", "streamSid": sid}), "mark.name"),
        (json!({"event": "mark", "streamSid": sid, "mark": {"name": null}}), "mark.name"),
    ] {
        let mut message = text.to_string().into_bytes();
        let got = stream.read(MessageKind::Text, &mut message);
        assert_eq!(field(got), Some(wanted), "{text}");
    }
    // White space belongs to a string and may not stand there as it is.
    let tab = "{\"event\":\"media\",\"streamSid\":\"MZ\",\"media\":{\"payload\":\"AAAA\t\"}}";
    for text in [tab, "", " ", "[]", "1", "\"media\"", "{", "{}}", "[\"media\"]", "{\"a\":1,}"] {
        let mut message = text.as_bytes().to_vec();
        let got = stream.read(MessageKind::Text, &mut message);
        assert!(matches!(got, Err(WireError::BadJson(_))), "{text}: {got:?}");
    }
    let mut binary = [0; 172];
    let got = stream.read(MessageKind::Binary, &mut binary);
    assert!(matches!(got, Err(WireError::BadFrame(_))));
}

/// What we write for audio of any length, a reader of the same dialect gets back, in place.
#[test]
fn decode_of_encode_is_the_identity() {
    let (mut stream, sid) = started();
    for len in (1..=700).chain([8_000, 48_000]) {
        let audio: Vec<u8> = (0..len).map(|i| (i * 11 + len) as u8).collect();
        let mut message = media(&mut stream, len as u16, &audio).into_bytes();
        let got = stream.read(MessageKind::Text, &mut message);
        assert_eq!(got, Ok(AgentInput::Audio(&audio)), "{len} on {sid}");
    }
    assert_eq!(
        read::text(&sid, media(&mut stream, 1, &[]).into_bytes().as_mut_slice()),
        Ok(AgentInput::Nothing)
    );
}

/// A message cut anywhere is an error, never audio and never a panic.
#[test]
fn truncation_at_every_length() {
    let vectors = vectors();
    let messages = ["to_carrier", "from_carrier"].map(|side| vectors[side].as_object().unwrap());
    for message in messages.into_iter().flat_map(|side| side.values()) {
        let text = message.to_string().into_bytes();
        for len in 0..text.len() {
            let mut cut = text[..len].to_vec();
            let got = read::text(VECTORS_STREAM, &mut cut);
            assert!(matches!(got, Err(WireError::BadJson(_))), "{len}: {got:?}");
            fuzz(&text[..len]);
        }
    }
}

/// The hang-up that agents of the carrier make leads to our call, and is answered in the carrier's
/// form: done, ended before, refused.
#[test]
fn hang_up_request() {
    let rest = &AGENT_REST[0];
    let ids = super::Ids::of(CALL, 1);
    let path = format!("/2010-04-01/Accounts/{}/Calls/{}.json", ids.account, ids.call);
    assert_eq!(rest.method, "POST");
    for body in
        ["Status=completed", "a=b&Status=completed", "Status=canceled", "%53tatus=comp%6ceted"]
    {
        let hangup = (rest.read)(&path, body.as_bytes()).unwrap();
        assert_eq!(hangup.call_id, CALL);
        let done = (rest.answer)(&hangup, RestOutcome::Ended);
        let body: Value = serde_json::from_slice(&done.body).unwrap();
        assert_eq!((done.status.as_u16(), done.content_type), (200, "application/json"));
        assert_eq!((&body["sid"], &body["status"]), (&json!(ids.call), &json!("completed")));
        assert_eq!((&body["account_sid"], &body["uri"]), (&json!(ids.account), &json!(path)));
        let gone = (rest.answer)(&hangup, RestOutcome::NoSuchCall);
        let wanted = vectors()["rest"][1]["response"]["json"].clone();
        let body: Value = serde_json::from_slice(&gone.body).unwrap();
        assert_eq!((gone.status.as_u16(), &body["code"]), (404, &json!(20404)));
        assert!(body.as_object().unwrap().keys().eq(wanted.as_object().unwrap().keys()));
        assert_eq!(
            (&body["status"], &body["more_info"]),
            (&wanted["status"], &wanted["more_info"])
        );
    }
    for body in
        ["", "Status", "Status=in-progress", "status=completed", "Url=x", "Status=completed%"]
    {
        let refused = (rest.read)(&path, body.as_bytes()).unwrap_err();
        assert_eq!(refused.status.as_u16(), 400, "{body}");
    }
    for path in [
        "",
        "/2010-04-01/Accounts/AC/Calls/CA.json",
        &path.replace(".json", ""),
        &path.replace("2010", "2011"),
        &path.replace("AC", "A%C"),
        &format!("{path}/Streams.json"),
    ] {
        let refused = (rest.read)(path, b"Status=completed").unwrap_err();
        assert_eq!(refused.status.as_u16(), 404, "{path}");
    }
    assert_eq!((rest.unauthorized)().status.as_u16(), 401);
}

/// Numbers are written as the standard library writes them.
#[test]
fn decimals() {
    for number in [0, 1, 9, 10, 99, 100, 12345, u64::from(u32::MAX), u64::MAX - 1, u64::MAX] {
        let mut out = b"x".to_vec();
        push_decimal(&mut out, number);
        assert_eq!(out, format!("x{number}").as_bytes());
    }
}

/// JSON of the kind that messages are made of, with the words that mean something here.
fn json_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("event".to_owned()),
        Just("media".to_owned()),
        Just("streamSid".to_owned()),
        Just("payload".to_owned()),
        Just(VECTORS_STREAM.to_owned()),
        Just("AAAA".to_owned()),
        Just("////\\u0041AAA".to_owned()),
        "[a-zA-Z0-9+/=]{0,70}",
        "\\PC{0,5}".prop_map(|text| text.replace(['"', '\\'], "")),
    ];
    let plain = prop_oneof![
        word.clone().prop_map(|word| format!("\"{word}\"")),
        "(-?[0-9]{1,20}|[0-9]\\.[0-9]|true|false|null|tru|1e5)",
    ];
    let space = "[ \t\n\r]{0,2}";
    plain.prop_recursive(3, 16, 5, move |inner| {
        let key = prop_oneof![
            3 => Just("\"event\"".to_owned()),
            3 => Just("\"media\"".to_owned()),
            3 => Just("\"streamSid\"".to_owned()),
            3 => Just("\"payload\"".to_owned()),
            1 => word.clone().prop_map(|word| format!("\"{word}\"")),
        ];
        proptest::collection::vec((space, key, inner, space), 0..5).prop_map(|fields| {
            let fields =
                fields.iter().map(|(a, key, value, b)| format!("{a}{key}{b}:{a}{value}{b}"));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        })
    })
}

/// A valid media message, its fields in any order, among others.
fn media_text() -> impl Strategy<Value = String> {
    let audio = proptest::collection::vec(any::<u8>(), 0..700);
    let other = ("[a-z]{1,4}", prop_oneof!["\"[ -!#-\\[\\]-~]{0,40}\"", "[0-9]{1,17}", "\"é\""]);
    (audio, proptest::collection::vec(other, 0..3), any::<u64>()).prop_map(
        |(audio, others, order)| {
            let mut text = Vec::new();
            super::base64::append(&mut text, &audio);
            let payload = String::from_utf8(text).unwrap();
            let mut fields = vec![
                "\"event\":\"media\"".to_owned(),
                format!("\"streamSid\":\"{VECTORS_STREAM}\""),
                format!("\"media\":{{\"payload\":\"{payload}\"}}"),
            ];
            fields.extend(others.iter().map(|(name, value)| format!("\"{name}\": {value}")));
            let turn = order as usize % fields.len();
            fields.rotate_left(turn);
            format!("{{{}}}", fields.join(","))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// The quick way and the full parser make the same of anything that looks like JSON.
    #[test]
    fn quick_equals_full_on_json(text in json_text()) {
        fuzz(text.as_bytes());
    }

    /// The same for real media messages, whole and with one byte changed, added or taken away.
    #[test]
    fn quick_equals_full_on_media(text in media_text(), at in any::<usize>(), byte in any::<u8>()) {
        let text = text.into_bytes();
        fuzz(&text);
        let at = at % text.len();
        let mut changed = text.clone();
        changed[at] = byte;
        fuzz(&changed);
        changed.remove(at);
        fuzz(&changed);
        let mut longer = text;
        longer.insert(at, byte);
        fuzz(&longer);
    }

    /// And for bytes of no kind.
    #[test]
    fn quick_equals_full_on_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        fuzz(&bytes);
    }
}
