//! `talkpath organization`.

use std::io::{self, Write};

use serde_json::{Value, json};
use thiserror::Error;

use crate::cli::{OrganizationCommand, ScopeArg};
use crate::config::Config;
use crate::keys::{KeyError, Keys, NewKey, Scope};
use crate::store::organisations::{NAME_BYTES_MAX, Organisation, OrganisationFields};
use crate::store::{Actor, OrganisationId, Store, StoreError, StoreSettings};

/// Name of an organisation's first key.
const FIRST_KEY: &str = "first";

/// Why the command failed.
#[derive(Debug, Error)]
pub(super) enum CommandError {
    /// The store refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No key can be made.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// No organisation is called so.
    #[error("no organisation has the name or id {0:?}; `talkpath organization list` shows them")]
    NoSuch(String),
    /// The name is empty, too long, or holds control characters.
    #[error("a name has 1 to {NAME_BYTES_MAX} bytes and no control characters")]
    BadName,
    /// Keys of the scope `server` belong to the first organisation.
    #[error(
        "keys of the scope server are made by `talkpath key create`, for the first organisation"
    )]
    Scope,
    /// The first organisation runs the server.
    #[error("the first organisation runs the server and cannot be suspended")]
    First,
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

/// Carries out the command on the store that `config` points to and writes the answer to `out`.
pub(super) async fn run(
    config: &Config,
    command: &OrganizationCommand,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let store = Store::open(&StoreSettings::new(config)).await?;
    let done = carry_out(&store, command, out).await;
    store.close().await;
    done
}

async fn carry_out(
    store: &Store,
    command: &OrganizationCommand,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    match command {
        OrganizationCommand::Create { name, max_calls, calls_per_second, json } => {
            let fields = OrganisationFields {
                name: checked(name)?,
                max_calls: *max_calls,
                calls_per_second: *calls_per_second,
                settings: json!({}),
            };
            let id = store.create_organisation(&fields, &Actor::Command).await?;
            let key = key(store, id, FIRST_KEY, Scope::Admin).await?;
            if *json {
                let mut shown = shown(&store.organisation(id).await?);
                shown["first_key"] = shown_key(&key);
                writeln!(out, "{shown}")?;
            } else {
                writeln!(out, "{}", key.key.expose())?;
                let key = key.info.id;
                writeln!(out, "organisation {id}, key {key}; the key is not shown again")?;
            }
        }
        OrganizationCommand::List { json } => list(store, *json, out).await?,
        OrganizationCommand::Rename { organization, name, json } => {
            let name = checked(name)?;
            change(store, organization, *json, out, |fields| fields.name = name).await?;
        }
        OrganizationCommand::Suspend { organization, json } => {
            if found(store, organization).await?.id == store.default_organisation() {
                return Err(CommandError::First);
            }
            change(store, organization, *json, out, |fields| fields.suspend(true)).await?;
        }
        OrganizationCommand::Resume { organization, json } => {
            change(store, organization, *json, out, |fields| fields.suspend(false)).await?;
        }
        OrganizationCommand::Key { organization, name, scope, json } => {
            let id = found(store, organization).await?.id;
            if *scope == ScopeArg::Server {
                return Err(CommandError::Scope);
            }
            let key = key(store, id, name, (*scope).into()).await?;
            if *json {
                writeln!(out, "{}", shown_key(&key))?;
            } else {
                writeln!(out, "{}", key.key.expose())?;
                let (id, scope) = (key.info.id, key.info.scope.as_str());
                writeln!(out, "id {id}, scope {scope}; the key is not shown again")?;
            }
        }
    }
    Ok(())
}

async fn list(store: &Store, json: bool, out: &mut dyn Write) -> Result<(), CommandError> {
    let all = store.organisations().await?;
    if json {
        let all: Vec<Value> = all.iter().map(shown).collect();
        return Ok(writeln!(out, "{}", json!(all))?);
    }
    writeln!(out, "{:<36} {:<10} {:<10} NAME", "ID", "CREATED", "STATE")?;
    for one in all {
        let state = if one.is_suspended() { "suspended" } else { "active" };
        let (id, day) = (one.id.to_string(), one.created_at.day());
        writeln!(out, "{id:<36} {day:<10} {state:<10} {}", one.name)?;
    }
    Ok(())
}

/// Changes an organisation and says how it is then.
async fn change(
    store: &Store,
    which: &str,
    json: bool,
    out: &mut dyn Write,
    change: impl FnOnce(&mut OrganisationFields),
) -> Result<(), CommandError> {
    let Organisation { id, name, max_calls, calls_per_second, settings, .. } =
        found(store, which).await?;
    let mut fields = OrganisationFields { name, max_calls, calls_per_second, settings };
    change(&mut fields);
    store.update_organisation(id, &fields, &Actor::Command).await?;
    let changed = store.organisation(id).await?;
    if json {
        writeln!(out, "{}", shown(&changed))?;
    } else {
        let state = if changed.is_suspended() { "suspended" } else { "active" };
        writeln!(out, "{id} ({}) is {state}", changed.name)?;
    }
    Ok(())
}

