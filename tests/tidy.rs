//! House rules that neither compiler nor clippy checks: sizes, seams, names, words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a source file.
const LINES_MAX: usize = 500;
/// Lines of a file of tests.
const TEST_LINES_MAX: usize = 800;
/// Characters of a line.
const COLUMNS_MAX: usize = 100;
/// Lines above an `unsafe` in which its reason must stand.
const REASON_LINES: usize = 6;

/// Names that only `adapters`, tests and documents may hold.
const PROVIDERS: &[&str] =
    &["twilio", "plivo", "vonage", "telnyx", "cloudonix", "vobiz", "exotel", "genesys", "vicidial"];

/// Files and folders that take bytes and time and do no I/O.
const CORES: &[&str] = &[
    "media/src/",
    "adapters/src/",
    "src/sip/core/",
    "src/agent/wire",
    "src/agent/session",
    "src/bridge/framing",
    "src/bridge/handshake",
    "src/bridge/mask",
    "src/calls/call.rs",
    "src/calls/call/",
    "src/calls/caller_ids/",
    "src/calls/cause.rs",
    "src/calls/log/carrier.rs",
    "src/calls/log/fact.rs",
    "src/calls/log/fold.rs",
    "src/calls/log/state.rs",
    "src/calls/log/summary.rs",
    "src/quota/",
    "src/calls/queue/",
];

/// What a core must not touch: the runtime, the clock, threads, sockets, files, the environment.
const BANNED_IN_CORES: &[&str] = &[
    "tokio",
    "socket2",
    "Instant",
    "SystemTime",
    "std::thread",
    "std::fs",
    "std::env",
    "std::process",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "println!",
    "eprintln!",
];

/// Where `unsafe` may stand. Tests may, to count allocations.
const UNSAFE_ALLOWED: &[&str] = &[
    "media/src/codec/simd/",
    "media/src/ring.rs",
    "media/src/ring/",
    "src/workers/sys.rs",
    "src/workers/wildcard.rs",
    "perf/",
    "tests/",
    "media/tests/",
    "benches/",
];

/// Words of unfinished work, cut so that this file does not hold them.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X:"),
    concat!("to", "do!("),
    concat!("unimple", "mented!("),
    concat!("db", "g!("),
    concat!("for ", "now,"),
    concat!("place", "holder impl"),
    concat!("in a real ", "implementation"),
];

/// A file of the repository.
struct Source {
    /// Path from the root, with slashes.
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// True for files that hold tests alone.
    fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let folder = |part: &str| self.path.contains(part) || self.path.starts_with(&part[1..]);
        name == "tests.rs" || folder("/tests/") || folder("/benches/")
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    /// Lines with their numbers, up to the tests at the end of the file.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let all = self.text.lines().enumerate().map(|(index, line)| (index + 1, line));
        all.take_while(|(_, line)| line.trim() != "#[cfg(test)]" && *line != "mod tests {")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files that git knows, or, outside a repository, all that are no build products.
fn files() -> Vec<Source> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-co", "--exclude-standard"]).current_dir(root());
    let listed = git.output();
    let paths: Vec<String> = match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
        }
        _ => walk(root()),
    };
    let mut files = Vec::new();
    for path in paths {
        // What was deleted but not committed is still listed; what is no text is no source.
        if let Ok(text) = fs::read_to_string(root().join(&path)) {
            files.push(Source { path, text });
        }
    }
    assert!(files.len() > 20, "only {} files found under {}", files.len(), root().display());
    files
}

fn walk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(path);
                }
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found
}

/// Fails with all that is wrong, not with the first.
fn expect_none(rule: &str, mut broken: Vec<String>) {
    broken.sort();
    assert!(broken.is_empty(), "{rule}:\n  {}\n", broken.join("\n  "));
}

/// Files stay short enough to be read in one go.
#[test]
fn files_and_lines_have_limits() {
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        let lines = file.text.lines().count();
        let limit = if file.is_test() { TEST_LINES_MAX } else { LINES_MAX };
        if lines > limit {
            broken.push(format!("{}: {lines} lines, at most {limit}", file.path));
        }
        for (index, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            // rustfmt breaks code; texts and addresses stay whole.
            if columns > COLUMNS_MAX && !line.contains(['"', '\\']) && !line.contains("://") {
                let number = index + 1;
                broken.push(format!("{}:{number}: {columns} columns", file.path));
            }
        }
    }
    expect_none("Files and lines have limits; split the file by concept", broken);
}

