//! `talkpath check`: examines the configuration and this machine, and says what to do.

mod database;
mod network;
mod peers;
mod report;
mod system;

use std::path::Path;

pub use report::{Finding, Report, Status};

use crate::config::{AgentKind, Config, ConfigErrors};

/// Where the checks look; the machine's own places but in tests.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'m> {
    /// `/proc`.
    pub proc: &'m Path,
    /// `/sys`.
    pub sys: &'m Path,
}

impl Default for Machine<'static> {
    fn default() -> Self {
        Self { proc: Path::new("/proc"), sys: Path::new("/sys") }
    }
}

/// Carries out every check. Takes up to a few seconds when agents do not answer.
pub fn run(config: Result<&Config, &ConfigErrors>, machine: &Machine<'_>) -> Report {
    let mut report = Report::default();
    match config {
        Err(errors) => {
            for problem in &errors.0 {
                report.fail("configuration", problem.to_string(), "correct it and check again");
            }
        }
        Ok(config) => {
            configuration(&mut report, config);
            network::ports(&mut report, config);
            peers::tls(&mut report, config);
            system::file_descriptors(&mut report, config, machine);
        }
    }
    system::socket_buffers(&mut report, machine);
    system::clock(&mut report, machine);
    if let Ok(config) = config {
        system::workers(&mut report, config);
        let hooked = database::database(&mut report, config);
        public_url(&mut report, config, hooked);
        peers::trunks(&mut report, config);
        network::agents(&mut report, config);
    }
    report
}

fn configuration(report: &mut Report, config: &Config) {
    if config.warnings.is_empty() {
        let found = format!(
            "{} agents, {} routes, {} trunks, {} users",
            config.agents.len(),
            config.routes.len(),
            config.trunks.len(),
            config.users.len()
        );
        report.ok("configuration", found);
    }
    for warning in &config.warnings {
        report.warn("configuration", warning.clone(), "see docs/configuration.md");
    }
    for agent in &config.agents {
        if let AgentKind::WebSocket(socket) = &agent.kind
            && let Some(url) = &socket.url
            && !url.tls
            && !matches!(url.host.as_str(), "127.0.0.1" | "::1" | "localhost")
        {
            report.warn(
                "agents",
                format!("{}: audio and token travel to {url} unencrypted", agent.name),
                "use wss",
            );
        }
    }
}

/// Is there an address that carriers reach, if any send webhooks?
fn public_url(report: &mut Report, config: &Config, hooked: usize) {
    let needed = format!("{hooked} connections at carriers send webhooks");
    match &config.public_url {
        None if hooked == 0 => {
            report.ok("public_url", "not set; nothing needs it yet".to_owned());
        }
        None => report.warn(
            "public_url",
            format!("not set, but {needed}"),
            "set public_url (TALKPATH_PUBLIC_URL) to the https address that leads here",
        ),
        Some(url) if url.is_loopback() && hooked > 0 => report.warn(
            "public_url",
            format!("{url} is this machine, but {needed}"),
            "carriers elsewhere need an https address that leads here",
        ),
        Some(url) if !url.tls => report.warn(
            "public_url",
            format!("{url} is not encrypted"),
            "use https, by a proxy that ends TLS in front of http.listen",
        ),
        Some(url) => report.ok("public_url", url.to_string()),
    }
}

#[cfg(test)]
mod tests;
