"""Long runs: `python -m qresearch.testing.runs.exhaustive` and `python -m qresearch.testing.runs.sampling`."""
