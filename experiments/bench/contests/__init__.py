"""Contests: the speed of this library, of a peer that does the same work, and of the machine's limit, in the same rounds."""
