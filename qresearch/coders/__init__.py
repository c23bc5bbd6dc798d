"""Coders: quantize an array to codes and parameters, and reconstruct it."""
