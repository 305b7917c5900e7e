//! Posts one webhook.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::guard::{self, Guard, Refused, Target};

/// How long a receiver may take, from the look-up of its name to its answer, in milliseconds.
const ANSWER_MS: u64 = 10_000;

/// A webhook.
#[derive(Clone, Debug)]
pub(super) struct Post {
    /// Where it goes.
    pub(super) url: String,
    /// Value of the header that names the event.
    pub(super) event_id: String,
    /// Type of the event.
    pub(super) kind: String,
    /// When it is sent, in seconds since 1970.
    pub(super) timestamp: u64,
    /// Signs time and body.
    pub(super) signature: String,
    /// The body.
    pub(super) body: String,
}

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    /// It must not go there.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The name leads nowhere.
    #[error("the name cannot be looked up")]
    Name,
    /// Nobody listens there.
    #[error("cannot connect: {0}")]
    Connect(std::io::ErrorKind),
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// The exchange failed.
    #[error("the exchange failed")]
    Http(#[from] hyper::Error),
    /// The request could not be written.
    #[error("the request cannot be written")]
    Request(#[from] http::Error),
    /// It took too long.
    #[error("no answer in time")]
    Timeout,
}

/// Posts webhooks.
#[derive(Clone)]
pub(super) struct Sender {
    guard: Guard,
    tls: Result<TlsConnector, String>,
}

impl Sender {
    /// Verifies receivers by the platform's certificates.
    pub(super) fn new(guard: Guard) -> Self {
        let tls = rustls::ClientConfig::with_platform_verifier().map(|mut config| {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            TlsConnector::from(Arc::new(config))
        });
        Self { guard, tls: tls.map_err(|error| error.to_string()) }
    }

    /// Posts a webhook and tells the status of the answer. Redirections are not followed: they
    /// could lead anywhere.
    pub(super) async fn send(&self, post: &Post) -> Result<StatusCode, SendError> {
        let all = Duration::from_millis(ANSWER_MS);
        tokio::time::timeout(all, self.post(post)).await.map_err(|_| SendError::Timeout)?
    }

    async fn post(&self, post: &Post) -> Result<StatusCode, SendError> {
        let target = guard::target(&post.url)?;
        let address = self.locate(&target).await?;
        // The address that was looked at is the one that is used: a name may lead elsewhere the
        // next time.
        let stream = TcpStream::connect(address).await;
        let stream = stream.map_err(|error| SendError::Connect(error.kind()))?;
        if !target.tls {
            return exchange(stream, &target, post).await;
        }
        let name = ServerName::try_from(target.host.clone());
        let name = name.map_err(|error| SendError::Tls(error.to_string()))?;
        let tls = self.tls.as_ref().map_err(|error| SendError::Tls(error.clone()))?;
        let stream = tls.connect(name, stream).await;
        exchange(stream.map_err(|error| SendError::Tls(error.to_string()))?, &target, post).await
    }

    /// The first address of a target that webhooks may go to.
    async fn locate(&self, target: &Target) -> Result<SocketAddr, SendError> {
        let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
        let mut refused = SendError::Name;
        for address in found.map_err(|_| SendError::Name)? {
            match self.guard.admit(target, address.ip()) {
                Ok(()) => return Ok(address),
                Err(error) => refused = error.into(),
            }
        }
        Err(refused)
    }
}

async fn exchange<I>(io: I, target: &Target, post: &Post) -> Result<StatusCode, SendError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let request = Request::post(&target.path)
        .header(header::HOST, &target.authority)
        .header(header::USER_AGENT, concat!("talkpath/", env!("CARGO_PKG_VERSION")))
        .header(header::CONTENT_TYPE, "application/json")
        .header("talkpath-event-id", &post.event_id)
        .header("talkpath-event-type", &post.kind)
        .header("talkpath-timestamp", post.timestamp)
        .header("talkpath-signature", &post.signature)
        .body(Full::new(Bytes::from(post.body.clone())))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(io)).await?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    // What the answer says besides its status is not read.
    driver.abort();
    Ok(answer?.status())
}
