//! What is kept of an authority's account and certificate: files that nobody else may read.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use instant_acme::AccountCredentials;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use serde::{Deserialize, Serialize};

use super::validity::validity;
use crate::config::AcmeConfig;

/// The file of the account.
const ACCOUNT: &str = "account.json";

/// How the certificate that is kept stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// There is none.
    Absent,
    /// It is one for other names, or cannot be read.
    Other,
    /// It is for our names, and to be renewed then, in seconds since 1970.
    Good { renew_at_unix_s: u64 },
}

/// The account with an authority.
#[derive(Serialize, Deserialize)]
pub(super) struct Account {
    /// The authority's directory.
    pub(super) directory: String,
    /// What it knows us by.
    pub(super) credentials: AccountCredentials,
}

fn named(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(named(folder))
}

/// Writes a file whole or not at all, for nobody else to read.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let written = || {
        // One that was left behind may be readable to others.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    written().map_err(named(path))
}

/// The account with this authority, if there is one.
pub(super) fn account(config: &AcmeConfig) -> io::Result<Option<Account>> {
    let path = config.folder.join(ACCOUNT);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(named(&path)(error)),
    };
    let account: Account =
        serde_json::from_slice(&text).map_err(|error| named(&path)(io::Error::other(error)))?;
    Ok(Some(account).filter(|account| account.directory == config.directory))
}

pub(super) fn write_account(config: &AcmeConfig, account: &Account) -> io::Result<()> {
    let text = serde_json::to_vec(account).map_err(io::Error::other)?;
    write(&config.folder.join(ACCOUNT), &text)
}

/// How the certificate that is kept stands.
pub(super) fn standing(config: &AcmeConfig) -> Standing {
    let path = config.identity().certificate;
    if !path.exists() {
        return Standing::Absent;
    }
    let Ok(certificate) = CertificateDer::from_pem_file(&path) else { return Standing::Other };
    match validity(&certificate) {
        Some((from, until)) if is_for(&certificate, &config.domains) => {
            // As much time is left then as several failures take.
            let renew_at_unix_s = from + until.saturating_sub(from) / 3 * 2;
            Standing::Good { renew_at_unix_s }
        }
        _ => Standing::Other,
    }
}

/// Whether a certificate is one for all of these names.
fn is_for(certificate: &CertificateDer<'_>, domains: &[String]) -> bool {
    let Ok(parsed) = ParsedCertificate::try_from(certificate) else { return false };
    domains.iter().all(|domain| {
        ServerName::try_from(domain.as_str())
            .is_ok_and(|name| rustls::client::verify_server_name(&parsed, &name).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn config(folder: &Path) -> AcmeConfig {
        AcmeConfig {
            domains: vec!["a.example".to_owned(), "b.example".to_owned()],
            contacts: Vec::new(),
            directory: "https://ca.example/directory".to_owned(),
            directory_ca: None,
            folder: folder.to_owned(),
        }
    }

    fn certificate(names: &[&str], from: i32, until: i32) -> String {
        let names = names.iter().map(|name| (*name).to_owned());
        let mut params = rcgen::CertificateParams::new(names.collect::<Vec<_>>()).unwrap();
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().pem()
    }

    /// A certificate is renewed after two thirds of its time; one for other names, one that only
    /// stands in and one that is none are replaced at once. Nobody else may read the files.
    #[test]
    fn when_a_certificate_is_due() {
        let folder = std::env::temp_dir().join(format!("talkpath-acme-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let config = config(&folder);
        assert_eq!(standing(&config), Standing::Absent);
        super::super::prepare(&config).unwrap();
        let Standing::Good { renew_at_unix_s } = standing(&config) else { panic!("not read") };
        assert!(renew_at_unix_s < super::super::unix_s(), "what stands in is due");
        let path = config.identity().certificate;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);

        let both = ["a.example", "b.example"];
        write(&path, certificate(&both, 2030, 2033).as_bytes()).unwrap();
        // 2032-01-01, by a day as 2032 is a leap year.
        let Standing::Good { renew_at_unix_s } = standing(&config) else { panic!("not read") };
        assert!(renew_at_unix_s.abs_diff(1_956_528_000) < 86_400, "{renew_at_unix_s}");
        super::super::prepare(&config).unwrap();
        assert_eq!(standing(&config), Standing::Good { renew_at_unix_s }, "it stays");

        write(&path, certificate(&both[..1], 2030, 2033).as_bytes()).unwrap();
        assert_eq!(standing(&config), Standing::Other);
        write(&path, b"nonsense").unwrap();
        assert_eq!(standing(&config), Standing::Other);
        fs::remove_dir_all(&folder).unwrap();
    }
}
