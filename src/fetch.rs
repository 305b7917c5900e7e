//! Files that an organisation names by a URL.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Body as _;
use hyper_util::rt::TokioIo;
use media::wav::{self, Clip, WavError};
use rustls::pki_types::ServerName;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use uuid::Uuid;

use crate::outward::{Outward, OutwardError, is_public};
use crate::shares::Shares;

/// The longest file of a sound, in bytes: ten minutes of 16 bits at 8 kHz, and some room.
pub const SOUND_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;
/// How long a file may take, from the look-up of its host's name to its last byte.
const WITHIN: Duration = Duration::from_secs(15);

/// Files that are fetched at once; more are refused, as their callers would wait too long.
const AT_ONCE_MAX: usize = 32;
/// Those of one organisation.
const EACH_AT_ONCE_MAX: usize = 8;

static AT_ONCE: Shares = Shares::new(AT_ONCE_MAX, EACH_AT_ONCE_MAX);

/// Why there is no file. What its host said is not told.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is no URL of a file.
    #[error("is not an https URL with a host and without credentials")]
    Url,
    /// This server does not go there, or cannot.
    #[error("{0}")]
    Outward(#[from] OutwardError),
    /// Without TLS anybody on the way could put another in its place.
    #[error("http is for what is not of the public network; use https")]
    Plain,
    /// TLS failed.
    #[error("TLS with the host fails")]
    Tls,
    /// The exchange failed.
    #[error("the host does not answer as it should")]
    Http,
    /// The answer is another than 200. Redirections are not followed: they could lead anywhere.
    #[error("the host answers with {0}")]
    Status(StatusCode),
    /// It is too long.
    #[error("the file has more than {0} bytes")]
    Long(usize),
    /// Others are fetched.
    #[error("is not fetched now: too many files are")]
    Busy,
    /// It took too long.
    #[error("the file did not come in time")]
    Slow,
    /// It is no sound.
    #[error("the file {0}")]
    File(#[from] WavError),
    /// The server ends.
    #[error("the server ends")]
    Ending,
}

/// Fetches a WAV file of at most `length_max_ms` for an organisation, and reads it.
///
/// # Errors
///
/// Why there is no sound.
pub async fn sound(
    (organisation, outward): (Uuid, &Outward),
    url: &str,
    length_max_ms: u64,
) -> Result<Clip, FetchError> {
    let _turn = AT_ONCE.take(organisation).ok_or(FetchError::Busy)?;
    let file = file(outward, url, SOUND_BYTES_MAX).await?;
    let read = tokio::task::spawn_blocking(move || wav::read(&file, length_max_ms)).await;
    Ok(read.map_err(|_| FetchError::Ending)??)
}

/// Fetches a file of at most `bytes_max`.
async fn file(outward: &Outward, url: &str, bytes_max: usize) -> Result<Bytes, FetchError> {
    let fetched = tokio::time::timeout(WITHIN, fetch(outward, url, bytes_max)).await;
    fetched.map_err(|_| FetchError::Slow)?
}

async fn fetch(outward: &Outward, url: &str, bytes_max: usize) -> Result<Bytes, FetchError> {
    if url.len() > URL_BYTES_MAX {
        return Err(FetchError::Url);
    }
    let uri: Uri = url.parse().map_err(|_| FetchError::Url)?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(FetchError::Url),
    };
    let authority = uri.authority().ok_or(FetchError::Url)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || authority.as_str().contains('@') {
        return Err(FetchError::Url);
    }
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = outward.connect(host, port).await?;
    if !tls {
        let at = stream.peer_addr().map_err(|_| FetchError::Http)?;
        if is_public(at.ip()) {
            return Err(FetchError::Plain);
        }
        return exchange(stream, &uri, bytes_max).await;
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|_| FetchError::Url)?;
    let connector = connector().ok_or(FetchError::Tls)?;
    let stream = connector.connect(name, stream).await.map_err(|_| FetchError::Tls)?;
    exchange(stream, &uri, bytes_max).await
}

