//! A connection to a server that ends when the server does, whatever burn is waiting for.
//!
//! burn's client has no time limit: what reads from a server that is frozen waits for ever. So the
//! client connects to a port of this process, and two threads carry the bytes on to the server and
//! back, as they are. A third one asks the server from time to time for a sign of life; when there
//! is none it cuts the connection, and every read that waits ends with an error.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use super::Address;
use super::remote::Line;

/// How long a server may take to accept a connection.
pub(super) const TO_CONNECT: Duration = Duration::from_secs(4);
/// How long it may take to answer, once connected.
pub(super) const TO_ANSWER: Duration = Duration::from_secs(6);
/// The time between two signs of life.
pub(super) const BETWEEN_SIGNS: Duration = Duration::from_secs(2);

/// The way from a port of this process to a server.
pub(super) struct Relay {
    /// Where burn's client is to connect.
    pub port: u16,
    pub line: Arc<Wire>,
}

/// A line that may be cut.
pub(super) struct Wire {
    /// Set when it is cut.
    cut: OnceLock<String>,
    server: TcpStream,
    client: OnceLock<TcpStream>,
}

impl Relay {
    /// Connects to a server; the first client on the port is carried on.
    ///
    /// # Errors
    ///
    /// If the server cannot be reached or does not answer, with the reason.
    pub fn start(address: &Address) -> Result<Self, String> {
        let (server, peer) = dial(address)?;
        sign_of_life(peer)?;
        let failed = |error: io::Error| format!("the connection cannot be set up: {error}");
        server.set_nodelay(true).map_err(failed)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let line = Arc::new(Wire {
            cut: OnceLock::new(),
            server,
            client: OnceLock::new(),
        });
        let watched = Arc::clone(&line);
        spawn("dni watch", move || watched.watch(peer)).map_err(failed)?;
        let carried = Arc::clone(&line);
        spawn("dni relay", move || {
            if let Err(error) = carried.carry(listener) {
                carried.cut(format!("the connection failed: {error}"));
            }
        })
        .map_err(failed)?;
        Ok(Self { port, line })
    }
}

impl Line for Wire {
    fn why_cut(&self) -> Option<&str> {
        self.cut.get().map(String::as_str)
    }
}

impl Wire {
    /// Ends the connection at both ends. The first reason stays.
    fn cut(&self, reason: String) {
        // Whoever finds the connection closed must find the reason.
        let _ = self.cut.set(reason);
        for stream in [Some(&self.server), self.client.get()]
            .into_iter()
            .flatten()
        {
            // One that is closed already needs no closing.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Carries bytes both ways until one side closes.
    fn carry(self: &Arc<Self>, listener: TcpListener) -> io::Result<()> {
        let (client, _) = listener.accept()?;
        // Nobody else is to wait here.
        drop(listener);
        client.set_nodelay(true)?;
        let (from_client, to_client) = (client.try_clone()?, client.try_clone()?);
        let (from_server, to_server) = (self.server.try_clone()?, self.server.try_clone()?);
        let _ = self.client.set(client);
        let up = Arc::clone(self);
        spawn("dni relay up", move || {
            let end = pass_on(from_client, to_server);
            up.cut(closed_because(end));
        })?;
        let end = pass_on(from_server, to_client);
        self.cut(closed_because(end));
        Ok(())
    }

    /// Cuts the line when the server gives no sign of life.
    fn watch(&self, peer: SocketAddr) {
        while self.why_cut().is_none() {
            thread::sleep(BETWEEN_SIGNS);
            if let Err(reason) = sign_of_life(peer) {
                self.cut(reason);
            }
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_string()).spawn(work)?;
    Ok(())
}

/// Passes bytes on as they come until there are no more.
fn pass_on(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            read => to.write_all(&buffer[..read])?,
        }
    }
}

/// What to say when a server has closed the connection.
pub(super) const CLOSED: &str = "the server closed the connection; it was stopped or has died";

fn closed_because(end: io::Result<()>) -> String {
    match end {
        Ok(()) => CLOSED.to_string(),
        Err(error) => format!("the connection to the server broke ({error}); it may have died"),
    }
}

/// A connection to the first of a server's addresses that takes one.
fn dial(address: &Address) -> Result<(TcpStream, SocketAddr), String> {
    let peers = peers_at(address)?;
    let mut reason = "its name has no address".to_string();
    for peer in peers {
        match reach(peer) {
            Ok(stream) => return Ok((stream, peer)),
            Err(why) => reason = why,
        }
    }
    Err(reason)
}

fn reach(peer: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect_timeout(&peer, TO_CONNECT).map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens there; start `dni serve` on that \
                                             machine, or check host and port"
            .to_string(),
        io::ErrorKind::TimedOut => format!(
            "nothing answers there within {} s; check the address, the network and firewalls",
            TO_CONNECT.as_secs()
        ),
        _ => format!("it cannot be reached ({error})"),
    })
}

/// Asks a server for a page that it does not have: it says so, if it can say anything.
fn sign_of_life(peer: SocketAddr) -> Result<(), String> {
    let mut stream = reach(peer)?;
    let mut answer = [0; 5];
    let heard = stream
        .set_read_timeout(Some(TO_ANSWER))
        .and_then(|()| stream.write_all(b"GET / HTTP/1.0\r\n\r\n"))
        .and_then(|()| stream.read_exact(&mut answer));
    match heard {
        Ok(()) if answer == *b"HTTP/" => Ok(()),
        Err(error) if is_timeout(&error) => Err(no_sign_of_life()),
        Ok(()) | Err(_) => Err("whatever listens there is not `dni serve`".to_string()),
    }
}

/// What to say of a server that has not answered in time.
pub(super) fn no_sign_of_life() -> String {
    format!(
        "the server gives no sign of life for {} s; it has died or is frozen, or the network is down",
        TO_ANSWER.as_secs()
    )
}

/// The places that an address stands for.
///
/// # Errors
///
/// If its name is not known.
pub(super) fn peers_at(address: &Address) -> Result<impl Iterator<Item = SocketAddr>, String> {
    let peers = address.authority().to_socket_addrs();
    peers.map_err(|error| format!("its name is not known here ({error})"))
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}
