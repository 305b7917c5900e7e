//! The foreign programs of the other `interop_*` tests are there and run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

#[path = "support/peers.rs"]
mod peers;

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What the program prints, on either output.
fn output(program: &PathBuf, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (output.stdout, output.stderr);
    String::from_utf8_lossy(&[out, err].concat()).into_owned()
}

/// SIPp, baresip, tshark and sox start and say who they are.
#[test]
fn programs_run() {
    let programs = [
        ("sipp", "sip-tester", "-v", "SIPp v3"),
        ("baresip", "baresip-core", "-h", "Usage: baresip"),
        ("tshark", "tshark", "--version", "TShark"),
        ("sox", "sox", "--version", "SoX"),
    ];
    for (program, package, argument, expected) in programs {
        let Some(path) = peers::program(program, package) else { continue };
        let said = output(&path, &[argument]);
        assert!(said.contains(expected), "{program} {argument}: {said}");
    }
}

/// The Python of the foreign agents has their packages, in the versions asked for.
#[test]
fn python_has_its_packages() {
    let Some(python) = peers::python() else { return };
    let wanted = include_str!("interop/requirements.txt");
    let lines = wanted.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    for line in lines {
        let (name, version) = line.split_once("==").unwrap();
        let name = name.split('[').next().unwrap();
        let script = format!("import importlib.metadata as m; print(m.version('{name}'))");
        assert_eq!(output(&python, &["-c", &script]).trim(), version, "{name}");
    }
}
