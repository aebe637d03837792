//! A network between two programs of this machine that takes its time: proxies on loopback. Each lasts
//! as long as the process, and leaves jitter out.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use dni::threaded::Link;

/// An address of this machine with any port.
const HERE: &str = "127.0.0.1:0";

/// Bytes on their way, and when they arrive.
type Sent = (Instant, Vec<u8>);

/// One direction of a link.
struct Line {
    link: Link,
    sender: Sender<Sent>,
    /// When all that was sent has gone out.
    free: Instant,
}

impl Line {
    /// One at whose end is `give`, until that finds nobody to give to.
    fn to(link: Link, mut give: impl FnMut(&[u8]) -> bool + Send + 'static) -> Self {
        let (sender, sent): (_, Receiver<Sent>) = channel();
        thread::spawn(move || {
            for (arrives, bytes) in sent {
                thread::sleep(arrives.saturating_duration_since(Instant::now()));
                if !give(&bytes) {
                    return;
                }
            }
            // The other side has closed.
            give(&[]);
        });
        Self {
            link,
            sender,
            free: Instant::now(),
        }
    }

    /// Sends what will arrive, if there is anybody yet.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.free = self.free.max(Instant::now()) + self.link.transfer(bytes.len());
        let arrives = self.free + self.link.delay();
        self.sender.send((arrives, bytes.to_vec())).is_ok()
    }
}

/// An address from which connections go on to another, each way over the link.
pub fn slow_tcp(link: Link, to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(HERE).expect("there is a free port");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for near in listener.incoming() {
            // Who gives up before it is connected needs no link.
            let ends = near.and_then(|near| Ok((near, TcpStream::connect(to)?)));
            if let Ok((near, far)) = ends {
                join(link, &near, &far);
                join(link, &far, &near);
            }
        }
    });
    address
}

/// One way of a connection.
fn join(link: Link, from: &TcpStream, to: &TcpStream) {
    let ends = [from, to].map(|end| end.try_clone().expect("it can be shared"));
    let [mut from, mut to] = ends;
    to.set_nodelay(true).expect("it is connected");
    let mut line = Line::to(link, move |bytes| {
        if bytes.is_empty() {
            let _ = to.shutdown(Shutdown::Write);
        }
        to.write_all(bytes).is_ok()
    });
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if !line.send(&buffer[..read]) {
                return;
            }
        }
    });
}

/// An address from which datagrams go on to another, and the answers back, each way over the link.
pub fn slow_udp(link: Link, to: SocketAddr) -> SocketAddr {
    let near = UdpSocket::bind(HERE).expect("there is a free port");
    let address = near.local_addr().expect("it has an address");
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        let mut lines: HashMap<SocketAddr, Line> = HashMap::new();
        while let Ok((read, from)) = near.recv_from(&mut buffer) {
            let line = lines
                .entry(from)
                .or_insert_with(|| datagrams(link, from, &near, to));
            line.send(&buffer[..read]);
        }
    });
    address
}

/// The line for the datagrams from an address that `near` hears, answered there.
fn datagrams(link: Link, from: SocketAddr, near: &UdpSocket, to: SocketAddr) -> Line {
    let far = UdpSocket::bind(HERE).expect("there is a free port");
    far.connect(to).expect("it is on this machine");
    let near = near.try_clone().expect("it can be shared");
    let answers = far.try_clone().expect("it can be shared");
    let mut back = Line::to(link, move |bytes| near.send_to(bytes, from).is_ok());
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        // A server that is gone may come back.
        loop {
            if let Ok(read) = answers.recv(&mut buffer) {
                back.send(&buffer[..read]);
            }
        }
    });
    Line::to(link, move |bytes| {
        let _ = far.send(bytes);
        true
    })
}
