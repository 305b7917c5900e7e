//! An Asterisk in miniature, as far as its REST interface goes: events, channels, bridges, media by
//! RTP. Written from what Asterisk documents and a real one does, not from the adapter.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::{
    Error, HandshakeError, Message, WebSocket, accept_hdr, client,
};

/// User and password, as HTTP Basic writes them (`pbx:secret`).
pub const BASIC: &str = "Basic cGJ4OnNlY3JldA==";
/// How long one look at a socket takes.
const LOOK: Duration = Duration::from_millis(2);

/// A channel.
#[derive(Clone, Debug)]
struct Channel {
    name: &'static str,
    state: &'static str,
    /// It is in our application.
    entered: bool,
    exten: String,
    caller: String,
}

#[derive(Default)]
struct State {
    app: String,
    sockets: Vec<Sender<Option<String>>>,
    channels: BTreeMap<String, Channel>,
    bridges: BTreeMap<String, BTreeSet<String>>,
    subscribed: BTreeSet<String>,
    asked: Vec<String>,
    next: u32,
    /// Requests whose line holds this get this status.
    broken: Vec<(String, u16)>,
    /// Nobody gets in.
    locked: bool,
    /// Headers that callers have besides.
    headers: Vec<(String, String)>,
    /// Where AudioSockets were asked for, and what they are to say.
    audiosockets: Vec<(SocketAddr, String)>,
}

