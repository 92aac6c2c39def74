"""Photo -> patch states, with a CNN or vision Transformer. Default: EfficientNet-lite0 from its pip package, offline.

The whole picture is squeezed to the network's square, nothing is cropped away: patch (row, column) covers exactly
its share of the picture, so heat maps line up with what a person sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from core.encode.states import States, quiet_transformers
from core.encode.text import name_of, weights_digest
from core.encode.weights import EFFICIENTNET_LITE0

BATCH = 8
VERSION = 1


class ImageEncoder:
    """A frozen vision network: one state a patch, and their mean.

    name: "efficientnet_lite0", or a hub id / folder that transformers reads (ResNet, ViT, DINOv2, the vision tower of
    CLIP or SigLIP), with that model's own size, mean and std. fp32 on any device.
    """

    modality = "image"

    def __init__(self, name: str = "efficientnet_lite0", device: str = "cpu") -> None:
        self.name, self.device = name, device
        self.network: torch.nn.Module
        if name == EFFICIENTNET_LITE0.name:
            self.network, self.size, self.mean, self.std = bundled_network()
            weights = EFFICIENTNET_LITE0.sha256[:12]
        else:
            self.network, self.size, self.mean, self.std = transformers_network(name)
            weights = weights_digest(name, self.network)
        self.network.eval().requires_grad_(False).to(device)
        self.network.to(memory_format=torch.channels_last)
        blank = Image.new("RGB", (self.size, self.size))
        probe = self.features(self.pixels([blank]))
        self.width, self.grid = probe.shape[1], (probe.shape[2], probe.shape[3])
        self.fingerprint = f"image-{name_of(name)}-{weights}-{self.size}-v{VERSION}-fp32"

    def pixels(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """(B, 3, h, w), squeezed to the square and standardised with the network's own mean and std."""
        square = (self.size, self.size)
        rows = [np.asarray(image.convert("RGB").resize(square, Image.Resampling.BICUBIC)) for image in images]
        batch = torch.from_numpy(np.stack(rows)).to(self.device).permute(0, 3, 1, 2)
        batch = batch.to(torch.float32, memory_format=torch.channels_last).div_(255)
        mean, std = (torch.tensor(v, device=self.device).view(1, 3, 1, 1) for v in (self.mean, self.std))
        return (batch - mean) / std

    @torch.inference_mode()
    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, E, rows, columns)."""
        return self.network(pixels)

    @torch.inference_mode()
    def encode(self, images: Sequence[Image.Image], on_step: Callable[[int], None] | None = None) -> list[States]:
        """States of each picture, in order: tokens (P, E) row by row from the top left, pooled (E,) their mean."""
        states: list[States] = []
        for start in range(0, len(images), BATCH):
            features = self.features(self.pixels(images[start : start + BATCH]))  # (B, E, rows, columns)
            tokens = features.flatten(2).transpose(1, 2)  # (B, P, E)
            for own, mean in zip(tokens.cpu().numpy(), tokens.mean(1).cpu().numpy(), strict=True):
                states.append(States(tokens=own, pooled=mean))
            if on_step:
                on_step(len(features))
        return states


def bundled_network() -> tuple[torch.nn.Module, int, tuple[float, ...], tuple[float, ...]]:
    """EfficientNet-lite0 up to its last feature map: 224 pixels -> (B, 1280, 7, 7)."""
    import timm

    model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0, global_pool="")
    weights = torch.load(EFFICIENTNET_LITE0.verified(), map_location="cpu", weights_only=True)
    names = [name for name in model.state_dict() if not name.startswith("classifier")]
    values = list(weights.values())[: len(names)]  # same tensors in the same order, other names
    model.load_state_dict(dict(zip(names, values, strict=True)))
    return model, 224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)


def transformers_network(name: str) -> tuple[torch.nn.Module, int, tuple[float, ...], tuple[float, ...]]:
    """Any vision model that transformers can read from a folder or its local cache, as a feature map network."""
    quiet_transformers()
    from transformers import AutoConfig, AutoModel

    config: Any = AutoConfig.from_pretrained(name, trust_remote_code=False)
    if hasattr(config, "vision_config"):
        from transformers import CLIPVisionModel, SiglipVisionModel

        tower: Any = SiglipVisionModel if config.model_type == "siglip" else CLIPVisionModel
        model = tower.from_pretrained(name, dtype=torch.float32)
    else:
        model = AutoModel.from_pretrained(name, trust_remote_code=False, dtype=torch.float32)
    size, mean, std = preprocessing(name, getattr(config, "vision_config", config))
    return FeatureMap(model), size, mean, std


def preprocessing(name: str, config: Any) -> tuple[int, tuple[float, ...], tuple[float, ...]]:
    """Side, mean and std of the model's own image processor, in its folder or the hub; else those of ImageNet."""
    import json

    from transformers.utils import cached_file

    file = cached_file(name, "preprocessor_config.json", _raise_exceptions_for_missing_entries=False)
    own = json.loads(Path(file).read_text("utf-8")) if file else {}
    size = getattr(config, "image_size", None) or 224
    mean = tuple(own.get("image_mean", (0.485, 0.456, 0.406)))
    std = tuple(own.get("image_std", (0.229, 0.224, 0.225)))
    return int(size if isinstance(size, int) else size[0]), mean, std


class FeatureMap(torch.nn.Module):
    """Gives a transformers vision model the shape of a CNN: pixels -> (B, E, rows, columns)."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        states = self.model(pixel_values=pixels).last_hidden_state
        if states.dim() == 4:
            return states  # a CNN already
        side = int((states.shape[1]) ** 0.5)
        states = states[:, states.shape[1] - side * side :]  # without the class token
        return states.transpose(1, 2).unflatten(2, (side, side))
