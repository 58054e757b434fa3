"""The little markup that sentences carry: **bold** names."""

import re
from html import escape


def emphasised(sentence: str) -> str:
    """A sentence as HTML."""
    return re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(sentence))
