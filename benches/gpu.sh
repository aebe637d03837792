#!/bin/sh
# All that is to be measured on a graphics card, in about ten minutes once the program is built:
#
#     sh benches/gpu.sh > gpu.txt
#
# Counts of what a step makes the adapter do, then times of steps on flex and on wgpu, with PyTorch's
# eager steps on the same card between them, three times over. PyTorch is left out, with a message,
# where python3 cannot import it, and computes on the CPU where it has no card. A word is the number
# of timed repetitions (10).
set -eu
cd "$(dirname "$0")/.."
repetitions=${1:-10}
dni() { cargo run --quiet -- "$@"; }
large() {
    DNI_BENCH_LAYERS=7x512 DNI_BENCH_BATCH=1024 DNI_BENCH_BACKEND=$1 \
        cargo bench --quiet --profile dev --bench images -- backprop
}

dni backends
for network in adder images; do
    echo "counts: $network"
    dni bench --backends wgpu --counts --quiet --network $network
done
echo "counts: lstm"
dni bench --backends wgpu --counts --quiet --network lstm --methods backprop,dni
for round in 1 2 3; do
    echo "round $round"
    for network in adder images; do
        echo "times: $network"
        dni bench --backends flex,wgpu --quiet --network $network --methods backprop,cdni \
            --repetitions "$repetitions"
    done
    echo "times: lstm"
    dni bench --backends flex,wgpu --quiet --network lstm --methods backprop,dni \
        --repetitions "$repetitions"
    if python3 -c 'import torch' 2>/dev/null; then
        python3 benches/peers/card.py "$repetitions"
    else
        echo "python3 has no torch: timed without it (pip install torch)" >&2
    fi
done
for backend in flex wgpu; do
    echo "times: 784-512x7-10, batch 1024, $backend"
    large $backend
done
