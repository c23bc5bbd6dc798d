"""How fast every element of at most 8 bits encodes and decodes, and every preset of one quantizes: `make bench`."""
