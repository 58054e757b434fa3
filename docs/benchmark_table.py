"""Makes the table of named benchmarks in docs/benchmarks.md: `python docs/benchmark_table.py`."""

import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = Path(__file__).parent / "benchmarks.md"
START, END = "<!-- made by docs/benchmark_table.py -->\n", "<!-- end -->"


def table() -> str:
    """Return a row per benchmark, from its file."""
    from sweep.tasks.named.benchmark_files import benchmark_names, read_benchmark

    lines = [
        "| name | what | tasks | kind | data sets | orders | figures |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in benchmark_names():
        file = read_benchmark(name)
        kinds = dict.fromkeys(source.kind for source in file.tasks.values())
        sets = {source.path for source in file.tasks.values()}
        cells = (
            f"`{name}`",
            file.title,
            "by column" if file.task_names is None else f"{len(file.task_names)}",
            ", ".join(f"`{kind}`" for kind in kinds),
            f"{len(sets)}",
            f"{len(file.orders) or '-'}",
            f"{len(file.published) or '-'}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def with_table(page: str) -> str:
    """Return the page with the table as it is now."""
    before, rest = page.split(START)
    return before + START + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
