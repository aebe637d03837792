"""The notebook's training steps in JAX, timed: those of `notebook.py`, compiled as one loop.

`jit` compiles an epoch of 1,000 steps as one `lax.scan` over its batches, so that no step goes through
Python. Like `notebook.py` it answers every line on standard input with the microseconds per step
as a JSON object, and runs on one thread. Alone:
`yes | head -10 | python3 benches/peers/notebook_jax.py`.
"""

import json
import os
import sys
import time

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import jax  # noqa: E402  (after the number of threads is set)
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

BATCH = 10
STEPS = 1000


def derivative(h):
    return h * (1 - h)


def bits(rng, features):
    return rng.integers(0, 2, (STEPS, BATCH, features)).astype(np.float32)


class Backprop:
    """Three layers without biases; the gradient is chained by hand."""

    def __init__(self, rng):
        sizes = [24, 128, 64, 12]
        shapes = zip(sizes, sizes[1:])
        self.state = [jnp.float32(rng.normal(-0.1, 0.2, shape)) for shape in shapes]
        self.batches = bits(rng, 24), bits(rng, 12)

    @staticmethod
    def step(state, batch):
        (w1, w2, w3), (x, y) = state, batch
        h1 = jax.nn.sigmoid(x @ w1)
        h2 = jax.nn.sigmoid(h1 @ w2)
        h3 = jax.nn.sigmoid(h2 @ w3)
        d3 = (h3 - y) * derivative(h3)
        d2 = (d3 @ w3.T) * derivative(h2)
        d1 = (d2 @ w2.T) * derivative(h1)
        rate = 0.1
        state = [w1 - rate * (x.T @ d1), w2 - rate * (h1.T @ d2), w3 - rate * (h2.T @ d3)]
        return state, jnp.sum(jnp.abs(d3))


def descend(weights, bias, x, dz, rate=0.01):
    return weights - rate * (x.T @ dz), bias - rate * jnp.mean(dz, axis=0)


class Dni:
    """Two decoupled layers with linear synthesizers, and the top one, which knows the loss."""

    contexts = 0

    def __init__(self, rng):
        sizes = [16, 64, 32, 8]
        pairs = list(zip(sizes, sizes[1:]))
        layers = [(rng.normal(-1, 2, pair), rng.normal(-1, 2, pair[1])) for pair in pairs]
        synthesizers = [(np.zeros((o + self.contexts, o)), np.zeros(o)) for _, o in pairs[:2]]
        self.state = jax.tree.map(jnp.float32, (layers, synthesizers))
        self.batches = bits(rng, 16), bits(rng, 8)

    @classmethod
    def step(cls, state, batch):
        (layers, synthesizers), (x, y) = state, batch
        layers, synthesizers = list(layers), list(synthesizers)
        residual = None
        for i, (weights, bias) in enumerate(layers):
            h = jax.nn.sigmoid(x @ weights + bias)
            if i < len(synthesizers):
                seen = jnp.concatenate([h, y], axis=1) if cls.contexts else h
                a, c = synthesizers[i]
                delta = delta_hat = seen @ a + c
            else:
                delta = error = h - y
            dz = delta * derivative(h)
            if i > 0:
                residual = predicted - dz @ weights.T
                synthesizers[i - 1] = descend(*synthesizers[i - 1], looked_at, residual)
            layers[i] = descend(weights, bias, x, dz)
            x, looked_at, predicted = h, seen, delta_hat
        return (layers, synthesizers), (jnp.sum(jnp.abs(error)), jnp.sum(jnp.abs(residual)))


class ConditionalDni(Dni):
    """The same with synthesizers that see the target as well: cDNI."""

    contexts = 8


def epoch_of(program):
    def epoch(state, batches):
        return jax.lax.scan(program.step, state, batches)

    return jax.jit(epoch, donate_argnums=0)


def time_of_step(program, epoch):
    start = time.perf_counter()
    program.state, errors = epoch(program.state, program.batches)
    jax.block_until_ready((program.state, errors))
    return (time.perf_counter() - start) / STEPS * 1e6


def main():
    rng = np.random.default_rng(1)
    programs = {"backprop": Backprop(rng), "dni": Dni(rng), "cdni": ConditionalDni(rng)}
    for program in programs.values():
        program.batches = jax.tree.map(jnp.asarray, program.batches)
    epochs = {name: epoch_of(program) for name, program in programs.items()}
    for name, program in programs.items():
        time_of_step(program, epochs[name])
    for _ in sys.stdin:
        times = {name: time_of_step(program, epochs[name]) for name, program in programs.items()}
        print(json.dumps(times), flush=True)


if __name__ == "__main__":
    main()
