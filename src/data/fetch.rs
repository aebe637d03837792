//! Downloads: one file, whole and checked, or none.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use md5::Md5;
use sha2::Sha256;
use sha2::digest::{Digest, DynDigest};

use crate::error::{Error, Result};

/// The progress of a download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// The file.
    pub name: String,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all, if the server tells.
    pub total: Option<u64>,
}

/// A file on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remote<'a> {
    /// The address of its folder, with a slash at the end.
    pub base: &'a str,
    /// Its name there and here.
    pub name: &'a str,
    /// The checksum that its content must have.
    pub checksum: Checksum<'a>,
}

/// A checksum of a file, in lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum<'a> {
    /// Its MD5.
    Md5(&'a str),
    /// Its SHA-256.
    Sha256(&'a str),
}

impl<'a> Checksum<'a> {
    /// The name of the method.
    pub fn method(self) -> &'static str {
        match self {
            Self::Md5(_) => "MD5",
            Self::Sha256(_) => "SHA-256",
        }
    }

    /// The digits that the file must have.
    pub fn expected(self) -> &'a str {
        match self {
            Self::Md5(digits) | Self::Sha256(digits) => digits,
        }
    }

    /// The digits of these bytes.
    pub fn of(self, bytes: &[u8]) -> String {
        let mut hash = self.hasher();
        hash.update(bytes);
        hexadecimal(hash)
    }

    fn hasher(self) -> Box<dyn DynDigest> {
        match self {
            Self::Md5(_) => Box::new(Md5::new()),
            Self::Sha256(_) => Box::new(Sha256::new()),
        }
    }
}

fn hexadecimal(hash: Box<dyn DynDigest>) -> String {
    let bytes = hash.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// No file here is nearly as large.
const MOST_BYTES: u64 = 1 << 29;
const CHUNK: usize = 1 << 16;

/// Downloads a file into `folder`, under a temporary name until it is whole and has the right
/// checksum.
///
/// A server that sends nothing for as long as `patience` counts as failed.
///
/// # Errors
///
/// If there is no such file, the server or the network fails, or the checksum is wrong. The folder
/// is then unchanged.
pub fn fetch(
    remote: Remote,
    folder: &Path,
    patience: Duration,
    progress: &mut dyn FnMut(&Fetched),
) -> Result<PathBuf> {
    let is_new = !folder.exists();
    fs::create_dir_all(folder).map_err(Error::io("create the folder", folder))?;
    let target = folder.join(remote.name);
    // Two processes may be at it.
    let unfinished = folder.join(format!("{}.{}.part", remote.name, std::process::id()));
    let outcome = download(remote, &unfinished, patience, progress)
        .and_then(|()| fs::rename(&unfinished, &target).map_err(Error::io("write", &target)));
    if outcome.is_err() {
        // It may not exist; the error that matters is the other one.
        let _ = fs::remove_file(&unfinished);
        if is_new {
            // Unless somebody else has put something there.
            let _ = fs::remove_dir(folder);
        }
    }
    outcome.map(|()| target)
}

fn download(
    remote: Remote,
    path: &Path,
    patience: Duration,
    progress: &mut dyn FnMut(&Fetched),
) -> Result<()> {
    let address = format!("{}{}", remote.base, remote.name);
    let failed = |reason: String| Error::Download {
        address: address.clone(),
        reason,
    };
    let parts = request(address.clone(), patience);
    let mut file = File::create(path).map_err(Error::io("create", path))?;
    let mut hash = remote.checksum.hasher();
    let mut fetched = Fetched {
        name: remote.name.to_string(),
        done: 0,
        total: None,
    };
    loop {
        match parts.recv_timeout(patience) {
            Ok(Part::Length(total)) => fetched.total = total,
            Ok(Part::Bytes(bytes)) => {
                hash.update(&bytes);
                file.write_all(&bytes).map_err(Error::io("write", path))?;
                fetched.done += bytes.len() as u64;
            }
            Ok(Part::End) => break,
            Ok(Part::Failed(reason)) => return Err(failed(reason)),
            Err(RecvTimeoutError::Timeout) => {
                return Err(failed(format!(
                    "the server has said nothing for {} s",
                    patience.as_secs()
                )));
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(failed("the download broke off".to_string()));
            }
        }
        if fetched.done > MOST_BYTES {
            return Err(failed(format!("it has more than {MOST_BYTES} bytes")));
        }
        progress(&fetched);
    }
    let (found, checksum) = (hexadecimal(hash), remote.checksum);
    if found != checksum.expected() {
        return Err(failed(format!(
            "its {} is {found}, not {}, after {} bytes",
            checksum.method(),
            checksum.expected(),
            fetched.done
        )));
    }
    file.sync_all().map_err(Error::io("write", path))
}

/// What comes of a request.
enum Part {
    Length(Option<u64>),
    Bytes(Vec<u8>),
    End,
    Failed(String),
}

/// Asks for a file on a thread of its own, so that the one who waits need not wait for ever.
fn request(address: String, patience: Duration) -> Receiver<Part> {
    let (sender, receiver) = sync_channel(16);
    thread::spawn(move || {
        let send = |part| sender.send(part).is_ok();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .user_agent(concat!("dni/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let body = match agent.get(&address).call() {
            Ok(response) => response.into_body(),
            Err(error) => {
                send(Part::Failed(error.to_string()));
                return;
            }
        };
        let mut wanted = send(Part::Length(body.content_length()));
        let mut reader = body.into_reader();
        while wanted {
            let mut chunk = vec![0; CHUNK];
            wanted = match reader.read(&mut chunk) {
                Ok(0) => {
                    send(Part::End);
                    return;
                }
                Ok(count) => {
                    chunk.truncate(count);
                    send(Part::Bytes(chunk))
                }
                Err(error) => {
                    send(Part::Failed(error.to_string()));
                    return;
                }
            };
        }
    });
    receiver
}
