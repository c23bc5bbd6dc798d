"""Float formats as data, their limits (`qr.finfo`) and the bits of a number in them (`qr.fields`). Runs on the host."""
