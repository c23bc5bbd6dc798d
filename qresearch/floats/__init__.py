"""Float formats as data, and what `qr.finfo` and `qr.fields` say of them. Host only."""
