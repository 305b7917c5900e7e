//! The `talkpath` binary.

use std::process::ExitCode;

use clap::Parser;
use talkpath::cli::Cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    talkpath::commands::run(&Cli::parse())
}
