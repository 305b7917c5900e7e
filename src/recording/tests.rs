//! Recordings in simulated time: what stands where, what is lost, and that the file is whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use media::codec::AudioFormat;
use media::rtp::Frame;
use media::time::MonoTime;
use uuid::Uuid;

use super::recorder::{Recording, Turn};
use super::*;
use crate::calls::log::Recorded;
use crate::workers::command::CallKey;
use crate::workers::taps::Said;

const ANSWER: MonoTime = MonoTime::from_nanos(7_000_000_000);
const FRAME: Duration = Duration::from_millis(20);

/// A recording under test, both ends in one thread.
struct Rig {
    head: Option<Head>,
    recording: Recording,
    path: PathBuf,
}

impl Rig {
    fn new(channels: Channels, peer: AudioFormat) -> Self {
        let path = std::env::temp_dir().join(format!("talkpath-test-{}.wav", Uuid::now_v7()));
        let rate_hz = rate_hz(peer);
        let (mut head, frames) = head(rate_hz, peer);
        head.begin(ANSWER);
        let job = Job {
            call: CallKey(1),
            id: Uuid::now_v7(),
            path: path.clone(),
            channels,
            rate_hz,
            frames,
            recorded: None,
        };
        Self { head: Some(head), recording: Recording::begin(job).unwrap(), path }
    }

    fn head(&mut self) -> &mut Head {
        self.head.as_mut().unwrap()
    }

    fn heard(&mut self, at: MonoTime, ts: u64, payload: &[u8]) {
        self.head().heard(at, Frame { ext_seq: 0, ext_ts: ts, marker: false, payload });
    }

    fn said(&mut self, due: MonoTime, ts: u32, payload: &[u8]) {
        self.head().said(Said { due, ts, payload });
    }

    fn turn(&mut self) {
        assert_eq!(self.recording.turn(true).unwrap(), Turn::GoesOn);
    }

    /// Ends it; both channels.
    fn end(mut self, at: MonoTime) -> (Vec<i16>, Vec<i16>) {
        self.head.take().unwrap().end(at);
        assert_eq!(self.recording.turn(false).unwrap(), Turn::Over);
        let channels = read(&self.path);
        std::fs::remove_file(&self.path).unwrap();
        channels
    }
}

/// Both channels of a file.
fn read(path: &PathBuf) -> (Vec<i16>, Vec<i16>) {
    let mut reader = hound::WavReader::open(path).unwrap();
    assert_eq!(reader.spec().channels, 2);
    let samples: Vec<i16> = reader.samples().map(Result::unwrap).collect();
    samples.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip()
}

fn at(ms: u64) -> MonoTime {
    ANSWER + Duration::from_millis(ms)
}

/// Linear samples of network order that count up from `from`.
fn ramp(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).flat_map(|n| (n as i16).to_be_bytes()).collect()
}

/// Two ramps that begin at known media times stand exactly there, whatever the jitter of arrival,
/// over the wrap of both timestamps; the channels do not mix, and the length is exact.
#[test]
fn both_channels_stand_where_their_media_time_says() {
    let mut rig = Rig::new(Channels::Both, AudioFormat::l16be(8_000));
    let (left_ts, right_ts) = (u64::from(u32::MAX) - 500, u32::MAX - 1_000);
    for n in 0..100_usize {
        let jitter = if n == 0 { 0 } else { (n as u64 * 7) % 13 };
        let frame = ramp(1 + n * 160, 160);
        rig.heard(at(100 + n as u64 * 20 + jitter), left_ts + n as u64 * 160, &frame);
        let frame = ramp(10_001 + n * 160, 160);
        rig.said(at(n as u64 * 20), right_ts.wrapping_add(n as u32 * 160), &frame);
        if n % 5 == 0 {
            rig.turn();
        }
    }
    let (left, right) = rig.end(at(2_500));
    assert_eq!((left.len(), right.len()), (20_000, 20_000));
    assert_eq!(left[799..803], [0, 1, 2, 3], "100 ms after the answer");
    assert!(left[800..16_800].iter().zip(1..).all(|(sample, n): (_, i16)| *sample == n));
    assert!(left[16_800..].iter().all(|sample| *sample == 0));
    assert!(right[..16_000].iter().zip(10_001..).all(|(sample, n): (_, i32)| *sample == n as i16));
}

