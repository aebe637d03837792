"""Computes what networks answer from their exported parameters, by PyTorch's formulas, and compares.

Arguments: a safetensors file and a JSON file with the kind of network, inputs and outputs.
"""

import json
import sys

import numpy as np
from safetensors.numpy import load_file


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def linear(p, name, x):
    return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0)


def chain(p, x):
    """torch.nn.Linear, BatchNorm1d in evaluation mode, ReLU, Linear."""
    z = linear(p, "sections.0", x)
    norm = {key: p[f"sections.0.norm.{key}"] for key in ["weight", "bias", "running_mean", "running_var"]}
    z = (z - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5) * norm["weight"] + norm["bias"]
    return linear(p, "sections.1", np.maximum(z, 0))


def synthesizer(p, x):
    return linear(p, "synthesizers.0.map", x)


def lstm(p, xs):
    """torch.nn.LSTM and a Linear."""
    units = p["core.weight_hh_l0"].shape[1]
    h = c = np.zeros([xs.shape[1], units])
    outputs = []
    for x in xs:
        z = x @ p["core.weight_ih_l0"].T + p["core.bias_ih_l0"] + h @ p["core.weight_hh_l0"].T + p["core.bias_hh_l0"]
        i, f, g, o = np.split(z, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(linear(p, "readout", h))
    return np.stack(outputs)


def gru(p, xs):
    """torch.nn.GRU and a Linear."""
    h = np.zeros([xs.shape[1], p["core.weight_hh_l0"].shape[1]])
    outputs = []
    for x in xs:
        of_input = np.split(x @ p["core.weight_ih_l0"].T + p["core.bias_ih_l0"], 3, axis=1)
        of_state = np.split(h @ p["core.weight_hh_l0"].T + p["core.bias_hh_l0"], 3, axis=1)
        r, z = (sigmoid(a + b) for a, b in zip(of_input[:2], of_state[:2]))
        n = np.tanh(of_input[2] + r * of_state[2])
        h = (1 - z) * n + z * h
        outputs.append(linear(p, "readout", h))
    return np.stack(outputs)


parameters = load_file(sys.argv[1])
case = json.load(open(sys.argv[2]))
answer = globals()[case["kind"]](parameters, np.reshape(case["input"], case["input_shape"]))
np.testing.assert_allclose(answer.ravel(), case["output"], rtol=1e-4, atol=1e-5)
