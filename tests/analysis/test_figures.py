"""Figures as functions: all of the page, the chosen traces only, each standing alone."""

import contextlib

import plotly.graph_objects as go
import pytest

from analysis import figures, tiny_study
from analysis.figures import NothingToDraw
from analysis.report.panels import PANELS
from analysis.report.panels.base import Panel

ONE_OF_MANY = {"contributions", "tree", "method_pairs", "ood", "pairs", "features"}


@pytest.fixture(scope="module")
def results():
    return tiny_study()


def drawn(results):
    """The figures that these results have, by name."""
    found = {}
    for name in figures.__all__:
        with contextlib.suppress(NothingToDraw):
            found[name] = getattr(figures, name)(results)
    return found


def test_every_figure_of_the_page_is_a_function():
    keys = {panel.key for panel in PANELS if type(panel).draw is not Panel.draw}
    assert set(figures.__all__) == keys | {"matrix"}


def test_panels_with_a_choice_say_what_their_traces_are():
    keys = {panel.key for panel in PANELS if type(panel).options is not Panel.options}
    assert keys == ONE_OF_MANY


def test_figures_stand_alone(results):
    found = drawn(results)
    assert {"overview", "orders", "tree", "contributions", "matrix"} <= set(found)
    for name, figure in found.items():
        assert isinstance(figure, go.Figure), name
        assert figure.data, name
        assert all(trace.visible in (None, True) for trace in figure.data), name
        assert len(figure.data) == 1 or name not in ONE_OF_MANY, name
        assert figure.layout.title.text, name


def test_a_title_says_what_was_chosen_and_takes_no_room_from_the_plots(results):
    panel = next(panel for panel in PANELS if panel.key == "tree")
    study = figures.statistics(results)
    on_page = panel.draw(panel.frame(study), study).layout
    layout = figures.tree(results, method="replay").layout
    assert layout.title.text == "Orders as a tree: replay"
    assert layout.height - layout.margin.t == on_page.height - on_page.margin.t
    assert layout.margin.t > on_page.margin.t
    assert figures.matrix(results, "replay", 2).layout.title.text == (
        "Accuracy matrix: replay, replicate 2"
    )


def test_a_method_is_chosen_by_its_name(results):
    study = figures.statistics(results)
    for _, method in study.contenders:
        assert figures.tree(results, method=method).data[0].name == method
    with pytest.raises(ValueError, match=r"There is no method 'fintune' to draw; there are: "):
        figures.tree(results, method="fintune")


def test_statistics_of_the_same_results_are_computed_once(results):
    assert figures.statistics(results) is figures.statistics(results)
    assert figures.statistics(tiny_study()) is not figures.statistics(results)


def test_a_matrix_is_that_of_the_run(results):
    order = ("cars", "pets", "textures")
    figure = figures.matrix(results, "finetune", 0, order)
    assert figure.data[0].z == pytest.approx(results.matrix("clip", "finetune", 0, order).values)
    assert list(figure.layout.xaxis.ticktext) == list(order)
    assert figures.matrix(results, "finetune", 0, "cars > pets>textures") == figure
    with pytest.raises(ValueError, match="no complete run of method 'fintune'; there are: "):
        figures.matrix(results, "fintune")
