//! What an Asterisk runs: its version, and the ways by which audio may travel to and from it. Where
//! the configuration leaves the way open, it is the first of those.
//!
//! Within one network that order is RTP, which delays nothing; WebSocket; AudioSocket, for those
//! that block UDP. An Asterisk that is reached by `https` is in another network: there the WebSocket
//! comes first, as it is encrypted and passes translators.

use serde::Deserialize;
use serde_json::json;

use super::calls::info;
use super::errors::success;
use super::fields::{FOUND, Way};
use super::request::get;
use crate::chain::{Then, chain};
use crate::config::RawConfig;
use crate::exchange::HttpResponse;
use crate::flow::Probed;
use crate::op::OpResult;

/// Since when, in each branch that has it.
type Since = [(u32, u32); 3];

/// Since when AudioSocket names other rates than 8 kHz.
const WIDE_AUDIOSOCKET: Since = [(20, 17), (22, 7), (23, 1)];

/// The branch and the version within it; `None` of one that was built from no release.
fn version(text: &str) -> Option<(u32, u32)> {
    let text = text.trim_start_matches("certified/").trim_start_matches("Asterisk ");
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    let major = parts.next()?.parse().ok()?;
    Some((major, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

/// Whether a version has something. One that is not known is taken for a new one.
fn has(version: Option<(u32, u32)>, since: Since) -> bool {
    let Some((major, minor)) = version else { return true };
    let newest = since.iter().map(|(branch, _)| *branch).max().unwrap_or(0);
    major > newest || since.iter().any(|(branch, first)| *branch == major && minor >= *first)
}

#[derive(Deserialize)]
struct Module {
    name: String,
    #[serde(default)]
    status: String,
}

/// What is known of an Asterisk.
#[derive(Clone, Debug, Default)]
struct Found {
    version: String,
    /// Modules that run. None if it does not say.
    modules: Option<Vec<String>>,
    /// The media WebSocket can be told how to behave.
    tells_sockets: bool,
}

impl Found {
    fn runs(&self, module: &str) -> bool {
        self.modules.as_ref().is_some_and(|all| all.iter().any(|name| name == module))
    }

    fn has_sockets(&self) -> bool {
        self.runs("chan_websocket.so")
    }

    /// Whether audio of this configuration can travel so.
    fn takes(&self, config: &RawConfig, way: Way) -> bool {
        let format = config.text("format");
        match way {
            Way::Rtp => self.runs("chan_rtp.so") && way.carries(format),
            Way::WebSocketClient => {
                let dials = self.runs("res_websocket_client.so");
                self.has_sockets()
                    && self.tells_sockets
                    && dials
                    && config.text("ws_client").is_some()
            }
            Way::WebSocketServer => self.has_sockets() && self.tells_sockets,
            Way::AudioSocket => {
                let narrow = matches!(format, None | Some("slin"));
                let rate = narrow || has(version(&self.version), WIDE_AUDIOSOCKET);
                self.runs("chan_audiosocket.so") && way.carries(format) && rate
            }
        }
    }

    /// The ways that there are, the best first.
    fn ways(&self, config: &RawConfig) -> Vec<Way> {
        let far = config.text("ari_url").is_some_and(|url| url.starts_with("https:"));
        let sockets = [Way::WebSocketClient, Way::WebSocketServer];
        let (first, then) =
            if far { (&sockets[..], &[Way::Rtp][..]) } else { (&[Way::Rtp][..], &sockets[..]) };
        let all = first.iter().chain(then).chain(&[Way::AudioSocket]).copied();
        all.filter(|way| self.takes(config, *way)).collect()
    }

    fn probed(self, config: &RawConfig) -> Probed {
        let version = if self.version.is_empty() { "unknown" } else { &self.version };
        let mut probed = Probed { told: vec![("version", version.to_owned())], values: Vec::new() };
        if self.modules.is_none() {
            probed.told.push(("audio", "it does not say which modules it runs".to_owned()));
            return probed;
        }
        let ways = self.ways(config);
        let words: Vec<_> = ways.iter().map(|way| way.as_str()).collect();
        probed.told.push(("ways", words.join(", ")));
        let chosen = super::fields::chosen(config);
        let audio = match (chosen, ways.first()) {
            (Some(way), _) if self.takes(config, way) => way.as_str().to_owned(),
            (Some(way), _) => format!("{}, which it cannot", way.as_str()),
            (None, Some(way)) => way.as_str().to_owned(),
            (None, None) => "none of the ways".to_owned(),
        };
        probed.told.push(("audio", audio));
        if let (None, Some(way)) = (chosen, ways.first()) {
            probed.values.push((FOUND, json!(way.as_str())));
        }
        probed
    }
}

/// The modules that run, as an answer lists them.
fn running(answer: &HttpResponse) -> Option<Vec<String>> {
    success(answer).ok()?;
    let all: Vec<Module> = serde_json::from_slice(&answer.body).ok()?;
    let running = all.into_iter().filter(|module| module.status == "Running");
    Some(running.map(|module| module.name).collect())
}

pub(super) fn probe(config: &RawConfig) -> OpResult<Probed> {
    probing(config, |probed| probed)
}

/// What is found, made into something else.
pub(super) fn probing<T: Send + 'static>(
    config: &RawConfig,
    finish: impl FnOnce(Probed) -> T + Send + 'static,
) -> OpResult<T> {
    let modules = get(config, "asterisk/modules")?;
    let described = get(config, "api-docs/channels.json")?;
    let config = config.clone();
    chain(get(&config, "asterisk/info")?, move |answer| {
        let version = info(&answer)?;
        Ok(Then::send(modules, move |answer| {
            let mut found = Found { version, modules: running(&answer), tells_sockets: false };
            if !found.has_sockets() {
                return Ok(Then::Done(finish(found.probed(&config))));
            }
            Ok(Then::send(described, move |answer| {
                // Where it came with 20.18, 22.8 and 23.2.
                let word = b"transport_data";
                found.tells_sockets = success(&answer).is_ok()
                    && answer.body.windows(word.len()).any(|part| part == word);
                Ok(Then::Done(finish(found.probed(&config))))
            }))
        }))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::tests::rest::{answer, config};
    use super::*;
    use crate::op::Step;

    fn with(more: &[(&str, &str)]) -> RawConfig {
        let mut stored = config().expose().clone();
        stored.remove("media");
        for (name, value) in more {
            stored.insert((*name).to_owned(), json!(value));
        }
        RawConfig::from_stored(stored.into()).unwrap()
    }

    /// What is found of one with these modules.
    fn found(config: &RawConfig, version: &str, modules: &[&str], described: &str) -> Probed {
        let all: Vec<Value> =
            modules.iter().map(|it| json!({"name": it, "status": "Running"})).collect();
        let mut op = probe(config).unwrap();
        let mut last = None;
        loop {
            let request = match op.next(last.take()) {
                Step::Send(request) => request,
                Step::Done(probed) => return probed,
                Step::Fail(error) => panic!("{error}"),
            };
            let body = match request.url.split("/ari/").nth(1).unwrap() {
                "asterisk/info" => json!({"system": {"version": version}, "status": {}}),
                "asterisk/modules" => json!(all),
                _ => json!({"models": described}),
            };
            last = Some(answer(200, &body));
        }
    }

    fn way(probed: &Probed) -> Option<&str> {
        probed.values.first().and_then(|(name, value)| {
            assert_eq!(*name, FOUND);
            value.as_str()
        })
    }

    const ALL: [&str; 4] =
        ["chan_audiosocket.so", "chan_rtp.so", "chan_websocket.so", "res_websocket_client.so"];

    /// The best way that an Asterisk has is taken; what cannot carry the format, or is not there, is
    /// passed over; across networks what is encrypted comes first.
    #[test]
    fn the_best_way_is_taken() {
        let far = ("ari_url", "https://pbx.example.com:8089");
        let new = "22.10.1+dfsg-1";
        for (more, version, modules, described, expected) in [
            (vec![], new, &ALL[..], "transport_data", Some("rtp")),
            (vec![("format", "slin16")], new, &ALL, "transport_data", Some("websocket_server")),
            (
                vec![("format", "slin16"), ("ws_client", "out")],
                new,
                &ALL,
                "transport_data",
                Some("websocket_client"),
            ),
            (vec![("format", "slin16")], "22.7.0", &ALL, "", Some("audiosocket")),
            (vec![("format", "slin16")], "22.6.0", &ALL, "", None),
            (vec![("format", "slin")], "18.2", &ALL, "", Some("audiosocket")),
            (vec![far], new, &ALL, "transport_data", Some("websocket_server")),
            (vec![far], "18.20.0", &ALL, "", Some("rtp")),
            (vec![], new, &ALL[..1], "", Some("audiosocket")),
            (vec![], new, &[], "", None),
            (vec![("media", "audiosocket")], new, &ALL, "transport_data", None),
        ] {
            let config = with(&more);
            let probed = found(&config, version, modules, described);
            assert_eq!(way(&probed), expected, "{more:?} {version}: {probed:?}");
            assert!(probed.told.contains(&("version", version.to_owned())));
        }
    }

    /// What was found is what calls go by; what a client chose stays, and it is told that it cannot
    /// be had.
    #[test]
    fn what_was_found_holds() {
        use super::super::SPEC;
        use super::super::fields::way as taken;
        let mut config = with(&[("media", "auto"), ("format", "slin16")]);
        assert_eq!(taken(&config), Way::Rtp, "as long as nothing is known");
        let probed = found(&config, "22.10.1", &ALL, "transport_data");
        SPEC.set_managed(&mut config, &probed.values).unwrap();
        assert_eq!(taken(&config), Way::WebSocketServer);
        let chosen = with(&[("media", "rtp"), (FOUND, "audiosocket")]);
        assert_eq!(taken(&chosen), Way::Rtp);
        let probed = found(&chosen, "22.10.1", &["chan_websocket.so"], "");
        assert_eq!(probed.told.last(), Some(&("audio", "rtp, which it cannot".to_owned())));
    }

    /// Versions are texts that anybody may have made.
    #[test]
    fn versions_are_read() {
        for (text, expected) in [
            ("22.10.1+dfsg+~cs6.15.60671435-1", Some((22, 10))),
            ("certified/20.7-cert3", Some((20, 7))),
            ("Asterisk 18.2", Some((18, 2))),
            ("21", Some((21, 0))),
            ("GIT-master-5a1b", None),
            ("", None),
            ("99999999999.1", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
        for (text, expected) in
            [("20.16", false), ("20.17", true), ("21.9", false), ("23.0", false), ("24.0", true)]
        {
            assert_eq!(has(version(text), WIDE_AUDIOSOCKET), expected, "{text}");
        }
        assert!(has(None, WIDE_AUDIOSOCKET));
    }

    /// One that lists no modules is none the worse for it.
    #[test]
    fn who_does_not_say_is_not_refused() {
        let mut op = probe(&config()).unwrap();
        op.next(None);
        op.next(Some(answer(200, &json!({"system": {"version": "16.28"}}))));
        let done = op.next(Some(answer(404, &json!({"message": "Resource not found"}))));
        assert!(matches!(done, Step::Done(probed) if probed.values.is_empty()));
        let mut op = probe(&config()).unwrap();
        op.next(None);
        assert!(matches!(op.next(Some(answer(200, &json!({"other": 1})))), Step::Fail(_)));
    }
}
