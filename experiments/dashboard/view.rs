//! How a dashboard looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Gauge, Paragraph};

use super::board::{Board, Scale};
use super::chart::{self, SOFT};
use super::run::RunBoard;
use super::trail::Trail;
use crate::figure;
use crate::overall::in_words;

/// Draws the runs of a call.
pub fn draw(frame: &mut Frame, board: &Board) {
    let lines = 1 + 2 * board.at_work().count().clamp(1, MOST_AT_WORK);
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(lines as u16),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_progress(frame, top, board);
    let [left, right] =
        Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(middle);
    draw_curves(frame, left, board);
    if let Some(run) = board.shown() {
        draw_parts(frame, right, run);
    }
    frame.render_widget(Paragraph::new(keys(board)), bottom);
}

/// Runs at work that have lines of their own.
const MOST_AT_WORK: usize = 4;

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

/// How far all runs are, and of each at work how far, how fast, and how long it will take.
fn draw_progress(frame: &mut Frame, area: Rect, board: &Board) {
    let mut rows = (area.y..area.bottom()).map(|y| Rect {
        y,
        height: 1,
        ..area
    });
    let mut row = || rows.next().unwrap_or_default();
    frame.render_widget(Paragraph::new(board.overall.as_str()), row());
    for run in board.at_work().take(MOST_AT_WORK) {
        let (line, bar) = (row(), row());
        let colour = chart::colour(board, run);
        let title = Line::from(vec![Span::styled(&run.label, BOLD), Span::raw(pace(run))]);
        frame.render_widget(Paragraph::new(title), line);
        if let Some(share) = run.share_done() {
            let gauge = Gauge::default()
                .gauge_style(Style::new().fg(colour))
                .ratio(share);
            frame.render_widget(gauge, bar);
        }
    }
}

/// How far a run is, how fast, and how long it will take.
fn pace(run: &RunBoard) -> String {
    let mut text = match run.steps {
        Some(steps) => format!("  step {} of {steps}", run.step),
        None => format!("  step {}", run.step),
    };
    if let Some(rate) = run.rate() {
        text += &format!(", {rate:.0} steps/s");
    }
    if let Some(seconds) = run.seconds_left() {
        text += &format!(", {} left", in_words(seconds));
    }
    if let Some(rate) = run.learning_rate() {
        text += &format!(", learning rate {rate}");
    }
    text
}

/// The losses of all runs, and below them what evaluations found, as far as there is room.
fn draw_curves(frame: &mut Frame, area: Rect, board: &Board) {
    /// Lines below which a chart shows nothing.
    const LEAST: u16 = 8;
    let most = usize::from(area.height / LEAST).max(1) - 1;
    let mut figures = board.figures();
    figures.truncate(most.max(1));
    let charts = Layout::vertical(vec![Constraint::Fill(1); 1 + figures.len()]).split(area);
    let losses = board.runs.iter().map(|run| (run, &run.loss));
    let chart = |name, title, factor, curves| chart::Figure {
        title,
        curves,
        factor,
        is_logarithmic: board.scale.is_logarithmic(name),
    };
    let loss = chart("loss", "training loss".to_string(), 1.0, losses.collect());
    chart::draw(frame, charts[0], board, &loss);
    for (name, area) in figures.into_iter().zip(charts.iter().skip(1)) {
        let curves = board.runs.iter();
        let curves = curves.filter_map(|run| Some((run, run.figures.get(name)?)));
        let shown = chart(
            name,
            figure::title(name),
            figure::factor(name),
            curves.collect(),
        );
        chart::draw(frame, *area, board, &shown);
    }
}

