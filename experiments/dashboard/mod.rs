//! `--dashboard`: the runs of a call, live in the terminal.
//!
//! It hears the same events as the progress bars. A thread of its own draws and answers the keyboard,
//! so that both work however long a step takes.

mod board;
mod chart;
mod keyboard;
mod run;
mod screen;
mod trail;
mod view;

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use dni::train::{Event, Listener};
use ratatui::Terminal;

use crate::args::Misuse;
use crate::overall;
use board::{Board, News};
use keyboard::Keyboard;
use screen::Screen;

pub use screen::{is_on, leave};

/// Refuses a dashboard that nobody could see.
pub fn check() -> Result<(), Misuse> {
    if io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Misuse(
        "--dashboard needs a terminal on stderr; leave it out, or do not redirect stderr"
            .to_string(),
    ))
}

/// The dashboard of a call, which is on the terminal as long as this lives.
pub struct Dashboard {
    news: Option<Sender<(usize, News)>>,
    thread: Option<JoinHandle<()>>,
    /// Runs that have begun.
    runs: usize,
}

/// A run's part of it, as a listener.
pub struct Part {
    run: usize,
    news: Sender<(usize, News)>,
}

impl Dashboard {
    /// Takes over the terminal. Whoever asks there for an end sets `stop`.
    pub fn open(stop: &'static AtomicBool) -> anyhow::Result<Self> {
        let (sender, news) = channel();
        let mut desk = Desk {
            board: Board::default(),
            terminal: Terminal::new(Screen::enter()?)?,
            keyboard: Keyboard::open()?,
            stop,
        };
        let thread = thread::Builder::new()
            .name("dni dashboard".to_string())
            .spawn(move || {
                // Without the terminal the runs go on unseen.
                let _ = desk.attend(&news);
            })?;
        Ok(Self {
            news: Some(sender),
            thread: Some(thread),
            runs: 0,
        })
    }

    /// Shows a run that begins; none after the end.
    pub fn show(&mut self, label: &str, settings: &str) -> Option<Part> {
        let news = self.news.clone()?;
        let begins = News::Begins {
            label: label.to_string(),
            settings: settings.to_string(),
        };
        let run = self.runs;
        self.runs += 1;
        let _ = news.send((run, begins));
        Some(Part { run, news })
    }
}

impl Listener for Part {
    fn hear(&mut self, event: &Event) -> dni::Result<()> {
        let _ = self.news.send((self.run, News::Heard(event.clone())));
        Ok(())
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        // Without a sender the thread gives the terminal back and ends.
        drop(self.news.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread's side: what is shown, where, and what a key can do.
struct Desk {
    board: Board,
    terminal: Terminal<Screen<io::Stderr>>,
    keyboard: Keyboard,
    stop: &'static AtomicBool,
}

impl Desk {
    /// Draws and answers keys until the call is over, and then once more: a short one may never have
    /// been seen.
    fn attend(&mut self, news: &Receiver<(usize, News)>) -> io::Result<()> {
        const TICK: Duration = Duration::from_secs(1);
        let mut drawn: Option<Instant> = None;
        loop {
            let mut is_new = false;
            let is_over = loop {
                match news.try_recv() {
                    Ok((run, news)) => self.board.hear(run, news),
                    Err(end) => break end == TryRecvError::Disconnected,
                }
                is_new = true;
            };
            self.board.overall = overall::in_short();
            if is_new || drawn.is_none_or(|drawn| drawn.elapsed() >= TICK) {
                self.terminal.draw(|frame| view::draw(frame, &self.board))?;
                drawn = Some(Instant::now());
            }
            if is_over {
                return Ok(());
            }
            if let Some(event) = self.keyboard.next_soon() {
                match event {
                    event::Event::Key(key) if key.kind != KeyEventKind::Release => self.press(key),
                    _ => {}
                }
                drawn = None;
            }
        }
    }

    /// `q` asks whether to stop, `l` changes the axes; Ctrl-C, which comes as a key here, does what it does elsewhere.
    fn press(&mut self, key: KeyEvent) {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if is_control && self.stop.load(Ordering::Relaxed) => {
                leave();
                std::process::exit(1);
            }
            KeyCode::Char('c') if is_control => self.stop(),
            KeyCode::Char('y') | KeyCode::Enter if self.board.is_asking => self.stop(),
            KeyCode::Char('q') if !self.board.is_stopping => self.board.is_asking = true,
            KeyCode::Char('l') if !self.board.is_asking => {
                self.board.scale = self.board.scale.next();
            }
            _ => self.board.is_asking = false,
        }
    }

    fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        (self.board.is_asking, self.board.is_stopping) = (false, true);
    }
}
