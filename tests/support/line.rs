//! A SIP client on a stream: messages in and out, written from the RFCs and not from the server.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

/// Numbers lines, for branches and Call-IDs.
static NUMBER: AtomicU32 = AtomicU32::new(1);

/// How long a message may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// A TLS client that trusts one authority.
pub fn client(
    authority: &Path,
    identity: Option<(&Path, &Path)>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let builder =
        ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots);
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = vec![CertificateDer::from_pem_file(certificate).unwrap()];
            let key = PrivateKeyDer::from_pem_file(key).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    })
}

/// Connects with TLS to `name` at `address`; the handshake is done.
pub fn connect(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A SIP client with one call on a stream.
pub struct Line<S> {
    /// The stream.
    pub stream: S,
    /// Its name in Via.
    via: &'static str,
    /// Whom it calls.
    uri: String,
    buffer: Vec<u8>,
    number: u32,
    cseq: u32,
    to: String,
}

impl<S> Line<S> {
    /// A line that speaks `via` ("TLS", "TCP") and calls `uri`.
    pub fn new(stream: S, via: &'static str, uri: &str) -> Self {
        let to = format!("<{uri}>");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { stream, via, uri: uri.to_owned(), buffer: Vec::new(), number, cseq: 1, to }
    }

    /// A request of the call.
    pub fn request(&self, method: &str, body: &str) -> String {
        let (via, uri, cseq, to) = (self.via, &self.uri, self.cseq, &self.to);
        let number = self.number;
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let scheme = if uri.starts_with("sips:") { "sips" } else { "sip" };
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/{via} client.invalid;branch=z9hG4bK{method}{cseq}x{number};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:tester@client.invalid>;tag=line\r\nTo: {to}\r\n\
             Call-ID: line-{number}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <{scheme}:tester@client.invalid>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Takes the tag of the answer.
    pub fn answered(&mut self, answer: &str) {
        header(answer, "To").clone_into(&mut self.to);
    }

    /// The next request of the call.
    pub fn next(&mut self, method: &str) -> String {
        self.cseq += 1;
        self.request(method, "")
    }
}

impl<S: Read + Write> Line<S> {
    /// Sends text.
    pub fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
        self.stream.flush().unwrap();
    }

    /// The next message.
    pub fn hear(&mut self) -> String {
        loop {
            if let Some(message) = self.buffered() {
                return message;
            }
            let mut bytes = [0; 4096];
            let length = self.stream.read(&mut bytes).unwrap();
            assert!(length > 0, "the server hung up");
            self.buffer.extend_from_slice(&bytes[..length]);
        }
    }

    fn buffered(&mut self) -> Option<String> {
        let text = String::from_utf8(self.buffer.clone()).unwrap();
        let (head, _) = text.split_once("\r\n\r\n")?;
        let length = header(head, "Content-Length").parse::<usize>().unwrap();
        let end = head.len() + 4 + length;
        let message = text.get(..end)?.to_owned();
        self.buffer.drain(..end);
        Some(message)
    }

    /// Calls, and acknowledges the answer; the final response.
    pub fn call(&mut self, offer: &str) -> String {
        let invite = self.request("INVITE", offer);
        self.say(&invite);
        let response = loop {
            let response = self.hear();
            if !response.starts_with("SIP/2.0 1") {
                break response;
            }
        };
        self.answered(&response);
        let ack = self.request("ACK", "");
        self.say(&ack);
        response
    }

    /// Hangs up; the answer to BYE.
    pub fn hang_up(&mut self) -> String {
        let bye = self.next("BYE");
        self.say(&bye);
        self.hear()
    }
}

/// The value of a header.
pub fn header<'m>(message: &'m str, name: &str) -> &'m str {
    let found = message.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    });
    found.unwrap_or_else(|| panic!("no {name} in:\n{message}"))
}

/// An offer of µ-law at `address`.
pub fn offer(address: SocketAddr) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    let (ip, port) = (address.ip(), address.port());
    format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP 0\r\n"
    )
}
