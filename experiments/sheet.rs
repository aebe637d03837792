//! A sheet of sample images.

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use dni::data::Images;

use crate::args::Misuse;
use crate::output;

/// Samples of each class.
const COLUMNS: usize = 16;
/// Pixels between two of them.
const GAP: usize = 2;

/// Refuses the name of a file of another kind.
pub fn check(path: &Path) -> Result<(), Misuse> {
    match dni::run::is_stream(path) || output::ending(path).as_deref() == Some("png") {
        true => Ok(()),
        false => Err(Misuse(format!(
            "samples are written as PNG, but the file is '{}'; choose a name that ends in .png",
            path.display()
        ))),
    }
}

/// Writes a PNG file with the first images of every class, a row for each.
pub fn write(path: &Path, images: &Images) -> anyhow::Result<()> {
    let shape = images.shape();
    let (cell_width, cell_height) = (shape.width + GAP, shape.height + GAP);
    let width = COLUMNS * cell_width + GAP;
    let height = images.classes() * cell_height + GAP;
    let mut sheet = vec![128; width * height * shape.channels];
    let mut filled = vec![0; images.classes()];
    for image in 0..images.len() {
        let class = images.label(image);
        let column = filled[class];
        if column == COLUMNS {
            continue;
        }
        filled[class] += 1;
        let (left, top) = (GAP + column * cell_width, GAP + class * cell_height);
        for (i, pixel) in images.pixels(image).iter().enumerate() {
            let (channel, place) = (
                i / (shape.height * shape.width),
                i % (shape.height * shape.width),
            );
            let (row, column) = (top + place / shape.width, left + place % shape.width);
            sheet[(row * width + column) * shape.channels + channel] = *pixel;
        }
    }
    let file = encode(&sheet, [width, height], shape.channels)
        .with_context(|| format!("cannot make the image '{}'", path.display()))?;
    Ok(dni::run::write_atomically(path, &file)?)
}

/// The bytes of a PNG file of these pixels, channels side by side.
fn encode(pixels: &[u8], [width, height]: [usize; 2], channels: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, u32::try_from(width)?, u32::try_from(height)?);
    encoder.set_color(match channels {
        1 => png::ColorType::Grayscale,
        _ => png::ColorType::Rgb,
    });
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    bytes.flush()?;
    Ok(bytes)
}
