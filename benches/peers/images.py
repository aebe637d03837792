"""PyTorch's eager backprop step of 784-256x4-10 with batch norm, batch 256, fused Adam, timed.

For every line on standard input it times 20 steps and prints the microseconds per step as a JSON
object, so that `benches/images.rs` can let it and dni take turns. It runs on one thread.
"""

import json
import sys
import time

import torch
from torch import nn

torch.set_num_threads(1)
torch.manual_seed(1)
BATCH, STEPS = 256, 20
SIZES = [784, 256, 256, 256, 256]

layers = []
for inputs, outputs in zip(SIZES, SIZES[1:]):
    layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
net = nn.Sequential(*layers, nn.Linear(256, 10))
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
