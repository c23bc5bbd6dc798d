"""Coders: from an array to codes and parameters, and back."""
