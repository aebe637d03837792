//! A checkpoint: everything that is needed to resume a run as if it had never stopped, in one file.
//!
//! The file is a burnpack (parameters, optimizer states, the step and what the run was) followed
//! by a CRC-32 of all of it. Its names are chosen: `section.0.parameters.weight`, not those of types,
//! so that it can be read when these have moved. The generator needs no state: what is drawn for a
//! step is a function of seed and step.

use std::collections::BTreeMap;
use std::path::Path;

use burn::optim::{StateSink, StateSource};
use burn::tensor::{Bytes, TensorData};
use burn_pack::{Reader, Scalar, Writer};

use super::RunFolder;
use super::folder::write_atomically;
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::interface::Contract;
use crate::learner::Network;
use crate::train::{Notes, Progress};

/// What the names of notes begin with among the scalars.
const NOTE: &str = "task.";

/// The format that is written and read. It changes with what stands in a checkpoint, but for what
/// can be left out.
const FORMAT: u32 = 1;

/// A checkpoint read from disk, with a valid checksum.
pub struct Checkpoint {
    progress: Progress,
    settings: String,
    log_lengths: Vec<u64>,
    contracts: Vec<Contract>,
    notes: Notes,
    data: Option<Fingerprint>,
    tensors: BTreeMap<String, TensorData>,
    scalars: BTreeMap<String, Scalar>,
}

impl Checkpoint {
    /// Writes the state of a network and of its task after `progress` to `path`, in one piece or
    /// not at all.
    ///
    /// `settings` are those of the run, `data` is what it is trained on, and `log_lengths` are the
    /// lengths of its log files in bytes.
    ///
    /// # Errors
    ///
    /// If a parameter or the file cannot be written.
    pub fn write(
        path: &Path,
        network: &impl Network,
        notes: &Notes,
        progress: Progress,
        settings: &str,
        data: Option<&Fingerprint>,
        log_lengths: &[u64],
    ) -> Result<()> {
        let mut sink = StateSink::default();
        network.save(&mut sink)?;
        let tensors = sink
            .tensors
            .into_iter()
            .map(|(name, data)| {
                let (bytes, shape, dtype) = data.into_parts();
                burn_pack::Tensor::new(name, dtype, shape, None, bytes)
            })
            .collect();
        let mut writer = Writer::new(tensors)
            .with_metadata("format", &FORMAT.to_string())
            .with_metadata("settings", settings)
            .with_metadata("contracts", &json(&network.contracts()))
            .with_metadata("logs", &json(&log_lengths))
            .with_scalar("step", Scalar::UInt(progress.step as u64))
            .with_scalar("seconds", Scalar::Float(progress.seconds));
        for (name, value) in sink.scalars {
            writer = writer.with_scalar(&name, value);
        }
        if let Some(data) = data {
            writer = writer.with_metadata("data", &json(data));
        }
        for (name, value) in notes {
            writer = writer.with_scalar(&format!("{NOTE}{name}"), Scalar::Float(*value));
        }
        let mut bytes = writer.into_bytes()?.to_vec();
        let checksum = crc32fast::hash(&bytes);
        bytes.extend(checksum.to_le_bytes());
        write_atomically(path, &bytes)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is truncated or altered, or has another format.
    pub fn read(path: &Path) -> Result<Self> {
        let mut bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let damaged = |reason: &str| Error::Damaged {
            path: path.to_path_buf(),
            reason: reason.to_string(),
        };
        let (content, checksum) = bytes
            .split_last_chunk::<4>()
            .ok_or_else(|| damaged("it is too short"))?;
        if crc32fast::hash(content).to_le_bytes() != *checksum {
            return Err(damaged("its checksum is wrong"));
        }
        bytes.truncate(bytes.len() - 4);
        let reader = Reader::from_bytes(Bytes::from_bytes_vec(bytes))?;
        let metadata = reader.metadata().clone();
        let format = metadata.get("format").map_or("none", String::as_str);
        if format != FORMAT.to_string() {
            return Err(Error::OtherFormat {
                path: path.to_path_buf(),
                found: format.to_string(),
                known: FORMAT,
            });
        }
        let text = |key: &str| {
            metadata
                .get(key)
                .ok_or_else(|| damaged(&format!("it has no entry '{key}'")))
        };
        let scalars: BTreeMap<String, Scalar> = reader.scalars().clone();
        let (Some(Scalar::UInt(step)), Some(Scalar::Float(seconds))) =
            (scalars.get("step"), scalars.get("seconds"))
        else {
            return Err(damaged("it does not say how far the run was"));
        };
        let progress = Progress {
            step: *step as usize,
            seconds: *seconds,
        };
        let notes = scalars.iter().filter_map(|(name, value)| match value {
            Scalar::Float(value) => Some((name.strip_prefix(NOTE)?.to_string(), *value)),
            _ => None,
        });
        let notes = notes.collect();
        let data = metadata
            .get("data")
            .map(|data| serde_json::from_str(data))
            .transpose()
            .map_err(|_| damaged("its entry 'data' does not describe data"))?;
        let mut tensors = BTreeMap::new();
        for tensor in reader.into_tensors()? {
            let (name, dtype, shape, _, bytes) = tensor.into_parts()?;
            tensors.insert(name, TensorData::from_bytes(bytes, shape, dtype));
        }
        Ok(Self {
            progress,
            settings: text("settings")?.clone(),
            log_lengths: serde_json::from_str(text("logs")?)
                .map_err(|_| damaged("its entry 'logs' is not a list"))?,
            contracts: serde_json::from_str(text("contracts")?)
                .map_err(|_| damaged("its entry 'contracts' is not a list of contracts"))?,
            notes,
            data,
            tensors,
            scalars,
        })
    }

    /// Reads the network that the run in a folder has left: the best one if its task kept it,
    /// otherwise the last. Its [progress](Self::progress) says after which step it was saved.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn best_or_last(folder: &Path) -> Result<Self> {
        let best = folder.join(RunFolder::BEST);
        match best.exists() {
            true => Self::read(&best),
            false => Self::read(&folder.join(RunFolder::CHECKPOINT)),
        }
    }

