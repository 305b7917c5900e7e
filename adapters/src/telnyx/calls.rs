//! Requests about calls: placed, answered, refused, ended, handed over.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Method, header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::errors::{data, over_is_done, success};
use super::fields;
use crate::address::AddressKind;
use crate::chain::{Then, chain, mapped};
use crate::config::RawConfig;
use crate::event::{CallEvent, CallFact, CarrierCallId, Ended, HangupCause};
use crate::exchange::{CarrierError, HttpExchange, HttpRequest, HttpResponse, escape};
use crate::op::{
    OpResult, Originate, Originated, Record, Refusal, SendDigits, TakeBack, Transfer, TransferKind,
};
use crate::timestamp::rfc3339_ms;

const JSON: &str = "application/json";
/// Seconds of ringing that the carrier takes.
const RING_S: (u32, u32) = (5, 600);
/// Seconds of a call that the carrier takes.
const LIMIT_S: (u32, u32) = (30, 14_400);
/// When webhooks that everything hangs on are sent again, in milliseconds after each attempt.
const RETRIES_MS: [u32; 4] = [1_000, 3_000, 10_000, 30_000];
/// Begins the `client_state` of a leg that a transfer made, in the place of our leg or apart. The
/// id of the transfer and that of the caller's leg follow.
const TRANSFER_STATE: &str = "transfer";
const CONSULT_STATE: &str = "consult";

/// `request` with the account's key.
pub(super) fn signed(
    config: &RawConfig,
    request: HttpRequest,
) -> Result<HttpRequest, CarrierError> {
    let key = config.secret("api_key").ok_or(CarrierError::Config("no API key"))?;
    request.credentials(header::AUTHORIZATION, &format!("Bearer {}", key.expose()))
}

pub(super) fn get(config: &RawConfig, path: &str) -> Result<HttpRequest, CarrierError> {
    signed(config, HttpRequest::get(format!("{}{path}", fields::base(config))))
}

pub(super) fn post(
    config: &RawConfig,
    path: &str,
    body: &Value,
) -> Result<HttpRequest, CarrierError> {
    let url = format!("{}{path}", fields::base(config));
    signed(config, HttpRequest::post(url, JSON, body.to_string()))
}

pub(super) fn patch(
    config: &RawConfig,
    path: &str,
    body: &Value,
) -> Result<HttpRequest, CarrierError> {
    // To set the same values again changes nothing.
    Ok(post(config, path, body)?.method(Method::PATCH).repeatable())
}

fn one<T: 'static>(
    request: HttpRequest,
    read: fn(&HttpResponse) -> Result<T, CarrierError>,
) -> OpResult<T> {
    Ok(Box::new(HttpExchange::new(request, read)))
}

/// An id as a segment of a path. Colons stay: the carrier's own clients do not escape them.
fn segment(id: &str) -> String {
    escape(id).replace("%3A", ":")
}

fn action(call: &CarrierCallId, name: &str) -> String {
    format!("/calls/{}/actions/{name}", segment(&call.0))
}

/// A command to a call. The carrier ignores a second one of the same call with the same id within
/// a minute, so that one with an id may be repeated.
pub(super) fn command(
    config: &RawConfig,
    call: &CarrierCallId,
    name: &str,
    id: Option<&str>,
    mut body: Value,
) -> Result<HttpRequest, CarrierError> {
    if let (Some(id), Some(body)) = (id, body.as_object_mut()) {
        body.insert("command_id".to_owned(), command_id(&[&call.0, name, id]).into());
    }
    let request = post(config, &action(call, name), &body)?;
    Ok(if id.is_some() { request.repeatable() } else { request })
}

/// An id in the form of a UUID that says the same for the same command.
fn command_id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut text = String::with_capacity(36);
    for (index, byte) in hash.finalize().iter().take(16).enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// True if the answer alone cannot open the stream that the configuration wants: it takes no rate.
