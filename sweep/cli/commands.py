"""Writes commands that users can copy, with what they had given."""

import shlex
from collections.abc import Sequence


def command(
    verb: str,
    study: str,
    set_: Sequence[str] | None = None,
    flags: Sequence[str] = (),
    **options: object,
) -> str:
    """Returns a command on a study, quoted for a shell; options that are None or "" are left out.

    An option with a list of values is repeated.

    >>> command("run", "my study.yaml", ["seed=3"], out="there", address=None)
    "sweep run 'my study.yaml' --out there --set seed=3"
    """
    words = ["sweep", verb, study]
    for option, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{option}", str(one)] if one not in (None, "") else []
    for change in set_ or ():
        words += ["--set", change]
    words += [f"--{flag}" for flag in flags]
    return shlex.join(words)
