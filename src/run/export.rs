//! Trained parameters for other tools: a safetensors file, named and laid out as in PyTorch.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, TensorInfo};
use serde::Serialize;

use super::Checkpoint;
use crate::error::{Error, Result};

/// A tensor of a module, without its name.
#[derive(Clone)]
struct Values {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// The tensors of a module by their name in it.
type Leaves = BTreeMap<String, Values>;

impl Checkpoint {
    /// The bytes of a safetensors file with the parameters of all sections and synthesizers, without
    /// the states of their optimizers.
    ///
    /// Sections are called `sections.0` and so on from the bottom up, synthesizers
    /// `synthesizers.0`; a recurrent network has a `core`, a `readout` and a `synthesizer`. Within
    /// them, names and layouts are PyTorch's: `weight` as `[out, in]`, batch norm's `weight`,
    /// `bias`, `running_mean` and `running_var`, a core's `weight_ih_l0`, `weight_hh_l0`,
    /// `bias_ih_l0` and `bias_hh_l0`. The inputs of a synthesizer are the message, then the
    /// context; its output is in the unit of its interface. Parameters without a name in PyTorch
    /// keep their own. The metadata hold the run's step and settings.
    ///
    /// # Errors
    ///
    /// If a parameter is not a 32-bit float.
    pub fn to_safetensors(&self) -> Result<Vec<u8>> {
        let mut exported = BTreeMap::new();
        for (path, leaves) in self.modules()? {
            let leaves = if leaves.contains_key("input_weight") {
                core(leaves)
            } else {
                module(leaves)
            };
            for (leaf, Values { shape, values }) in leaves {
                let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                exported.insert(format!("{path}.{leaf}"), (shape, bytes));
            }
        }
        let metadata = BTreeMap::from([
            ("format", "pt".to_string()),
            ("step", self.progress().step.to_string()),
            ("settings", self.settings().to_string()),
        ]);
        Ok(file(metadata, exported))
    }

    /// The parameters, put together by the module that they belong to.
    fn modules(&self) -> Result<BTreeMap<String, Leaves>> {
        let mut modules: BTreeMap<String, Leaves> = BTreeMap::new();
        for (name, data) in self.tensors() {
            let Some((part, parameter)) = name.split_once(".parameters.") else {
                continue;
            };
            let part = part_name(part);
            let (path, leaf) = match parameter.rsplit_once('.') {
                Some((path, leaf)) => (format!("{part}.{path}"), leaf),
                None => (part, parameter),
            };
            let values = data.try_to_vec().map_err(|_| {
                Error::Invalid(format!(
                    "the parameter '{name}' is not a tensor of 32-bit floats"
                ))
            })?;
            let shape = data.shape().to_vec();
            let leaves = modules.entry(path).or_default();
            leaves.insert(leaf.to_string(), Values { shape, values });
        }
        Ok(modules)
    }
}

/// What a safetensors file begins with, after the length of this.
#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "__metadata__")]
    metadata: BTreeMap<&'a str, String>,
    #[serde(flatten)]
    tensors: BTreeMap<&'a str, TensorInfo>,
}

/// A safetensors file of 32-bit floats. The crate's own writer puts metadata in a random order; here
/// the same content is the same bytes.
fn file(
    metadata: BTreeMap<&str, String>,
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
) -> Vec<u8> {
    /// The length of the header is a multiple of it, so that tensors are aligned.
    const ALIGNMENT: usize = 8;
    let mut end = 0;
    let infos = tensors.iter().map(|(name, (shape, bytes))| {
        let start = end;
        end += bytes.len();
        let info = TensorInfo {
            dtype: Dtype::F32,
            shape: shape.clone(),
            data_offsets: (start, end),
        };
        (name.as_str(), info)
    });
    let tensor_infos = infos.collect();
    let mut header = serde_json::to_vec(&Header {
        metadata,
        tensors: tensor_infos,
    })
    .expect("plain values are always JSON");
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.append(&mut header);
    for (_, mut bytes) in tensors.into_values() {
        file.append(&mut bytes);
    }
    file
}

/// The name of a part of a network, of which there may be several.
fn part_name(part: &str) -> String {
    let of_several = |word: &str, plural: &str| {
        let rest = part.strip_prefix(word)?.strip_prefix('.')?;
        Some(format!("{plural}.{rest}"))
    };
    of_several("section", "sections")
        .or_else(|| of_several("interface", "synthesizers"))
        .unwrap_or_else(|| part.replace("interface", "synthesizer"))
}

/// A module other than a core in PyTorch's terms.
fn module(leaves: Leaves) -> Leaves {
    let translated = |(leaf, values): (String, Values)| match leaf.as_str() {
        "gamma" => ("weight".to_string(), values),
        "beta" => ("bias".to_string(), values),
        "weight" => (leaf, transposed(values)),
        _ => (leaf, values),
    };
    leaves.into_iter().map(translated).collect()
}

/// An LSTM or a GRU in PyTorch's terms, where it has two biases: the second one is zero here, but
/// for the gate of a GRU that has one of its own.
fn core(mut leaves: Leaves) -> Leaves {
    let state_bias = leaves.remove("state_bias");
    let mut translated = Leaves::new();
    for (leaf, values) in leaves {
        let (leaf, values) = match leaf.as_str() {
            "input_weight" => ("weight_ih_l0", transposed(values)),
            "state_weight" => ("weight_hh_l0", transposed(values)),
            "bias" => {
                let mut second = values.clone();
                second.values.fill(0.0);
                if let Some(Values { values: own, .. }) = &state_bias {
                    let start = second.values.len() - own.len();
                    second.values[start..].copy_from_slice(own);
                }
                translated.insert("bias_hh_l0".to_string(), second);
                ("bias_ih_l0", values)
            }
            other => (other, values),
        };
        translated.insert(leaf.to_string(), values);
    }
    translated
}

/// A matrix with its rows and columns exchanged; other tensors, such as kernels, are as in PyTorch
/// already.
fn transposed(tensor: Values) -> Values {
    let [rows, columns] = tensor.shape[..] else {
        return tensor;
    };
    let column = |j: usize| (0..rows).map(move |i| i * columns + j);
    let values = (0..columns).flat_map(column).map(|at| tensor.values[at]);
    Values {
        shape: vec![columns, rows],
        values: values.collect(),
    }
}
