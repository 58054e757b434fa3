"""Tables of what faults and lanes have cost."""

from collections.abc import Mapping, Sequence
from statistics import median

from faults.kinds import KINDS, Fault


def cost_table(faults: Sequence[Fault]) -> str:
    """Returns a line per kind: how many, what they lost, and how soon it was at work again."""
    lines = [f"{'fault':22}{'n':>4}{'hit':>5}  {'seconds lost':>16}  {'s until at work again':>22}"]
    lines.append(f"{'':31}  {'mean':>8}{'max':>8}  {'median':>11}{'max':>11}")
    for kind in KINDS:
        some = [fault for fault in faults if fault.kind == kind]
        if not some:
            continue
        lost = [fault.lost for fault in some]
        again = [seconds for fault in some for seconds in fault.recovered]
        times = f"{median(again):11.1f}{max(again):11.1f}" if again else f"{'-':>11}{'-':>11}"
        hit = sum(bool(fault.recovered) for fault in some)
        mean = sum(lost) / len(lost)
        lines.append(f"{kind:22}{len(some):4}{hit:5}  {mean:8.1f}{max(lost):8.1f}  {times}")
    return "\n".join(lines)


def head_table(head: Mapping[str, tuple[int, float]], lanes: int) -> str:
    """Returns a line per kind of process that a study has on the machine, and memory of its own."""
    lines = [f"{'process':40}{'n':>4}{'MB each':>10}"]
    for name, (count, size) in sorted(head.items()):
        lines.append(f"{name:40}{count:4}{size / count:10.0f}")
    own = {name: facts for name, facts in head.items() if facts[0] % lanes == 0}
    own = {name: facts for name, facts in own.items() if "IDLE" not in name}
    of_head = {name: facts for name, facts in own.items() if "RayTrainWorker" not in name}
    count, size = (sum(facts[i] for facts in of_head.values()) for i in (0, 1))
    lines.append(f"per lane on the head: {count / lanes:g} processes, {size / lanes:.0f} MB")
    return "\n".join(lines)
