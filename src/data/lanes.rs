//! A text, cut into lanes that are read side by side, window after window.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::{Error, Result};
use crate::recurrent::{Sequence, Window};

/// A text to train on: `batch` lanes of it, one after the other in the text, side by side in a
/// window. Every character is an input, and the one after it the target.
///
/// A pass reads all lanes once, from the zero state. What does not fill a last window is left out.
#[derive(Debug, Clone)]
pub struct Lanes {
    text: Text,
    batch: usize,
    steps: usize,
    /// From the beginning of one lane to that of the next.
    stride: usize,
}

impl Lanes {
    /// Cuts a text into lanes that are read `steps` characters at a time.
    ///
    /// # Errors
    ///
    /// If the batch or the window is empty, or a lane has not even one window and the target of its
    /// last character.
    ///
    /// # Panics
    ///
    /// If a code is not below `alphabet`.
    pub fn new(
        codes: impl Into<Arc<[u16]>>,
        alphabet: usize,
        batch: usize,
        steps: usize,
    ) -> Result<Self> {
        let text = Text::new(codes.into(), alphabet);
        if batch == 0 || steps == 0 {
            return Err(Error::Invalid(format!(
                "{batch} lanes with windows of {steps} characters hold nothing; \
                 choose at least one of each"
            )));
        }
        let stride = text.targets() / batch;
        if stride < steps {
            let needed = batch.saturating_mul(steps).saturating_add(1);
            return Err(Error::Invalid(format!(
                "a text of {} characters is too short for {batch} lanes with windows of {steps} \
                 characters, which need {needed}; choose fewer lanes, shorter windows or a longer \
                 text",
                text.codes.len(),
            )));
        }
        Ok(Self {
            text,
            batch,
            steps,
            stride,
        })
    }

    /// Windows in one pass through the text.
    pub fn windows_per_pass(&self) -> usize {
        self.stride / self.steps
    }

    /// Targets in one window.
    pub fn characters_per_window(&self) -> usize {
        self.batch * self.steps
    }

    /// The window of a step, counted from 0, whatever was read before: inputs and targets are codes,
    /// `[steps, batch]`.
    pub fn window(&self, step: usize, device: &Device) -> Window {
        let window = step % self.windows_per_pass();
        let first = window * self.steps;
        let is_last = window + 1 == self.windows_per_pass();
        let codes = |from, steps| self.codes(from, steps, device);
        let next = (!is_last).then(|| Sequence::new(codes(first + self.steps, 1)));
        let keep_mask = (window == 0).then(|| {
            let mut keep_mask = vec![1.0; self.characters_per_window()];
            keep_mask[..self.batch].fill(0.0);
            tensor(keep_mask, [self.steps, self.batch], device)
        });
        Window {
            sequence: Sequence {
                inputs: codes(first, self.steps).into(),
                keep_mask,
            },
            targets: codes(first + 1, self.steps).into(),
            weights: None,
            next,
        }
    }

    /// The characters from a place on in every lane, `[steps, batch]`.
    fn codes(&self, from: usize, steps: usize, device: &Device) -> Tensor<2, Int> {
        let place = |step, lane| Some(lane * self.stride + from + step);
        self.text.codes([steps, self.batch], place, device)
    }
}

/// A text to measure on: all of it once, in lanes side by side. Every character but the first is
/// the target of one place with the weight one; other places have the weight zero.
///
/// So that a lane does not begin without knowing what stands before it, it is read from some
/// characters before its first target on.
#[derive(Debug, Clone)]
pub struct Reading {
    text: Text,
    lanes: usize,
    steps: usize,
    /// How many characters a lane reads before those whose successors are its targets.
    warm_up: usize,
}

impl Reading {
    /// Reads a text in at most `lanes` lanes, `steps` characters at a time, each lane from
    /// `warm_up` characters before its own on.
    ///
    /// # Errors
    ///
    /// If there are fewer than two characters, no lanes, or no steps.
    ///
    /// # Panics
    ///
    /// If a code is not below `alphabet`.
    pub fn new(
        codes: impl Into<Arc<[u16]>>,
        alphabet: usize,
        lanes: usize,
        steps: usize,
        warm_up: usize,
    ) -> Result<Self> {
        let text = Text::new(codes.into(), alphabet);
        if lanes == 0 || steps == 0 {
            return Err(Error::Invalid(format!(
                "{lanes} lanes cannot be read {steps} characters at a time; \
                 choose at least one of each"
            )));
        }
        if text.targets() == 0 {
            return Err(Error::Invalid(format!(
                "a text of {} characters has no next character to predict; \
                 choose one of at least 2",
                text.codes.len()
            )));
        }
        let lanes = lanes.min(text.targets());
        let last = first_of_lane(text.targets(), lanes, lanes - 1);
        Ok(Self {
            text,
            lanes,
            steps,
            warm_up: warm_up.min(last),
        })
    }

