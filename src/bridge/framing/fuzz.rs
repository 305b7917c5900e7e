//! What the fuzzers run: an ordinary function over bytes, also run by the tests.

use super::{FrameError, Input, Message, Opcode, Reader, Role, append_frame};
use adapters::agent::MessageKind;

/// Small, so that short inputs reach it.
const LIMIT_BYTES: usize = 600;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Data(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
    Failed(FrameError),
}

/// Reads `stream` in pieces whose lengths `pieces` gives in turn.
fn read_all(role: Role, stream: &[u8], pieces: impl Iterator<Item = usize>) -> Vec<Seen> {
    let mut reader = Reader::with_limit(role, LIMIT_BYTES);
    let mut seen = Vec::new();
    let mut rest = stream.to_vec();
    let mut rest = rest.as_mut_slice();
    for len in pieces {
        let (piece, after) = rest.split_at_mut(len.min(rest.len()));
        let mut input = Input::new(piece);
        loop {
            match reader.next(&mut input) {
                Ok(None) => break,
                Ok(Some(message)) => seen.push(match message {
                    Message::Data(kind, bytes) => Seen::Data(kind, bytes.to_vec()),
                    Message::Ping(bytes) => Seen::Ping(bytes.to_vec()),
                    Message::Pong(bytes) => Seen::Pong(bytes.to_vec()),
                    Message::Close { code, reason } => Seen::Close(code, reason.to_owned()),
                }),
                Err(error) => seen.push(Seen::Failed(error)),
            }
        }
        // A frame cut short and the fragments so far, each at most doubled as it grew.
        assert!(reader.buffered_bytes() <= 4 * (LIMIT_BYTES + 125 + 14));
        if after.is_empty() {
            break;
        }
        rest = after;
    }
    seen
}

/// Reads `data` as a peer's bytes: the first byte chooses the side and how the rest is cut.
///
/// # Panics
///
/// If cutting the stream changes what is read, if anything follows a close or an error, or if what
/// was read does not survive being written and read again.
#[doc(hidden)]
pub fn ws_frames(data: &[u8]) {
    let Some((&first, stream)) = data.split_first() else { return };
    let role = if first & 1 == 0 { Role::Server } else { Role::Client };
    let whole = read_all(role, stream, std::iter::repeat(usize::MAX));
    let bytewise = read_all(role, stream, std::iter::repeat(1));
    assert_eq!(whole, bytewise);
    let step = usize::from(first >> 1);
    let cut = read_all(role, stream, (0..).map(|i| 1 + (i * 7 + step) % (step + 1)));
    assert_eq!(whole, cut);
    let last = whole.iter().position(|seen| matches!(seen, Seen::Close(..) | Seen::Failed(_)));
    assert!(last.is_none_or(|last| last + 1 == whole.len()));

    let mask = (role == Role::Server).then_some([first, 1, 2, 3]);
    let mut again = Vec::new();
    for seen in &whole {
        match seen {
            Seen::Data(MessageKind::Text, bytes) => {
                append_frame(&mut again, Opcode::Text, bytes, mask);
            }
            Seen::Data(MessageKind::Binary, bytes) => {
                append_frame(&mut again, Opcode::Binary, bytes, mask);
            }
            Seen::Ping(bytes) => append_frame(&mut again, Opcode::Ping, bytes, mask),
            Seen::Pong(bytes) => append_frame(&mut again, Opcode::Pong, bytes, mask),
            Seen::Close(..) | Seen::Failed(_) => {}
        }
    }
    let read = read_all(role, &again, std::iter::repeat(usize::MAX));
    assert!(read.iter().eq(whole.iter().take(read.len())));
    assert_eq!(read.len(), last.unwrap_or(whole.len()));
}
