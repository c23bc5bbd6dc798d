"""Levels of codebooks: published tables, families with a definition, files. Host only."""
