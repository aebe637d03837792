//! Where the images of an experiment come from.

use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};
use dni::data::{ImageSet, ImageShape, read_idx};
use serde::{Deserialize, Serialize};

use crate::args::{LengthArgs, positive};

/// The data.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// The images [default: glyphs]
    #[arg(long, value_enum)]
    pub data: Option<Source>,

    /// Folder with a folder for each data set, named as here; what is not found there is looked
    /// for in the cache, then downloaded
    #[arg(long, env = "DNI_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Images to train on [default: all]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub examples: Option<usize>,

    /// Images to test with [default: all]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub test_examples: Option<usize>,

    /// Write a sheet of sample images to a PNG file, and end
    #[arg(long, value_name = "FILE")]
    pub show: Option<PathBuf>,
}

/// A set of labelled images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Digits that the project draws itself, from the run's seed
    Glyphs,
    /// Handwritten digits
    Mnist,
    /// Articles of clothing
    FashionMnist,
    /// Colour photographs of ten classes
    Cifar10,
}

impl Source {
    pub fn size(self) -> usize {
        60_000
    }

    pub fn shape(self) -> ImageShape {
        ImageShape {
            channels: 1,
            height: 28,
            width: 28,
        }
    }

    pub fn load(
        self,
        args: &DataArgs,
        _seed: u64,
        [train, test]: [Option<usize>; 2],
        _quiet: bool,
    ) -> anyhow::Result<ImageSet> {
        let dir = args.data_dir.clone().context("no data dir")?.join("mnist");
        let read = |n: &str| {
            read_idx(
                &dir.join(format!("{n}-images-idx3-ubyte.gz")),
                &dir.join(format!("{n}-labels-idx1-ubyte.gz")),
            )
        };
        Ok(ImageSet {
            train: read("train")?.take(train.unwrap_or(usize::MAX)),
            test: read("t10k")?.take(test.unwrap_or(usize::MAX)),
        })
    }
}

impl DataArgs {
    pub fn show_sheet(&self, _file: &std::path::Path, _length: &LengthArgs) -> anyhow::Result<()> {
        anyhow::bail!("not yet")
    }
}