/// The miniature.
#[derive(Clone)]
pub struct AriPbx {
    pub at: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl AriPbx {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let pbx = Self { at, state: Arc::default() };
        let served = pbx.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let pbx = served.clone();
                std::thread::spawn(move || pbx.serve(stream));
            }
        });
        pbx
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Lines of the requests that came, such as `POST /ari/bridges`.
    pub fn asked(&self, part: &str) -> usize {
        self.lock().asked.iter().filter(|line| line.contains(part)).count()
    }

    /// Channels and bridges that live.
    pub fn living(&self) -> (usize, usize) {
        let state = self.lock();
        (state.channels.len(), state.bridges.len())
    }

    /// Sockets of events that are open.
    pub fn sockets(&self) -> usize {
        self.lock().sockets.len()
    }

    /// Requests whose line holds `part` fail from now on.
    pub fn break_requests(&self, part: &str, status: u16) {
        self.lock().broken.push((part.to_owned(), status));
    }

    /// Callers have these headers from now on.
    pub fn gives_headers(&self, lines: &str) {
        let pairs = lines.lines().filter_map(|line| line.split_once(": "));
        self.lock().headers =
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }

    /// Where an AudioSocket was last asked for, and the UUID that it is to say; the test opens it.
    pub fn audiosocket(&self) -> Option<(SocketAddr, String)> {
        self.lock().audiosockets.last().cloned()
    }

    /// A channel is gone without anybody's wish.
    pub fn loses(&self, id: &str) {
        self.lock().end(id, 0, None);
    }

    /// Whether nobody gets in.
    pub fn lock_out(&self, locked: bool) {
        self.lock().locked = locked;
    }

    /// Cuts the sockets of events off.
    pub fn drop_sockets(&self) {
        for socket in self.lock().sockets.drain(..) {
            drop(socket.send(None));
        }
    }

    /// Forgets everything without a word, as one that was killed does.
    pub fn forget(&self) {
        let mut state = self.lock();
        (state.channels, state.bridges) = (BTreeMap::new(), BTreeMap::new());
        state.subscribed.clear();
    }

    /// Says something that is not about a channel.
    pub fn say(&self, kind: &str) {
        let mut state = self.lock();
        let event = json!({"type": kind});
        state.tell(event);
    }

    /// Somebody calls an extension that leads into the application.
    pub fn calls(&self, exten: &str, caller: &str) -> String {
        let mut state = self.lock();
        state.next += 1;
        let id = format!("pbx-1795920570.{}", state.next);
        let (exten, caller) = (exten.to_owned(), caller.to_owned());
        let name = "PJSIP/phone-00000001";
        let channel = Channel { name, state: "Ring", entered: true, exten, caller };
        state.channels.insert(id.clone(), channel);
        state.enter(&id);
        id
    }

    /// Somebody hangs up.
    pub fn hangs_up(&self, id: &str) {
        let mut state = self.lock();
        state.about("ChannelHangupRequest", id, json!({"cause": 16}));
        state.end(id, 16, None);
    }

    /// Somebody presses a key.
    pub fn presses(&self, id: &str, digit: char) {
        let told = json!({"digit": digit.to_string(), "duration_ms": 100});
        self.lock().about("ChannelDtmfReceived", id, told);
    }

    /// The one whom we called answers.
    pub fn answers(&self, id: &str) {
        let mut state = self.lock();
        state.change(id, "Up");
        if let Some(channel) = state.channels.get_mut(id) {
            channel.entered = true;
        }
        state.enter(id);
    }

    /// The channel whose name holds this.
    pub fn find(&self, part: &str) -> Option<String> {
        self.lock().channels.keys().find(|id| id.contains(part)).cloned()
    }

    /// The state of a channel.
    pub fn state_of(&self, id: &str) -> Option<&'static str> {
        self.lock().channels.get(id).map(|channel| channel.state)
    }

    fn serve(&self, stream: TcpStream) {
        let mut first = [0; 16];
        let read = stream.peek(&mut first).unwrap_or(0);
        if first[..read].starts_with(b"GET /ari/events") {
            return self.events(stream);
        }
        let mut writer = stream.try_clone().unwrap();
        let mut reader = BufReader::new(stream);
        while let Some((line, headers)) = read_request(&mut reader) {
            let authorised =
                headers.iter().any(|header| header == &format!("authorization: {BASIC}"));
            let is_let_in = authorised && !self.lock().locked;
            let (status, body) = match is_let_in {
                true => self.answer(&line),
                false => (401, json!({"message": "Authentication required"})),
            };
            let body = if body.is_null() { String::new() } else { body.to_string() };
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
                 \r\n{body}",
                body.len()
            );
            if writer.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn events(&self, stream: TcpStream) {
        let (mut app, locked) = (String::new(), self.lock().locked);
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let shake = |request: &Request, answer: Response| {
            let given = request.headers().get("authorization").and_then(|it| it.to_str().ok());
            if locked || given != Some(BASIC) {
                return Err(Response::builder().status(401).body(None).unwrap());
            }
            let query = request.uri().query().unwrap_or_default();
            app = query.strip_prefix("app=").unwrap_or_default().to_owned();
            Ok(answer)
        };
        let Ok(mut socket) = accept_hdr(stream, shake) else { return };
        socket.get_ref().set_read_timeout(Some(LOOK)).unwrap();
        self.speak(&mut socket, app);
    }

    /// Tells events on a socket, and answers what is asked over it.
    fn speak<S: Read + Write>(&self, socket: &mut WebSocket<S>, app: String) {
        let (sender, receiver) = channel();
        {
            let mut state = self.lock();
            state.app = app;
            // The one that comes last has the application.
            state.tell(json!({"type": "ApplicationReplaced"}));
            state.sockets = vec![sender];
        }
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(Some(text)) => {
                    if socket.send(Message::text(text)).is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(_) => {}
            }
            let asked = match socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(_) => continue,
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(_) => return,
            };
            let asked: Value = serde_json::from_str(&asked).unwrap();
            assert_eq!(asked["type"], "RESTRequest");
            let (method, uri) = (&asked["method"], &asked["uri"]);
            let line = format!("{} /ari/{}", method.as_str().unwrap(), uri.as_str().unwrap());
            let (status, body) = self.answer(&line);
            let mut answer = json!({
                "type": "RESTResponse", "transaction_id": asked["transaction_id"],
                "request_id": asked["request_id"], "status_code": status,
                "reason_phrase": "X", "uri": uri,
            });
            if !body.is_null() {
                answer["message_body"] = json!(body.to_string());
            }
            if socket.send(Message::text(answer.to_string())).is_err() {
                return;
            }
        }
    }

    /// Opens a socket of events to an address, with this in `Authorization`; the status if it is
    /// refused.
    pub fn dials(&self, url: &str, basic: &str, app: &str) -> Result<(), u16> {
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", basic.parse().unwrap());
        headers.insert("sec-websocket-protocol", "ari".parse().unwrap());
        let at = request.uri().authority().unwrap().to_string();
        let stream = TcpStream::connect(at).unwrap();
        let mut socket = match client(request, stream) {
            Ok((socket, _)) => socket,
            Err(HandshakeError::Failure(Error::Http(answer))) => {
                return Err(answer.status().as_u16());
            }
            Err(error) => panic!("{error}"),
        };
        socket.get_ref().set_read_timeout(Some(LOOK)).unwrap();
        let (pbx, app) = (self.clone(), app.to_owned());
        std::thread::spawn(move || pbx.speak(&mut socket, app));
        Ok(())
    }

    fn answer(&self, line: &str) -> (u16, Value) {
        let (method, url) = line.split_once(' ').unwrap();
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let query: BTreeMap<_, _> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), unescape(value)))
            .collect();
        let mut state = self.lock();
        state.asked.push(format!("{method} {path}"));
        let broken = state.broken.iter().find(|(part, _)| line.contains(part.as_str()));
        if let Some((_, status)) = broken {
            return (*status, json!({"message": "broken"}));
        }
        let parts: Vec<_> = path.trim_start_matches("/ari/").split('/').collect();
        let nothing = (204, Value::Null);
        match (method, parts.as_slice()) {
            ("GET", ["asterisk", "info"]) => (200, json!({"system": {"version": "22.10.1"}})),
            ("GET", ["asterisk", "modules"]) => {
                let running = |name: &&str| json!({"name": name, "status": "Running"});
                (200, ["chan_rtp.so", "chan_audiosocket.so"].iter().map(running).collect())
            }
            ("PUT", ["applications", _, "eventFilter"]) => (200, json!({"name": state.app})),
            ("POST", ["applications", _, "subscription"]) => {
                let source = query["eventSource"].trim_start_matches("channel:").to_owned();
                if !state.channels.contains_key(&source) {
                    return (422, json!({"message": "Event source does not exist"}));
                }
                state.subscribed.insert(source);
                (200, json!({"name": state.app}))
            }
            ("GET", ["channels"]) => {
                (200, state.channels.keys().map(|id| state.channel(id)).collect())
            }
            ("POST", ["channels", "externalMedia"]) => external_media(&self.state, state, &query),
            ("POST", ["channels"]) => state.originate(&query),
            (_, ["channels", id, ..]) if !state.channels.contains_key(*id) => {
                (404, json!({"message": "Channel not found"}))
            }
            ("GET", ["channels", id]) => (200, state.channel(id)),
            ("DELETE", ["channels", id]) => {
                let id = (*id).to_owned();
                state.about("ChannelHangupRequest", &id, json!({"soft": true, "cause": 32}));
                let cause = match query.get("reason").map(String::as_str) {
                    Some("busy") => (17, Some(486)),
                    Some("unallocated") => (1, Some(404)),
                    Some("congestion") => (34, Some(503)),
                    _ => (16, None),
                };
                state.end(&id, cause.0, cause.1);
                nothing
            }
            ("POST", ["channels", id, "answer"]) => {
                state.change(id, "Up");
                nothing
            }
            ("POST", ["channels", _, "dtmf"]) => nothing,
            ("GET", ["channels", _, "variable"]) => match query["variable"].as_str() {
                "PJSIP_HEADER(read,X-Tenant)" => (200, json!({"value": "t-1"})),
                wanted if state.header(wanted).is_some() => {
                    (200, json!({"value": state.header(wanted)}))
                }
                _ => (404, json!({"message": "Provided variable was not found"})),
            },
            (_, ["bridges", ..]) => state.at_bridges(method, &parts, &query),
            _ => (404, json!({"message": "Resource not found"})),
        }
    }
}

