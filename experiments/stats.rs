//! Mean and spread of a few figures.

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

#[cfg(test)]
mod tests {
    use super::*;

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
