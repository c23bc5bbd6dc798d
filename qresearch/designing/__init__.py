"""Codebooks from first principles: levels of least error for a distribution, for blocks of it, or for data. Host only, float64.

Only the rows of the table of elements are imported here, so that `import qresearch` stays fast. `table` has the designs and
`design`; it is imported when levels are first asked for, and so is SciPy.
"""

from qresearch.designing import rows as rows
