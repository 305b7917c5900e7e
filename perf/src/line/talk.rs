//! Messages of the carrier's media stream: JSON in text messages, µ-law in base64.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What stands before the payload of a media message.
const PAYLOAD: &[u8] = br#""payload":""#;

/// One stream, as the carrier speaks it.
pub(crate) struct Talk {
    account: String,
    call: String,
    stream: String,
    /// Messages said so far.
    said: u32,
    /// Frames said so far.
    chunks: u32,
    base64: String,
}

impl Talk {
    /// The stream of a call.
    pub(crate) fn new(account: &str, call: &str) -> Self {
        let stream = format!("MZ{}", call.get(2..).unwrap_or_default());
        let (account, call) = (account.to_owned(), call.to_owned());
        Self { account, call, stream, said: 0, chunks: 0, base64: String::new() }
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

    /// Writes the next 20 ms of audio over `out`.
    pub(crate) fn media(&mut self, audio: &[u8], out: &mut Vec<u8>) {
        self.said += 1;
        self.chunks += 1;
        self.base64.clear();
        STANDARD.encode_string(audio, &mut self.base64);
        let Self { said, chunks, stream, base64, .. } = self;
        let at_ms = *chunks * 20;
        out.clear();
        // A vector takes whatever is written.
        let _ = write!(
            out,
            r#"{{"event":"media","sequenceNumber":"{said}","media":{{"track":"inbound","#
        );
        let _ = write!(out, r#""chunk":"{chunks}","timestamp":"{at_ms}","payload":"{base64}""#);
        let _ = write!(out, r#"}},"streamSid":"{stream}"}}"#);
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

/// Puts the audio of a message over `audio`; false if the message has none, or what it has is not
/// base64.
pub(crate) fn heard(message: &[u8], audio: &mut Vec<u8>) -> bool {
    audio.clear();
    let find = |text: &[u8], wanted: &[u8]| text.windows(wanted.len()).position(|at| at == wanted);
    let payload = find(message, PAYLOAD).and_then(|at| message.get(at + PAYLOAD.len()..));
    let payload = payload.and_then(|rest| rest.split(|byte| *byte == b'"').next());
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
    }
}
