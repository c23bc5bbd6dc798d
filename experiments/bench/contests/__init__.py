"""Contests: what this library does, beside a peer that does the same work and the limit of the machine, in the same rounds."""
