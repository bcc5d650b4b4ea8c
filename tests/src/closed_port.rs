//! Ports on which no server listens.

use tokio::net::TcpSocket;

use crate::runtime::runtime;

/// A loopback port that is bound, but has no listening server. The port refuses connections, and no other
/// process can bind the port.
#[derive(Debug)]
pub struct ClosedPort {
    socket: TcpSocket,
}

impl ClosedPort {
    /// Reserves a port.
    pub fn reserve() -> Self {
        let _inside = runtime().enter();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { socket }
    }

    /// The address of the port: `127.0.0.1:<port>`.
    pub fn authority(&self) -> String {
        self.socket.local_addr().unwrap().to_string()
    }
}

/// Finds a free port, for a server that cannot choose a port itself. The port is not reserved, so another
/// process can bind the port before the server binds it.
pub fn free_port() -> u16 {
    dev::ports::free().unwrap_or_else(|error| panic!("{error:#}"))
}
