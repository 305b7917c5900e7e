//! `[audiosocket]`: where a PBX brings calls by AudioSocket.

use std::net::SocketAddr;

use super::section::Section;
use super::server::socket_addresses;

/// Longest name of whom calls are for, in bytes.
const TO_BYTES_MAX: usize = 128;

/// `[audiosocket]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AudioSocketConfig {
    /// Addresses to listen on; nothing listens if empty.
    pub listen: Vec<SocketAddr>,
    /// Who is called by a connection whose UUID says no number; such are refused if absent.
    pub to: Option<String>,
}

pub(super) fn audiosocket(section: Section<'_>) -> AudioSocketConfig {
    let listen = socket_addresses(&section, "listen").unwrap_or_default();
    let to = section.text("to", "a number or user, which a route leads from", |text| {
        let fits = (1..=TO_BYTES_MAX).contains(&text.len());
        if fits && !text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            Ok(text.to_owned())
        } else {
            Err("no number and no user".to_owned())
        }
    });
    if to.is_some() && listen.is_empty() {
        section.missing("listen", "nobody can connect without it");
    }
    section.finish();
    AudioSocketConfig { listen, to }
}
