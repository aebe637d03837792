//! Drawing: lines of a pen on a small grey canvas.

/// Points between two points of a smooth stroke.
const BETWEEN: usize = 6;

/// A point, in pixels from the top left.
pub(super) type Point = (f32, f32);

/// A square of grey values from 0 to 1.
pub(super) struct Canvas {
    pub values: Vec<f32>,
    side: usize,
}

impl Canvas {
    /// An empty one.
    pub fn new(side: usize) -> Self {
        Self {
            values: vec![0.0; side * side],
            side,
        }
    }

    /// Draws a line through `points` with a round pen of this radius, whose edge takes one pixel
    /// to fade. Where lines cross, the darker one counts.
    pub fn draw(&mut self, points: &[Point], radius: f32, ink: f32) {
        for pair in points.windows(2) {
            self.near(pair[0], pair[1], radius + 0.5, |value, distance| {
                let cover = (radius + 0.5 - distance).clamp(0.0, 1.0);
                *value = value.max(ink * cover);
            });
        }
    }

    /// Wipes a line away.
    pub fn wipe(&mut self, from: Point, to: Point, radius: f32) {
        self.near(from, to, radius + 0.5, |value, distance| {
            let cover = (radius + 0.5 - distance).clamp(0.0, 1.0);
            *value *= 1.0 - cover;
        });
    }

    /// Calls `change` on every pixel within `reach` of a segment, with its distance from that.
    fn near(&mut self, from: Point, to: Point, reach: f32, change: impl Fn(&mut f32, f32)) {
        let side = self.side;
        let range = |a: f32, b: f32| {
            let first = (a.min(b) - reach).floor().max(0.0) as usize;
            let last = (a.max(b) + reach).ceil().max(0.0) as usize;
            first.min(side)..(last + 1).min(side)
        };
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = (dx * dx + dy * dy).max(1e-12);
        for row in range(from.1, to.1) {
            for column in range(from.0, to.0) {
                let (x, y) = (column as f32 - from.0, row as f32 - from.1);
                let along = ((x * dx + y * dy) / length).clamp(0.0, 1.0);
                let (x, y) = (x - along * dx, y - along * dy);
                let distance = (x * x + y * y).sqrt();
                if distance <= reach {
                    change(&mut self.values[row * side + column], distance);
                }
            }
        }
    }
}

/// A smooth line through some points: a Catmull-Rom spline in small straight pieces.
pub(super) fn smooth(points: &[Point]) -> Vec<Point> {
    let last = points.len() - 1;
    let is_closed = points[0] == points[last];
    // What lies beyond the ends bends the line there.
    let at = |i: isize| match (usize::try_from(i), is_closed) {
        (Err(_), true) => points[last - 1],
        (Err(_), false) => points[0],
        (Ok(i), true) if i > last => points[1],
        (Ok(i), _) => points[i.min(last)],
    };
    let mut line = Vec::with_capacity(last * BETWEEN + 1);
    for i in 0..last as isize {
        let [a, b, c, d] = [at(i - 1), at(i), at(i + 1), at(i + 2)];
        for step in 0..BETWEEN {
            let t = step as f32 / BETWEEN as f32;
            let blend = |a: f32, b: f32, c: f32, d: f32| {
                b + 0.5
                    * t
                    * ((c - a)
                        + t * ((2.0 * a - 5.0 * b + 4.0 * c - d) + t * (3.0 * (b - c) + d - a)))
            };
            line.push((blend(a.0, b.0, c.0, d.0), blend(a.1, b.1, c.1, d.1)));
        }
    }
    line.push(points[last]);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smooth_line_goes_through_its_points() {
        let points = [(0.0, 0.0), (3.0, 1.0), (4.0, 5.0), (0.0, 0.0)];
        let line = smooth(&points);
        assert_eq!(line.len(), 3 * BETWEEN + 1);
        for (i, point) in points.iter().enumerate() {
            assert_eq!(line[i * BETWEEN], *point);
        }
    }

    #[test]
    fn a_pen_leaves_its_width() {
        let mut canvas = Canvas::new(5);
        canvas.draw(&[(0.0, 2.0), (4.0, 2.0)], 0.5, 1.0);
        let column: Vec<f32> = (0..5).map(|row| canvas.values[row * 5 + 2]).collect();
        assert_eq!(column, [0.0, 0.0, 1.0, 0.0, 0.0]);
        canvas.wipe((2.0, 0.0), (2.0, 4.0), 0.5);
        assert_eq!(canvas.values[2 * 5 + 2], 0.0);
        assert_eq!(canvas.values[2 * 5], 1.0);
        // Beyond the edge there is nothing to draw on.
        canvas.draw(&[(-9.0, -9.0), (-5.0, 40.0)], 1.0, 1.0);
    }
}
