//! The thread that writes recordings to disk.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use media::ring::Consumer;
use uuid::Uuid;

use super::Channels;
use super::file::WavFile;
use super::head::Slot;
use super::mix::Mix;
use crate::calls::log::Recorded;
use crate::workers::Purpose;
use crate::workers::command::CallKey;

/// How often the recorder looks for frames.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often headers are brought up to date.
const UPDATE_EVERY: Duration = Duration::from_secs(1);
/// How long a sample may still change before it is written: a network that stalls and then gives
/// all at once.
const HOLD_BACK_MS: u64 = 1_000;

/// One recording.
#[derive(Debug)]
pub struct Job {
    /// The call.
    pub call: CallKey,
    /// What is recorded: the id of the call, or of the message that its caller leaves.
    pub id: Uuid,
    /// The file.
    pub path: PathBuf,
    /// What is on it.
    pub channels: Channels,
    /// Samples a second.
    pub rate_hz: u32,
    /// What comes from the worker.
    pub frames: Consumer,
    /// What the call's log is told of it; absent of a message, of which its mailbox tells.
    pub recorded: Option<Box<Recorded>>,
}

/// What the recorder has to tell.
#[derive(Debug)]
pub struct RecorderEvent {
    /// The call.
    pub call: CallKey,
    /// What is recorded.
    pub id: Uuid,
    /// The same as the call's log knows it: it may come when the call is long gone.
    pub recorded: Option<Box<Recorded>>,
    /// What happened.
    pub kind: RecorderEventKind,
}

/// What happened to a recording.
#[derive(Debug)]
pub enum RecorderEventKind {
    /// Its file is complete.
    Complete(Written),
    /// It cannot be written.
    Failed(io::Error),
}

/// What was written of a recording that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file.
    pub size_bytes: u64,
    /// How long it is, in milliseconds.
    pub duration_ms: u64,
}

/// Starts recordings and waits for them at its end.
#[derive(Debug)]
pub struct Recorder {
    jobs: Option<Sender<Job>>,
    open: Arc<Mutex<HashSet<Uuid>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Recorder {
    /// Starts the thread. `tell` is called on it.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn start(tell: impl Fn(RecorderEvent) + Send + 'static) -> io::Result<Self> {
        let (jobs, inbox) = channel();
        let open = Arc::new(Mutex::new(HashSet::new()));
        let shared = Arc::clone(&open);
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(move || {
            Purpose::Rest.take_place();
            run(&inbox, &shared, tell);
        })?;
        Ok(Self { jobs: Some(jobs), open, thread: Some(thread) })
    }

    /// Begins a recording.
    pub fn record(&self, job: Job) {
        if let Ok(mut open) = self.open.lock() {
            open.insert(job.id);
        }
        if let Some(jobs) = &self.jobs {
            // A recorder that panicked has said so already.
            let _ = jobs.send(job);
        }
    }

