//! The metrics of a run for TensorBoard: a file of records, each a protocol buffer.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, Result};
use crate::train::{Event, Listener, Scalars};

/// A listener that writes an event file for TensorBoard: losses, evaluations and the quality of
/// synthetic gradients.
pub struct TensorBoard {
    path: PathBuf,
    file: BufWriter<File>,
    /// The name of every interface.
    interfaces: Vec<String>,
}

impl TensorBoard {
    /// Creates a file in a folder, for a run with these interfaces. TensorBoard merges the files of
    /// a folder.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn create(folder: &Path, interfaces: &[&str]) -> Result<Self> {
        // TensorBoard looks for names with this word, and reads them in their order.
        let name = format!("events.out.tfevents.{:.0}.dni", 1e6 * now());
        let path = folder.join(name);
        let file = File::create(&path).map_err(Error::io("create", &path))?;
        let mut board = Self {
            path,
            file: BufWriter::new(file),
            interfaces: interfaces.iter().map(ToString::to_string).collect(),
        };
        board.write(0, |event| event.bytes(3, b"brain.Event:2"))?;
        Ok(board)
    }

    /// Says that training goes on after a step: what an earlier file holds of the next ones is void.
    fn restart(&mut self, step: usize) -> Result<()> {
        const START: u64 = 1;
        self.write(step + 1, |event| {
            event.message(7, |session| session.varint(1, START));
        })
    }

    fn write_scalars(&mut self, scalars: &Scalars) -> Result<()> {
        let mut metrics = vec![("loss".to_string(), scalars.loss)];
        for (name, losses) in Scalars::LOSSES.iter().zip(scalars.losses()) {
            for (interface, loss) in self.interfaces.iter().zip(losses) {
                metrics.extend(loss.map(|loss| (format!("{name}/{interface}"), loss)));
            }
        }
        self.write_metrics(scalars.step, metrics)
    }

    fn write_metrics(
        &mut self,
        step: usize,
        metrics: impl IntoIterator<Item = (String, f64)>,
    ) -> Result<()> {
        self.write(step, |event| {
            event.message(5, |summary| {
                for (name, metric) in metrics {
                    summary.message(1, |value| {
                        value.bytes(1, name.as_bytes());
                        value.float(2, metric as f32);
                    });
                }
            });
        })
    }

    /// Writes a record: its length and the event, each with a checksum.
    fn write(&mut self, step: usize, fill: impl FnOnce(&mut Message)) -> Result<()> {
        let mut event = Message::default();
        event.double(1, now());
        event.varint(2, step as u64);
        fill(&mut event);
        let length = (event.0.len() as u64).to_le_bytes();
        [&length, &event.0[..]]
            .into_iter()
            .try_for_each(|part| {
                self.file.write_all(part)?;
                self.file.write_all(&masked_crc32c(part).to_le_bytes())
            })
            .map_err(Error::io("write", &self.path))
    }
}

impl Listener for TensorBoard {
    fn hear(&mut self, event: &Event) -> Result<()> {
        match event {
            Event::Started { step, .. } => self.restart(*step),
            Event::Progress(scalars) => self.write_scalars(scalars),
            Event::Evaluated { step, metrics } => self.write_metrics(*step, metrics.clone()),
            Event::Compared { step, interfaces } => {
                let metrics = interfaces.iter().flat_map(|quality| {
                    let tag = |name| format!("{name}/{}", quality.name);
                    let metrics = quality.metrics();
                    metrics.map(move |(name, metric)| (tag(name), metric))
                });
                self.write_metrics(*step, metrics)
            }
            // Whoever looks on sees what there is until now.
            Event::Traced { .. }
            | Event::Saved { .. }
            | Event::Interrupted { .. }
            | Event::Finished { .. } => self.file.flush().map_err(Error::io("write", &self.path)),
        }
    }
}

/// The bytes of a protocol buffer.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, field: u64, value: u64) {
        self.raw_varint(field << 3);
        self.raw_varint(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.raw_varint(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u64, value: f32) {
        self.raw_varint(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.raw_varint(field << 3 | 2);
        self.raw_varint(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn message(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut message = Self::default();
        fill(&mut message);
        self.bytes(field, &message.0);
    }

    /// Seven bits a byte, the lowest first; all but the last have their highest bit set.
    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |time| time.as_secs_f64())
}

/// The checksum of a record, turned so that checksums of checksums do not repeat themselves.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32 with Castagnoli's polynomial, bit by bit: records are short.
fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let crc = bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 }
        })
    });
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_its_definition() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    #[test]
    fn numbers_take_as_many_bytes_as_they_need() {
        let mut message = Message::default();
        message.varint(2, 300);
        message.float(2, 1.0);
        assert_eq!(message.0, [0x10, 0xac, 0x02, 0x15, 0, 0, 0x80, 0x3f]);
    }
}
