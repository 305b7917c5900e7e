//! Certificates from an authority: ordered, proven in handshakes, kept, renewed and taken without a
//! restart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::version::TLS13;
use serde_json::json;
use support::acme::Acme;
use support::line::{client, connect};
use support::ports::Ports;
use support::server::{self, Server};
use support::tls::Authority;
use support::{until, until_told};

/// Files are looked at every ten seconds.
const SOON: Duration = Duration::from_secs(60);

fn config(acme: &Acme, sip: &str) -> String {
    format!(
        "[http]\ntls_listen = \"127.0.0.1:0\"\n[acme]\ndomains = [\"voice.test\", \"Sip.voice.test\"]\n\
         contacts = \"admin@voice.test\"\nterms_agreed = true\ndirectory = \"{}\"\n\
         directory_ca = \"authority.pem\"\n{sip}",
        acme.directory
    )
}

/// The certificate that is shown for `name`, if it is one of the authority for that name.
fn shown(to: SocketAddr, name: &str, ca: &Path) -> Option<Vec<u8>> {
    let stream = connect(to, name, &client(ca, None, &[&TLS13])).ok()?;
    Some(stream.conn.peer_certificates()?[0].to_vec())
}

/// A server without certificate orders one, proves its names, and shows it for HTTPS and SIP over
/// TLS; it is renewed before it ends; a server that is started again has account and certificate
/// still, in files that nobody else can read.
#[test]
fn certificates_are_obtained_and_renewed() {
    let (folder, ports, authority) = (server::folder(), Ports::claim(), Authority::new());
    let ca = authority.write(&folder);
    let authority = Arc::new(authority);
    // Two thirds of the first one's time are over once it was seen: files are looked at every ten
    // seconds.
    let short = (Duration::from_secs(580), Duration::from_secs(320));
    let acme = Acme::start(&authority, vec![short], false);
    let sip = SocketAddr::from(([127, 0, 0, 1], ports.pair()));
    let text = config(&acme, &format!("[sip]\ntls_listen = \"{sip}\"\n"));
    let server = Server::start_on(ports, folder, &text);
    let https = server.https.unwrap();
    assert_eq!(shown(https, "voice.test", &ca), None, "what stands in is trusted by nobody");
    acme.looks_at(https);
    let first = until_told(SOON, "the certificate", || shown(https, "voice.test", &ca));
    let renewed = until_told(SOON, "its renewal", || {
        shown(https, "voice.test", &ca).filter(|certificate| *certificate != first)
    });
    for (to, name) in [(https, "sip.voice.test"), (sip, "sip.voice.test")] {
        until_told(SOON, "the same for SIP and the other name", || {
            shown(to, name, &ca).filter(|certificate| *certificate == renewed)
        });
    }
    assert_eq!(acme.made(), (1, 2), "an account, two orders");
    assert_eq!(acme.contacts(), json!(["mailto:admin@voice.test"]));

    // Who has no proof to see gets no handshake.
    let mut asks = (*client(&ca, None, &[&TLS13])).clone();
    asks.alpn_protocols = vec![b"acme-tls/1".to_vec()];
    assert!(connect(https, "voice.test", &Arc::new(asks)).is_err());

    let kept = server.dir.join("data/acme");
    for file in ["account.json", "identity.pem"] {
        let mode = std::fs::metadata(kept.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!server.log().contains("PRIVATE KEY"));

    // What is kept suffices for the next start: it is shown from the beginning.
    let again = server::folder();
    let ca = authority.write(&again);
    let to = again.join("data/acme");
    std::fs::create_dir_all(&to).unwrap();
    for file in ["account.json", "identity.pem"] {
        std::fs::copy(kept.join(file), to.join(file)).unwrap();
    }
    server.stop();
    let server = Server::start_on(Ports::claim(), again, &config(&acme, ""));
    assert_eq!(shown(server.https.unwrap(), "voice.test", &ca), Some(renewed));
    server.stop();
    assert_eq!(acme.made(), (1, 2), "nothing was ordered again");
}

/// An authority that does not find the proof is told of in the log, in its own words; the server
/// serves on.
#[test]
fn proofs_that_are_not_found() {
    let (folder, authority) = (server::folder(), Authority::new());
    authority.write(&folder);
    let acme = Acme::start(&Arc::new(authority), Vec::new(), true);
    let server = Server::start_on(Ports::claim(), folder, &config(&acme, ""));
    until(SOON, "the failure in the log", || {
        let log = server.log();
        (log.contains("does not find the proof") && log.contains("Connection refused by the test"))
            .then_some(())
    });
    assert_eq!(server.http("GET", "/healthz", None).0, 200);
    assert_eq!(acme.made(), (1, 1), "it is not asked again at once");
    server.stop();
}
