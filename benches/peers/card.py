"""PyTorch's eager backprop steps of the networks of `dni bench` on the graphics card, timed.

Its argument is the number of repetitions. It prints, for each network, the median microseconds of a
step and half the distance between the quartiles. Adam is fused on the card. Without a card it
computes on the CPU, which is good for a rehearsal only.
"""

import statistics
import sys
import time

import torch
from torch import nn

repetitions = int(sys.argv[1])
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
torch.manual_seed(1)
STEPS = 20


def chain(sizes, norm):
    layers = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:-1]):
        layers.append(nn.Linear(inputs, outputs, bias=not norm))
        layers += [nn.BatchNorm1d(outputs)] if norm else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(*sizes[-2:]))


class Characters(nn.Module):
    def __init__(self):
        super().__init__()
        self.core = nn.LSTM(50, 256)
        self.readout = nn.Linear(256, 50)

    def forward(self, x):
        return self.readout(self.core(x)[0]).flatten(0, 1)


def classes(count, of):
    return torch.arange(count, device=device) % of


CASES = {
    "adder": (
        chain([16, 64, 32, 8], False),
        torch.randint(0, 2, (256, 16), device=device).float(),
        torch.randint(0, 2, (256, 8), device=device).float(),
        nn.functional.binary_cross_entropy_with_logits,
    ),
    "images": (
        chain([784, 256, 256, 256, 256, 10], True),
        torch.rand(256, 784, device=device),
        classes(256, 10),
        nn.functional.cross_entropy,
    ),
    "784-512x7-10, batch 1024": (
        chain([784] + [512] * 7 + [10], True),
        torch.rand(1024, 784, device=device),
        classes(1024, 10),
        nn.functional.cross_entropy,
    ),
    "lstm": (
        Characters(),
        nn.functional.one_hot(classes(8 * 64, 50)).float().reshape(8, 64, 50),
        classes(8 * 64, 50),
        nn.functional.cross_entropy,
    ),
}


def wait():
    if device.type == "cuda":
        torch.cuda.synchronize()


for name, (net, x, y, loss) in CASES.items():
    net.to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=True)

    def repeat(steps):
        wait()
        start = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad()
            loss(net(x), y).backward()
            optimizer.step()
        wait()
        return (time.perf_counter() - start) / steps * 1e6

    repeat(5)
    low, median, high = statistics.quantiles([repeat(STEPS) for _ in range(max(repetitions, 2))])
    print(f"torch {device.type} {name}: {median:.1f} us ± {(high - low) / 2:.1f}", flush=True)
