"""Other libraries as oracles: `make peers` compares codes, scales and values and says who is right where they differ.

Each module here with a `compare() -> list[dict]` is a comparison; a dict has the keys of `row.Row`, of which `version` and
`inputs` may be left out.
"""
