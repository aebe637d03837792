//! Counting in a build without graphics adapters.

use burn::tensor::Device;
use serde::Serialize;

use super::networks::Stepping;

/// There are none.
#[derive(Debug, Clone, Serialize)]
pub struct Counts {
    pub launches: f64,
    pub submissions: f64,
    pub buffers: f64,
    pub uploads: f64,
    pub read_backs_a_record: f64,
}

pub fn count(_: &mut dyn Stepping, _: &Device) -> dni::Result<Counts> {
    unreachable!("a build without adapters has no device of theirs")
}
