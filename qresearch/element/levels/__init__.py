"""Levels of codebooks: published tables, families computed from a definition, and files. Runs on the host, in float64."""
