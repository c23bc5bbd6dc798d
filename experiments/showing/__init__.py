"""What is made from the rows alone: tables, verdicts, numbers in print beside ours."""
