//! `talkpath key`: create, list, revoke.

use std::io::{self, Write};

use serde_json::json;
use thiserror::Error;

use super::{KeyError, KeyInfo, Keys, Scope};
use crate::cli::{KeyCommand, ScopeArg};
use crate::config::Config;
use crate::store::{Actor, Store, StoreError, StoreSettings, Timestamp};

/// Why the command failed.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The keys could not be read or written.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

impl From<ScopeArg> for Scope {
    fn from(scope: ScopeArg) -> Self {
        match scope {
            ScopeArg::Server => Self::Server,
            ScopeArg::Admin => Self::Admin,
            ScopeArg::Calls => Self::Calls,
            ScopeArg::Read => Self::Read,
        }
    }
}

/// Carries out `command` on the keys in the store that `config` points to, those of the first
/// organisation, and writes the answer to `out`.
///
/// # Errors
///
/// If the keys cannot be read or written, if there is no such key, or if `out` fails.
pub async fn run(
    config: &Config,
    command: &KeyCommand,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let store = Store::open(&StoreSettings::new(config)).await?;
    let keys = Keys::new(store.clone());
    keys.import(&config.keys_file()).await?;
    let done = carry_out(&store, &keys, command, out).await;
    store.close().await;
    done
}

async fn carry_out(
    store: &Store,
    keys: &Keys,
    command: &KeyCommand,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let (ours, by) = (store.default_organisation(), Actor::Command);
    match command {
        KeyCommand::Create { name, scope, json } => {
            let made = keys.create(ours, name, (*scope).into(), &by).await?;
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
        KeyCommand::List { json: true } => writeln!(out, "{}", json!(keys.list(ours).await?))?,
        KeyCommand::List { json: false } => {
            writeln!(out, "{:<10} {:<6} {:<10} NAME", "ID", "SCOPE", "CREATED")?;
            for key in keys.list(ours).await? {
                let scope = key.scope.as_str();
                let day = Timestamp::from_unix_s(key.created_unix_s).day();
                writeln!(out, "{:<10} {scope:<6} {day:<10} {}", key.id, key.name)?;
            }
        }
        KeyCommand::Revoke { id, json } => {
            let revoked = keys.revoke(ours, id, &by).await?;
            if *json {
                writeln!(out, "{}", json!(revoked))?;
            } else {
                writeln!(out, "{id} ({}) no longer holds", revoked.name)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Sources;

    /// What `create` prints is a key that holds; what `list` prints is none; after `revoke` it
    /// holds no longer.
    #[tokio::test]
    async fn the_commands_work_together() {
        let folder = std::env::temp_dir().join(format!("talkpath-key-{}", std::process::id()));
        let sources = Sources {
            file: None,
            environment: &[],
            data_dir: Some(Path::new(&folder)),
            dialects: &[],
            readable: &|_| Ok(()),
        };
        let config = Config::parse(&sources).unwrap();
        let run = async |command: KeyCommand| {
            let mut out = Vec::new();
            run(&config, &command, &mut out).await.map(|()| String::from_utf8(out).unwrap())
        };
        let create = |json| KeyCommand::Create { name: "ci".into(), scope: ScopeArg::Read, json };
        let text = run(create(false)).await.unwrap();
        let answer: serde_json::Value =
            serde_json::from_str(&run(create(true)).await.unwrap()).unwrap();
        let key = answer["key"].as_str().unwrap();
        let keys = Keys::new(Store::open(&StoreSettings::new(&config)).await.unwrap());
        let first = keys.verify(text.lines().next().unwrap()).await.unwrap();
        assert_eq!(first.unwrap().name, "ci");
        assert_eq!(keys.verify(key).await.unwrap().unwrap().id, answer["id"].as_str().unwrap());

        let listed = run(KeyCommand::List { json: false }).await.unwrap();
        assert!(listed.contains("read") && !listed.contains("tp_"), "{listed}");
        let listed: serde_json::Value =
            serde_json::from_str(&run(KeyCommand::List { json: true }).await.unwrap()).unwrap();
        assert_eq!(listed.as_array().unwrap().len(), 2);

        let id = answer["id"].as_str().unwrap().to_owned();
        run(KeyCommand::Revoke { id: id.clone(), json: false }).await.unwrap();
        assert!(keys.verify(key).await.unwrap().is_none());
        assert!(run(KeyCommand::Revoke { id, json: true }).await.is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
