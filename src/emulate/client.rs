//! Connections to the server: webhooks, and what media sockets begin with.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use adapters::exchange::{HttpRequest, HttpResponse};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long the server may take to answer a webhook.
const ANSWER_WAIT: Duration = Duration::from_secs(15);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A connection, plain or over TLS.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connects to where an address leads (`http`, `https`, `ws`, `wss`).
pub(super) async fn connect(uri: &Uri) -> io::Result<Box<dyn Io>> {
    let wrong = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
    let host = uri.host().ok_or_else(|| wrong("no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let secure = match uri.scheme_str() {
        Some("http" | "ws") => false,
        Some("https" | "wss") => true,
        _ => return Err(wrong("an address that is none of HTTP or WebSocket")),
    };
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    if !secure {
        return Ok(Box::new(stream));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|_| wrong("no name for TLS"))?;
    Ok(Box::new(connector()?.connect(name, stream).await?))
}

/// TLS with the authorities of the system, prepared once.
fn connector() -> io::Result<TlsConnector> {
    static TLS: OnceLock<Option<Arc<rustls::ClientConfig>>> = OnceLock::new();
    let config =
        TLS.get_or_init(|| rustls::ClientConfig::with_platform_verifier().ok().map(Arc::new));
    config
        .clone()
        .map(TlsConnector::from)
        .ok_or_else(|| io::Error::other("the system has no authorities for TLS"))
}

/// The request as it is sent to where its address leads.
pub(super) fn request(uri: &Uri, what: HttpRequest) -> Result<Request<Full<Bytes>>, http::Error> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let mut request =
        Request::builder().method(what.method).uri(path).body(Full::new(what.body))?;
    *request.headers_mut() = what.headers;
    request.headers_mut().entry(header::HOST).or_insert(HeaderValue::try_from(host)?);
    Ok(request)
}

/// Sends a request to the server and yields its answer; `None` if it is not answered in time.
pub async fn send(what: HttpRequest) -> Option<HttpResponse> {
    tokio::time::timeout(ANSWER_WAIT, exchange(what)).await.ok().flatten()
}

async fn exchange(what: HttpRequest) -> Option<HttpResponse> {
    let uri: Uri = what.url.parse().ok()?;
    let io = connect(&uri).await.ok()?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.ok()?;
    let driver = tokio::spawn(connection);
    let response = sender.send_request(request(&uri, what).ok()?).await.ok()?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.ok()?.to_bytes();
    driver.abort();
    Some(HttpResponse { status: parts.status, headers: parts.headers, body })
}
