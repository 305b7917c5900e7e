//! The entries that the battery runs over, with their fixtures.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use adapters::config::RawConfig;
use adapters::spec::ProviderSpec;
use adapters::table::PROVIDERS;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value;

/// A provider and the folder of its fixtures.
pub struct Entry {
    pub spec: &'static ProviderSpec,
    fixtures: PathBuf,
    read: OnceLock<RawConfig>,
}

/// A whole configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFixture {
    /// Where it comes from.
    pub origin: String,
    pub config: Value,
}

/// A request of a carrier, and what it means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HookFixture {
    /// Where it comes from.
    pub origin: String,
    pub hook: String,
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    pub unix_s: u64,
    /// Names of the headers without which nothing is proven.
    pub signed_headers: Vec<String>,
    /// True if the signature covers the address.
    pub url_is_signed: bool,
    /// True if the signature covers the body, as it should.
    #[serde(default = "yes")]
    pub body_is_signed: bool,
    /// True if the signature covers the time.
    pub ages: bool,
    pub meaning: Value,
    pub reply_status: u16,
}

const fn yes() -> bool {
    true
}

/// Messages of a carrier's stream, and what they mean.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamFixture {
    /// Where it comes from.
    pub origin: String,
    pub messages: Vec<StreamMessage>,
    /// Replacements that turn a message of ours with audio into one of the carrier's.
    pub echo: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamMessage {
    /// A text message.
    pub text: Option<String>,
    /// A binary message, in hexadecimal.
    pub hex: Option<String>,
    /// `Debug` of the event.
    pub event: String,
    /// The audio in the slot, in hexadecimal.
    #[serde(default)]
    pub audio: String,
}

/// Beginnings of a carrier's stream, one for each format that it may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormatsFixture {
    /// Where they come from.
    pub origin: String,
    pub cases: Vec<FormatCase>,
    /// Replacements that turn a message of ours with audio into one of the carrier's.
    pub echo: Vec<(String, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormatCase {
    /// What differs from the first configuration.
    pub with: serde_json::Map<String, Value>,
    /// The message that begins the stream.
    pub text: String,
    /// `Debug` of its event.
    pub event: String,
}

/// A message of a carrier's events socket, and which call it is about.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketFixture {
    /// Where it comes from.
    pub origin: String,
    pub message: Value,
    pub routed: Value,
}

/// Every provider of the table, and the one that does not exist.
pub fn entries() -> Vec<Entry> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let mut entries: Vec<_> = PROVIDERS
        .iter()
        .map(|spec| entry(spec, root.join("src").join(spec.name).join("fixtures")))
        .collect();
    let fixtures = root.join("tests/support/acme/fixtures");
    entries.push(entry(&super::acme::SPEC, fixtures));
    entries
}

const fn entry(spec: &'static ProviderSpec, fixtures: PathBuf) -> Entry {
    Entry { spec, fixtures, read: OnceLock::new() }
}

impl Entry {
    fn load<T: for<'de> Deserialize<'de>>(&self, kind: &str) -> Vec<(String, T)> {
        let mut found = Vec::new();
        for file in fs::read_dir(&self.fixtures).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with(kind) {
                let text = fs::read_to_string(&path).unwrap();
                let value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
                found.push((format!("{} {name}", self.spec.name), value));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }

    pub fn configs(&self) -> Vec<(String, ConfigFixture)> {
        self.load("config_")
    }

    pub fn hooks(&self) -> Vec<(String, HookFixture)> {
        self.load("hook_")
    }

    pub fn socket_messages(&self) -> Vec<(String, SocketFixture)> {
        self.load("socket_")
    }

    pub fn formats(&self) -> Vec<(String, FormatsFixture)> {
        self.load("formats_")
    }

    pub fn streams(&self) -> Vec<(String, StreamFixture)> {
        self.load("stream_")
    }

    /// The first configuration, read; with what the server manages. Read once: a test may ask at
    /// each byte, and some keys take long to be read.
    pub fn config(&self) -> RawConfig {
        self.read.get_or_init(|| self.read_config()).clone()
    }

    fn read_config(&self) -> RawConfig {
        let (name, fixture) = self.configs().remove(0);
        let mut config = self
            .spec
            .read(&fixture.config, None)
            .unwrap_or_else(|errors| panic!("{name}: {errors}"));
        for field in self.spec.ui.fields.iter().filter(|field| field.is_managed()) {
            let value = Value::from("managed-by-the-server");
            self.spec.set_managed(&mut config, &[(field.name, value)]).unwrap();
        }
        config
    }

    /// The secrets of that configuration.
    pub fn secrets(&self) -> Vec<String> {
        let config = self.config();
        let mut secrets = Vec::new();
        for field in self.spec.ui.fields.iter().filter(|field| field.secret) {
            match config.get(field.name) {
                Some(Value::String(text)) => secrets.push(text.clone()),
                Some(Value::Object(map)) => {
                    secrets.extend(map.values().filter_map(|v| v.as_str().map(str::to_owned)));
                }
                _ => panic!("{}: the first configuration has every secret", field.name),
            }
        }
        secrets
    }
}

impl HookFixture {
    pub fn parsed_method(&self) -> Method {
        self.method.parse().unwrap()
    }

    pub fn header_map(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }
}
