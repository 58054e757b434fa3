"""Prints what `sweep check` has found."""

from rich.console import Console
from rich.text import Text

from sweep.preview.checkup import Checkup

STYLES = {"ok": "green", "note": "yellow", "problem": "bold red"}
_WIDTH = max(map(len, STYLES))


def print_checkup(checkup: Checkup, console: Console) -> None:
    """Prints all findings under their topics, and a last line with the verdict."""

    def say(*parts: str | tuple[str, str]) -> None:
        # Text is printed as it is, whatever a study calls its tasks; lines can be copied whole.
        console.print(Text.assemble(*parts), soft_wrap=True)

    for topic in checkup.topics:
        say((topic.title, "bold"))
        for finding in topic.findings:
            say("  ", (finding.mark.ljust(_WIDTH), STYLES[finding.mark]), "  ", finding.text)
    problems = len(checkup.problems)
    if problems:
        noun = "1 problem stops" if problems == 1 else f"{problems} problems stop"
        say((f"{noun} this study from running.", STYLES["problem"]))
    else:
        say(("Nothing stops this study from running.", STYLES["ok"]))