/// Verifies hosts by the platform's certificates.
fn connector() -> Option<&'static TlsConnector> {
    static CONNECTOR: OnceLock<Option<TlsConnector>> = OnceLock::new();
    let connector = CONNECTOR.get_or_init(|| {
        let mut config = rustls::ClientConfig::with_platform_verifier().ok()?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Some(TlsConnector::from(Arc::new(config)))
    });
    connector.as_ref()
}

async fn exchange<I>(io: I, uri: &Uri, bytes_max: usize) -> Result<Bytes, FetchError>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("talkpath/", env!("CARGO_PKG_VERSION")))
        .header(header::ACCEPT, "audio/wav, audio/*;q=0.5")
        .body(Empty::<Bytes>::new())
        .map_err(|_| FetchError::Url)?;
    let shaken = hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(io)).await;
    let (mut sender, connection) = shaken.map_err(|_| FetchError::Http)?;
    let driver = tokio::spawn(connection);
    let body = async {
        let answer = sender.send_request(request).await.map_err(|_| FetchError::Http)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        if answer.body().size_hint().lower() > bytes_max as u64 {
            return Err(FetchError::Long(bytes_max));
        }
        let body = Limited::new(answer.into_body(), bytes_max).collect().await;
        match body {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                Err(FetchError::Long(bytes_max))
            }
            Err(_) => Err(FetchError::Http),
        }
    };
    let body = body.await;
    driver.abort();
    body
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;

    use super::*;

    /// A host that answers to each request with this, or with nothing; the connections it has had.
    fn host(answer: Option<Vec<u8>>) -> (String, mpsc::Receiver<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a.wav", listener.local_addr().unwrap());
        let (told, connections) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 1_024]);
                if let Some(answer) = &answer {
                    let _ = stream.write_all(answer);
                }
                if told.send(stream).is_err() {
                    return;
                }
            }
        });
        (url, connections)
    }

    async fn fetched(organisation: Uuid, url: &str) -> Result<Clip, FetchError> {
        sound((organisation, &Outward::Anywhere), url, 1_000).await
    }

    /// Hosts that do not answer keep one organisation from fetching more, and no other; what is
    /// given up makes room.
    #[tokio::test]
    async fn each_organisation_has_a_share() {
        let (silent, connections) = host(None);
        let greedy = Uuid::now_v7();
        let waiting: Vec<_> = (0..EACH_AT_ONCE_MAX)
            .map(|_| {
                let silent = silent.clone();
                tokio::spawn(async move { fetched(greedy, &silent).await.map(drop) })
            })
            .collect();
        let connections = tokio::task::spawn_blocking(move || {
            connections.iter().take(EACH_AT_ONCE_MAX).collect::<Vec<_>>()
        });
        let connections = connections.await.unwrap();
        assert_eq!(connections.len(), EACH_AT_ONCE_MAX);
        assert!(matches!(fetched(greedy, &silent).await, Err(FetchError::Busy)));
        let (none, _kept) = host(Some(b"HTTP/1.1 404 N\r\nContent-Length: 0\r\n\r\n".to_vec()));
        let other = fetched(Uuid::now_v7(), &none).await;
        assert!(matches!(other, Err(FetchError::Status(StatusCode::NOT_FOUND))));
        for one in waiting {
            one.abort();
            assert!(one.await.unwrap_err().is_cancelled());
        }
        let again = fetched(greedy, &none).await;
        assert!(matches!(again, Err(FetchError::Status(StatusCode::NOT_FOUND))));
    }

    /// A file that is too long is refused by what its host says of it, and one of which it says
    /// nothing as soon as it is too long.
    #[tokio::test]
    async fn files_have_a_length() {
        let long = SOUND_BYTES_MAX + 1;
        let told = format!("HTTP/1.1 200 O\r\nContent-Length: {long}\r\n\r\n").into_bytes();
        let mut untold = b"HTTP/1.1 200 O\r\nConnection: close\r\n\r\n".to_vec();
        untold.resize(untold.len() + long, 0);
        for answer in [told, untold] {
            let (url, _kept) = host(Some(answer));
            let refused = fetched(Uuid::now_v7(), &url).await;
            assert!(matches!(refused, Err(FetchError::Long(SOUND_BYTES_MAX))), "{refused:?}");
        }
    }
}
