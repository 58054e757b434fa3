"""Files of models as people have them: damaged, renamed, of two models, or of another version."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoTokenizer

from methods.backbones import load_backbone
from methods.baselines.finetune import FineTune, FineTuneConfig
from methods.data import Batch, Split, Task
from methods.testing.tiny_models import SIZE, save_clip, save_llava

WORDS = ("a", "photo", "of", "cat", "dog", "what", "is", "?")
TEXTS = ("a photo of a cat", "a photo of a dog", "dog")
WEIGHTS = "model.safetensors"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 605247071\n"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(save_clip(tmp_path_factory.mktemp("clip"), WORDS))


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(original, tmp_path / "copy"))


def embedded(folder: Path, texts: tuple[str, ...] = TEXTS) -> Tensor:
    return load_backbone(str(folder)).eval().embed_texts(texts).detach()


def edit(file: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def rename_weights(folder: Path, prefix: str) -> None:
    weights = load_file(folder / WEIGHTS)
    renamed = {f"{prefix}{name}": weight for name, weight in weights.items()}
    save_file(renamed, folder / WEIGHTS, {"format": "pt"})


def add_tokens(folder: Path, *tokens: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(list(tokens))
    tokenizer.save_pretrained(folder)


class TestWeights:
    @pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
    def test_of_a_wrapped_model_are_not_replaced_by_chance(self, folder: Path, prefix: str) -> None:
        rename_weights(folder, prefix)
        with pytest.raises(ValueError, match="no weights for 78 parameters of CLIPModel"):
            load_backbone(str(folder))

    @pytest.mark.parametrize("name", [WEIGHTS, "pytorch_model.bin"])
    def test_that_git_lfs_did_not_fetch_are_named(self, folder: Path, name: str) -> None:
        (folder / WEIGHTS).unlink()
        (folder / name).write_text(POINTER)
        with pytest.raises(ValueError, match=rf"{name} is only a pointer .* `git lfs pull`\.$"):
            load_backbone(str(folder))

    def test_cut_off_by_a_broken_download_are_one_sentence(self, folder: Path) -> None:
        content = (folder / WEIGHTS).read_bytes()
        (folder / WEIGHTS).write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=r"copy' cannot be loaded: .*incomplete") as error:
            load_backbone(str(folder))
        assert "\n" not in str(error.value)

    def test_of_more_layers_than_configured_are_not_left_out(self, folder: Path) -> None:
        edit(folder / "config.json", lambda c: c["text_config"].update(num_hidden_layers=1))
        with pytest.raises(ValueError, match=r"more layers .* text_model\.encoder\.layers\.1\."):
            load_backbone(str(folder))

    def test_of_a_head_for_another_use_may_be_left_over(self, original: Path, folder: Path) -> None:
        weights = load_file(folder / WEIGHTS) | {"classifier.weight": torch.ones(2, 3)}
        save_file(weights, folder / WEIGHTS, {"format": "pt"})
        assert torch.equal(embedded(folder), embedded(original))

    def test_of_another_shape_are_named(self, folder: Path) -> None:
        edit(folder / "config.json", lambda c: c["vision_config"].update(image_size=64))
        message = r"position_embedding.weight is \[5, 32\], not \[17, 32\]\.$"
        with pytest.raises(ValueError, match=message):
            load_backbone(str(folder))

    def test_in_pytorchs_format_are_the_same(self, original: Path, folder: Path) -> None:
        torch.save(load_file(folder / WEIGHTS), folder / "pytorch_model.bin")
        (folder / WEIGHTS).unlink()
        assert torch.equal(embedded(folder), embedded(original))

    def test_in_half_precision_are_computed_with_in_full(self, folder: Path) -> None:
        halves = {name: weight.bfloat16() for name, weight in load_file(folder / WEIGHTS).items()}
        save_file(halves, folder / WEIGHTS, {"format": "pt"})
        loaded = load_backbone(str(folder))
        assert {weight.dtype for weight in loaded.parameters()} == {torch.float32}

    def test_of_an_adapter_without_its_own_are_refused(self, folder: Path) -> None:
        adapter = {
            "peft_type": "LORA",
            "base_model_name_or_path": "x",
            "target_modules": ["q_proj"],
        }
        (folder / "adapter_config.json").write_text(json.dumps(adapter))
        with pytest.raises(ValueError, match=r"cannot be loaded: .*adapter_model"):
            load_backbone(str(folder))

    def test_need_no_architecture_in_the_configuration(self, original: Path, folder: Path) -> None:
        edit(folder / "config.json", lambda c: c.pop("architectures"))
        assert torch.equal(embedded(folder), embedded(original))


class TestTokenizers:
    def test_without_files_do_not_read_everything_alike(self, folder: Path) -> None:
        for file in folder.glob("token*"):
            file.unlink()
        with pytest.raises(ValueError, match="has no tokenizer: files such as"):
            load_backbone(str(folder))

    def test_end_texts_where_the_model_looks(self, folder: Path) -> None:
        edit(folder / "config.json", lambda c: c["text_config"].update(eos_token_id=0))
        with pytest.raises(ValueError, match=r"ends texts with token 3, .*eos_token_id is 0\)"):
            load_backbone(str(folder))

    def test_of_clip_itself_end_texts_with_the_highest_token(self, tmp_path: Path) -> None:
        """Its published configurations say 2, by which transformers takes the highest token."""
        folder = Path(save_clip(tmp_path, WORDS))
        edit(folder / "config.json", lambda c: c["text_config"].update(eos_token_id=2))
        with pytest.raises(ValueError, match=r"eos_token_id is 2\)"):
            load_backbone(str(folder))  # token 3 is not the highest
        content = (folder / "tokenizer.json").read_text()
        highest = json.loads(content)["model"]["vocab"]["what"]
        edit(folder / "tokenizer.json", lambda t: _swap(t, "<eos>", 3, "what", highest))
        assert len(torch.unique(embedded(folder), dim=0)) == len(TEXTS)
        add_tokens(folder, "purple")  # as textual inversion does; now that is the highest
        with pytest.raises(ValueError, match=r"eos_token_id is 2\)"):
            load_backbone(str(folder))

    def test_may_not_know_more_than_the_model_in_a_text(self, folder: Path) -> None:
        add_tokens(folder, "purple")
        backbone = load_backbone(str(folder)).eval()
        assert len(backbone.embed_texts(TEXTS)) == len(TEXTS)
        with pytest.raises(ValueError, match=r"token 13 of 'a purple dog', .* only 13 tokens"):
            backbone.embed_texts(["a dog", "a purple dog"])

    def test_need_no_padding_token(self, original: Path, folder: Path) -> None:
        edit(folder / "tokenizer_config.json", lambda c: c.pop("pad_token"))
        assert AutoTokenizer.from_pretrained(folder).pad_token is None
        assert torch.equal(embedded(folder), embedded(original))


def _swap(content: Any, one: str, first: int, other: str, second: int) -> None:
    """Gives two tokens each other's numbers, wherever the file has them."""
    content["model"]["vocab"] |= {one: second, other: first}
    for token in content["added_tokens"]:
        if token["content"] == one:
            token["id"] = second
    content["post_processor"]["special_tokens"][one]["ids"] = [second]


