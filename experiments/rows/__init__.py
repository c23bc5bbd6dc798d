"""What is measured: sources, and the rows of a sweep."""
