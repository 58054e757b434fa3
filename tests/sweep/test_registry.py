"""The one front door for parts: shipped names, entry points, paths, and one sentence otherwise."""

from importlib.metadata import EntryPoint

import pytest

from sweep import registry
from sweep.errors import InputError
from sweep.orders.williams import Williams
from sweep.registry import KINDS, Part, check, name_of, parts, resolve


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Part]]:
    """Parts that packages bring, by kind."""
    brought: dict[str, list[Part]] = {}
    monkeypatch.setattr(registry, "_installed", lambda kind: brought.get(kind, []))
    return brought


@pytest.mark.parametrize("kind", KINDS)
def test_every_shipped_part_is_found_and_is_what_it_should_be(kind: str) -> None:
    assert parts(kind)
    for name in parts(kind):
        assert resolve(kind, name) is resolve(kind, name)


@pytest.mark.parametrize("kind", KINDS)
def test_one_sentence_for_all_kinds(kind: str) -> None:
    first = next(iter(parts(kind)))
    with pytest.raises(InputError) as error:
        resolve(kind, f"{first}x")
    noun, said = KINDS[kind].noun, str(error.value)
    assert said.startswith(f"Unknown {noun} '{first}x'; allowed: ")
    assert f"package.module:Object for a {noun} of your own." in said
    assert said.endswith(f"Did you mean '{first}'?")
    with pytest.raises(InputError, match="cannot be imported: No module named 'no_such'"):
        check(kind, "no_such.module:Thing")
    with pytest.raises(InputError, match=f"'sweep.errors:InputError' is not a {noun}: it must be"):
        check(kind, "sweep.errors:InputError")


@pytest.mark.parametrize("kind", ["methods", "benchmarks", "references", "generators", "designs"])
def test_a_name_is_the_same_however_a_part_was_called(kind: str) -> None:
    paths = [part.path for part in parts(kind).values()]
    for name, part in parts(kind).items():
        found = resolve(kind, part.path)
        assert name_of(kind, found, name) == name
        # Named benchmarks are one class: without its name nothing tells which of them it is.
        assert name_of(kind, found) == (name if paths.count(part.path) == 1 else part.path)
    assert name_of("designs", Other) == f"{Other.__module__}:Other"


class Other(Williams):
    """A design from outside."""


PATH = f"{__name__}:Other"


def test_an_installed_part_has_a_name(installed: dict[str, list[Part]]) -> None:
    installed["designs"] = [Part("other", PATH, "some-plugin")]
    assert parts("designs")["other"].source == "some-plugin"
    assert resolve("designs", "other") is Other
    assert "other" not in parts("benchmarks")


def test_names_that_two_packages_bring_are_refused(installed: dict[str, list[Part]]) -> None:
    installed["designs"] = [
        Part("other", PATH, "one"),
        Part("other", "sweep.orders.williams:Williams", "two"),
        Part("coa", PATH, "three"),
    ]
    with pytest.raises(InputError, match=r"'other' is ambiguous: .*\(one\) and .*\(two\); "):
        resolve("designs", "other")
    with pytest.raises(InputError, match=r"'coa' is ambiguous: .*\(shipped\) and .*\(three\); "):
        resolve("designs", "coa")
    assert resolve("designs", "williams") is Williams
    assert resolve("designs", PATH) is Other


def test_entry_points_are_read_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def found(group: str) -> list[EntryPoint]:
        asked.append(group)
        return [EntryPoint("other", PATH, group)]

    monkeypatch.setattr(registry, "entry_points", found)
    registry._installed.cache_clear()
    try:
        assert parts("designs")["other"] == Part("other", PATH, "an installed package")
        assert asked == ["task_order_sweep.designs"]
    finally:
        registry._installed.cache_clear()
