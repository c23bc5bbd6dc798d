"""Exact expected errors of a scheme, by integrals; nothing is sampled."""