/// The cosines of all interfaces of a run, and its settings.
fn draw_parts(frame: &mut Frame, area: Rect, run: &RunBoard) {
    let cosines = (run.cosines.len() as u16).min(area.height / 2).max(1) + 2;
    let [above, below] =
        Layout::vertical([Constraint::Length(cosines), Constraint::Fill(1)]).areas(area);
    let of_run = |what: &str| Block::bordered().title(format!("{}: {what}", run.label));
    let cosines = Paragraph::new(cosine_lines(run, above));
    frame.render_widget(
        cosines.block(of_run("cosine with the true gradient")),
        above,
    );
    let settings = run.settings.iter().map(|(name, value)| {
        Line::from(vec![
            Span::styled(format!("{name} "), SOFT),
            Span::raw(value.as_str()),
        ])
    });
    let settings = Paragraph::new(settings.collect::<Vec<_>>());
    frame.render_widget(settings.block(of_run("settings")), below);
}

/// A line for every interface, the highest on top: its name, its last cosine and the way there.
fn cosine_lines<'a>(board: &'a RunBoard, area: Rect) -> Vec<Line<'a>> {
    if board.cosines.is_empty() {
        return vec![Line::styled("not compared yet", SOFT)];
    }
    let names = board.cosines.iter().map(|(name, _)| name.chars().count());
    let width = names.max().unwrap_or(0);
    let room = usize::from(area.width).saturating_sub(width + 10);
    let lines = board.cosines.iter().rev().map(|(name, trail)| {
        let last = trail.last().unwrap_or(0.0);
        let colour = if last < 0.0 { Color::Red } else { Color::Blue };
        let now = match board.not_compared.get(name) {
            Some(state) => state.to_string(),
            None => format!("{last:5.2}"),
        };
        Line::from(vec![
            Span::raw(format!("{name:width$} {now:>5} ")),
            Span::styled(spark(trail, room), Style::new().fg(colour)),
        ])
    });
    lines.collect()
}

/// The last values of a trail as bars from 0 to 1.
fn spark(trail: &Trail, room: usize) -> String {
    const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let points = trail.points();
    let last = &points[points.len().saturating_sub(room)..];
    let bar = |(_, value): &(f64, f64)| BARS[(value.clamp(0.0, 1.0) * 8.0).round() as usize];
    last.iter().map(bar).collect()
}

