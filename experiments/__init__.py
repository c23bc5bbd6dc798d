"""The runner: a YAML file of sources, schemes and metrics becomes a folder of rows, tables and figures.

Floors, each importing only those below it:

    config   a YAML file, read with its places and validated
    sources  arrays drawn by key or read from files
    streams  sources larger than memory, measured in pieces
    structures, plan   which functions serve which schemes; the rows of a sweep
    functions, ahead, measure   what they are; compiled before they are needed; the rows measured
    store    the results folder: log, manifest, lock
    theory, verdicts, lost   limits and expectations beside the rows, and what they rule out; rows of which nothing is left
    summary, quantities, published, tables, figures   what is rebuilt from the rows alone, and beside numbers in print
    report, sweep, gallery   what the reader is told; the story; many sweeps on one page
"""
