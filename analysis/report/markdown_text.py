"""Puts text into Markdown as it is: names of tasks and methods may look like markup."""

import re

MARKUP = re.compile(r"[\\`<|]|\](?=\()|(?<!\*)\*(?!\*)|(?<!\w)_|_(?!\w)")
"""What Markdown would read as code, HTML, a cell's end, a link or emphasis; ** is ours."""


def literal(text: str) -> str:
    r"""Returns a text or a sentence with **bold** names, safe for a line of Markdown.

    >>> print(literal("a|b <i> of **[x](y)**"))
    a\|b \<i> of **[x\](y)**
    """
    return MARKUP.sub(r"\\\g<0>", " ".join(text.splitlines()))


def code(text: str) -> str:
    r"""Returns a text as code that may stand in a table.

    >>> print(code("echo `date` | cat"))
    ``echo `date` \| cat``
    """
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence, pad = "`" * (longest + 1), " " * (text[:1] == "`" or text[-1:] == "`")
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")
