"""The benchmark for GPUs: how fast blocks are encoded and decoded, and whether codes equal those of the CPU."""
