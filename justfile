# The same commands for people and for continuous integration.

# Train a net on the digits, unshared and shared.
digits *args:
    cargo run --release -p ksdsl-examples --bin digits -- {{args}}

# Everything that must pass.
test:
    bash .ci/run

# The tests of the CUDA device on an emulator: no GPU and no toolkit, but a C++ compiler.
# (Without optimisation of the CPU's kernels, which take minutes to compile and have little to do here.)
cuda-emulator *args:
    cargo test --locked --config 'profile.dev.package.ksdsl-runtime.opt-level=0' -p ksdsl-cuda-tests --features emulator -- {{args}}

# Everything that needs a GPU.
cuda-gpu *args:
    tests/cuda/run_on_gpu.sh {{args}}

# Look at changed snapshots one by one (cargo install cargo-insta).
review:
    cargo insta review

# Licences and sources of the dependencies (cargo install cargo-deny).
deny:
    cargo deny check
