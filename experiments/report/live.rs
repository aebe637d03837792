//! `dni report --live`: the page served on this machine alone, and the runs as they go on.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use dni::report::{self, Follower};

use super::browser;
use crate::{output, signals};

/// Serves until Ctrl-C or SIGTERM. Runs may come later; the folders must be there.
pub fn serve(folders: Vec<PathBuf>, open: bool) -> anyhow::Result<()> {
    for folder in &folders {
        let cannot = || format!("cannot read the folder '{}'", folder.display());
        fs::metadata(folder).with_context(cannot)?;
    }
    signals::listen(|| std::process::exit(0))?;
    let cannot = "cannot listen on this machine";
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(cannot)?;
    let host = listener.local_addr().context(cannot)?.to_string();
    let token = token();
    let address = format!("http://{host}/{token}/");
    output::print(&format!("report: {address}\n"))?;
    if open && let Err(error) = browser::open(&address) {
        output::say(&output::told(&error));
    }
    let site = Arc::new(Site {
        host,
        token,
        follower: Mutex::new(Follower::new(folders)),
    });
    for stream in listener.incoming().flatten() {
        let site = Arc::clone(&site);
        thread::spawn(move || {
            // A reader that has gone is none of our business.
            let _ = site.serve(stream);
        });
    }
    Ok(())
}

/// A word that nobody guesses: hash maps get their keys from the system's randomness, and what they
/// make of nothing tells no more of them than any hash does.
fn token() -> String {
    let word = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", word(), word())
}

/// What is served.
struct Site {
    /// As browsers name it. Pages of others that had their own name lead here are refused by it.
    host: String,
    token: String,
    follower: Mutex<Follower>,
}

/// What a browser asks for.
#[derive(Debug, Default, PartialEq)]
struct Request {
    method: String,
    path: String,
    host: String,
    /// The version of the data that it has.
    known: Option<String>,
}

/// What it is given.
struct Answer {
    status: &'static str,
    kind: &'static str,
    version: Option<String>,
    body: String,
}

impl Site {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        const PATIENCE: Duration = Duration::from_secs(5);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let request = Request::read(&stream)?;
        stream.write_all(self.answer(&request).written().as_bytes())
    }

    fn answer(&self, request: &Request) -> Answer {
        let own = request.path.strip_prefix('/');
        let own = own.and_then(|path| path.strip_prefix(self.token.as_str()));
        match (request.method.as_str(), own) {
            _ if request.host != self.host => Answer::plain("403 Forbidden", "another host"),
            ("GET", Some("/")) => Answer {
                kind: "text/html; charset=utf-8",
                ..Answer::plain("200 OK", report::live_html())
            },
            ("GET", Some("/data")) => self.data(request.known.as_deref()),
            ("GET", _) => Answer::plain("404 Not Found", "no such page; is the address whole?"),
            _ => Answer::plain("405 Method Not Allowed", "only GET"),
        }
    }

    /// The runs as they are now, unless the browser has them already.
    fn data(&self, known: Option<&str>) -> Answer {
        let follower = self.follower.lock();
        let mut follower = follower.unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = follower.refresh() {
            return Answer::plain("503 Service Unavailable", error.to_string());
        }
        let version = format!("\"{}\"", follower.version());
        if known == Some(version.as_str()) {
            return Answer::plain("304 Not Modified", "");
        }
        Answer {
            status: "200 OK",
            kind: "application/json",
            version: Some(version),
            body: report::data(&follower.groups()),
        }
    }
}

impl Request {
    /// Reads the head of a request; nothing of ours has a body.
    fn read(stream: impl Read) -> std::io::Result<Self> {
        const MOST: u64 = 1 << 14;
        let mut lines = BufReader::new(stream.take(MOST)).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let mut words = first.split(' ').map(String::from);
        let mut request = Self {
            method: words.next().unwrap_or_default(),
            path: words.next().unwrap_or_default(),
            ..Self::default()
        };
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            let value = value.trim().to_string();
            match name.to_lowercase().as_str() {
                "host" => request.host = value,
                "if-none-match" => request.known = Some(value),
                _ => {}
            }
        }
        Ok(request)
    }
}

impl Answer {
    fn plain(status: &'static str, body: impl Into<String>) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            version: None,
            body: body.into(),
        }
    }

    /// As it goes over the wire. The page may load nothing from elsewhere, and tells nobody where it
    /// came from, as the address holds the token.
    fn written(&self) -> String {
        let version = self.version.as_ref();
        let version = version.map_or(String::new(), |version| format!("ETag: {version}\r\n"));
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{version}\
             Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
             X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'; connect-src 'self'\r\nConnection: close\r\n\r\n{}",
            self.status,
            self.kind,
            self.body.len(),
            self.body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_up_to_its_empty_line() {
        let text =
            "GET /abc/data HTTP/1.1\r\nHOST: 127.0.0.1:80\r\nIf-None-Match: \"3\"\r\n\r\nHost: b";
        let expected = Request {
            method: "GET".to_string(),
            path: "/abc/data".to_string(),
            host: "127.0.0.1:80".to_string(),
            known: Some("\"3\"".to_string()),
        };
        assert_eq!(Request::read(text.as_bytes()).unwrap(), expected);
        assert_eq!(Request::read(&b""[..]).unwrap(), Request::default());
    }

    #[test]
    fn only_who_has_the_token_and_came_by_the_address_gets_anything() {
        let site = Site {
            host: "127.0.0.1:80".to_string(),
            token: token(),
            follower: Mutex::new(Follower::new(vec![])),
        };
        let status = |method: &str, path: &str, host: &str| {
            let request = Request {
                method: method.to_string(),
                path: path.to_string(),
                host: host.to_string(),
                known: None,
            };
            site.answer(&request)
                .status
                .split(' ')
                .next()
                .unwrap()
                .to_string()
        };
        let (page, host) = (format!("/{}/", site.token), "127.0.0.1:80");
        assert_eq!(status("GET", &page, host), "200");
        assert_eq!(status("GET", &page, "evil.example:80"), "403");
        assert_eq!(status("GET", "/", host), "404");
        assert_eq!(status("GET", "//", host), "404");
        assert_eq!(status("GET", &format!("{page}../etc/passwd"), host), "404");
        assert_eq!(status("POST", &page, host), "405");
        assert_eq!(
            status("GET", &format!("{page}data"), host),
            "503",
            "there are no runs"
        );
        assert_ne!(token(), token());
        assert_eq!(token().len(), 32);
    }
}
