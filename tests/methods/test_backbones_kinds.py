"""What both families of backbones make of captions, answers and choices of samples' own."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForImageTextToText, AutoProcessor, CLIPModel

from methods.backbones import load_backbone
from methods.backbones.base import LACKING
from methods.backbones.dual_encoder import DualEncoder
from methods.backbones.fusion import CAPTION_REQUEST, Fusion
from methods.data import Batch, Kind, Split, Task
from methods.testing.tiny_models import SIZE, save_clip, save_llava

WORDS = ["a", "cat", "dog", "red", "bird", "what", "is", "it", "?", "describe", "the", "image", "."]
PIXELS = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
QUESTIONS = ("what ?", "what is it ?", "is it a dog ?", "what is the image ?")
CAPTIONS = ("a cat", "a red dog", "a bird", "the dog")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_clip(tmp_path_factory.mktemp("clip"), WORDS)


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_llava(tmp_path_factory.mktemp("llava"), WORDS)


@pytest.fixture
def dual(clip: str) -> DualEncoder:
    loaded = load_backbone(clip).eval()
    assert isinstance(loaded, DualEncoder)
    return loaded


@pytest.fixture
def fusion(llava: str) -> Fusion:
    loaded = load_backbone(llava).eval()
    assert isinstance(loaded, Fusion)
    return loaded


def batch_of(
    backbone: DualEncoder | Fusion,
    kind: Kind,
    texts: tuple[tuple[str, ...], ...],
    *,
    shown: tuple[int, ...] = (0, 1, 2, 3),
    labels: tuple[int, ...] = (0, 0, 0, 0),
    questions: tuple[str, ...] | None = None,
) -> Batch:
    numbers = np.array(shown)
    split = Split(PIXELS, np.array(labels), questions, texts, numbers)
    task = Task("pets", (), ("the {}",), "", split, split, kind, answer_tokens=5)
    pixels = backbone.pixels(split.images(numbers))
    ids = torch.arange(len(numbers))
    of_pictures = torch.from_numpy(numbers)
    return Batch(task, pixels, torch.tensor(labels), ids, questions, texts, of_pictures)


def captioned(captions: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    return tuple((caption,) for caption in captions)


def test_loss_of_captions_is_that_of_clip(clip: str, dual: DualEncoder) -> None:
    model, processor = CLIPModel.from_pretrained(clip), AutoProcessor.from_pretrained(clip)
    inputs = processor(images=list(PIXELS), text=list(CAPTIONS), padding=True, return_tensors="pt")
    with torch.no_grad():
        expected = model(**inputs, return_loss=True)
    batch = batch_of(dual, "pairs", captioned(CAPTIONS))
    torch.testing.assert_close(dual.loss(batch).mean(), expected.loss, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(dual.logits(batch), expected.logits_per_image, rtol=1e-4, atol=1e-4)
    columns = cross_entropy(dual.logits(batch).T, dual.targets(batch), reduction="none")
    rows = cross_entropy(dual.logits(batch), dual.targets(batch), reduction="none")
    torch.testing.assert_close(dual.loss(batch), (rows + columns) / 2)
    assert not torch.allclose(rows, columns, atol=1e-3)


@pytest.mark.parametrize(
    ("captions", "shown", "alike"),
    [
        (("a cat", "a red dog", "a cat", "the dog"), (0, 1, 2, 3), (0, 2)),  # the same words
        (("a cat", "a red dog", "a bird", "the dog"), (0, 1, 1, 3), (1, 2)),  # of one picture
    ],
)
def test_captions_that_are_right_for_both_share_the_target(
    dual: DualEncoder, captions: tuple[str, ...], shown: tuple[int, ...], alike: tuple[int, int]
) -> None:
    batch = batch_of(dual, "pairs", captioned(captions), shown=shown)
    logits = dual.logits(batch).detach()
    expected = []
    for i in range(4):
        right = list(alike) if i in alike else [i]
        rows, columns = (table.log_softmax(dim=1)[i, right].mean() for table in (logits, logits.T))
        expected.append(-(rows + columns) / 2)
    torch.testing.assert_close(dual.loss(batch).detach(), torch.stack(expected))


def test_of_several_batches_each_contrasts_its_own_pairs(dual: DualEncoder) -> None:
    first = batch_of(dual, "pairs", captioned(CAPTIONS))
    other = batch_of(dual, "pairs", captioned(CAPTIONS[:2]), shown=(2, 3), labels=(0, 0))
    own = batch_of(dual, "choices", (("cat", "dog"),) * 4, labels=(0, 1, 1, 0))
    together = dual.loss(first, own, other)
    apart = torch.cat([dual.loss(first), dual.loss(own), dual.loss(other)])
    torch.testing.assert_close(together, apart)


CHOICES = (("cat", "dog"), ("dog", "red bird", "cat"), ("bird",), ("a cat", "dog", "bird"))


@pytest.mark.parametrize("training", [False, True])
def test_choices_of_their_own_are_those_of_a_task_with_one_sample(
    dual: DualEncoder, fusion: Fusion, training: bool
) -> None:
    for backbone in (dual.train(training), fusion.train(training)):
        asked = QUESTIONS if isinstance(backbone, Fusion) else None
        labels = (1, 2, 0, 0)
        batch = batch_of(backbone, "choices", CHOICES, labels=labels, questions=asked)
        logits = backbone.logits(batch).detach()
        assert logits.shape == (4, 3)
        for i, own in enumerate(CHOICES):
            alone = batch_of(
                backbone, "choices", (own,), shown=(i,), labels=(0,),
                questions=asked and asked[i : i + 1],
            )  # fmt: skip
            expected = backbone.logits(alone).detach()[0]
            torch.testing.assert_close(logits[i, : len(own)], expected, rtol=1e-4, atol=1e-4)
        assert (logits[0, 2:] == LACKING).all()
        assert (logits[2, 1:] == LACKING).all()
        assert backbone.predict(batch).tolist()[2] == 0
        assert not backbone.has_table(batch)
        assert batch.targets == ("dog", "cat", "bird", "a cat")
    losses = cross_entropy(dual.logits(batch_of(dual, "choices", CHOICES, labels=labels)),
                           torch.tensor(labels), reduction="none")  # fmt: skip
    found = dual.loss(batch_of(dual, "choices", CHOICES, labels=labels))
    torch.testing.assert_close(found, losses)


def own_loss(folder: str, image: np.ndarray, question: str, answer: str) -> float:
    """The model's own loss of an answer: one sample, labels only where the answer is."""
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    inputs = processor(
        images=Image.fromarray(image), text=f"<image>\n{question}\n", return_tensors="pt"
    )
    written = processor.tokenizer(f"{answer}<eos>", add_special_tokens=False, return_tensors="pt")
    ids = torch.cat([inputs["input_ids"], written["input_ids"]], dim=1)
    labels = ids.clone()
    labels[:, : inputs["input_ids"].shape[1]] = -100
    with torch.no_grad():
        return float(model(input_ids=ids, pixel_values=inputs["pixel_values"], labels=labels).loss)


