//! `talkpath provider`: the table of providers, for people and programs, and what is wrong with a
//! carrier's requests.

mod judge;
mod requests;

use std::io::{self, Write};

use adapters::spec::ProviderSpec;
use adapters::table::{PROVIDERS, find};
use adapters::ui::{Condition, FieldKind, UiField, form};
use serde_json::{Value, json};
use thiserror::Error;

use crate::cli::ProviderCommand;

/// Why the command failed.
#[derive(Debug, Error)]
pub(super) enum ProviderError {
    /// There is no such provider.
    #[error("no provider is called {name:?}; there are: {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// A file makes no sense, or an argument none for this provider.
    #[error("{0}")]
    Usage(String),
    /// The answer could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

/// Carries out `command` and writes the answer to `out`. False if a request was judged to be wrong.
pub(super) fn run(command: &ProviderCommand, out: &mut dyn Write) -> Result<bool, ProviderError> {
    match command {
        ProviderCommand::List { json: true } => {
            let list: Vec<Value> = PROVIDERS.iter().map(|spec| entry(spec)).collect();
            writeln!(out, "{}", json!(list))?;
        }
        ProviderCommand::List { json: false } => list(out)?,
        ProviderCommand::Show { name, json } => {
            let spec = named(name)?;
            if *json { writeln!(out, "{}", form(spec))? } else { show(spec, out)? }
        }
        ProviderCommand::Verify { name, request, config, public_url, now, hook } => {
            let given = requests::read(request, config.as_deref(), public_url.as_deref(), *now)?;
            return judge::verify(named(name)?, hook.as_deref(), &given, out);
        }
        ProviderCommand::Parse { name, hook, request, config } => {
            let given = requests::read(request, config.as_deref(), None, None)?;
            return judge::parse(named(name)?, hook, &given, out);
        }
    }
    Ok(true)
}

/// The provider with that name.
fn named(name: &str) -> Result<&'static ProviderSpec, ProviderError> {
    find(name).ok_or_else(|| ProviderError::Unknown {
        name: name.to_owned(),
        known: PROVIDERS.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", "),
    })
}

fn words(spec: &ProviderSpec) -> Vec<&'static str> {
    spec.capabilities().map(|(word, _)| word).collect()
}

fn entry(spec: &ProviderSpec) -> Value {
    json!({
        "provider": spec.name,
        "display_name": spec.ui.display_name,
        "summary": spec.ui.summary,
        "connectivity": spec.ui.connectivity.as_str(),
        "capabilities": words(spec),
    })
}

fn list(out: &mut dyn Write) -> io::Result<()> {
    let width = |cell: fn(&ProviderSpec) -> usize, head: usize| {
        PROVIDERS.iter().map(|spec| cell(spec)).max().unwrap_or(0).max(head)
    };
    let name = width(|spec| spec.name.len(), "NAME".len());
    let can = width(|spec| words(spec).join(", ").len(), "CAN".len());
    writeln!(out, "{:<name$}  {:<can$}  WHAT", "NAME", "CAN")?;
    for spec in PROVIDERS {
        writeln!(
            out,
            "{:<name$}  {:<can$}  {}",
            spec.name,
            words(spec).join(", "),
            spec.ui.summary
        )?;
    }
    Ok(())
}

fn show(spec: &ProviderSpec, out: &mut dyn Write) -> io::Result<()> {
    let ui = spec.ui;
    writeln!(out, "{} ({})\n{}", ui.display_name, spec.name, ui.summary)?;
    if let Some(url) = ui.docs_url {
        writeln!(out, "{url}")?;
    }
    writeln!(out, "\nCan:")?;
    for (word, meaning) in spec.capabilities() {
        writeln!(out, "  {word:<12} {meaning}")?;
    }
    for hook in spec.hooks {
        let methods: Vec<_> = hook.methods.iter().map(|method| method.as_str()).collect();
        writeln!(out, "  hook {:<7} {}", hook.name, methods.join(", "))?;
    }
    for section in ui.sections {
        writeln!(out, "\n{} - {}", section.title, section.help)?;
        for field in ui.fields.iter().filter(|f| f.section == section.name && f.is_shown()) {
            describe(field, "  ", out)?;
        }
    }
    Ok(())
}

fn describe(field: &UiField, indent: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut facts = vec![field.kind.as_str().to_owned()];
    if field.required {
        facts.push("required".to_owned());
    }
    if field.secret {
        facts.push("secret".to_owned());
    }
    if field.is_managed() {
        facts.push("set by the server".to_owned());
    }
    if let FieldKind::Select(choices) | FieldKind::Choices(choices) = field.kind {
        let values: Vec<_> = choices.iter().map(|choice| choice.value).collect();
        facts.push(values.join("|"));
    }
    if let FieldKind::Number { min, max, unit } = field.kind {
        facts.push(format!("{min} to {max} {unit}").trim_end().to_owned());
    }
    if let Some(default) = field.default {
        facts.push(format!("default {}", default.json()));
    }
    if let Some(Condition { field, equals }) = field.visible_when {
        facts.push(format!("if {field} is {}", equals.json()));
    }
    if !field.in_use {
        facts.push("stored, not acted on yet".to_owned());
    }
    writeln!(out, "{indent}{}: {} ({})", field.name, field.label, facts.join(", "))?;
    if !field.help.is_empty() {
        writeln!(out, "{indent}    {}", field.help)?;
    }
    if let FieldKind::Rows { fields, .. } = field.kind {
        for inner in fields {
            describe(inner, &format!("{indent}    "), out)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(command: &ProviderCommand) -> Result<String, ProviderError> {
        let mut out = Vec::new();
        run(command, &mut out).map(|_| String::from_utf8(out).unwrap())
    }

    /// The list names every provider, for people and for programs.
    #[test]
    fn the_list_is_whole() {
        let text = answer(&ProviderCommand::List { json: false }).unwrap();
        let json = answer(&ProviderCommand::List { json: true }).unwrap();
        let json: Vec<Value> = serde_json::from_str(&json).unwrap();
        assert_eq!((text.lines().count(), json.len()), (PROVIDERS.len() + 1, PROVIDERS.len()));
        for (spec, entry) in PROVIDERS.iter().zip(&json) {
            assert!(text.contains(spec.name) && text.contains(spec.ui.summary));
            assert_eq!(entry["provider"], spec.name);
            assert_eq!(
                entry["capabilities"].as_array().unwrap().len(),
                spec.capabilities().count()
            );
        }
    }

    /// One provider is shown with each field that people see; for programs it is its form.
    #[test]
    fn one_is_shown_with_its_fields() {
        for spec in PROVIDERS {
            let show = |json| ProviderCommand::Show { name: spec.name.to_owned(), json };
            let text = answer(&show(false)).unwrap();
            for field in spec.ui.fields.iter().filter(|field| field.is_shown()) {
                assert!(text.contains(&format!("  {}: {} (", field.name, field.label)), "{text}");
            }
            let json: Value = serde_json::from_str(&answer(&show(true)).unwrap()).unwrap();
            assert_eq!(json, form(spec));
        }
    }

    /// An unknown name fails and says what there is.
    #[test]
    fn an_unknown_one_fails() {
        let show = ProviderCommand::Show { name: "nobody\n".to_owned(), json: true };
        let error = answer(&show).unwrap_err().to_string();
        assert!(error.starts_with("no provider is called \"nobody\\n\"; there are: "), "{error}");
        assert!(PROVIDERS.iter().all(|spec| error.contains(spec.name)));
    }
}
