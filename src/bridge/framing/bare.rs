//! Messages on a connection without WebSocket frames, cut where they say that they end.

use super::reader::release;
use super::{FrameError, Input};

/// How long the message is that bytes begin with; `None` if they do not tell yet.
pub type Measure = fn(&[u8]) -> Option<usize>;

/// Cuts one connection's bytes into messages.
///
/// As of a [`Reader`](super::Reader), a message that arrived whole is delivered where it lies; only
/// one that the end of the input cuts is copied, and an idle connection owns no buffer.
#[derive(Debug)]
pub struct Cutter {
    measure: Measure,
    limit_bytes: usize,
    /// The beginning of a message whose end has not arrived.
    partial: Vec<u8>,
    /// `partial` was delivered and can be emptied.
    delivered: bool,
    /// An error ended the connection.
    ended: bool,
}

impl Cutter {
    /// Takes messages up to `limit_bytes`, which are as long as `measure` says.
    pub const fn new(measure: Measure, limit_bytes: usize) -> Self {
        Self { measure, limit_bytes, partial: Vec::new(), delivered: false, ended: false }
    }

    /// The next message in `input`. `None` if the input is used up; what remained of it is kept for
    /// the next one, so call until `None`. After an error it stays `None`.
    ///
    /// # Errors
    ///
    /// [`FrameError::TooBig`].
    #[inline]
    pub fn next<'m>(
        &'m mut self,
        input: &'m mut Input<'_>,
    ) -> Result<Option<&'m mut [u8]>, FrameError> {
        if std::mem::take(&mut self.delivered) {
            release(&mut self.partial);
        }
        if self.ended {
            input.take(usize::MAX);
            return Ok(None);
        }
        if self.partial.is_empty()
            && let Some(length) =
                length(self.measure, self.limit_bytes, input.rest()).inspect_err(|_| self.end())?
            && length <= input.rest().len()
        {
            return Ok(Some(input.take(length)));
        }
        loop {
            // One at a time until the length is known: none must be taken of the next message.
            let length = length(self.measure, self.limit_bytes, &self.partial);
            let missing = match length.inspect_err(|_| self.end())? {
                Some(length) => length.saturating_sub(self.partial.len()),
                None => 1,
            };
            if missing == 0 {
                self.delivered = true;
                return Ok(Some(&mut self.partial));
            }
            let bytes = input.take(missing);
            if bytes.is_empty() {
                return Ok(None);
            }
            self.partial.extend_from_slice(bytes);
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.partial = Vec::new();
    }
}

/// The length of the message that `bytes` begin with, if they tell it.
fn length(measure: Measure, limit_bytes: usize, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let length = measure(bytes).map(|length| length.max(1));
    match length.filter(|length| *length > limit_bytes) {
        Some(_) => Err(FrameError::TooBig { limit_bytes }),
        None => Ok(length),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT_BYTES: usize = 300;

    /// A kind, a length of two bytes, and so many bytes.
    fn measure(bytes: &[u8]) -> Option<usize> {
        let header: &[u8; 3] = bytes.first_chunk()?;
        Some(3 + usize::from(u16::from_be_bytes([header[1], header[2]])))
    }

    /// What is read of `stream` if it comes in pieces of these lengths.
    fn read(
        stream: &[u8],
        pieces: impl Iterator<Item = usize>,
    ) -> Vec<Result<Vec<u8>, FrameError>> {
        let mut cutter = Cutter::new(measure, LIMIT_BYTES);
        let (mut seen, mut rest) = (Vec::new(), stream.to_vec());
        for length in pieces {
            let after = rest.split_off(length.min(rest.len()));
            let mut input = Input::new(&mut rest);
            loop {
                match cutter.next(&mut input) {
                    Ok(None) => break,
                    Ok(Some(message)) => seen.push(Ok(message.to_vec())),
                    Err(error) => seen.push(Err(error)),
                }
            }
            assert!(cutter.partial.capacity() <= 2 * LIMIT_BYTES + 1024);
            if after.is_empty() {
                return seen;
            }
            rest = after;
        }
        seen
    }

    /// Whole messages, empty ones, and one that is too long, behind which nothing is read.
    #[test]
    fn messages() {
        let stream = [&[1, 0, 2, 8, 9][..], &[0, 0, 0], &[2, 0, 1, 7], &[3, 2, 0], &[1, 0, 0]];
        let stream = stream.concat();
        let expected = [
            Ok(vec![1, 0, 2, 8, 9]),
            Ok(vec![0, 0, 0]),
            Ok(vec![2, 0, 1, 7]),
            Err(FrameError::TooBig { limit_bytes: LIMIT_BYTES }),
        ];
        for step in 1..=stream.len() {
            assert_eq!(read(&stream, std::iter::repeat(step)), expected, "{step}");
        }
    }

    /// A length that says nothing ends no loop.
    #[test]
    fn lengths_of_nothing() {
        let mut cutter = Cutter::new(|_| Some(0), 4);
        let mut bytes = [1, 2];
        let mut input = Input::new(&mut bytes);
        assert_eq!(cutter.next(&mut input), Ok(Some(&mut [1][..])));
        assert_eq!(cutter.next(&mut input), Ok(Some(&mut [2][..])));
        assert_eq!(cutter.next(&mut input).map(|it| it.map(|it| it.to_vec())), Ok(None));
    }

    proptest! {
        /// However a stream is cut, the same is read.
        #[test]
        fn cuts_change_nothing(
            stream in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..400),
            pieces in prop::collection::vec(1_usize..20, 1..400),
        ) {
            let whole = read(&stream, std::iter::once(usize::MAX));
            prop_assert_eq!(&read(&stream, pieces.into_iter().chain(std::iter::repeat(1))), &whole);
            let length: usize = whole.iter().flatten().map(Vec::len).sum();
            prop_assert!(length <= stream.len());
        }
    }
}
