//! Glyphs: images of digits that are drawn from the run's seed, so that nothing is downloaded.
//!
//! Every digit has several shapes. Each is drawn with displaced points, scaled, sheared, turned and
//! shifted, with a pen of random width and darkness; then something may be wiped away or added, and
//! there is noise. The test error of a linear classifier is about a quarter, of a dense network of
//! four layers one in fifty, of a convolutional network less than one in a hundred.

mod canvas;
mod shapes;

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use rayon::prelude::*;

use self::canvas::{Canvas, Point, smooth};
use self::shapes::{DIGITS, Stroke};
use super::{ImageSet, ImageShape, Images, Stream, generator};

const SIDE: usize = 28;
const SHAPE: ImageShape = ImageShape {
    channels: 1,
    height: SIDE,
    width: SIDE,
};

/// Words of the generator that are set aside for one image.
const WORDS: u128 = 1 << 12;
/// Where the test images begin, far behind the last training image.
const TEST: u128 = 1 << 40;

/// A set of glyphs: grey, 28 x 28, ten classes.
///
/// Each image depends on the seed and its number alone, so a smaller set is the beginning of a
/// larger one.
pub fn glyphs(seed: u64, train: usize, test: usize) -> ImageSet {
    ImageSet {
        train: images(seed, 0, train),
        test: images(seed, TEST, test),
    }
}

fn images(seed: u64, first: u128, count: usize) -> Images {
    let mut pixels = vec![0; count * SHAPE.len()];
    let mut labels = vec![0; count];
    pixels
        .par_chunks_exact_mut(SHAPE.len())
        .zip(&mut labels)
        .enumerate()
        .for_each(|(i, (pixels, label))| {
            let mut rng = generator(seed, Stream::Examples);
            rng.set_word_pos((first + i as u128) * WORDS);
            let digit = rng.random_range(0..DIGITS.len());
            *label = digit as u8;
            draw(digit, &mut rng, pixels);
        });
    Images::new(pixels, labels, SHAPE, DIGITS.len())
        .expect("every image has a pixel for each place")
}

/// Draws a digit, one byte a pixel.
fn draw(digit: usize, rng: &mut impl Rng, pixels: &mut [u8]) {
    let shapes = DIGITS[digit];
    let shape = shapes[rng.random_range(0..shapes.len())];
    let hand = Hand::of(rng);
    let mut canvas = Canvas::new(SIDE);
    for stroke in shape {
        canvas.draw(&hand.line(stroke, rng), hand.radius, hand.ink);
    }
    disturb(&mut canvas, rng);
    let noise = rng.random_range(0.0..0.12);
    for (pixel, value) in pixels.iter_mut().zip(&canvas.values) {
        // The sum of four even numbers is close enough to a normal one.
        let bytes = rng.random::<u32>().to_le_bytes();
        let sum: u16 = bytes.iter().map(|&byte| u16::from(byte)).sum();
        let normal = (f32::from(sum) - 510.0) / 148.0;
        *pixel = ((value + noise * normal).clamp(0.0, 1.0) * 255.0) as u8;
    }
}

/// How one digit is written.
struct Hand {
    /// From the unit square, with its centre at zero, to pixels.
    map: [[f32; 2]; 2],
    shift: Point,
    radius: f32,
    ink: f32,
    /// How far points go astray, in units of the square.
    unsteadiness: f32,
}

impl Hand {
    fn of(rng: &mut impl Rng) -> Self {
        let angle: f32 = 0.2 * normal(rng);
        let shear: f32 = 0.2 * normal(rng);
        let size: f32 = rng.random_range(15.0..21.0);
        let (width, height) = (size * rng.random_range(0.65..1.0), size);
        let (sin, cos) = angle.sin_cos();
        // Scaled, then sheared, then turned.
        let map = [
            [cos * width, (cos * shear - sin) * height],
            [sin * width, (sin * shear + cos) * height],
        ];
        let centre = (SIDE as f32 - 1.0) / 2.0;
        let mut place = || centre + (1.5 * normal(rng)).clamp(-3.0, 3.0);
        Self {
            map,
            shift: (place(), place()),
            radius: rng.random_range(0.5..1.6),
            ink: rng.random_range(0.6..1.0),
            unsteadiness: rng.random_range(0.0..0.05),
        }
    }

    /// A stroke as this hand writes it, in pixels.
    fn line(&self, stroke: &Stroke, rng: &mut impl Rng) -> Vec<Point> {
        let is_closed = stroke.points.first() == stroke.points.last();
        let mut points: Vec<Point> = stroke
            .points
            .iter()
            .map(|&(x, y)| {
                let x = x - 0.5 + self.unsteadiness * normal(rng);
                let y = y - 0.5 + self.unsteadiness * normal(rng);
                let [a, b] = self.map;
                let place = |row: [f32; 2], shift| row[0] * x + row[1] * y + shift;
                (place(a, self.shift.0), place(b, self.shift.1))
            })
            .collect();
        if is_closed {
            let last = points.len() - 1;
            points[last] = points[0];
        }
        if stroke.is_smooth {
            smooth(&points)
        } else {
            points
        }
    }
}

/// Wipes a bar away, or adds a stroke that means nothing, or neither.
fn disturb(canvas: &mut Canvas, rng: &mut impl Rng) {
    let side = SIDE as f32;
    let chance: f32 = rng.random();
    let mut point = || (rng.random_range(0.0..side), rng.random_range(0.0..side));
    let (from, to) = (point(), point());
    if chance < 0.2 {
        canvas.wipe(from, to, rng.random_range(0.5..1.5));
    } else if chance < 0.35 {
        let part = rng.random_range(0.2..0.4);
        let end = (
            from.0 + part * (to.0 - from.0),
            from.1 + part * (to.1 - from.1),
        );
        canvas.draw(
            &[from, end],
            rng.random_range(0.4..1.0),
            rng.random_range(0.4..0.9),
        );
    }
}

fn normal(rng: &mut impl Rng) -> f32 {
    rng.sample(StandardNormal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_depend_on_seed_and_number_alone() {
        let many = glyphs(1, 50, 20);
        let few = glyphs(1, 20, 10);
        assert_eq!(many.train.clone().take(20), few.train);
        assert_eq!(many.test.clone().take(10), few.test);
        let other = glyphs(2, 50, 20);
        assert_ne!(many.train, other.train);
        assert_ne!(many.train.clone().take(20), many.test);
    }

    #[test]
    fn every_digit_occurs_and_has_ink_but_not_everywhere() {
        let set = glyphs(3, 400, 0).train;
        let mut counts = [0; 10];
        for i in 0..set.len() {
            counts[set.label(i)] += 1;
            let ink = set.pixels(i).iter().filter(|&&pixel| pixel > 110).count();
            assert!((8..400).contains(&ink), "image {i} has {ink} dark pixels");
        }
        assert!(counts.iter().all(|&count| count > 15), "{counts:?}");
    }

    #[test]
    fn an_image_uses_no_more_of_the_generator_than_is_set_aside() {
        for seed in 0..50 {
            let mut rng = generator(seed, Stream::Examples);
            draw((seed % 10) as usize, &mut rng, &mut [0; SIDE * SIDE]);
            assert!(rng.get_word_pos() < WORDS, "{}", rng.get_word_pos());
        }
    }
}
