//! How a dashboard looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, LegendPosition, Paragraph};

use super::board::Board;
use super::trail::Trail;

/// Draws a run.
pub fn draw(frame: &mut Frame, board: &Board) {
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_progress(frame, top, board);
    let [left, right] =
        Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(middle);
    draw_curves(frame, left, board);
    draw_parts(frame, right, board);
    frame.render_widget(Paragraph::new(keys(board)), bottom);
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const SOFT: Style = Style::new().add_modifier(Modifier::DIM);

/// What it is, how far, how fast, and how long it will take.
fn draw_progress(frame: &mut Frame, area: Rect, board: &Board) {
    let [line, bar] = Layout::vertical([Constraint::Length(1); 2]).areas(area);
    let steps = match board.steps {
        Some(steps) => format!("step {} of {steps}", board.step),
        None => format!("step {}", board.step),
    };
    let rate = board.rate().map(|rate| format!(", {rate:.0} steps/s"));
    let left = board.seconds_left().map(|s| format!(", {} left", time(s)));
    let text = format!(
        "  {steps}{}{}",
        rate.unwrap_or_default(),
        left.unwrap_or_default()
    );
    let title = Line::from(vec![Span::styled(&board.label, BOLD), Span::raw(text)]);
    frame.render_widget(Paragraph::new(title), line);
    if let Some(share) = board.share_done() {
        let gauge = Gauge::default()
            .gauge_style(Style::new().fg(Color::Blue))
            .ratio(share);
        frame.render_widget(gauge, bar);
    }
}

/// The loss, and below it what evaluations found.
fn draw_curves(frame: &mut Frame, area: Rect, board: &Board) {
    let loss = [("loss", &board.loss)];
    let errors: Vec<(&str, &Trail)> = board
        .figures
        .iter()
        .map(|(name, trail)| (name.as_str(), trail))
        .collect();
    if errors.is_empty() {
        draw_chart(frame, area, "training loss", &loss, true);
        return;
    }
    let [above, below] = Layout::vertical([Constraint::Fill(1); 2]).areas(area);
    draw_chart(frame, above, "training loss", &loss, true);
    draw_chart(frame, below, "evaluations", &errors, false);
}

/// The cosines of all interfaces, and the settings.
fn draw_parts(frame: &mut Frame, area: Rect, board: &Board) {
    let cosines = (board.cosines.len() as u16).min(area.height / 2).max(1) + 2;
    let [above, below] =
        Layout::vertical([Constraint::Length(cosines), Constraint::Fill(1)]).areas(area);
    frame.render_widget(
        Paragraph::new(cosine_lines(board, above))
            .block(Block::bordered().title("cosine with the true gradient")),
        above,
    );
    let settings = board.settings.iter().map(|(name, value)| {
        Line::from(vec![
            Span::styled(format!("{name} "), SOFT),
            Span::raw(value.as_str()),
        ])
    });
    let settings = Paragraph::new(settings.collect::<Vec<_>>());
    frame.render_widget(settings.block(Block::bordered().title("settings")), below);
}

/// A line for every interface, the highest on top: its name, its last cosine and the way there.
fn cosine_lines<'a>(board: &'a Board, area: Rect) -> Vec<Line<'a>> {
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