/// A channel of external media: what comes to its port goes back to where it was asked to send, as
/// an echo at the other end does, while it is bridged with somebody who has answered.
fn external_media(
    shared: &Arc<Mutex<State>>,
    mut state: MutexGuard<'_, State>,
    query: &BTreeMap<String, String>,
) -> (u16, Value) {
    let id = query["channelId"].clone();
    if state.channels.contains_key(&id) {
        return (500, json!({"message": "An internal error prevented this request"}));
    }
    if query.get("transport").is_some_and(|it| it == "tcp") {
        return state.audiosocket(&id, query);
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let port = socket.local_addr().unwrap().port();
    let to: SocketAddr = query["external_host"].parse().unwrap();
    let name = "UnicastRTP/127.0.0.1-0x1";
    let (exten, caller) = (String::new(), String::new());
    let channel = Channel { name, state: "Up", entered: true, exten, caller };
    state.channels.insert(id.clone(), channel);
    let mut body = state.channel(&id);
    body["channelvars"] = json!({
        "UNICASTRTP_LOCAL_ADDRESS": "127.0.0.1", "UNICASTRTP_LOCAL_PORT": port.to_string(),
    });
    state.enter(&id);
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let mut packet = [0; 2048];
        loop {
            let received = socket.recv(&mut packet);
            let state = shared.lock().unwrap();
            if !state.channels.contains_key(&id) {
                return;
            }
            let is_heard = state.bridges.values().any(|members| {
                let up = |member: &String| {
                    state.channels.get(member).is_some_and(|it| *member != id && it.state == "Up")
                };
                members.contains(&id) && members.iter().any(up)
            });
            drop(state);
            if let Ok(length @ 12..) = received
                && is_heard
            {
                packet[8..12].copy_from_slice(b"echo");
                drop(socket.send_to(&packet[..length], to));
            }
        }
    });
    (200, body)
}

