//! A drawing as a PNG file: dark on white, edges smoothed.

use super::drawing::{Anchor, Drawing, Paint, Shape, colour};
use super::letters;

/// Pixels for a unit of the drawing.
const SCALE: f64 = 2.0;
const INK: [u8; 3] = [0x22, 0x22, 0x22];
const FAINT: [u8; 3] = [0xdd, 0xdd, 0xdd];

impl Drawing {
    /// The bytes of a PNG file.
    pub fn to_png(&self) -> Vec<u8> {
        let mut canvas = Canvas::new(
            (self.width * SCALE).ceil() as usize,
            (self.height * SCALE).ceil() as usize,
        );
        for shape in &self.shapes {
            canvas.paint(shape);
        }
        canvas.encode()
    }
}

/// Pixels, red, green and blue.
struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            pixels: vec![[0xff; 3]; width * height],
        }
    }

    fn paint(&mut self, shape: &Shape) {
        let scaled = |[x, y]: [f64; 2]| [x * SCALE, y * SCALE];
        match shape {
            Shape::Line {
                points,
                paint,
                width,
            } => {
                let points: Vec<_> = points.iter().copied().map(scaled).collect();
                self.line(&points, width * SCALE, pigment(*paint));
            }
            Shape::Band { edges, paint } => {
                let edges: Vec<_> = edges.iter().map(|edge| edge.map(|v| v * SCALE)).collect();
                self.band(&edges, pigment(*paint));
            }
            Shape::Text {
                at: [x, y],
                anchor,
                size,
                text,
            } => {
                let width = letters::width(text, *size);
                let start = match anchor {
                    Anchor::Start => *x,
                    Anchor::Middle => x - width / 2.0,
                    Anchor::End => x - width,
                };
                for stroke in letters::strokes(text, [start, *y], *size) {
                    let stroke: Vec<_> = stroke.into_iter().map(scaled).collect();
                    self.line(&stroke, 0.1 * size * SCALE, INK);
                }
            }
        }
    }

    /// A line with round ends and corners. A pixel is covered as far as it is within half the
    /// width of the nearest of its parts, so that parts that overlap are not painted twice.
    fn line(&mut self, points: &[[f64; 2]], width: f64, pigment: [u8; 3]) {
        let reach = width / 2.0 + 0.5;
        let mut nearest = std::collections::BTreeMap::new();
        let alone = points.len() == 1;
        let parts = points.windows(if alone { 1 } else { 2 });
        for part in parts {
            let (from, to) = (part[0], part[part.len() - 1]);
            let columns = span(
                from[0].min(to[0]) - reach,
                from[0].max(to[0]) + reach,
                self.width,
            );
            let rows = span(
                from[1].min(to[1]) - reach,
                from[1].max(to[1]) + reach,
                self.height,
            );
            for y in rows {
                for x in columns.clone() {
                    let distance = distance([x as f64 + 0.5, y as f64 + 0.5], from, to);
                    if distance < reach {
                        let known = nearest.entry(y * self.width + x).or_insert(distance);
                        *known = known.min(distance);
                    }
                }
            }
        }
        for (at, distance) in nearest {
            self.blend(at, pigment, (reach - distance).min(1.0));
        }
    }

    /// The area between an upper and a lower line, column by column.
    fn band(&mut self, edges: &[[f64; 3]], pigment: [u8; 3]) {
        const OPACITY: f64 = 0.2;
        let (Some(first), Some(last)) = (edges.first(), edges.last()) else {
            return;
        };
        for x in span(first[0], last[0], self.width) {
            let at = x as f64 + 0.5;
            let right = edges.partition_point(|[edge, ..]| *edge <= at);
            let (Some(b), Some(a)) = (edges.get(right), edges.get(right.wrapping_sub(1))) else {
                continue;
            };
            let share = (at - a[0]) / (b[0] - a[0]).max(f64::MIN_POSITIVE);
            let [upper, lower] = [1, 2].map(|i| a[i] + share * (b[i] - a[i]));
            for y in span(upper, lower, self.height) {
                let covered = (lower.min(y as f64 + 1.0) - upper.max(y as f64)).clamp(0.0, 1.0);
                self.blend(y * self.width + x, pigment, OPACITY * covered);
            }
        }
    }

    fn blend(&mut self, at: usize, pigment: [u8; 3], opacity: f64) {
        for (channel, new) in self.pixels[at].iter_mut().zip(pigment) {
            let old = f64::from(*channel);
            *channel = (old + opacity * (f64::from(new) - old)).round() as u8;
        }
    }

    fn encode(&self) -> Vec<u8> {
        let side = |pixels: usize| u32::try_from(pixels).expect("drawings are small");
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, side(self.width), side(self.height));
        encoder.set_color(png::ColorType::Rgb);
        encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(self.pixels.as_flattened()))
            .expect("an image of the right size can always be written to memory");
        bytes
    }
}

fn pigment(paint: Paint) -> [u8; 3] {
    match paint {
        Paint::Faint => FAINT,
        Paint::Ink => INK,
        Paint::Curve(number) => colour(number),
    }
}

/// The pixels that an extent touches, of `most`.
fn span(low: f64, high: f64, most: usize) -> std::ops::Range<usize> {
    // A cast takes negative numbers to zero.
    low.floor() as usize..(high.ceil() as usize).min(most)
}

/// The distance from a point to a line segment.
fn distance([x, y]: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let length = along[0] * along[0] + along[1] * along[1];
    let dot = (x - from[0]) * along[0] + (y - from[1]) * along[1];
    let share = (dot / length.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
    (x - from[0] - share * along[0]).hypot(y - from[1] - share * along[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_covers_its_width_and_no_pixel_twice() {
        let mut canvas = Canvas::new(20, 9);
        canvas.line(&[[2.0, 4.5], [10.0, 4.5], [18.0, 4.5]], 3.0, [0; 3]);
        let column = |x: usize| (0..9).map(move |y| y * 20 + x);
        for x in [5, 10, 15] {
            let dark: Vec<u8> = column(x).map(|at| 255 - canvas.pixels[at][0]).collect();
            assert_eq!(dark, [0, 0, 0, 255, 255, 255, 0, 0, 0]);
        }
    }

    #[test]
    fn a_band_lies_between_its_edges() {
        let mut canvas = Canvas::new(10, 10);
        canvas.band(&[[0.0, 2.0, 5.0], [10.0, 2.0, 5.0]], [0; 3]);
        let column: Vec<bool> = (0..10)
            .map(|y| canvas.pixels[y * 10 + 4][0] < 255)
            .collect();
        let expected: Vec<bool> = (0..10).map(|y| (2..5).contains(&y)).collect();
        assert_eq!(column, expected);
    }
}
