//! Messages and the three verbs of the method: [`cut`], [`inject`], [`receive`].
//!
//! A *message* is what a section sends up: its output `h`, a tensor of shape
//! `[batch, features]`. Between sections it travels without a tape. Gradients are taken and
//! injected only here; [`pass`](crate::pass) puts a module on the tape for that.

use burn::tensor::{Gradients, Tensor, assert_shape};

/// Cuts the tape: the same values as a new leaf whose gradient can be [received](receive).
///
/// Whatever computed `message` gets no gradient through the result (the dashed arrows of the
/// paper's figures).
///
/// # Shapes
///
/// `[batch, features]` to the same.
pub fn cut(message: Tensor<2>) -> Tensor<2> {
    message.inner().autodiff().require_grad()
}

/// Injects the gradient `delta = dL/dh` at the tracked `message` `h` and sends it back.
///
/// The gradient of the surrogate `<h, delta>` with respect to anything below `h` is
/// `delta * dh/d(.)`, which is the right-hand side of the paper's update
/// `theta - alpha * delta_hat * dh/dtheta`. `delta` is a constant: nothing flows through it.
///
/// # Shapes
///
/// Both `[batch, features]`.
///
/// # Panics
///
/// If the shapes differ or `message` is not on a tape.
pub fn inject(message: Tensor<2>, delta: Tensor<2>) -> Gradients {
    surrogate(message, delta).backward()
}

/// [`inject`] at several messages of one tape, whose gradients add up; there is at least one.
pub(crate) fn inject_all(messages: impl IntoIterator<Item = [Tensor<2>; 2]>) -> Gradients {
    messages
        .into_iter()
        .map(|[message, delta]| surrogate(message, delta))
        .reduce(|a, b| a + b)
        .expect("there is a message to inject at")
        .backward()
}

/// `<h, delta>`, with `delta` as a constant.
fn surrogate(message: Tensor<2>, delta: Tensor<2>) -> Tensor<1> {
    let [batch, features] = message.dims();
    assert_shape!(delta, [batch, features]);
    (message * delta.inner().autodiff()).sum()
}

/// The gradient that arrived at a [`cut`] input: `delta` of the message below, without a tape.
///
/// `None` if `input` is not a leaf, as for data, whose gradient nobody needs, or if the output did
/// not depend on it.
pub fn receive(input: &Tensor<2>, gradients: &mut Gradients) -> Option<Tensor<2>> {
    input.grad_remove(gradients)
}
