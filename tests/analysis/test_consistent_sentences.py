"""No two sentences of a page contradict one another, nor the tables beside them."""

import re
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from analysis import load
from analysis.orders.survival import survival_verdicts
from analysis.report.panels.overview import Overview
from analysis.report.study_statistics import StudyStatistics
from analysis.report.text.answers import answers_of
from analysis.report.text.sentences import findings
from sweep.orders.williams import Williams
from tests.analysis.synthetic import (
    Prefix,
    Trainer,
    World,
    failed_row,
    random_orders,
    read_rows,
    write_rows,
    write_study,
)

ROPE = 0.005
BOLD = re.compile(r"\*\*([\w ]+)\*\*")
NUMBER = r"[+-]?\d\.\d{3}"
NAMED = re.compile(rf"\*\*([\w ]+)\*\* \(?(?:keeps )?({NUMBER})(?: \[({NUMBER}), ({NUMBER})\])?")
VERDICT = re.compile(r"(better|equivalent|worse|undecided|not tested)[^:;]*: ([^;]*)")


def a_study(out: Path, seed: int) -> StudyStatistics:
    """A small study of a random shape: methods close together or far apart, and some of it gone."""
    rng = np.random.default_rng(seed)
    tasks = tuple("abcd"[: rng.integers(3, 5)])
    replicates = int(rng.integers(1, 6))
    harm = 0.1 + rng.choice([0, 0.003, 0.02, 0.1]) * rng.standard_normal(int(rng.integers(2, 4)))
    methods = {f"m{i}": Trainer(0.9, float(h)) for i, h in enumerate(np.clip(harm, 0.01, 0.4))}
    if rng.random() < 0.3:
        methods["twin"] = methods["m0"]
    if rng.random() < 0.5:
        methods["zero_shot"] = Trainer(0.0, 0.0)
    if rng.random() < 0.5:
        methods["finetune"] = Trainer(0.9, 0.15)
    noise, effect = rng.choice([0.001, 0.01, 0.03], 2)
    orders = some_orders(tasks, replicates, rng)
    world = World(tasks=tasks, noise=noise, replicate_effect=effect)
    write_study(out, orders, world, methods)
    spoil(out, sorted(methods), orders, rng)
    return StudyStatistics(load(str(out)))


def some_orders(tasks: Prefix, replicates: int, rng: np.random.Generator) -> list[list[Prefix]]:
    kind = rng.choice(["random", "williams", "all", "one"])
    if kind == "williams":
        return [[tuple(o) for o in Williams().orders(tasks, rng)] for _ in range(replicates)]
    if kind == "all":
        return [list(permutations(tasks))[:6] for _ in range(replicates)]
    return random_orders(tasks, 1 if kind == "one" else 6, replicates, int(rng.integers(1000)))


def spoil(
    out: Path, methods: list[str], orders: list[list[Prefix]], rng: np.random.Generator
) -> None:
    """Takes some last stages of some methods away, or lets a method fail altogether."""
    rows, victim = read_rows(out), str(rng.choice(methods))
    fate = rng.choice(["none", "some", "all"], p=[0.5, 0.3, 0.2])
    last = {(r, order) for r, block in enumerate(orders) for order in block}
    gone = {place for place in sorted(last) if rng.random() < 0.2} if fate == "some" else set()
    kept = [
        row
        for row in rows
        if row["method"] != victim
        or (
            (row["replicate"], tuple(row["prefix"])) not in gone
            and not (fate == "all" and row["prefix"])
        )
    ]
    if fate == "all":
        head = {k: rows[0][k] for k in ("study", "backbone")} | {"method": victim}
        kept.append(failed_row(head | {"replicate": 0, "seed": 1000}, orders[0][0][:1], "lost"))
    write_rows(out, kept)


@dataclass(frozen=True)
class Said:
    """What the sentences of a page say, taken apart."""

    sentences: list[str]

    def about(self, words: str) -> str:
        """The one sentence with these words; "" if there is none."""
        found = [sentence for sentence in self.sentences if words in sentence]
        assert len(found) <= 1, found
        return found[0] if found else ""

    @property
    def kept(self) -> dict[str, float]:
        """Accuracy by method, in the order in which they are named."""
        return {name: float(mean) for name, mean, *_ in NAMED.findall(self.about(" keeps "))}

    @property
    def verdicts(self) -> dict[str, tuple[str, float, float, float]]:
        """Word, mean, low and high (NaN without) of every method that is compared."""
        found = {}
        for word, listed in VERDICT.findall(
            self.about("the least that matters").partition(", with")[2]
        ):
            for name, mean, low, high in NAMED.findall(listed):
                assert name not in found, f"{name} has two verdicts"
                found[name] = (word, float(mean), float(low or "nan"), float(high or "nan"))
        return found

    def names(self, words: str) -> set[str]:
        """The methods in the one sentence with these words."""
        return set(re.findall(r"\*\*([\w ]+)\*\*", self.about(words)))


