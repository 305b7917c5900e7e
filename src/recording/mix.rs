//! Two channels, put together sample by sample.

/// The newest part of a recording, of which either channel may still change.
#[derive(Debug)]
pub(super) struct Mix {
    /// Sample of the recording at which `frames` begin.
    base: u64,
    frames: Vec<[i16; 2]>,
}

impl Mix {
    /// An empty one with room for `samples`.
    pub(super) fn with_capacity(samples: usize) -> Self {
        Self { base: 0, frames: Vec::with_capacity(samples) }
    }

    /// First sample that is not yet taken out.
    pub(super) const fn base(&self) -> u64 {
        self.base
    }

    /// Sample behind the newest.
    pub(super) fn end(&self) -> u64 {
        self.base + self.frames.len() as u64
    }

    /// Puts linear little-endian samples onto a channel at sample `at`. What comes too late to
    /// change anything is dropped.
    pub(super) fn put(&mut self, channel: usize, at: u64, samples: &[u8]) {
        let samples = samples.as_chunks::<2>().0;
        let late = usize::try_from(self.base.saturating_sub(at)).unwrap_or(usize::MAX);
        let Some(samples) = samples.get(late..) else { return };
        let start = usize::try_from(at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let end = start.saturating_add(samples.len());
        if end > self.frames.len() {
            self.frames.resize(end, [0; 2]);
        }
        for (frame, sample) in self.frames.iter_mut().skip(start).zip(samples) {
            if let Some(place) = frame.get_mut(channel) {
                *place = i16::from_le_bytes(*sample);
            }
        }
    }

    /// Takes out what lies before sample `end`, after what was taken out before.
    pub(super) fn take(&mut self, end: u64, sink: impl FnOnce(u64, &[[i16; 2]])) {
        let count = usize::try_from(end.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let count = count.min(self.frames.len());
        if count > 0 {
            sink(self.base, self.frames.get(..count).unwrap_or_default());
            self.frames.drain(..count);
            self.base += count as u64;
        }
    }

    /// Goes on at sample `at`; what lies between is silence that need not be held here.
    pub(super) fn skip_to(&mut self, at: u64) {
        if self.frames.is_empty() {
            self.base = self.base.max(at);
        }
    }
}
