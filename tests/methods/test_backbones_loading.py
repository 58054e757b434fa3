"""Loading, preprocessing and identity of backbones of any family."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, BertConfig, CLIPImageProcessorPil

from methods.backbones import Backbone, load_backbone
from methods.backbones.images import ImagePreprocessor
from methods.testing.tiny_models import SIZE, save_clip

WORDS = ["a", "photo", "of", "cat", "dog"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_clip(tmp_path_factory.mktemp("clip"), WORDS)


@pytest.fixture(scope="module")
def backbone(folder: str) -> Backbone:
    return load_backbone(folder)


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise).convert(mode)


def test_fingerprint_is_of_the_content_not_of_the_place(folder: str, tmp_path: Path) -> None:
    same = save_clip(tmp_path, WORDS)
    assert load_backbone(folder).fingerprint == load_backbone(same).fingerprint


def test_fingerprint_changes_with_one_weight(folder: str, tmp_path: Path) -> None:
    other = Path(save_clip(tmp_path, WORDS)) / "model.safetensors"
    weights = load_file(other)
    weights["logit_scale"] += 1e-6
    save_file(weights, other, metadata={"format": "pt"})
    assert load_backbone(folder).fingerprint != load_backbone(str(tmp_path)).fingerprint


def test_fingerprint_changes_with_the_preprocessing(folder: str, tmp_path: Path) -> None:
    other = save_clip(tmp_path, WORDS)
    processor = AutoImageProcessor.from_pretrained(other, backend="pil")
    processor.image_mean = [0.5, 0.5, 0.5]
    processor.save_pretrained(other)
    assert load_backbone(folder).fingerprint != load_backbone(other).fingerprint


def test_fingerprint_stays_that_of_the_pretrained_weights(folder: str) -> None:
    backbone = load_backbone(folder)
    before = backbone.fingerprint
    with torch.no_grad():
        next(backbone.parameters()).add_(1)
    assert backbone.fingerprint == before


def test_pixels_are_the_image_processors(folder: str, backbone: Backbone) -> None:
    pictures = [picture(50, 40), picture(33, 90)]
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    expected = torch.from_numpy(np.stack(processor(pictures)["pixel_values"]))
    pixels = backbone.pixels(pictures)
    assert pixels.dtype == torch.uint8
    torch.testing.assert_close(ImagePreprocessor(processor)(pixels), expected, atol=1e-5, rtol=1e-5)


def test_arrays_of_the_models_size_pass_through_without_a_copy(backbone: Backbone) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    pixels = backbone.pixels(images)
    assert np.array_equal(pixels.numpy(), images.transpose(0, 3, 1, 2))
    assert np.shares_memory(pixels.numpy(), images)


def test_arrays_of_another_size_are_resized_as_pictures_are(backbone: Backbone) -> None:
    image = picture(40, 48)
    assert torch.equal(backbone.pixels(np.asarray(image)[None]), backbone.pixels([image]))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "1", "CMYK"])
def test_pictures_of_every_mode_become_rgb(backbone: Backbone, mode: str) -> None:
    pixels = backbone.pixels([picture(40, 40, mode)])
    assert torch.equal(pixels, backbone.pixels([picture(40, 40, mode).convert("RGB")]))
    assert pixels.shape == (1, 3, SIZE, SIZE)


def test_arrays_that_are_no_images_are_refused(backbone: Backbone) -> None:
    with pytest.raises(ValueError, match="uint8"):
        backbone.pixels(np.zeros((2, SIZE, SIZE, 3), dtype=np.float32))


def test_pixels_of_many_sizes_are_refused() -> None:
    processor = CLIPImageProcessorPil(do_center_crop=False)
    with pytest.raises(ValueError, match="one size per image"):
        ImagePreprocessor(processor)


def test_a_place_without_a_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="neither a local folder with a model") as error:
        load_backbone(str(tmp_path))
    assert "\n" not in str(error.value)


def test_a_model_of_neither_family_is_refused(tmp_path: Path) -> None:
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is a bert model; allowed are dual encoders"):
        load_backbone(str(tmp_path))


def test_missing_weights_are_not_made_up(tmp_path: Path) -> None:
    folder = save_clip(tmp_path, WORDS)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["text_projection.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"no weights for 1 parameters.*text_projection"):
        load_backbone(folder)


def test_a_very_oblong_picture_costs_no_more_than_its_middle() -> None:
    """Resized by its shorter side, this one would have 4.5 million pixels times 224."""
    pixels = ImagePreprocessor(CLIPImageProcessorPil()).prepare([Image.new("RGB", (1, 20_000))])
    assert pixels.shape == (1, 3, 224, 224)


@pytest.mark.parametrize("turned", [False, True])
def test_the_middle_of_an_oblong_picture_is_what_the_processor_crops(
    folder: str, backbone: Backbone, turned: bool
) -> None:
    image = picture(8 * 41, 8)
    image = image.transpose(Image.Transpose.ROTATE_90) if turned else image
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    whole = processor([image], do_rescale=False, do_normalize=False)["pixel_values"]
    assert torch.equal(backbone.pixels([image]), torch.from_numpy(np.stack(whole)))
