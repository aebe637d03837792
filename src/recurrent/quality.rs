//! How good a synthetic future is, measured against the true one.

use burn::tensor::{Tensor, assert_shape};

use super::learn::STATE;
use super::{Deltas, Future, Read, Recurrent, Window};
use crate::pass::plain;
use crate::quality::Quality;

impl Recurrent {
    /// How good the synthetic future at a state, `[batch, state]`, is: what the interface predicts
    /// there, compared with the gradient that full backpropagation through the `windows` brings,
    /// which follow on that state one after another. None without a future, or without windows.
    ///
    /// The truth is the gradient of all losses of these windows, and of these alone: they should
    /// reach well beyond one window, or to the end of the sequences. Where the interface learns a
    /// future that is [scaled](Future::with_scaled_targets), so is the truth: the losses of window
    /// `k`, counted from 0, count `scale^k`. The loss of an auxiliary task, which the interface
    /// learns as well, is left out.
    ///
    /// The network stays as it was, and its own state does not matter.
    ///
    /// # Panics
    ///
    /// If a shape does not fit.
    pub fn quality(&self, state: Tensor<2>, windows: &[Window]) -> Option<Quality> {
        let observer = self.observer();
        let future = observer.future.as_ref()?;
        let windows: Vec<Window> = windows.iter().cloned().map(Window::off_tape).collect();
        let first = windows.first()?;
        let ([_, batch], features) = (first.sequence.dims(), observer.core.state_features());
        assert_shape!(state, [batch, features]);
        let state = plain(state);
        let delta_hat = future.predict(observer.core.as_ref(), &state, &first.sequence);
        let delta = observer.true_future(state, &windows, future.share_learned())?;
        Some(Quality::measure(STATE.to_string(), delta_hat, delta))
    }

    /// The gradient at a state, `[batch, state]`, of the losses of the windows that follow on it,
    /// each of which counts `share` times what the one before it does.
    fn true_future(&self, state: Tensor<2>, windows: &[Window], share: f64) -> Option<Tensor<2>> {
        let (mut state, mut passes) = (state, Vec::with_capacity(windows.len()));
        for window in windows {
            let unrolled = self.core.unroll(window.sequence.clone(), state);
            state = unrolled.last.clone();
            passes.push((unrolled, window));
        }
        let backward = passes.into_iter().rev();
        backward.fold(None, |delta: Option<Tensor<2>>, (unrolled, window)| {
            let Read { at_core, .. } = self.read(&unrolled, window);
            let goes_on = window.next.is_some();
            let (_, arrived) = unrolled.back(Deltas {
                outputs: at_core,
                first: None,
                last: delta
                    .filter(|_| goes_on)
                    .map(|delta| delta.mul_scalar(share)),
            });
            Some(arrived)
        })
    }

    /// A copy for measurements, which leaves this one untouched.
    fn observer(&self) -> Self {
        Self {
            loss: self.loss.clone(),
            core: self.core.observer(),
            readout: self.readout.observer(),
            future: self.future.as_ref().map(Future::observer),
            state: None,
        }
    }
}

impl Future {
    /// What the future at the end of a window counts in what the interface learns.
    fn share_learned(&self) -> f64 {
        if self.scales_targets { self.scale } else { 1.0 }
    }

    /// A copy for measurements, without the auxiliary task.
    fn observer(&self) -> Self {
        Self {
            interface: self.interface.observer(),
            auxiliary: None,
            ..*self
        }
    }
}
