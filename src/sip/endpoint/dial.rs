//! Opens connections to peers: TCP, TLS over it, and WebSockets over either (RFC 7118).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, Request, header};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::connection::{BoxedIo, Framing};
use super::websocket::SUBPROTOCOL;
use crate::bridge::handshake::ClientKey;
use crate::listen::tls::ClientTls;

/// Whom TLS expects at the far end, and by which authorities.
#[derive(Clone, Debug)]
pub struct Verify {
    /// The host of the URI that led there (RFC 5922 7.1).
    pub name: Arc<str>,
    /// Authorities and our own certificate.
    pub tls: Arc<ClientTls>,
}

impl Verify {
    fn same(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.tls, &other.tls)
    }
}

/// What a WebSocket is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// The host of the URI that led there.
    pub host: Arc<str>,
    /// The path, which no SIP URI tells.
    pub path: Arc<str>,
}

/// How a connection is opened, besides its address and transport.
#[derive(Clone, Debug, Default)]
pub struct Dial {
    /// Whom TLS has to meet; none over TLS if nobody is to be verified.
    pub verify: Option<Verify>,
    /// What a WebSocket is asked for; without it none is opened.
    pub web: Option<Web>,
}

impl Dial {
    /// Whether a connection that was opened as `other` says will do: its far end proved to be
    /// whoever is wanted here, if anybody is. Behind another path there may be another server; to
    /// one that the peer opened there is no path.
    pub(super) fn fits(&self, other: &Self) -> bool {
        if other.web.is_some() && self.web.is_some() && self.web != other.web {
            return false;
        }
        match (&self.verify, &other.verify) {
            (None, _) => true,
            (Some(wanted), Some(verified)) => verified.same(wanted),
            (Some(_), None) => false,
        }
    }

    /// Connects, lets TLS verify whom we reached, and asks for a WebSocket; gives back the
    /// connection with the bytes that came already.
    pub(super) async fn open(self, peer: SocketAddr) -> io::Result<(BoxedIo, Framing, Vec<u8>)> {
        let stream = TcpStream::connect(peer).await?;
        stream.set_nodelay(true)?;
        let io: BoxedIo = match self.verify {
            None => Box::new(stream),
            Some(Verify { name, tls }) => {
                let name = ServerName::try_from(name.to_string()).map_err(io::Error::other)?;
                Box::new(TlsConnector::from(tls.config()).connect(name, stream).await?)
            }
        };
        match self.web {
            None => Ok((io, Framing::Stream, Vec::new())),
            Some(web) => {
                let (io, unread) = ask(io, &web, peer).await?;
                Ok((io, Framing::WebSocket, unread))
            }
        }
    }
}

/// The handshake of a client (RFC 6455 4.1, RFC 7118 4.1).
async fn ask(io: BoxedIo, web: &Web, peer: SocketAddr) -> io::Result<(BoxedIo, Vec<u8>)> {
    let io = TokioIo::new(io);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(io::Error::other)?;
    let driver = tokio::spawn(connection.with_upgrades());
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|error| io::Error::other(error.to_string()))?;
    let key = ClientKey::new(nonce);
    let host = match web.host.parse() {
        Ok(std::net::IpAddr::V6(ip)) => format!("[{ip}]:{}", peer.port()),
        _ => format!("{}:{}", web.host, peer.port()),
    };
    let mut headers: HeaderMap = key.request_headers(&[SUBPROTOCOL]);
    headers.insert(header::HOST, host.parse().map_err(io::Error::other)?);
    let mut request =
        Request::get(&*web.path).body(Empty::<&'static [u8]>::new()).map_err(io::Error::other)?;
    *request.headers_mut() = headers;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let chosen = key
        .check_response(response.status(), response.headers(), &[SUBPROTOCOL])
        .map_err(io::Error::other)?;
    if chosen.is_none() {
        // RFC 7118 4.1: without the subprotocol this is no WebSocket for SIP.
        return Err(io::Error::other("the server does not speak SIP over WebSockets"));
    }
    let upgraded = hyper::upgrade::on(response).await.map_err(io::Error::other)?;
    driver.abort();
    let parts = upgraded.downcast::<TokioIo<BoxedIo>>();
    let parts = parts.map_err(|_| io::Error::other("the connection is lost"))?;
    Ok((parts.io.into_inner(), parts.read_buf.to_vec()))
}
