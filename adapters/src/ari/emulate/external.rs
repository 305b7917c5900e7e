//! Requests for external media.

use serde_json::json;

use super::Pbx;
use super::audio::format;
use super::channel::{Channel, Kind, NO_ANSWER};
use super::media::{Leg, Queue, Way};
use super::rest::{Query, refused, respond};
use super::sockets::Use;
use crate::emulate::{Clock, Output, WireOutput};
use crate::exchange::{HttpRequest, HttpResponse};

/// How long a media channel waits for the connection that the server opens, in milliseconds.
const CONNECT_MS: u64 = 30_000;

/// The UUID of that text.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let number = u128::from_str_radix(&digits, 16).ok()?;
    (digits.len() == 32).then(|| number.to_be_bytes())
}

/// What stands in brackets behind a letter of the options of a dial string: `f(json)v(a=b)n`.
fn option<'o>(options: &'o str, letter: char) -> Option<&'o str> {
    let at = options.find(&format!("{letter}("))?;
    options.get(at + 2..)?.split(')').next()
}

impl Pbx {
    /// A channel of external media.
    pub(super) fn external_media(&mut self, clock: Clock, query: &Query) -> HttpResponse {
        if let Some(refusal) = self.unmakeable(query) {
            return refusal;
        }
        let Some(format) = format(query.get("format")) else {
            return refused(500, "Unable to find the format");
        };
        let given = query.get("channelId").to_owned();
        let id = if given.is_empty() { self.next_id(clock) } else { given };
        let host = query.get("external_host");
        let how =
            (query.get("transport"), query.get("encapsulation"), query.get("connection_type"));
        let (technology, way, told) = match how {
            ("" | "udp", "" | "rtp", _) => {
                let (Ok(to), Some(at)) = (host.parse(), self.at) else {
                    return refused(500, "The external host is no address");
                };
                let way = Way::Rtp { to, seq: 0x1234, ts: 160 };
                let told = json!({
                    "UNICASTRTP_LOCAL_ADDRESS": at.ip().to_string(),
                    "UNICASTRTP_LOCAL_PORT": at.port().to_string(),
                });
                ("UnicastRTP", way, told)
            }
            ("tcp", "audiosocket", _) => {
                let data = query.get("data");
                let Some(uuid) = uuid(data) else { return refused(500, "data is no UUID") };
                let told = json!({"AUDIOSOCKET_UUID": data, "AUDIOSOCKET_SERVICE": host});
                ("AudioSocket", Way::Bare { uuid, unread: Vec::new() }, told)
            }
            ("websocket", "none", connection) => {
                let options = query.get("transport_data");
                let json = option(options, 'f') == Some("json");
                let mut queue = Queue { json, ..Queue::default() };
                let mut told = json!({"MEDIA_WEBSOCKET_OPTIMAL_FRAME_SIZE": format.frame_bytes()});
                if connection == "server" {
                    if option(options, 'v').is_some() {
                        return refused(500, "v() is not for connections of the server's");
                    }
                    let connection = self.uuid();
                    told["MEDIA_WEBSOCKET_CONNECTION_ID"] = json!(connection);
                    queue.connection = Some(connection);
                }
                ("WebSocket", Way::Socket(queue), told)
            }
            _ => return refused(501, "The encapsulation and/or transport is not supported"),
        };
        let name = format!("{technology}/{host}-{:#x}", self.number());
        let leg = Box::new(Leg::new(way, format));
        let mut channel = Channel::new(id.clone(), name, Kind::Media(leg), clock.unix_ms);
        channel.app = query.get("app").to_owned();
        let mut described = channel.to_json();
        described["channelvars"] = told;
        self.channels.insert(id.clone(), channel);
        self.connect(clock, &id, query);
        respond(200, &described)
    }

    /// Lets the connection of a media channel come about.
    fn connect(&mut self, clock: Clock, id: &str, query: &Query) {
        let Some(leg) = self.leg(id) else { return };
        let waits = matches!(&leg.way, Way::Socket(queue) if queue.connection.is_some());
        let (rtp, bare) = (matches!(leg.way, Way::Rtp { .. }), matches!(leg.way, Way::Bare { .. }));
        if rtp {
            return self.media_enters(clock, id);
        }
        if waits {
            let ends = clock.now + std::time::Duration::from_millis(CONNECT_MS);
            if let Some(channel) = self.channels.get_mut(id) {
                channel.ends_at = Some(ends);
            }
            return;
        }
        let socket = self.number();
        self.sockets.insert(socket, Use::Media(id.to_owned()));
        if let Some(leg) = self.leg(id) {
            leg.socket = Some(socket);
        }
        if bare {
            match query.get("external_host").parse() {
                Ok(to) => self.wires.push_back(WireOutput::Connect { socket, to }),
                Err(_) => self.end(clock, id, NO_ANSWER, None),
            }
            return;
        }
        let Some(request) = self.socket_request(query.get("transport_data")) else {
            return self.end(clock, id, super::channel::NO_ROUTE, None);
        };
        self.outputs.push_back(Output::Open { socket, request });
    }

    /// The request by which it opens a media socket: to the address in its file, with what the dial
    /// string has for it.
    fn socket_request(&self, options: &str) -> Option<HttpRequest> {
        let server = self.server.as_deref()?.trim_end_matches('/');
        let variables = option(options, 'v').unwrap_or_default().replace(',', "&");
        let base = server.replacen("http", "ws", 1);
        let url = format!("{base}/api/v1/telephony/ws/ari?{variables}");
        let mut request = HttpRequest::get(url);
        let media = http::HeaderValue::from_static("media");
        request.headers.insert(http::header::SEC_WEBSOCKET_PROTOCOL, media);
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Options are found by their letters, and a UUID is one in its usual form alone.
    #[test]
    fn words_are_read() {
        let options = "f(json)v(call=a,token=b)n";
        assert_eq!(
            (option(options, 'f'), option(options, 'v')),
            (Some("json"), Some("call=a,token=b"))
        );
        assert_eq!(option(options, 'c'), None);
        assert_eq!(uuid("00000000-0000-0000-0000-0000000000ff").map(|it| it[15]), Some(0xff));
        for wrong in ["", "ff", "00000000-0000-0000-0000-0000000000fg"] {
            assert_eq!(uuid(wrong), None, "{wrong}");
        }
    }
}
