//! Mean and spread of a few figures.

use dni::{GradientState, Quality};

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

/// The summary of the cosines of one interface in several runs, and of how many runs there is none,
/// with the reason.
pub fn cosines<'a>(qualities: impl IntoIterator<Item = &'a Quality>) -> String {
    let (alive, others): (Vec<_>, Vec<_>) = qualities.into_iter().partition(|q| q.cosine.is_some());
    let figures: Vec<f64> = alive.iter().filter_map(|q| q.cosine).collect();
    let summary = (!figures.is_empty() || others.is_empty()).then(|| summary(&figures, 2));
    let states = [GradientState::Dead, GradientState::Broken].into_iter();
    let counted = states.filter_map(|state| {
        let count = others.iter().filter(|q| q.state == state).count();
        match (count, alive.len() + others.len()) {
            (0, _) => None,
            (_, 1) => Some(state.to_string()),
            _ => Some(format!("{count} {state}")),
        }
    });
    let said: Vec<String> = summary.into_iter().chain(counted).collect();
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_without_a_cosine_are_counted() {
        let quality = |state, cosine| Quality {
            name: "hidden1".to_string(),
            state,
            cosine,
            relative_error: cosine,
            norm: None,
            absolute_error: None,
        };
        let alive = quality(GradientState::Alive, Some(0.5));
        let dead = quality(GradientState::Dead, None);
        let broken = quality(GradientState::Broken, None);
        assert_eq!(cosines([]), "-");
        assert_eq!(cosines([&alive]), "0.50");
        assert_eq!(cosines([&dead]), "dead");
        assert_eq!(cosines([&dead, &dead, &broken]), "2 dead, 1 broken");
        assert_eq!(cosines([&alive, &alive, &dead]), "0.50 ± 0.00, 1 dead");
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
