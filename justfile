# The same commands for developers and CI.

# Train, evaluate and compare the example networks: `just nets train` trains the digits network, unshared and shared.
nets *args:
    cargo run --release -p ksdsl-examples -- {{args}}

# Run all checks.
test:
    bash .ci/run

# The kernel tests under AddressSanitizer, at every level of this machine.
sanitize *args:
    bash tests/sanitize.sh {{args}}

# The tests of the CUDA device on an emulator: no GPU and no toolkit, but a C++ compiler.
# (Without optimising the CPU kernels, which take minutes to compile and are hardly used here.)
cuda-emulator *args:
    cargo test --locked --config 'profile.dev.package.ksdsl-cpu.opt-level=1' -p ksdsl-cuda-tests --features emulator -- {{args}}

# Everything that needs a GPU.
cuda-gpu *args:
    tests/cuda/run_on_gpu.sh {{args}}

# Review changed snapshots (cargo install cargo-insta).
review:
    cargo insta review

# Build every crate from its package, as a registry would have it.
package:
    cargo package --workspace --locked

# Compare the public items of the crates with their listings: `just public-items --update` after an intended change.
public-items *args:
    tests/packages/public_items.sh {{args}}

# Run the commands of README.md in a fresh clone without caches.
fresh-machine *args:
    tests/fresh_machine.sh {{args}}

# Licences and sources of the dependencies (cargo install cargo-deny).
deny:
    cargo deny --all-features check

# Compare with PyTorch (torch, numpy and safetensors): `just parity --table docs/parity.md` for all networks.
parity *args:
    python tests/parity/parity.py {{args}}

# Fuzz every reader for the given number of seconds (cargo install cargo-fuzz): `just fuzz 3600`, `just fuzz 600 picture`.
fuzz seconds *targets:
    tests/fuzz/run.sh {{seconds}} {{targets}}