    /// How far the run was.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The settings of the run.
    pub fn settings(&self) -> &str {
        &self.settings
    }

    /// The lengths of the run's log files, in bytes.
    pub fn log_lengths(&self) -> &[u64] {
        &self.log_lengths
    }

    /// What the task noted.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// Which data the network was trained on, if the run recorded it.
    pub fn data(&self) -> Option<&Fingerprint> {
        self.data.as_ref()
    }

    /// Refuses data other than those that the network was trained on.
    ///
    /// # Errors
    ///
    /// If the data are [refused](Fingerprint::check).
    pub fn check_data(&self, met: &Fingerprint) -> Result<()> {
        self.data.as_ref().map_or(Ok(()), |data| data.check(met))
    }

    /// Loads the state into a network that was built like the saved one, and returns its progress.
    ///
    /// # Errors
    ///
    /// If its synthesizers were trained under other terms, an optimizer has another rule, or a
    /// parameter is missing or has another shape.
    pub fn restore(self, network: &mut impl Network) -> Result<Progress> {
        self.check_contracts(&network.contracts())?;
        let mut state = StateSource::new(self.scalars);
        for (name, data) in self.tensors {
            state.insert_tensor(name, data);
        }
        network.load(&mut state)?;
        Ok(self.progress)
    }

    /// Its tensors by name.
    pub(super) fn tensors(&self) -> &BTreeMap<String, TensorData> {
        &self.tensors
    }

    fn check_contracts(&self, current: &[Contract]) -> Result<()> {
        let mismatch = |what: String, saved: String, current: String| Error::Contract {
            what,
            saved,
            current,
        };
        if self.contracts.len() != current.len() {
            return Err(mismatch(
                "the number of interfaces".to_string(),
                self.contracts.len().to_string(),
                current.len().to_string(),
            ));
        }
        for (i, (saved, current)) in self.contracts.iter().zip(current).enumerate() {
            if saved != current {
                return Err(mismatch(
                    format!("interface {}", i + 1),
                    saved.to_string(),
                    current.to_string(),
                ));
            }
        }
        Ok(())
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("lists of plain values are always JSON")
}
