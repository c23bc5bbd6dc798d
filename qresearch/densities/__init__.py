"""Distributions, and integrals of their densities in float64. Host only."""