impl State {
    /// What is asked for by a function of headers.
    fn header(&self, function: &str) -> Option<String> {
        if let Some(prefix) = function.strip_prefix("PJSIP_HEADERS(") {
            let prefix = prefix.trim_end_matches(')').to_ascii_lowercase();
            let names = self.headers.iter().map(|(name, _)| name.as_str());
            let names = names.filter(|name| name.to_ascii_lowercase().starts_with(&prefix));
            return Some(names.collect::<Vec<_>>().join(","));
        }
        let name = function.strip_prefix("PJSIP_HEADER(read,")?.trim_end_matches(')');
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }

    /// A channel of external media whose connection the test opens.
    fn audiosocket(&mut self, id: &str, query: &BTreeMap<String, String>) -> (u16, Value) {
        let to: SocketAddr = query["external_host"].parse().unwrap();
        self.audiosockets.push((to, query["data"].clone()));
        let name = "AudioSocket/127.0.0.1-0x1";
        let (exten, caller) = (String::new(), String::new());
        let channel = Channel { name, state: "Up", entered: true, exten, caller };
        self.channels.insert(id.to_owned(), channel);
        let mut body = self.channel(id);
        body["channelvars"] = json!({"AUDIOSOCKET_UUID": query["data"]});
        self.enter(id);
        (200, body)
    }

    fn tell(&mut self, mut event: Value) {
        event["application"] = json!(self.app);
        event["timestamp"] = json!("2026-11-29T02:00:00.000+0000");
        let text = event.to_string();
        self.sockets.retain(|socket| socket.send(Some(text.clone())).is_ok());
    }

    fn channel(&self, id: &str) -> Value {
        let channel = &self.channels[id];
        let (app, data) = match channel.entered {
            true => ("Stasis", format!("{},{}", self.app, channel.exten)),
            false => ("AppDial2", "(Outgoing Line)".to_owned()),
        };
        json!({
            "id": id, "name": channel.name, "state": channel.state,
            "caller": {"name": "", "number": channel.caller},
            "dialplan": {"exten": channel.exten, "app_name": app, "app_data": data},
        })
    }

    fn about(&mut self, kind: &str, id: &str, mut event: Value) {
        if !self.channels.contains_key(id) {
            return;
        }
        (event["type"], event["channel"]) = (json!(kind), self.channel(id));
        self.tell(event);
    }

    fn enter(&mut self, id: &str) {
        let exten = self.channels[id].exten.clone();
        self.about("StasisStart", id, json!({"args": [exten]}));
    }

