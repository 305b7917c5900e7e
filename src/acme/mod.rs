//! Certificates from an authority that speaks ACME (RFC 8555): ordered, proven by TLS-ALPN-01
//! (RFC 8737) where the API listens for TLS, kept in the data folder, and renewed well before they
//! end. Whoever uses them reads the file again as it reads any other.

mod client;
mod files;
mod order;
mod validity;

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::AcmeConfig;
use crate::listen::alpn::Challenges;
use files::Standing;

/// The wait after the first failure; doubles. Authorities count failures by the hour.
const RETRY_MIN: Duration = Duration::from_secs(5 * 60);
/// The longest wait after failures.
const RETRY_MAX: Duration = Duration::from_secs(12 * 3_600);
/// How often it is looked at whether a certificate is due: clocks may jump.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The authority refuses, or cannot be reached.
    #[error("the authority: {0}")]
    Authority(#[from] instant_acme::Error),
    /// It does not take the only proof that we can give.
    #[error("{0}: the authority offers no tls-alpn-01")]
    NoChallenge(String),
    /// It did not find the proof.
    #[error("{name}: the authority does not find the proof at port 443 of it: {why}")]
    Unproven {
        /// The name.
        name: String,
        /// What it says.
        why: String,
    },
    /// The order came to nothing.
    #[error("the authority does not carry out the order")]
    Order,
    /// A certificate of our own making failed.
    #[error("a certificate of ours: {0}")]
    Own(#[from] rcgen::Error),
    /// What came is no certificate for our key.
    #[error("the certificate cannot be used: {0}")]
    Unusable(String),
    /// TLS towards the authority is not possible.
    #[error(transparent)]
    Tls(#[from] crate::listen::tls::TlsError),
    /// Files cannot be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Makes the folder, and a certificate that stands in until there is another, so that everything
/// that listens for TLS can begin.
///
/// # Errors
///
/// When a file cannot be written; the message names it.
pub fn prepare(config: &AcmeConfig) -> io::Result<()> {
    files::make_folder(&config.folder)?;
    if files::standing(config) == Standing::Absent {
        let made = order::stand_in(&config.domains).map_err(io::Error::other)?;
        files::write(&config.identity().certificate, made.as_bytes())?;
    }
    Ok(())
}

/// Sees to it that there is a certificate, for ever.
pub async fn keep(config: AcmeConfig, challenges: Challenges) {
    let mut failures = 0_u32;
    loop {
        let wait = match files::standing(&config) {
            Standing::Absent | Standing::Other => Duration::ZERO,
            Standing::Good { renew_at_unix_s } => {
                Duration::from_secs(renew_at_unix_s.saturating_sub(unix_s()))
            }
        };
        if !wait.is_zero() {
            tokio::time::sleep(wait.min(LOOK_EVERY)).await;
            continue;
        }
        let names = config.domains.join(", ");
        let outcome = order::obtain(&config, &challenges).await;
        challenges.clear();
        match outcome {
            Ok(()) => {
                tracing::info!(names, "certificate obtained");
                let now = unix_s();
                if let Standing::Good { renew_at_unix_s } = files::standing(&config)
                    && renew_at_unix_s > now
                {
                    failures = 0;
                    continue;
                }
                tracing::error!(names, "the certificate is for other names, or over soon");
            }
            Err(error) => tracing::error!(names, %error, "no certificate"),
        }
        let retry = RETRY_MIN * 2_u32.saturating_pow(failures.min(16));
        failures = failures.saturating_add(1);
        tokio::time::sleep(retry.min(RETRY_MAX)).await;
    }
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
