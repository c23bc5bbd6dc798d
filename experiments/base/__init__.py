"""Files of arrays and text."""
