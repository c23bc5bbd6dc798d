"""`python -m experiments.figures results/NAME`."""

import sys

from experiments.figures import make_figures
from experiments.showing.tables import redraw

sys.exit(redraw(make_figures, "figures", None))
