//! Image sets that are not generated: where their files are, and how they are downloaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::archive;
use super::fetch::{Checksum, Fetched, Remote, fetch};
use super::{ImageSet, ImageShape, read_idx};
use crate::error::{Error, Result};

/// A well-known set of labelled images, each with ten classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageLibrary {
    /// Handwritten digits: 60,000 and 10,000 grey images of 28 x 28 pixels.
    Mnist,
    /// Articles of clothing, in the same format.
    FashionMnist,
    /// Photographs: 50,000 and 10,000 images of 32 x 32 pixels in red, green and blue.
    Cifar10,
}

/// Where to look for the files of a set, in this order.
#[derive(Debug, Clone)]
pub struct Places {
    /// A folder with a folder for each set, under the set's name or torchvision's name for it, or
    /// the folder of the set itself.
    pub data: Option<PathBuf>,
    /// Another such folder, to which missing files are downloaded.
    pub cache: PathBuf,
    /// The folder in which burn's own data loader keeps MNIST.
    pub burn_cache: Option<PathBuf>,
    /// The address of a folder with a folder for each set, instead of the usual servers.
    pub base: Option<String>,
    /// How long a server may send nothing before it counts as failed.
    pub patience: Duration,
}

impl Places {
    /// The usual cache folders of this user, or a temporary folder if there are none, and the usual
    /// servers with half a minute of patience.
    pub fn usual() -> Self {
        let user = dirs::cache_dir();
        let cache = user.clone().unwrap_or_else(std::env::temp_dir);
        Self {
            data: None,
            cache: cache.join("dni"),
            burn_cache: user.map(|user| user.join("burn-dataset")),
            base: None,
            patience: Duration::from_secs(30),
        }
    }

    /// The folder of data, if one is named.
    ///
    /// # Errors
    ///
    /// If it is not there: that is no reason to look elsewhere, or to download.
    pub(super) fn data(&self) -> Result<Option<&Path>> {
        match &self.data {
            Some(folder) if !folder.is_dir() => Err(Error::Invalid(format!(
                "there is no folder '{}' with data sets; name one that exists, or none",
                folder.display()
            ))),
            folder => Ok(folder.as_deref()),
        }
    }
}

