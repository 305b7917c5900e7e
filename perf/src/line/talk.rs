//! What is said on a media socket, in the words of the carrier: JSON with audio in base64, or audio
//! as it is.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What names the payload of a media message.
const PAYLOAD: &[u8] = br#""payload""#;

/// What streams are called in the messages of the carriers.
#[cfg(feature = "carriers")]
const STREAMS: [&str; 4] = ["streamSid", "stream_id", "streamId", "stream_sid"];

/// What messages are numbered by.
#[cfg(feature = "carriers")]
const NUMBERS: [&str; 2] = ["sequenceNumber", "sequence_number"];

/// Milliseconds of a frame.
const FRAME_MS: u64 = 20;

/// Frames in a message of a carrier whose messages are long.
const LONG_FRAMES: usize = 5;

/// Frames in a message to a carrier that bears five of them a second.
const SESSION_FRAMES: usize = 10;

/// Bytes of µ-law in a frame, and of linear audio at 8 and at 16 kHz.
const ULAW_BYTES: usize = 160;
const LINEAR_BYTES: usize = 320;
const WIDE_BYTES: usize = 640;

/// How audio is put into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "carriers"), expect(dead_code, reason = "some are carriers' alone"))]
pub(crate) enum Dialect {
    /// `media` both ways, fields in camel case.
    Streams,
    /// `media` both ways, fields in snake case.
    Snake,
    /// `media` both ways, fields in snake case, linear audio at 8 kHz, several frames a message.
    Long,
    /// `media` to the server, `playAudio` from there.
    PlayAudio,
    /// Binary messages of linear audio at 16 kHz.
    Wide,
    /// Binary messages of µ-law, text for everything else: the media WebSocket of a PBX.
    Media,
    /// Binary messages of µ-law, and a conversation in text: each side answers what the other says.
    Session,
    /// No WebSocket but messages with a kind and a length: AudioSocket, linear at 8 kHz.
    AudioSocket,
}

impl Dialect {
    /// That of a carrier with an emulator.
    #[cfg(feature = "carriers")]
    pub(crate) fn of_carrier(name: &str) -> Option<Self> {
        match name {
            "twilio" | "cloudonix" => Some(Self::Streams),
            "telnyx" => Some(Self::Snake),
            "exotel" => Some(Self::Long),
            "genesys" => Some(Self::Session),
            "plivo" | "vobiz" => Some(Self::PlayAudio),
            "vonage" => Some(Self::Wide),
            _ => None,
        }
    }

    /// Bytes of audio in a frame.
    pub(crate) const fn frame_bytes(self) -> usize {
        match self {
            Self::Streams | Self::Snake | Self::PlayAudio | Self::Media | Self::Session => {
                ULAW_BYTES
            }
            Self::AudioSocket | Self::Long => LINEAR_BYTES,
            Self::Wide => WIDE_BYTES,
        }
    }

    /// Frames that travel together, in a message of the carrier's or in one to it.
    pub(crate) const fn together(self) -> usize {
        match self {
            Self::Long => LONG_FRAMES,
            Self::Session => SESSION_FRAMES,
            _ => 1,
        }
    }

    /// True if audio is linear, whose silence is zero.
    pub(crate) const fn is_linear(self) -> bool {
        matches!(self, Self::Wide | Self::AudioSocket | Self::Long)
    }

    /// True if audio travels as it is, not as text.
    pub(crate) const fn is_binary(self) -> bool {
        matches!(self, Self::Wide | Self::Media | Self::Session | Self::AudioSocket)
    }

    /// True if what the server says in text is the carrier's to hear.
    pub(crate) const fn is_session(self) -> bool {
        matches!(self, Self::Session)
    }
}

/// Who hears what the server says in text.
pub(crate) type Listener = Box<dyn Fn(&[u8]) + Send>;

/// One stream, as the carrier speaks it.
pub(crate) struct Talk {
    dialect: Dialect,
    account: String,
    call: String,
    stream: String,
    /// Messages said so far, or the number of the last of them.
    said: u32,
    /// Messages with audio said so far.
    chunks: u32,
    base64: String,
    /// The carrier, where the stream is a conversation.
    listener: Option<Listener>,
}

impl Talk {
    /// The stream of a call of the most common carrier.
    pub(crate) fn new(account: &str, call: &str) -> Self {
        Self::plain(Dialect::Streams, account, call)
    }