pub(super) fn streams_apart(config: &RawConfig) -> bool {
    fields::to_carrier(config).1 != 8000
}

/// What a request says of the stream. Only some take a rate.
pub(super) fn stream(config: &RawConfig, url: &str, takes_rate: bool) -> Value {
    let (codec, rate) = fields::to_carrier(config);
    let mut body = json!({
        "stream_url": url,
        "stream_track": "inbound_track",
        // Without it the carrier plays nothing, and says nothing.
        "stream_bidirectional_mode": "rtp",
        "stream_bidirectional_codec": codec,
        "stream_bidirectional_target_legs": "self",
    });
    if takes_rate && rate != 8000 {
        body["stream_bidirectional_sampling_rate"] = rate.into();
    }
    if let Some(codec @ ("PCMU" | "PCMA" | "G722" | "L16")) = config.text("stream_codec") {
        body["stream_codec"] = codec.into();
    }
    if config.flag("send_silence") {
        body["send_silence_when_idle"] = true.into();
    }
    body
}

fn with(mut body: Value, more: Value) -> Value {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

/// Events that are not to be lost are sent again for a while.
fn retries() -> Value {
    let events = ["call.answered", "call.hangup", "streaming.failed", "call.cost"];
    let policy = |event: &str| (event.to_owned(), json!({"retries_ms": RETRIES_MS}));
    Value::Object(events.into_iter().map(policy).collect::<Map<_, _>>())
}

fn connection(config: &RawConfig) -> Result<&str, CarrierError> {
    config.text("connection_id").ok_or(CarrierError::Config("no application"))
}

pub(super) fn originate(config: &RawConfig, call: &Originate) -> OpResult<Originated> {
    let from = call.from.as_ref().ok_or(CarrierError::Config("no caller id"))?;
    let events = call.hooks.url("events");
    let mut body = with(
        stream(config, &call.stream_url, true),
        json!({
            "connection_id": connection(config)?,
            "to": call.to.expose(),
            "from": from.expose(),
            "command_id": command_id(&[&events, "dial"]),
            "webhook_url": events,
            "webhook_url_method": "POST",
            "webhook_retries_policies": retries(),
            "timeout_secs": call.ring_timeout_s.clamp(RING_S.0, RING_S.1),
            "time_limit_secs": call.max_duration_s.clamp(LIMIT_S.0, LIMIT_S.1),
        }),
    );
    if call.detect_machine {
        let mode = config.text("machine_detection").unwrap_or("premium");
        body["answering_machine_detection"] = mode.into();
        let tuning = fields::amd_tuning(config);
        if !tuning.is_empty() {
            body["answering_machine_detection_config"] = tuning.into();
        }
    }
    mapped(one(post(config, "/calls", &body)?, placed), |call| Originated { call })
}

/// The id of a call that was placed.
fn placed(answer: &HttpResponse) -> Result<CarrierCallId, CarrierError> {
    let id = data(answer)?["call_control_id"].as_str().map(str::to_owned);
    Ok(CarrierCallId(id.ok_or(CarrierError::Answer("no id of the call"))?))
}

pub(super) fn answer_request(
    config: &RawConfig,
    call: &CarrierCallId,
    events: &str,
    stream_url: &str,
    id: &str,
) -> Result<HttpRequest, CarrierError> {
    let hooks = json!({"webhook_url": events, "webhook_url_method": "POST"});
    let body =
        if streams_apart(config) { hooks } else { with(stream(config, stream_url, false), hooks) };
    command(config, call, "answer", Some(id), body)
}

pub(super) fn refuse_request(
    config: &RawConfig,
    call: &CarrierCallId,
    refusal: Refusal,
) -> Result<HttpRequest, CarrierError> {
    let cause = match refusal {
        Refusal::NotFound => "NOT_FOUND",
        Refusal::Busy => "USER_BUSY",
        Refusal::Rejected => "CALL_REJECTED",
        Refusal::Unavailable => "TEMPORARILY_UNAVAILABLE",
    };
    command(config, call, "reject", Some("reject"), json!({"cause": cause}))
}

/// Answers a call only to be heard on it: no stream is opened.
pub(super) fn greet_request(
    config: &RawConfig,
    call: &CarrierCallId,
    events: &str,
) -> Result<HttpRequest, CarrierError> {
    let hooks = json!({"webhook_url": events, "webhook_url_method": "POST"});
    command(config, call, "answer", Some("greet"), hooks)
}

/// Speaks a text.
pub(super) fn speak_request(
    config: &RawConfig,
    call: &CarrierCallId,
    text: &str,
) -> Result<HttpRequest, CarrierError> {
    let voice = config.text("unavailable_voice").unwrap_or(fields::VOICE);
    let body = json!({"payload": text, "payload_type": "text", "voice": voice});
    command(config, call, "speak", Some("speak"), body)
}

pub(super) fn hangup_request(
    config: &RawConfig,
    call: &CarrierCallId,
) -> Result<HttpRequest, CarrierError> {
    command(config, call, "hangup", Some("hangup"), json!({}))
}

pub(super) fn hangup(config: &RawConfig, call: &CarrierCallId) -> OpResult<()> {
    one(hangup_request(config, call)?, over_is_done)
}

/// The `client_state` of a leg that a transfer calls.
pub(super) fn transfer_state(transfer: &Transfer) -> String {
    let kind = match transfer.kind {
        TransferKind::Attended => CONSULT_STATE,
        TransferKind::Blind | TransferKind::Refer => TRANSFER_STATE,
    };
    STANDARD.encode(format!("{kind}:{}:{}", transfer.id, transfer.call.0))
}

/// The transfer that made the leg with some `client_state`.
pub(super) struct Made {
    /// Its id.
    pub(super) transfer: String,
    /// The caller's leg.
    pub(super) caller: CarrierCallId,
    /// The leg was called apart.
    pub(super) apart: bool,
}

/// The transfer that made the leg with that `client_state`.
pub(super) fn made_by(client_state: &str) -> Option<Made> {
    let state = String::from_utf8(STANDARD.decode(client_state).ok()?).ok()?;
    let (kind, rest) = state.split_once(':')?;
    let (transfer, caller) = rest.split_once(':')?;
    let apart = kind == CONSULT_STATE;
    let (transfer, caller) = (transfer.to_owned(), CarrierCallId(caller.to_owned()));
    (apart || kind == TRANSFER_STATE).then_some(Made { transfer, caller, apart })
}

pub(super) fn transfer_request(
    config: &RawConfig,
    transfer: &Transfer,
    id: Option<&str>,
) -> Result<HttpRequest, CarrierError> {
    let to = transfer.to.expose();
    let events = transfer.hooks.url("events");
    let ring_s = transfer.ring_timeout_s.clamp(RING_S.0, RING_S.1);
    let mut body = match transfer.kind {
        TransferKind::Refer => {
            if transfer.to.kind() != AddressKind::SipUri {
                return Err(CarrierError::Config("this way of transfer takes a SIP address"));
            }
            return command(config, &transfer.call, "refer", id, json!({"sip_address": to}));
        }
        TransferKind::Blind => json!({
            "to": to,
            "timeout_secs": ring_s,
            "webhook_url": events,
            "webhook_url_method": "POST",
            "target_leg_client_state": transfer_state(transfer),
        }),
        TransferKind::Attended => json!({
            "connection_id": connection(config)?,
            "to": to,
            "timeout_secs": ring_s,
            "webhook_url": events,
            "webhook_url_method": "POST",
            "link_to": transfer.call.0,
            "client_state": transfer_state(transfer),
        }),
    };
    if let Some(from) = &transfer.from {
        body["from"] = from.expose().into();
    }
    match transfer.kind {
        TransferKind::Attended => post(config, "/calls", &body),
        _ => command(config, &transfer.call, "transfer", id, body),
    }
}

pub(super) fn transfer(config: &RawConfig, transfer: &Transfer) -> OpResult<Option<CarrierCallId>> {
    if transfer.kind == TransferKind::Attended && transfer.from.is_none() {
        return Err(CarrierError::Config("no caller id"));
    }
    let request = transfer_request(config, transfer, None)?;
    match transfer.kind {
        TransferKind::Attended => mapped(one(request, placed), Some),
        TransferKind::Blind | TransferKind::Refer => mapped(one(request, success), |()| None),
    }
}

/// Bridges the caller with the leg that an attended transfer called: its id stands in the list of
/// the application's live calls, marked by its `client_state`.
pub(super) fn join(config: &RawConfig, transfer: &Transfer) -> OpResult<()> {
    let path = format!("/connections/{}/active_calls?page%5Bsize%5D=250", connection(config)?);
    let (config, call) = (config.clone(), transfer.call.clone());
    let state = transfer_state(transfer);
    chain(get(&config, &path)?, move |answer| {
        let legs = data(&answer)?;
        let mut legs = legs.as_array().into_iter().flatten();
        let leg = legs.find(|leg| leg["client_state"].as_str() == Some(&state));
        let leg = leg.and_then(|leg| leg["call_control_id"].as_str());
        let leg = leg.ok_or(CarrierError::NotFound)?;
        let body = json!({"call_control_id": leg});
        let bridge = command(&config, &call, "bridge", Some(leg), body)?;
        Ok(Then::send(bridge, |answer| success(&answer).map(Then::Done)))
    })
}

/// Opens the stream of a call anew that was bridged with somebody else.
pub(super) fn take_back(config: &RawConfig, back: &TakeBack) -> OpResult<()> {
    let body = stream(config, &back.take.stream_url, true);
    one(command(config, &back.call, "streaming_start", None, body)?, success)
}

pub(super) fn dtmf_request(
    config: &RawConfig,
    call: &CarrierCallId,
    digits: &str,
    id: Option<&str>,
) -> Result<HttpRequest, CarrierError> {
    command(config, call, "send_dtmf", id, json!({"digits": digits}))
}

pub(super) fn dtmf(config: &RawConfig, send: &SendDigits) -> OpResult<()> {
    // Without an id: the same keys may be wanted again at once.
    one(dtmf_request(config, &send.call, send.digits.expose(), None)?, success)
}

pub(super) fn record(config: &RawConfig, record: &Record) -> OpResult<()> {
    let request = if record.on {
        let body = json!({"channels": "dual", "format": "wav", "play_beep": false});
        command(config, &record.call, "record_start", None, body)
    } else {
        command(config, &record.call, "record_stop", None, json!({}))
    };
    one(request?, success)
}

pub(super) fn status(config: &RawConfig, call: &CarrierCallId) -> OpResult<Vec<CallEvent>> {
    one(get(config, &format!("/calls/{}", segment(&call.0)))?, |answer| {
        let data = data(answer)?;
        let id = data["call_control_id"].as_str();
        let call = CarrierCallId(id.ok_or(CarrierError::Answer("no call"))?.to_owned());
        let alive = data["is_alive"].as_bool().ok_or(CarrierError::Answer("no state"))?;
        let (time, what) = if alive {
            ("start_time", CallFact::Initiated)
        } else {
            // How long it was answered is not told: the time is that of the whole call.
            let cause = HangupCause::Unknown;
            let ended = Ended { cause, sip_status: None, duration_ms: None, raw: None };
            ("end_time", CallFact::Ended(ended))
        };
        let at_unix_ms = data[time].as_str().and_then(rfc3339_ms);
        Ok(vec![CallEvent { call, id: None, at_unix_ms, what }])
    })
}
