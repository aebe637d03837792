//! Copy and Repeat Copy: symbols to be remembered and reproduced (Graves et al., 2014).

use std::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use rand::{Rng, RngExt};

use crate::recurrent::{Sequence, Window};

/// Bits of a symbol.
const BITS: usize = 8;
/// The input's channel that begins an episode.
const BEGIN: usize = BITS;
/// The input's channel that ends the symbols, and says how often they are asked for.
const REPEATS: usize = BITS + 1;
/// The output's channel that ends the answer.
const END: usize = BITS;

/// How hard an episode is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyLevel {
    /// Symbols to remember, `N`.
    pub symbols: usize,
    /// How often they must be reproduced, `R`.
    pub repeats: usize,
}

impl CopyLevel {
    /// The easiest: one symbol, once.
    pub const FIRST: Self = Self {
        symbols: 1,
        repeats: 1,
    };

    /// Steps of an episode: a step that begins it, the symbols, a step that ends them, the answers
    /// and a step that ends these, `N (R + 1) + 3`.
    pub fn steps(self) -> usize {
        self.symbols * (self.repeats + 1) + 3
    }

    /// Steps in which an answer is asked for, `N R + 1`.
    pub fn answers(self) -> usize {
        self.symbols * self.repeats + 1
    }

    /// The next harder level of the paper's curricula: one more symbol, and for Repeat Copy in turn
    /// one more repeat.
    pub fn next(self, repeat: bool) -> Self {
        let Self { symbols, repeats } = self;
        if repeat && repeats < symbols {
            Self {
                symbols,
                repeats: repeats + 1,
            }
        } else {
            Self {
                symbols: symbols + 1,
                repeats,
            }
        }
    }
}

/// Episodes of one level side by side, drawn at random.
#[derive(Debug, Clone)]
pub struct CopyEpisodes {
    level: CopyLevel,
    batch: usize,
    /// `[symbols, batch, BITS]`
    bits: Vec<bool>,
}

impl CopyEpisodes {
    /// Features of the input: the bits of a symbol, a marker of the beginning, and the number of
    /// repeats.
    pub const INPUTS: usize = BITS + 2;
    /// Features of the output: the bits of a symbol, and a marker of the end.
    pub const OUTPUTS: usize = BITS + 1;
    /// The repeats are a tenth of their number in the input.
    const REPEATS_SCALE: f32 = 0.1;

    /// Draws `batch` episodes of a level.
    pub fn draw(level: CopyLevel, batch: usize, rng: &mut impl Rng) -> Self {
        let bits = (0..level.symbols * batch * BITS).map(|_| rng.random());
        Self {
            level,
            batch,
            bits: bits.collect(),
        }
    }

    /// All windows of up to `steps` steps, in order.
    ///
    /// # Panics
    ///
    /// If `steps` is zero.
    pub fn windows(&self, steps: usize, device: &Device) -> Vec<Window> {
        let firsts = (0..self.level.steps()).step_by(steps);
        firsts
            .map(|from| self.window(from, steps, device))
            .collect()
    }

    /// The window of up to `steps` steps from step `from` on. The first begins the sequences; the
    /// last ends them, and may be shorter.
    ///
    /// # Panics
    ///
    /// If `from` is beyond the end of the episode.
    pub fn window(&self, from: usize, steps: usize, device: &Device) -> Window {
        let end = self.level.steps();
        let to = end.min(from + steps);
        assert!(from < to, "the episode has {end} steps, none after {from}");
        let weights = (from..to).flat_map(|t| vec![self.weight(t); self.batch]);
        let weights = TensorData::new(weights.collect(), [to - from, self.batch]);
        let inputs = |steps| self.rows(steps, Self::INPUTS, Self::set_input, device);
        Window {
            sequence: Sequence {
                inputs: inputs(from..to).into(),
                keep_mask: (from == 0).then(|| Sequence::beginning([to, self.batch], device)),
            },
            targets: self
                .rows(from..to, Self::OUTPUTS, Self::set_target, device)
                .into(),
            weights: Some(Tensor::from_data(weights, device)),
            next: (to < end).then(|| Sequence::new(inputs(to..to + 1))),
        }
    }

    /// Some steps of all episodes, `[steps, batch, features]`, of which `set` sets what is not
    /// zero.
    fn rows(
        &self,
        steps: Range<usize>,
        features: usize,
        set: fn(&Self, usize, usize, &mut [f32]),
        device: &Device,
    ) -> Tensor<3> {
        let shape = [steps.len(), self.batch, features];
        let mut values = vec![0.0; shape.iter().product()];
        for (i, row) in values.chunks_exact_mut(features).enumerate() {
            set(self, steps.start + i / self.batch, i % self.batch, row);
        }
        Tensor::from_data(TensorData::new(values, shape), device)
    }

    /// The bits of symbol `i` of one episode.
    fn symbol(&self, i: usize, episode: usize) -> &[bool] {
        let first = (i * self.batch + episode) * BITS;
        &self.bits[first..first + BITS]
    }

