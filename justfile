# The same commands for people and for continuous integration.

# Train nets, evaluate them, compare runs: `just nets train` trains the digits' net, unshared and shared.
nets *args:
    cargo run --release -p ksdsl-examples -- {{args}}

# Everything that must pass.
test:
    bash .ci/run

# The kernel tests under AddressSanitizer, at every level of this machine.
sanitize *args:
    bash tests/sanitize.sh {{args}}

# Look at changed snapshots one by one (cargo install cargo-insta).
review:
    cargo insta review

# Licences and sources of the dependencies (cargo install cargo-deny).
deny:
    cargo deny check

# Compare with PyTorch (torch, numpy and safetensors): `just parity --table docs/parity.md` for all networks.
parity *args:
    python tests/parity/parity.py {{args}}
