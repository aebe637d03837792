//! Downloads without a network: a server on loopback, and folders to download to.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use dni::data::Places;

/// What a server does when it is asked for a path.
pub type Answer = Box<dyn Fn(&str, &mut TcpStream) + Send>;

/// A server on loopback that counts the requests.
pub struct Server {
    pub base: String,
    pub requests: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&requests);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                counted.fetch_add(1, Ordering::Relaxed);
                let mut reader = BufReader::new(stream.try_clone().expect("it is open"));
                let mut line = String::new();
                let _ = reader.read_line(&mut line);
                let path = line.split(' ').nth(1).unwrap_or_default().to_string();
                while reader.read_line(&mut line).is_ok_and(|length| length > 2) {}
                answer(&path, &mut stream);
            }
        });
        Self {
            base: format!("http://{address}/"),
            requests,
        }
    }

    /// A server that has these files.
    pub fn with(files: Vec<(String, Vec<u8>)>) -> Self {
        Self::start(Box::new(move |path, stream| {
            match files.iter().find(|(name, _)| name == path) {
                Some((_, bytes)) => send(stream, bytes.len(), bytes),
                None => {
                    let _ = stream.write_all(
                        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    );
                }
            }
        }))
    }
}

/// Answers with these bytes.
pub fn send(stream: &mut TcpStream, promised: usize, bytes: &[u8]) {
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {promised}\r\nConnection: close\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
    let _ = stream.write_all(bytes);
}

/// How long a server may say nothing.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// The names of what is in a folder.
pub fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// A server of data sets that is not there: whoever asks it for something fails at once.
pub const NOWHERE: &str = "http://127.0.0.1:9/";

/// Only `cache`, and a server that is not there.
pub fn places(cache: &Path) -> Places {
    Places {
        data: None,
        cache: cache.to_path_buf(),
        burn_cache: None,
        base: Some(NOWHERE.to_string()),
        patience: PATIENCE,
    }
}

/// Writes a file in a folder that is made if it is not there.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    fs::create_dir_all(folder).expect("a folder can be made");
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a file can be written");
    path
}
