//! Image sets that are not generated: where their files are, and how they come here.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;

use super::fetch::{Checksum, Fetched, Remote, fetch};
use super::{ImageSet, ImageShape, read_cifar, read_idx};
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
    /// A folder with a folder for each set, named as the set is.
    pub data: Option<PathBuf>,
    /// Another such folder, to which missing files are downloaded.
    pub cache: PathBuf,
    /// The folder in which burn's own data loader keeps MNIST.
    pub burn_cache: Option<PathBuf>,
    /// The address of a folder with a folder for each set, instead of the usual servers.
    pub base: Option<String>,
    /// How long a server may say nothing.
    pub patience: Duration,
}

impl Places {
    /// The cache folders of this user, or a folder below the temporary ones where there is no such
    /// thing, and the usual servers with half a minute of patience.
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
const CIFAR10_ARCHIVE: (&str, &str) =
    ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530");
/// The folder in the archive.
const CIFAR10_FOLDER: &str = "cifar-10-batches-bin";
const CIFAR10: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
/// The size of each of these.
const CIFAR10_BATCH: u64 = 30_730_000;

impl ImageLibrary {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mnist, Self::FashionMnist, Self::Cifar10];

    /// Its name, also that of its folder.
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

    /// How many images there are to train on.
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

    /// Reads the set, after downloading what is missing. `progress` hears of downloads.
    ///
    /// # Errors
    ///
    /// If the data folder has some of the files but not all, a file is damaged or of another set,
    /// or a download fails.
    pub fn load(self, places: &Places, progress: &mut dyn FnMut(&Fetched)) -> Result<ImageSet> {
        let cache = places.cache.join(self.name());
        let data = places.data.as_ref().map(|data| data.join(self.name()));
        let burns = places.burn_cache.as_ref().map(|burn| burn.join("mnist"));
        let burns = burns.filter(|_| self == Self::Mnist);
        for folder in [data.as_ref(), Some(&cache), burns.as_ref()] {
            let Some(folder) = folder else { continue };
            match self.missing(folder) {
                missing if missing.is_empty() => return self.read(folder),
                missing if missing.len() == self.files().len() => {}
                missing if Some(folder) == data.as_ref() => {
                    return Err(Error::Incomplete {
                        path: folder.join(&missing[0]),
                        set: self.name(),
                    });
                }
                // The rest is downloaded.
                _ if *folder == cache => break,
                // burn has not downloaded all of it.
                _ => {}
            }
        }
        self.download(&cache, places, progress)?;
        self.read(&cache)
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
            Self::Cifar10 => CIFAR10.map(String::from).to_vec(),
        }
    }

    /// Which of its files are not in a folder.
    fn missing(self, folder: &Path) -> Vec<String> {
        let mut files = self.files();
        files.retain(|name| find(folder, name).is_none());
        files
    }

    /// Reads the set from a folder that has all files.
    fn read(self, folder: &Path) -> Result<ImageSet> {
        let paths: Vec<PathBuf> = self
            .files()
            .iter()
            .map(|name| find(folder, name).unwrap_or_else(|| folder.join(name)))
            .collect();
        let set = match self {
            Self::Mnist | Self::FashionMnist => ImageSet {
                train: read_idx(&paths[0], &paths[1])?,
                test: read_idx(&paths[2], &paths[3])?,
            },
            Self::Cifar10 => {
                check_batches(&paths)?;
                ImageSet {
                    train: read_cifar(&paths[..5])?,
                    test: read_cifar(&paths[5..])?,
                }
            }
        };
        // Only a file of another set has another shape.
        for (images, path) in [(&set.train, &paths[0]), (&set.test, &paths[2])] {
            if images.shape() != self.shape() {
                return Err(Error::Data {
                    path: path.clone(),
                    expected: format!("images of {}", self.shape()),
                    found: format!("images of {}", images.shape()),
                });
            }
        }
        Ok(set)
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
                let (name, md5) = CIFAR10_ARCHIVE;
                let remote = Remote {
                    base: &base,
                    name,
                    checksum: Checksum::Md5(md5),
                };
                // Two processes may be at it.
                let own = cache.join(format!("{}.part", std::process::id()));
                let outcome = fetch(remote, &own, places.patience, progress)
                    .and_then(|archive| unpack_cifar(&archive, cache));
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

/// A file of this name in a folder: as it is, gzipped, with a dot before its kind, or in the folder
/// of its archive or its split.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name.to_string(), format!("{name}.gz"), dotted];
    let folders = ["", CIFAR10_FOLDER, "train", "test"].map(|inner| folder.join(inner));
    let candidates = folders
        .iter()
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)));
    candidates.into_iter().find(|path| path.is_file())
}

