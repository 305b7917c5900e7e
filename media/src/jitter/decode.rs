//! What a jitter buffer needs of a codec.

/// Turns payloads into samples at the buffer's rate.
pub trait Decode {
    /// Decodes `payload` of the format of that number to `out` and tells how many samples.
    fn decode(&mut self, format: u8, payload: &[u8], out: &mut [i16]) -> usize;

    /// Fills `out`, all of what was lost right before the packet `next`, with what that repeats of
    /// it; tells how many samples, 0 if it repeats nothing. `next` is decoded after this.
    fn recover(&mut self, _format: u8, _next: &[u8], _out: &mut [i16]) -> usize {
        0
    }

    /// Fills `out` with what may have been lost; tells how many samples, 0 for a codec that cannot,
    /// whose gaps the buffer fills.
    fn conceal(&mut self, _out: &mut [i16]) -> usize {
        0
    }
}

/// A codec that knows nothing of what is lost.
pub(super) struct Plain<F>(pub(super) F);

impl<F: FnMut(u8, &[u8], &mut [i16]) -> usize> Decode for Plain<F> {
    fn decode(&mut self, format: u8, payload: &[u8], out: &mut [i16]) -> usize {
        self.0(format, payload, out)
    }
}
