"""Limits: the least error of any code, or of any code of some kind."""
