"""The runner: a YAML file of sources, schemes and metrics becomes a folder of rows, tables and figures.

Folders and modules, each of which imports only those above it (`tests/test_layers.py`):

    base        atomic files, files of arrays, Markdown pages
    tasks       real models on real data, each with a name
    config      a YAML file, read with the places of its values, and validated
    rows        sources, in memory or in pieces, and the plan: the rows of a sweep and the functions that they share
    running     functions are compiled ahead, batches of rows are measured, progress is shown
    store       the results folder: log, manifest, lock
    showing     theory beside the rows, verdicts, summaries, tables
    figures     figures of the rows, and of theory; decides which outputs are out of date; report.html, one file
                for people who have only a browser; `python -m experiments.figures` makes all of them from the log alone
    report      the lines that a sweep prints
    loop        sources are made and their rows measured, one after the other
    alone       the same in a process of its own, for rows that may end it
    sweep       the command line of a sweep
    status      where a sweep stands; `compare` pairs the rows of two folders, `check` reads one, `merge` adds rows
    gallery     several sweeps on one page
    catalogue   the page of all formats
    peers       comparisons with other libraries
    bench       timings
    proofs      every float32 through every small grid; exact expected errors against samples
"""

from experiments.base.starting import complete, quiet

quiet()
complete()
