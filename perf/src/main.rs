//! `talkpath-perf`: load generator, floors and latency meter for Talkpath.

use std::process::ExitCode;

fn main() -> ExitCode {
    talkpath_perf::run()
}
