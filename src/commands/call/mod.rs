//! `talkpath call`: places one SIP call, plays, records, and measures.
//!
//! Without a file to play it says a chirp every second, and looks for it in what comes back:
//! through an echo, that is the way from mouth to ear and back.

mod drive;
mod result;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::fail;
use super::output::say;
use crate::cli::CallArgs;
use crate::listen::tls::{ClientFiles, ClientTls, TlsError};
use crate::sip::core::endpoint::Transport;
use crate::sip::core::uri::{Scheme, Uri};
use crate::sip::endpoint::dial::{Dial, Verify, Web};

use drive::Outcome;

/// How long a call lasts if neither its file nor the command line says so.
const SECONDS_DEFAULT: u32 = 5;

/// Why a call could not be made.
#[derive(Debug, thiserror::Error)]
enum CallError {
    /// The URI is malformed, or of a kind that is not called.
    #[error("{uri}: {problem}; write it as sip:user@host or sip:user@host:port")]
    Uri {
        /// The URI.
        uri: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A socket could not be had.
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
    /// TLS is not possible.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The SIP core refused.
    #[error("SIP: {0}")]
    Sip(#[from] crate::sip::core::endpoint::CommandError),
    /// A sound file cannot be used.
    #[error(transparent)]
    Audio(#[from] crate::workers::audio::AudioError),
    /// What was heard cannot be written.
    #[error("{path}: {source}")]
    Record {
        /// The file.
        path: String,
        /// Why.
        source: hound::Error,
    },
    /// The peer's answer cannot be used.
    #[error("the answer's session description: {0}")]
    Answer(#[from] crate::sip::core::offer_answer::NegotiationError),
}

/// Where and how to call.
struct Target {
    uri: String,
    peer: SocketAddr,
    local: IpAddr,
    transport: Transport,
    dial: Dial,
}

/// Places the call and prints how it fared.
pub(super) fn run(args: &CallArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    match runtime.block_on(place(args)) {
        Ok(outcome) => {
            let result = result::of(&outcome);
            match args.json {
                true => say(&format!("{}\n", result.to_json())),
                false => say(&result.to_text()),
            }
            if outcome.answered { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => fail(error),
    }
}

async fn place(args: &CallArgs) -> Result<Outcome, CallError> {
    let target = resolve(&args.uri, args.ca.clone()).await?;
    let seconds = match (args.seconds, &args.play) {
        (Some(seconds), _) => Some(Duration::from_secs(u64::from(seconds))),
        (None, Some(_)) => None,
        (None, None) => Some(Duration::from_secs(u64::from(SECONDS_DEFAULT))),
    };
    drive::call(target, args.play.as_deref(), args.record.as_deref(), seconds).await
}

/// Finds the address behind a SIP URI, and ours on the way to it.
async fn resolve(text: &str, ca: Option<PathBuf>) -> Result<Target, CallError> {
    let wrong = |problem: String| CallError::Uri { uri: text.to_owned(), problem };
    let uri = Uri::parse(text).map_err(|error| wrong(error.to_string()))?;
    if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
        return Err(wrong("only sip: and sips: are called".to_owned()));
    }
    let host = uri.host.ok_or_else(|| wrong("there is no host".to_owned()))?;
    let transport = Transport::of_uri(&uri)
        .map_err(|name| wrong(format!("transport {name} is not known")))?
        .unwrap_or(Transport::Udp);
    if transport.is_websocket() {
        return Err(wrong("a WebSocket cannot be called from here".to_owned()));
    }
    let port = uri.port.unwrap_or(transport.default_port());
    let peer = match host.address() {
        Some(address) => SocketAddr::new(address, port),
        None => {
            let mut found = tokio::net::lookup_host((host.to_string(), port))
                .await
                .map_err(|error| wrong(error.to_string()))?;
            found.next().ok_or_else(|| wrong("the host has no address".to_owned()))?
        }
    };
    let any: SocketAddr = if peer.is_ipv4() {
        (std::net::Ipv4Addr::UNSPECIFIED, 0).into()
    } else {
        (std::net::Ipv6Addr::UNSPECIFIED, 0).into()
    };
    // Connecting a UDP socket sends nothing; it asks the kernel for the way.
    let probe = UdpSocket::bind(any)?;
    probe.connect(peer)?;
    let local = probe.local_addr()?.ip();
    let verify = match transport {
        Transport::Tls | Transport::Wss => {
            let tls = Arc::new(ClientTls::new(ClientFiles { ca, ..ClientFiles::default() })?);
            let name = host.address().map_or_else(|| host.to_string(), |ip| ip.to_string());
            Some(Verify { name: name.into(), tls })
        }
        _ => None,
    };
    let host = host.address().map_or_else(|| host.to_string(), |ip| ip.to_string());
    let web = transport.is_websocket().then(|| Web { host: host.into(), path: "/".into() });
    let dial = Dial { verify, web };
    Ok(Target { uri: text.to_owned(), peer, local, transport, dial })
}

/// An address as a URI writes it.
fn host_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}