    fn set_input(&self, t: usize, episode: usize, row: &mut [f32]) {
        match t {
            0 => row[BEGIN] = 1.0,
            t if t <= self.level.symbols => set_bits(self.symbol(t - 1, episode), row),
            t if t == self.level.symbols + 1 => {
                row[REPEATS] = Self::REPEATS_SCALE * self.level.repeats as f32;
            }
            _ => {}
        }
    }

    fn set_target(&self, t: usize, episode: usize, row: &mut [f32]) {
        let Some(answer) = t.checked_sub(self.first_answer()) else {
            return;
        };
        if answer + 1 == self.level.answers() {
            row[END] = 1.0;
        } else {
            set_bits(self.symbol(answer % self.level.symbols, episode), row);
        }
    }

    fn weight(&self, t: usize) -> f32 {
        if t >= self.first_answer() { 1.0 } else { 0.0 }
    }

    fn first_answer(&self) -> usize {
        self.level.symbols + 2
    }
}

fn set_bits(bits: &[bool], row: &mut [f32]) {
    for (value, bit) in row.iter_mut().zip(bits) {
        *value = f32::from(*bit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Data;
    use rand::SeedableRng;
    use rand::rngs::ChaCha8Rng;

    fn read(window: &Data<3>) -> Vec<Vec<f32>> {
        let numbers = window.numbers().expect("they are numbers");
        let [_, _, features] = numbers.dims();
        let values: Vec<f32> = numbers.to_data().try_into_vec().expect("they are f32");
        values.chunks_exact(features).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn an_episode_asks_for_its_symbols_and_then_for_the_end() {
        let level = CopyLevel {
            symbols: 2,
            repeats: 3,
        };
        let device = Device::flex();
        let episodes = CopyEpisodes::draw(level, 1, &mut ChaCha8Rng::seed_from_u64(1));
        let window = episodes.window(0, 100, &device);
        let [inputs, targets] = [&window.sequence.inputs, &window.targets].map(read);
        assert_eq!([inputs.len(), targets.len()], [level.steps(); 2]);
        assert_eq!(level.steps(), 11);
        let symbols = [1, 2].map(|t| inputs[t][..BITS].to_vec());
        assert_ne!(symbols[0], symbols[1]);
        assert_eq!(inputs[0][BEGIN], 1.0);
        assert_eq!(inputs[3][REPEATS], 0.3);
        assert!(inputs[4..].iter().flatten().all(|&value| value == 0.0));
        for (answer, target) in targets[4..10].iter().enumerate() {
            assert_eq!(target[..BITS], symbols[answer % 2], "answer {answer}");
            assert_eq!(target[END], 0.0);
        }
        assert_eq!(targets[10], [0., 0., 0., 0., 0., 0., 0., 0., 1.]);
        assert!(targets[..4].iter().flatten().all(|&value| value == 0.0));
        let weights = window.weights.expect("not all steps count").into_data();
        let weights: Vec<f32> = weights.try_into_vec().expect("they are f32");
        assert_eq!(weights.iter().sum::<f32>() as usize, level.answers());
        assert_eq!(weights[3..5], [0.0, 1.0]);
        assert!(window.next.is_none());
    }

    #[test]
    fn windows_follow_one_another() {
        let level = CopyLevel {
            symbols: 3,
            repeats: 1,
        };
        let device = Device::flex();
        let episodes = CopyEpisodes::draw(level, 2, &mut ChaCha8Rng::seed_from_u64(1));
        let whole = episodes.window(0, 100, &device);
        let windows: Vec<Window> = (0..9)
            .step_by(4)
            .map(|t| episodes.window(t, 4, &device))
            .collect();
        let joined =
            |part: fn(&Window) -> &Data<3>| windows.iter().flat_map(|w| read(part(w))).collect();
        let inputs: Vec<_> = joined(|w| &w.sequence.inputs);
        let targets: Vec<_> = joined(|w| &w.targets);
        assert_eq!(inputs, read(&whole.sequence.inputs));
        assert_eq!(targets, read(&whole.targets));
        assert_eq!(windows[2].sequence.dims(), [1, 2]);
        for (window, following) in windows.iter().zip(&windows[1..]) {
            let next = window.next.as_ref().expect("the episodes go on");
            let following = read(&following.sequence.inputs);
            assert_eq!(read(&next.inputs), following[..2]);
        }
        let begins: Vec<bool> = windows
            .iter()
            .map(|w| w.sequence.keep_mask.is_some())
            .collect();
        assert_eq!(begins, [true, false, false]);
    }

    /// The lengths of the paper's table, all of which the curriculum passes.
    #[test]
    fn the_curriculum_is_the_papers() {
        let mut level = CopyLevel::FIRST;
        let mut lengths = Vec::new();
        while lengths.last() != Some(&67) {
            lengths.push(level.steps());
            level = level.next(true);
        }
        for length in [5, 7, 19, 23, 33, 39, 59, 67] {
            assert!(lengths.contains(&length), "{length} in {lengths:?}");
        }
        assert_eq!(CopyLevel::FIRST.next(false).next(false).symbols, 3);
    }
}