    /// How many characters are targets: all but the first.
    pub fn targets(&self) -> usize {
        self.text.targets()
    }

    /// The windows, in order: inputs and targets are codes, `[steps, lanes]`, the last window with the
    /// steps that remain. Before the beginning of the text and after the end of a lane both are
    /// code 0, and no target with a weight depends on such a step.
    ///
    /// The state is that of the window before; it begins as zero.
    pub fn windows(&self, device: &Device) -> impl Iterator<Item = Window> {
        let longest = self.targets().div_ceil(self.lanes);
        let steps = self.warm_up + longest;
        (0..steps)
            .step_by(self.steps)
            .map(move |first| self.window(first, self.steps.min(steps - first), device))
    }

    /// The window from a step on, without a next one: nothing learns from it.
    fn window(&self, first: usize, steps: usize, device: &Device) -> Window {
        let size = [steps, self.lanes];
        let input = |step: usize, lane| self.input(first + step, lane);
        let target = |step: usize, lane| self.target(first + step, lane);
        let flags = |holds: &dyn Fn(usize, usize) -> bool| {
            let places = (0..steps).flat_map(|step| (0..self.lanes).map(move |lane| (step, lane)));
            let flags = places.map(|(step, lane)| f32::from(holds(step, lane)));
            tensor(flags.collect(), size, device)
        };
        let begins = |step, lane| first + step == 0 || input(step, lane) == Some(0);
        Window {
            sequence: Sequence {
                inputs: self.text.codes(size, input, device).into(),
                keep_mask: Some(flags(&|step, lane| !begins(step, lane))),
            },
            targets: self.text.codes(size, target, device).into(),
            weights: Some(flags(&|step, lane| target(step, lane).is_some())),
            next: None,
        }
    }

    /// Where in the text the input of a step is; none before its beginning and after a lane's end.
    fn input(&self, step: usize, lane: usize) -> Option<usize> {
        let place = (self.first(lane) + step).checked_sub(self.warm_up)?;
        (place < self.first(lane + 1)).then_some(place)
    }

    /// Where in the text the target of a step is; none where nothing is to be predicted.
    fn target(&self, step: usize, lane: usize) -> Option<usize> {
        let input = self.input(step, lane)?;
        (input >= self.first(lane)).then_some(input + 1)
    }

    fn first(&self, lane: usize) -> usize {
        first_of_lane(self.targets(), self.lanes, lane)
    }
}

/// Where a lane begins if the characters are shared out as evenly as they can be.
fn first_of_lane(characters: usize, lanes: usize, lane: usize) -> usize {
    let (each, rest) = (characters / lanes, characters % lanes);
    lane * each + lane.min(rest)
}

/// The codes of a text.
#[derive(Debug, Clone)]
struct Text {
    codes: Arc<[u16]>,
}

impl Text {
    /// # Panics
    ///
    /// If a code is not below `alphabet`.
    fn new(codes: Arc<[u16]>, alphabet: usize) -> Self {
        assert!(
            codes.iter().all(|&code| usize::from(code) < alphabet),
            "a code is not of this alphabet of {alphabet} characters"
        );
        Self { codes }
    }

    /// How many characters follow on another one.
    fn targets(&self) -> usize {
        self.codes.len().saturating_sub(1)
    }

    /// The characters at the places of some steps and lanes, `[steps, lanes]`; where there is no place,
    /// code 0.
    fn codes(
        &self,
        [steps, lanes]: [usize; 2],
        place: impl Fn(usize, usize) -> Option<usize>,
        device: &Device,
    ) -> Tensor<2, Int> {
        let places = (0..steps * lanes).map(|row| place(row / lanes, row % lanes));
        let codes = places.map(|place| place.map_or(0, |place| i32::from(self.codes[place])));
        let codes = TensorData::new(codes.collect(), [steps, lanes]);
        Tensor::from_data(codes, device)
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Data;

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().expect("they are f32")
    }

