"""What the tests of deployment files share: the files, seeded errors, commands in shell lines."""

import copy
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from ray.scripts.scripts import cli as ray_command

from sweep.cli.main import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
AWS, GCP, KUBERAY = ROOT / "cluster.yaml", DEPLOY / "gcp.yaml", DEPLOY / "kuberay.yaml"
ENDS = {";", "&", "&&", "|", "||", "(", ")"}
"""Tokens between two commands of a line."""
HOME_ON_NODES = "~/task-order-sweep/"
COMMANDS = (
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)


def load(path: Path) -> dict[str, Any]:
    # Anchors become one object; an edit of a test is to change one place.
    loaded = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(loaded, dict)
    return without_aliases(loaded)


def without_aliases(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_aliases(item) for key, item in value.items()}
    return [without_aliases(item) for item in value] if isinstance(value, list) else value


def with_error(config: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """A copy with another value at a place, such as `a/0/b`; None removes what is there.

    The place `a/b>c` calls b c.
    """
    changed = copy.deepcopy(config)
    *way, last = place.split("/")
    here: Any = changed
    for step in way:
        here = here[int(step)] if isinstance(here, list) else here[step]
    old, renamed, new = last.partition(">")
    if renamed:
        here[new] = here.pop(old)
    elif value is None:
        del here[last]
    else:
        here[int(last) if isinstance(here, list) else last] = value
    return changed


def commands(line: str) -> Iterator[list[str]]:
    """The commands of a shell line, without redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    tokens = iter(lexer)
    for token in tokens:
        if token in ENDS:
            if command:
                yield command
            command = []
        elif set(token) <= set("<>&"):
            next(tokens)
            if command and command[-1].isdigit():
                command.pop()
        else:
            command.append(token)
    if command:
        yield command


def check_programs(line: str) -> int:
    """Parses the `ray` and `sweep` commands of a line as they would; returns how many there are."""
    count = 0
    for command in commands(line):
        at = next((i for i, word in enumerate(command) if word in ("ray", "sweep")), None)
        if at is not None:
            check_program(command[at:])
            count += 1
    return count


def check_program(command: list[str]) -> None:
    """Checks that `ray` or `sweep` knows a subcommand and its options; nothing runs.

    What `ray job submit` is given to run is checked, too.
    """
    # Typer has a click of its own, so classes say nothing.
    found: Any = ray_command if command[0] == "ray" else typer.main.get_command(app)
    arguments = command[1:]
    while hasattr(found, "commands"):
        name = arguments.pop(0)
        assert name in found.commands, f"{command[0]} has no command {name}"
        found = found.commands[name]
    if "--" in arguments:
        check_programs(shlex.join(arguments[arguments.index("--") + 1 :]))
    try:
        context = found.make_context(found.name, list(arguments))
    except Exception as error:
        raise AssertionError(f"{shlex.join(command)}: {error}") from error
    assert not context.args, f"{shlex.join(command)}: {context.args} are not understood"


def check_commands(config: dict[str, Any]) -> None:
    """Checks the commands of a cluster file: options, and that the files they name are sent."""
    mounts = config["file_mounts"]
    for target, source in mounts.items():
        assert (ROOT / source).exists(), f"{source} is not there"
        assert target.startswith(HOME_ON_NODES)
    started = 0
    for kind in COMMANDS:
        for line in config[kind]:
            started += check_programs(line)
            for word in (word for command in commands(line) for word in command):
                if word.startswith(HOME_ON_NODES):
                    check_is_sent(word, mounts)
    assert started >= 4, "Ray is not started on the head and on the workers"


def check_is_sent(path: str, mounts: dict[str, str]) -> None:
    for target, source in mounts.items():
        if path == target or path.startswith(target + "/"):
            assert (ROOT / (source + path.removeprefix(target))).is_file(), f"{path} is not there"
            return
    raise AssertionError(f"{path} is not sent to the machines")
