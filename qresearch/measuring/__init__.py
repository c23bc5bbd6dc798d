"""Measuring: the errors and sizes of schemes, on arrays in memory and on arrays that are streamed in pieces."""
