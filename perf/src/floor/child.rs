//! A floor server as a process of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::{Child, Command, Stdio};

use super::serve::Kind;
use crate::error::{PerfError, Result};

/// The process; it ends when this is dropped.
pub(crate) struct Floor {
    child: Child,
    /// Its ports in the order of the peers it was told.
    pub(crate) ports: Vec<SocketAddrV4>,
}

impl Floor {
    /// Starts a floor server for these peers (none for a WebSocket echo).
    pub(crate) fn start(
        kind: Kind,
        cpu: Option<usize>,
        peers: &[SocketAddrV4],
        agent: Option<SocketAddrV4>,
    ) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor-serve", kind.name()]);
        if let Some(cpu) = cpu {
            command.args(["--cpu", &cpu.to_string()]);
        }
        if let Some(agent) = agent {
            command.args(["--agent", &agent.to_string()]);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(PerfError::io("starting a floor server"))?;
        if let Some(stdin) = child.stdin.as_mut() {
            for peer in peers {
                writeln!(stdin, "{peer}")?;
            }
            writeln!(stdin)?;
            stdin.flush()?;
        }
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let ports: Vec<SocketAddrV4> = line
            .split_whitespace()
            .filter_map(|port| port.parse().ok())
            .map(|port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))
            .collect();
        let floor = Self { child, ports };
        if floor.ports.len() != peers.len().max(1) {
            return Err(PerfError::Peer(format!("the {} floor did not start", kind.name())));
        }
        Ok(floor)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
