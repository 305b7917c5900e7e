//! The guide to adding a provider names what is there.
#![allow(clippy::unwrap_used, reason = "test")]

use std::fs;
use std::path::Path;

/// Every file and name that the guide tells of exists: links lead somewhere, files of the table are
/// those of a sibling, shared modules are there, and the list in the table looks as it says.
#[test]
fn the_guide_is_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let guide = fs::read_to_string(root.join("docs/adding-a-provider.md")).unwrap();
    for link in guide.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(root.join("docs").join(link).exists(), "{link}");
    }
    let folder = root.join("adapters/src/twilio");
    let rows = guide.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    let mut files = 0;
    for name in names {
        assert!(folder.join(name).exists(), "{name}");
        files += 1;
    }
    assert!(files > 10, "{files}");
    for module in ["markup", "pairs", "json", "jwt", "timestamp", "exchange"] {
        assert!(guide.contains(&format!("`{module}`")), "{module}");
        let source = root.join("adapters/src");
        let is_there = source.join(module).exists() || source.join(format!("{module}.rs")).exists();
        assert!(is_there, "{module}");
    }
    let table = fs::read_to_string(root.join("adapters/src/table.rs")).unwrap();
    assert!(guide.contains("providers! {") && table.contains("\nproviders! {"));
}