/// Two minutes are two minutes to the sample, with loss, a hold of half a minute and a pause.
#[test]
fn two_minutes_are_two_minutes() {
    let mut rig = Rig::new(Channels::Both, AudioFormat::PCMU);
    for n in 0..6_000_u64 {
        let now = ANSWER + FRAME * n as u32;
        let held = (1_000..2_500).contains(&n);
        match n {
            4_000 => rig.head().pause(true),
            4_500 => rig.head().pause(false),
            _ => {}
        }
        if !held && n % 50 != 7 {
            rig.heard(now, n * 160, &[0x80; 160]);
        }
        if !held {
            rig.said(now, n as u32 * 160, &[0x00; 160]);
        }
        if n % 5 == 0 {
            rig.turn();
        }
    }
    let (left, right) = rig.end(at(120_000));
    assert_eq!((left.len(), right.len()), (960_000, 960_000));
    let silent = |n: u64| left[n as usize * 160..][..160].iter().all(|sample| *sample == 0);
    for n in 0..6_000 {
        let paused = (4_000..4_500).contains(&n);
        let held = (1_000..2_500).contains(&n);
        assert_eq!(silent(n), paused || held || n % 50 == 7, "frame {n}");
        let loud = right[n as usize * 160] != 0;
        assert_eq!(loud, !(paused || held), "frame {n}");
    }
}

/// A codec of twice the rate, in mid-call, is recorded at the rate of the file, in its place.
#[test]
fn a_change_of_codec_keeps_the_clock() {
    let mut rig = Rig::new(Channels::Both, AudioFormat::PCMU);
    for n in 0..50 {
        rig.heard(at(n * 20), n * 160, &[0x80; 160]);
    }
    rig.head().follow(AudioFormat::l16be(16_000));
    let loud: Vec<u8> = 16_000_i16.to_be_bytes().repeat(320);
    for n in 0..50 {
        rig.heard(at(2_000 + n * 20), 1_000_000 + n * 320, &loud);
    }
    let (left, _) = rig.end(at(4_000));
    assert_eq!(left.len(), 32_000);
    assert!(left[..8_000].iter().all(|sample| *sample != 0));
    assert!(left[8_000..16_000].iter().all(|sample| *sample == 0));
    assert!(left[16_100..23_900].iter().all(|sample| (15_000..17_000).contains(sample)));
    assert!(left[24_100..].iter().all(|sample| *sample == 0));
}

/// A peer whose clock runs 200 ppm fast for an hour stays within 40 ms of the other channel.
#[test]
fn clocks_that_run_apart_are_kept_together() {
    let mut track = track::Track::new(8_000, 8_000);
    for n in 0..180_000_u64 {
        let now = n * 160 - n * 160 * 200 / 1_000_000;
        let place = track.place(now + n * 31 % 80, (n * 160) as u32);
        let apart = place.abs_diff(now);
        assert!(apart <= 320 + 80, "frame {n}: {apart} samples");
    }
}

/// A source that jumps, or that stood still while it was on hold, is where it came.
#[test]
fn a_source_that_jumps_stands_where_it_came() {
    let mut track = track::Track::new(8_000, 8_000);
    assert_eq!(track.place(0, 5), 0);
    assert_eq!(track.place(200, 165), 160);
    assert_eq!(track.place(80_000, 325), 80_000, "its time stood still");
    assert_eq!(track.place(80_165, 485), 80_160);
    assert_eq!(track.place(80_330, 3_000_000_000), 80_330, "another source");
}

/// A disk that is behind loses whole frames of both sides; what is there stands where it belongs.
#[test]
fn a_slow_disk_loses_whole_frames_of_both_sides() {
    let mut rig = Rig::new(Channels::Both, AudioFormat::l16be(8_000));
    for n in 0..500_usize {
        let now = ANSWER + FRAME * n as u32;
        rig.heard(now, n as u64 * 160, &ramp(1 + n * 160, 160));
        rig.said(now, n as u32 * 160, &ramp(1 + n * 160, 160));
    }
    let head = rig.head.take().unwrap();
    // Two seconds of both fit, and one slot is the end's.
    assert_eq!(head.end(at(10_000)), 500 * 2 + 1 - 200);
    assert_eq!(rig.recording.turn(false).unwrap(), Turn::Over);
    let (left, right) = read(&rig.path);
    std::fs::remove_file(&rig.path).unwrap();
    assert_eq!(left.len(), 80_000);
    for (n, (l, r)) in left.iter().zip(&right).enumerate() {
        let whole = (1 + n) as i16;
        assert!(*l == 0 || *l == whole, "sample {n}");
        assert!(n < 64_160 || (*l, *r) == (whole, whole), "sample {n}");
    }
}

/// A process that is killed leaves a file whose header tells the truth, short of its end by what
/// was held back and not yet told.
#[test]
fn a_killed_process_leaves_a_whole_file() {
    let mut rig = Rig::new(Channels::Both, AudioFormat::PCMU);
    for n in 0..500 {
        rig.heard(at(n * 20), n * 160, &[0x80; 160]);
        if n % 5 == 0 {
            rig.turn();
            let (left, _) = read(&rig.path);
            assert!(left.len() as u64 + 9_000 >= n * 160, "frame {n}: {}", left.len());
            assert!(left.iter().all(|sample| *sample != 0), "no more than was written");
        }
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&rig.path).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    std::fs::remove_file(&rig.path).unwrap();
}

