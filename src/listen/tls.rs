//! TLS for SIP (RFC 3261 26.3.1, RFC 5922) and HTTP (RFC 9110 4.2.2): certificates read from files,
//! and read again when they change.
//!
//! There is no way to accept a certificate that nobody vouches for: who has one of their own names
//! the authority behind it (`tls_ca`).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_platform_verifier::BuilderVerifierExt;

use super::alpn::{self, Challenges};

/// How often files are looked at for changes.
pub const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds nothing of the kind.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// A text that should hold certificates is malformed.
    #[error("certificates of an authority: {0}")]
    Text(#[source] pem::Error),
    /// A certificate in a text cannot be used.
    #[error("certificate of an authority: {0}")]
    Authority(#[source] rustls::Error),
    /// A text that should hold certificates holds none.
    #[error("no certificate of an authority")]
    EmptyText,
    /// A file that should hold certificates holds none.
    #[error("{path}: no certificate in it", path = .0.display())]
    Empty(PathBuf),
    /// A certificate and its key do not fit, or a certificate is malformed.
    #[error("{path}: {source}", path = path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// The authorities cannot be used to verify clients.
    #[error("{path}: {source}", path = path.display())]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::server::VerifierBuilderError,
    },
    /// The system has no certificates to verify peers with.
    #[error("certificates of this system: {0}")]
    System(#[source] rustls::Error),
    /// The TLS library refused its own defaults.
    #[error("TLS: {0}")]
    Library(#[source] rustls::Error),
}

/// Whether callers have to show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They may; one that is shown must be valid.
    Request,
    /// They must.
    Require,
}

/// A certificate chain and its key, as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// PEM, our certificate first.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl Identity {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let certificates = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|source| TlsError::File { path: self.key.clone(), source })?;
        Ok((certificates, key))
    }
}

/// What the server side is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFiles {
    /// Who we are.
    pub identity: Identity,
    /// Authorities of clients, and whether they must show a certificate.
    pub clients: Option<(PathBuf, ClientAuth)>,
}

impl ServerFiles {
    fn read(&self) -> Result<ServerConfig, TlsError> {
        let (chain, key) = self.identity.read()?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?;
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some((path, auth)) => {
                let roots = Arc::new(authorities(path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                let verifier = match auth {
                    ClientAuth::Require => verifier,
                    ClientAuth::Request => verifier.allow_unauthenticated(),
                };
                let refused = |source| TlsError::ClientCa { path: path.clone(), source };
                builder.with_client_cert_verifier(verifier.build().map_err(refused)?)
            }
        };
        let path = &self.identity.certificate;
        builder
            .with_single_cert(chain, key)
            .map_err(|source| TlsError::Certificate { path: path.clone(), source })
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let ca = self.clients.as_ref().map(|(path, _)| path.as_path());
        [self.identity.certificate.as_path(), &self.identity.key].into_iter().chain(ca)
    }
}

/// What a client side is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// Authorities that peers are verified with; those of the system if none.
    pub ca: Option<PathBuf>,
    /// The same as text, PEM; this one counts if both are there.
    pub ca_pem: Option<String>,
    /// Who we are, where a peer asks.
    pub identity: Option<Identity>,
}

impl ClientFiles {
    fn read(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Library)?;
        let builder = match (&self.ca_pem, &self.ca) {
            (Some(pem), _) => builder.with_root_certificates(authorities_in(pem)?),
            (None, Some(path)) => builder.with_root_certificates(authorities(path)?),
            (None, None) => builder.with_platform_verifier().map_err(TlsError::System)?,
        };
        let Some(identity) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let (chain, key) = identity.read()?;
        let path = &identity.certificate;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|source| TlsError::Certificate { path: path.clone(), source })
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter().flat_map(|i| [i.certificate.as_path(), &i.key]);
        self.ca.as_deref().into_iter().chain(identity)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::File { path: path.to_owned(), source };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(failed)?.collect();
    match read.map_err(failed)? {
        certificates if certificates.is_empty() => Err(TlsError::Empty(path.to_owned())),
        certificates => Ok(certificates),
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store
            .add(certificate)
            .map_err(|source| TlsError::Certificate { path: path.to_owned(), source })?;
    }
    Ok(store)
}

/// The authorities that a text names.
fn authorities_in(text: &str) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        store.add(certificate.map_err(TlsError::Text)?).map_err(TlsError::Authority)?;
    }
    if store.is_empty() { Err(TlsError::EmptyText) } else { Ok(store) }
}

/// The server side of TLS, as its files are now.
#[derive(Debug)]
pub struct ServerTls {
    files: ServerFiles,
    current: ArcSwap<ServerConfig>,
    /// Names that some trunk takes as proof of who calls.
    names: Vec<String>,
    /// Protocols that clients may choose from (RFC 7301); they are not asked if there is none.
    protocols: &'static [&'static [u8]],
    /// What proves our names to authorities, if it is asked for here.
    challenges: Option<Challenges>,
}

