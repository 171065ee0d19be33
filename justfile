# The same commands for people and for continuous integration.

# Train nets, evaluate them, compare runs: `just nets train` trains the digits' net, unshared and shared.
nets *args:
    cargo run --release -p ksdsl-examples -- {{args}}

# Everything that must pass.
test:
    bash .ci/run

# Look at changed snapshots one by one (cargo install cargo-insta).
review:
    cargo insta review

# Licences and sources of the dependencies (cargo install cargo-deny).
deny:
    cargo deny check
