//! Curves of runs as one picture.

use super::drawing::{Anchor, Drawing, Paint, Shape};
use super::quantity::Presentation;
use super::scale::Axis;
use super::{Curve, Group, Point, Quantity};

/// The sizes of a panel and what surrounds it.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 40.0;
/// The height of letters, and of a line of the legend.
const LETTERS: f64 = 12.0;
const LINE: f64 = 18.0;
/// Panels side by side.
const COLUMNS: usize = 2;
/// Names in the legend, at most.
const LEGEND: usize = 24;

/// What curves are drawn over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Over {
    /// Training steps.
    #[default]
    Steps,
    /// Seconds of training.
    Seconds,
}

impl Over {
    fn of(self, point: &Point) -> f64 {
        match self {
            Self::Steps => point.step,
            Self::Seconds => point.seconds,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Seconds => "seconds",
        }
    }
}

/// One coordinate system with its curves.
struct Panel<'a> {
    title: String,
    over: Over,
    factor: f64,
    logarithmic: bool,
    curves: Vec<(Paint, &'a Curve)>,
}

/// The curves of all groups: what they recorded of the network, and the cosines of their synthetic
/// gradients.
///
/// With a single group each interface has a colour, with several each group; of many interfaces
/// only the lowest, the middle and the highest are then shown.
pub fn plot(groups: &[Group], over: Over) -> Drawing {
    let quantities = shown(groups);
    let (names, panels) = match groups {
        [group] => of_one(group, &quantities, over),
        groups => {
            let paints = paints(groups);
            let names = groups.iter().map(|group| group.label.clone());
            (
                names.zip(paints.iter().copied()).collect(),
                of_several(groups, &paints, &quantities, over),
            )
        }
    };
    arrange(&panels, &names)
}

/// The colours of groups: their own, unless groups of several tasks, which may have the same, stand in
/// one picture.
fn paints(groups: &[Group]) -> Vec<Paint> {
    let is_one_task = groups.iter().all(|group| group.task == groups[0].task);
    let numbers = groups.iter().enumerate();
    let numbers = numbers.map(|(i, group)| if is_one_task { group.colour } else { i });
    numbers.map(Paint::Curve).collect()
}

/// The quantities to show, in order.
fn shown(groups: &[Group]) -> Vec<Quantity> {
    let mut quantities: Vec<Quantity> = Vec::new();
    for (quantity, _) in groups.iter().flat_map(|group| &group.curves) {
        let is_wanted = quantity.interface.is_none() || quantity.name == "cosine";
        if is_wanted && !quantities.contains(quantity) {
            quantities.push(quantity.clone());
        }
    }
    quantities.sort_by_key(Quantity::rank);
    quantities
}

/// A panel for each figure of the network, and one for the cosines of all interfaces.
fn of_one<'a>(
    group: &'a Group,
    quantities: &[Quantity],
    over: Over,
) -> (Vec<(String, Paint)>, Vec<Panel<'a>>) {
    let (network, interfaces): (Vec<_>, Vec<_>) =
        quantities.iter().partition(|q| q.interface.is_none());
    let names = interfaces.iter().filter_map(|q| q.interface.clone());
    let names = names.enumerate().map(|(i, name)| (name, Paint::Curve(i)));
    let names = names.collect();
    let alone = |quantity: &Quantity| {
        let curve = group.curve(quantity).map(|curve| (Paint::Ink, curve));
        Panel::new(quantity, over, curve.into_iter())
    };
    let mut panels: Vec<Panel> = network.into_iter().map(alone).collect();
    if let Some(cosine) = interfaces.first() {
        let curves = interfaces.iter().map(|quantity| group.curve(quantity));
        let curves = curves
            .enumerate()
            .filter_map(|(i, curve)| Some((Paint::Curve(i), curve?)));
        let mut panel = Panel::new(cosine, over, curves);
        panel.title = Presentation::of(&cosine.name).title;
        panels.push(panel);
    }
    (names, panels)
}

/// A panel for each quantity.
fn of_several<'a>(
    groups: &'a [Group],
    paints: &[Paint],
    quantities: &[Quantity],
    over: Over,
) -> Vec<Panel<'a>> {
    const MOST_INTERFACES: usize = 4;
    let first = quantities
        .iter()
        .take_while(|q| q.interface.is_none())
        .count();
    let (network, interfaces) = quantities.split_at(first);
    let interfaces: Vec<&Quantity> = match interfaces.len() {
        0..=MOST_INTERFACES => interfaces.iter().collect(),
        many => [0, many / 2, many - 1].map(|i| &interfaces[i]).to_vec(),
    };
    let panel = |quantity: &Quantity| {
        let curves = groups.iter().zip(paints);
        let curves = curves.filter_map(|(group, paint)| Some((*paint, group.curve(quantity)?)));
        Panel::new(quantity, over, curves)
    };
    network.iter().chain(interfaces).map(panel).collect()
}

