"""PyTorch's step of truncated backpropagation through time, timed: nn.LSTM of 256 units on one-hot
characters, vocabulary 50, windows of 8, batch 64, a linear layer, fused Adam.

For every line on standard input it times 10 steps and prints the microseconds per step as a JSON
object, so that `benches/recurrent.rs` can let it and dni take turns. It runs on one thread.
"""

import json
import sys
import time

import torch
from torch import nn

torch.set_num_threads(int(sys.argv[1]))
torch.manual_seed(1)
UNITS, VOCABULARY, WINDOW, BATCH, STEPS = 256, 50, 8, 64, 10

core = nn.LSTM(VOCABULARY, UNITS)
readout = nn.Linear(UNITS, VOCABULARY)
parameters = list(core.parameters()) + list(readout.parameters())
optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
characters = torch.arange(WINDOW * BATCH).reshape(WINDOW, BATCH) * 7 % VOCABULARY
x = nn.functional.one_hot(characters, VOCABULARY).float()
y = ((characters + 1) % VOCABULARY).flatten()
state = (torch.zeros(1, BATCH, UNITS), torch.zeros(1, BATCH, UNITS))


def step():
    global state
    optimizer.zero_grad()
    outputs, state = core(x, state)
    state = tuple(part.detach() for part in state)
    nn.functional.cross_entropy(readout(outputs).flatten(0, 1), y).backward()
    optimizer.step()


for _ in range(3):
    step()
for _ in sys.stdin:
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    seconds = (time.perf_counter() - start) / STEPS
    print(json.dumps({"bptt": seconds * 1e6}), flush=True)
