//! The browser of whoever sits at this machine.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// Opens a page there, by its path or its address.
pub fn open(page: &str) -> anyhow::Result<()> {
    /// What opens a page may stay for as long as the browser is open. If it fails, it does so at once.
    const PATIENCE: Duration = Duration::from_secs(2);
    let cannot = || format!("cannot open a browser here; open {page} yourself");
    let mut opener = opener()
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(cannot)?;
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        match opener.try_wait().with_context(cannot)? {
            Some(status) if status.success() => return Ok(()),
            Some(_) => bail!(cannot()),
            None => thread::sleep(Duration::from_millis(20)),
        }
    }
    Ok(())
}

/// The program of the desktop that opens what it is given.
fn opener() -> Command {
    if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        let mut command = Command::new("cmd");
        // An empty title comes first.
        command.args(["/C", "start", ""]);
        command
    } else {
        Command::new("xdg-open")
    }
}
