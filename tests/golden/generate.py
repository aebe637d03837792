"""Writes notebook.json: the notebook's two programs, computed by NumPy in this crate's arithmetic.

    python3 tests/golden/generate.py

It needs NumPy only, and writes the same file every time. `tests/notebook.rs` draws the same
initial weights and batches, trains the same networks with the crate, and compares.

The networks, sizes, learning rates and distributions are the notebook's. Three details are not,
where the crate follows the paper:

- a gradient goes down through the weights as they were in the forward pass, not through those
  just updated;
- biases learn from the sum over the batch, as weights do, not from its average;
- weights and inputs are drawn from the generator below, so that both sides have them without
  storing them, and every batch is new.

Weights are rounded to f32 as the crate starts from them; all that follows is f64. Of parameters
their change over all steps is stored, which is far smaller than they are.
"""

import json
from pathlib import Path

import numpy as np

STEPS = 20
BATCH = 10
# How many values of each tensor are stored besides its sum and its norm.
KEPT = 48


class Lcg:
    """x <- 1664525 x + 1013904223 mod 2^32; the upper 24 bits make a uniform number."""

    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        """From 0 up to 1; a multiple of 2^-24."""
        self.state = (1664525 * self.state + 1013904223) % 2**32
        return (self.state >> 8) / 2**24

    def normal(self, mean, std):
        """Nearly normal: twelve uniform numbers less six have variance one. Exact until `std`."""
        return (sum(self.uniform() for _ in range(12)) - 6.0) * std + mean

    def normals(self, shape, mean, std):
        """Row after row, rounded to f32."""
        values = [self.normal(mean, std) for _ in range(int(np.prod(shape)))]
        return np.array(values, dtype=np.float32).astype(np.float64).reshape(shape)

    def sums(self, bits):
        """A batch of binary additions: two numbers side by side, and their sum; high bit first."""

        def vector(number):
            return [float(number >> i & 1) for i in reversed(range(bits))]

        x, y = [], []
        for _ in range(BATCH):
            left = int(self.uniform() * 2 ** (bits - 1))
            right = int(self.uniform() * 2 ** (bits - 1))
            x.append(vector(left) + vector(right))
            y.append(vector(left + right))
        return np.array(x), np.array(y)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Layer:
    """A sigmoid layer."""

    def __init__(self, lcg, inputs, outputs, mean, std, with_bias):
        self.weight = lcg.normals((inputs, outputs), mean, std)
        self.bias = lcg.normals((outputs,), mean, std) if with_bias else np.zeros(outputs)
        self.start = self.weight.copy(), self.bias.copy()

    def forward(self, x):
        self.x = x
        self.h = sigmoid(x @ self.weight + self.bias)
        return self.h

    def gradients(self, delta):
        """For the weight, the bias, and the input."""
        dz = delta * self.h * (1 - self.h)
        return self.x.T @ dz, dz.sum(axis=0), dz @ self.weight.T

    def changes(self):
        weight, bias = self.start
        return kept(self.weight - weight), kept(self.bias - bias)


class Synthesizer:
    """delta_hat = h A + C, zero at the start."""

    def __init__(self, features):
        self.weight = np.zeros((features, features))
        self.bias = np.zeros(features)

    def predict(self, h):
        return h @ self.weight + self.bias

    def learn(self, h, residual, rate):
        self.weight -= rate * h.T @ residual
        self.bias -= rate * residual.sum(axis=0)


def backprop():
    """24-128-64-12 without biases."""
    lcg, rate, bits = Lcg(1), 0.1, 12
    sizes = [2 * bits, 128, 64, bits]
    layers = [Layer(lcg, i, o, -0.1, 0.2, False) for i, o in zip(sizes, sizes[1:])]
    losses = []
    for _ in range(STEPS):
        message, y = lcg.sums(bits)
        for layer in layers:
            message = layer.forward(message)
        delta = message - y
        losses.append(np.abs(delta * message * (1 - message)).sum())
        for layer in reversed(layers):
            weight, _, delta = layer.gradients(delta)
            layer.weight -= rate * weight
    return {
        "losses": rounded(losses),
        "sections": [layer.changes()[:1] for layer in layers],
    }


def dni():
    """16-64-32-8 with biases and a linear synthesizer on top of the first and second layer."""
    lcg, rate, bits = Lcg(2), 0.01, 8
    sizes = [2 * bits, 64, 32, bits]
    layers = [Layer(lcg, i, o, -1.0, 2.0, True) for i, o in zip(sizes, sizes[1:])]
    synthesizers = [Synthesizer(features) for features in sizes[1:-1]]
    losses, synthetic_losses = [], []
    for _ in range(STEPS):
        message, y = lcg.sums(bits)
        residuals = []
        for i, layer in enumerate(layers):
            message = layer.forward(message)
            top = i == len(synthesizers)
            delta = message - y if top else synthesizers[i].predict(message)
            weight, bias, below = layer.gradients(delta)
            layer.weight -= rate * weight
            layer.bias -= rate * bias
            if i > 0:
                residuals.append(delta_hat - below)
                synthesizers[i - 1].learn(layer.x, residuals[-1], rate)
            delta_hat = delta
        losses.append(np.abs(delta).sum())
        synthetic_losses.append(np.abs(residuals[-1]).sum())
    return {
        "losses": rounded(losses),
        "synthetic_losses": rounded(synthetic_losses),
        "sections": [layer.changes() for layer in layers],
        "synthesizers": [[kept(s.weight), kept(s.bias)] for s in synthesizers],
    }


def rounded(values):
    """Nine significant digits: more than f32 has."""
    return [float(f"{value:.9g}") for value in values]


def kept(tensor):
    """A tensor in short: its sum, its norm, and values spread evenly over it, the first among them."""
    flat = tensor.ravel()
    total, norm = rounded([flat.sum(), np.linalg.norm(flat)])
    stride = max(1, len(flat) // KEPT)
    return {"sum": total, "norm": norm, "stride": stride, "values": rounded(flat[::stride])}


if __name__ == "__main__":
    golden = {"backprop": backprop(), "dni": dni()}
    path = Path(__file__).with_name("notebook.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")
