//! Requests for external media: how audio travels between Asterisk and us.

use http::HeaderValue;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use std::net::SocketAddr;

use super::events::Channel;
use super::fields::{self, Way};
use super::request::{post, signed};
use crate::config::RawConfig;
use crate::exchange::{CarrierError, HttpRequest, escape};
use crate::media_socket::SUBPROTOCOL;

/// Where our audio goes, once the channel is made.
#[derive(Debug, PartialEq)]
pub(super) enum Where {
    /// To this address, by RTP.
    Rtp(SocketAddr),
    /// By a WebSocket that we open.
    Connect(HttpRequest),
    /// By a connection that Asterisk opens.
    Comes,
}

/// The request for a media channel called `name`. `stream_url` is where audio comes to:
/// `host:port` by RTP, `host:port/uuid` by AudioSocket, else an address that ends in our id of the
/// call and a token.
pub(super) fn request(
    config: &RawConfig,
    app: &str,
    name: &str,
    stream_url: &str,
) -> Result<HttpRequest, CarrierError> {
    let mut query = vec![
        ("app", app.to_owned()),
        ("channelId", name.to_owned()),
        ("format", fields::format(config).to_owned()),
    ];
    let socket = |query: &mut Vec<(&str, String)>, connection: &str, data: String| {
        query.push(("transport", "websocket".to_owned()));
        query.push(("encapsulation", "none".to_owned()));
        query.push(("connection_type", connection.to_owned()));
        query.push(("transport_data", data));
    };
    match fields::way(config) {
        Way::Rtp => query.push(("external_host", external_host(config, stream_url))),
        Way::WebSocketClient => {
            let section = config.text("ws_client").ok_or(CarrierError::Config("no client"))?;
            query.push(("external_host", section.to_owned()));
            let mut parts = stream_url.rsplit('/');
            let (token, call) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let data = format!("f(json)v(call={},token={})", escape(call), escape(token));
            socket(&mut query, "client", data);
        }
        Way::WebSocketServer => socket(&mut query, "server", "f(json)".to_owned()),
        Way::AudioSocket => {
            let none = CarrierError::Config("this server has no AudioSocket");
            let (host, id) = stream_url.split_once('/').ok_or(none)?;
            query.push(("external_host", external_host(config, host)));
            query.push(("transport", "tcp".to_owned()));
            query.push(("encapsulation", "audiosocket".to_owned()));
            query.push(("data", id.to_owned()));
        }
    }
    let query: Vec<_> = query.iter().map(|(name, value)| (*name, value.as_str())).collect();
    post(config, "channels/externalMedia", &query)
}

/// Our address, by the name that the configuration has for it.
fn external_host(config: &RawConfig, address: &str) -> String {
    match (config.text("media_host"), address.rsplit_once(':')) {
        (Some(host), Some((_, port))) if host.contains(':') => format!("[{host}]:{port}"),
        (Some(host), Some((_, port))) => format!("{host}:{port}"),
        _ => address.to_owned(),
    }
}

/// Where our audio goes; `None` if the answer does not tell what it should.
pub(super) fn made(config: &RawConfig, channel: &Channel) -> Option<Where> {
    match fields::way(config) {
        Way::Rtp => {
            let address = channel.variable("UNICASTRTP_LOCAL_ADDRESS")?.parse().ok()?;
            let port = channel.variable("UNICASTRTP_LOCAL_PORT")?.parse().ok()?;
            Some(Where::Rtp(SocketAddr::new(address, port)))
        }
        Way::WebSocketServer => {
            let id = escape(channel.variable("MEDIA_WEBSOCKET_CONNECTION_ID")?);
            let base = config.text("ari_url")?.replacen("http", "ws", 1);
            let mut request =
                signed(config, HttpRequest::get(format!("{base}/media/{id}"))).ok()?;
            let protocol = HeaderValue::from_static(SUBPROTOCOL);
            request.headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
            Some(Where::Connect(request))
        }
        Way::WebSocketClient | Way::AudioSocket => Some(Where::Comes),
    }
}
