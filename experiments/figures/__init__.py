"""Figures, as PDF, PNG and SVG, in the project's style; and all that a results folder shows, redrawn where it is out of date.

This file imports nothing: a sweep that has nothing to draw loads neither pandas nor Matplotlib.
"""
