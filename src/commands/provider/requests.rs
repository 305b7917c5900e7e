//! Requests of carriers, from files.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use adapters::config::RawConfig;
use adapters::hook::HookRequest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde::Deserialize;

use super::ProviderError;

/// Longest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A request as a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    method: String,
    url: String,
    #[serde(default)]
    headers: Headers,
    body: Option<String>,
    body_base64: Option<String>,
    /// The address that it came from.
    from: Option<IpAddr>,
}

/// Headers by name, or name by name in the order in which they came.
#[derive(Deserialize)]
#[serde(untagged)]
enum Headers {
    ByName(BTreeMap<String, Values>),
    InOrder(Vec<(String, String)>),
}

impl Default for Headers {
    fn default() -> Self {
        Self::InOrder(Vec::new())
    }
}

impl Headers {
    fn in_order(self) -> Vec<(String, String)> {
        let several = |(name, values): (String, Values)| match values {
            Values::One(value) => vec![(name, value)],
            Values::Several(values) => {
                values.into_iter().map(|value| (name.clone(), value)).collect()
            }
        };
        match self {
            Self::ByName(map) => map.into_iter().flat_map(several).collect(),
            Self::InOrder(pairs) => pairs,
        }
    }
}

/// The value of a header, or several of one name.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Several(Vec<String>),
}

/// A request that is whole.
pub(super) struct Given {
    method: Method,
    pub(super) url: String,
    headers: HeaderMap,
    body: Vec<u8>,
    from: Option<IpAddr>,
}

/// What is judged, and by what.
pub(super) struct Case {
    pub(super) requests: Vec<Given>,
    pub(super) config: RawConfig,
    unix_s: u64,
}

impl Case {
    /// A request as the adapter takes it.
    pub(super) fn request<'g>(&self, given: &'g Given) -> HookRequest<'g> {
        HookRequest {
            method: &given.method,
            url: &given.url,
            headers: &given.headers,
            body: &given.body,
            unix_s: self.unix_s,
            from: given.from,
        }
    }
}

fn usage(why: impl std::fmt::Display) -> ProviderError {
    ProviderError::Usage(why.to_string())
}

fn file(path: &Path) -> Result<String, ProviderError> {
    let shown = path.display();
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(FILE_BYTES_MAX).read_to_string(&mut text)
    } else {
        let opened = std::fs::File::open(path);
        opened.and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| usage(format!("{shown}: {error}")))?;
    Ok(text)
}

/// Reads requests and the configuration that judges them.
pub(super) fn read(
    requests: &Path,
    config: Option<&Path>,
    public_url: Option<&str>,
    unix_s: Option<u64>,
) -> Result<Case, ProviderError> {
    let text = file(requests)?;
    let written = serde_json::Deserializer::from_str(&text).into_iter::<Written>();
    let read = written.map(|one| {
        let one = one.map_err(|error| usage(format!("{}: {error}", requests.display())))?;
        given(one, public_url)
    });
    let read: Vec<Given> = read.collect::<Result<_, _>>()?;
    if read.is_empty() {
        return Err(usage(format!("{}: no request", requests.display())));
    }
    let config = match config {
        None => RawConfig::default(),
        Some(path) => {
            let value = serde_json::from_str(&file(path)?);
            let value = value.map_err(|error| usage(format!("{}: {error}", path.display())))?;
            RawConfig::from_stored(value)
                .ok_or_else(|| usage(format!("{}: not an object", path.display())))?
        }
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(Case { requests: read, config, unix_s: unix_s.unwrap_or(since.as_secs()) })
}

fn given(written: Written, public_url: Option<&str>) -> Result<Given, ProviderError> {
    let mut headers = HeaderMap::new();
    for (name, value) in written.headers.in_order() {
        let name = HeaderName::try_from(&name).map_err(|_| usage(format!("header {name:?}")))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| usage(format!("header {name}: no value of a header")))?;
        headers.append(name, value);
    }
    let body = match (written.body, written.body_base64) {
        (Some(_), Some(_)) => return Err(usage("body and body_base64: one of them")),
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => STANDARD.decode(text).map_err(|_| usage("body_base64: no base64"))?,
        (None, None) => Vec::new(),
    };
    let url = match public_url {
        None => written.url,
        Some(public) => {
            let uri: Uri = written.url.parse().map_err(|_| usage("url: not an address"))?;
            let target = uri.path_and_query().map_or("/", |target| target.as_str());
            format!("{}{target}", public.trim_end_matches('/'))
        }
    };
    let method = written.method.to_ascii_uppercase().parse().map_err(|_| usage("method"))?;
    Ok(Given { method, url, headers, body, from: written.from })
}
