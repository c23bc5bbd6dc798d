"""Comparisons with other libraries: `make peers` compares codes, scales and values, and gives the reason for differences.

Each module here with a function `compare() -> list[dict]` is a comparison. A dict has the keys of `row.Row`, except that
`version` and `inputs` are optional.
"""
