//! Wires of a carrier in miniature that are no WebSockets: bare connections that it opens, and
//! datagrams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use adapters::agent::MessageKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Input;
use super::socket::{Came, Order};

/// How long it may take until a connection is there.
const OPEN_WAIT: Duration = Duration::from_secs(2);
/// Bytes that are read at a time.
const READ_BYTES: usize = 16 * 1024;
/// Longest datagram, in bytes.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// The port of UDP at an address.
pub(super) fn bind(at: SocketAddr) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind(at)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Hands in what comes to `socket`.
pub(super) async fn receive(socket: Arc<UdpSocket>, inputs: mpsc::Sender<Input>) {
    let mut data = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // An address that nobody is at tells so once, at the next look.
        let Ok((length, from)) = socket.recv_from(&mut data).await else { continue };
        let data = data.get(..length).unwrap_or_default().to_vec();
        if inputs.send(Input::Datagram { from, data }).await.is_err() {
            return;
        }
    }
}

/// Opens a bare connection and runs it to its end: until the far end closes it, or its orders end.
pub(super) async fn run(
    socket: u32,
    to: SocketAddr,
    orders: mpsc::Receiver<Order>,
    inputs: mpsc::Sender<Input>,
) {
    let opened = timeout(OPEN_WAIT, TcpStream::connect(to)).await;
    let came = match opened {
        Ok(Ok(stream)) => {
            if inputs.send(Input::Socket { socket, came: Came::Opened }).await.is_err() {
                return;
            }
            // How it ended is the same to whoever looks at it.
            let _ = talk(socket, stream, orders, &inputs).await;
            Came::Closed(None)
        }
        _ => Came::Refused(None),
    };
    let _ = inputs.send(Input::Socket { socket, came }).await;
}

async fn talk(
    socket: u32,
    mut stream: TcpStream,
    mut orders: mpsc::Receiver<Order>,
    inputs: &mpsc::Sender<Input>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut read, mut write) = stream.split();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Message(_, message)) => write.write_all(&message).await?,
                Some(Order::Close(_)) | None => return write.shutdown().await,
            },
            length = read.read(&mut bytes) => {
                let length = length?;
                if length == 0 {
                    return Ok(());
                }
                let message = bytes.get(..length).unwrap_or_default().to_vec();
                let came = Came::Message(MessageKind::Binary, message);
                if inputs.send(Input::Socket { socket, came }).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}
