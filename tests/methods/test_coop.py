"""Properties of CoOp; what a context does to texts is in test_prompts.py."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from methods.backbones import load_backbone
from methods.backbones.dual_encoder import DualEncoder
from methods.prompts.coop import CoOp, CoOpConfig
from methods.testing.tiny_models import VOCABULARY, save_clip, save_siglip
from methods.testing.toy import BACKBONES
from sweep.measuring.checking import check_prompts
from sweep.study.backbones import EMBEDDED
from sweep.study.pinned import pin
from sweep.study.schema import Study
from tests.methods.opened import about_to_learn, batch_of, bench_of, gradients


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_context_is_all_that_learns(models: Path, backbone: str) -> None:
    coop, stage = about_to_learn(bench_of(models, backbone, "coop", length=4), "a")
    (gradient,) = gradients(coop, coop(batch_of(stage)))
    assert gradient.shape == (4, 32)
    assert gradient.any(dim=1).all()


def test_is_drawn_from_the_seed_with_the_papers_spread(models: Path) -> None:
    coop, _ = about_to_learn(bench_of(models, "clip", "coop", length=16), "a")
    drawn = []
    for seed in (3, 3, 4):
        coop.reset(seed)
        drawn.append(coop.context.detach().clone())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert abs(float(drawn[0].std()) - 0.02) < 0.002


def loaded(folder: str) -> DualEncoder:
    backbone = load_backbone(folder)
    assert isinstance(backbone, DualEncoder)
    backbone.eval().requires_grad_(False)
    return backbone


def shipped_backbone(name: str) -> DualEncoder:
    return loaded(str(EMBEDDED / name))


def words_as_context(backbone: DualEncoder, words: str) -> Tensor:
    """The learnt context that is nothing but these words."""
    ids = backbone.tokenizer([words], add_special_tokens=False)["input_ids"][0]
    return backbone.token_embedding().weight[ids]


@pytest.mark.parametrize("shipped", ["tiny-clip", "tiny-clip-pictures"])
def test_texts_with_a_context_of_words_are_read_as_with_the_words(shipped: str) -> None:
    """One of the two has its end token at number 0, where its embedding is taken."""
    backbone = shipped_backbone(shipped)
    texts = ("a red circle", "two squares", "a drawing of a bird.", "boat", " ".join(["blue"] * 99))
    expected = backbone.embed_texts([f"a photo of {text}" for text in texts])
    backbone.prompting.context = words_as_context(backbone, "a photo of")
    torch.testing.assert_close(backbone.embed_texts(texts), expected)
    assert len(expected.round(decimals=4).unique(dim=0)) == len(texts)


@pytest.mark.parametrize("save", [save_clip, save_siglip])
def test_a_text_that_is_too_long_is_cut_and_keeps_its_end(
    save: Callable[[Path, Sequence[str]], object], tmp_path: Path
) -> None:
    save(tmp_path, VOCABULARY)
    backbone = loaded(str(tmp_path))
    short, long = ("red green blue is what color " * repeats for repeats in (2, 9))
    backbone.prompting.context = words_as_context(backbone, "green what blue is")
    cut = backbone.embed_texts([short + "red", short + "blue", long])
    backbone.prompting.context = None
    expected = backbone.embed_texts([f"green what blue is {short}{end}" for end in ("red", "blue")])
    torch.testing.assert_close(cut[:2], expected)
    read = backbone.embed_texts([f"green what blue is {long}"])
    torch.testing.assert_close(cut[2:], read)


@pytest.mark.parametrize(
    ("benchmark", "model"), [("world", "tiny-clip"), ("pictures", "tiny-clip-pictures")]
)
def test_fits_the_shipped_models_and_tasks_at_its_default(benchmark: str, model: str) -> None:
    study = Study.from_dict(
        {"name": "s", "benchmark": benchmark, "backbones": [model], "methods": ["coop"]}
    )
    check_prompts(study, pin(study).sources)
    backbone = shipped_backbone(model)
    coop = CoOp(backbone, CoOpConfig())
    coop.reset(0)
    coop.requires_grad_(False)
    outline = study.benchmark.outline()
    for task in [*outline.tasks.values(), *outline.probes.values()]:
        if task.choices:
            read = backbone.embed_choices(task)
            assert float((read @ read.T).fill_diagonal_(0).max()) < 1 - 1e-5, task.name
    assert backbone.embed_texts(["a red circle and " * 20]).isfinite().all()


@pytest.mark.parametrize("length", [18, 20, 99])
def test_a_context_without_room_for_words_is_named(models: Path, length: int) -> None:
    said = f"a context of {length} tokens leaves no words any room in a text tower that takes 20"
    with pytest.raises(ValueError, match=said):
        about_to_learn(bench_of(models, "clip", "coop", length=length), "a")
    about_to_learn(bench_of(models, "clip", "coop", length=17), "a")