impl ServerTls {
    /// Reads the files. `names` are those that clients may prove.
    ///
    /// # Errors
    /// The file that cannot be used.
    pub fn new(files: ServerFiles, names: Vec<String>) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(files.read()?);
        Ok(Self { files, current, names, protocols: &[], challenges: None })
    }

    /// Reads the files for HTTP/1.1. Authorities find the proofs of `challenges` here.
    ///
    /// # Errors
    /// The file that cannot be used.
    pub fn http(files: ServerFiles, challenges: Option<Challenges>) -> Result<Self, TlsError> {
        let protocols: &[&[u8]] = match challenges {
            Some(_) => &[b"http/1.1", alpn::PROTOCOL],
            None => &[b"http/1.1"],
        };
        let tls = Self { protocols, challenges, ..Self::new(files, Vec::new())? };
        tls.reload()?;
        Ok(tls)
    }

    /// Reads the files again; if they cannot be used, everything stays as it was.
    fn reload(&self) -> Result<(), TlsError> {
        let mut config = self.files.read()?;
        config.alpn_protocols = self.protocols.iter().map(|name| name.to_vec()).collect();
        if let Some(challenges) = self.challenges.clone() {
            let own = Arc::clone(&config.cert_resolver);
            config.cert_resolver = Arc::new(alpn::Resolver { own, challenges });
        }
        self.current.store(Arc::new(config));
        Ok(())
    }

    /// What new handshakes use.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.current.load_full()
    }

    /// Which of the names a client's certificate proves: verified before, by the handshake.
    pub fn proven(&self, chain: Option<&[CertificateDer<'_>]>) -> Arc<[String]> {
        let Some(end) = chain.and_then(|chain| chain.first()) else { return Arc::default() };
        let Ok(certificate) = ParsedCertificate::try_from(end) else { return Arc::default() };
        let proves = |name: &&String| {
            ServerName::try_from(name.as_str())
                .is_ok_and(|name| rustls::client::verify_server_name(&certificate, &name).is_ok())
        };
        self.names.iter().filter(proves).cloned().collect()
    }
}

/// A client side of TLS, as its files are now.
#[derive(Debug)]
pub struct ClientTls {
    files: ClientFiles,
    current: ArcSwap<ClientConfig>,
}

impl ClientTls {
    /// What it is made of.
    pub const fn files(&self) -> &ClientFiles {
        &self.files
    }

    /// Reads the files.
    ///
    /// # Errors
    /// The file that cannot be used.
    pub fn new(files: ClientFiles) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(files.read()?);
        Ok(Self { files, current })
    }

    /// What new connections use.
    pub fn config(&self) -> Arc<ClientConfig> {
        self.current.load_full()
    }
}

/// Everything that is read from files, and when it was changed last.
pub struct Watched {
    server: Option<Arc<ServerTls>>,
    clients: Vec<Arc<ClientTls>>,
    seen: Vec<Option<SystemTime>>,
}

impl Watched {
    /// Watches over these.
    pub fn new(server: Option<Arc<ServerTls>>, clients: Vec<Arc<ClientTls>>) -> Self {
        let mut watched = Self { server, clients, seen: Vec::new() };
        watched.seen = watched.stamps();
        watched
    }

    fn stamps(&self) -> Vec<Option<SystemTime>> {
        let server = self.server.iter().flat_map(|tls| tls.files.files());
        let clients = self.clients.iter().flat_map(|tls| tls.files.files());
        let changed = |path: &Path| path.metadata().and_then(|data| data.modified()).ok();
        server.chain(clients).map(changed).collect()
    }

    /// Whether a file is not what it was; asked once, told once.
    pub fn changed(&mut self) -> bool {
        let stamps = self.stamps();
        let before = std::mem::replace(&mut self.seen, stamps);
        before != self.seen
    }

    /// Reads everything again. What cannot be read stays as it was; connections that are open are
    /// not touched.
    pub fn reload(&self) {
        let mut failed = false;
        let mut refused = |error: TlsError| {
            failed = true;
            tracing::error!(%error, "TLS files cannot be used; what was read before stays");
        };
        if let Some(tls) = &self.server
            && let Err(error) = tls.reload()
        {
            refused(error);
        }
        for tls in &self.clients {
            match tls.files.read() {
                Ok(config) => tls.current.store(Arc::new(config)),
                Err(error) => refused(error),
            }
        }
        if !failed {
            tracing::info!("TLS files were read again");
        }
    }

    /// Reads everything again on SIGHUP and whenever a file has changed, for ever.
    ///
    /// # Errors
    /// When the signal cannot be waited for.
    pub async fn run(mut self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            tokio::select! {
                _ = hangup.recv() => {}
                () = tokio::time::sleep(LOOK_EVERY) => if !self.changed() { continue },
            }
            self.seen = self.stamps();
            self.reload();
        }
    }
}
