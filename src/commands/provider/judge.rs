//! Judges requests of carriers: whose they are, and what they mean.

use std::io::Write;

use adapters::hook::Hook;
use adapters::spec::ProviderSpec;
use serde_json::{Value, json};

use super::ProviderError;
use super::requests::{Case, Given};

/// Says of each request whether it is proven to be the carrier's, and how. False if one is not.
pub(super) fn verify(
    spec: &'static ProviderSpec,
    hook: Option<&str>,
    case: &Case,
    out: &mut dyn Write,
) -> Result<bool, ProviderError> {
    let mut valid = true;
    for given in &case.requests {
        let hook = hook.map_or_else(|| addressed(spec, given), |name| named(spec, name))?;
        let told = (hook.explain)(&case.request(given), &case.config);
        valid &= told.verdict.is_ok();
        writeln!(out, "{}", written(&told)?)?;
    }
    Ok(valid)
}

/// Says of each request what it means. False if one is not understood.
pub(super) fn parse(
    spec: &'static ProviderSpec,
    hook: &str,
    case: &Case,
    out: &mut dyn Write,
) -> Result<bool, ProviderError> {
    let hook = named(spec, hook)?;
    let mut understood = true;
    for given in &case.requests {
        let line = match (hook.handle)(&case.request(given), &case.config) {
            Ok(handled) => json!({"valid": true, "meaning": handled.meaning}),
            Err(error) => {
                understood = false;
                json!({"valid": false, "reason": error.to_string()})
            }
        };
        writeln!(out, "{line}")?;
    }
    Ok(understood)
}

fn written(told: &impl serde::Serialize) -> Result<Value, ProviderError> {
    serde_json::to_value(told).map_err(|error| ProviderError::Usage(error.to_string()))
}

fn named(spec: &'static ProviderSpec, name: &str) -> Result<&'static Hook, ProviderError> {
    spec.hook(name).ok_or_else(|| {
        let known: Vec<_> = spec.hooks.iter().map(|hook| hook.name).collect();
        let known = known.join(", ");
        ProviderError::Usage(format!("{} has no hook {name:?}; there are: {known}", spec.name))
    })
}

/// The hook that a request's address names, else that of offered calls, else the first.
fn addressed(spec: &'static ProviderSpec, given: &Given) -> Result<&'static Hook, ProviderError> {
    let mark = format!("/telephony/{}/", spec.name);
    let rest = given.url.split_once(&mark).map(|(_, rest)| rest);
    let by_address = rest.and_then(|rest| spec.hook(rest.split(['/', '?']).next()?));
    let offered = spec.inbound.and_then(|inbound| spec.hook(inbound.hook));
    let none = || ProviderError::Usage(format!("{} has no hooks", spec.name));
    by_address.or(offered).or_else(|| spec.hooks.first()).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use adapters::table::PROVIDERS;

    use super::super::{ProviderError, run};
    use crate::cli::ProviderCommand;

    fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Requests of a made-up sender are judged line by line, whatever the carrier; nothing that is
    /// unsigned is valid. Files that make no sense are told apart from requests that are wrong.
    #[test]
    fn requests_are_judged() {
        let two = "{\"method\":\"POST\",\"url\":\"https://t.example/x\",\"headers\":{\"a\":[\"1\"]},\
                   \"body\":\"a=b\"}\n{\"method\":\"get\",\"url\":\"https://t.example/\",\
                   \"headers\":[[\"a\",\"1\"],[\"A\",\"2\"]],\"body_base64\":\"YT1i\"}\n";
        let folder = std::env::temp_dir().join(format!("talkpath-judge-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let request = file(&folder, "two.jsonl", two);
        let broken = file(&folder, "broken.json", "{\"method\":1}");
        for spec in PROVIDERS.iter().filter(|spec| !spec.hooks.is_empty()) {
            let verify = |request: &PathBuf| ProviderCommand::Verify {
                name: spec.name.to_owned(),
                request: request.clone(),
                config: None,
                public_url: Some("https://voice.example/".to_owned()),
                now: Some(1_700_000_000),
                hook: None,
            };
            let mut out = Vec::new();
            assert!(!run(&verify(&request), &mut out).unwrap(), "{}", spec.name);
            let lines = String::from_utf8(out).unwrap();
            assert_eq!(lines.lines().count(), 2);
            for line in lines.lines() {
                let told: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(told["valid"], false);
                assert!(told["reason"].is_string() && told["step"].is_string(), "{line}");
            }
            let wrong = run(&verify(&broken), &mut Vec::new());
            assert!(matches!(wrong, Err(ProviderError::Usage(_))));
            let parse = |hook: &str| ProviderCommand::Parse {
                name: spec.name.to_owned(),
                hook: hook.to_owned(),
                request: request.clone(),
                config: None,
            };
            let mut out = Vec::new();
            run(&parse(spec.hooks[0].name), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap().lines().count(), 2);
            let wrong = run(&parse("no such hook"), &mut Vec::new());
            assert!(matches!(wrong, Err(ProviderError::Usage(_))));
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
