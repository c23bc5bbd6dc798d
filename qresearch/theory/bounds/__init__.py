"""Limits: the least error that any code, or any code of a kind, can have."""