/// Text files end in one line feed and hold neither tabs (but in makefiles) nor blanks at line
/// ends.
#[test]
fn text_is_clean() {
    let kinds =
        [".rs", ".toml", ".md", ".py", ".yml", ".sql", ".sh", ".js", ".css", ".html", ".svg"];
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| kinds.iter().any(|kind| file.path.ends_with(kind))) {
        if !file.text.is_empty() && (!file.text.ends_with('\n') || file.text.ends_with("\n\n")) {
            broken.push(format!("{}: must end in one line feed", file.path));
        }
        for (index, line) in file.text.lines().enumerate() {
            if line.ends_with([' ', '\t', '\r']) || line.starts_with('\t') {
                broken.push(format!("{}:{}: blank at the end, or tab", file.path, index + 1));
            }
        }
    }
    expect_none("Text is clean", broken);
}

/// The pages build elements, never markup out of data, run nothing that is made of text, and load
/// nothing from elsewhere; their files stay short too.
#[test]
fn pages_are_plain() {
    let banned = [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "setAttribute(\"on",
        "src=\"http",
        "@import",
        "url(http",
    ];
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| file.is_in(&["ui/"])) {
        let is_script = file.path.ends_with(".js");
        let lines = file.text.lines().count();
        if is_script && lines > LINES_MAX {
            broken.push(format!("{}: {lines} lines, at most {LINES_MAX}", file.path));
        }
        for (index, line) in file.text.lines().enumerate() {
            let number = index + 1;
            for word in banned.iter().filter(|word| line.contains(**word)) {
                broken.push(format!("{}:{number}: {word}", file.path));
            }
            let columns = line.chars().count();
            if is_script && columns > COLUMNS_MAX && !line.contains(['"', '`']) {
                broken.push(format!("{}:{number}: {columns} columns", file.path));
            }
        }
    }
    expect_none("Pages are plain", broken);
}

/// The server and the media core know no provider by name.
#[test]
fn providers_are_named_in_adapters_only() {
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| file.is_in(&["src/", "media/", "ui/"])) {
        for (index, line) in file.text.lines().enumerate() {
            let lower = line.to_lowercase();
            for name in PROVIDERS.iter().filter(|name| lower.contains(*name)) {
                broken.push(format!("{}:{}: {name}", file.path, index + 1));
            }
        }
    }
    expect_none("Providers are named in adapters only", broken);
}

/// Cores stay free of I/O, clocks and threads; their tests may read vectors.
#[test]
fn cores_do_no_io() {
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| file.is_rust() && file.is_in(CORES)) {
        if file.is_test() {
            continue;
        }
        for (number, line) in file.code_lines() {
            let code = line.split("//").next().unwrap_or_default();
            for banned in BANNED_IN_CORES.iter().filter(|banned| has_word(code, banned)) {
                broken.push(format!("{}:{number}: {banned}", file.path));
            }
        }
    }
    expect_none("Cores take bytes and time and do no I/O", broken);
}

/// True if `word` stands in `code` and is not part of a longer name.
fn has_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(part) && !code[at + word.len()..].starts_with(part))
}

/// `unsafe` stands where it may, each with its reason.
#[test]
fn unsafe_is_confined_and_explained() {
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| file.is_rust() && file.path != "tests/tidy.rs") {
        let lines: Vec<&str> = file.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let starts = ["unsafe {", "unsafe fn ", "unsafe impl", "unsafe extern", "unsafe trait"];
            if !starts.iter().any(|start| code.contains(start)) {
                continue;
            }
            let place = format!("{}:{}", file.path, index + 1);
            if !file.is_in(UNSAFE_ALLOWED) {
                broken
                    .push(format!("{place}: unsafe is confined to {}", UNSAFE_ALLOWED.join(", ")));
            }
            let above = &lines[index.saturating_sub(REASON_LINES)..=index];
            let explained = |line: &&str| line.contains("SAFETY:") || line.contains("# Safety");
            if !above.iter().any(explained) {
                broken.push(format!("{place}: no SAFETY comment above"));
            }
        }
    }
    expect_none("unsafe is confined and explained", broken);
}

/// Nothing unfinished is committed.
#[test]
fn nothing_is_unfinished() {
    let mut broken = Vec::new();
    let kinds = [".rs", ".py", ".md", ".toml", ".sql"];
    for file in files().iter().filter(|file| kinds.iter().any(|kind| file.path.ends_with(kind))) {
        for (index, line) in file.text.lines().enumerate() {
            for word in UNFINISHED.iter().filter(|word| line.contains(*word)) {
                broken.push(format!("{}:{}: {word}", file.path, index + 1));
            }
        }
    }
    expect_none("Nothing unfinished is committed", broken);
}

