"""Long proofs: `exhaustive`, every float32 through every small grid; `sampling`, exact expected errors against samples."""
