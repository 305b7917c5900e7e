//! The REST interface.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use super::Pbx;
use super::channel::{Bridge, Kind, NORMAL, reason};
use crate::emulate::{Clock, Fault, Told, form};
use crate::exchange::{HttpRequest, HttpResponse};

/// Modules that it runs, of those that matter.
const MODULES: [&str; 5] = [
    "chan_audiosocket.so",
    "chan_pjsip.so",
    "chan_rtp.so",
    "chan_websocket.so",
    "res_websocket_client.so",
];

/// The parameters of a request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// The value of that name; blank if there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        form::value(&self.0, name).unwrap_or_default()
    }
}

pub(super) fn respond(status: u16, body: &Value) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    HttpResponse { status, headers, body }
}

pub(super) fn refused(status: u16, message: &str) -> HttpResponse {
    respond(status, &json!({ "message": message }))
}

pub(super) fn unauthorized() -> HttpResponse {
    let mut answer = refused(401, "Authentication required");
    let basic = HeaderValue::from_static("Basic realm=\"Asterisk REST Interface\"");
    answer.headers.insert(WWW_AUTHENTICATE, basic);
    answer
}

fn done() -> HttpResponse {
    respond(204, &Value::Null)
}

/// What a request is about: the word of its faults.
fn operation(method: &Method, parts: &[&str]) -> &'static str {
    match (method.as_str(), parts) {
        ("POST", ["channels"] | ["channels", "create"]) => "originate",
        ("POST", ["channels", "externalMedia"]) => "media",
        ("DELETE", ["channels", _]) => "hangup",
        ("GET", ["channels", _]) => "status",
        ("POST", ["channels", _, "answer"]) => "answer",
        ("POST", ["channels", _, "dtmf"]) => "dtmf",
        ("POST", ["bridges", ..]) if parts.last() == Some(&"record") => "record",
        (_, ["bridges", ..]) => "bridge",
        (_, ["asterisk", "info"]) => "test",
        (_, ["applications", ..]) => "provision",
        _ => "other",
    }
}

impl Pbx {
    /// Answers a request; `None` if it never is.
    pub(super) fn request(&mut self, clock: Clock, request: &HttpRequest) -> Option<HttpResponse> {
        let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        if !self.is_authorized(request) {
            return Some(unauthorized());
        }
        let Some((_, path)) = path.split_once("/ari/") else {
            return Some(refused(404, "Resource not found"));
        };
        let decoded: Vec<String> = path.split('/').map(plain).collect();
        let parts: Vec<&str> = decoded.iter().map(String::as_str).collect();
        match self.quirks.fault(operation(&request.method, &parts)) {
            Some(Fault::Status(status)) => Some(refused(status, "A fault was ordered")),
            Some(Fault::Lost) => None,
            fault => {
                let query = Query(form::read(query));
                let answer = self.carried_out(clock, request, &parts, &query);
                match fault {
                    Some(Fault::Malformed) => Some(respond(200, &json!("<html>"))),
                    Some(_) => None,
                    None => Some(answer),
                }
            }
        }
    }

    fn carried_out(
        &mut self,
        clock: Clock,
        request: &HttpRequest,
        parts: &[&str],
        query: &Query,
    ) -> HttpResponse {
        match (request.method.as_str(), parts) {
            (_, ["asterisk", ..] | ["api-docs", ..]) => about_itself(parts),
            (_, ["applications", app, what]) => {
                self.at_application(&request.method, (app, what), query, &request.body)
            }
            ("POST", ["channels"]) => self.originate(clock, query, &request.body),
            ("POST", ["channels", "externalMedia"]) => self.external_media(clock, query),
            ("GET", ["channels"]) => {
                respond(200, &self.channels.values().map(super::Channel::to_json).collect())
            }
            (_, ["channels", id, ..]) if !self.channels.contains_key(*id) => {
                refused(404, "Channel not found")
            }
            (_, ["channels", id, rest @ ..]) => {
                self.at_channel(clock, &request.method, (id, rest), query)
            }
            (_, ["bridges", rest @ ..]) => self.at_bridges(clock, &request.method, rest, query),
            ("POST", ["recordings", "live", name, "stop"]) => self.recorded(clock, name),
            _ => refused(404, "Resource not found"),
        }
    }

