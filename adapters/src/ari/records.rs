//! Recordings that Asterisk makes of what is said on a call, both ways.

use super::calls::bridge_path;
use super::errors::success;
use super::names::{Names, Role, read};
use super::request::post;
use crate::config::RawConfig;
use crate::event::{CallFact, Recording};
use crate::exchange::{CarrierError, escape};
use crate::op::{OpResult, Record};

/// Name of the recording of a call.
fn name(config: &RawConfig, record: &Record) -> Result<(String, String), CarrierError> {
    let names = Names::of(config, &record.hooks)?;
    Ok((names.name(Role::Bridge), format!("{}-{}", names.app(), names.call())))
}

pub(super) fn record(config: &RawConfig, record: &Record) -> OpResult<()> {
    let (bridge, name) = name(config, record)?;
    let request = if record.on {
        let query = [("name", name.as_str()), ("format", "wav"), ("ifExists", "append")];
        post(config, &format!("{}/record", bridge_path(&bridge)), &query)?
    } else {
        post(config, &format!("recordings/live/{}/stop", escape(&name)), &[])?
    };
    super::request::one(request, success)
}

/// The fact that a recording is there, and our id of the call it is of.
pub(super) fn recorded<'r>(
    app: &str,
    recorded: &'r super::events::Recorded,
) -> Option<(&'r str, CallFact)> {
    let bridge = recorded.target_uri.strip_prefix("bridge:")?;
    let (_, call) = read(app, bridge)?;
    let duration_ms = recorded.duration.map(|seconds| seconds.saturating_mul(1000));
    let recording = Recording { id: recorded.name.clone(), url: None, duration_ms };
    Some((call, CallFact::Recorded(recording)))
}
