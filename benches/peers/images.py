"""PyTorch's eager backprop step of an image network with batch norm, fused Adam, timed.

Its arguments are hidden layers and their units (`4x256`), the number of threads and the batch size.
For every line on standard input it times 20 steps and prints the microseconds per step as a JSON
object, so that `benches/images.rs` can let it and dni take turns.
"""

import json
import sys
import time

import torch
from torch import nn

layers_and_units, threads, batch = sys.argv[1:]
torch.set_num_threads(int(threads))
torch.manual_seed(1)
BATCH, STEPS = int(batch), 20
count, units = map(int, layers_and_units.split("x"))
SIZES = [784] + [units] * count

layers = []
for inputs, outputs in zip(SIZES, SIZES[1:]):
    layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
net = nn.Sequential(*layers, nn.Linear(units, 10))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)
x = torch.rand(BATCH, 784)
y = torch.arange(BATCH) % 10


def step():
    optimizer.zero_grad()
    nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()


for _ in range(5):
    step()
for _ in sys.stdin:
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    seconds = (time.perf_counter() - start) / STEPS
    print(json.dumps({"backprop": seconds * 1e6}), flush=True)
