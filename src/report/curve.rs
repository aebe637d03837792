//! A curve of any number of points, kept as a few buckets that hide no spike.

/// A figure over training: for every bucket of steps its mean and its extremes.
///
/// It takes points one by one and never holds more buckets than its limit: when they are too many,
/// neighbours are merged. As long as there are few points, each has a bucket of its own.
///
/// ```
/// use dni::report::Curve;
///
/// let mut curve = Curve::new(2);
/// for (step, value) in [(1, 4.0), (2, 8.0), (3, 3.0), (4, 5.0)] {
///     curve.add(step, 0.1 * step as f64, value);
/// }
/// let extremes: Vec<_> = curve.points().map(|p| [p.least, p.most]).collect();
/// assert_eq!(extremes, [[3.0, 8.0], [5.0, 5.0]]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    limit: usize,
    /// Steps of a bucket, a power of two, so that any two curves have buckets that fit together.
    width: usize,
    buckets: Vec<Bucket>,
}

/// What a curve knows of a few steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Their mean.
    pub step: f64,
    /// The mean of the seconds spent in training by then.
    pub seconds: f64,
    /// The mean of the figure.
    pub mean: f64,
    /// Its least value.
    pub least: f64,
    /// Its greatest value.
    pub most: f64,
}

/// Sums over the steps from `index * width` on.
#[derive(Debug, Clone, PartialEq)]
struct Bucket {
    index: usize,
    count: f64,
    step: f64,
    seconds: f64,
    value: f64,
    least: f64,
    most: f64,
}

impl Curve {
    /// A curve of up to `limit` buckets, of one at least.
    pub fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            width: 1,
            buckets: Vec::new(),
        }
    }

    /// Adds a value; steps must come in ascending order. A value that is not finite is left out.
    pub fn add(&mut self, step: usize, seconds: f64, value: f64) {
        if !value.is_finite() {
            return;
        }
        self.buckets.push(Bucket {
            index: step / self.width,
            count: 1.0,
            step: step as f64,
            seconds,
            value,
            least: value,
            most: value,
        });
        self.fuse_last();
        self.keep_to_limit();
    }

    /// Adds all points of another curve, such as that of another seed.
    pub fn merge(&mut self, mut other: Self) {
        while self.width < other.width {
            self.coarsen();
        }
        while other.width < self.width {
            other.coarsen();
        }
        self.buckets.append(&mut other.buckets);
        self.buckets.sort_by_key(|bucket| bucket.index);
        self.fuse();
        self.keep_to_limit();
    }

    /// The same curve with another limit.
    pub(super) fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit.max(1);
        self.keep_to_limit();
        self
    }

    /// Its points, in ascending order.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = Point> + '_ {
        self.buckets.iter().map(Bucket::point)
    }

    /// Whether it has no point.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    fn keep_to_limit(&mut self) {
        while self.buckets.len() > self.limit {
            self.coarsen();
        }
    }

    fn coarsen(&mut self) {
        self.width *= 2;
        for bucket in &mut self.buckets {
            bucket.index /= 2;
        }
        self.fuse();
    }

    /// Merges neighbours of the same steps.
    fn fuse(&mut self) {
        self.buckets.dedup_by(|next, kept| kept.take(next));
    }

    /// The same for the last two alone.
    fn fuse_last(&mut self) {
        if let [.., kept, last] = &mut self.buckets[..]
            && kept.take(last)
        {
            self.buckets.pop();
        }
    }
}

impl Bucket {
    /// Takes in another bucket if it is of the same steps; whether it was.
    fn take(&mut self, other: &Self) -> bool {
        if self.index != other.index {
            return false;
        }
        self.count += other.count;
        self.step += other.step;
        self.seconds += other.seconds;
        self.value += other.value;
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
        true
    }

    fn point(&self) -> Point {
        Point {
            step: self.step / self.count,
            seconds: self.seconds / self.count,
            mean: self.value / self.count,
            least: self.least,
            most: self.most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spike_is_lost_and_the_mean_is_that_of_all() {
        let mut curve = Curve::new(100);
        let value = |step: usize| match step {
            7_777 => 50.0,
            5_555 => -50.0,
            _ => (step % 3) as f64,
        };
        (1..=10_000).for_each(|step| curve.add(step, 0.0, value(step)));
        let points: Vec<Point> = curve.points().collect();
        assert!((51..=100).contains(&points.len()), "{}", points.len());
        let most = points.iter().map(|p| p.most).fold(f64::MIN, f64::max);
        let least = points.iter().map(|p| p.least).fold(f64::MAX, f64::min);
        assert_eq!((least, most), (-50.0, 50.0));
        assert!(points.is_sorted_by(|a, b| a.step < b.step));
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let mut curve = Curve::new(10);
        (1..=10).for_each(|i| curve.add(100 * i, i as f64, i as f64));
        curve.add(2_000, 0.0, f64::NAN);
        let points: Vec<_> = curve.points().map(|p| (p.step, p.mean, p.most)).collect();
        let expected: Vec<_> = (1..=10).map(f64::from).map(|i| (100.0 * i, i, i)).collect();
        assert_eq!(points, expected);
    }

    #[test]
    fn curves_of_several_seeds_have_a_mean_and_a_range() {
        let [mut first, mut second] = [8, 4].map(Curve::new);
        for step in 1..=8 {
            first.add(step, 1.0, 1.0);
            second.add(step, 3.0, 3.0);
        }
        first.merge(second);
        for point in first.points() {
            assert_eq!((point.mean, point.least, point.most), (2.0, 1.0, 3.0));
            assert_eq!(point.seconds, 2.0);
        }
    }
}
