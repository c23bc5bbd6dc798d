"""Exact arithmetic in JAX: the same bits in NumPy, eager, jit and vmap."""
