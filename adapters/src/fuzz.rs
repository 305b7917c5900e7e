//! What the fuzzers run over every provider: ordinary functions over bytes, also run by the tests.

use http::{HeaderMap, HeaderValue, Method, header};
use media::time::MonoTime;

use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::hook::HookRequest;
use crate::stream::{FrameSlot, Stream, StreamCommand, StreamEvent, StreamStart};
use crate::table::PROVIDERS;
use crate::{audiosocket, media_socket, phone};

/// Room of a slot, in bytes.
const ROOM_BYTES: usize = 4096;

/// Reads `data` as messages of each provider's media stream, and of a web page's: the first byte of
/// a line says if it is text or binary.
///
/// # Panics
///
/// If audio comes out of what holds none, or what is answered is no message.
#[doc(hidden)]
pub fn provider_streams(data: &[u8]) {
    let start = StreamStart { config: RawConfig::default(), call: None };
    let streams = PROVIDERS.iter().filter_map(|spec| Some(spec.stream?(&start)));
    let page = phone::format(phone::RATE_HZ).map(|format| phone::open(format.audio));
    for mut stream in streams.chain(page) {
        read_lines(stream.as_mut(), data);
        let mut out = Vec::new();
        if let Ok(name) = std::str::from_utf8(data)
            && stream.command(StreamCommand::Mark(name), &mut out) == Some(MessageKind::Text)
        {
            assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok(), "no JSON");
        }
    }
}

/// Reads `data` as what a PBX says by its media connection: as messages of AudioSocket, cut as they
/// tell, and line by line as those of a media WebSocket.
///
/// # Panics
///
/// If audio comes out of what holds none, or a command is longer than what is taken.
#[doc(hidden)]
pub fn pbx_media(data: &[u8]) {
    let mut socket = media_socket::open(media_socket::Options { digits: true, format: None });
    read_lines(socket.as_mut(), data);
    let mut out = Vec::new();
    if let Ok(name) = std::str::from_utf8(data)
        && socket.command(StreamCommand::Mark(name), &mut out).is_some()
    {
        assert!(out.len() <= 128 && std::str::from_utf8(&out).is_ok());
    }
    let mut stream = audiosocket::open(audiosocket::Options { digits: true, rate_hz: None });
    let (mut rest, mut kept) = (data, 0);
    while let Some((message, after)) =
        audiosocket::measure(rest).and_then(|length| rest.split_at_checked(length))
    {
        let (mut message, mut room) = (message.to_vec(), [0; 4 * ROOM_BYTES]);
        let mut slot = FrameSlot::new(&mut room);
        kept += message.len();
        let event = stream.decode(MonoTime::ZERO, MessageKind::Binary, &mut message, &mut slot);
        assert!(slot.filled().len() <= kept, "more audio than there was");
        assert!(matches!(event, Ok(StreamEvent::Audio { .. })) || slot.filled().is_empty());
        rest = after;
    }
}

/// Reads each line as a message; tells how many held audio.
fn read_lines(stream: &mut dyn Stream, data: &[u8]) -> usize {
    let mut room = [0; ROOM_BYTES];
    let (mut frames, mut read) = (0, 0);
    for line in data.split(|byte| *byte == b'\n') {
        let kind = match line.first() {
            Some(b'b') => MessageKind::Binary,
            _ => MessageKind::Text,
        };
        let mut message = line.get(1..).unwrap_or_default().to_vec();
        let len = message.len();
        read += len;
        let mut slot = FrameSlot::new(&mut room);
        let event = stream.decode(MonoTime::ZERO, kind, &mut message, &mut slot);
        let is_audio = matches!(event, Ok(StreamEvent::Audio { .. }));
        let mut answer = Vec::new();
        if stream.reply(&mut answer) == Some(MessageKind::Text) {
            assert!(serde_json::from_slice::<serde_json::Value>(&answer).is_ok(), "no JSON");
        }
        assert!(is_audio || slot.filled().is_empty(), "audio of {len} bytes that hold none");
        // Audio of before the start comes with what is next.
        assert!(slot.filled().len() <= read, "more audio than there was");
        frames += usize::from(is_audio);
    }
    frames
}

