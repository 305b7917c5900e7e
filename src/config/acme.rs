//! `[acme]`: an authority that certifies our names.

use std::path::{Path, PathBuf};

use super::section::Section;
use crate::listen::tls::Identity;

/// `[acme]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeConfig {
    /// The names that are certified, in small letters; never empty.
    pub domains: Vec<String>,
    /// `mailto:` URIs of people whom the authority may write to.
    pub contacts: Vec<String>,
    /// URL of the authority's directory (RFC 8555 7.1.1).
    pub directory: String,
    /// Authorities that its own certificate is verified with; those of the system if absent.
    pub directory_ca: Option<PathBuf>,
    /// Where account, key and certificate are kept.
    pub folder: PathBuf,
}

/// Default of `acme.directory`.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Names of one certificate.
const DOMAINS_MAX: usize = 100;

impl AcmeConfig {
    /// The file with key and certificate: one, so that they always fit.
    pub fn identity(&self) -> Identity {
        let file = self.folder.join("identity.pem");
        Identity { certificate: file.clone(), key: file }
    }
}

/// Reads the section; `data_dir` is where its files are kept.
pub(super) fn acme(section: Option<Section<'_>>, data_dir: &Path) -> Option<AcmeConfig> {
    let section = section?;
    let domains = section.list("domains", "names, such as \"voice.example.com\"", domain);
    let contacts = section.list("contacts", "addresses of mail", |text| {
        let (user, host) = text.split_once('@').ok_or("no @ in it")?;
        let fits = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@')
        };
        if fits(user) && domain(host).is_ok() {
            Ok(format!("mailto:{text}"))
        } else {
            Err("not an address of mail".to_owned())
        }
    });
    let directory = section.text("directory", "an https URL", |text| {
        let url: http::Uri = text.parse().map_err(|_| "not a URL".to_owned())?;
        match (url.scheme_str(), url.host()) {
            (Some("https"), Some(_)) => Ok(text.to_owned()),
            _ => Err("not an https URL".to_owned()),
        }
    });
    let directory_ca = section.path("directory_ca");
    if section.flag("terms_agreed") != Some(true) {
        section.missing("terms_agreed", "true says that you agree to the authority's terms");
    }
    let domains = domains.unwrap_or_default();
    if domains.is_empty() {
        section.missing("domains", "the names that are to be certified");
    }
    if domains.len() > DOMAINS_MAX {
        section.conflict("domains", format!("more than {DOMAINS_MAX} names"));
    }
    section.finish();
    Some(AcmeConfig {
        domains,
        contacts: contacts.unwrap_or_default(),
        directory: directory.unwrap_or_else(|| DIRECTORY.to_owned()),
        directory_ca,
        folder: data_dir.join("acme"),
    })
}

/// A name of DNS. One for many (`*`) cannot be proven by the way that we prove names (RFC 8737 3).
fn domain(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_address = text.parse::<std::net::IpAddr>().is_ok();
    if text.len() <= 253 && !is_address && text.contains('.') && text.split('.').all(label) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("not a name of DNS".to_owned())
    }
}
