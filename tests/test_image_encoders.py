"""Vision networks by folder: tiny ones of each family, built and saved here, see what their own library would see."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from core.encode import load_encoder

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def vit():
    from transformers import ViTConfig, ViTModel

    return ViTModel(ViTConfig(image_size=32, patch_size=8, **SMALL), add_pooling_layer=False)


def dinov2():
    from transformers import Dinov2Config, Dinov2Model

    return Dinov2Model(Dinov2Config(image_size=32, patch_size=8, mlp_ratio=2, **SMALL))


def resnet():
    from transformers import ResNetConfig, ResNetModel

    return ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"))


def clip():
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    text = CLIPTextConfig(vocab_size=50, max_position_embeddings=16, **SMALL)
    vision = CLIPVisionConfig(image_size=32, patch_size=8, **SMALL)
    return CLIPModel(CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict()))


def siglip():
    from transformers import SiglipConfig, SiglipModel, SiglipTextConfig, SiglipVisionConfig

    text = SiglipTextConfig(vocab_size=50, max_position_embeddings=16, **SMALL)
    vision = SiglipVisionConfig(image_size=32, patch_size=8, **SMALL)
    return SiglipModel(SiglipConfig(text_config=text.to_dict(), vision_config=vision.to_dict()))


FAMILIES = {"vit": (vit, 1), "dinov2": (dinov2, 1), "resnet": (resnet, 0), "clip": (clip, 1), "siglip": (siglip, 0)}


@pytest.fixture
def photo() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))


@pytest.mark.parametrize("family", FAMILIES)
def test_patches_are_the_networks_own_states_without_the_class_token(family, tmp_path, photo):
    build, class_tokens = FAMILIES[family]
    torch.manual_seed(0)
    model = build().eval()
    model.save_pretrained(tmp_path)
    encoder = load_encoder("image", str(tmp_path))
    pixels = encoder.pixels([photo])
    with torch.inference_mode():
        states = getattr(model, "vision_model", model)(pixel_values=pixels).last_hidden_state
    wanted = states.flatten(2).transpose(1, 2) if states.dim() == 4 else states[:, class_tokens:]  # (1, P, E)
    (found,) = encoder.encode([photo])
    np.testing.assert_allclose(found.tokens, wanted[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(found.pooled, wanted[0].mean(0).numpy(), atol=1e-5)
    assert encoder.grid[0] * encoder.grid[1] == len(found.tokens) and encoder.width == found.tokens.shape[1]


def test_pixels_are_standardised_as_the_models_own_processor_says(tmp_path, photo):
    vit().save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0, 0, 0], "image_std": [0.5] * 3}))
    encoder = load_encoder("image", str(tmp_path))
    square = np.asarray(photo.resize((32, 32), Image.Resampling.BICUBIC), dtype=np.float32) / 255
    np.testing.assert_allclose(encoder.pixels([photo])[0].permute(1, 2, 0).numpy(), square / 0.5, atol=1e-6)


def test_other_weights_have_another_fingerprint(tmp_path):
    for seed in (0, 1):
        torch.manual_seed(seed)
        vit().save_pretrained(tmp_path / str(seed))
    first, second = (load_encoder("image", str(tmp_path / str(seed))).fingerprint for seed in (0, 1))
    assert first != second
