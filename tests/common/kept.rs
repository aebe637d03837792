//! What a checkpoint keeps of a network.

use std::path::PathBuf;

use dni::learner::Network;
use dni::run::Checkpoint;
use dni::train::{Notes, Progress};

use super::TempDir;

/// A checkpoint of a network, and the folder that it is in.
pub fn written(network: &impl Network) -> (TempDir, PathBuf) {
    let folder = TempDir::new();
    let path = folder.path().join("checkpoint.bpk");
    let (notes, progress) = (Notes::new(), Progress::default());
    Checkpoint::write(&path, network, &notes, progress, "", None, &[]).expect("it can be written");
    (folder, path)
}

/// Everything that a checkpoint has of a network, byte for byte.
pub fn state(network: &impl Network) -> Vec<u8> {
    let (_folder, path) = written(network);
    std::fs::read(path).expect("it was written")
}

/// Gives a network the state of another, by way of a checkpoint.
pub fn restore(from: &impl Network, into: &mut impl Network) {
    let (_folder, path) = written(from);
    let checkpoint = Checkpoint::read(&path).expect("it is whole");
    checkpoint.restore(into).expect("it fits");
}
