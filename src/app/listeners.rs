//! Where HTTP and AudioSocket listen, and what HTTP over TLS shows.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::acme;
use crate::config::{Config, HttpConfig};
use crate::http::server::Server;
use crate::listen::alpn::Challenges;
use crate::listen::bound;
use crate::listen::tls::{ServerTls, Watched};

/// What is bound.
pub(super) struct Bound {
    http: TcpListener,
    https: Option<(TcpListener, Arc<ServerTls>)>,
    /// Where AudioSocket listens.
    pub(super) doors: Vec<TcpListener>,
}

impl Bound {
    /// Where HTTP listens, and HTTP over TLS if it does.
    pub(super) fn addresses(&self) -> io::Result<(SocketAddr, Option<SocketAddr>)> {
        let https = self.https.as_ref().map(|(listener, _)| listener.local_addr());
        Ok((self.http.local_addr()?, https.transpose()?))
    }

    /// Serves HTTP, with and without TLS.
    pub(super) fn serve(self, io: &Runtime, server: Server) {
        io.spawn(server.clone().run(self.http, None));
        if let Some((listener, tls)) = self.https {
            let watched = Watched::new(Some(Arc::clone(&tls)), Vec::new());
            io.spawn(watch_files(watched));
            io.spawn(server.run(listener, Some(tls)));
        }
    }
}

/// Binds the addresses of HTTP, with and without TLS, and those of AudioSocket.
///
/// # Errors
///
/// When one cannot be bound, or files of TLS cannot be used; the message says which.
pub(super) fn bind(io: &Runtime, config: &Config) -> io::Result<Bound> {
    let bind = |key: &str, what: &str, at: SocketAddr| {
        let named = |error: io::Error| bound::named(key, what, at, &error);
        io.block_on(TcpListener::bind(at)).map_err(named)
    };
    let http = bind("http.listen", "HTTP", config.http.listen)?;
    let door = |at: &SocketAddr| bind("audiosocket.listen", "AudioSocket", *at);
    let doors = config.audiosocket.listen.iter().map(door);
    let doors = doors.collect::<io::Result<_>>()?;
    Ok(Bound { http, https: secure(io, config)?, doors })
}

/// Binds the address of HTTP over TLS and reads its files, if there is one.
fn secure(io: &Runtime, config: &Config) -> io::Result<Option<(TcpListener, Arc<ServerTls>)>> {
    let challenges = certify(io, config)?;
    let HttpConfig { tls_listen, tls, .. } = &config.http;
    let (Some(at), Some(files)) = (*tls_listen, tls) else { return Ok(None) };
    let tls = ServerTls::http(files.clone(), challenges);
    let unusable = |why| io::Error::other(format!("http.tls_certificate, http.tls_key: {why}"));
    let tls = tls.map_err(unusable)?;
    let listener = io
        .block_on(TcpListener::bind(at))
        .map_err(|error| bound::named("http.tls_listen", "HTTPS", at, &error))?;
    Ok(Some((listener, Arc::new(tls))))
}

/// Lets an authority certify our names, if one shall; where it finds their proofs.
fn certify(io: &Runtime, config: &Config) -> io::Result<Option<Challenges>> {
    let Some(wanted) = &config.acme else { return Ok(None) };
    acme::prepare(wanted)?;
    let challenges = Challenges::default();
    io.spawn(acme::keep(wanted.clone(), challenges.clone()));
    Ok(Some(challenges))
}

/// Reads the files of TLS again whenever they change.
async fn watch_files(watched: Watched) {
    if let Err(error) = watched.run().await {
        tracing::error!(%error, "TLS files will not be read again");
    }
}