def contradictions(study: StudyStatistics) -> list[str]:
    """Every pair of statements of a page that do not go together."""
    said = Said(findings(study))
    return [
        *_verdicts_against_table(said, study),
        *_verdicts_against_means(said, study),
        *_ranks_against_verdicts(said),
        *_moved(said, study),
        *_unknown(said, study),
        *_answers(said, study),
    ]


def _verdicts_against_table(said: Said, study: StudyStatistics) -> list[str]:
    table = study.comparison[study.comparison["metric"] == "average_accuracy"]
    wrong, half = [], 0.0005
    for row in table.itertuples():
        word, mean, low, high = said.verdicts[row.method]
        fits = {
            "better": low > ROPE - half and mean > 0 and row.p_verdict < 0.05 and row.p_holm < 0.05,
            "worse": high < half - ROPE and mean < 0 and row.p_verdict < 0.05 and row.p_holm < 0.05,
            "equivalent": -ROPE - half <= low and high <= ROPE + half and row.p_verdict >= 0.05,
            "undecided": low <= ROPE + half and high >= -ROPE - half and row.p_verdict >= 0.05,
            "not tested": np.isnan(low) and np.isnan(row.p_verdict) and np.isnan(row.p),
        }
        if not fits[word]:
            wrong.append(f"{row.method} is {word}: {mean} [{low}, {high}], p {row.p_verdict}")
    return wrong


def _verdicts_against_means(said: Said, study: StudyStatistics) -> list[str]:
    """Means and differences of the same runs have the same sign."""
    if "per method" not in said.about(" keeps ") or not study.partners:
        return []
    base = said.kept[str(study.baseline)]
    sign = {"better": 1, "worse": -1}
    return [
        f"{name} is {word} and keeps {said.kept[name]}, the baseline {base}"
        for name, (word, *_) in said.verdicts.items()
        if sign.get(word, 0) * (said.kept[name] - base) < 0
    ]


def _ranks_against_verdicts(said: Said) -> list[str]:
    words = {word for word, *_ in said.verdicts.values()}
    wrong = []
    for alike in ("cannot be told apart", "not distinguishable from chance"):
        if {"better", "worse"} & words and said.about(alike):
            wrong.append(f"methods are better or worse, and {alike}")
    first = re.search(r"\*\*([\w ]+)\*\* comes first", said.about(" comes first"))
    fewer = said.about("Rankings and variance are over fewer runs")
    if first and not fewer:
        name = first[1]
        if said.verdicts.get(name, ("",))[0] == "worse":
            wrong.append(f"{name} comes first and is worse")
        if name not in said.verdicts and "better" in words:
            wrong.append(f"{name}, the baseline, comes first, and another is better")
        if "per method" in said.about(" keeps ") and said.kept[name] < max(said.kept.values()):
            wrong.append(f"{name} comes first, and another keeps more")
    for what in ("zero-shot accuracy", "retrieval recall"):
        best = re.search(r"\*\*([\w ]+)\*\*, the most accurate", said.about(f"The {what}"))
        if best and said.kept[best[1]] < max(said.kept.values()):
            wrong.append(f"{best[1]} is the most accurate, and another keeps more")
    return wrong


def _moved(said: Said, study: StudyStatistics) -> list[str]:
    still, wrong = said.names("No order moves"), []
    for words in ("The order matters most", "SD over orders, relative", "orders end at or above"):
        wrong += [f"no order moves {m}, but: {words}" for m in still & said.names(words)]
    wrong += [
        f"no order moves {m}, but it has a worst" for m in still & {*study.extremes["method"]}
    ]
    if said.about("a single order") and "SD over orders" in " ".join(said.sentences):
        wrong.append("there is a single order per seed, and an SD over orders")
    most = re.search(r"matters most to \*\*([\w ]+)\*\*", said.about("The order matters most"))
    for row in study.steadiness.itertuples():
        if most and most[1] == row.method and row.holm_high < 1:
            wrong.append(f"the order matters most to {row.method}, and less than to the baseline")
        if most and most[1] == row.baseline and row.holm_low > 1:
            wrong.append(f"the order matters most to {row.baseline}, and more to {row.method}")
    return wrong


