//! What comes over sockets: of events, of media, and bare ones.

use serde_json::{Map, Value, json};

use super::Pbx;
use super::audio::of_kind;
use super::channel::{FAILURE, NO_ROUTE, NORMAL};
use super::media::{Played, QUEUE_FRAMES_MAX, Way, bare};
use crate::agent::MessageKind;
use crate::emulate::{Clock, Output, SocketInput};

/// The longest text that a media WebSocket takes, in bytes.
const TEXT_BYTES_MAX: usize = 128;
/// Frames in its queue at which the server is told to pause.
const XOFF_FRAMES: usize = 900;
/// Kinds of AudioSocket messages.
const KIND_HANGUP: u8 = 0x00;
const KIND_ID: u8 = 0x01;

/// What a socket is for.
#[derive(Debug)]
pub(super) enum Use {
    /// Events of these applications; it is not open yet, perhaps.
    Events(Vec<String>),
    /// The audio of a channel.
    Media(String),
}

impl Pbx {
    pub(super) fn socket_input(&mut self, clock: Clock, socket: u32, input: SocketInput<'_>) {
        match (self.sockets.get(&socket), input) {
            (Some(Use::Events(_)), SocketInput::Opened) => self.listened_to(clock),
            (Some(Use::Events(_)), SocketInput::Message(..)) => {
                self.complain(None, "something was said on the socket of events");
            }
            (Some(Use::Events(_)), SocketInput::Refused(_) | SocketInput::Closed(_)) => {
                let Some(Use::Events(apps)) = self.sockets.remove(&socket) else { return };
                apps.iter().for_each(|app| drop(self.apps.remove(app)));
            }
            (Some(Use::Media(id)), input) => {
                let id = id.clone();
                self.media_input(clock, socket, &id, input);
            }
            (None, _) => {}
        }
    }

    fn media_input(&mut self, clock: Clock, socket: u32, id: &str, input: SocketInput<'_>) {
        let Some(leg) = self.leg(id) else { return };
        match input {
            SocketInput::Opened => {
                leg.up = true;
                self.media_opened(clock, socket, id);
            }
            SocketInput::Refused(_) => {
                self.sockets.remove(&socket);
                // The only word of it.
                self.end(clock, id, NO_ROUTE, None);
            }
            SocketInput::Closed(code) => {
                let (is_bare, cause) = (matches!(leg.way, Way::Bare { .. }), code.is_some());
                self.sockets.remove(&socket);
                let cause = if cause { NORMAL } else { FAILURE };
                if !is_bare {
                    let told = json!({"cause": cause, "tech_cause": 1001});
                    self.about(clock, id, "ChannelHangupRequest", told);
                }
                self.end(clock, id, if is_bare { NORMAL } else { 0 }, None);
            }
            SocketInput::Message(kind, bytes) => match (&leg.way, kind) {
                (Way::Bare { .. }, _) => self.bare_bytes(clock, id, bytes),
                (_, MessageKind::Text) => self.ordered(clock, id, bytes),
                (_, MessageKind::Binary) => self.queue(id, bytes),
            },
        }
    }

    /// The connection of a channel's audio is there.
    fn media_opened(&mut self, clock: Clock, socket: u32, id: &str) {
        let Some(leg) = self.leg(id) else { return };
        let (format, way) = (leg.format, &leg.way);
        if let Way::Bare { uuid, .. } = way {
            let bytes = bare(KIND_ID, uuid);
            self.outputs.push_back(Output::Message { socket, kind: MessageKind::Binary, bytes });
        } else if let Way::Socket(queue) = way {
            // Of a connection that it opens itself it names the section of its file.
            let connection = queue.connection.clone().unwrap_or_else(|| "talkpath".to_owned());
            let name = self.channels.get(id).map(|channel| channel.name.clone());
            let told = json!({
                "connection_id": connection, "channel": name, "channel_id": id,
                "format": format.name, "optimal_frame_size": format.frame_bytes(), "ptime": 20,
            });
            self.control(id, "MEDIA_START", told);
        }
        self.media_enters(clock, id);
    }

    /// A media channel is ready: it enters its application.
    pub(super) fn media_enters(&mut self, clock: Clock, id: &str) {
        self.dial(clock, id, "");
        self.change(clock, id, "Up");
        self.dial(clock, id, "ANSWER");
        self.enter(clock, id);
        if let Some(channel) = self.channels.get_mut(id) {
            channel.ends_at = None;
            let after = self.quirks.cut_after_ms;
            channel.cut_at =
                after.map(|ms| clock.now + std::time::Duration::from_millis(ms.into()));
        }
        // It is cut once.
        self.quirks.cut_after_ms = None;
        self.flows(clock);
    }

    /// The connection of a channel's audio breaks; RTP has none, and its channel is gone instead.
    pub(super) fn cut(&mut self, clock: Clock, id: &str) {
        let Some(leg) = self.leg(id) else { return };
        if let Some(socket) = leg.socket {
            self.sockets.remove(&socket);
            self.outputs.push_back(Output::Cut { socket });
            if let Some(leg) = self.leg(id) {
                leg.socket = None;
            }
        }
        self.end(clock, id, FAILURE, None);
    }

