"""PyTorch's eager backprop of the networks of `dni reproduce race`, to their error on test images.

The images come on standard input: for training and for testing the pixels, a byte each, and then the
labels. It prints what `dni images --format json` prints of a run. The networks are those of `dni
images`: batch norm and relu after every hidden layer, He's distribution there and the uniform one of
1 / sqrt(inputs) in the output layer; Adam, fused, whose rate drops to a tenth after 3/5 of the steps
and again after 4/5. The time is that of the training steps, with their batches.
"""

import argparse
import json
import sys
import time

import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--data")
parser.add_argument("--model", choices=["fcn", "cnn"], default="fcn")
for name in ["depth", "units", "channels", "batch-size", "steps", "seeds", "threads"]:
    parser.add_argument(f"--{name}", type=int, default=1)
parser.add_argument("--lr", type=float)
parser.add_argument("--sets", type=int, nargs=2)
parser.add_argument("--image", type=int, nargs=3)
args = parser.parse_args()
torch.set_num_threads(args.threads)
channels, height, width = args.image


def read(count):
    size = count * channels * height * width
    pixels = torch.frombuffer(bytearray(sys.stdin.buffer.read(size)), dtype=torch.uint8)
    labels = torch.frombuffer(bytearray(sys.stdin.buffer.read(count)), dtype=torch.uint8)
    shape = (count, channels, height, width) if args.model == "cnn" else (count, -1)
    return pixels.view(shape), labels.long()


(train, train_labels), (test, test_labels) = map(read, args.sets)


def pooled(size):
    return -(-size // 3)


def network():
    layers, inputs = [], channels if args.model == "cnn" else channels * height * width
    rows, columns = height, width
    for i in range(args.depth - 1):
        if args.model == "cnn":
            layer = nn.Conv2d(inputs, args.channels, 5, padding=2, bias=False)
            pool = nn.MaxPool2d if i == 0 else nn.AvgPool2d
            norm, after = nn.BatchNorm2d(args.channels), [pool(3, 3, ceil_mode=True)]
            inputs, rows, columns = args.channels, pooled(rows), pooled(columns)
        else:
            layer = nn.Linear(inputs, args.units, bias=False)
            norm, after, inputs = nn.BatchNorm1d(args.units), [], args.units
        nn.init.kaiming_normal_(layer.weight)
        layers += [layer, norm, nn.ReLU(), *after]
    if args.model == "cnn":
        layers.append(nn.Flatten())
        inputs *= rows * columns
    return nn.Sequential(*layers, nn.Linear(inputs, 10))


def run(seed, steps=args.steps):
    torch.manual_seed(seed)
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=args.lr, fused=True)
    drops = [3 * steps // 5, 4 * steps // 5]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, drops)
    order = torch.empty(0, dtype=torch.long)
    start = time.perf_counter()
    for _ in range(steps):
        if len(order) < args.batch_size:
            order = torch.randperm(len(train))
        rows, order = order[: args.batch_size], order[args.batch_size :]
        optimizer.zero_grad()
        output = net(train[rows].float() / 255)
        nn.functional.cross_entropy(output, train_labels[rows]).backward()
        optimizer.step()
        schedule.step()
    seconds = time.perf_counter() - start
    net.eval()
    with torch.no_grad():
        pairs = zip(test.split(500), test_labels.split(500))
        wrong = sum((net(x.float() / 255).argmax(1) != y).sum().item() for x, y in pairs)
    return {
        "method": "pytorch",
        "seed": seed,
        "steps": steps,
        "seconds": seconds,
        "steps_per_second": steps / seconds,
        "test": {"error": wrong / len(test), "examples": len(test)},
    }


# The first steps of a process take longer.
run(0, steps=5)
print(json.dumps({"results": [run(seed + 1) for seed in range(args.seeds)]}))
