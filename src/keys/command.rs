//! `talkpath key`: create, list, revoke.

use std::io::{self, Write};

use serde_json::json;
use thiserror::Error;

use super::{KeyError, KeyInfo, KeyStore, Scope};
use crate::cli::{KeyCommand, ScopeArg};
use crate::config::Config;

/// Why the command failed.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The keys could not be read or written.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Admin => Self::Admin,
            ScopeArg::Calls => Self::Calls,
            ScopeArg::Read => Self::Read,
        }
    }
}

/// Carries out `command` on the keys that `config` points to and writes the answer to `out`.
///
/// # Errors
///
/// If the keys cannot be read or written, if there is no such key, or if `out` fails.
pub fn run(config: &Config, command: &KeyCommand, out: &mut dyn Write) -> Result<(), CommandError> {
    let store = KeyStore::open(&config.keys_file())?;
    match command {
        KeyCommand::Create { name, scope, json } => {
            let made = store.create(name, (*scope).into())?;
            if *json {
                let mut answer = json!(made.info);
                answer["key"] = json!(made.key.expose());
                writeln!(out, "{answer}")?;
            } else {
                writeln!(out, "{}", made.key.expose())?;
                let KeyInfo { id, scope, .. } = made.info;
                let scope = scope.as_str();
                writeln!(out, "id {id}, scope {scope}; the key is not shown again")?;
            }
        }
        KeyCommand::List { json: true } => writeln!(out, "{}", json!(store.list()?))?,
        KeyCommand::List { json: false } => {
            writeln!(out, "{:<10} {:<6} {:<10} NAME", "ID", "SCOPE", "CREATED")?;
            for key in store.list()? {
                let (scope, day) = (key.scope.as_str(), date(key.created_unix_s));
                writeln!(out, "{:<10} {scope:<6} {day:<10} {}", key.id, key.name)?;
            }
        }
        KeyCommand::Revoke { id, json } => {
            let revoked = store.revoke(id)?;
            if *json {
                writeln!(out, "{}", json!(revoked))?;
            } else {
                writeln!(out, "{id} ({}) no longer holds", revoked.name)?;
            }
        }
    }
    Ok(())
}

/// The day in UTC, as `2026-11-22`.
fn date(unix_s: u64) -> String {
    // Years begin in March here, so that the leap day is the last of its year.
    let days = unix_s / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Sources;

    /// Days around leap years and centuries.
    #[test]
    fn dates_are_right() {
        let cases = [
            (0, "1970-01-01"),
            (86_399, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_795_305_600, "2026-11-22"),
            (4_107_542_400, "2100-03-01"),
        ];
        for (unix_s, expected) in cases {
            assert_eq!(date(unix_s), expected);
        }
    }

    /// What `create` prints is a key that holds; what `list` prints is none; after `revoke` it
    /// holds no longer.
    #[test]
    fn the_commands_work_together() {
        let folder = std::env::temp_dir().join(format!("talkpath-key-{}", std::process::id()));
        let sources = Sources {
            file: None,
            environment: &[],
            data_dir: Some(Path::new(&folder)),
            dialects: &[],
            readable: &|_| Ok(()),
        };
        let config = Config::parse(&sources).unwrap();
        let run = |command: KeyCommand| {
            let mut out = Vec::new();
            run(&config, &command, &mut out).map(|()| String::from_utf8(out).unwrap())
        };
        let create = |json| KeyCommand::Create { name: "ci".into(), scope: ScopeArg::Read, json };
        let text = run(create(false)).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&run(create(true)).unwrap()).unwrap();
        let key = answer["key"].as_str().unwrap();
        let store = KeyStore::open(&config.keys_file()).unwrap();
        assert_eq!(store.verify(text.lines().next().unwrap()).unwrap().name, "ci");
        assert_eq!(store.verify(key).unwrap().id, answer["id"].as_str().unwrap());

        let listed = run(KeyCommand::List { json: false }).unwrap();
        assert!(listed.contains("read") && !listed.contains("tp_"), "{listed}");
        let listed: serde_json::Value =
            serde_json::from_str(&run(KeyCommand::List { json: true }).unwrap()).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 2);

        let id = answer["id"].as_str().unwrap().to_owned();
        run(KeyCommand::Revoke { id: id.clone(), json: false }).unwrap();
        assert!(store.verify(key).is_none());
        assert!(run(KeyCommand::Revoke { id, json: true }).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
