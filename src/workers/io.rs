//! The bytes of an agent's connection, plain or within TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::agent::socket::AgentSocket;

/// Plain text that TLS may hold for the socket, in bytes.
const TLS_BUFFER_BYTES: usize = 64 * 1024;

/// A connection, non-blocking.
pub(super) struct SocketIo {
    stream: TcpStream,
    tls: Option<Box<rustls::Connection>>,
    /// Bytes that came behind the handshake.
    pub(super) unread: Vec<u8>,
}

impl SocketIo {
    pub(super) fn new(socket: AgentSocket) -> Self {
        let AgentSocket { stream, mut tls, unread, .. } = socket;
        if let Some(tls) = &mut tls {
            tls.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        }
        Self { stream, tls, unread }
    }

    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// True if more may be read at once though the socket reports nothing.
    pub(super) const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Reads bytes of the agent; 0 at the end of the stream.
    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.read(buffer) };
        loop {
            match tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
    }

    /// Writes as much as goes.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.write(bytes) };
        if tls.wants_write() {
            write_tls(tls, &mut self.stream)?;
            if tls.wants_write() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        let written = tls.writer().write(bytes)?;
        write_tls(tls, &mut self.stream)?;
        Ok(written)
    }

    /// True while TLS holds records that the socket did not take.
    pub(super) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes records that TLS holds.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => write_tls(tls, &mut self.stream),
            None => Ok(()),
        }
    }

    /// Says that nothing more will be sent, and gives the bare socket, which must be read to its
    /// end: closing it with unread bytes would take back our last words.
    pub(super) fn finish(mut self) -> TcpStream {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = write_tls(tls, &mut self.stream);
        }
        let _ = self.stream.shutdown(Shutdown::Write);
        self.stream
    }
}

fn write_tls(tls: &mut rustls::Connection, stream: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(stream) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
