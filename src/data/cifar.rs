//! The binary batches of CIFAR-10: for every image a byte for its class, then 1,024 bytes each of
//! red, green and blue, row after row.

use std::path::{Path, PathBuf};

use super::{ImageShape, Images};
use crate::error::{Error, Result};

const CLASSES: usize = 10;
const SHAPE: ImageShape = ImageShape {
    channels: 3,
    height: 32,
    width: 32,
};

/// The images of some batches, file after file.
///
/// # Errors
///
/// If a file cannot be read, or is not made of whole images with classes from 0 to 9.
pub fn read_cifar(batches: &[impl AsRef<Path>]) -> Result<Images> {
    let batches = batches.iter().map(|path| {
        let path = path.as_ref().to_path_buf();
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        Ok((path, bytes))
    });
    read_batches(&batches.collect::<Result<Vec<_>>>()?)
}

/// The images of the content of some batches, with the file of each.
///
/// # Errors
///
/// As [`read_cifar`].
pub(super) fn read_batches(batches: &[(PathBuf, Vec<u8>)]) -> Result<Images> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for (path, bytes) in batches {
        let damaged = |expected: &str, found: String| Error::Data {
            path: path.clone(),
            expected: expected.to_string(),
            found,
        };
        let record = 1 + SHAPE.len();
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            let found = format!("{} bytes", bytes.len());
            return Err(damaged("a CIFAR-10 batch, 3073 bytes an image", found));
        }
        for record in bytes.chunks_exact(record) {
            let (label, image) = (record[0], &record[1..]);
            if usize::from(label) >= CLASSES {
                return Err(damaged("classes from 0 to 9", format!("class {label}")));
            }
            labels.push(label);
            pixels.extend_from_slice(image);
        }
    }
    Images::new(pixels, labels, SHAPE, CLASSES)
}
