"""Logs of PyCIL and PILOT: after every task, the accuracy on every group of classes.

The format is that of `_train` in trainer.py and `accuracy` in utils/toolkit.py of
github.com/G-U-N/PyCIL and github.com/sun-hailong/LAMDA-PILOT (read in the versions of 2021 to
2024):

    ... => CNN: {'total': 77.95, '00-09': 78.3, '10-19': 77.6, 'old': 78.3, 'new': 77.6}

Groups are named by their class numbers, in learning order; only classes seen so far are there.
The "Accuracy Matrix" that is printed at the end has tasks as rows and zeros where nothing was
measured; it is not needed. The first versions wrote fractions, later ones percent.
"""

import re
from collections.abc import Iterator

from analysis.data.accuracy_matrices import UNNAMED, MatrixRun
from analysis.data.formats.base import GivenFile, Reading, Wanted, named, padded
from analysis.data.formats.cells import number

_SETTING = re.compile(r"\b(seed|model_name|backbone_type|convnet_type|shuffle): *(\S+)", re.I)
_SCORES = re.compile(r"(?:\b(CNN|NME|NCM): *)?(\{'total'.*\})")
_GROUP = re.compile(r"'(\d+)-(\d+)': *(?:np\.float\d+\()?([-+.\w]+)")
SHUFFLED = (
    "Class groups are named by their place in the class order, which PyCIL and PILOT draw from the "
    "seed when shuffle is on: a group holds other classes under another seed."
)


def read_pycil(given: GivenFile, wanted: Wanted) -> Reading:
    """Returns the runs of a log; groups of classes are its tasks, seeds its replicates.

    Where two classifiers were evaluated (CNN: the head, NME: the nearest mean of exemplars), each
    is a method of its own, such as "icarl NME".
    """
    runs = list(_runs(given))
    if not runs:
        raise ValueError(
            f"'{given.name}' holds no accuracies by class group (lines such as CNN: "
            f"{{'total': .., '00-09': ..}}); totals over all classes are not enough."
        )
    classifiers = {classifier for classifier, *_ in runs}
    found, seen = [], set()
    for classifier, setting, stages in runs:
        groups = stages[-1]
        for k, stage in enumerate(stages, 1):
            if len(stage) != k:
                raise ValueError(
                    f"After task {k}, '{given.name}' has {len(stage)} class groups, so its groups "
                    f"are not its tasks; pass the classes per task as increment to accuracy() in "
                    f"PyCIL's models/base.py and evaluate again."
                )
        names = [f"{low}-{high}" for low, high, _ in groups]
        order = named(wanted.order, len(names), given.name) if wanted.order else tuple(names)
        method = wanted.method or setting.get("model_name", UNNAMED)
        method = f"{method} {classifier}" if len(classifiers) > 1 else method
        backbone = setting.get("backbone_type") or setting.get("convnet_type") or UNNAMED
        backbone = wanted.backbone or backbone
        seed = setting.get("seed", "")
        if seed and (method, backbone, seed) in seen:
            raise ValueError(
                f"'{given.name}' holds two runs of {method} with seed {seed} (logs are appended "
                f"to); leave one of them in it."
            )
        seen.add((method, backbone, seed))
        R = padded([[value for *_, value in stage] for stage in stages], len(order))
        replicate = int(seed) if seed.isdigit() else None
        found.append(MatrixRun(method, order, R, replicate, backbone))
    several = len({run.replicate for run in found}) > 1
    shuffled = any(setting.get("shuffle") == "True" for _, setting, _ in runs)
    return Reading(found, (SHUFFLED,) if several and shuffled else ())


Stage = list[tuple[str, str, float]]
"""(first class, last class, accuracy) of every group, ascending."""


def _runs(given: GivenFile) -> Iterator[tuple[str, dict[str, str], list[Stage]]]:
    """Yields (classifier, settings, stages) of every run; a new one has fewer groups again."""
    setting: dict[str, str] = {}
    open_runs: dict[str, tuple[str, dict[str, str], list[Stage]]] = {}
    for line in given.text.splitlines():
        scores = _SCORES.search(line)
        if scores is None:
            setting |= {key.lower(): value for key, value in _SETTING.findall(line)}
            continue
        classifier = scores[1] or "CNN"
        stage = sorted(
            ((low, high, number(value)[0]) for low, high, value in _GROUP.findall(scores[2])),
            key=lambda group: int(group[0]),
        )
        current = open_runs.get(classifier)
        if current is not None and len(stage) <= len(current[2][-1]):
            yield current
            current = None
        if current is None:
            current = open_runs[classifier] = (classifier, dict(setting), [])
        current[2].append(stage)
    yield from open_runs.values()
