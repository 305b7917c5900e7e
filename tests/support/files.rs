//! Files that the server fetches, and who has them.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use super::server::Server;
use super::wav;

const SOON: Duration = Duration::from_secs(15);

/// Serves `answers`, one connection each; the port.
pub fn serve(answers: Vec<Vec<u8>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(SOON)).unwrap();
            let mut asked: Vec<u8> = Vec::new();
            let mut buffer = [0; 1024];
            while !asked.windows(4).any(|end| end == b"\r\n\r\n") {
                let length = stream.read(&mut buffer).unwrap();
                assert!(length > 0, "closed before it asked");
                asked.extend(&buffer[..length]);
            }
            // Who has heard enough of a long answer may have gone.
            let _ = stream.write_all(&answer);
        }
    });
    port
}

/// An answer with this head and body.
pub fn answer(head: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A WAV file of a tone.
pub fn tone(server: &Server, hz: f64, seconds: f64) -> Vec<u8> {
    let path = server.dir.join("tone.wav");
    wav::write_at(&path, 16_000, &wav::sine_at(hz, 16_000, seconds));
    std::fs::read(path).unwrap()
}
