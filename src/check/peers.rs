//! Can the files of TLS be used, and do the names of trunks lead anywhere?

use super::report::Report;
use crate::config::{AcmeConfig, Config, TrunkConfig};
use crate::listen::tls::{ClientFiles, ClientTls, ServerTls};
use crate::sip::core::endpoint::Transport;
use crate::sip::core::locate::Target;
use crate::sip::endpoint::resolver::Resolver;

/// Servers of a target that are shown.
const SHOWN_MAX: usize = 4;
const FILES_REMEDY: &str =
    "name PEM files that this user can read, a key that fits its certificate";

/// Reads certificates and keys as the server would.
pub(super) fn tls(report: &mut Report, config: &Config) {
    for (key, files) in [("sip.tls", &config.sip.tls), ("http.tls", &config.http.tls)] {
        let Some(files) = files else { continue };
        let shown = files.identity.certificate.display().to_string();
        let ordered = config.acme.as_ref().map(AcmeConfig::identity);
        if ordered.as_ref() == Some(&files.identity) && !files.identity.certificate.exists() {
            report.ok(key, format!("{shown}: is obtained once the server runs"));
            continue;
        }
        match ServerTls::new(files.clone(), Vec::new()) {
            Ok(_) => report.ok(key, shown),
            Err(error) => report.fail(key, error.to_string(), FILES_REMEDY),
        }
    }
    for trunk in config.trunks.iter().filter(|trunk| trunk.tls != ClientFiles::default()) {
        match ClientTls::new(trunk.tls.clone()) {
            Ok(_) => report.ok("trunks", format!("{}: its TLS files can be used", trunk.name)),
            Err(error) => {
                report.fail("trunks", format!("{}: {error}", trunk.name), FILES_REMEDY);
            }
        }
    }
}

/// Looks up what calls through trunks are sent to.
pub(super) fn trunks(report: &mut Report, config: &Config) {
    let placing = config.trunks.iter().filter(|trunk| !trunk.outbound.targets.is_empty());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    for trunk in placing {
        let runtime = match &runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                return report.fail("trunks", error.to_string(), "free memory or threads");
            }
        };
        runtime.block_on(targets(report, config, trunk));
    }
}

async fn targets(report: &mut Report, config: &Config, trunk: &TrunkConfig) {
    let able = able(config);
    let outbound = &trunk.outbound;
    // With a preset route, only its first hop is looked up.
    let uris = outbound.route.get(..1).unwrap_or(&outbound.targets);
    let resolver = match Resolver::new(&config.sip.dns_servers) {
        Ok(resolver) => resolver,
        Err(error) => return report.fail("trunks", error.to_string(), "set sip.dns_servers"),
    };
    for uri in uris {
        let name = &trunk.name;
        match resolver.locate(uri, &able).await {
            Ok(servers) => report.ok("trunks", format!("{name}: {uri} is {}", shown(&servers))),
            Err(error) => report.fail(
                "trunks",
                format!("{name}: {uri}: {error}"),
                "correct the name, its records, sip.dns_servers, or the transports of [sip]",
            ),
        }
    }
}

/// What the server could send by.
fn able(config: &Config) -> Vec<(Transport, bool)> {
    let places = config.sip.places().into_iter();
    let mut able: Vec<_> = places.map(|place| (place.transport, place.address.is_ipv4())).collect();
    for (transport, v4) in able.clone() {
        if transport == Transport::Tcp {
            able.push((Transport::Tls, v4));
        }
    }
    able
}

fn shown(servers: &[Target]) -> String {
    let texts = servers.iter().take(SHOWN_MAX);
    let texts: Vec<_> =
        texts.map(|server| format!("{} {}", server.transport.as_str(), server.peer)).collect();
    let more = if servers.len() > SHOWN_MAX { ", …" } else { "" };
    format!("{}{more}", texts.join(", "))
}
