//! The certificates of signalling over TLS, and who reads them again.

use std::collections::HashMap;
use std::sync::Arc;

use uuid::Uuid;

use crate::config::Config;
use crate::directory::Directory;
use crate::listen::tls::{ClientFiles, ClientTls, ServerTls, TlsError, Watched};

/// Reads the files of TLS again when they change.
pub(super) fn watch_files(server: Option<Arc<ServerTls>>, trunks: &HashMap<Uuid, Arc<ClientTls>>) {
    if server.is_none() && trunks.is_empty() {
        return;
    }
    let watched = Watched::new(server, trunks.values().cloned().collect());
    tokio::spawn(async move {
        if let Err(error) = watched.run().await {
            tracing::error!(%error, "TLS files will not be read again");
        }
    });
}

/// TLS of the server, and towards each trunk that says more of it than the system's authorities.
pub(super) type Security = (Option<Arc<ServerTls>>, HashMap<Uuid, Arc<ClientTls>>);

/// Reads the files of TLS.
pub(super) fn of(config: &Config, directory: &Directory) -> std::io::Result<Security> {
    let named = |what: &str, why: &TlsError| std::io::Error::other(format!("{what}: {why}"));
    let names = config.trunks.iter().flat_map(|trunk| trunk.tls_names.iter().cloned()).collect();
    let server = config.sip.tls.clone().map(|files| ServerTls::new(files, names)).transpose();
    let server = server.map_err(|why| named("sip.tls_certificate, sip.tls_key", &why))?;
    let snapshot = directory.load();
    // Those that are stored were tried when they were read.
    let of_file = snapshot.trunks.iter().filter(|trunk| trunk.is_of_file);
    let own = of_file.filter(|trunk| trunk.tls != ClientFiles::default());
    let trunks = own.map(|trunk| {
        let tls = ClientTls::new(trunk.tls.clone());
        let tls = tls.map_err(|why| named(&format!("trunk {:?}", trunk.name), &why))?;
        Ok::<_, std::io::Error>((trunk.id, Arc::new(tls)))
    });
    Ok((server.map(Arc::new), trunks.collect::<Result<_, _>>()?))
}
