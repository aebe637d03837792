//! How a chart of a dashboard looks.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, LegendPosition, Paragraph};

use super::board::Board;
use super::run::RunBoard;
use super::trail::Trail;

pub(super) const SOFT: Style = Style::new().add_modifier(Modifier::DIM);

const COLOURS: [Color; 6] = [
    Color::Blue,
    Color::Yellow,
    Color::Green,
    Color::Magenta,
    Color::Cyan,
    Color::Red,
];

/// The colour of a run.
pub fn colour(board: &Board, run: &RunBoard) -> Color {
    COLOURS[board.number_of(run) % COLOURS.len()]
}

/// Curves of a figure, each of a run.
pub struct Figure<'a> {
    pub title: String,
    pub curves: Vec<(&'a RunBoard, &'a Trail)>,
    /// What values are multiplied by.
    pub factor: f64,
    /// Whether the axis is to be logarithmic, if no value forbids it.
    pub is_logarithmic: bool,
}

/// Curves over the steps.
pub fn draw(frame: &mut Frame, area: Rect, board: &Board, figure: &Figure) {
    let block = Block::bordered().title(figure.title.clone());
    let curves = &figure.curves;
    let all = || curves.iter().flat_map(|(_, trail)| trail.points());
    if all().next().is_none() {
        let waiting = Paragraph::new(Line::styled("not recorded yet", SOFT));
        frame.render_widget(waiting.block(block), area);
        return;
    }
    let is_logarithmic = figure.is_logarithmic && all().all(|(_, y)| *y > 0.0);
    let scaled = |y: f64| match is_logarithmic {
        true => (figure.factor * y).log10(),
        false => figure.factor * y,
    };
    let scaled = |(x, y): &(f64, f64)| (*x, scaled(*y));
    let shown = curves.iter().map(|(_, trail)| trail.points().iter());
    let shown: Vec<Vec<(f64, f64)>> = shown.map(|points| points.map(scaled).collect()).collect();
    // All charts have the same steps.
    let losses = board.runs.iter().flat_map(|run| run.loss.points());
    let steps = losses.chain(all());
    let [x, y] = [
        bounds(steps.map(|(x, _)| *x)),
        bounds(shown.iter().flatten().map(|(_, y)| *y)),
    ];
    let value = |y: f64| number(if is_logarithmic { 10_f64.powf(y) } else { y });
    let names = names(curves.iter().map(|(run, _)| *run));
    let datasets = shown.iter().zip(curves).zip(names);
    let datasets = datasets.map(|((points, (run, trail)), name)| {
        let last = trail.last().map(|last| number(figure.factor * last));
        Dataset::default()
            .name(format!("{name} {}", last.unwrap_or_default()))
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(Style::new().fg(colour(board, run)))
            .data(points)
    });
    let chart = Chart::new(datasets.collect())
        .block(block)
        .legend_position(Some(LegendPosition::TopRight))
        .hidden_legend_constraints((Constraint::Percentage(80), Constraint::Percentage(80)))
        .x_axis(
            Axis::default()
                .bounds(x)
                .labels(x.map(|step| format!("{step:.0}"))),
        )
        .y_axis(Axis::default().bounds(y).labels([
            value(y[0]),
            value((y[0] + y[1]) / 2.0),
            value(y[1]),
        ]));
    frame.render_widget(chart, area);
}

/// What tells runs apart: their methods, and the seeds if there are several of a method.
fn names<'a>(runs: impl Iterator<Item = &'a RunBoard>) -> Vec<&'a str> {
    let runs: Vec<&RunBoard> = runs.collect();
    let is_unique = |run: &RunBoard| runs.iter().filter(|r| r.method() == run.method()).count() < 2;
    let are_unique = runs.iter().all(|run| is_unique(run));
    let name = |run: &&'a RunBoard| if are_unique { run.method() } else { &run.label };
    runs.iter().map(name).collect()
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
