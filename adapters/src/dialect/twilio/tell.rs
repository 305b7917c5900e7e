//! Messages to the agent, other than audio.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::ids::Ids;
use crate::agent::StreamInfo;

/// Names under which the addresses of the call are handed over, unless a variable has them. Agent
/// libraries look for these names, since a carrier's stream has no fields for them.
const FROM: &str = "from_number";
const TO: &str = "to_number";

/// What `customParameters` will say: the call's variables, and who calls whom.
pub(super) fn parameters(info: &StreamInfo) -> Vec<(String, String)> {
    let mut parameters: Vec<(String, String)> = Vec::with_capacity(info.variables.len() + 2);
    let addresses = [(FROM, &info.from), (TO, &info.to)];
    let addresses = addresses.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone()));
    for (name, value) in info.variables.iter().cloned().chain(addresses) {
        if !value.is_empty() && parameters.iter().all(|(known, _)| *known != name) {
            parameters.push((name, value));
        }
    }
    parameters
}

/// What a message says besides the ids.
#[derive(Clone, Copy)]
pub(super) enum Detail<'a> {
    /// The stream begins, with these `customParameters`.
    Start(&'a [(String, String)]),
    /// The caller pressed a key.
    Dtmf(char),
    /// A mark comes back.
    Mark(&'a str),
    /// The stream ends.
    Stop,
}

/// A message as text.
pub(super) fn message(sequence: u64, ids: &Ids, detail: Detail<'_>) -> Vec<u8> {
    // Strings and numbers always serialise.
    serde_json::to_vec(&Message { sequence, ids, detail }).unwrap_or_default()
}

struct Message<'a> {
    sequence: u64,
    ids: &'a Ids,
    detail: Detail<'a>,
}

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { sequence, ids, detail } = self;
        let event = match detail {
            Detail::Start(_) => "start",
            Detail::Dtmf(_) => "dtmf",
            Detail::Mark(_) => "mark",
            Detail::Stop => "stop",
        };
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("event", event)?;
        map.serialize_entry("sequenceNumber", &sequence.to_string())?;
        map.serialize_entry("streamSid", &ids.stream)?;
        match *detail {
            Detail::Start(parameters) => {
                map.serialize_entry(event, &Start::new(ids, parameters))?
            }
            Detail::Dtmf(digit) => {
                map.serialize_entry(event, &Dtmf { track: "inbound_track", digit })?;
            }
            Detail::Mark(name) => map.serialize_entry(event, &Mark { name })?,
            Detail::Stop => {
                let stop = Stop { account_sid: &ids.account, call_sid: &ids.call };
                map.serialize_entry(event, &stop)?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    account_sid: &'a str,
    stream_sid: &'a str,
    call_sid: &'a str,
    tracks: [&'static str; 1],
    media_format: MediaFormat,
    custom_parameters: Parameters<'a>,
}

impl<'a> Start<'a> {
    fn new(ids: &'a Ids, parameters: &'a [(String, String)]) -> Self {
        Self {
            account_sid: &ids.account,
            stream_sid: &ids.stream,
            call_sid: &ids.call,
            tracks: ["inbound"],
            media_format: MediaFormat { encoding: "audio/x-mulaw", sample_rate: 8000, channels: 1 },
            custom_parameters: Parameters(parameters),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MediaFormat {
    encoding: &'static str,
    sample_rate: u32,
    channels: u32,
}

#[derive(Serialize)]
struct Dtmf {
    track: &'static str,
    digit: char,
}

#[derive(Serialize)]
struct Mark<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stop<'a> {
    account_sid: &'a str,
    call_sid: &'a str,
}

struct Parameters<'a>(&'a [(String, String)]);

impl Serialize for Parameters<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}