    fn at_application(
        &mut self,
        method: &Method,
        (app, what): (&str, &str),
        query: &Query,
        body: &[u8],
    ) -> HttpResponse {
        let Some(unwanted) = self.apps.get_mut(app) else {
            return refused(404, "Application does not exist");
        };
        let described = json!({"name": app, "channel_ids": [], "bridge_ids": []});
        match (method.as_str(), what) {
            ("PUT", "eventFilter") => {
                let wanted: Value = serde_json::from_slice(body).unwrap_or_default();
                let types = wanted["disallowed"].as_array().into_iter().flatten();
                let types = types.filter_map(|it| it["type"].as_str());
                *unwanted = types.map(str::to_owned).collect();
                respond(200, &described)
            }
            ("POST", "subscription") => {
                let source = query.get("eventSource");
                let channel = source.strip_prefix("channel:");
                let channel = channel.and_then(|id| self.channels.get_mut(id));
                let Some(channel) = channel else {
                    return refused(422, "Event source does not exist");
                };
                channel.subscribed = true;
                respond(200, &described)
            }
            _ => refused(404, "Resource not found"),
        }
    }

    /// The fault of a channel that is to be made.
    pub(super) fn unmakeable(&self, query: &Query) -> Option<HttpResponse> {
        if query.get("app").is_empty() {
            return Some(refused(400, "Application cannot be empty"));
        }
        let id = query.get("channelId");
        let used = !id.is_empty() && self.channels.contains_key(id);
        used.then(|| refused(409, "Channel with given unique ID already exists"))
    }

