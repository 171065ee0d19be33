#!/usr/bin/env bash
# Everything that needs a GPU, on a machine that has one with the driver, the CUDA toolkit (12 or newer:
# nvcc on PATH, CUDA_ROOT set if it is not in a usual place) and stable Rust:
#
#     tests/cuda/run_on_gpu.sh            # tests, then the trace, then timings beside PyTorch
#     tests/cuda/run_on_gpu.sh --tests    # only the tests
#
# Timings need a Python with PyTorch for CUDA, numpy and safetensors: PYTHON=... chooses it; the table goes into
# docs/benchmarks.md with the GPU's name. The trace needs nsys and is left out without it.
set -euo pipefail
cd "$(dirname "$0")/../.."

nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv
echo "== all operations, the paper's networks, training and checkpoints against the CPU"
cargo test --locked --release -p ksdsl-cuda-tests --features cuda -- --nocapture

[[ "${1:-}" == "--tests" ]] && exit 0

cargo build --locked --release -p ksdsl-cuda-tests --features cuda --bin gpu_worker

if command -v nsys > /dev/null; then
    echo "== copies in twenty training steps (those of the loss that is read are expected, one a step)"
    trace="$(mktemp -d)/steps"
    printf '%s\n' '{"command":"load","net":"se_resnet_2","batch":128,"rate":0.02}' '{"command":"train","repeats":20}' |
        nsys profile --trace=cuda --output="$trace" --force-overwrite=true target/release/gpu_worker > /dev/null
    nsys stats --force-export=true --report cuda_gpu_mem_time_sum,cuda_gpu_mem_size_sum,cuda_gpu_kern_sum "$trace.nsys-rep"
else
    echo "== no trace: nsys is not on PATH"
fi

echo "== timings beside PyTorch"
"${PYTHON:-python3}" tests/benches/gpu.py target/release/gpu_worker --write