    /// Says something on a media WebSocket, in the form that it speaks.
    pub(super) fn control(&mut self, id: &str, event: &str, fields: Value) {
        let Some(leg) = self.leg(id) else { return };
        let (Some(socket), Way::Socket(queue)) = (leg.socket, &leg.way) else { return };
        let fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let text = if queue.json {
            let mut told = json!({ "event": event });
            for (name, value) in fields {
                told[name.as_str()] = value;
            }
            told.to_string()
        } else {
            let plain =
                |value: &Value| value.as_str().map_or_else(|| value.to_string(), Into::into);
            let pair = |(name, value): (&String, &Value)| match name.as_str() {
                "correlation_id" => format!(" {}", plain(value)),
                name => format!(" {name}:{}", plain(value)),
            };
            let pairs: String = fields.iter().map(pair).collect();
            format!("{event}{pairs}")
        };
        let (kind, bytes) = (MessageKind::Text, text.into_bytes());
        self.outputs.push_back(Output::Message { socket, kind, bytes });
    }

    /// Audio for the queue of a media WebSocket.
    fn queue(&mut self, id: &str, bytes: &[u8]) {
        let Some(leg) = self.leg(id) else { return };
        let frame = leg.format.frame_bytes().max(1);
        let Way::Socket(queue) = &mut leg.way else { return };
        let (waiting, rest) = (queue.frames(), bytes.len() % frame);
        let ignored = waiting >= QUEUE_FRAMES_MAX;
        if !ignored {
            let frames = bytes.chunks_exact(frame).map(|it| Played::Frame(it.to_vec()));
            queue.played.extend(frames);
        }
        let fills = !queue.full && queue.frames() > XOFF_FRAMES;
        queue.full |= fills;
        if fills {
            self.control(id, "MEDIA_XOFF", json!({}));
        }
        if rest > 0 {
            let what = format!("{rest} bytes are cut off: frames have {frame}");
            self.complain(None, what);
        }
        if ignored {
            self.complain(None, "the queue of the media WebSocket is full: audio is ignored");
        }
    }

    /// A command on a media WebSocket.
    fn ordered(&mut self, clock: Clock, id: &str, text: &[u8]) {
        if text.len() > TEXT_BYTES_MAX {
            return self.complain(None, "a text of more than 128 bytes is dropped without a word");
        }
        let text = String::from_utf8_lossy(text);
        let (command, mark) = match serde_json::from_str::<Value>(&text) {
            Ok(order) => {
                let word = |name: &str| order[name].as_str().unwrap_or_default().to_owned();
                (word("command"), word("correlation_id"))
            }
            Err(_) => {
                let (command, mark) = text.split_once(' ').unwrap_or((&text, ""));
                (command.to_owned(), mark.to_owned())
            }
        };
        let Some(leg) = self.leg(id) else { return };
        let Way::Socket(queue) = &mut leg.way else { return };
        match command.as_str() {
            "MARK_MEDIA" => queue.played.push_back(Played::Mark(mark)),
            // Marks that wait vanish, and a pause stays.
            "FLUSH_MEDIA" => queue.played.clear(),
            "PAUSE_MEDIA" => queue.paused = true,
            "CONTINUE_MEDIA" => queue.paused = false,
            "REPORT_QUEUE_DRAINED" => queue.drains = true,
            "GET_STATUS" => {
                let told = json!({
                    "queue_length": queue.frames(), "xon_level": 800, "xoff_level": XOFF_FRAMES,
                    "queue_full": queue.full, "bulk_media": false, "media_paused": queue.paused,
                });
                self.control(id, "STATUS", told);
            }
            // None of its channels waits for that (option `n`).
            "ANSWER" => {}
            "HANGUP" => self.end(clock, id, NORMAL, None),
            _ => self.complain(None, format!("an unknown command is dropped: {command}")),
        }
    }

    /// Bytes of AudioSocket.
    fn bare_bytes(&mut self, clock: Clock, id: &str, bytes: &[u8]) {
        let Some(leg) = self.leg(id) else { return };
        let Way::Bare { unread, .. } = &mut leg.way else { return };
        unread.extend_from_slice(bytes);
        let mut whole = Vec::new();
        while let [kind, high, low, rest @ ..] = unread.as_slice() {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(payload) = rest.get(..length) else { break };
            whole.push((*kind, payload.to_vec()));
            unread.drain(..3 + length);
        }
        for (kind, payload) in whole {
            match of_kind(kind) {
                Some(format) if !payload.is_empty() => {
                    let audio = self.leg(id).map(|leg| leg.from_server.from(format, &payload));
                    if let Some(audio) = audio {
                        self.is_heard(id, &audio);
                    }
                }
                _ => {
                    if kind != KIND_HANGUP {
                        let length = payload.len();
                        let what = format!("kind {kind:#04x} of {length} bytes hangs up");
                        self.complain(None, what);
                    }
                    return self.end(clock, id, NORMAL, None);
                }
            }
        }
    }
}
