"""The peers, set up as their own documentation says and at the batch size where they are fastest here."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

PEERS = Path(__file__).resolve().parents[2] / ".venv-bench"  # `make bench` fills it from requirements-bench.txt


def lacking(*modules: str) -> str:
    """Which of these packages is not installed; empty where all are."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    return f"{', '.join(absent)} not installed" if absent else ""


def lacking_anywhere(*modules: str) -> str:
    """As `lacking`, but a package in the environment of the peers will do; see `python_with`."""
    absent = [name for name in modules if python_with(name) is None]
    return f"{', '.join(absent)} not installed (make bench)" if absent else ""


@cache
def python_with(module: str) -> str | None:
    """The Python of .venv-bench where that alone has a package, "" where ours has it, None where neither."""
    if importlib.util.find_spec(module) is not None:
        return ""
    other = PEERS / "bin" / "python"
    if not other.is_file():
        return None
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    return str(other) if subprocess.run([other, "-c", code], check=False).returncode == 0 else None


def fastest(sizes: Sequence[int], work: Callable[[int], object]) -> int:
    """The size that takes least, each tried twice."""

    def seconds(size: int) -> float:
        begin = time.perf_counter()
        work(size)
        return time.perf_counter() - begin

    return min(sizes, key=lambda size: min(seconds(size), seconds(size)))


class SentenceTransformersPeer:
    """sentence-transformers on the same weights and the same longest text."""

    def __init__(self, sample: Sequence[str], threads: int, sizes: Sequence[int] = (8, 16, 32, 64, 128)) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        from core.encode.weights import MINILM

        torch.set_num_threads(threads)
        self.model: Any = SentenceTransformer(str(MINILM.verified().parent), device="cpu")
        self.model.max_seq_length = 256
        self.batch = fastest(sizes, lambda size: self._encode(sample, size)) if len(sizes) > 1 else sizes[0]
        self.label = f"sentence-transformers(batch {self.batch})"

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        return self._encode(texts, self.batch)

    def _encode(self, texts: Sequence[str], batch: int) -> np.ndarray:
        return self.model.encode(list(texts), batch_size=batch, show_progress_bar=False, convert_to_numpy=True)


class TimmPeer:
    """timm's network with the same weights: Pillow decoding, torchvision transforms, channels_last, a DataLoader."""

    def __init__(self, sample: Sequence[bytes], threads: int, sizes: Sequence[int] = (4, 8, 16, 32)) -> None:
        import timm
        import torch
        from torchvision import transforms

        from core.encode.weights import EFFICIENTNET_LITE0

        torch.set_num_threads(threads)
        model: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        weights = torch.load(EFFICIENTNET_LITE0.verified(), map_location="cpu", weights_only=True)
        names = list(model.state_dict())
        model.load_state_dict(dict(zip(names, list(weights.values())[: len(names)], strict=True)))
        self.model = model.eval().to(memory_format=torch.channels_last)
        self.transform = transforms.Compose([
            transforms.Resize((224, 224), interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ])  # fmt: skip
        choices = [(size, workers) for size in sizes for workers in ((0, 2) if len(sizes) > 1 else (0,))]
        best = fastest(range(len(choices)), lambda at: self._encode(sample, *choices[at])) if len(choices) > 1 else 0
        self.batch, self.workers = choices[best]
        self.label = f"timm(channels_last, batch {self.batch}, {self.workers} loader workers)"

    def __call__(self, photos: Sequence[bytes]) -> np.ndarray:
        return self._encode(photos, self.batch, self.workers)

    def _encode(self, photos: Sequence[bytes], batch: int, workers: int) -> np.ndarray:
        """(n, 1280) mean over the 7 x 7 patches."""
        import torch

        pooled = []
        decoded: Any = Decoded(photos, self.transform)
        loader: Any = torch.utils.data.DataLoader(decoded, batch_size=batch, num_workers=workers)
        with torch.inference_mode():
            for pixels in loader:
                grid = self.model.forward_features(pixels.to(memory_format=torch.channels_last))
                pooled.append(grid.mean((2, 3)).numpy())
        return np.concatenate(pooled)


class Decoded:
    """JPEG bytes as a data set of pixel tensors."""

    def __init__(self, photos: Sequence[bytes], transform: Callable[[Any], Any]) -> None:
        self.photos, self.transform = photos, transform

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, at: int) -> Any:
        from PIL import Image

        return self.transform(Image.open(io.BytesIO(self.photos[at])).convert("RGB"))