impl<'a> Panel<'a> {
    fn new(
        quantity: &Quantity,
        over: Over,
        curves: impl Iterator<Item = (Paint, &'a Curve)>,
    ) -> Self {
        let Presentation {
            title,
            factor,
            logarithmic,
            ..
        } = Presentation::of(&quantity.name);
        let of = quantity.interface.as_ref().map(|name| format!(", {name}"));
        Self {
            title: title + &of.unwrap_or_default(),
            over,
            factor,
            logarithmic,
            curves: curves.collect(),
        }
    }

    /// Draws it with its upper left corner at a point.
    fn draw(&self, [left, top]: [f64; 2], shapes: &mut Vec<Shape>) {
        let (right, bottom) = (left + WIDTH - RIGHT, top + HEIGHT - BOTTOM);
        let (left, top) = (left + LEFT, top + TOP);
        let all = || self.curves.iter().flat_map(|(_, curve)| curve.points());
        let places = all().map(|point| self.over.of(&point));
        let places = Axis::around(places.chain([0.0]), false);
        let values = all().flat_map(|point| [point.least, point.most]);
        let values = Axis::around(values.map(|value| self.factor * value), self.logarithmic);
        let at = |place: f64| left + places.place(place) * (right - left);
        let x = |point: &Point| at(self.over.of(point));
        let y = |value: f64| bottom - values.place(value) * (bottom - top);
        let text = |at, anchor, text: String| Shape::Text {
            at,
            anchor,
            size: LETTERS,
            text,
        };
        shapes.push(text([left, top - 12.0], Anchor::Start, self.title.clone()));
        for (value, label) in values.ticks() {
            let at = y(value);
            shapes.push(line(vec![[left, at], [right, at]], Paint::Faint, 1.0));
            shapes.push(text([left - 6.0, at + 4.0], Anchor::End, label));
        }
        for (place, label) in places.ticks() {
            let at = at(place);
            shapes.push(line(
                vec![[at, bottom], [at, bottom + 4.0]],
                Paint::Faint,
                1.0,
            ));
            shapes.push(text([at, bottom + 17.0], Anchor::Middle, label));
        }
        let end = [right, bottom + 32.0];
        shapes.push(text(end, Anchor::End, self.over.name().to_string()));
        for (paint, curve) in &self.curves {
            let paint = *paint;
            if curve.points().any(|point| point.least < point.most) {
                let edge = |value: f64| y(self.factor * value);
                let edges = curve
                    .points()
                    .map(|point| [x(&point), edge(point.most), edge(point.least)])
                    .collect();
                shapes.push(Shape::Band { edges, paint });
            }
            let points = curve.points();
            let points = points.map(|point| [x(&point), y(self.factor * point.mean)]);
            let mut points: Vec<_> = points.collect();
            if let [only] = points[..] {
                // The round ends of a line of no length are a dot.
                points.push(only);
            }
            shapes.push(line(points, paint, 1.5));
        }
    }
}

/// Puts panels side by side under a legend.
fn arrange(panels: &[Panel], names: &[(String, Paint)]) -> Drawing {
    let columns = panels.len().clamp(1, COLUMNS);
    let width = columns as f64 * WIDTH;
    let mut shapes = Vec::new();
    let mut top = legend(names, width, &mut shapes);
    for row in panels.chunks(columns) {
        for (i, panel) in row.iter().enumerate() {
            panel.draw([i as f64 * WIDTH, top], &mut shapes);
        }
        top += HEIGHT;
    }
    Drawing {
        width,
        height: top,
        shapes,
    }
}

/// Draws the names beside their colours; where it ends.
fn legend(names: &[(String, Paint)], width: f64, shapes: &mut Vec<Shape>) -> f64 {
    const SAMPLE: f64 = 20.0;
    /// The width of a letter, on average: readers have different fonts.
    const LETTER: f64 = 0.58 * LETTERS;
    let (mut x, mut y) = (LEFT, LINE);
    let more = names.len().saturating_sub(LEGEND);
    let names = names.iter().take(LEGEND);
    let names = names.map(|(name, paint)| (Some(*paint), name.clone()));
    let rest = (more > 0).then(|| (None, format!("and {more} more")));
    for (paint, name) in names.chain(rest) {
        let room = SAMPLE + 6.0 + LETTER * name.chars().count() as f64 + 16.0;
        if x > LEFT && x + room > width {
            (x, y) = (LEFT, y + LINE);
        }
        if let Some(paint) = paint {
            let sample = vec![[x, y - 4.0], [x + SAMPLE, y - 4.0]];
            shapes.push(line(sample, paint, 3.0));
        }
        shapes.push(Shape::Text {
            at: [x + SAMPLE + 6.0, y],
            anchor: Anchor::Start,
            size: LETTERS,
            text: name,
        });
        x += room;
    }
    if shapes.is_empty() { 0.0 } else { y + 8.0 }
}

fn line(points: Vec<[f64; 2]>, paint: Paint, width: f64) -> Shape {
    Shape::Line {
        points,
        paint,
        width,
    }
}
