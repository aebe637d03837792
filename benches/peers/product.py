"""The products of benches/product by NumPy, on one thread.

It answers every line on its standard input with the microseconds that one product takes, by name,
as JSON. The sizes are its arguments: `xW:256x784x256` and so on.
"""

import json
import os
import sys
import time

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402 (it reads the variables above)


def factors(name):
    """The factors of a product as a layer has them: some are transposes."""
    kind, sizes = name.split(":")
    batch, inputs, outputs = map(int, sizes.split("x"))
    rng = np.random.default_rng(1)
    x, w, dz = (
        rng.standard_normal(shape, dtype=np.float32)
        for shape in ((batch, inputs), (inputs, outputs), (batch, outputs))
    )
    return {"xW": (x, w), "xT dz": (x.T, dz), "dz WT": (dz, w.T)}[kind]


products = {name: factors(name) for name in sys.argv[1:]}
for _ in sys.stdin:
    times = {}
    for name, (a, b) in products.items():
        repetitions = max(1, int(2e8 / (a.shape[0] * a.shape[1] * b.shape[1])))
        start = time.perf_counter()
        for _ in range(repetitions):
            a @ b
        times[name] = (time.perf_counter() - start) / repetitions * 1e6
    print(json.dumps(times), flush=True)