/// Curves over the steps, on a logarithmic scale if that is wished and possible.
fn draw_chart(
    frame: &mut Frame,
    area: Rect,
    title: &str,
    curves: &[(&str, &Trail)],
    logarithmic: bool,
) {
    const COLOURS: [Color; 5] = [
        Color::Blue,
        Color::Yellow,
        Color::Green,
        Color::Magenta,
        Color::Cyan,
    ];
    let block = Block::bordered().title(title.to_string());
    let all = || curves.iter().flat_map(|(_, trail)| trail.points());
    if all().next().is_none() {
        let waiting = Paragraph::new(Line::styled("not recorded yet", SOFT));
        frame.render_widget(waiting.block(block), area);
        return;
    }
    let logarithmic = logarithmic && all().all(|(_, y)| *y > 0.0);
    let scaled = |y: f64| if logarithmic { y.log10() } else { y };
    let shown: Vec<Vec<(f64, f64)>> = curves
        .iter()
        .map(|(_, trail)| {
            trail
                .points()
                .iter()
                .map(|&(x, y)| (x, scaled(y)))
                .collect()
        })
        .collect();
    let [x, y] = [
        bounds(all().map(|(x, _)| *x)),
        bounds(shown.iter().flatten().map(|(_, y)| *y)),
    ];
    let value = |y: f64| number(if logarithmic { 10_f64.powf(y) } else { y });
    let datasets = shown.iter().zip(curves).zip(COLOURS.iter().cycle());
    let datasets = datasets.map(|((points, (name, trail)), colour)| {
        let last = trail.last().map(number).unwrap_or_default();
        Dataset::default()
            .name(format!("{name} {last}"))
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(*colour))
            .data(points)
    });
    let chart = Chart::new(datasets.collect())
        .block(block)
        .legend_position(Some(LegendPosition::TopRight))
        .hidden_legend_constraints((Constraint::Percentage(80), Constraint::Percentage(80)))
        .x_axis(
            Axis::default()
                .bounds(x)
                .labels([number(x[0]), number(x[1])]),
        )
        .y_axis(Axis::default().bounds(y).labels([
            value(y[0]),
            value((y[0] + y[1]) / 2.0),
            value(y[1]),
        ]));
    frame.render_widget(chart, area);
}

/// The least and the greatest value, apart from each other.
fn bounds(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let [low, high] = values.fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], value| {
        [low.min(value), high.max(value)]
    });
    if low < high {
        [low, high]
    } else {
        [low - 0.5, high + 0.5]
    }
}

/// A number in a few characters.
fn number(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".to_string(),
        1e-3..100.0 => format!("{value:.3}"),
        100.0..1e5 => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    }
}

/// A time that is left, in the units that matter.
fn time(seconds: f64) -> String {
    let seconds = seconds.ceil() as u64;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds} s"),
        _ => format!("{hours} h {minutes} min"),
    }
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
        _ => Line::styled("q asks whether to stop", SOFT),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dni::train::{Event, Scalars};
    use dni::{GradientState, Quality};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    /// What is on a screen of this size, line after line.
    fn seen(board: &Board, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it is a test");
        let drawn = terminal.draw(|frame| draw(frame, board));
        drawn.expect("it can be drawn on");
        terminal.backend().to_string()
    }

    fn board() -> Board {
        let mut board = Board::new("cdni, seed 1", "lr = 0.001\n");
        board.hear(&Event::Started {
            step: 0,
            steps: Some(400),
        });
        for record in 1..=10 {
            let (step, value) = (20 * record, 1.0 / record as f64);
            board.hear(&Event::Progress(Scalars {
                step,
                seconds: record as f64,
                loss: value,
                synthesizer_losses: Vec::new(),
                input_losses: Vec::new(),
                auxiliary_losses: Vec::new(),
                rate_factor: 1.0,
            }));
            board.hear(&Event::Evaluated {
                step,
                figures: BTreeMap::from([("test_error".to_string(), value / 2.0)]),
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
            board.hear(&Event::Compared {
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
    fn a_run_is_shown_with_all_that_is_known_of_it() {
        let seen = seen(&board(), 100, 30);
        for word in [
            "cdni, seed 1",
            "step 200 of 400, 20 steps/s, 10 s left",
            "50%",
            "training loss",
            "loss 0.100",
            "test_error 0.050",
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
        let empty = Board::new("dni, seed 1", "");
        assert!(seen(&empty, 80, 24).contains("not compared yet"));
        for (width, height) in [(1, 1), (10, 3), (20, 200), (300, 5)] {
            seen(&empty, width, height);
            seen(&board(), width, height);
        }
    }

    #[test]
    fn times_are_short() {
        assert_eq!(time(4.2), "5 s");
        assert_eq!(time(125.0), "2 min 5 s");
        assert_eq!(time(7_260.0), "2 h 1 min");
    }
}