    /// Somebody is called.
    fn originate(&mut self, clock: Clock, query: &Query, body: &[u8]) -> HttpResponse {
        let endpoint = query.get("endpoint").to_owned();
        if endpoint.is_empty() {
            return refused(400, "Endpoint must be specified");
        }
        if let Some(refusal) = self.unmakeable(query) {
            return refusal;
        }
        let Some((technology @ ("PJSIP" | "Local" | "SIP"), to)) = endpoint.split_once('/') else {
            return respond(500, &json!({"error": "Allocation failed"}));
        };
        let to = to.split(['@', '/']).next().unwrap_or_default().to_owned();
        let given = query.get("channelId").to_owned();
        let id = if given.is_empty() { self.next_id(clock) } else { given };
        let name = format!("{technology}/trunk-{:08x}", self.number());
        let kind = Kind::Person(std::collections::VecDeque::new());
        let mut channel = super::Channel::new(id.clone(), name, kind, clock.unix_ms);
        channel.app = query.get("app").to_owned();
        let args = query.get("appArgs").split(',').filter(|it| !it.is_empty());
        channel.args = args.map(str::to_owned).collect();
        // `"Name" <number>`, or the number alone.
        let caller = query.get("callerId");
        let number = caller.rsplit_once('<').map_or(caller, |(_, rest)| rest.trim_end_matches('>'));
        (channel.exten, channel.caller) = (to, number.to_owned());
        let timeout_s = query.get("timeout").parse::<i64>().unwrap_or(30);
        let rings = u64::try_from(timeout_s).ok().map(std::time::Duration::from_secs);
        channel.ends_at = rings.map(|rings| clock.now + rings);
        let wanted: Value = serde_json::from_slice(body).unwrap_or_default();
        for (name, value) in wanted["variables"].as_object().into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_owned();
            channel.variables.insert(name.clone(), value);
        }
        let described = channel.to_json();
        self.channels.insert(id.clone(), channel);
        self.rings(clock, &id);
        respond(200, &described)
    }

    fn at_channel(
        &mut self,
        clock: Clock,
        method: &Method,
        (id, rest): (&str, &[&str]),
        query: &Query,
    ) -> HttpResponse {
        let Some(channel) = self.channels.get_mut(id) else {
            return refused(404, "Channel not found");
        };
        match (method.as_str(), rest) {
            ("GET", []) => respond(200, &channel.to_json()),
            ("DELETE", []) => self.delete(clock, id, query),
            (_, ["variable"]) => variable(channel, method, query),
            // What follows is for channels that an application has.
            (_, _) if !channel.entered => refused(409, "Channel not in Stasis application"),
            ("POST", ["answer"]) => {
                self.is_up(clock, id);
                done()
            }
            ("POST", ["ring"]) => {
                self.change(clock, id, "Ringing");
                done()
            }
            ("POST", ["dtmf"]) => {
                let digits = query.get("dtmf").to_owned();
                if digits.is_empty() {
                    return refused(400, "DTMF is required");
                }
                // Those that are sent to a media channel signal the server.
                self.told(Told::Keys { call: id.to_owned(), digits });
                done()
            }
            _ => refused(404, "Resource not found"),
        }
    }

    fn delete(&mut self, clock: Clock, id: &str, query: &Query) -> HttpResponse {
        let Some((status, cause)) = reason(query.get("reason")) else {
            return refused(400, "Invalid reason for hangup provided");
        };
        let channel = self.channels.get(id);
        let unanswered = channel.is_some_and(|it| it.is_person() && it.state != "Up");
        self.about(clock, id, "ChannelHangupRequest", json!({"soft": true, "cause": 32}));
        match unanswered {
            true => self.end(clock, id, cause, Some(status)),
            false => self.end(clock, id, NORMAL, None),
        }
        done()
    }

    fn at_bridges(
        &mut self,
        clock: Clock,
        method: &Method,
        rest: &[&str],
        query: &Query,
    ) -> HttpResponse {
        match (method.as_str(), rest) {
            ("GET", []) => {
                respond(200, &self.bridges.iter().map(|(id, it)| it.to_json(id)).collect())
            }
            ("POST", []) => {
                let given = query.get("bridgeId").to_owned();
                let id = if given.is_empty() { self.uuid() } else { given };
                if self.bridges.contains_key(&id) {
                    return refused(409, "Bridge with given ID already exists");
                }
                let bridge = Bridge::default();
                let described = bridge.to_json(&id);
                self.bridges.insert(id, bridge);
                respond(200, &described)
            }
            (_, [id, ..]) if !self.bridges.contains_key(*id) => refused(404, "Bridge not found"),
            ("GET", [id]) => {
                respond(200, &self.bridges.get(*id).map(|it| it.to_json(id)).unwrap_or_default())
            }
            ("DELETE", [id]) => {
                self.dissolve(clock, id);
                done()
            }
            ("POST", [id, "addChannel"]) => self.add(clock, id, query.get("channel")),
            ("POST", [id, "removeChannel"]) => {
                for channel in query.get("channel").split(',') {
                    let Some(bridge) = self.bridges.get(*id) else { break };
                    if !bridge.members.contains(channel) {
                        return refused(422, "Channel not in this bridge");
                    }
                    self.part(clock, channel);
                }
                done()
            }
            ("POST", [id, "record"]) => self.record(clock, id, query),
            _ => refused(404, "Resource not found"),
        }
    }

    fn dissolve(&mut self, clock: Clock, id: &str) {
        let Some(bridge) = self.bridges.get(id) else { return };
        let members: Vec<String> = bridge.members.iter().cloned().collect();
        let app = members.first().and_then(|it| self.channels.get(it)).map(|it| it.app.clone());
        let app = app.or_else(|| self.apps.keys().next().cloned()).unwrap_or_default();
        members.iter().for_each(|member| self.part(clock, member));
        let Some(bridge) = self.bridges.remove(id) else { return };
        self.tell(clock, &app, "BridgeDestroyed", json!({"bridge": bridge.to_json(id)}));
    }

    fn add(&mut self, clock: Clock, bridge: &str, channels: &str) -> HttpResponse {
        let all: Vec<&str> = channels.split(',').filter(|it| !it.is_empty()).collect();
        if all.is_empty() {
            return refused(422, "Channel not found");
        }
        for id in &all {
            match self.channels.get(*id) {
                None => return refused(400, "Channel not found"),
                Some(channel) if !channel.entered => {
                    return refused(422, "Channel not in Stasis application");
                }
                Some(_) => {}
            }
        }
        for id in all {
            let there = self.bridges.get(bridge).is_some_and(|it| it.members.contains(id));
            if there {
                continue;
            }
            self.part(clock, id);
            self.join(clock, bridge, id);
            self.tell_handed_over(bridge, id);
        }
        self.flows(clock);
        done()
    }

    /// Persons who are in a bridge hear that somebody else is.
    fn tell_handed_over(&mut self, bridge: &str, comes: &str) {
        let Some(to) = self.channels.get(comes).filter(|it| it.is_person()) else { return };
        let to = to.exten.clone();
        let members = self.bridges.get(bridge).into_iter().flat_map(|it| &it.members);
        let persons = members.filter(|id| *id != comes);
        let persons = persons.filter(|id| self.channels.get(*id).is_some_and(|it| it.is_person()));
        for call in persons.cloned().collect::<Vec<_>>() {
            self.told(Told::HandedOver { call, to: to.clone() });
        }
    }

    fn record(&mut self, clock: Clock, id: &str, query: &Query) -> HttpResponse {
        let (name, format) = (query.get("name").to_owned(), query.get("format").to_owned());
        if name.is_empty() || format.is_empty() {
            return refused(400, "A recording has a name and a format");
        }
        let described = json!({
            "name": name, "format": format, "state": "recording",
            "target_uri": format!("bridge:{id}"),
        });
        if let Some(bridge) = self.bridges.get_mut(id) {
            bridge.recording = Some((name, format, clock.unix_ms));
        }
        respond(201, &described)
    }

    /// A recording is stopped, and there.
    fn recorded(&mut self, clock: Clock, name: &str) -> HttpResponse {
        let is_it = |it: &&mut Bridge| it.recording.as_ref().is_some_and(|it| it.0 == name);
        let found = self.bridges.iter_mut().find(|(_, bridge)| is_it(&bridge));
        let Some((id, bridge)) = found else { return refused(404, "Recording not found") };
        let Some((name, format, since_ms)) = bridge.recording.take() else { return done() };
        let member = bridge.members.first().and_then(|it| self.channels.get(it));
        let app = member.map(|it| it.app.clone()).unwrap_or_default();
        let recording = json!({
            "name": name, "format": format, "state": "done", "target_uri": format!("bridge:{id}"),
            "duration": (clock.unix_ms - since_ms) / 1_000,
        });
        self.tell(clock, &app, "RecordingFinished", json!({ "recording": recording }));
        done()
    }
}

