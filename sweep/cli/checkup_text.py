"""Prints what `sweep check` has found."""

from rich.console import Console

from sweep.cli.console import say
from sweep.preview.checkup import Checkup

STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}
_WIDTH = max(map(len, STYLES))


def print_checkup(checkup: Checkup, console: Console) -> None:
    """Prints all findings under their topics, and a last line with the verdict."""
    for topic in checkup.topics:
        say((topic.title, "bold"), to=console)
        for finding in topic.findings:
            mark = (finding.mark.ljust(_WIDTH), STYLES[finding.mark])
            say("  ", mark, "  ", finding.text, to=console)
    problems = len(checkup.problems)
    if problems:
        noun = "1 problem stops" if problems == 1 else f"{problems} problems stop"
        say((f"{noun} this study from running.", STYLES["problem"]), to=console)
    else:
        say(("Nothing stops this study from running.", STYLES["ok"]), to=console)
