//! A provider is added by one folder and one line: the guide is followed literally, in a copy of
//! this crate, and what it adds goes through the conformance battery there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files by their path from the root of the repository.
type Tree = BTreeMap<String, Vec<u8>>;

const TABLE: &str = "adapters/src/table.rs";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.as_ref().display()))
}

/// All files below `root/folder`.
fn tree(root: &Path, folder: &str) -> Tree {
    let mut found = Tree::new();
    let mut folders = vec![root.join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

/// What makes the crate one that can be built alone: the crate, its workspace, its documents.
fn crate_alone() -> Tree {
    let root = root();
    let mut files = tree(&root, "adapters");
    for name in ["Cargo.lock", "docs/providers.md", "docs/adding-a-provider.md"] {
        files.insert(name.to_owned(), fs::read(root.join(name)).unwrap());
    }
    let manifest = read(root.join("Cargo.toml"));
    let (manifest, _) = manifest.split_once("\n[package]").unwrap();
    let media = format!("media = {{ path = {:?}", root.join("media"));
    let manifest: Vec<_> = manifest
        .lines()
        .map(|line| match line {
            _ if line.starts_with("members = ") => "members = [\"adapters\"]".to_owned(),
            _ => line.replace("media = { path = \"media\"", &media),
        })
        .collect();
    files.insert("Cargo.toml".to_owned(), manifest.join("\n").into_bytes());
    files
}

/// The files that the guide tells to write: each stands in a block behind its name.
fn blocks(guide: &str) -> Tree {
    let mut found = Tree::new();
    for part in guide.split("\n`adapters/src/").skip(1) {
        let (name, rest) = part.split_once("`:\n\n```").unwrap();
        let (_, rest) = rest.split_once('\n').unwrap();
        let (text, _) = rest.split_once("\n```\n").unwrap();
        let twice = found.insert(format!("adapters/src/{name}"), format!("{text}\n").into());
        assert!(twice.is_none(), "{name} stands there twice");
    }
    found
}

/// The commands that the guide tells to run.
fn commands(guide: &str) -> Vec<Vec<String>> {
    let indented = guide.lines().filter_map(|line| line.strip_prefix("    "));
    let commands = indented.filter(|line| line.contains("cargo test"));
    commands.map(|line| line.split(' ').map(str::to_owned).collect()).collect()
}

/// The table with these names in its list.
fn with_names(table: &str, more: &[&str]) -> String {
    let (before, rest) = table.split_once("\nproviders! { ").unwrap();
    let (names, after) = rest.split_once(" }\n").unwrap();
    let mut names: Vec<_> = names.split(',').map(str::trim).collect();
    names.retain(|name| !name.is_empty());
    names.extend(more);
    names.sort_unstable();
    format!("{before}\nproviders! {{ {} }}\n{after}", names.join(", "))
}

/// Makes the folder hold these files and no others, and touches none that holds what it should, so
/// that little is compiled again.
fn write(folder: &Path, files: &Tree) {
    for name in tree(folder, "").keys().filter(|name| !files.contains_key(*name)) {
        fs::remove_file(folder.join(name)).unwrap();
    }
    for (name, bytes) in files {
        let path = folder.join(name);
        if fs::read(&path).ok().as_ref() != Some(bytes) {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

/// Runs a command of the guide in the folder; yields what it said.
fn run(folder: &Path, command: &[String]) -> String {
    let at = command.iter().position(|word| word == "cargo").unwrap();
    let (variables, arguments) = (&command[..at], &command[at + 1..]);
    // What the crate stands on has been built already, if the features are the same.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--offline"])
        .envs(variables.iter().map(|variable| variable.split_once('=').unwrap()))
        .env("CARGO_TARGET_DIR", target)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stderr) + &text(&output.stdout);
    assert!(output.status.success(), "{}: {said}", command.join(" "));
    said
}

/// The provider of the guide, and the one that uses every seam, are added to a copy of the crate by
/// their folders and a line: they compile without a warning, the battery passes with them, the page
/// of providers tells of them, and nothing else has changed.
#[test]
fn the_guide_is_followed() {
    let guide = read(root().join("docs/adding-a-provider.md"));
    let original = crate_alone();
    let mut files = original.clone();
    let written = blocks(&guide);
    assert!(written.len() > 8, "{:?}", written.keys());
    files.extend(written);
    let acme = tree(&root(), "adapters/tests/support/acme");
    let inside = acme
        .into_iter()
        .map(|(name, bytes)| (name.replace("adapters/tests/support/", "adapters/src/"), bytes));
    files.extend(inside);
    let names = ["acme", "tincan"];
    let table = with_names(str::from_utf8(&files[TABLE]).unwrap(), &names);
    files.insert(TABLE.to_owned(), table.into_bytes());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("adding");
    write(&folder, &files);

    let commands = commands(&guide);
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in &commands {
        let said = run(&folder, command);
        assert!(said.contains("test result: ok"), "{said}");
        assert!(!said.contains("src/tincan"), "a warning: {said}");
    }
    let page = read(folder.join("docs/providers.md"));
    for heading in ["\n## Acme (`acme`)\n", "\n## Tin Can (`tincan`)\n"] {
        assert!(page.contains(heading), "{heading}");
    }

    let ours = names.map(|name| format!("adapters/src/{name}/"));
    for (name, bytes) in tree(&folder, "adapters") {
        if name == TABLE {
            let (before, after) = (str::from_utf8(&original[TABLE]), str::from_utf8(&bytes));
            let (before, after) = (before.unwrap().lines(), after.unwrap().lines());
            assert_eq!(before.clone().count(), after.clone().count());
            assert_eq!(before.zip(after).filter(|(a, b)| a != b).count(), 1, "one line");
        } else if !ours.iter().any(|folder| name.starts_with(folder)) {
            assert!(original.get(&name) == Some(&bytes), "{name} has changed");
        }
    }
}
