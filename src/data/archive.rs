//! The archive that CIFAR-10 is downloaded in.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::ImageSet;
use super::cifar::read_batches;
use crate::error::{Error, Result};

/// Its name, and its MD5.
pub(super) const FILE: (&str, &str) =
    ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530");
/// The folder in the archive.
pub(super) const FOLDER: &str = "cifar-10-batches-bin";
/// The files in it, the test's last.
pub(super) const BATCHES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
/// The size of each of these.
const BATCH: u64 = 30_730_000;

/// The set of all batches, in the order of their names, the test's last.
pub(super) fn set_of(mut batches: Vec<(PathBuf, Vec<u8>)>) -> Result<ImageSet> {
    // They have no header that says how many images there are, but all are equally many.
    let largest = batches.iter().map(|(_, bytes)| bytes.len()).max();
    let largest = largest.unwrap_or_default();
    if let Some((path, bytes)) = batches.iter().find(|(_, bytes)| bytes.len() != largest) {
        return Err(Error::Data {
            path: path.clone(),
            expected: format!("{largest} bytes, as another of the batches has"),
            found: format!("{}", bytes.len()),
        });
    }
    let test = batches.split_off(batches.len() - 1);
    Ok(ImageSet {
        train: read_batches(&batches)?,
        test: read_batches(&test)?,
    })
}

/// The batches in the archive, each as `take` has it.
fn unpack<T>(
    archive: &Path,
    mut take: impl FnMut(&'static str, &mut dyn Read) -> Result<T>,
) -> Result<Vec<T>> {
    let file = fs::File::open(archive).map_err(Error::io("read", archive))?;
    let mut tar = tar::Archive::new(GzDecoder::new(file));
    let entries = tar.entries().map_err(Error::io("read", archive))?;
    let mut taken = Vec::with_capacity(BATCHES.len());
    for entry in entries {
        let entry = entry.map_err(Error::io("read", archive))?;
        let path = entry.path().map_err(Error::io("read", archive))?;
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = BATCHES.into_iter().find(|known| Some(*known) == name) {
            taken.push(take(name, &mut entry.take(BATCH))?);
        }
    }
    Ok(taken)
}

/// Takes the batches out of the archive; each appears whole or not at all.
pub(super) fn extract(archive: &Path, folder: &Path) -> Result<()> {
    unpack(archive, |name, bytes| {
        let unfinished = folder.join(format!("{name}.{}.part", std::process::id()));
        let target = folder.join(name);
        let outcome = fs::File::create(&unfinished)
            .and_then(|mut file| {
                std::io::copy(bytes, &mut file)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&unfinished, &target));
        outcome.map_err(|error| {
            let _ = fs::remove_file(&unfinished);
            Error::io("write", target)(error)
        })
    })?;
    Ok(())
}

/// Reads the set from its archive.
pub(super) fn read(archive: &Path) -> Result<ImageSet> {
    let mut batches = unpack(archive, |name, bytes| {
        let path = archive.join(name);
        let mut content = Vec::new();
        let read = bytes.read_to_end(&mut content);
        read.map_err(Error::io("read", &path))?;
        Ok((path, content))
    })?;
    batches.sort();
    if batches.len() != BATCHES.len() {
        return Err(Error::Data {
            path: archive.to_path_buf(),
            expected: format!("{} batches", BATCHES.len()),
            found: format!("{}", batches.len()),
        });
    }
    set_of(batches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageLibrary;

    /// The real archive is too large for a test; this one has its form.
    #[test]
    fn batches_come_out_of_the_archive() {
        let folder = std::env::temp_dir().join(format!("dni-unpack-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        let path = folder.join("cifar.tar.gz");
        let file = fs::File::create(&path).expect("a file can be made");
        let zipped = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        let mut tar = tar::Builder::new(zipped);
        for (i, name) in BATCHES.into_iter().chain(["readme.html"]).enumerate() {
            let mut header = tar::Header::new_gnu();
            header.set_size(3073);
            header.set_mode(0o644);
            let bytes = vec![i as u8; 3073];
            tar.append_data(&mut header, format!("{FOLDER}/{name}"), &bytes[..])
                .expect("it can be packed");
        }
        let zipped = tar.into_inner().expect("it can be finished");
        zipped.finish().expect("it can be finished");

        let zipped = read(&path).expect("it has all batches");
        extract(&path, &folder).expect("it can be unpacked");
        fs::remove_file(&path).expect("it is there");
        let unpacked = fs::read_dir(&folder).expect("it is there");
        assert_eq!(unpacked.count(), BATCHES.len());
        let set = ImageLibrary::Cifar10.read(&folder).expect("all are there");
        assert_eq!([set.train.len(), set.test.len()], [5, 1]);
        assert_eq!([0, 4].map(|i| set.train.label(i)), [0, 4]);
        assert_eq!(zipped, set);
        fs::remove_dir_all(folder).expect("it is there");
    }
}