/// What keys do now.
fn keys(board: &Board) -> Line<'static> {
    match (board.is_stopping, board.is_asking) {
        (true, _) => Line::styled(
            "stopping as soon as the figures are in; Ctrl-C stops at once",
            BOLD,
        ),
        (_, true) => Line::styled(
            "Stop here and save a checkpoint? y stops, any other key goes on",
            BOLD,
        ),
        _ => {
            let scale = match board.scale {
                Scale::Usual => "losses on logarithmic axes",
                Scale::Logarithmic => "all axes logarithmic",
                Scale::Linear => "all axes linear",
            };
            let text = format!("q asks whether to stop, l changes axes ({scale})");
            Line::styled(text, SOFT)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dni::train::{Event, Scalars};
    use dni::{GradientState, Quality};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::board::News;
    use super::*;

    /// What is on a screen of this size, line after line.
    fn seen(board: &Board, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it is a test");
        let drawn = terminal.draw(|frame| draw(frame, board));
        drawn.expect("it can be drawn on");
        terminal.backend().to_string()
    }

    fn progress(step: usize, seconds: f64, loss: f64) -> Event {
        Event::Progress(Scalars {
            step,
            seconds,
            loss,
            synthesizer_losses: Vec::new(),
            input_losses: Vec::new(),
            auxiliary_losses: Vec::new(),
            rate_factor: 0.5,
        })
    }

    /// A run half way, and another one that was over before it began.
    fn board() -> Board {
        let mut board = Board {
            overall: "run 2 of 3, 40 s left in all".to_string(),
            ..Board::default()
        };
        let begins = |label: &str| News::Begins {
            label: label.to_string(),
            settings: "lr = 0.001\n".to_string(),
        };
        board.hear(0, begins("backprop, seed 1"));
        for (step, loss) in [(200, 4.0), (400, 2.0)] {
            board.hear(0, News::Heard(progress(step, 1.0, loss)));
        }
        board.hear(
            0,
            News::Heard(Event::Finished {
                step: 400,
                seconds: 1.0,
            }),
        );
        board.hear(1, begins("cdni, seed 1"));
        let mut hear = |event| board.hear(1, News::Heard(event));
        hear(Event::Started {
            step: 0,
            steps: Some(400),
        });
        for record in 1..=10 {
            let (step, value) = (20 * record, 1.0 / record as f64);
            hear(progress(step, record as f64, value));
            hear(Event::Evaluated {
                step,
                metrics: BTreeMap::from([("test_error".to_string(), value / 2.0)]),
            });
            let quality = |name: &str, cosine| Quality {
                name: name.to_string(),
                state: match cosine {
                    Some(_) => GradientState::Alive,
                    None => GradientState::Dead,
                },
                cosine,
                relative_error: cosine,
                norm: Some(1.0),
                absolute_error: Some(1.0),
            };
            hear(Event::Compared {
                step,
                interfaces: vec![
                    quality("hidden1", Some(1.0 - value)),
                    quality("hidden2", Some(-0.25)),
                    quality("hidden3", (record < 10).then_some(0.5)),
                ],
            });
        }
        board
    }

    #[test]
    fn runs_are_shown_with_all_that_is_known_of_them() {
        let seen = seen(&board(), 110, 30);
        for word in [
            "cdni, seed 1",
            "run 2 of 3, 40 s left in all",
            "step 200 of 400, 20 steps/s, 10 s left, learning rate 0.0005",
            "50%",
            "training loss",
            "backprop 2.000",
            "cdni 0.100",
            "test error %",
            "cdni 5.000",
            "hidden1  0.90",
            "hidden3  dead",
            "hidden2 -0.25",
            "▄▅▆", // 1/2, 2/3, 3/4
            "lr 0.001",
            "q asks whether to stop",
        ] {
            assert!(seen.contains(word), "no {word:?} on\n{seen}");
        }
    }

    #[test]
    fn keys_say_what_they_do() {
        let mut board = board();
        board.is_asking = true;
        assert!(seen(&board, 80, 24).contains("y stops, any other key goes on"));
        (board.is_asking, board.is_stopping) = (false, true);
        assert!(seen(&board, 80, 24).contains("stopping as soon as"));
    }

    /// A screen of any size, and a run that has told nothing.
    #[test]
    fn nothing_is_too_little() {
        let mut empty = Board::default();
        assert!(seen(&empty, 80, 24).contains("not recorded yet"));
        let (label, settings) = ("dni, seed 1".to_string(), String::new());
        empty.hear(0, News::Begins { label, settings });
        assert!(seen(&empty, 80, 24).contains("not compared yet"));
        for (width, height) in [(1, 1), (10, 3), (20, 200), (300, 5)] {
            seen(&empty, width, height);
            seen(&board(), width, height);
        }
    }

    /// In turn: losses on a logarithmic axis, everything, nothing.
    #[test]
    fn axes_change_in_turn() {
        let mut board = board();
        let mut axes = || {
            let seen = seen(&board, 110, 40);
            board.scale = board.scale.next();
            seen
        };
        let [usual, logarithmic, linear, again] = [axes(), axes(), axes(), axes()];
        // Between 0.1 and 4 lies 0.632 on a logarithmic axis, 2.050 on a linear one.
        for (seen, loss) in [
            (&usual, "0.632"),
            (&logarithmic, "0.632"),
            (&linear, "2.050"),
        ] {
            assert!(seen.contains(loss), "no {loss} on\n{seen}");
        }
        // Between 5 and 50 % lies 15.811, or 27.500.
        for (seen, error) in [
            (&usual, "27.500"),
            (&logarithmic, "15.811"),
            (&linear, "27.500"),
        ] {
            assert!(seen.contains(error), "no {error} on\n{seen}");
        }
        assert_eq!(usual, again);
    }
}