/// The four files of an IDX set without what follows their names, and the MD5 of each with `.gz`.
type IdxFiles = [(&'static str, &'static str, &'static str); 4];

const MNIST: IdxFiles = [
    (
        "train-images",
        "idx3-ubyte",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    ),
    (
        "train-labels",
        "idx1-ubyte",
        "d53e105ee54ea40749a09fcbcd1e9432",
    ),
    (
        "t10k-images",
        "idx3-ubyte",
        "9fb629c4189551a2d022fa330f9573f3",
    ),
    (
        "t10k-labels",
        "idx1-ubyte",
        "ec29112dd5afa0611ce80d1b7f02629c",
    ),
];
const FASHION_MNIST: IdxFiles = [
    (
        "train-images",
        "idx3-ubyte",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    ),
    (
        "train-labels",
        "idx1-ubyte",
        "25c81989df183df01b3e8a0aad5dffbe",
    ),
    (
        "t10k-images",
        "idx3-ubyte",
        "bef4ecab320f06d8554ea6380940ec79",
    ),
    (
        "t10k-labels",
        "idx1-ubyte",
        "bb300cfdad3c16e7a12a480ee83cd310",
    ),
];

impl ImageLibrary {
    /// All sets.
    pub const ALL: [Self; 3] = [Self::Mnist, Self::FashionMnist, Self::Cifar10];

    /// Its name, which is also that of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::FashionMnist => "fashion-mnist",
            Self::Cifar10 => "cifar10",
        }
    }

    /// The shape of its images.
    pub fn shape(self) -> ImageShape {
        let (channels, side) = match self {
            Self::Mnist | Self::FashionMnist => (1, 28),
            Self::Cifar10 => (3, 32),
        };
        ImageShape {
            channels,
            height: side,
            width: side,
        }
    }

    /// The number of images to train on.
    pub fn examples(self) -> usize {
        match self {
            Self::Mnist | Self::FashionMnist => 60_000,
            Self::Cifar10 => 50_000,
        }
    }

    /// The usual server.
    fn server(self) -> &'static str {
        match self {
            Self::Mnist => "https://ossci-datasets.s3.amazonaws.com/mnist/",
            Self::FashionMnist => "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            Self::Cifar10 => "https://www.cs.toronto.edu/~kriz/",
        }
    }

    /// The names of its folder, in that of all data: its own first, then torchvision's.
    fn folders(self) -> &'static [&'static str] {
        match self {
            Self::Mnist => &["mnist", "MNIST/raw", "MNIST"],
            Self::FashionMnist => &["fashion-mnist", "FashionMNIST/raw", "FashionMNIST"],
            Self::Cifar10 => &["cifar10"],
        }
    }

    /// The labels of its first images, by which sets are told apart whose files have the same names.
    fn first_labels(self) -> [usize; 10] {
        match self {
            Self::Mnist => [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
            Self::FashionMnist => [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
            Self::Cifar10 => [6, 9, 9, 4, 1, 1, 2, 7, 8, 3],
        }
    }

    /// Reads the set, after downloading what is missing. `progress` is called while it downloads.
    ///
    /// # Errors
    ///
    /// If the data folder is missing or has only some of the files, a file is damaged or of another
    /// set, or a download fails.
    pub fn load(self, places: &Places, progress: &mut dyn FnMut(&Fetched)) -> Result<ImageSet> {
        // What was named may be the folder of the set, or the one around its raw files.
        let names = self.folders().iter().chain(&["", "raw"]);
        let data = places.data()?.into_iter();
        let data: Vec<PathBuf> = data
            .flat_map(|data| names.clone().map(move |name| data.join(name)))
            .collect();
        for folder in &data {
            if let Some(set) = self.read_if_whole(folder)? {
                return Ok(set);
            }
        }
        for folder in &data {
            let missing = self.missing(folder);
            if missing.len() < self.files().len() {
                return Err(Error::Incomplete {
                    path: folder.join(&missing[0]),
                    set: self.name(),
                });
            }
        }
        let cache = places.cache.join(self.name());
        let burns = places.burn_cache.as_ref().map(|burn| burn.join("mnist"));
        let burns = burns.filter(|_| self == Self::Mnist);
        if let Some(set) = self.read_if_whole(&cache)? {
            return Ok(set);
        }
        // If the cache has a part of it, the rest is downloaded. Of burn's it must be all.
        if self.missing(&cache).len() == self.files().len()
            && let Some(burns) = &burns
            && let Some(set) = self.read_if_whole(burns)?
        {
            return Ok(set);
        }
        self.download(&cache, places, progress)
            .map_err(|source| Error::NotFound {
                set: self.name(),
                looked_at: data
                    .into_iter()
                    .chain([cache.clone()])
                    .chain(burns)
                    .collect(),
                source: Box::new(source),
            })?;
        self.read(&cache)
    }

    /// Reads the set from a folder, if that has all of its files or the archive of them.
    fn read_if_whole(self, folder: &Path) -> Result<Option<ImageSet>> {
        if self.missing(folder).is_empty() {
            return self.read(folder).map(Some);
        }
        let archive = folder.join(archive::FILE.0);
        match self == Self::Cifar10 && archive.is_file() {
            true => archive::read(&archive).map(Some),
            false => Ok(None),
        }
    }

    /// The names of its files.
    fn files(self) -> Vec<String> {
        let idx = |files: IdxFiles| {
            let names = files.iter().map(|(name, kind, _)| format!("{name}-{kind}"));
            names.collect()
        };
        match self {
            Self::Mnist => idx(MNIST),
            Self::FashionMnist => idx(FASHION_MNIST),
            Self::Cifar10 => archive::BATCHES.map(String::from).to_vec(),
        }
    }

    /// Which of its files are not in a folder.
    fn missing(self, folder: &Path) -> Vec<String> {
        let mut files = self.files();
        files.retain(|name| find(folder, name).is_none());
        files
    }

    /// Reads the set from a folder that has all files.
    pub(super) fn read(self, folder: &Path) -> Result<ImageSet> {
        let paths: Vec<PathBuf> = self
            .files()
            .iter()
            .map(|name| find(folder, name).unwrap_or_else(|| folder.join(name)))
            .collect();
        match self {
            Self::Mnist | Self::FashionMnist => {
                let set = ImageSet {
                    train: read_idx(&paths[0], &paths[1])?,
                    test: read_idx(&paths[2], &paths[3])?,
                };
                self.check(&set, &paths)?;
                Ok(set)
            }
            Self::Cifar10 => {
                let read = |path: PathBuf| {
                    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
                    Ok((path, bytes))
                };
                archive::set_of(paths.into_iter().map(read).collect::<Result<_>>()?)
            }
        }
    }

    /// Refuses what only files of another set can hold: another shape, or their first labels.
    fn check(self, set: &ImageSet, paths: &[PathBuf]) -> Result<()> {
        let another = |path: &Path, expected: String, found: String| Error::Data {
            path: path.to_path_buf(),
            expected,
            found,
        };
        for (images, path) in [(&set.train, &paths[0]), (&set.test, &paths[2])] {
            let [expected, found] = [self.shape(), images.shape()];
            if expected != found {
                let [expected, found] = [expected, found].map(|shape| format!("images of {shape}"));
                return Err(another(path, expected, found));
            }
        }
        let first = 0..10.min(set.train.len());
        let first: Vec<usize> = first.map(|i| set.train.label(i)).collect();
        let others = Self::ALL.into_iter().filter(|other| *other != self);
        match others
            .into_iter()
            .find(|other| first == other.first_labels())
        {
            Some(other) => Err(another(
                &paths[1],
                format!("the labels of {}", self.name()),
                format!("those of {}", other.name()),
            )),
            None => Ok(()),
        }
    }

    fn download(
        self,
        cache: &Path,
        places: &Places,
        progress: &mut dyn FnMut(&Fetched),
    ) -> Result<()> {
        let base = match &places.base {
            Some(base) => format!("{}/{}/", base.trim_end_matches('/'), self.name()),
            None => self.server().to_string(),
        };
        let files = match self {
            Self::Mnist => MNIST,
            Self::FashionMnist => FASHION_MNIST,
            Self::Cifar10 => {
                let (name, md5) = archive::FILE;
                let remote = Remote {
                    base: &base,
                    name,
                    checksum: Checksum::Md5(md5),
                };
                // Two processes may be at it.
                let own = cache.join(format!("{}.part", std::process::id()));
                let outcome = fetch(remote, &own, places.patience, progress)
                    .and_then(|archive| archive::extract(&archive, cache));
                // Where it was not made there is nothing to remove.
                let _ = fs::remove_dir_all(own);
                return outcome;
            }
        };
        for (name, kind, md5) in files {
            if find(cache, &format!("{name}-{kind}")).is_some() {
                continue;
            }
            let remote = Remote {
                base: &base,
                name: &format!("{name}-{kind}.gz"),
                checksum: Checksum::Md5(md5),
            };
            fetch(remote, cache, places.patience, progress)?;
        }
        Ok(())
    }
}

/// A file of this name in a folder: as it is or with a dot before its kind, plain or gzipped, or in the
/// folder of its archive or its split.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name, &dotted].map(|name| [name.to_string(), format!("{name}.gz")]);
    let names = names.as_flattened();
    let folders = ["", archive::FOLDER, "train", "test"].map(|inner| folder.join(inner));
    let candidates = folders
        .iter()
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    candidates.into_iter().find(|path| path.is_file())
}