def checked_by_tokens(fusion: Fusion, batch: Batch) -> Tensor:
    """The loss, from logits, targets and the number of rows of every sample."""
    logits, targets = fusion.logits(batch), fusion.targets(batch)
    rows = fusion.rows_of_samples(batch)
    assert len(logits) == len(targets) == int(rows.sum())
    losses = cross_entropy(logits, targets, reduction="none")
    by_sample = torch.stack([part.mean() for part in torch.split(losses, rows.tolist())])
    torch.testing.assert_close(fusion.loss(batch), by_sample, rtol=1e-4, atol=1e-5)
    assert not fusion.has_table(batch)
    return by_sample.detach()


def test_loss_of_answers_is_the_models_own(llava: str, fusion: Fusion) -> None:
    """The reference that occurs most often is learnt, the first of several."""
    references = (("cat", "dog", "dog"), ("a red bird",), ("bird", "cat"), ("it is a dog",))
    batch = batch_of(fusion, "answers", references, questions=QUESTIONS)
    learnt = ("dog", "a red bird", "bird", "it is a dog")
    assert batch.targets == learnt
    found = checked_by_tokens(fusion, batch)
    for i, answer in enumerate(learnt):
        assert float(found[i]) == pytest.approx(
            own_loss(llava, PIXELS[i], QUESTIONS[i], answer), rel=1e-4
        )


def test_fusion_learns_captions_as_what_describes_the_image(llava: str, fusion: Fusion) -> None:
    found = checked_by_tokens(fusion, batch_of(fusion, "pairs", captioned(CAPTIONS)))
    for i, caption in enumerate(CAPTIONS):
        assert float(found[i]) == pytest.approx(
            own_loss(llava, PIXELS[i], CAPTION_REQUEST, caption), rel=1e-4
        )
    assert not fusion.contrasts(batch_of(fusion, "pairs", captioned(CAPTIONS)).task)


def test_writes_what_the_model_generates(llava: str, fusion: Fusion) -> None:
    model = AutoModelForImageTextToText.from_pretrained(llava)
    processor = AutoProcessor.from_pretrained(llava)
    written = fusion.write(batch_of(fusion, "answers", captioned(CAPTIONS), questions=QUESTIONS))
    for i, question in enumerate(QUESTIONS):
        inputs = processor(
            images=Image.fromarray(PIXELS[i]), text=f"<image>\n{question}\n", return_tensors="pt"
        )
        eos = processor.tokenizer.eos_token_id
        ids = model.generate(
            **inputs, max_new_tokens=5, do_sample=False, eos_token_id=eos, pad_token_id=eos
        )
        new = ids[0, inputs["input_ids"].shape[1] :]
        assert written[i] == processor.tokenizer.decode(new, skip_special_tokens=True).strip()
    assert any(written)


def test_a_dual_encoder_writes_nothing_and_says_so(dual: DualEncoder) -> None:
    batch = batch_of(dual, "answers", captioned(CAPTIONS))
    with pytest.raises(ValueError, match="writes no answers"):
        dual.write(batch)
    with pytest.raises(ValueError, match=r"Task 'pets'.*cannot write answers"):
        dual.loss(batch)
