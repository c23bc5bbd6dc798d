"""Measuring: errors and sizes of schemes, of arrays in memory and of arrays that come in pieces."""
