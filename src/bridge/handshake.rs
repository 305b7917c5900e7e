//! The opening handshake of a WebSocket (RFC 6455 4), as functions over HTTP headers: what hyper
//! parsed on one side, what it will write on the other.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderName, Method, StatusCode, Version};
use sha1::{Digest, Sha1};
use thiserror::Error;

/// Appended to the client's key before hashing (RFC 6455 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The only version of the protocol (RFC 6455 4.1).
const VERSION: HeaderValue = HeaderValue::from_static("13");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const CONNECTION_UPGRADE: HeaderValue = HeaderValue::from_static("Upgrade");
/// Random bytes in a client's key (RFC 6455 4.1).
pub const KEY_BYTES: usize = 16;

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// A WebSocket is opened with GET.
    #[error("method is not GET")]
    Method,
    /// A WebSocket is opened over HTTP/1.1.
    #[error("HTTP version below 1.1")]
    HttpVersion,
    /// `Connection` does not list `upgrade`, or `Upgrade` does not list `websocket`.
    #[error("not an upgrade to a WebSocket")]
    NotUpgrade,
    /// `Sec-WebSocket-Version` is not 13.
    #[error("WebSocket version is not 13")]
    WebSocketVersion,
    /// `Sec-WebSocket-Key` is missing, doubled, or not 16 bytes of base64.
    #[error("bad Sec-WebSocket-Key")]
    Key,
    /// The client offers subprotocols, and none that is spoken here.
    #[error("no common subprotocol")]
    NoSubprotocol,
    /// The server did not answer 101.
    #[error("server answered {0}")]
    Status(StatusCode),
    /// `Sec-WebSocket-Accept` does not belong to the key that was sent.
    #[error("bad Sec-WebSocket-Accept")]
    Accept,
    /// The server chose a subprotocol that was not offered, or several.
    #[error("subprotocol was not offered")]
    SubprotocolNotOffered,
    /// The server chose an extension; none was offered.
    #[error("extension was not offered")]
    Extension,
}

impl HandshakeError {
    /// The status a server refuses the request with.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            // Together with the version that would do (RFC 6455 4.2.2, RFC 9110 15.5.22).
            Self::NotUpgrade | Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The headers that belong to a refusal with [`status`](Self::status).
    pub fn headers(self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        match self {
            Self::Method => {
                headers.insert(http::header::ALLOW, HeaderValue::from_static("GET"));
            }
            Self::NotUpgrade | Self::WebSocketVersion => {
                headers.insert(UPGRADE, WEBSOCKET);
                headers.insert(CONNECTION, CONNECTION_UPGRADE);
                headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
            }
            _ => {}
        }
        headers
    }
}

/// The value of `Sec-WebSocket-Accept` that answers `key` (RFC 6455 4.2.2).
pub fn accept_value(key: &[u8]) -> HeaderValue {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    let mut text = [0; 28];
    let written = STANDARD.encode_slice(hash.finalize(), &mut text);
    debug_assert_eq!(written, Ok(text.len()));
    // Base64 is always a valid header value.
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
}

/// What a server agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade<'s> {
    accept: HeaderValue,
    subprotocol: Option<&'s str>,
}

impl<'s> Upgrade<'s> {
    /// The subprotocol that holds, if the client offered any.
    pub const fn subprotocol(&self) -> Option<&'s str> {
        self.subprotocol
    }

    /// The headers of the 101 answer.
    pub fn response_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(UPGRADE, WEBSOCKET);
        headers.insert(CONNECTION, CONNECTION_UPGRADE);
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if let Some(Ok(name)) = self.subprotocol.map(HeaderValue::from_str) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, name);
        }
        headers
    }
}

