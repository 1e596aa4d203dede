"""Measurements of emberline's own speed. `python -m benchmarks NAME --json`; see benchmarks/README.md."""