fn about_itself(parts: &[&str]) -> HttpResponse {
    match parts {
        ["asterisk", "info"] => respond(
            200,
            &json!({
                "system": {"version": "22.10.1", "entity_id": "00:00:5e:00:53:01"},
                "status": {"startup_time": "2026-11-22T06:00:00.000+0000"},
            }),
        ),
        ["asterisk", "ping"] => respond(200, &json!({"ping": "pong"})),
        ["asterisk", "modules"] => {
            let module = |name: &&str| json!({"name": name, "status": "Running"});
            respond(200, &MODULES.iter().map(module).collect())
        }
        // As far as anybody asks: that the media WebSocket can be told how to behave.
        ["api-docs", "channels.json"] => respond(
            200,
            &json!({"apiVersion": "10.0.0", "apis": [{"parameters": ["transport_data"]}]}),
        ),
        _ => refused(404, "Resource not found"),
    }
}

/// Reads a variable of a channel, or sets it.
fn variable(channel: &mut super::Channel, method: &Method, query: &Query) -> HttpResponse {
    let name = query.get("variable").to_owned();
    if name.is_empty() {
        return refused(400, "Variable name is required");
    }
    if method == Method::POST {
        channel.variables.insert(name, query.get("value").to_owned());
        return done();
    }
    let value = match name.as_str() {
        "CALLERID(num)" => Some(channel.caller.clone()),
        // None of its callers has headers.
        name if name.starts_with("PJSIP_HEADERS(") => Some(String::new()),
        name => channel.variables.get(name).cloned(),
    };
    match value {
        Some(value) => respond(200, &json!({ "value": value })),
        None if name.contains('(') => refused(500, "Unable to read provided function"),
        None => refused(404, "Provided variable was not found"),
    }
}

/// A part of a path, in which `%` with two digits stands for a byte.
fn plain(part: &str) -> String {
    // A plus sign is one, in a path.
    let escaped = part.replace('+', "%2B");
    form::read(&escaped).into_iter().next().map(|(name, _)| name).unwrap_or_default()
}
