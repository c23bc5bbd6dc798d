"""The report of a results folder: one file that opens offline. `report` writes it, from the files of the folder."""
