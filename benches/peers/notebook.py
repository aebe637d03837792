"""The arithmetic of the notebook's two training steps in NumPy, timed.

For every line on standard input it times 1,000 steps of the backprop network (24-128-64-12), of
the DNI network (16-64-32-8) and of that with synthesizers that see the target (cDNI), batch 10, and
prints the microseconds per step as a JSON object: so `benches/notebook.rs` can let it and dni take turns. BLAS runs on one thread, unless the environment
says otherwise. Alone: `yes | head -10 | python3 benches/peers/notebook.py`.
"""

import json
import os
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402  (after the number of threads is set)

BATCH = 10
STEPS = 1000


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def derivative(h):
    return h * (1 - h)


class Backprop:
    """Three layers without biases; the gradient is chained by hand."""

    def __init__(self, rng):
        sizes = [24, 128, 64, 12]
        self.rate = 0.1
        self.weights = [rng.normal(-0.1, 0.2, pair) for pair in zip(sizes, sizes[1:])]
        self.x = rng.integers(0, 2, (BATCH, 24)).astype(float)
        self.y = rng.integers(0, 2, (BATCH, 12)).astype(float)

    def step(self):
        w1, w2, w3 = self.weights
        h1 = sigmoid(self.x.dot(w1))
        h2 = sigmoid(h1.dot(w2))
        h3 = sigmoid(h2.dot(w3))
        d3 = (h3 - self.y) * derivative(h3)
        d2 = d3.dot(w3.T) * derivative(h2)
        d1 = d2.dot(w2.T) * derivative(h1)
        w1 -= self.x.T.dot(d1) * self.rate
        w2 -= h1.T.dot(d2) * self.rate
        w3 -= h2.T.dot(d3) * self.rate
        return np.sum(np.abs(d3))


class Layer:
    """A layer with its linear synthetic-gradient model, as the notebook's DNI class; the model may
    take a context beside the layer's output."""

    def __init__(self, rng, inputs, outputs, rate, contexts=0):
        self.weights = rng.normal(-1, 2, (inputs, outputs))
        self.bias = rng.normal(-1, 2, outputs)
        self.synthetic_weights = np.zeros((outputs + contexts, outputs))
        self.synthetic_bias = np.zeros(outputs)
        self.rate = rate

    def forward(self, x):
        self.x = x
        self.h = sigmoid(x.dot(self.weights) + self.bias)
        return self.h

    def learn(self, delta):
        dz = delta * derivative(self.h)
        self.weights -= self.x.T.dot(dz) * self.rate
        self.bias -= np.average(dz, axis=0) * self.rate
        return dz.dot(self.weights.T)

    def predict(self, context=None):
        self.seen = self.h if context is None else np.concatenate((self.h, context), axis=1)
        self.delta_hat = self.seen.dot(self.synthetic_weights) + self.synthetic_bias
        return self.delta_hat

    def learn_synthesizer(self, delta):
        residual = self.delta_hat - delta
        self.synthetic_weights -= self.seen.T.dot(residual) * self.rate
        self.synthetic_bias -= np.average(residual, axis=0) * self.rate
        return residual


class Dni:
    """Two decoupled layers and the top one, which knows the loss."""

    def __init__(self, rng, contexts=0):
        sizes = [16, 64, 32, 8]
        self.layers = [Layer(rng, i, o, 0.01, contexts) for i, o in zip(sizes, sizes[1:])]
        self.x = rng.integers(0, 2, (BATCH, 16)).astype(float)
        self.y = rng.integers(0, 2, (BATCH, 8)).astype(float)
        self.context = self.y if contexts else None

    def step(self):
        first, second, top = self.layers
        h1 = first.forward(self.x)
        first.learn(first.predict(self.context))
        h2 = second.forward(h1)
        delta1 = second.learn(second.predict(self.context))
        error = top.forward(h2) - self.y
        delta2 = top.learn(error)
        residual = second.learn_synthesizer(delta2)
        first.learn_synthesizer(delta1)
        return np.sum(np.abs(error)), np.sum(np.abs(residual))


def time_of_step(program):
    start = time.perf_counter()
    for _ in range(STEPS):
        program.step()
    return (time.perf_counter() - start) / STEPS * 1e6


def main():
    rng = np.random.default_rng(1)
    programs = {"backprop": Backprop(rng), "dni": Dni(rng), "cdni": Dni(rng, contexts=8)}
    for program in programs.values():
        time_of_step(program)
    for _ in sys.stdin:
        times = {name: time_of_step(program) for name, program in programs.items()}
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
