//! A network between two programs of this machine that takes its time: a proxy on loopback.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use dni::threaded::Link;

/// Bytes on their way, and when they arrive.
type Sent = (Instant, Vec<u8>);

/// Lets what comes to an address of its own go on to another, each way over the link. Jitter is left
/// out. It lasts as long as the process.
pub fn slow_link(link: Link, to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it has an address");
    thread::spawn(move || {
        for near in listener.incoming() {
            // Who gives up before it is connected needs no link.
            let ends = near.and_then(|near| Ok((near, TcpStream::connect(to)?)));
            if let Ok((near, far)) = ends {
                let _ = join(link, &near, &far).and_then(|()| join(link, &far, &near));
            }
        }
    });
    address
}

/// One way of a link.
fn join(link: Link, from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    let (from, to) = (from.try_clone()?, to.try_clone()?);
    to.set_nodelay(true)?;
    let (sender, sent) = channel();
    thread::spawn(move || take_in(link, from, &sender));
    thread::spawn(move || give_out(&sent, to));
    Ok(())
}

fn take_in(link: Link, mut from: TcpStream, sent: &Sender<Sent>) {
    let mut buffer = vec![0; 1 << 16];
    let mut free = Instant::now();
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        free = free.max(Instant::now()) + link.transfer(read);
        let bytes = buffer[..read].to_vec();
        if sent.send((free + link.delay(), bytes)).is_err() {
            return;
        }
    }
}

fn give_out(sent: &Receiver<Sent>, mut to: TcpStream) {
    for (arrives, bytes) in sent {
        thread::sleep(arrives.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