/// The organisation of this name or id.
async fn found(store: &Store, which: &str) -> Result<Organisation, CommandError> {
    let named = |one: &Organisation| one.name == which || one.id.to_string() == which;
    let found = store.organisations().await?.into_iter().find(named);
    found.ok_or_else(|| CommandError::NoSuch(which.to_owned()))
}

async fn key(
    store: &Store,
    organisation: OrganisationId,
    name: &str,
    scope: Scope,
) -> Result<NewKey, KeyError> {
    Keys::new(store.clone()).create(organisation, name, scope, &Actor::Command).await
}

fn checked(name: &str) -> Result<String, CommandError> {
    let name = name.trim();
    let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
    match fits && !name.chars().any(char::is_control) {
        true => Ok(name.to_owned()),
        false => Err(CommandError::BadName),
    }
}

fn shown(organisation: &Organisation) -> Value {
    json!({
        "id": organisation.id,
        "name": organisation.name,
        "suspended": organisation.is_suspended(),
        "max_calls": organisation.max_calls,
        "calls_per_second": organisation.calls_per_second,
        "created_at": organisation.created_at,
        "updated_at": organisation.updated_at,
    })
}

fn shown_key(key: &NewKey) -> Value {
    let mut shown = json!(key.info);
    shown["key"] = json!(key.key.expose());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::on_both;

    /// An organisation is made, found by name and by id, renamed and suspended; its keys are its
    /// own, and none of them is of the scope `server`; what is wrong is refused and changes
    /// nothing.
    #[test]
    fn the_commands_work_together() {
        on_both(async |db| {
            let store = db.store().await;
            let run = async |command: OrganizationCommand| {
                let mut out = Vec::new();
                let done = carry_out(&store, &command, &mut out).await;
                done.map(|()| String::from_utf8(out).unwrap())
            };
            let create = |name: &str, json| OrganizationCommand::Create {
                name: name.into(),
                max_calls: Some(7),
                calls_per_second: None,
                json,
            };
            let made: Value =
                serde_json::from_str(&run(create("acme", true)).await.unwrap()).unwrap();
            assert_eq!((&made["name"], &made["max_calls"]), (&json!("acme"), &json!(7)));
            let keys = Keys::new(store.clone());
            let first = made["first_key"]["key"].as_str().unwrap();
            let first = keys.verify(first).await.unwrap().unwrap();
            assert_eq!((first.scope, first.name.as_str()), (Scope::Admin, FIRST_KEY));
            assert_eq!(json!(first.organisation), made["id"]);
            assert!(matches!(
                run(create("acme", false)).await,
                Err(CommandError::Store(StoreError::Conflict { .. }))
            ));
            for name in ["", "  ", "a\nb", &"x".repeat(NAME_BYTES_MAX + 1)] {
                let refused = run(create(name, false)).await;
                assert!(matches!(refused, Err(CommandError::BadName)), "{name:?}");
            }

            let id = made["id"].as_str().unwrap();
            let (which, json) = (id.to_owned(), false);
            let name = "acme 2".to_owned();
            run(OrganizationCommand::Rename { organization: which, name, json }).await.unwrap();
            let which = || "acme 2".to_owned();
            let organization = which();
            run(OrganizationCommand::Suspend { organization, json }).await.unwrap();
            let listed = run(OrganizationCommand::List { json }).await.unwrap();
            let line = listed.lines().find(|line| line.ends_with("acme 2")).unwrap();
            assert!(line.contains(id) && line.contains("suspended"), "{listed}");
            assert!(!listed.contains("tp_"), "{listed}");
            let organization = which();
            run(OrganizationCommand::Resume { organization, json }).await.unwrap();
            let organization = first.organisation;
            assert!(!store.organisation(organization).await.unwrap().is_suspended());

            let key = |organization: &str, scope| OrganizationCommand::Key {
                organization: organization.into(),
                name: "ci".into(),
                scope,
                json: false,
            };
            let text = run(key("acme 2", ScopeArg::Calls)).await.unwrap();
            let second = keys.verify(text.lines().next().unwrap()).await.unwrap().unwrap();
            assert_eq!((second.organisation, second.scope), (organization, Scope::Calls));
            let server = run(key("acme 2", ScopeArg::Server)).await;
            assert!(matches!(server, Err(CommandError::Scope)));
            let nobody = run(key("acme", ScopeArg::Read)).await;
            assert!(matches!(nobody, Err(CommandError::NoSuch(_))));
            let organization = store.default_organisation().to_string();
            let first = run(OrganizationCommand::Suspend { organization, json }).await;
            assert!(matches!(first, Err(CommandError::First)));
        });
    }
}
