//! Batches of a data set that stays on the adapter.

use burn::tensor::{Device, Tensor};
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::cubecl::server::Handle;

use super::{Buffer, one_each, suits};

/// Bytes in a word: kernels read nothing smaller.
const WORD: usize = 4;

/// Examples of as many bytes each, and their classes.
pub(crate) struct Table {
    examples: Stored,
    classes: Stored,
    /// Bytes of an example.
    width: usize,
    /// Lies on the adapter.
    beside: Buffer,
}

/// Bytes on an adapter, in words.
struct Stored {
    handle: Handle,
    words: usize,
}

impl Table {
    /// Brings examples to a device; none if they do not fit into a buffer there, or it is no adapter.
    pub fn new(examples: &[u8], classes: &[u8], device: &Device) -> Option<Self> {
        let beside = Tensor::<1>::zeros([1], device);
        if classes.is_empty() || !suits(&beside) {
            return None;
        }
        let beside = Buffer::of(beside);
        let most = beside.client().properties().memory.max_page_size;
        // Kernels count in 32 bits.
        if examples.len() as u64 > most.min(u32::MAX.into()) {
            return None;
        }
        let stored = |bytes: &[u8]| Stored {
            words: bytes.len().div_ceil(WORD),
            handle: match bytes.len().is_multiple_of(WORD) {
                true => beside.client().create_from_slice(bytes),
                false => {
                    let mut padded = bytes.to_vec();
                    padded.resize(bytes.len().next_multiple_of(WORD), 0);
                    beside.client().create_from_slice(&padded)
                }
            },
        };
        Some(Self {
            examples: stored(examples),
            classes: stored(classes),
            width: examples.len() / classes.len(),
            beside,
        })
    }

    /// Some examples, bytes scaled to `[0, 1]`, `[rows, bytes]`, and their classes one-hot,
    /// `[rows, classes]`. Each row is that of an example.
    pub fn rows(&self, rows: &[usize], classes: usize) -> [Buffer; 2] {
        let client = self.beside.client();
        let inputs = self.beside.new_beside([rows.len(), self.width]);
        let targets = self.beside.new_beside([rows.len(), classes]);
        let bytes: Vec<u8> = rows
            .iter()
            .flat_map(|&row| (row as u32).to_ne_bytes())
            .collect();
        let which = Stored {
            handle: client.create_from_slice(&bytes),
            words: rows.len(),
        };
        let (count, dim) = one_each(client, inputs.len() + targets.len());
        // SAFETY: the rows are those of examples, and what is beyond the last unit does nothing.
        unsafe {
            gather_kernel::launch_unchecked(
                client,
                count,
                dim,
                self.examples.arg(),
                self.classes.arg(),
                which.arg(),
                inputs.arg(),
                targets.arg(),
                self.width,
                classes,
            );
        };
        [inputs, targets]
    }
}

impl Stored {
    fn arg(&self) -> BufferArg {
        // SAFETY: it has so many words.
        unsafe { BufferArg::from_raw_parts(self.handle.clone(), self.words) }
    }
}

/// The byte of some number in words.
#[cube]
fn byte(words: &[u32], at: usize) -> u32 {
    (words[at / WORD] >> (u32::cast_from(at % WORD) * 8u32)) & 255u32
}

/// One unit for each number of both results, one result after the other.
#[cube(launch_unchecked)]
fn gather_kernel(
    examples: &[u32],
    classes: &[u32],
    which: &[u32],
    inputs: &mut [f32],
    targets: &mut [f32],
    width: usize,
    targets_width: usize,
) {
    if ABSOLUTE_POS < inputs.len() {
        let row = usize::cast_from(which[ABSOLUTE_POS / width]);
        let value = byte(examples, row * width + ABSOLUTE_POS % width);
        inputs[ABSOLUTE_POS] = f32::cast_from(value) / 255.0f32;
    } else {
        let at = ABSOLUTE_POS - inputs.len();
        if at < targets.len() {
            let row = usize::cast_from(which[at / targets_width]);
            let class = usize::cast_from(byte(classes, row));
            targets[at] = select(class == at % targets_width, 1.0f32, 0.0f32);
        }
    }
}
