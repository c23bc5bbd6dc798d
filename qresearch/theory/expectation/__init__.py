"""Exact expected errors of a scheme, by integrals instead of sampling."""
