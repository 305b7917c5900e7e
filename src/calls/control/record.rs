//! Recordings of calls: who starts them, and what becomes of them.

use std::path::PathBuf;

use uuid::Uuid;

use super::Control;
use crate::calls::log::{Recorded, What};
use crate::calls::request::RequestError;
use crate::config::Record;
use crate::recording::{self, Channels, Job, Order, RecorderEvent, RecorderEventKind, State};
use crate::workers::command::{CallKey, Command, RecordChange};

impl Control {
    /// The call is being answered: begins the recording that route or agent want.
    pub(super) fn record_from_answer(&mut self, key: CallKey) {
        let Some(call) = self.calls.get(&key) else { return };
        if let Some(Record::On { .. }) = call.keep.record {
            // It has not begun, so nothing stands in the way.
            let _ = self.record(key, Order::Start);
        }
    }

    /// Records what the peer says alone, into `folder`: the built-in agent that records.
    pub(super) fn record_peer(&mut self, key: CallKey, folder: PathBuf) {
        if self.calls.get(&key).is_some_and(|call| call.recording.is_none()) {
            self.start_recording(key, folder, Channels::Peer);
        }
    }

    /// Carries out an order about the call's recording; its state afterwards.
    pub(super) fn record(&mut self, key: CallKey, order: Order) -> Result<State, RequestError> {
        let call = self.calls.get(&key).filter(|call| call.ended.is_none());
        let call = call.ok_or(RequestError::NoSuchCall)?;
        let state = recording::next(call.recording, order).map_err(RequestError::State)?;
        if call.recording.is_none() {
            let folder = match &call.keep.record {
                Some(Record::On { folder: Some(folder) }) => folder.clone(),
                _ => self.config.recordings_folder(),
            };
            self.start_recording(key, folder, Channels::Both);
            return Ok(state);
        }
        let change = match order {
            // It records already.
            Order::Start => return Ok(state),
            Order::Stop => RecordChange::Stop,
            Order::Pause => RecordChange::Pause(true),
            Order::Resume => RecordChange::Pause(false),
        };
        self.change_recording(key, change, state);
        Ok(state)
    }

    /// The agent wants something of the recording; it is told what comes of it.
    pub(super) fn agent_records(&mut self, key: CallKey, order: Order) {
        let refused = self.record(key, order).err();
        let worker = self.calls.get(&key).map(|call| call.worker);
        if let (Some(RequestError::State(why)), Some(worker)) = (refused, worker) {
            self.command(worker, Command::Refused { call: key, why });
        }
    }

    fn start_recording(&mut self, key: CallKey, folder: PathBuf, channels: Channels) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        let peer = call.format.unwrap_or(crate::calls::live::DEFAULT_FORMAT).audio;
        let rate_hz = recording::rate_hz(peer);
        let (head, frames) = recording::head(rate_hz, peer);
        let (id, path) = (call.id, folder.join(recording::file_name(call.id)));
        let recorded = Box::new(Recorded {
            id: Uuid::now_v7(),
            channels: channels.count(),
            rate_hz,
            size_bytes: None,
            duration_ms: None,
            path: path.clone(),
        });
        call.recorded = Some(recorded.clone());
        self.metrics.recordings.started.inc();
        // That it begins is told before the recorder can tell anything of it.
        self.change_recording(key, RecordChange::Start(Box::new(head)), State::Recording);
        let recorded = Some(recorded);
        self.recorder.record(Job { call: key, id, path, channels, rate_hz, frames, recorded });
    }

    fn change_recording(&mut self, key: CallKey, change: RecordChange, state: State) {
        let Some(call) = self.calls.get(&key) else { return };
        let (state_word, at_server) = (state.as_str().to_owned(), call.recorded.clone());
        self.log_fact(key, What::Recording { state: state_word, at_carrier: None, at_server });
        self.set_recording(key, change, state);
    }

    /// The same if the log was told of it already.
    fn set_recording(&mut self, key: CallKey, change: RecordChange, state: State) {
        let Some(call) = self.calls.get_mut(&key) else { return };
        call.recording = Some(state);
        tracing::info!(parent: &call.span, state = state.as_str(), "recording");
        let worker = call.worker;
        self.command(worker, Command::Record { call: key, change, state });
    }

    /// The recorder has something to tell, which the log has been told.
    pub(super) fn recorder_event(&mut self, event: RecorderEvent) {
        let RecorderEvent { call: key, id, kind, .. } = event;
        let RecorderEventKind::Failed(error) = kind else { return };
        self.metrics.recordings.failed.inc();
        if self.message_failed(key, id, &error) {
            return;
        }
        match self.calls.get(&key) {
            Some(call) => {
                tracing::error!(parent: &call.span, %error, "recording failed; the call goes on");
                self.set_recording(key, RecordChange::Stop, State::Failed);
            }
            None => tracing::error!(%error, "the recording of a call that is over failed"),
        }
    }
}
