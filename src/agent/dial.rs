//! Dials an agent: TCP, TLS, the WebSocket handshake; what is left is a bare socket.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Request, Uri, header};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::socket::{AgentSocket, Role};
use crate::bridge::handshake::{ClientKey, HandshakeError};
use crate::outward::{Outward, OutwardError};
use crate::telemetry::DialOutcome;

/// How long the token in an agent's handshake is valid, in seconds (`docs/protocol.md`).
const TOKEN_LIFETIME_S: u64 = 60;

/// Where and as whom to dial.
#[derive(Clone)]
pub struct DialTarget {
    /// `ws://` or `wss://`.
    pub url: Uri,
    /// Subprotocol to offer.
    pub subprotocol: Option<&'static str>,
    /// The agent's id: audience of the token.
    pub agent: String,
    /// The call's id: subject of the token.
    pub call_id: String,
    /// Signs the token; without it none is sent.
    pub secret: Option<Arc<[u8]>>,
    /// How far it may lead.
    pub outward: Outward,
}

/// Why an agent could not be dialled.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The URL lacks a part or has an unknown scheme.
    #[error("agent URL: {0}")]
    Url(&'static str),
    /// It must not be reached, its name leads nowhere, or nobody listens there.
    #[error(transparent)]
    Outward(#[from] OutwardError),
    /// The socket failed.
    #[error("cannot connect: {0}")]
    Connect(#[source] std::io::Error),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(#[source] std::io::Error),
    /// No certificates to verify the agent with.
    #[error("TLS set-up: {0}")]
    TlsSetup(#[source] rustls::Error),
    /// The HTTP exchange failed.
    #[error("handshake: {0}")]
    Http(#[from] hyper::Error),
    /// The request could not be built.
    #[error("handshake request: {0}")]
    Request(#[from] http::Error),
    /// The agent refused, or its answer is no WebSocket handshake for our request.
    #[error("handshake: {0}")]
    Handshake(#[from] HandshakeError),
    /// The token could not be signed.
    #[error("token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// The agent took too long.
    #[error("the agent took too long")]
    Timeout,
    /// The socket could not be taken back from the HTTP client.
    #[error("the socket was lost after the handshake")]
    Lost,
}

impl DialError {
    /// The label that metrics count it by.
    pub const fn outcome(&self) -> DialOutcome {
        match self {
            Self::Timeout => DialOutcome::TimedOut,
            Self::Handshake(_) | Self::Http(_) => DialOutcome::Refused,
            _ => DialOutcome::Unreachable,
        }
    }
}

/// Dials agents; cheap to clone.
#[derive(Clone)]
pub struct Dialler {
    tls: Option<TlsConnector>,
    tls_error: Option<Arc<rustls::Error>>,
}

impl Dialler {
    /// Prepares TLS with the platform's certificates. Without any, `wss` agents fail when dialled.
    pub fn new() -> Self {
        match rustls::ClientConfig::with_platform_verifier() {
            Ok(mut config) => {
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                Self { tls: Some(TlsConnector::from(Arc::new(config))), tls_error: None }
            }
            Err(error) => Self { tls: None, tls_error: Some(Arc::new(error)) },
        }
    }

    /// Connects to `target` and performs the handshake.
    ///
    /// # Errors
    ///
    /// A [`DialError`] that names the step that failed. There is no time-out here: the caller
    /// drops the future.
    pub async fn dial(&self, target: &DialTarget) -> Result<AgentSocket, DialError> {
        let host = target.url.host().ok_or(DialError::Url("no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let tls = match target.url.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(DialError::Url("the scheme is neither ws nor wss")),
        };
        let port = target.url.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let stream = target.outward.connect(host, port).await?;
        stream.set_nodelay(true).map_err(DialError::Connect)?;
        if !tls {
            let (io, unread) = handshake(stream, target).await?;
            let stream = io.into_std().map_err(DialError::Connect)?;
            return Ok(AgentSocket { stream, tls: None, unread, role: Role::Client });
        }
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| DialError::Url("the host is no name for TLS"))?;
        let stream = self.connector()?.connect(name, stream).await.map_err(DialError::Tls)?;
        let (io, unread): (TlsStream<TcpStream>, _) = handshake(stream, target).await?;
        let (stream, connection) = io.into_inner();
        let stream = stream.into_std().map_err(DialError::Connect)?;
        let tls = Some(Box::new(rustls::Connection::Client(connection)));
        Ok(AgentSocket { stream, tls, unread, role: Role::Client })
    }

    fn connector(&self) -> Result<&TlsConnector, DialError> {
        self.tls.as_ref().ok_or_else(|| {
            let error = self.tls_error.as_deref().cloned();
            DialError::TlsSetup(error.unwrap_or(rustls::Error::NoCertificatesPresented))
        })
    }
}

impl Default for Dialler {
    fn default() -> Self {
        Self::new()
    }
}

/// The WebSocket handshake of a client (RFC 6455 4.1) over `io`; gives `io` back with the bytes
/// that came behind the response.
async fn handshake<I>(io: I, target: &DialTarget) -> Result<(I, Vec<u8>), DialError>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<&'static [u8]>>(TokioIo::new(io)).await?;
    let driver = tokio::spawn(connection.with_upgrades());
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce)
        .map_err(|error| DialError::Connect(std::io::Error::other(error.to_string())))?;
    let key = ClientKey::new(nonce);
    let offered: Vec<&str> = target.subprotocol.into_iter().collect();
    let response = sender.send_request(request(target, &key, &offered)?).await?;
    key.check_response(response.status(), response.headers(), &offered)?;
    let upgraded = hyper::upgrade::on(response).await?;
    driver.abort();
    let parts = Upgraded::downcast::<TokioIo<I>>(upgraded).map_err(|_| DialError::Lost)?;
    Ok((parts.io.into_inner(), parts.read_buf.to_vec()))
}

fn request(
    target: &DialTarget,
    key: &ClientKey,
    offered: &[&str],
) -> Result<Request<Empty<&'static [u8]>>, DialError> {
    let authority = target.url.authority().ok_or(DialError::Url("no host"))?;
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let path = target.url.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("talkpath/", env!("CARGO_PKG_VERSION")));
    if let Some(headers) = request.headers_mut() {
        headers.extend(key.request_headers(offered));
    }
    if let Some(secret) = &target.secret {
        let token = token(target, secret)?;
        let mut value =
            HeaderValue::try_from(format!("Bearer {token}")).map_err(http::Error::from)?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    Ok(request.body(Empty::new())?)
}

/// Claims of the token that tells an agent who dials it (`docs/protocol.md`).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'static str,
    aud: &'a str,
    sub: &'a str,
    iat: u64,
    exp: u64,
    jti: String,
}

fn token(target: &DialTarget, secret: &[u8]) -> Result<String, DialError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let claims = Claims {
        iss: "talkpath",
        aud: &target.agent,
        sub: &target.call_id,
        iat: now,
        exp: now + TOKEN_LIFETIME_S,
        jti: uuid::Uuid::now_v7().to_string(),
    };
    let key = jsonwebtoken::EncodingKey::from_secret(secret);
    Ok(jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key)?)
}