    /// What is recorded and not complete yet, by its id.
    pub fn open(&self) -> Arc<Mutex<HashSet<Uuid>>> {
        Arc::clone(&self.open)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(inbox: &Receiver<Job>, open: &Mutex<HashSet<Uuid>>, tell: impl Fn(RecorderEvent)) {
    let mut recordings: Vec<Recording> = Vec::new();
    let mut updated = Instant::now();
    let close = |id| {
        if let Ok(mut open) = open.lock() {
            open.remove(&id);
        }
    };
    loop {
        let over = loop {
            // Without a recording there is nothing to look for.
            let next = match recordings.is_empty() {
                true => inbox.recv().map_err(|_| TryRecvError::Disconnected),
                false => inbox.try_recv(),
            };
            let job = match next {
                Ok(job) => job,
                Err(error) => break error == TryRecvError::Disconnected,
            };
            let (call, id, recorded) = (job.call, job.id, job.recorded.clone());
            match Recording::begin(job) {
                Ok(recording) => recordings.push(recording),
                Err(error) => {
                    close(id);
                    let kind = RecorderEventKind::Failed(error);
                    tell(RecorderEvent { call, id, recorded, kind });
                }
            }
        };
        let update = updated.elapsed() >= UPDATE_EVERY;
        if update {
            updated = Instant::now();
        }
        recordings.retain_mut(|recording| match recording.turn(update) {
            Ok(Turn::GoesOn) => true,
            Ok(Turn::Over) => {
                // First, so that who finds the file complete finds that it was told, too.
                if let Some(written) = recording.written {
                    tell(recording.event(RecorderEventKind::Complete(written)));
                }
                close(recording.id);
                false
            }
            Err(error) => {
                close(recording.id);
                tell(recording.event(RecorderEventKind::Failed(error)));
                false
            }
        });
        if over && recordings.is_empty() {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What is left to do of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// More may come.
    GoesOn,
    /// The file is complete.
    Over,
}

/// A recording being written.
#[derive(Debug)]
pub(super) struct Recording {
    call: CallKey,
    id: Uuid,
    path: PathBuf,
    frames: Consumer,
    mix: Mix,
    file: Option<WavFile>,
    hold_back: u64,
    recorded: Option<Box<Recorded>>,
    /// What the file has, once it is complete.
    written: Option<Written>,
}

impl Recording {
    pub(super) fn begin(job: Job) -> io::Result<Self> {
        let Job { call, id, path, channels, rate_hz, frames, recorded } = job;
        let file = Some(WavFile::create(&path, channels, rate_hz)?);
        let hold_back = u64::from(rate_hz) * HOLD_BACK_MS / 1_000;
        // What is held back, and what comes between two looks on a busy machine.
        let mix = Mix::with_capacity(hold_back as usize * 2);
        Ok(Self { call, id, path, frames, mix, file, hold_back, recorded, written: None })
    }

    fn event(&self, kind: RecorderEventKind) -> RecorderEvent {
        RecorderEvent { call: self.call, id: self.id, recorded: self.recorded.clone(), kind }
    }

    /// Writes what is there.
    pub(super) fn turn(&mut self, update: bool) -> io::Result<Turn> {
        // Asked before the frames are taken: what was pushed before it went is there then.
        let abandoned = self.frames.is_abandoned();
        let (mut end, mut kept) = (None, true);
        while let Some(frame) = self.frames.peek() {
            let meta = frame.meta();
            match Slot::of(&meta) {
                Slot::End => {
                    end = Some(meta.ts);
                    kept = !meta.marker;
                }
                slot => {
                    if meta.ts > self.mix.end() + self.hold_back {
                        // Long silence of both sides is a hole in the file, not memory.
                        let until = self.mix.end();
                        let Self { mix, file, .. } = self;
                        write(mix, file.as_mut(), until)?;
                        mix.skip_to(meta.ts);
                    }
                    self.mix.put(slot as usize, meta.ts, frame.payload());
                }
            }
            frame.consume();
        }
        if !kept {
            self.file = None;
            std::fs::remove_file(&self.path)?;
            return Ok(Turn::Over);
        }
        let over = abandoned || end.is_some();
        let until = match over {
            true => self.mix.end(),
            false => self.mix.end().saturating_sub(self.hold_back),
        };
        write(&mut self.mix, self.file.as_mut(), until)?;
        if over {
            if let Some(file) = self.file.take() {
                self.written = Some(file.finish(end.unwrap_or_default().max(self.mix.base()))?);
            }
            return Ok(Turn::Over);
        }
        if let Some(file) = self.file.as_mut().filter(|_| update) {
            file.update()?;
        }
        Ok(Turn::GoesOn)
    }
}

fn write(mix: &mut Mix, file: Option<&mut WavFile>, until: u64) -> io::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let mut result = Ok(());
    mix.take(until, |at, samples| result = file.write(at, samples));
    result
}