def _unknown(said: Said, study: StudyStatistics) -> list[str]:
    wrong = []
    gone = said.names("no complete run")
    elsewhere = " ".join(s for s in said.sentences if "no complete run" not in s)
    wrong += [
        f"{name} has no complete run, and is named" for name in gone if f"**{name}**" in elsewhere
    ]
    if said.about("There are no intervals") and "[" in elsewhere:
        wrong.append("there are no intervals, and one is given")
    if {word for word, *_ in said.verdicts.values()} == {"not tested"}:
        table = study.comparison
        if table.loc[table["metric"] == "average_accuracy", "p"].notna().any():
            wrong.append("nothing is tested, and there is a p")
    for words in re.findall(
        r"((?:\*\*[\w ]+\*\*(?:, | and )?)+) have the same results", " ".join(said.sentences)
    ):
        same = [
            said.verdicts[m] for m in re.findall(r"\*\*([\w ]+)\*\*", words) if m in said.verdicts
        ]
        means = {said.kept[m] for m in re.findall(r"\*\*([\w ]+)\*\*", words) if m in said.kept}
        whole = "per method" in said.about(" keeps ")
        if whole and (len({str(verdict) for verdict in same}) > 1 or len(means) > 1):
            wrong.append(f"{words} are the same, and differ")
    if "nan" in " ".join(said.sentences):
        wrong.append("a number is nan")
    return wrong


def _answers(said: Said, study: StudyStatistics) -> list[str]:
    """Word against sentence, answers against one another, findings, pairs and bars."""
    found = answers_of(study)
    if not found:
        return []
    ranking, which, sure, *_, following = found
    whole = " ".join(f"{a.word} {a.sentence} {' '.join(a.detail)}" for a in found)
    wrong = ["an answer is nan"] if "nan" in whole.split() or "[nan" in whole else []
    told = {name for answer in (ranking, following) for name in BOLD.findall(answer.sentence)}
    wrong += [f"{name} is a reference and ranked" for name in told & study.references]
    backbones = {backbone for backbone, _ in study.groups}
    (verdict,) = survival_verdicts(study.survival, backbones) or [None]
    decided = study.survival["verdict"].isin(["better", "equivalent"]).any()
    if ranking.word in ("Yes", "On average", "In part") and not decided:
        wrong.append(f"the ranking is {ranking.word}, and no pair is decided")
    if ranking.word in ("Yes", "On average", "No difference") and verdict.undecided:
        wrong.append(f"the ranking is {ranking.word}, and pairs are undecided")
    if "cannot be told apart" in ranking.sentence and not verdict.undecided:
        wrong.append("pairs cannot be told apart, and all are decided")
    if sure.word == "Not known" and ("[" in whole or ranking.word != "Cannot say"):
        wrong.append("nothing is sure, and there is a verdict or an interval")
    names = set(BOLD.findall(which.sentence))
    wrong += [f"{name} is a reference and most accurate" for name in names & study.references]
    if which.word != "Cannot say":
        behind = {row.other for row in study.survival.itertuples() if row.verdict == "better"}
        wrong += [f"{name} is most accurate, and another is better" for name in names & behind]
        explained = said.names("the verdict against the baseline is not the one")
        wrong += [
            f"{name} is most accurate, and worse than the baseline"
            for name in names - explained
            if said.verdicts.get(name, ("",))[0] == "worse"
            and str(study.baseline) not in study.references
        ]
    if following.word == "Nothing" and (ranking.word == "In part" or verdict.undecided):
        wrong.append("nothing is left to run, and pairs are undecided")
    return wrong + _bars(study)


def _bars(study: StudyStatistics) -> list[str]:
    frame = Overview().frame(study)
    alike = dict(zip(frame["method"], frame["alike"], strict=True))
    return [
        f"{row.method} and {row.other} are {row.verdict}, and joined: {alike}"
        for row in study.survival[study.survival["verdict_low"].notna()].itertuples()
        if bool(set(alike[row.method]) & set(alike[row.other])) == (row.verdict == "better")
    ]


@pytest.mark.parametrize("seed", range(16))
def test_no_two_sentences_contradict_each_other(seed: int, tmp_path: Path) -> None:
    assert contradictions(a_study(tmp_path, seed)) == []


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100, 250))
def test_no_two_sentences_of_many_studies_contradict(seed: int, tmp_path: Path) -> None:
    assert contradictions(a_study(tmp_path, seed)) == []
