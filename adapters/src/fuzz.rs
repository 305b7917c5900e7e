//! What the fuzzers run: an ordinary function over bytes, also run by the tests.

use http::{HeaderMap, HeaderValue, Method};
use media::time::MonoTime;

use crate::agent::MessageKind;
use crate::config::RawConfig;
use crate::hook::HookRequest;
use crate::spec::ProviderSpec;
use crate::stream::{FrameSlot, StreamCommand, StreamEvent, StreamStart};
use crate::table::{PROVIDERS, recognise};

/// Room of a slot, in bytes.
const ROOM_BYTES: usize = 4096;

/// Reads `data` as what a carrier sends: the first byte says which carrier, the second whether it
/// is messages of its stream, separated by NUL, or a request, whose query is the first line.
///
/// # Panics
///
/// If audio is told of that is not there, or if a message makes more of it than it has bytes.
pub fn adapter_decode(data: &[u8]) {
    let [provider, way, rest @ ..] = data else { return };
    let at = usize::from(*provider) % PROVIDERS.len();
    let Some(spec) = PROVIDERS.get(at) else { return };
    if way & 1 == 0 {
        messages(spec, rest, way & 2 != 0);
    } else {
        request(spec, rest, way & 2 != 0);
    }
}

fn messages(spec: &ProviderSpec, data: &[u8], is_binary: bool) {
    let Some(open) = spec.stream else { return };
    let mut stream = open(&StreamStart { config: RawConfig::default(), call: None });
    let (mut started, mut out) = (false, Vec::new());
    for message in data.split(|byte| *byte == 0) {
        let kind = if is_binary { MessageKind::Binary } else { MessageKind::Text };
        let mut message = message.to_vec();
        let length = message.len();
        let mut room = [0; ROOM_BYTES];
        let mut slot = FrameSlot::new(&mut room);
        match stream.decode(MonoTime::ZERO, kind, &mut message, &mut slot) {
            Ok(StreamEvent::Started { .. }) => started = true,
            Ok(StreamEvent::Audio { .. }) => {
                let filled = slot.filled().len();
                assert!(filled > 0 && filled <= length, "{filled} bytes of audio out of {length}");
            }
            Ok(_) | Err(_) => {}
        }
        if started {
            out.clear();
            stream.encode(&[0xff; 160], &mut out);
            out.clear();
            let said = stream.command(StreamCommand::Mark("m\"\n"), &mut out);
            assert_eq!(said.is_some(), !out.is_empty(), "a command is whole or not there");
        }
    }
}

fn request(spec: &ProviderSpec, data: &[u8], is_get: bool) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (query, body) = data.split_at_checked(end).unwrap_or((data, &[]));
    let url = format!("https://t.example/hook?{}", String::from_utf8_lossy(query));
    let mut headers = HeaderMap::new();
    let kind = if is_get { "application/json" } else { "application/x-www-form-urlencoded" };
    headers.insert("content-type", HeaderValue::from_static(kind));
    if let Ok(value) = HeaderValue::from_bytes(query) {
        for name in ["authorization", "x-twilio-signature", "telnyx-signature-ed25519"] {
            headers.insert(name, value.clone());
        }
    }
    let method = if is_get { Method::GET } else { Method::POST };
    let body = body.get(1..).unwrap_or_default();
    let request =
        HookRequest { method: &method, url: &url, headers: &headers, body, unix_s: 1_767_225_600 };
    let config = RawConfig::default();
    for hook in spec.hooks {
        let verified = (hook.verify)(&request, &config);
        assert!(verified.is_err(), "nothing is believed without a key");
        assert_eq!((hook.explain)(&request, &config).verdict, verified);
        // What cannot be read is an error; that it is no panic is what is looked for.
        let _ = (hook.handle)(&request, &config);
    }
    let _ = recognise(&request);
    if let Some(inbound) = spec.inbound {
        let _ = ((inbound.account)(&request), (inbound.parse)(&request));
    }
    if let Some(events) = spec.events {
        let _ = (events.route)(body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the fuzzer keeps, and cut-off and garbled forms of it, are read without panic.
    #[test]
    fn the_corpus_is_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus/adapter_decode");
        let mut read = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let data = std::fs::read(file.unwrap().path()).unwrap();
            for provider in 0..PROVIDERS.len() {
                for way in 0..4 {
                    let mut input = vec![u8::try_from(provider).unwrap(), way];
                    input.extend(data.get(2..).unwrap_or_default());
                    adapter_decode(&input);
                    for len in (0..input.len()).step_by(7) {
                        adapter_decode(&input[..len]);
                    }
                    let at = input.len() / 2;
                    input[at] ^= 0x20;
                    adapter_decode(&input);
                }
            }
            read += 1;
        }
        assert!(read > 0);
    }
}
