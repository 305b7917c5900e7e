//! Posts one webhook.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
/// How much of that may go into connecting, whatever the number of addresses, in milliseconds.
const CONNECT_MS: u64 = 5_000;
/// Most addresses of a name that are tried: each has a share of that time in which far receivers
/// can answer.
const ADDRESSES_MAX: usize = 8;

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
    Connect(io::ErrorKind),
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
        // The addresses that were looked at are the ones that are used: a name may lead elsewhere
        // the next time.
        let addresses = self.locate(&target).await?;
        let stream = connect(&addresses, Duration::from_millis(CONNECT_MS)).await?;
        if !target.tls {
            return exchange(stream, &target, post).await;
        }
        let name = ServerName::try_from(target.host.clone());
        let name = name.map_err(|error| SendError::Tls(error.to_string()))?;
        let tls = self.tls.as_ref().map_err(|error| SendError::Tls(error.clone()))?;
        let stream = tls.connect(name, stream).await;
        exchange(stream.map_err(|error| SendError::Tls(error.to_string()))?, &target, post).await
    }

    /// The addresses of a target that webhooks may go to, in the resolver's order; at least one.
    async fn locate(&self, target: &Target) -> Result<Vec<SocketAddr>, SendError> {
        let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
        let mut admitted = Vec::new();
        let mut refused = SendError::Name;
        for address in found.map_err(|_| SendError::Name)? {
            match self.guard.admit(target, address.ip()) {
                Ok(()) if admitted.len() < ADDRESSES_MAX => admitted.push(address),
                Ok(()) => break,
                Err(error) => refused = error.into(),
            }
        }
        if admitted.is_empty() { Err(refused) } else { Ok(admitted) }
    }
}

/// Connects to the first address that takes it. One that does not answer must not take the time of
/// those behind it: each has an equal share of what is left.
async fn connect(addresses: &[SocketAddr], limit: Duration) -> Result<TcpStream, SendError> {
    let began = Instant::now();
    let mut last = SendError::Name;
    for (left, address) in (1..=addresses.len()).rev().zip(addresses) {
        let share = limit.saturating_sub(began.elapsed()) / u32::try_from(left).unwrap_or(u32::MAX);
        last = match tokio::time::timeout(share, TcpStream::connect(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => SendError::Connect(error.kind()),
            Err(_) => SendError::Connect(io::ErrorKind::TimedOut),
        };
    }
    Err(last)
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

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;
    use crate::config::Allowed;

    /// Somebody who listens.
    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// An address where nobody listens, and nobody else can while the socket is held.
    fn closed() -> (TcpSocket, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// Somebody who takes no more connections and refuses none: they are not answered. What is held
    /// keeps it so.
    async fn deaf() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        let patience = Duration::from_millis(100);
        while let Ok(taken) = tokio::time::timeout(patience, TcpStream::connect(address)).await {
            held.push(taken.unwrap());
            assert!(held.len() < 64, "it takes any number of connections");
        }
        (listener, held, address)
    }

    /// A name with several addresses is reached by the one that answers, whether those before it
    /// refuse or say nothing; if none does, the last fault is told.
    #[tokio::test]
    async fn each_address_is_tried() {
        let limit = Duration::from_secs(2);
        let (_listener, open) = listener().await;
        let (_deaf, _held, silent) = deaf().await;
        let (_closed, refusing) = closed();
        for before in [vec![], vec![refusing], vec![silent], vec![silent, refusing]] {
            let addresses = [before, vec![open]].concat();
            let stream = connect(&addresses, limit).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), open, "{addresses:?}");
        }
        let refused = connect(&[refusing], limit).await.unwrap_err();
        assert!(matches!(refused, SendError::Connect(io::ErrorKind::ConnectionRefused)));
        let timed_out = connect(&[silent], Duration::from_millis(100)).await.unwrap_err();
        assert!(matches!(timed_out, SendError::Connect(io::ErrorKind::TimedOut)));
    }

    /// Of what a name leads to, what webhooks may go to is found, and nothing else.
    #[tokio::test]
    async fn only_admitted_addresses_are_found() {
        let target = guard::target("http://localhost:80/").unwrap();
        let sender = Sender::new(Guard::new(Allowed::parse(&["127.0.0.0/8"]).unwrap()));
        let found = sender.locate(&target).await.unwrap();
        assert!(!found.is_empty() && found.len() <= ADDRESSES_MAX, "{found:?}");
        assert!(found.iter().all(SocketAddr::is_ipv4), "{found:?}");
        let refused = Sender::new(Guard::default()).locate(&target).await.unwrap_err();
        assert!(matches!(refused, SendError::Refused(Refused::Private)), "{refused}");
    }
}
