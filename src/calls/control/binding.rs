//! What calls leave behind is kept by these.

use std::sync::{Arc, Mutex};

use crate::calls::log::{CallFact, LogHandle, Recorded, Source, What};
use crate::calls::request::{Handle, Request};
use crate::capture::Registry;
use crate::config::Config;
use crate::recording::{Recorder, RecorderEvent, RecorderEventKind, State, Store};
use crate::store::Timestamp;

/// What keeps recordings and captures, and where recordings and messages of callers are found.
pub(super) fn keepers(
    config: &Config,
    handle: &Handle,
    log: &LogHandle,
) -> std::io::Result<(Recorder, [Store; 2], Arc<Mutex<Registry>>)> {
    let (to_control, log) = (handle.clone(), log.clone());
    let recorder = Recorder::start(move |event| {
        // Not by way of the control: it may have let go of the call, or be gone itself.
        if let Some(fact) = fact(&event, Timestamp::now()) {
            log.tell(fact);
        }
        if matches!(event.kind, RecorderEventKind::Failed(_)) {
            to_control.tell(Request::Recorder(event));
        }
    })?;
    let recordings = Store::new(config.recording_folders(), recorder.open());
    let voicemails = Store::new(vec![config.voicemail_folder()], recorder.open());
    let captures = Registry::new(config.expects_captures(), config.captures);
    Ok((recorder, [recordings, voicemails], Arc::new(Mutex::new(captures))))
}

/// What the log of a call is told of the end of its recording. Of one there is one end, so that its
/// state makes it unique.
fn fact(event: &RecorderEvent, at: Timestamp) -> Option<CallFact> {
    let recorded = event.recorded.as_deref()?.clone();
    let (state, recorded) = match &event.kind {
        RecorderEventKind::Complete(written) => {
            let size_bytes = Some(written.size_bytes);
            let duration_ms = Some(written.duration_ms);
            (State::Complete, Recorded { size_bytes, duration_ms, ..recorded })
        }
        RecorderEventKind::Failed(_) => (State::Failed, recorded),
    };
    let (word, at_server) = (state.as_str(), Some(Box::new(recorded)));
    Some(CallFact {
        call: event.id,
        source: Source::Node,
        id: format!("recording:{word}"),
        at_us: at.0,
        what: What::Recording { state: word.to_owned(), at_carrier: None, at_server },
    })
}