/// A server's check of a request (RFC 6455 4.2.1).
///
/// `spoken` are the subprotocols spoken at this place, in our order of preference; the first that
/// the client offers too is chosen. A client that offers none gets none, and so does one that
/// offers some where `spoken` is empty; browsers and libraries decide then whether to go on.
/// Extensions offered are not taken up.
///
/// # Errors
///
/// A [`HandshakeError`] with the status and headers to refuse with.
pub fn check_request<'s>(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    spoken: &[&'s str],
) -> Result<Upgrade<'s>, HandshakeError> {
    if method != Method::GET {
        return Err(HandshakeError::Method);
    }
    if version < Version::HTTP_11 {
        return Err(HandshakeError::HttpVersion);
    }
    check_upgrade(headers)?;
    if single(headers, &SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(HandshakeError::WebSocketVersion);
    }
    let key = single(headers, &SEC_WEBSOCKET_KEY).ok_or(HandshakeError::Key)?;
    let mut nonce = [0; KEY_BYTES + 2];
    match STANDARD.decode_slice(key.as_bytes(), &mut nonce) {
        Ok(KEY_BYTES) => {}
        _ => return Err(HandshakeError::Key),
    }
    let offers = || tokens(headers, &SEC_WEBSOCKET_PROTOCOL);
    let subprotocol = spoken.iter().copied().find(|name| offers().any(|offer| offer == *name));
    if subprotocol.is_none() && !spoken.is_empty() && offers().next().is_some() {
        return Err(HandshakeError::NoSubprotocol);
    }
    Ok(Upgrade { accept: accept_value(key.as_bytes()), subprotocol })
}

/// True if the headers ask for an upgrade to a WebSocket (RFC 6455 4.2.1).
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    check_upgrade(headers).is_ok()
}

/// A client's key, kept until the answer arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey(HeaderValue);

impl ClientKey {
    /// The key made of 16 random bytes, a fresh one for each connection (RFC 6455 4.1).
    pub fn new(nonce: [u8; KEY_BYTES]) -> Self {
        let text = STANDARD.encode(nonce);
        // Base64 is always a valid header value.
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("")))
    }

    /// The headers of the request that belong to the WebSocket; `Host`, `Authorization` and the
    /// like are the caller's. Names in `subprotocols` that cannot stand in a header are left out.
    pub fn request_headers(&self, subprotocols: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(5);
        headers.insert(UPGRADE, WEBSOCKET);
        headers.insert(CONNECTION, CONNECTION_UPGRADE);
        headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
        headers.insert(SEC_WEBSOCKET_KEY, self.0.clone());
        if !subprotocols.is_empty()
            && let Ok(offer) = HeaderValue::try_from(subprotocols.join(", "))
        {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, offer);
        }
        headers
    }

    /// A client's check of the answer (RFC 6455 4.1): tells which of the `offered` subprotocols
    /// holds. `None` where the server chose none; whether that will do is the caller's decision.
    ///
    /// # Errors
    ///
    /// A [`HandshakeError`]; the connection must be given up.
    pub fn check_response<'s>(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        offered: &[&'s str],
    ) -> Result<Option<&'s str>, HandshakeError> {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(HandshakeError::Status(status));
        }
        check_upgrade(headers)?;
        let wanted = accept_value(self.0.as_bytes());
        if single(headers, &SEC_WEBSOCKET_ACCEPT) != Some(&wanted) {
            return Err(HandshakeError::Accept);
        }
        if tokens(headers, &SEC_WEBSOCKET_EXTENSIONS).next().is_some() {
            return Err(HandshakeError::Extension);
        }
        let mut chosen = tokens(headers, &SEC_WEBSOCKET_PROTOCOL);
        match (chosen.next(), chosen.next()) {
            (None, _) => Ok(None),
            (Some(name), None) => offered
                .iter()
                .copied()
                .find(|offer| *offer == name)
                .map(Some)
                .ok_or(HandshakeError::SubprotocolNotOffered),
            (Some(_), Some(_)) => Err(HandshakeError::SubprotocolNotOffered),
        }
    }
}

/// `Upgrade: websocket` and `Connection: upgrade`, each possibly among others.
fn check_upgrade(headers: &HeaderMap) -> Result<(), HandshakeError> {
    let lists =
        |name, word: &str| tokens(headers, name).any(|token| token.eq_ignore_ascii_case(word));
    if lists(&CONNECTION, "upgrade") && lists(&UPGRADE, "websocket") {
        Ok(())
    } else {
        Err(HandshakeError::NotUpgrade)
    }
}

/// The value of a header that must occur once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The comma-separated elements of all headers of a name (RFC 9110 5.6.1).
fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests;
