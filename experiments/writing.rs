//! What a character model writes.

use burn::tensor::{Device, Tensor, TensorData, activation};
use dni::data::{Alphabet, Stream, generator};
use dni::{Recurrent, Sequence};
use rand::RngExt;

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
        let mut input = vec![0.0; alphabet.len()];
        input[usize::from(code)] = 1.0;
        let input = TensorData::new(input, [1, 1, alphabet.len()]);
        let sequence = Sequence {
            inputs: Tensor::from_data(input, device),
            keeps: None,
        };
        let (output, after) = network.predict(&sequence, state);
        let output: Tensor<2> = output.reshape([1, alphabet.len()]);
        let probabilities = activation::softmax(output, 1).into_data();
        let probabilities: Vec<f32> = probabilities.try_into_vec().expect("they are f32");
        code = draw(&probabilities, rng.random()) as u16;
        text.push(alphabet.character(code));
        state = Some(after);
    }
    text
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
