//! `docs/providers.md` says what the table says.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use adapters::spec::ProviderSpec;
use adapters::table::PROVIDERS;
use adapters::ui::{Condition, FieldKind, Literal, UiField};
use media::codec::Codec;

const HEAD: &str = "\
# Providers

Calls come from providers. This page is made from the table in `adapters/src/table.rs`; a test
compares the two. After a change there:

    UPDATE_DOCS=1 cargo test -p talkpath-adapters --test documents

`talkpath provider list` and `talkpath provider show NAME` print the same, with `--json` as the form
metadata that a user interface draws. A server without stored configurations knows its SIP peers
from `[[trunks]]` of its configuration file.
";

fn literal(literal: Literal) -> String {
    match literal {
        Literal::Flag(flag) => if flag { "yes" } else { "no" }.to_owned(),
        Literal::Number(number) => number.to_string(),
        Literal::Text(text) => text.to_owned(),
        Literal::Texts(texts) => texts.join(", "),
    }
}

fn values(field: &UiField) -> String {
    match field.kind {
        FieldKind::Text(rule) if rule.format.is_empty() => "text".to_owned(),
        FieldKind::Text(rule) => rule.format.to_owned(),
        FieldKind::Password { .. } => "secret".to_owned(),
        FieldKind::Textarea(rule) => format!("{}, several lines", rule.format),
        FieldKind::Number { min, max, unit } => {
            format!("{min} to {max} {unit}").trim_end().to_owned()
        }
        FieldKind::Boolean => "yes or no".to_owned(),
        FieldKind::Select(choices) => {
            let values: Vec<_> = choices.iter().map(|choice| choice.value).collect();
            format!("one of {}", values.join(", "))
        }
        FieldKind::Choices(choices) => {
            let values: Vec<_> = choices.iter().map(|choice| choice.value).collect();
            format!("some of {}", values.join(", "))
        }
        FieldKind::List { rule, entries_max } => format!("up to {entries_max} × {}", rule.format),
        FieldKind::Phones { entries_max } => format!("up to {entries_max} × e164"),
        FieldKind::Map { value, entries_max, .. } => {
            format!("up to {entries_max} × {} by name", value.format)
        }
        FieldKind::Rows { entries_max, .. } => format!("up to {entries_max} entries"),
    }
}

fn row(text: &mut String, prefix: &str, field: &UiField) {
    let mut notes = Vec::new();
    if let Some(Condition { field, equals }) = field.visible_when {
        notes.push(format!("If `{field}` is {}.", literal(equals)));
    }
    if field.required {
        notes.push("Required.".to_owned());
    }
    if let Some(default) = field.default {
        notes.push(format!("Default: {}.", literal(default)));
    }
    if !field.help.is_empty() {
        notes.push(field.help.to_owned());
    }
    if field.secret {
        notes.push("Masked when read.".to_owned());
    }
    if field.is_managed() {
        notes.push("Set by the server.".to_owned());
    }
    if !field.in_use {
        notes.push("*Stored; not acted on yet.*".to_owned());
    }
    let (name, label, values) = (field.name, field.label, values(field));
    writeln!(text, "| `{prefix}{name}` | {label} | {values} | {} |", notes.join(" ")).unwrap();
    if let FieldKind::Rows { fields, .. } = field.kind {
        for inner in fields {
            row(text, &format!("{prefix}{name}[]."), inner);
        }
    }
}

fn section(text: &mut String, spec: &ProviderSpec) {
    let ui = spec.ui;
    writeln!(text, "\n## {} (`{}`)\n\n{}\n", ui.display_name, spec.name, ui.summary).unwrap();
    if let Some(url) = ui.docs_url {
        writeln!(text, "<{url}>\n").unwrap();
    }
    for (word, meaning) in spec.capabilities() {
        writeln!(text, "- `{word}`: {meaning}").unwrap();
    }
    for plan in spec.media {
        let formats: Vec<_> = plan
            .formats
            .iter()
            .map(|format| {
                let (codec, rate, ptime) =
                    (format.audio.codec, format.audio.rate_hz, format.ptime_ms);
                let codec = match codec {
                    Codec::Pcmu => "PCMU",
                    Codec::Pcma => "PCMA",
                    Codec::G722 => "G.722",
                    Codec::Opus => "Opus",
                    Codec::L16Le => "L16, least significant byte first",
                    Codec::L16Be => "L16",
                };
                format!("{codec} {rate} Hz, {ptime} ms")
            })
            .collect();
        let transport = plan.transport.as_str();
        writeln!(text, "- audio by {transport}: {}", formats.join("; ")).unwrap();
    }
    for hook in spec.hooks {
        let methods: Vec<_> = hook.methods.iter().map(|method| method.as_str()).collect();
        writeln!(text, "- hook `{}`: {}", hook.name, methods.join(", ")).unwrap();
    }
    for group in ui.sections {
        writeln!(text, "\n### {}\n\n{}\n", group.title, group.help).unwrap();
        text.push_str("| field | | values | |\n|---|---|---|---|\n");
        for field in ui.fields.iter().filter(|f| f.section == group.name && f.is_shown()) {
            row(text, "", field);
        }
    }
}

/// The page is what the table makes of it.
#[test]
fn the_page_is_current() {
    let mut text = HEAD.to_owned();
    for spec in PROVIDERS {
        section(&mut text, spec);
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/providers.md");
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    assert!(page == text, "docs/providers.md is old; it says itself how to renew it");
}
