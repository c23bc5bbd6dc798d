"""How fast blocks are encoded and decoded on the device at hand, and whether codes are those of the CPU."""
