//! What calls leave behind is kept by these.

use std::sync::{Arc, Mutex};

use crate::calls::request::{Handle, Request};
use crate::capture::Registry;
use crate::config::Config;
use crate::recording::{Recorder, Store};

/// What keeps recordings and captures, and where recordings and messages of callers are found.
pub(super) fn keepers(
    config: &Config,
    handle: &Handle,
) -> std::io::Result<(Recorder, [Store; 2], Arc<Mutex<Registry>>)> {
    let to_control = handle.clone();
    let recorder = Recorder::start(move |event| to_control.tell(Request::Recorder(event)))?;
    let recordings = Store::new(config.recording_folders(), recorder.open());
    let voicemails = Store::new(vec![config.voicemail_folder()], recorder.open());
    let captures = Registry::new(config.expects_captures(), config.captures);
    Ok((recorder, [recordings, voicemails], Arc::new(Mutex::new(captures))))
}