    /// A stream whose opening nobody else says.
    pub(crate) fn plain(dialect: Dialect, account: &str, call: &str) -> Self {
        let stream = format!("MZ{}", call.get(2..).unwrap_or_default());
        let (account, call) = (account.to_owned(), call.to_owned());
        let (base64, listener) = (String::new(), None);
        Self { dialect, account, call, stream, said: 0, chunks: 0, base64, listener }
    }

    /// A stream that has been opened with this message, which names and numbers it.
    #[cfg(feature = "carriers")]
    pub(crate) fn opened(dialect: Dialect, opening: &str) -> Self {
        let mut talk = Self::plain(dialect, "", "");
        let found = |names: &[&str]| names.iter().find_map(|name| value(opening, name));
        talk.stream = found(&STREAMS).unwrap_or_default().to_owned();
        talk.said = found(&NUMBERS).and_then(|number| number.parse().ok()).unwrap_or(0);
        talk
    }

    /// The same with somebody who hears what the server says in text.
    #[cfg(feature = "carriers")]
    pub(crate) fn heard_by(mut self, listener: Listener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// The server says this in text.
    pub(crate) fn tell(&self, text: &[u8]) {
        if let Some(listener) = &self.listener {
            listener(text);
        }
    }

    /// How it is spoken.
    pub(crate) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The first two messages: nothing is heard before them.
    pub(crate) fn opening(&mut self) -> [String; 2] {
        let Self { account, call, stream, .. } = self;
        let start = serde_json::json!({
            "event": "start", "sequenceNumber": "1", "streamSid": stream,
            "start": {
                "accountSid": account, "streamSid": stream, "callSid": call, "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {},
            },
        });
        self.said = 1;
        let connected = r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#;
        [connected.to_owned(), start.to_string()]
    }

    /// Writes the next message with audio over `out`.
    pub(crate) fn media(&mut self, audio: &[u8], out: &mut Vec<u8>) {
        out.clear();
        if self.dialect.is_binary() {
            out.extend_from_slice(audio);
            return;
        }
        self.said += 1;
        self.chunks += 1;
        self.base64.clear();
        STANDARD.encode_string(audio, &mut self.base64);
        let Self { dialect, said, chunks, stream, base64, .. } = self;
        let at_ms = u64::from(*chunks) * FRAME_MS * dialect.together() as u64;
        let mut put = |text: std::fmt::Arguments<'_>| {
            // A vector takes whatever is written.
            let _ = out.write_fmt(text);
        };
        match dialect {
            Dialect::Snake => {
                put(format_args!(r#"{{"event":"media","media":{{"chunk":"{chunks}","#));
                put(format_args!(r#""payload":"{base64}","timestamp":"{at_ms}","#));
                put(format_args!(r#""track":"inbound"}},"sequence_number":"{said}","#));
                put(format_args!(r#""stream_id":"{stream}"}}"#));
            }
            Dialect::Long => {
                put(format_args!(r#"{{"event":"media","media":{{"chunk":"{chunks}","#));
                put(format_args!(r#""payload":"{base64}","timestamp":"{at_ms}"}},"#));
                put(format_args!(r#""sequence_number":"{said}","stream_sid":"{stream}"}}"#));
            }
            Dialect::PlayAudio => {
                put(format_args!(r#"{{"sequenceNumber":{said},"streamId":"{stream}","#));
                put(format_args!(r#""event":"media","media":{{"track":"inbound","#));
                put(format_args!(r#""timestamp":"{at_ms}","chunk":{chunks},"#));
                put(format_args!(r#""payload":"{base64}"}},"extra_headers":"{{}}"}}"#));
            }
            _ => {
                put(format_args!(r#"{{"event":"media","sequenceNumber":"{said}","#));
                put(format_args!(r#""media":{{"track":"inbound","chunk":"{chunks}","#));
                put(format_args!(r#""timestamp":"{at_ms}","payload":"{base64}"}},"#));
                put(format_args!(r#""streamSid":"{stream}"}}"#));
            }
        }
    }

    /// The last message.
    pub(crate) fn stop(&mut self) -> String {
        self.said += 1;
        let Self { account, call, stream, said, .. } = self;
        serde_json::json!({
            "event": "stop", "sequenceNumber": said.to_string(), "streamSid": stream,
            "stop": {"accountSid": account, "callSid": call},
        })
        .to_string()
    }
}

/// What the first field of that name has in a JSON text: a string without escapes, or a number.
#[cfg(feature = "carriers")]
fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("\"{name}\":"))?;
    let rest = rest.trim_start();
    match rest.strip_prefix('"') {
        Some(string) => string.split_once('"').map(|(value, _)| value),
        None => rest.split([',', '}']).next().map(str::trim),
    }
}

/// Puts the audio of a message over `audio`; false if the message has none, or what it has is not
/// base64.
pub(crate) fn heard(message: &[u8], audio: &mut Vec<u8>) -> bool {
    audio.clear();
    let named = message.windows(PAYLOAD.len()).position(|at| at == PAYLOAD);
    let rest = named.and_then(|at| message.get(at + PAYLOAD.len()..)).unwrap_or_default();
    // Some writers of JSON leave room behind the colon.
    let value = rest.trim_ascii_start().strip_prefix(b":").map(<[u8]>::trim_ascii_start);
    let text = value.and_then(|value| value.strip_prefix(b"\""));
    let payload = text.and_then(|text| text.split(|byte| *byte == b'"').next());
    payload.is_some_and(|text| STANDARD.decode_vec(text, audio).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said is JSON as the carrier documents it, numbered without gaps, and is heard as it
    /// was.
    #[test]
    fn messages_are_whole() {
        let mut talk = Talk::new("AC1", "CA2");
        let [connected, start] = talk.opening();
        assert!(connected.contains("\"connected\"") && start.contains("\"MZ2\""));
        let (mut out, mut audio) = (Vec::new(), Vec::new());
        for chunk in 1..4u8 {
            talk.media(&[chunk; 160], &mut out);
            let message: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            assert_eq!(message["sequenceNumber"], (chunk + 1).to_string());
            assert_eq!(message["media"]["chunk"], chunk.to_string());
            assert_eq!(message["media"]["timestamp"], (u32::from(chunk) * 20).to_string());
            assert_eq!(message["streamSid"], "MZ2");
            assert!(heard(&out, &mut audio) && audio == [chunk; 160]);
        }
        assert!(talk.stop().contains("\"5\""));
        assert!(!heard(br#"{"event":"clear"}"#, &mut audio) && audio.is_empty());
        assert!(!heard(br#"{"media":{"payload":"%"}}"#, &mut audio));
        assert!(heard(br#"{"media": {"payload" : "AQI="}}"#, &mut audio) && audio == [1, 2]);
    }

    /// Whoever opened a stream has named and numbered it: what is said goes on from there, in its
    /// own words.
    #[test]
    #[cfg(feature = "carriers")]
    fn goes_on_from_an_opening() {
        let cases = [
            (Dialect::Streams, r#"{"sequenceNumber":"1","streamSid":"MZ9"}"#, "streamSid", 2),
            (Dialect::Snake, r#"{"sequence_number": "1", "stream_id": "MZ9"}"#, "stream_id", 2),
            (Dialect::Long, r#"{"sequence_number":1,"stream_sid":"MZ9"}"#, "stream_sid", 2),
            (
                Dialect::PlayAudio,
                r#"{"start":{"streamId":"MZ9"},"sequenceNumber":0}"#,
                "streamId",
                1,
            ),
        ];
        for (dialect, opening, name, next) in cases {
            let mut talk = Talk::opened(dialect, opening);
            let (mut out, mut audio) = (Vec::new(), Vec::new());
            talk.media(&[7; 160], &mut out);
            let message: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
            assert_eq!((&message[name], &message["event"]), (&"MZ9".into(), &"media".into()));
            let said = NUMBERS.iter().find_map(|number| message.get(number)).expect("a number");
            assert_eq!(said.to_string().trim_matches('"'), next.to_string());
            assert!(heard(&out, &mut audio) && audio == [7; 160]);
        }
        let mut wide = Talk::opened(Dialect::Wide, r#"{"event":"websocket:connected"}"#);
        let mut out = vec![1];
        wide.media(&[2; 640], &mut out);
        assert_eq!(out, [2; 640]);
    }

    /// Each carrier that is known has a dialect, whose frames last 20 ms.
    #[test]
    #[cfg(feature = "carriers")]
    fn carriers_have_dialects() {
        for name in
            ["cloudonix", "exotel", "genesys", "plivo", "telnyx", "twilio", "vobiz", "vonage"]
        {
            let dialect = Dialect::of_carrier(name).expect(name);
            assert_eq!(dialect.is_linear(), matches!(name, "exotel" | "vonage"));
            assert_eq!(dialect.is_session(), name == "genesys");
            assert_eq!(dialect.frame_bytes() % 160, 0);
        }
        assert_eq!(Dialect::of_carrier("acme"), None);
    }
}
