"""Distributions, and integrals of their densities. On the host, in float64; only drawing is JAX."""