/// Each file says what it is, each test what it proves.
#[test]
fn modules_and_tests_are_documented() {
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| file.is_rust()) {
        let beside =
            file.is_test() && file.is_in(&["src/", "media/src/", "adapters/src/", "perf/"]);
        if !file.text.starts_with("//!") && !beside {
            broken.push(format!("{}: starts without a //! comment", file.path));
        }
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            if !matches!(*line, "#[test]" | "#[tokio::test]") {
                continue;
            }
            let mut above = lines[..index].iter().rev();
            let documented = above.find(|line| !line.starts_with("#[")).copied();
            if !documented.is_some_and(|line| line.starts_with("///") || line.ends_with("*/")) {
                broken.push(format!("{}:{}: a test without a /// line", file.path, index + 1));
            }
        }
    }
    expect_none("Modules and tests are documented", broken);
}

/// A lint is switched off with a reason.
#[test]
fn switched_off_lints_have_reasons() {
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| file.is_rust() && file.path != "tests/tidy.rs") {
        for start in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in file.text.match_indices(start) {
                let rest = &file.text[at..];
                let attribute = rest.split(")]").next().unwrap_or_default();
                if !attribute.contains("reason =") {
                    let line = file.text[..at].lines().count() + 1;
                    broken.push(format!("{}:{line}: {start}…)] without reason", file.path));
                }
            }
        }
    }
    expect_none("Switched-off lints have reasons", broken);
}

/// Migrations exist for both databases or for none.
#[test]
fn migrations_come_in_pairs() {
    let names = |database: &str| -> BTreeSet<String> {
        let prefix = format!("migrations/{database}/");
        let files = files().into_iter().filter(|file| file.path.ends_with(".sql"));
        files.filter_map(|file| file.path.strip_prefix(&prefix).map(str::to_owned)).collect()
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

/// A version is written once, in the root; every dependency has its reason in the documents.
#[test]
fn dependencies_are_central_and_explained() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let reasons = read("docs/decisions/0003-dependencies.md");
    let mut broken = Vec::new();
    for (name, _) in entries(&read("Cargo.toml"), |section| section == "workspace.dependencies") {
        let ours = ["adapters", "media", "talkpath", "talkpath-perf"].contains(&name.as_str());
        if !ours && !reasons.contains(&format!("| `{name}` |")) {
            broken.push(format!("{name}: no line in docs/decisions/0003-dependencies.md"));
        }
    }
    for path in ["Cargo.toml", "adapters/Cargo.toml", "media/Cargo.toml", "perf/Cargo.toml"] {
        let own = |section: &str| {
            section.ends_with("dependencies") && section != "workspace.dependencies"
        };
        let dependencies = entries(&read(path), own);
        assert!(!dependencies.is_empty(), "{path}: no dependencies were found");
        for (name, value) in dependencies {
            if !value.contains("workspace = true") {
                broken.push(format!("{path}: {name} has a version of its own"));
            }
        }
    }
    expect_none("Dependencies are central and explained", broken);
}

/// Names and values in the sections of a manifest that `wanted` chooses; `name.key = value` counts
/// as a value of `name`.
fn entries(manifest: &str, wanted: impl Fn(&str) -> bool) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut entries = Vec::new();
    for line in manifest.lines() {
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']').to_owned();
        } else if wanted(&section)
            && let Some((name, _)) = line.split_once([' ', '.', '='])
            && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        {
            entries.push((name.to_owned(), line[name.len() + 1..].to_owned()));
        }
    }
    entries
}

/// Links between the documents lead somewhere.
#[test]
fn links_in_documents_lead_somewhere() {
    let mut broken = Vec::new();
    for file in files().iter().filter(|file| file.path.ends_with(".md")) {
        let folder = Path::new(&file.path).parent().map(PathBuf::from).unwrap_or_default();
        for (at, _) in file.text.match_indices("](") {
            let target = file.text[at + 2..].split(')').next().unwrap_or_default();
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.contains(' ') {
                continue;
            }
            if !root().join(&folder).join(target).exists() {
                let line = file.text[..at].lines().count();
                broken.push(format!("{}:{line}: {target}", file.path));
            }
        }
    }
    expect_none("Links in documents lead somewhere", broken);
}
