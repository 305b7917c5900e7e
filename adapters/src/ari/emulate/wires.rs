//! Sockets that the server opens: of events, and of media. Packets of RTP.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use serde_json::json;

use super::Pbx;
use super::channel::Kind;
use super::media::Way;
use super::rest::{refused, unauthorized};
use super::sockets::Use;
use crate::emulate::{Clock, Upgraded, WireOutput, Wires, form};
use crate::exchange::HttpRequest;

impl Wires for Pbx {
    fn upgrade(&mut self, clock: Clock, request: &HttpRequest) -> Upgraded {
        let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        if let Some((_, id)) = path.rsplit_once("/media/") {
            return self.media_comes(id);
        }
        if !path.ends_with("/ari/events") {
            return Upgraded::Refused(refused(404, "Resource not found"));
        }
        if !self.is_authorized(request) {
            return Upgraded::Refused(unauthorized());
        }
        let query = form::read(query);
        let apps = form::value(&query, "app").unwrap_or_default();
        let apps: Vec<String> =
            apps.split(',').filter(|app| !app.is_empty()).map(str::to_owned).collect();
        if apps.is_empty() {
            return Upgraded::Refused(refused(400, "Missing parameter app"));
        }
        self.events_come(clock, apps)
    }

    fn datagram(&mut self, _: Clock, from: SocketAddr, data: &[u8]) {
        self.packet(from, data);
    }

    fn poll(&mut self) -> Option<WireOutput> {
        self.wires.pop_front()
    }
}

impl Pbx {
    /// User and password are those of the configuration.
    pub(super) fn is_authorized(&self, request: &HttpRequest) -> bool {
        let user = self.config.text("username").unwrap_or_default();
        let Some(password) = self.config.secret("password") else { return false };
        let expected = STANDARD.encode(format!("{user}:{}", password.expose()));
        let given = request.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        given.and_then(|given| given.strip_prefix("Basic ")) == Some(expected.as_str())
    }

    /// The one that comes last has an application; the one before hears so, and nothing more.
    fn events_come(&mut self, clock: Clock, apps: Vec<String>) -> Upgraded {
        for app in &apps {
            self.tell(clock, app, "ApplicationReplaced", json!({}));
            for used in self.sockets.values_mut() {
                if let Use::Events(theirs) = used {
                    theirs.retain(|it| it != app);
                }
            }
            self.apps.entry(app.clone()).or_default();
        }
        let socket = self.number();
        self.sockets.insert(socket, Use::Events(apps));
        Upgraded::Open { socket, subprotocol: None }
    }

    /// The server opens the socket of a media channel. The id is all that it has to show.
    fn media_comes(&mut self, connection: &str) -> Upgraded {
        let socket = self.number();
        for channel in self.channels.values_mut() {
            let Kind::Media(leg) = &mut channel.kind else { continue };
            let Way::Socket(queue) = &leg.way else { continue };
            if queue.connection.as_deref() != Some(connection) {
                continue;
            }
            if leg.socket.is_some() {
                return Upgraded::Refused(refused(409, "In use"));
            }
            leg.socket = Some(socket);
            self.sockets.insert(socket, Use::Media(channel.id.clone()));
            return Upgraded::Open { socket, subprotocol: Some("media") };
        }
        Upgraded::Refused(refused(404, "Not found"))
    }
}
