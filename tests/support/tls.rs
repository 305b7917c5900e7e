//! Certificates of tests, made when they run, and connections secured by them.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Who signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new authority, which nobody trusts yet.
    pub fn new() -> Self {
        let mut params = named(Vec::new(), "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes its certificate, for those who shall trust it.
    pub fn write(&self, folder: &Path) -> PathBuf {
        let path = folder.join("authority.pem");
        fs::write(&path, &self.pem).unwrap();
        path
    }

    /// Writes a certificate for `name`, fit for servers and clients, and its key, as files called
    /// `stem`.pem and `stem`.key.
    pub fn write_identity(&self, folder: &Path, stem: &str, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = named(vec![name.to_owned()], name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |kind: &str| folder.join(format!("{stem}.{kind}"));
        fs::write(path("pem"), certificate.pem()).unwrap();
        fs::write(path("key"), key.serialize_pem()).unwrap();
        (path("pem"), path("key"))
    }

    /// The certificate that a request asks for, in DER, with the authority's own behind it: PEM.
    pub fn sign(&self, request: &[u8], from: SystemTime, until: SystemTime) -> String {
        let mut request = CertificateSigningRequestParams::from_der(&request.into()).unwrap();
        let name = format!("{:?}", request.params.subject_alt_names);
        request.params.distinguished_name.push(DnType::CommonName, name);
        request.params.not_before = from.into();
        request.params.not_after = until.into();
        format!("{}{}", request.signed_by(&self.issuer).unwrap().pem(), self.pem)
    }

    /// A server's end of TLS, certified for `name`.
    pub fn server(&self, name: &str) -> Tls {
        let key = KeyPair::generate().unwrap();
        let params = named(vec![name.to_owned()], name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Tls { name: name.to_owned(), config: Arc::new(config) }
    }
}

/// Whoever has the name of who signed it counts as signed by itself, so each has its own.
fn named(names: Vec<String>, name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

/// A server's end of TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    name: String,
    config: Arc<ServerConfig>,
}

impl Tls {
    /// The name that it is certified for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Secures an accepted connection; the handshake comes with the first read.
    pub fn accept(&self, stream: TcpStream) -> Link {
        let connection = ServerConnection::new(Arc::clone(&self.config)).unwrap();
        Link::Secure(Box::new(StreamOwned::new(connection, stream)))
    }
}

/// A connection, secured or not.
#[derive(Debug)]
pub enum Link {
    /// Bare TCP.
    Plain(TcpStream),
    /// TLS.
    Secure(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Link {
    /// The socket below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(stream) => stream.get_ref(),
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Secure(stream) => stream.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Secure(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Secure(stream) => stream.flush(),
        }
    }
}