    /// The code in every place.
    fn codes(window: &Data<3>) -> Vec<usize> {
        let Data::Integers(codes) = window else {
            panic!("they are codes, not numbers");
        };
        let codes = codes.to_data();
        codes.iter::<i64>().map(|code| code as usize).collect()
    }

    fn text(characters: u16) -> Vec<u16> {
        (0..characters).collect()
    }

    #[test]
    fn a_window_has_every_lane_and_what_comes_next() {
        // Two lanes of 5 targets, of which a pass reads 4; the text has one more character.
        let lanes = Lanes::new(text(12), 12, 2, 2).unwrap();
        assert_eq!(lanes.windows_per_pass(), 2);
        assert_eq!(lanes.characters_per_window(), 4);
        let device = Device::flex();
        for step in [0, 2] {
            let window = lanes.window(step, &device);
            assert_eq!(codes(&window.sequence.inputs), [0, 5, 1, 6]);
            assert_eq!(codes(&window.targets), [1, 6, 2, 7]);
            let keep_mask = window.sequence.keep_mask.expect("the pass begins");
            assert_eq!(values(keep_mask), [0.0, 0.0, 1.0, 1.0]);
            let next = window.next.expect("there is another");
            assert_eq!(next.dims(), [1, 2]);
            assert_eq!(codes(&next.inputs), [2, 7]);
        }
        let last = lanes.window(3, &device);
        assert_eq!(codes(&last.sequence.inputs), [2, 7, 3, 8]);
        assert_eq!(codes(&last.targets), [3, 8, 4, 9]);
        assert!(last.sequence.keep_mask.is_none() && last.next.is_none());
    }

    #[test]
    fn a_text_that_is_too_short_is_refused() {
        assert!(Lanes::new(text(7), 7, 3, 2).is_ok());
        let error = Lanes::new(text(6), 6, 3, 2).unwrap_err().to_string();
        for word in ["6 characters", "3 lanes", "need 7", "choose fewer lanes"] {
            assert!(error.contains(word), "{error}");
        }
        assert!(Lanes::new(text(0), 1, 1, 1).is_err());
        assert!(Lanes::new(text(9), 9, 0, 1).is_err());
        assert!(Lanes::new(text(9), 9, 1, 0).is_err());
        assert!(Lanes::new(text(9), 9, usize::MAX, usize::MAX).is_err());
        assert!(Reading::new(text(1), 1, 1, 1, 0).is_err());
        assert!(Reading::new(text(2), 2, 0, 1, 0).is_err());
        assert!(Reading::new(text(2), 2, 1, 0, 0).is_err());
    }

    /// The places with a weight are one for each character but the first, right after their input,
    /// and every lane reads on without a gap from where it should.
    #[test]
    fn a_reading_has_every_character_once() {
        let device = Device::flex();
        for (characters, lanes, steps, warm_up) in [
            (2, 1, 1, 0),
            (10, 3, 2, 0),
            (23, 4, 5, 3),
            (23, 4, 4, 9),
            (5, 9, 3, 100),
            (30, 1, 7, 5),
        ] {
            let reading = Reading::new(text(characters), 30, lanes, steps, warm_up).unwrap();
            assert_eq!(reading.targets(), usize::from(characters) - 1);
            let mut seen = Vec::new();
            // What every lane read since it began.
            let mut read = vec![Vec::new(); lanes.min(reading.targets())];
            for window in reading.windows(&device) {
                let [length, lanes] = window.sequence.dims();
                assert!(length <= steps && lanes == read.len());
                let keep_mask = values(window.sequence.keep_mask.expect("some lane may begin"));
                let weights = values(window.weights.expect("some places have none"));
                let inputs = codes(&window.sequence.inputs);
                let targets = codes(&window.targets);
                for place in 0..length * lanes {
                    let lane = &mut read[place % lanes];
                    if keep_mask[place] == 0.0 {
                        lane.clear();
                    }
                    lane.push(inputs[place]);
                    if weights[place] == 1.0 {
                        let target = targets[place];
                        assert_eq!(inputs[place], target - 1);
                        // The warm-up, or all that there is before.
                        assert!(lane.len() > warm_up.min(target - 1));
                        assert!(lane.is_sorted() && lane.len() <= target);
                        seen.push(target);
                    }
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, (1..usize::from(characters)).collect::<Vec<_>>());
        }
    }
}
