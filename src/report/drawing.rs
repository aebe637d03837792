//! A drawing: simple shapes on a plane, which become an SVG file.

/// Shapes in the order in which they are painted.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawing {
    /// The width in pixels.
    pub width: f64,
    /// The height in pixels.
    pub height: f64,
    /// What is on it; `y` grows downwards.
    pub shapes: Vec<Shape>,
}

/// A shape.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A line through points.
    Line {
        /// The points.
        points: Vec<[f64; 2]>,
        /// What it is drawn with.
        paint: Paint,
        /// How thick it is.
        width: f64,
    },
    /// The area between two lines, `[x, upper, lower]` at each place from left to right.
    Band {
        /// The places.
        edges: Vec<[f64; 3]>,
        /// What it is filled with.
        paint: Paint,
    },
    /// A line of text.
    Text {
        /// Where its base line begins, is centred or ends.
        at: [f64; 2],
        /// Which of these.
        anchor: Anchor,
        /// The height of its letters.
        size: f64,
        /// What it says.
        text: String,
    },
}

/// Which part of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its beginning.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// What a shape is drawn with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Paint {
    /// The grid.
    Faint,
    /// The colour of text.
    Ink,
    /// A curve, by its number.
    Curve(usize),
}

/// Colours that can be told apart on white and on black.
pub(super) const COLOURS: usize = 8;

/// The colour of a curve by its number, red, green and blue: eight that can be told apart on white
/// and on black, then hues as far apart as may be.
pub fn colour(number: usize) -> [u8; 3] {
    const FIRST: [[u8; 3]; COLOURS] = [
        [0x3b, 0x7d, 0xd8],
        [0xe0, 0x75, 0x2d],
        [0x2e, 0x9e, 0x5b],
        [0xc9, 0x41, 0x7a],
        [0x8d, 0x63, 0xd2],
        [0xb5, 0x9a, 0x1d],
        [0x17, 0xa2, 0xb8],
        [0x8a, 0x6d, 0x5a],
    ];
    const GOLDEN_ANGLE: f64 = 137.508;
    let hue = || number as f64 * GOLDEN_ANGLE % 360.0;
    FIRST.get(number).copied().unwrap_or_else(|| of_hue(hue()))
}

/// A colour of half lightness and saturation, by its hue in degrees.
fn of_hue(hue: f64) -> [u8; 3] {
    [0.0, 8.0, 4.0].map(|n| {
        let k: f64 = (n + hue / 30.0) % 12.0;
        let value = 0.5 - 0.25 * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (255.0 * value).round() as u8
    })
}

/// A colour as HTML and SVG write it.
pub fn hexadecimal([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_has_a_colour_of_its_own() {
        let colours: Vec<_> = (0..50).map(|i| hexadecimal(colour(i))).collect();
        let mut different = colours.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), colours.len());
        assert_eq!(of_hue(0.0), [0xbf, 0x40, 0x40]);
        assert_eq!(of_hue(120.0), [0x40, 0xbf, 0x40]);
    }
}
