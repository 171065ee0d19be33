"""The benchmark suite that `tests/benches/peers.py` runs."""
