//! Foreign programs that tests talk to.
//!
//! An integration test takes this file in with `#[path = "support/peers.rs"] mod peers;`.

#![allow(dead_code, unreachable_pub, reason = "shared by several test binaries")]

use std::path::{Path, PathBuf};

/// The environment variable that turns a missing peer from a reason to skip into a failure.
const REQUIRE: &str = "TALKPATH_REQUIRE_PEERS";

/// The program called `program`, of the Debian package `package`.
///
/// Without it the caller returns at once: the reason has been printed.
///
/// # Panics
///
/// If the program is missing and `TALKPATH_REQUIRE_PEERS=1`.
pub fn program(program: &str, package: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(program));
    found.into_iter().find(|path| path.is_file()).or_else(|| {
        missing(&format!("{program} is not installed (Debian: {package})"));
        None
    })
}

/// The Python that has the packages of `tests/interop/requirements.txt`; `./test` installs them.
///
/// # Panics
///
/// If it is missing and `TALKPATH_REQUIRE_PEERS=1`.
pub fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("TALKPATH_TEST_PYTHON")
        .map_or_else(|| root.join("target/peers/bin/python"), PathBuf::from);
    if python.is_file() {
        return Some(python);
    }
    missing("no Python with tests/interop/requirements.txt; ./test makes target/peers");
    None
}

fn missing(why: &str) {
    let required = std::env::var_os(REQUIRE).is_some_and(|value| value == "1");
    assert!(!required, "{REQUIRE}=1, but {why}");
    eprintln!("skipped: {why}");
}
