"""The benchmark (`make bench`): how fast elements of at most 8 bits encode and decode, and presets quantize."""
