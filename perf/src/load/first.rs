//! From the answer to the first audio.

use super::engine::{Engine, Times, times};
use crate::error::Result;

impl Engine {
    /// Call `id` was answered, by the stamp of the 200.
    pub(crate) fn answered(&mut self, id: u32, at_ns: u64) {
        if let Some(stream) = self.streams.get_mut(id as usize) {
            stream.answered_ns = Some(at_ns);
        }
    }

    /// From each call's answer to the first audio that came.
    pub(crate) fn first_audio(&self) -> Result<Times> {
        let mut all = times()?;
        for stream in &self.streams {
            if let (Some(answered), Some(first)) = (stream.answered_ns, stream.first_ns) {
                all.saturating_record(first.saturating_sub(answered));
            }
        }
        Ok(all)
    }
}
