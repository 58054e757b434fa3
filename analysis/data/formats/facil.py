"""FACIL's result tables: T x T fractions, one row per stage, zeros where nothing was measured.

The format is that of src/main_incremental.py and src/loggers/disk_logger.py of
github.com/mmasana/FACIL: results/acc_taw-<time>.txt (task known at test time) and
acc_tag-<time>.txt (task not known) are written anew after every task with np.savetxt, tabs between
and six decimals. Rows of tasks still to come are all zero (`without_filler` knows). Beside them lie
tables that hold no accuracies by task.
"""

import re
from pathlib import PurePath

from analysis.data.accuracy_matrices import UNNAMED, MatrixRun
from analysis.data.formats.base import GivenFile, Reading, Wanted, named, padded
from analysis.data.formats.cells import number

NAME = re.compile(r"(acc_taw|acc_tag)\b.*")
NO_ACCURACIES = re.compile(r"(forg_ta[wg]|w?avg_accs_ta[wg])\b.*")


def read_facil(given: GivenFile, wanted: Wanted) -> Reading:
    """Returns the run of an acc_taw or acc_tag file."""
    name = PurePath(given.name).name
    rows = [[number(cell)[0] for cell in row] for row in given.cells]
    T = len(rows)
    if NO_ACCURACIES.match(name) or any(len(row) != T for row in rows):
        raise ValueError(
            f"'{given.name}' is no table of FACIL with accuracies by stage and task; give "
            f"results/acc_taw-*.txt (task known) or results/acc_tag-*.txt."
        )
    order = named(wanted.order, T, given.name)
    method, backbone = wanted.method or UNNAMED, wanted.backbone or UNNAMED
    return Reading([MatrixRun(method, order, padded(rows, T), None, backbone, "fraction")])
