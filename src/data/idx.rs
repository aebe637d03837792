//! IDX files, the format of MNIST and its successors: a magic number, the sizes of all dimensions
//! (each four bytes, big-endian), then one byte per value. Raw or gzipped.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;

use super::{ImageShape, Images};
use crate::error::{Error, Result};

const CLASSES: usize = 10;
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];
/// No data set is nearly as large: a header that promises more is there to fill the memory.
const MOST_VALUES: u64 = 1 << 31;

/// The images of two IDX files, raw or gzipped: one of images, one of labels from 0 to 9.
///
/// # Errors
///
/// If a file cannot be read, is not an IDX file, is truncated, or the two do not belong together.
pub fn read_idx(images: &Path, labels: &Path) -> Result<Images> {
    let pixels = Idx::<3>::read(images, "images")?;
    let classes = Idx::<1>::read(labels, "labels")?;
    let [count, height, width] = pixels.sizes;
    if [count] != classes.sizes {
        return Err(damaged(
            labels,
            format!("{count} labels, as '{}' has images", images.display()),
            format!("{} labels", classes.sizes[0]),
        ));
    }
    let shape = ImageShape {
        channels: 1,
        height,
        width,
    };
    if count == 0 || shape.is_empty() {
        return Err(damaged(
            images,
            "images".to_string(),
            format!("{count} of {height} x {width} pixels"),
        ));
    }
    Images::new(pixels.values, classes.values, shape, CLASSES)
        .map_err(|error| damaged(labels, "labels from 0 to 9".to_string(), error.to_string()))
}

/// The content of an IDX file of `D` dimensions.
struct Idx<const D: usize> {
    sizes: [usize; D],
    values: Vec<u8>,
}

impl<const D: usize> Idx<D> {
    fn read(path: &Path, what: &str) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        if bytes.starts_with(&GZIP) {
            // Of several members, so that bytes after the first are noticed.
            Self::parse(MultiGzDecoder::new(&bytes[..]), path, what)
        } else {
            Self::parse(&bytes[..], path, what)
        }
    }

    fn parse(mut bytes: impl Read, path: &Path, what: &str) -> Result<Self> {
        let mut number = || -> Result<usize> {
            let mut number = [0; 4];
            bytes.read_exact(&mut number).map_err(|error| {
                damaged(
                    path,
                    format!("an IDX file of {what}"),
                    format!("none ({error})"),
                )
            })?;
            Ok(u32::from_be_bytes(number) as usize)
        };
        // Two zeros, 8 for bytes, and the number of dimensions.
        let (magic, expected) = (number()?, 0x0800 + D);
        if magic != expected {
            return Err(damaged(
                path,
                format!("an IDX file of {what}, which begins with {expected:#010x}"),
                format!("{magic:#010x}"),
            ));
        }
        let mut sizes = [0; D];
        for size in &mut sizes {
            *size = number()?;
        }
        let promised = sizes
            .iter()
            .try_fold(1_usize, |n, &size| n.checked_mul(size));
        let expectation = || format!("{sizes:?} values, as its header says");
        let promised = promised.and_then(|n| u64::try_from(n).ok());
        let promised = promised.filter(|&n| n <= MOST_VALUES);
        let promised = promised.ok_or_else(|| {
            damaged(
                path,
                format!("at most {MOST_VALUES} values"),
                format!("{sizes:?}"),
            )
        })?;
        // One more, to notice a file that is too long; no more, whatever it unpacks to.
        let mut values = Vec::new();
        bytes
            .take(promised + 1)
            .read_to_end(&mut values)
            .map_err(|error| damaged(path, expectation(), error.to_string()))?;
        if values.len() as u64 != promised {
            let found = match values.len() as u64 > promised {
                true => "more".to_string(),
                false => format!("only {}", values.len()),
            };
            return Err(damaged(path, expectation(), found));
        }
        Ok(Self { sizes, values })
    }
}

fn damaged(path: &Path, expected: String, found: String) -> Error {
    Error::Data {
        path: PathBuf::from(path),
        expected,
        found,
    }
}
