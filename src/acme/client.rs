//! Requests to an authority: each over a connection of its own, as there are a dozen in two months.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// How long one request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest body of an answer, in bytes.
const RESPONSE_BYTES_MAX: usize = 256 * 1024;
/// Port of an authority that names none.
const HTTPS: u16 = 443;

type Failure = Box<dyn StdError + Send + Sync>;

/// Asks an authority.
pub(super) struct Client(TlsConnector);

impl Client {
    pub(super) fn new(tls: Arc<ClientConfig>) -> Self {
        Self(TlsConnector::from(tls))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let tls = self.0.clone();
        Box::pin(async move {
            let answer = tokio::time::timeout(TIMEOUT, exchange(tls, request)).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer in time".into()));
            answer.map(BytesResponse::from).map_err(Error::Other)
        })
    }
}

async fn exchange(
    tls: TlsConnector,
    request: Request<BodyWrapper<Bytes>>,
) -> Result<Response<Full<Bytes>>, Failure> {
    let (mut head, body) = request.into_parts();
    // What the authority names as its other addresses is as secret as the first.
    if head.uri.scheme_str() != Some("https") {
        return Err("the authority names an address that is not https".into());
    }
    let authority = head.uri.authority().ok_or("an address without host")?.clone();
    let host = authority.host().trim_matches(['[', ']']).to_owned();
    let stream = TcpStream::connect((host.as_str(), authority.port_u16().unwrap_or(HTTPS))).await?;
    stream.set_nodelay(true)?;
    let stream = tls.connect(ServerName::try_from(host)?, stream).await?;
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let path: Uri = path.parse()?;
    head.headers.insert(header::HOST, HeaderValue::from_str(authority.as_str())?);
    let agent = HeaderValue::from_static(concat!("talkpath/", env!("CARGO_PKG_VERSION")));
    head.headers.insert(header::USER_AGENT, agent);
    head.uri = path;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let answer = async {
        let (head, body) = sender.send_request(Request::from_parts(head, body)).await?.into_parts();
        let body = Limited::new(body, RESPONSE_BYTES_MAX).collect().await?.to_bytes();
        Ok::<_, Failure>(Response::from_parts(head, Full::new(body)))
    };
    let answer = answer.await;
    driver.abort();
    answer
}
