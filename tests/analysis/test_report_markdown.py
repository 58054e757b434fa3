"""The report as Markdown: names stand in it as they are."""

import re
from pathlib import Path

from analysis import write_report
from tests.analysis.synthetic import METHODS, World, random_orders, write_study

TASKS = ("a|b", "`c` [x](y)", "d, e", "*f* <b>g")
METHOD = "<i>m|n`o`"


def test_names_are_no_markup(tmp_path: Path) -> None:
    methods = {METHOD: METHODS["ewc"], "n": METHODS["replay"]}
    write_study(tmp_path, random_orders(TASKS, 6, 2), World(tasks=TASKS), methods)
    write_report(str(tmp_path))
    for file in ("report.md", "CARD.md"):
        text = (tmp_path / file).read_text()
        body = re.sub(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)", "", text)  # without code
        assert r"\<i>m\|n\`o\`" in body
        for markup in (r"(?<!\\)<[a-z]", r"(?<!\\)\]\(", r"(?<![\\*])\*f"):
            assert not re.search(markup, body), markup
    tables = [line for line in (tmp_path / "report.md").read_text().splitlines() if "\\`c" in line]
    cells = {len(re.split(r"(?<!\\)\|", line)) for line in tables if line.startswith("|")}
    assert cells == {5, 7}  # facts, and worst and best orders; nothing before the first bar
    commands = re.findall(r"``(sweep trial .*?)``", "\n".join(tables))
    assert any(r"--method '<i>m\|n`o`'" in command for command in commands)
    assert all('"d, e"' in command for command in commands)