    fn change(&mut self, id: &str, state: &'static str) {
        if let Some(channel) = self.channels.get_mut(id) {
            channel.state = state;
        }
        self.about("ChannelStateChange", id, json!({}));
    }

    fn end(&mut self, id: &str, cause: u16, tech_cause: Option<u16>) {
        for members in self.bridges.values_mut() {
            members.remove(id);
        }
        self.about("StasisEnd", id, json!({}));
        // Of who came by the dialplan it is told only to who has asked for it.
        if !id.starts_with("pbx-") || self.subscribed.contains(id) {
            self.about("ChannelDestroyed", id, json!({"cause": cause, "tech_cause": tech_cause}));
        }
        self.channels.remove(id);
    }

    /// Requests about bridges.
    fn at_bridges(
        &mut self,
        method: &str,
        parts: &[&str],
        query: &BTreeMap<String, String>,
    ) -> (u16, Value) {
        match (method, parts) {
            ("GET", ["bridges"]) => {
                let all = self.bridges.iter();
                (200, all.map(|(id, all)| json!({"id": id, "channels": all})).collect())
            }
            ("POST", ["bridges"]) => {
                let id = query["bridgeId"].clone();
                if self.bridges.contains_key(&id) {
                    return (409, json!({"message": "exists"}));
                }
                self.bridges.insert(id.clone(), BTreeSet::new());
                (200, json!({"id": id, "channels": []}))
            }
            (_, ["bridges", id, ..]) if !self.bridges.contains_key(*id) => {
                (404, json!({"message": "Bridge not found"}))
            }
            ("GET", ["bridges", id]) => (200, json!({"id": id, "channels": self.bridges[*id]})),
            ("POST", ["bridges", id, "addChannel"]) => self.join(id, &query["channel"]),
            ("DELETE", ["bridges", id]) => {
                self.bridges.remove(*id);
                self.tell(json!({"type": "BridgeDestroyed", "bridge": {"id": id}}));
                (204, Value::Null)
            }
            _ => (404, json!({"message": "Resource not found"})),
        }
    }

    fn join(&mut self, bridge: &str, channels: &str) -> (u16, Value) {
        for id in channels.split(',') {
            match self.channels.get(id) {
                None => return (400, json!({"message": "Channel not found"})),
                Some(channel) if !channel.entered => {
                    return (422, json!({"message": "Channel not in Stasis application"}));
                }
                Some(_) => {}
            }
        }
        for id in channels.split(',') {
            self.bridges.get_mut(bridge).unwrap().insert(id.to_owned());
            self.about("ChannelEnteredBridge", id, json!({"bridge": {"id": bridge}}));
        }
        (204, Value::Null)
    }

    /// Rings and leaves the answer to the test; 620 is busy, 404 is nobody's, 777 is refused.
    fn originate(&mut self, query: &BTreeMap<String, String>) -> (u16, Value) {
        let id = query["channelId"].clone();
        let number = query["endpoint"].split(['/', '@']).nth(1).unwrap_or_default().to_owned();
        if number == "777" {
            return (500, json!({"error": "Allocation failed"}));
        }
        let caller = query.get("callerId").cloned().unwrap_or_default();
        let name = "PJSIP/trunk-00000002";
        let channel =
            Channel { name, state: "Down", entered: false, exten: number.clone(), caller };
        self.channels.insert(id.clone(), channel);
        let body = self.channel(&id);
        match number.as_str() {
            "620" => self.end(&id, 17, Some(486)),
            "404" => self.end(&id, 1, Some(404)),
            _ => self.change(&id, "Ringing"),
        }
        (200, body)
    }
}

/// Method and address of a request, and its headers in small letters but for their values.
fn read_request(reader: &mut impl BufRead) -> Option<(String, Vec<String>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split(' ');
    let (method, url) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok().filter(|length| *length > 0)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        if name == "content-length" {
            length = value.parse().ok()?;
        }
        headers.push(format!("{name}: {value}"));
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((format!("{method} {url}"), headers))
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte.unwrap_or(b'0')).to_digit(16).unwrap_or(0);
        match byte {
            b'%' => bytes.push((digit(rest.next()) << 4 | digit(rest.next())) as u8),
            b'+' => bytes.push(b' '),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}
