//! The tiny Shakespeare corpus: where its file is, and how it is downloaded.

use std::fs;
use std::path::{Path, PathBuf};

use super::fetch::{Checksum, Fetched, Remote, fetch};
use super::{Corpus, Places};
use crate::error::{Error, Result};

/// Its name, also that of its folder.
const NAME: &str = "tinyshakespeare";
const FILE: &str = "input.txt";
const SERVER: &str =
    "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/";
const CHECKSUM: Checksum =
    Checksum::Sha256("86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed");

/// Reads the tiny Shakespeare corpus, 1,115,394 characters from his plays, after downloading it if
/// it is missing. `progress` is called during the download.
///
/// # Errors
///
/// If the data folder is missing, the file is damaged or another one, or the download fails.
pub fn shakespeare(places: &Places, progress: &mut dyn FnMut(&Fetched)) -> Result<Corpus> {
    let cache = places.cache.join(NAME);
    let data = places.data()?;
    // Many files have this name: outside a folder of its own the right one is known by its content.
    if let Some(data) = data
        && let Ok(text) = read(&data.join(FILE))
    {
        return Corpus::from_text(&text);
    }
    let found = [data.map(|data| data.join(NAME)), Some(cache.clone())];
    let found = found.into_iter().flatten().map(|folder| folder.join(FILE));
    let path = match found.into_iter().find(|path| path.is_file()) {
        Some(path) => path,
        None => download(&cache, places, progress).map_err(|source| {
            let looked_at = data.into_iter();
            let looked_at = looked_at.flat_map(|data| [data.join(NAME), data.to_path_buf()]);
            Error::NotFound {
                set: NAME,
                looked_at: looked_at.chain([cache.clone()]).collect(),
                source: Box::new(source),
            }
        })?,
    };
    Corpus::from_text(&read(&path)?)
}

/// The file's text, if it is the right one.
fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let another = |found| Error::Data {
        path: path.to_path_buf(),
        expected: format!("the {} {}", CHECKSUM.method(), CHECKSUM.expected()),
        found,
    };
    let sum = CHECKSUM.of(&bytes);
    if sum != CHECKSUM.expected() {
        return Err(another(format!("{sum}, over {} bytes", bytes.len())));
    }
    String::from_utf8(bytes).map_err(|error| another(error.to_string()))
}

fn download(cache: &Path, places: &Places, progress: &mut dyn FnMut(&Fetched)) -> Result<PathBuf> {
    let base = match &places.base {
        Some(base) => format!("{}/{NAME}/", base.trim_end_matches('/')),
        None => SERVER.to_string(),
    };
    let remote = Remote {
        base: &base,
        name: FILE,
        checksum: CHECKSUM,
    };
    fetch(remote, cache, places.patience, progress)
}
