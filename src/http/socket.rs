//! The connection beneath HTTP: plain or within TLS, given up when its peer takes nothing.

use std::io;
use std::net::TcpStream as StdStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

/// How long a peer may take nothing of what it asked for.
const WRITE_STALL_MAX: Duration = Duration::from_secs(20);

/// The connection beneath HTTP.
pub(super) enum Line {
    /// Bare TCP.
    Plain(TcpStream),
    /// TLS.
    Secure(Box<TlsStream<TcpStream>>),
}

impl Line {
    /// The bare socket, and the state of its TLS.
    pub(super) fn into_parts(self) -> io::Result<(StdStream, Option<Box<rustls::Connection>>)> {
        match self {
            Self::Plain(stream) => Ok((stream.into_std()?, None)),
            Self::Secure(stream) => {
                let (stream, connection) = stream.into_inner();
                let tls = rustls::Connection::Server(connection);
                Ok((stream.into_std()?, Some(Box::new(tls))))
            }
        }
    }
}

/// A connection that fails once its peer has taken nothing for [`WRITE_STALL_MAX`].
pub(super) struct Socket {
    line: Line,
    stall_max: Duration,
    /// Runs while a write waits.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(super) const fn new(line: Line) -> Self {
        Self { line, stall_max: WRITE_STALL_MAX, stall: None }
    }

    pub(super) fn into_line(self) -> Line {
        self.line
    }

    /// What became of a write, or that it has waited too long.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let deadline = Instant::now() + self.stall_max;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.line {
            Line::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Line::Secure(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.line {
            Line::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Line::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.watch(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.line {
            Line::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Line::Secure(stream) => Pin::new(stream).poll_flush(cx),
        };
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = match &mut self.line {
            Line::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Line::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
        };
        self.watch(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// A peer that reads nothing loses the connection after the time for that, not before; one that
    /// reads goes on.
    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let stall_max = Duration::from_millis(50);
        let mut socket = Socket { stall_max, ..Socket::new(Line::Plain(stream)) };
        let bytes = vec![0; 1024 * 1024];
        let mut began;
        let error = loop {
            began = Instant::now();
            match poll_fn(|cx| Pin::new(&mut socket).poll_write(cx, &bytes)).await {
                Ok(written) => assert!(written > 0),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= stall_max, "{:?}", began.elapsed());
        drop(peer);
    }
}
