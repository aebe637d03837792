//! Mean and spread of a few figures.

use dni::GradientState;

/// The mean; NaN for none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of a sample; zero for a single figure.
pub fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// The middle figure, or the mean of the two in the middle; NaN for none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        even if even % 2 == 0 => (sorted[middle - 1] + sorted[middle]) / 2.0,
        _ => sorted[middle],
    }
}

/// Half the distance between the lower and the upper quartile; NaN for none.
pub fn half_quartile_distance(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len().div_ceil(2);
    let (lower, upper) = (&sorted[..half], &sorted[sorted.len() - half..]);
    (median(upper) - median(lower)) / 2.0
}

/// `mean ± deviation`, or the figure alone if there is one.
pub fn summary(values: &[f64], digits: usize) -> String {
    if values.is_empty() {
        return "-".to_string();
    }
    let mean = mean(values);
    match values.len() {
        1 => format!("{mean:.digits$}"),
        _ => format!("{mean:.digits$} ± {:.digits$}", deviation(values)),
    }
}

/// The summary of what synthetic gradients of one interface were worth in several runs, and of how many
/// runs that is not known, with the state of the gradients in the end.
pub fn worths(runs: impl IntoIterator<Item = (Option<f64>, GradientState)>) -> String {
    let (known, others): (Vec<_>, Vec<_>) =
        runs.into_iter().partition(|(worth, _)| worth.is_some());
    let figures: Vec<f64> = known.iter().filter_map(|(worth, _)| *worth).collect();
    let states = [GradientState::Dead, GradientState::Broken].into_iter();
    let counted = states.filter_map(|state| {
        let count = others.iter().filter(|(_, found)| *found == state).count();
        match (count, known.len() + others.len()) {
            (0, _) => None,
            (_, 1) => Some(state.to_string()),
            _ => Some(format!("{count} {state}")),
        }
    });
    let counted: Vec<String> = counted.collect();
    let summary = (!figures.is_empty() || counted.is_empty()).then(|| summary(&figures, 2));
    let said: Vec<String> = summary.into_iter().chain(counted).collect();
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_that_were_never_compared_are_counted() {
        let alive = (Some(0.5), GradientState::Alive);
        let [dead, broken] =
            [GradientState::Dead, GradientState::Broken].map(|state| (None, state));
        assert_eq!(worths([]), "-");
        assert_eq!(worths([(None, GradientState::Alive)]), "-");
        assert_eq!(worths([alive]), "0.50");
        assert_eq!(worths([dead]), "dead");
        assert_eq!(worths([dead, dead, broken]), "2 dead, 1 broken");
        assert_eq!(worths([alive, alive, dead]), "0.50 ± 0.00, 1 dead");
    }

    #[test]
    fn figures_of_a_small_sample() {
        let values = [1.0, 2.0, 4.0, 5.0];
        assert_eq!(mean(&values), 3.0);
        assert_eq!(median(&values), 3.0);
        assert_eq!(median(&values[..3]), 2.0);
        assert!((deviation(&values) - (10.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(half_quartile_distance(&values), 1.5);
        assert_eq!(summary(&values, 1), "3.0 ± 1.8");
        assert_eq!(summary(&values[..1], 1), "1.0");
        assert_eq!(summary(&[], 1), "-");
    }
}