/// Reads `data` as a request to each provider's hooks: its first line as credentials, its second as
/// the query, the rest as the body.
///
/// # Panics
///
/// If anything is believed without a key.
#[doc(hidden)]
pub fn provider_hooks(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (credentials, query, body) = (next(), next(), next());
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(credentials) {
        headers.insert(header::AUTHORIZATION, value);
    }
    let url = format!("https://t.example/hook?{}", String::from_utf8_lossy(query));
    let config = RawConfig::default();
    for spec in PROVIDERS {
        for method in [Method::POST, Method::GET] {
            let (url, headers, unix_s) = (url.as_str(), &headers, 1_767_225_600);
            let request = HookRequest { method: &method, url, headers, body, unix_s, from: None };
            for hook in spec.hooks {
                assert!((hook.verify)(&request, &config).is_err(), "{}: no key", spec.name);
                assert!((hook.explain)(&request, &config).verdict.is_err());
                let _ = (hook.handle)(&request, &config);
            }
            if let Some(inbound) = spec.inbound {
                let _ = ((inbound.recognise)(&request), (inbound.account)(&request));
                let _ = (inbound.parse)(&request);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{pbx_media, provider_hooks, provider_streams, read_lines};
    use crate::config::RawConfig;
    use crate::stream::StreamStart;
    use crate::table::PROVIDERS;

    const MESSAGES: [&str; 4] = [
        r#"t{"event":"start","streamSid":"MZ1","start":{"streamSid":"MZ1","callSid":"CA1"}}"#,
        r#"t{"event":"media","streamSid":"MZ1","media":{"payload":"//8="}}"#,
        r#"t{"event":"websocket:connected","content-type":"audio/l16;rate=16000"}"#,
        "b\x01\x02",
    ];

    /// Messages as carriers send them, whole and cut off anywhere.
    #[test]
    fn messages_are_survived() {
        let all = MESSAGES.join("\n");
        for len in 0..=all.len() {
            provider_streams(&all.as_bytes()[..len]);
            let hook = format!("Bearer a.b.c\ncall=%41&x\n{}", &all[..len]);
            provider_hooks(hook.as_bytes());
        }
    }

    /// What a PBX says, whole and cut off anywhere.
    #[test]
    fn a_pbx_is_survived() {
        let text = b"tMEDIA_START format:slin channel_id:x\nb\x01\x02\ntMEDIA_XOFF\n";
        let mut bare = crate::audiosocket::first_message([1; 16]).to_vec();
        bare.extend_from_slice(b"\x12\0\x02ab\x12\0\x02cd\x03\0\x015\0\0\0");
        for all in [&text[..], &bare] {
            (0..=all.len()).for_each(|len| pbx_media(&all[..len]));
        }
    }

    /// What fuzzers begin with leads to the audio of every provider's stream.
    #[test]
    fn the_corpus_covers_every_stream() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/provider_streams");
        let files = std::fs::read_dir(folder).unwrap();
        let corpus: Vec<_> = files.map(|it| std::fs::read(it.unwrap().path()).unwrap()).collect();
        for spec in PROVIDERS {
            let Some(open) = spec.stream else { continue };
            let heard = corpus.iter().any(|data| {
                let mut stream = open(&StreamStart { config: RawConfig::default(), call: None });
                read_lines(stream.as_mut(), data) > 0
            });
            assert!(heard, "nothing in fuzz/corpus/provider_streams starts {}", spec.name);
        }
    }

    proptest! {
        /// So is anything else.
        #[test]
        fn anything_is_survived(data in proptest::collection::vec(any::<u8>(), 0..120)) {
            provider_streams(&data);
            provider_hooks(&data);
            pbx_media(&data);
        }
    }
}
