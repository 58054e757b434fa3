"""Which method is best for which need."""

from analysis.report.text.needs import Choice, choices, undominated
from analysis.report.text.phrases import bold, either, interval, listed
from analysis.report.text.subject import Answer, BackboneResults

UNDECIDED = "cannot be told apart"


def which_method(about: BackboneResults) -> Answer:
    """Returns the most accurate contenders, who serves other needs best, and the references."""
    question = "Which method for which need?"
    if not about.methods:
        return Answer(question, "Cannot say", "No contender has a complete run.")
    reached = _references(about)
    if len(about.methods) == 1:
        (name,) = about.methods
        return Answer(
            question,
            f"Only {about.study.looks.called(name)}",
            f"**{name}** reaches {_mean(about, name)}, with no other method to compare it with.",
            reached,
        )
    if not about.has_verdicts:
        first = about.methods[0]
        return Answer(
            question,
            "Cannot say",
            f"**{first}** has the highest mean, {_mean(about, first)}, but nothing shows that it "
            "is better than the others.",
            reached,
        )
    found = choices(about.runs)
    told = [choice for choice in found if len(choice.methods) < choice.compared]
    needs = [f"{choice.title}: {_chosen(choice)}." for choice in told]
    for is_equivalent, start in ((True, "No difference that matters"), (False, "Not decided")):
        rest = [c.title for c in found if c not in told and c.is_equivalent == is_equivalent]
        if rest:
            titles = [title[0].lower() + title[1:] for title in rest]
            needs.append(f"{start}: {listed(titles)}.")
    return Answer(question, *_most_accurate(about), (*needs, *reached))


def most_accurate(about: BackboneResults) -> list[str]:
    """Returns the contenders that have been compared and that no other one is better than."""
    tested = about.pairs[about.pairs["verdict_low"].notna()]
    compared = {*tested["method"], *tested["other"]}
    names = [name for name in about.methods if name in compared]
    return undominated(names, about.better) if names else []


def _most_accurate(about: BackboneResults) -> tuple[str, str]:
    first = most_accurate(about)
    called = list(map(about.study.looks.called, first))
    if len(first) == 1:
        return called[0], f"**{first[0]}** is the {about.words.most}, at {_mean(about, first[0])}."
    means = sorted(about.estimates[name].mean for name in first)
    span = f"their means lie between {means[0]:.3f} and {means[-1]:.3f}"
    how = "differ by less than half a point" if _are_equivalent(about, first) else UNDECIDED
    names = listed(bold(first))
    if len(first) == len(about.methods):
        whole = "both methods" if len(first) == 2 else f"all {len(first)} methods"
        said = f"No method is shown to be {about.words.more}: {whole} {how}, and {span}."
        return "No clear choice", said
    word = either(called) if len(first) <= 3 else f"{len(first)} of {len(about.methods)} methods"
    return word, f"{names} are the {about.words.most} and {how}; {span}."


def _are_equivalent(about: BackboneResults, names: list[str]) -> bool:
    inside = about.pairs[about.pairs["method"].isin(names) & about.pairs["other"].isin(names)]
    return bool((inside["verdict"] == "equivalent").all())


def _chosen(choice: Choice) -> str:
    alike = "no difference that matters" if choice.is_equivalent else UNDECIDED
    if len(choice.methods) == 1:
        return f"**{choice.methods[0]}**"
    return f"{either(bold(choice.methods))} ({alike})"


def _references(about: BackboneResults) -> tuple[str, ...]:
    """Returns the sentence on what marks the reach of methods, if anything does."""
    named = [f"**{name}** {_mean(about, name)}" for name in about.references]
    return (f"For reference: {listed(named)}.",) if named else ()


def _mean(about: BackboneResults, name: str) -> str:
    row = about.estimates[name]
    if row.low == row.high:
        return f"{row.mean:.3f}"  # the same in all replicates, as what is not trained
    return interval(row.mean, row.low, row.high)
