//! The report: one HTML file with everything in it.

use serde::Serialize;

use super::drawing::{colour, hexadecimal};
use super::group::{Group, Run};
use super::quantity::Presentation;
use super::{Curve, Measured, Point, Quantity, Timeline};
use crate::run::Origin;

/// Points in a page: about thirty bytes each.
const BUDGET: usize = 150_000;
/// Points of a curve, at least.
const LEAST: usize = 32;

/// What the page's script reads.
#[derive(Serialize)]
struct Data<'a> {
    groups: Vec<GroupData<'a>>,
    charts: Vec<Chart>,
    /// Names of settings that are not the same for all groups.
    differences: Vec<&'a str>,
}

#[derive(Serialize)]
struct GroupData<'a> {
    label: &'a str,
    task: &'a str,
    method: &'a str,
    colour: String,
    settings: &'a std::collections::BTreeMap<String, String>,
    runs: &'a [Run],
    origins: &'a [Origin],
    worth: Vec<Worth<'a>>,
    results: &'a [Measured],
    #[serde(skip_serializing_if = "Option::is_none")]
    timeline: Option<&'a Timeline>,
}

/// What the synthetic gradients at an interface were worth.
#[derive(Serialize)]
struct Worth<'a> {
    interface: &'a str,
    /// None if they were never compared with true ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    cosine: Option<f64>,
}

/// A quantity with the curves of all groups that have it.
#[derive(Serialize)]
struct Chart {
    name: String,
    interface: Option<String>,
    #[serde(flatten)]
    presentation: Presentation,
    series: Vec<Series>,
}

/// A curve, one list for each of its figures.
#[derive(Serialize)]
struct Series {
    group: usize,
    steps: Vec<f64>,
    seconds: Vec<f64>,
    mean: Vec<f64>,
    /// None here and below if it is the mean everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    least: Option<Vec<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most: Option<Vec<f64>>,
}

/// A page that compares groups of runs: self-contained, for any browser.
pub fn html(groups: &[Group]) -> String {
    // A label that says `</script>` must not end the script.
    page(&data(groups).replace('<', r"\u003c"))
}

/// The same page without runs: it polls the address `data` beside its own for the [`data`] that it
/// shows.
pub fn live_html() -> String {
    page("null")
}

/// What a page shows of groups of runs, as JSON.
pub fn data(groups: &[Group]) -> String {
    let data = Data {
        groups: groups.iter().map(GroupData::of).collect(),
        charts: charts(groups),
        differences: Group::differences(groups),
    };
    serde_json::to_string(&data).expect("plain values are always JSON")
}

fn page(data: &str) -> String {
    /// In an order in which each uses what stands above it.
    const SCRIPT: &str = concat!(
        include_str!("page/tools.js"),
        include_str!("page/state.js"),
        include_str!("page/axis.js"),
        include_str!("page/view.js"),
        include_str!("page/gestures.js"),
        include_str!("page/chart.js"),
        include_str!("page/heatmap.js"),
        include_str!("page/timeline.js"),
        include_str!("page/table.js"),
        include_str!("page/network.js"),
        include_str!("page/verdict.js"),
        include_str!("page/answer.js"),
        include_str!("page/controls.js"),
        include_str!("page/sections.js"),
        include_str!("page/live.js"),
    );
    include_str!("page/page.html")
        .replace("{{style}}", include_str!("page/page.css"))
        .replace("{{script}}", SCRIPT)
        .replace("{{data}}", data)
}

/// Every quantity that a group has recorded, in the order in which they are shown.
fn charts(groups: &[Group]) -> Vec<Chart> {
    let all = groups.iter().flat_map(|group| &group.curves);
    let limit = (BUDGET / all.clone().count().max(1)).max(LEAST);
    let mut quantities: Vec<&Quantity> = Vec::new();
    for (quantity, _) in all {
        if !quantities.contains(&quantity) {
            quantities.push(quantity);
        }
    }
    quantities.sort_by_key(|quantity| quantity.rank());
    let chart = |quantity: &Quantity| {
        let presentation = Presentation::of(&quantity.name);
        let curves = groups.iter().enumerate();
        let curves = curves.filter_map(|(i, group)| Some((i, group.curve(quantity)?)));
        let series = curves.map(|(group, curve)| {
            let curve = curve.clone().with_limit(limit);
            Series::new(group, &curve, presentation.factor)
        });
        Chart {
            name: quantity.name.clone(),
            interface: quantity.interface.clone(),
            series: series.collect(),
            presentation,
        }
    };
    quantities.into_iter().map(chart).collect()
}

impl<'a> GroupData<'a> {
    fn of(group: &'a Group) -> Self {
        let worth = group.worth.iter().map(|(interface, worth)| Worth {
            interface,
            cosine: worth.mean().map(rounded),
        });
        Self {
            label: &group.label,
            task: &group.task,
            method: group.method(),
            colour: hexadecimal(colour(group.colour)),
            settings: &group.settings,
            runs: &group.runs,
            origins: &group.origins,
            worth: worth.collect(),
            results: &group.measured,
            timeline: group.timeline.as_ref(),
        }
    }
}

impl Series {
    fn new(group: usize, curve: &Curve, factor: f64) -> Self {
        let list = |figure: fn(&Point) -> f64, factor: f64| {
            let points = curve.points();
            points.map(|p| rounded(factor * figure(&p))).collect()
        };
        let has_range = curve.points().any(|point| point.least < point.most);
        let extremes = |figure| has_range.then(|| list(figure, factor));
        Self {
            group,
            steps: list(|p| p.step, 1.0),
            seconds: list(|p| p.seconds, 1.0),
            mean: list(|p| p.mean, factor),
            least: extremes(|p| p.least),
            most: extremes(|p| p.most),
        }
    }
}

/// A number to five digits, more than can be seen.
fn rounded(value: f64) -> f64 {
    if value.fract() == 0.0 && value.abs() < 1e9 {
        return value;
    }
    let digits = format!("{value:.4e}");
    digits.parse().unwrap_or(value)
}
