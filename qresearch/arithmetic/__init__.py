"""Arithmetic with the same bits in NumPy, eager JAX, jit and vmap; random bits; packing of codes."""
