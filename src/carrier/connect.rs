//! Connections to carriers.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower_service::Service;

use crate::config::Allowed;
use crate::outbox::guard::{Guard, target};

/// How long a connection may take to be made, in milliseconds.
const CONNECT_MS: u64 = 5_000;

/// Which addresses are asked: those of the public network, and these.
///
/// Whoever writes a configuration may write the address of a carrier's API, and must not reach with
/// it what only this server can reach.
#[derive(Clone, Debug, Default)]
pub struct Reachable(pub Allowed);

/// Makes connections; TLS by the platform's authorities.
#[derive(Clone)]
pub(super) struct Connector {
    guard: Arc<Guard>,
    tls: Result<TlsConnector, String>,
}

impl Connector {
    pub(super) fn new(reachable: Reachable) -> Self {
        let tls = rustls::ClientConfig::with_platform_verifier().map(|mut config| {
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            TlsConnector::from(Arc::new(config))
        });
        let guard = Arc::new(Guard::new(reachable.0));
        Self { guard, tls: tls.map_err(|error| error.to_string()) }
    }

    /// The address that was looked at is the one that is used: a name may lead elsewhere the next
    /// time.
    pub(super) async fn connect(self, url: Uri) -> io::Result<Link> {
        let target = target(&url.to_string()).map_err(io::Error::other)?;
        let mut last = io::Error::other("the name leads nowhere");
        for address in tokio::net::lookup_host((target.host.as_str(), target.port)).await? {
            if let Err(refused) = self.guard.admit(&target, address.ip()) {
                last = io::Error::other(refused);
                continue;
            }
            let stream = match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    last = error;
                    continue;
                }
            };
            stream.set_nodelay(true)?;
            if !target.tls {
                return Ok(Link::Plain(stream));
            }
            let name = ServerName::try_from(target.host.clone()).map_err(io::Error::other)?;
            let tls = self.tls.as_ref().map_err(|error| io::Error::other(error.clone()))?;
            return Ok(Link::Secure(Box::new(tls.connect(name, stream).await?)));
        }
        Err(last)
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Link>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Link>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let limit = Duration::from_millis(CONNECT_MS);
            let link = tokio::time::timeout(limit, connector.connect(url)).await;
            link.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map(TokioIo::new)
        })
    }
}

/// A connection to a carrier.
pub(super) enum Link {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Link {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, data),
            Self::Secure(stream) => Pin::new(stream).poll_write(context, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Secure(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