/// Batches have no header that says how many images there are, but all are equally many.
fn check_batches(paths: &[PathBuf]) -> Result<()> {
    let size = |path: &PathBuf| {
        let file = fs::metadata(path).map_err(Error::io("read", path))?;
        Ok(file.len())
    };
    let sizes: Vec<u64> = paths.iter().map(size).collect::<Result<_>>()?;
    let largest = sizes.iter().copied().max().unwrap_or_default();
    for (path, size) in paths.iter().zip(sizes) {
        if size != largest {
            return Err(Error::Data {
                path: path.clone(),
                expected: format!("{largest} bytes, as another of the batches has"),
                found: format!("{size}"),
            });
        }
    }
    Ok(())
}

/// Takes the batches out of the archive; each appears whole or not at all.
fn unpack_cifar(archive: &Path, folder: &Path) -> Result<()> {
    let file = fs::File::open(archive).map_err(Error::io("read", archive))?;
    let mut tar = tar::Archive::new(GzDecoder::new(file));
    let entries = tar.entries().map_err(Error::io("read", archive))?;
    for entry in entries {
        let entry = entry.map_err(Error::io("read", archive))?;
        let path = entry.path().map_err(Error::io("read", archive))?;
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(name) = CIFAR10.into_iter().find(|known| Some(*known) == name) else {
            continue;
        };
        let unfinished = folder.join(format!("{name}.{}.part", std::process::id()));
        let target = folder.join(name);
        let mut bytes = std::io::Read::take(entry, CIFAR10_BATCH);
        let outcome = fs::File::create(&unfinished)
            .and_then(|mut file| {
                std::io::copy(&mut bytes, &mut file)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&unfinished, &target));
        if let Err(error) = outcome {
            let _ = fs::remove_file(&unfinished);
            return Err(Error::io("write", target)(error));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The real archive is too large for a test; this one has its form.
    #[test]
    fn batches_come_out_of_the_archive() {
        let folder = std::env::temp_dir().join(format!("dni-unpack-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        let path = folder.join("cifar.tar.gz");
        let file = fs::File::create(&path).expect("a file can be made");
        let zipped = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        let mut tar = tar::Builder::new(zipped);
        for (i, name) in CIFAR10.into_iter().chain(["readme.html"]).enumerate() {
            let mut header = tar::Header::new_gnu();
            header.set_size(3073);
            header.set_mode(0o644);
            let bytes = vec![i as u8; 3073];
            tar.append_data(&mut header, format!("{CIFAR10_FOLDER}/{name}"), &bytes[..])
                .expect("it can be packed");
        }
        let zipped = tar.into_inner().expect("it can be finished");
        zipped.finish().expect("it can be finished");

        unpack_cifar(&path, &folder).expect("it can be unpacked");
        fs::remove_file(&path).expect("it is there");
        let unpacked = fs::read_dir(&folder).expect("it is there");
        assert_eq!(unpacked.count(), CIFAR10.len());
        let set = ImageLibrary::Cifar10.read(&folder).expect("all are there");
        assert_eq!([set.train.len(), set.test.len()], [5, 1]);
        assert_eq!([0, 4].map(|i| set.train.label(i)), [0, 4]);
        fs::remove_dir_all(folder).expect("it is there");
    }
}
