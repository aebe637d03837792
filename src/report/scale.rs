//! Axes: where a value lies, and which values are written beside it.

/// An axis from its lowest to its highest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Axis {
    low: f64,
    high: f64,
    is_logarithmic: bool,
}

impl Axis {
    /// An axis that shows all values. It is logarithmic if that is wished, and they allow it and
    /// span more than a factor of ten.
    pub fn around(values: impl Iterator<Item = f64>, logarithmic: bool) -> Self {
        let (mut low, mut high) = values.fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        let is_logarithmic = logarithmic && low > 0.0 && high > 10.0 * low;
        if low == high {
            let half = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
            (low, high) = (low - half, high + half);
        }
        Self {
            low,
            high,
            is_logarithmic,
        }
    }

    /// Where a value lies: 0 at the low end, 1 at the high one.
    pub fn place(&self, value: f64) -> f64 {
        let [low, high, value] = [self.low, self.high, value].map(|value| self.straight(value));
        (value - low) / (high - low)
    }

    fn straight(&self, value: f64) -> f64 {
        if self.is_logarithmic {
            value.log10()
        } else {
            value
        }
    }

    /// About five round values with their text.
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let values = if self.is_logarithmic {
            self.decades()
        } else {
            self.round_steps()
        };
        let inside = values.into_iter().filter(|value| {
            let place = self.place(*value);
            (-1e-9..=1.0 + 1e-9).contains(&place)
        });
        inside.map(|value| (value, short(value))).collect()
    }

    fn round_steps(&self) -> Vec<f64> {
        const WISHED: f64 = 5.0;
        let rough = (self.high - self.low) / WISHED;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(rough);
        let first = (self.low / step).floor() as i64;
        let last = (self.high / step).ceil() as i64;
        (first..=last).map(|i| i as f64 * step).collect()
    }

    fn decades(&self) -> Vec<f64> {
        let [first, last] = [self.low, self.high].map(|value| value.log10().floor() as i32);
        let decades = (last - first).max(1);
        let factors: &[f64] = if decades <= 2 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let every = (decades / 6 + 1) as usize;
        (first..=last)
            .step_by(every)
            .flat_map(|decade| factors.iter().map(move |f| f * 10f64.powi(decade)))
            .collect()
    }
}

/// A number in as few characters as it takes.
pub(super) fn short(value: f64) -> String {
    let trimmed = |value: f64, digits: usize| {
        let text = format!("{value:.digits$}");
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        } else {
            text
        }
    };
    match value.abs() {
        0.0 => "0".to_string(),
        size if !(1e-3..1e15).contains(&size) => format!("{value:.0e}"),
        size if size >= 1e9 => trimmed(value / 1e9, 2) + "G",
        size if size >= 1e6 => trimmed(value / 1e6, 2) + "M",
        size if size >= 1e4 => trimmed(value / 1e3, 2) + "k",
        size if size >= 100.0 => trimmed(value, 0),
        _ => trimmed(value, 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round() {
        let axis = Axis::around([0.0, 20_000.0].into_iter(), false);
        assert_eq!(texts(axis), ["0", "5000", "10k", "15k", "20k"]);
        let axis = Axis::around([-0.2, 0.93].into_iter(), false);
        assert_eq!(texts(axis), ["0", "0.5"]);
        let axis = Axis::around([0.003, 7.0].into_iter(), true);
        assert_eq!(texts(axis), ["0.01", "0.1", "1"]);
    }

    #[test]
    fn places_go_from_the_low_to_the_high_end() {
        let axis = Axis::around([0.01, 100.0].into_iter(), true);
        assert_eq!(
            [0.01, 1.0, 100.0].map(|value| axis.place(value)),
            [0.0, 0.5, 1.0]
        );
        let axis = Axis::around([-1.0, 3.0].into_iter(), true);
        assert_eq!(axis.place(1.0), 0.5);
    }

    #[test]
    fn an_axis_without_extent_has_one_all_the_same() {
        for value in [0.0, 3.0, -2.0] {
            let axis = Axis::around([value].into_iter(), true);
            assert_eq!(axis.place(value), 0.5);
            assert!(!axis.ticks().is_empty());
        }
        assert!(!Axis::around([].into_iter(), true).ticks().is_empty());
    }
}
