//! What a character model writes.

use std::path::Path;

use anyhow::Context;
use burn::tensor::{Device, Int, Tensor, activation};
use dni::data::{Alphabet, Fingerprint, Stream, generator};
use dni::run::Checkpoint;
use dni::{Recurrent, Sequence};
use rand::RngExt;

use super::Text;
use crate::sequences::{SequenceArgs, SequenceTask as _, Settings};
use crate::{output, runs, session};

/// How much a model is to write.
pub fn characters(text: &str) -> Result<usize, String> {
    const MOST: usize = 1 << 24;
    let length = text.parse().ok().filter(|length| *length <= MOST);
    length.ok_or_else(|| format!("it must be a whole number up to {MOST}"))
}

/// Characters drawn one after another from what a network predicts, beginning with a new line, or
/// with its first character if it knows none.
pub fn write(
    network: &Recurrent,
    alphabet: &Alphabet,
    length: usize,
    seed: u64,
    device: &Device,
) -> String {
    let rng = &mut generator(seed, Stream::Sample);
    let mut code = alphabet.encode("\n", "it").map_or(0, |codes| codes[0]);
    let (mut state, mut text) = (None, String::with_capacity(length));
    for _ in 0..length {
        let input = Tensor::<2, Int>::from_ints([[i32::from(code)]], device);
        let (output, after) = network.predict(&Sequence::new(input), state);
        let output: Tensor<2> = output.reshape([1, alphabet.len()]);
        let probabilities = activation::softmax(output, 1).into_data();
        let probabilities: Vec<f32> = probabilities.try_into_vec().expect("they are f32");
        code = draw(&probabilities, rng.random()) as u16;
        text.push(alphabet.character(code));
        state = Some(after);
    }
    text
}

/// Writes with the best network that a run has left.
pub fn write_with(folder: &Path, args: &SequenceArgs<Text>) -> anyhow::Result<()> {
    const LENGTH: usize = 500;
    runs::check_single(folder)?;
    let settings: Settings<Text> = runs::read_settings(folder, Text::NAME)?;
    let (method, _) = settings.run.only()?;
    session::prepare_kernels(args.call.machine.kernel_threads.unwrap_or(1))?;
    let backend = args.call.machine.backend;
    let backend = backend.map_or(settings.run.backend, |backend| backend.resolve());
    let device = backend.device()?;
    let checkpoint = Checkpoint::best_or_last(folder)?;
    let characters = checkpoint
        .data()
        .and_then(|data| data.terms.get(Fingerprint::ALPHABET));
    let alphabet = characters.with_context(|| {
        format!(
            "the run in '{}' does not say which characters it knows",
            folder.display()
        )
    });
    let alphabet = Alphabet::new(alphabet?)?;
    let seed = args.length.seeds.seed.unwrap_or(settings.run.seed);
    let mut network = settings.network(method, seed, &alphabet, &device)?;
    checkpoint.restore(&mut network)?;
    let text = write(
        &network,
        &alphabet,
        args.own.sample.unwrap_or(LENGTH),
        seed,
        &device,
    );
    output::print(&format!("{text}\n"))
}

/// Which of these probabilities a number from 0 to 1 falls to.
fn draw(probabilities: &[f32], mut number: f32) -> usize {
    let found = probabilities.iter().position(|probability| {
        number -= probability;
        number < 0.0
    });
    // They may come to a little less than one.
    found.unwrap_or(probabilities.len() - 1)
}
