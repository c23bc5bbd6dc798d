"""Tables and verdicts, made from the rows alone."""
