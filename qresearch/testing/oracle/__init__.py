"""The oracle: `docs/arithmetic.md` once more, in NumPy and Python integers."""
