"""Long proofs: `make exhaustive`, every float32 through every small grid; `make sampling`, exact expected errors held against samples."""