def tied(folder: Path) -> Path:
    """A LLaVA whose output layer is its table of tokens, as small language models have it."""
    save_llava(folder, WORDS)
    tie = {"tie_word_embeddings": True}
    edit(folder / "config.json", lambda c: c.update(tie, text_config=c["text_config"] | tie))
    weights = load_file(folder / WEIGHTS)
    kept = {name: weight for name, weight in weights.items() if "lm_head" not in name}
    save_file(kept, folder / WEIGHTS, {"format": "pt"})
    return folder


def batch() -> Batch:
    pixels = np.random.default_rng(0).integers(0, 256, (4, SIZE, SIZE, 3), dtype=np.uint8)
    split = Split(pixels, np.array([0, 1, 1, 0]))
    task = Task("pets", ("cat", "dog"), ("{}",), "what is a photo?", split, split)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return Batch(task, images, torch.from_numpy(split.labels), torch.arange(4))


def test_tied_weights_are_trained_and_stored_once(tmp_path: Path) -> None:
    folder = str(tied(tmp_path))
    method = FineTune(load_backbone(folder), FineTuneConfig())
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=0.1)
    method.loss(batch()).backward()
    optimizer.step()
    state = method.state()
    assert not [name for name in state if "lm_head" in name]
    other = FineTune(load_backbone(folder), FineTuneConfig())
    before = other.backbone.eval().logits(batch())
    other.load_state(state)
    after = other.backbone.eval().logits(batch())
    assert torch.equal(after, method.backbone.eval().logits(batch()))
    assert not torch.equal(after, before)


def test_images_choose_the_same_prompts_in_training_and_later(original: Path, folder: Path) -> None:
    edit(folder / "config.json", lambda c: c["vision_config"].update(attention_dropout=0.5))
    pixels = batch().pixels
    expected = load_backbone(str(original)).eval().query(pixels)
    dropping = load_backbone(str(folder)).train()
    assert torch.equal(dropping.query(pixels), expected)
    assert dropping.model.training
    assert not torch.equal(dropping.embed_images(pixels), expected)
