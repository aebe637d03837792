//! Where the images of an experiment come from.

use std::env::var_os;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use dni::data::fetch::Fetched;
use dni::data::{Fingerprint, ImageLibrary, ImageSet, ImageShape, Order, Places, glyphs};
use dni::run::Checkpoint;
use serde::{Deserialize, Serialize};

use crate::args::{Misuse, positive};
use crate::output;
use crate::progress::DownloadBar;
use crate::sheet;
use crate::shell::quoted_path;

/// The images of an experiment.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Data")]
pub struct ImageData {
    /// The images
    #[arg(long, value_enum, default_value = "glyphs")]
    pub data: Source,

    /// Images to train on [default: all]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub examples: Option<usize>,

    /// Images to test with [default: all]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub test_examples: Option<usize>,
}

/// Where the files of images are.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Folder with a folder for each data set, under its name here or in torchvision, or the folder
    /// of the set itself; what is missing there is looked for in the cache, then downloaded
    #[arg(long, env = "DNI_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Write a sheet of sample images to a PNG file, and exit
    #[arg(long, value_name = "FILE")]
    pub show: Option<PathBuf>,
}

/// The data to measure a trained network with.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Data")]
pub struct TestDataArgs {
    /// Images to test on, of the shape that the network was trained on [default: those of its run]
    #[arg(long, value_enum)]
    pub data: Option<Source>,

    /// Folder with a folder for each data set, or the folder of the set itself
    #[arg(long, env = "DNI_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Images to test with [default: as many as in the run]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub test_examples: Option<usize>,
}

/// A set of labelled images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Digits that the program draws itself, from the run's seed
    Glyphs,
    /// Handwritten digits
    Mnist,
    /// Articles of clothing
    FashionMnist,
    /// Colour photographs of ten classes
    Cifar10,
}

/// How many glyphs there are, to train on and to test with.
const GLYPHS: [usize; 2] = [60_000, 10_000];

impl Source {
    /// Of every one of them.
    pub const CLASSES: usize = 10;

    /// How often one is wrong who guesses the class.
    pub const GUESSING: f64 = 1.0 - 1.0 / Self::CLASSES as f64;

    fn library(self) -> Option<ImageLibrary> {
        match self {
            Self::Glyphs => None,
            Self::Mnist => Some(ImageLibrary::Mnist),
            Self::FashionMnist => Some(ImageLibrary::FashionMnist),
            Self::Cifar10 => Some(ImageLibrary::Cifar10),
        }
    }

    /// What they are called.
    fn name(self) -> &'static str {
        self.library().map_or("glyphs", ImageLibrary::name)
    }

    /// What they are called where the wrong ones are refused, with the folder that was named.
    fn origin(self, data_dir: Option<&Path>) -> String {
        match data_dir.filter(|_| self.library().is_some()) {
            Some(folder) => format!("{} in {}", self.name(), folder.display()),
            None => self.name().to_string(),
        }
    }

    /// How many images there are to train on.
    pub fn examples(self) -> usize {
        self.library().map_or(GLYPHS[0], ImageLibrary::examples)
    }

    /// The shape of the images. Glyphs have that of MNIST.
    pub fn shape(self) -> ImageShape {
        self.library().unwrap_or(ImageLibrary::Mnist).shape()
    }

    /// Whether the images are a run's own, drawn from its seed.
    fn is_drawn(self) -> bool {
        self.library().is_none()
    }

    /// The images to train on and to test with, up to as many as are asked for. Generated ones are
    /// a run's own, made from its seed.
    pub fn load(
        self,
        data_dir: Option<&Path>,
        seed: u64,
        limits: [Option<usize>; 2],
        quiet: bool,
    ) -> dni::Result<ImageSet> {
        let Some(library) = self.library() else {
            let [train, test] = [0, 1].map(|i| limits[i].unwrap_or(usize::MAX).min(GLYPHS[i]));
            return Ok(glyphs(seed, train, test));
        };
        let mut bar = DownloadBar::new(quiet);
        let set = library.load(&places(data_dir), &mut |fetched: &Fetched| {
            bar.show(fetched)
        })?;
        let [train, test] = limits.map(|limit| limit.unwrap_or(usize::MAX));
        Ok(ImageSet {
            train: set.train.take(train),
            test: set.test.take(test),
        })
    }
}

