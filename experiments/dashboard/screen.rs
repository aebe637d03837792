//! The terminal, taken over and given back, and how ratatui writes to it.

use std::io::{self, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::style::{
    Attribute, Color as Ink, Print, SetAttribute, SetBackgroundColor, SetForegroundColor,
};
use crossterm::terminal::{
    self, Clear, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};

use crate::output;

/// Whether the terminal is ours.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// Whether a dashboard is on the terminal, where nobody else should write then.
pub fn is_on() -> bool {
    IS_TAKEN.load(Ordering::SeqCst)
}

/// Gives the terminal back, if it was taken, with what was said meanwhile: at the end, before a panic says why, and before the
/// program exits.
pub fn leave() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stderr(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        output::say_held();
    }
}

/// What ratatui draws on: the terminal, as long as this lives.
pub struct Screen<W> {
    writer: W,
    has_colour: bool,
}

impl Screen<io::Stderr> {
    /// Takes the terminal.
    pub fn enter() -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                leave();
                before(panic);
            }));
        });
        enable_raw_mode()?;
        IS_TAKEN.store(true, Ordering::SeqCst);
        // https://no-color.org
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let mut screen = Self {
            writer: io::stderr(),
            has_colour: !no_colour,
        };
        execute!(screen.writer, EnterAlternateScreen, Hide)?;
        Ok(screen)
    }
}

impl<W> Drop for Screen<W> {
    fn drop(&mut self) {
        leave();
    }
}

impl<W: Write> Screen<W> {
    /// What a cell looks like, besides its symbol.
    fn look(&mut self, cell: &Cell) -> io::Result<()> {
        queue!(self.writer, SetAttribute(Attribute::Reset))?;
        if self.has_colour {
            queue!(
                self.writer,
                SetForegroundColor(ink(cell.fg)),
                SetBackgroundColor(ink(cell.bg))
            )?;
        }
        for (modifier, attribute) in [
            (Modifier::BOLD, Attribute::Bold),
            (Modifier::DIM, Attribute::Dim),
            (Modifier::REVERSED, Attribute::Reverse),
        ] {
            if cell.modifier.contains(modifier) {
                queue!(self.writer, SetAttribute(attribute))?;
            }
        }
        Ok(())
    }
}

/// A colour of ours as the terminal knows it.
fn ink(colour: Color) -> Ink {
    match colour {
        Color::Blue => Ink::DarkBlue,
        Color::Cyan => Ink::DarkCyan,
        Color::Green => Ink::DarkGreen,
        Color::Yellow => Ink::DarkYellow,
        Color::Red => Ink::DarkRed,
        Color::Magenta => Ink::DarkMagenta,
        _ => Ink::Reset,
    }
}

impl<W: Write> Backend for Screen<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let mut last: Option<(u16, u16, &Cell)> = None;
        for (x, y, cell) in content {
            if last.is_none_or(|(before, row, _)| (before + 1, row) != (x, y)) {
                queue!(self.writer, MoveTo(x, y))?;
            }
            let is_alike = |other: &Cell| {
                (other.fg, other.bg, other.modifier) == (cell.fg, cell.bg, cell.modifier)
            };
            if !last.is_some_and(|(_, _, before)| is_alike(before)) {
                self.look(cell)?;
            }
            queue!(self.writer, Print(cell.symbol()))?;
            last = Some((x, y, cell));
        }
        queue!(self.writer, SetAttribute(Attribute::Reset))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        execute!(self.writer, Hide)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        execute!(self.writer, Show)
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        // It is hidden, and nobody asks where.
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        execute!(self.writer, MoveTo(x, y))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        use terminal::ClearType as Region;
        execute!(
            self.writer,
            Clear(match region {
                ClearType::All => Region::All,
                ClearType::AfterCursor => Region::FromCursorDown,
                ClearType::BeforeCursor => Region::FromCursorUp,
                ClearType::CurrentLine => Region::CurrentLine,
                ClearType::UntilNewLine => Region::UntilNewLine,
            })
        )
    }

    fn size(&self) -> io::Result<Size> {
        let (width, height) = terminal::size()?;
        Ok(Size { width, height })
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: self.size()?,
            pixels: Size::default(),
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
