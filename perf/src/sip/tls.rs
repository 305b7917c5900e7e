//! TLS below SIP (RFC 3261 26.3.1): the client's end, over a connection whose arrivals are stamped.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use socket2::Socket;

use crate::sys::net;

/// How long a server may keep silent in a handshake.
const HANDSHAKE_WAIT: Duration = Duration::from_secs(10);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file of authorities cannot be read.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// A file of authorities holds none.
    #[error("{path}: no certificate in it", path = .0.display())]
    Empty(PathBuf),
    /// Nothing that a certificate could prove.
    #[error("{0} is neither a name nor an address")]
    Name(String),
    /// The library refuses its settings.
    #[error("TLS: {0}")]
    Settings(#[from] rustls::Error),
    /// The server does not speak TLS, or does not prove who it is.
    #[error("no TLS with {server}: {source}")]
    Handshake {
        /// The name that it is to prove.
        server: String,
        /// Why.
        source: io::Error,
    },
}

/// What a server has to prove.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proof<'a> {
    /// Its name, or its address.
    pub(crate) name: &'a str,
    /// File of the authorities that vouch for it; those of the system if none.
    pub(crate) ca: Option<&'a Path>,
}

/// Our end.
pub(crate) struct Tls {
    connection: ClientConnection,
}

impl Tls {
    /// Shakes hands over a connected socket that blocks.
    pub(crate) fn open(mut socket: &Socket, proof: Proof<'_>) -> Result<Self, TlsError> {
        let server = proof.name.to_owned();
        let name = ServerName::try_from(server.clone());
        let name = name.map_err(|_| TlsError::Name(server.clone()))?;
        let mut connection = ClientConnection::new(Arc::new(config(proof.ca)?), name)?;
        let failed = |source: io::Error| {
            let source = if net::would_block(&source) {
                io::Error::new(io::ErrorKind::TimedOut, "no answer to the handshake")
            } else {
                source
            };
            TlsError::Handshake { server: server.clone(), source }
        };
        socket.set_read_timeout(Some(HANDSHAKE_WAIT)).map_err(failed)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).map_err(failed)?;
        }
        Ok(Self { connection })
    }

    /// Sends `bytes` over a socket that blocks.
    pub(crate) fn send(&mut self, socket: &Socket, bytes: &[u8]) -> io::Result<()> {
        self.connection.writer().write_all(bytes)?;
        self.flush(socket)
    }

    /// Sends what the protocol itself has to say.
    pub(crate) fn flush(&mut self, mut socket: &Socket) -> io::Result<()> {
        while self.connection.wants_write() {
            self.connection.write_tls(&mut socket)?;
        }
        Ok(())
    }

    /// Takes `bytes` as they have arrived and puts what they say behind `clear`.
    pub(crate) fn take(&mut self, mut bytes: &[u8], clear: &mut Vec<u8>) -> io::Result<()> {
        // Behind a farewell nothing is read any more.
        while !bytes.is_empty() && self.connection.read_tls(&mut bytes)? > 0 {
            let state = self.connection.process_new_packets().map_err(io::Error::other)?;
            let length = state.plaintext_bytes_to_read() as u64;
            self.connection.reader().take(length).read_to_end(clear)?;
        }
        Ok(())
    }
}

fn config(ca: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = match ca {
        Some(path) => builder.with_root_certificates(authorities(path)?),
        None => builder.with_platform_verifier()?,
    };
    Ok(builder.with_no_client_auth())
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let failed = |source| TlsError::File { path: path.to_owned(), source };
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(failed)? {
        store.add(certificate.map_err(failed)?)?;
    }
    if store.is_empty() { Err(TlsError::Empty(path.to_owned())) } else { Ok(store) }
}
