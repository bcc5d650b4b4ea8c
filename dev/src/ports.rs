//! Finds free ports on loopback, and checks which ports are in use.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::bail;

/// The ports that [`free`] tries. For outgoing connections, systems use higher ports: by default from 32 768
/// on Linux, and from 49 152 on Windows and macOS. So no outgoing connection takes a port after [`free`] has
/// returned the port.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Finds a port that is free now. This function does not reserve the port, so another program can still take
/// the port. Within one process, this function returns a port again only after it has tried all other ports
/// of the range.
pub fn free() -> anyhow::Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(RANGE.end - RANGE.start);
    // Processes begin at different ports, because two processes could otherwise find the same port at the
    // same time.
    let begin = std::process::id().wrapping_mul(97) % count;
    for _ in 0..count {
        let offset = (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % count;
        let port = RANGE.start + u16::try_from(offset)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("127.0.0.1: no port from {} to {} is free; end other programs", RANGE.start, RANGE.end)
}

/// Fails if a program already listens on the port. The error names `whose`, the program that needs the port,
/// and `flag`, the option that chooses another port.
pub fn expect_free(port: u16, whose: &str, flag: &str) -> anyhow::Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(_) => bail!(
            "port {port} for {whose}: another program listens on it; end that program, or choose another port with {flag}"
        ),
    }
}

/// Whether an HTTP server responds on the port, with any status.
pub fn answers_http(port: u16) -> bool {
    let exchange = || -> std::io::Result<bool> {
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
        let mut start = [0; 5];
        stream.read_exact(&mut start)?;
        Ok(&start == b"HTTP/")
    };
    exchange().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expect_free_names_the_flag_if_the_port_is_taken() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = expect_free(port, "Azurite", "--azurite-port").unwrap_err().to_string();
        assert!(
            error.contains(&port.to_string())
                && error.contains("Azurite")
                && error.contains("--azurite-port"),
            "{error}"
        );
        drop(taken);
        expect_free(port, "Azurite", "--azurite-port").unwrap();
        assert!(!answers_http(port));
    }
}
