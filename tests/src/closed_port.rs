//! An address where nobody answers.

use tokio::net::TcpSocket;

use crate::runtime::runtime;

/// A loopback port that is bound, so that nobody else gets it, but not listened on: connecting is refused.
#[derive(Debug)]
pub struct ClosedPort {
    socket: TcpSocket,
}

impl ClosedPort {
    /// Reserves one.
    pub fn reserve() -> Self {
        let _inside = runtime().enter();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { socket }
    }

    /// `127.0.0.1:<port>`
    pub fn authority(&self) -> String {
        self.socket.local_addr().unwrap().to_string()
    }
}

/// A port that was free a moment ago, for a server that cannot choose one itself.
pub fn free_port() -> u16 {
    dev::ports::free().unwrap_or_else(|error| panic!("{error:#}"))
}