/// Where data sets are: DNI_CACHE_DIR and DNI_DATA_URL stand for the cache and the servers.
pub fn places(data_dir: Option<&Path>) -> Places {
    let usual = Places::usual();
    Places {
        data: data_dir.map(Path::to_path_buf),
        cache: var_os("DNI_CACHE_DIR").map_or(usual.cache, PathBuf::from),
        base: var_os("DNI_DATA_URL").map(|base| base.to_string_lossy().into_owned()),
        ..usual
    }
}

/// The images of the runs of a call: the same for all, or drawn for each seed.
pub struct ImageSets {
    source: Source,
    limits: [Option<usize>; 2],
    /// The folder that was named.
    data_dir: Option<PathBuf>,
    quiet: bool,
    common: Option<Arc<ImageSet>>,
}

impl ImageSets {
    /// The images of a run.
    pub fn of_seed(&self, seed: u64) -> dni::Result<Arc<ImageSet>> {
        match &self.common {
            Some(set) => Ok(Arc::clone(set)),
            None => {
                let set = self.source.load(None, seed, self.limits, self.quiet)?;
                Ok(Arc::new(set))
            }
        }
    }

    /// Those of all seeds, unless each has its own.
    pub fn common(&self) -> Option<&ImageSet> {
        self.common.as_deref()
    }

    /// What a set of theirs is: a run that goes on refuses others.
    pub fn fingerprint(&self, set: &ImageSet) -> Fingerprint {
        set.fingerprint(&self.source.origin(self.data_dir.as_deref()))
    }
}

impl TestDataArgs {
    /// The images to measure a network with that was trained on `own` ones. Those that were not asked for
    /// must be what it was trained on; others need only mean the same.
    pub fn load(
        &self,
        checkpoint: &Checkpoint,
        seed: u64,
        own: &ImageData,
    ) -> anyhow::Result<ImageSet> {
        let source = self.data.unwrap_or(own.data);
        if source.shape() != own.data.shape() {
            let reason =
                "the network was trained on images of another shape; choose another --data";
            return Err(Misuse(reason.to_string()).into());
        }
        let data_dir = self.data_dir.as_deref();
        let limits = [own.examples, self.test_examples.or(own.test_examples)];
        let set = source.load(data_dir, seed, limits, true)?;
        let mut met = set.fingerprint(&source.origin(data_dir));
        if source != own.data {
            met.parts.clear();
        } else if self.test_examples.is_some() && self.test_examples != own.test_examples {
            met.parts.remove(Fingerprint::TEST);
        }
        checkpoint.check_data(&met)?;
        Ok(set)
    }
}

impl ImageData {
    /// How many there are to train on.
    pub fn count(&self) -> usize {
        let most = self.data.examples();
        self.examples.map_or(most, |examples| examples.min(most))
    }

    /// Refuses batches that are larger than all images together.
    pub fn check(&self, batch: usize) -> Result<(), Misuse> {
        let order = Order::new(self.count(), batch, None);
        order.map_or_else(|error| Err(Misuse(error.to_string())), |_| Ok(()))
    }
}

impl DataArgs {
    /// The images of all runs, or the way to draw them.
    pub fn sets(&self, images: &ImageData, quiet: bool) -> dni::Result<ImageSets> {
        /// Any: the images do not depend on it.
        const SEED: u64 = 1;
        let (source, limits) = (images.data, [images.examples, images.test_examples]);
        let data_dir = self.data_dir.as_deref();
        let load = || source.load(data_dir, SEED, limits, quiet);
        let common = (!source.is_drawn()).then(load).transpose()?;
        Ok(ImageSets {
            source,
            limits,
            data_dir: self.data_dir.clone(),
            quiet,
            common: common.map(Arc::new),
        })
    }

    /// The flag by which a call that goes on finds the images, with its word if it needs it.
    pub fn go_on_with(&self, images: &ImageData) -> (&'static str, Option<String>) {
        let data_dir = self.data_dir.as_deref();
        let data_dir = data_dir.filter(|_| !images.data.is_drawn());
        ("--data-dir", data_dir.map(quoted_path))
    }

    /// Writes a sheet of samples, if that is asked for: whether it is.
    pub fn show(&self, images: &ImageData, seed: u64, quiet: bool) -> anyhow::Result<bool> {
        /// Enough for a row of each class.
        const LOOKED_AT: usize = 1_000;
        let Some(path) = &self.show else {
            return Ok(false);
        };
        sheet::check(path)?;
        let limits = [Some(LOOKED_AT), Some(1)];
        let set = images
            .data
            .load(self.data_dir.as_deref(), seed, limits, quiet)?;
        sheet::write(path, &set.train)?;
        if !quiet {
            output::say(&format!("samples: {}", path.display()));
        }
        Ok(true)
    }
}