/// What is discarded leaves no file, however much of it was written.
#[test]
fn what_is_discarded_leaves_no_file() {
    for frames in [0, 100] {
        let mut rig = Rig::new(Channels::Peer, AudioFormat::PCMU);
        for n in 0..frames {
            rig.heard(at(n * 20), n * 160, &[0x80; 160]);
        }
        rig.turn();
        assert!(rig.path.is_file());
        rig.head.take().unwrap().discard(at(2_000));
        assert_eq!(rig.recording.turn(false).unwrap(), Turn::Over);
        assert!(!rig.path.exists());
    }
}

/// What the log of a call knows of a recording.
fn recorded(channels: Channels, path: &Path) -> Box<Recorded> {
    Box::new(Recorded {
        id: Uuid::now_v7(),
        channels: channels.count(),
        rate_hz: 8_000,
        size_bytes: None,
        duration_ms: None,
        path: path.to_owned(),
    })
}

/// A recording that is complete is told once, with the bytes that its file has and the time from
/// its beginning to its end; one that is discarded is not told of.
#[test]
fn a_complete_file_is_told() {
    let (told, tells) = std::sync::mpsc::channel();
    let recorder = Recorder::start(move |event| drop(told.send(event))).unwrap();
    let files = [(Channels::Both, 44 + 40_000), (Channels::Peer, 44 + 20_000)];
    for (channels, expected_bytes) in files {
        let (mut head, frames) = head(8_000, AudioFormat::PCMU);
        head.begin(ANSWER);
        for n in 0..50 {
            let payload = &[0x80_u8; 160];
            let frame = Frame { ext_seq: 0, ext_ts: n * 160, marker: false, payload };
            head.heard(at(n * 20), frame);
        }
        let (discarded, nothing) = super::head(8_000, AudioFormat::PCMU);
        let path = std::env::temp_dir().join(format!("talkpath-test-{}.wav", Uuid::now_v7()));
        let known = recorded(channels, &path);
        for (call, path, frames) in [
            (CallKey(1), path.with_extension("discarded"), nothing),
            (CallKey(2), path.clone(), frames),
        ] {
            let (id, recorded) = (Uuid::now_v7(), Some(known.clone()));
            recorder.record(Job { call, id, path, channels, rate_hz: 8_000, frames, recorded });
        }
        discarded.discard(at(1_000));
        head.end(at(1_250));
        let event = tells.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!((event.call, event.recorded), (CallKey(2), Some(known)));
        let RecorderEventKind::Complete(written) = event.kind else { panic!("{:?}", event.kind) };
        assert_eq!((written.size_bytes, written.duration_ms), (expected_bytes, 1_250));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), expected_bytes);
        std::fs::remove_file(&path).unwrap();
    }
    drop(recorder);
    assert!(tells.try_recv().is_err(), "nothing is told twice, or of what was discarded");
}

/// A file that cannot be written is told and ends the recording, not the call.
#[test]
fn a_file_that_cannot_be_written_is_told() {
    let (head, frames) = head(8_000, AudioFormat::PCMU);
    let (told, tells) = std::sync::mpsc::channel();
    let recorder = Recorder::start(move |event| drop(told.send(event))).unwrap();
    let id = Uuid::now_v7();
    let path = PathBuf::from("/dev/null/no-folder/call.wav");
    let channels = Channels::Both;
    let recorded = Some(recorded(channels, &path));
    let call = CallKey(9);
    recorder.record(Job { call, id, path, channels, rate_hz: 8_000, frames, recorded });
    let event = tells.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!((event.call, event.id), (CallKey(9), id));
    assert!(matches!(event.kind, RecorderEventKind::Failed(_)) && event.recorded.is_some());
    assert!(!recorder.open().lock().unwrap().contains(&id));
    // The worker's end does not notice.
    assert_eq!(head.end(ANSWER), 0);
}

/// A recording begins once, pauses and resumes, and what is complete stays so.
#[test]
fn orders_follow_each_other() {
    let mut state = None;
    for (order, expected) in [
        (Order::Pause, None),
        (Order::Start, Some(State::Recording)),
        (Order::Start, Some(State::Recording)),
        (Order::Pause, Some(State::Paused)),
        (Order::Start, None),
        (Order::Resume, Some(State::Recording)),
        (Order::Pause, Some(State::Paused)),
        (Order::Stop, Some(State::Stopped)),
        (Order::Start, None),
        (Order::Resume, None),
    ] {
        let then = next(state, order);
        assert_eq!(then.ok(), expected, "{order:?} after {state:?}");
        state = then.ok().or(state);
    }
    assert!(next(Some(State::Failed), Order::Resume).is_err());
}
