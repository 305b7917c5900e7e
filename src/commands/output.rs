//! What is said to whoever reads, for as long as somebody does.

use std::io::{self, ErrorKind, Write};

/// A writer whose reader may have enough, as `head` has: what is not read any more is let go, and
/// is no fault.
#[derive(Debug)]
pub(super) struct Output<W>(pub(super) W);

impl Output<io::Stdout> {
    /// Standard output.
    pub(super) fn stdout() -> Self {
        Self(io::stdout())
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}

/// Says `text`, if anybody reads it. A disk that takes no more is told of.
pub(super) fn say(text: &str) {
    let mut out = Output::stdout();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        eprintln!("talkpath: cannot write the answer: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes, then fails like this.
    struct Narrow(usize, ErrorKind);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0);
            self.0 -= taken;
            if taken == 0 { Err(self.1.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.1.into())
        }
    }

    /// A reader that has gone is no fault; a full disk is.
    #[test]
    fn a_reader_may_go() {
        let mut gone = Output(Narrow(5, ErrorKind::BrokenPipe));
        assert!(gone.write_all(b"more than that").is_ok() && gone.flush().is_ok());
        let mut full = Output(Narrow(5, ErrorKind::StorageFull));
        assert_eq!(full.write_all(b"more than that").unwrap_err().kind(), ErrorKind::StorageFull);
        assert!(full.flush().is_err());
    }
}
