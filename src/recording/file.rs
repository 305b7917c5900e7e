//! A WAV file that is whole at every moment: sizes in its header never exceed what is written.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::{Channels, Written};

/// Bytes before the samples.
const HEADER_BYTES: u32 = 44;
/// Who may read a recording: whoever runs the server.
const MODE: u32 = 0o600;

/// A file being written.
#[derive(Debug)]
pub(super) struct WavFile {
    file: File,
    channels: Channels,
    rate_hz: u32,
    /// Samples of each channel that are written.
    written: u64,
    /// Of these, how many the header tells of.
    told: u64,
    bytes: Vec<u8>,
}

impl WavFile {
    /// Creates the file, and its folder if that is missing; fails if the file exists.
    pub(super) fn create(path: &Path, channels: Channels, rate_hz: u32) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
        let file = Self { file, channels, rate_hz, written: 0, told: 0, bytes: Vec::new() };
        file.write_header()?;
        Ok(file)
    }

    /// Writes samples at their place; a gap before them reads as silence.
    pub(super) fn write(&mut self, at: u64, samples: &[[i16; 2]]) -> io::Result<()> {
        self.bytes.clear();
        for [left, right] in samples {
            self.bytes.extend(left.to_le_bytes());
            if self.channels == Channels::Both {
                self.bytes.extend(right.to_le_bytes());
            }
        }
        let offset = u64::from(HEADER_BYTES) + at * u64::from(self.frame_bytes());
        self.file.write_all_at(&self.bytes, offset)?;
        self.written = self.written.max(at + samples.len() as u64);
        Ok(())
    }

    /// Lets the header tell of all that is written.
    pub(super) fn update(&mut self) -> io::Result<()> {
        if self.told == self.written {
            return Ok(());
        }
        self.told = self.written;
        self.write_header()
    }

    /// Completes the file at a length of `samples` each channel.
    ///
    /// The disk is not waited for: when many calls end at once, the others' sound would be lost in
    /// the meantime. A killed process loses nothing by it, a machine without power its last
    /// seconds.
    pub(super) fn finish(mut self, samples: u64) -> io::Result<Written> {
        self.written = self.written.max(samples);
        let bytes = self.written * u64::from(self.frame_bytes());
        let size_bytes = u64::from(HEADER_BYTES) + bytes;
        self.file.set_len(size_bytes)?;
        self.update()?;
        let duration_ms = self.written.saturating_mul(1_000) / u64::from(self.rate_hz.max(1));
        Ok(Written { size_bytes, duration_ms })
    }

    fn frame_bytes(&self) -> u32 {
        u32::from(self.channels.count()) * 2
    }

    fn write_header(&self) -> io::Result<()> {
        let bytes = self.told * u64::from(self.frame_bytes());
        // The format ends at 4 GiB, a day and a half of two channels at 8 kHz.
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX - HEADER_BYTES);
        let mut header = Vec::with_capacity(HEADER_BYTES as usize);
        header.extend(b"RIFF");
        header.extend((bytes + HEADER_BYTES - 8).to_le_bytes());
        header.extend(b"WAVEfmt ");
        header.extend(16_u32.to_le_bytes());
        // Linear samples.
        header.extend(1_u16.to_le_bytes());
        header.extend(self.channels.count().to_le_bytes());
        header.extend(self.rate_hz.to_le_bytes());
        header.extend((self.rate_hz * self.frame_bytes()).to_le_bytes());
        header.extend((self.channels.count() * 2).to_le_bytes());
        header.extend(16_u16.to_le_bytes());
        header.extend(b"data");
        header.extend(bytes.to_le_bytes());
        self.file.write_all_at(&header, 0)
    }
}
