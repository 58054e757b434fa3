"""The page: sections in the order in which they are read, put into one template."""

import json
from collections.abc import Callable, Sequence
from html import escape
from importlib import resources
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis.report import (
    cells,
    enough,
    features,
    figures,
    frames,
    mechanisms,
    panels,
    parts,
    proposals,
    sections,
    similarity,
    words,
)
from analysis.report.parts import Section
from analysis.report.study import Study
from analysis.report.style import INK


def page(study: Study) -> str:
    """The report as one HTML document that loads nothing from elsewhere."""
    shown = [part for part in (write(study) for write in SECTIONS) if part.html]
    here = resources.files("analysis.report")
    return Template((here / "template.html").read_text("utf-8")).substitute(
        title=escape(words.title(study)),
        lead=escape(words.lead(study)),
        tiles="".join(map(parts.tile, words.facts(study))),
        nav="".join(f'<a href="#{part.key}">{part.key.capitalize()}</a>' for part in shown),
        sections="".join(map(parts.framed, shown)),
        figures=parts.as_json(
            {key: json.loads(draw(study).to_json()) for key, draw in drawn(study)}
        ),
        ink=INK,
        browser=parts.as_json(study.browser),
        footer=f"Written by {escape(words.versions(study))}.",
        css=(here / "style.css").read_text("utf-8"),
        script=(here / "report.js").read_text("utf-8"),
        plotly=get_plotlyjs(),
    )


def drawn(study: Study) -> list[tuple[str, Callable[[Study], go.Figure]]]:
    """The figures that there are data for."""
    empty = {
        "differences": study.pairs,
        "contributions": study.contributions,
        "robustness": study.contributions,
        "pairs": study.cells,
        "modes": study.failure_modes,
        "features": study.feature_maps,
        "positions": study.profiles,
        "models": study.order_models,
        "similarity": study.similarity,
        "similar_pairs": study.similarity,
        "proposals": study.regret,
        "ranks": study.ranks,
        "convergence": study.convergence,
        "stability": study.stability,
        "variance": study.variance,
        "d_study": study.variance,
    }
    without = {key for key, frame in empty.items() if frame.empty}
    return [(key, draw) for key, draw in FIGURES.items() if study.groups and key not in without]


FIGURES: dict[str, Callable[[Study], go.Figure]] = {
    "orders": lambda s: figures.distribution(s.dots(s.runs), s.summary, s.groups),
    "differences": lambda s: figures.differences(s.dots(s.pairs), s.comparison, s.groups),
    "contributions": lambda s: panels.contribution_heatmap(s.contributions, s.baseline_first),
    "robustness": lambda s: panels.robustness_scatter(s.contributions, s.groups),
    "pairs": lambda s: cells.cell_heatmap(s.cells, s.baseline_first),
    "positions": lambda s: panels.position_profiles(s.profiles, s.groups),
    "forgetting": lambda s: figures.trade_off(s.dots(s.runs), s.groups),
    "modes": lambda s: cells.mode_curves(s.failure_modes, s.groups),
    "features": features.feature_paths,
    "tree": lambda s: figures.order_tree(frames.shallow(s.trie), s.groups),
    "models": lambda s: panels.order_model_bars(s.order_models, s.groups),
    "similarity": lambda s: similarity.order_scatter(
        s.dots(s.runs), s.adjacencies, s.similarity, s.groups
    ),
    "similar_pairs": lambda s: similarity.pair_scatter(s.similarity_pairs, s.similarity, s.groups),
    "proposals": lambda s: proposals.proposal_dots(s.regret, s.groups),
    "ranks": lambda s: enough.rank_bars(s.ranks),
    "stability": lambda s: panels.stability_curve(s.stability),
    "convergence": lambda s: enough.convergence_curves(s.convergence, s.groups),
    "variance": lambda s: panels.variance_bars(s.variance),
    "d_study": lambda s: panels.d_study_curve(s.d_study),
}


SECTIONS: Sequence[Callable[[Study], Section]] = (
    *(sections.verdict, sections.methods, sections.orders, sections.differences),
    *(sections.contributions, sections.robust, mechanisms.pairs, sections.positions),
    *(sections.forgetting, mechanisms.modes, features.section, mechanisms.foretold),
    *(sections.tree, sections.models, similarity.section, proposals.section, enough.ranks),
    *(sections.ranking, enough.convergence, sections.variance, sections.extremes),
    *(sections.matrices, sections.gaps, sections.data, sections.formulas),
)
