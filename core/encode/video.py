"""Film -> states of its frames, one a frame, by an image network. Default: the bundled one, offline.

A frame's state is the mean over its patches: what a film adds to photos is time, and its tokens follow one another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from core.encode.image import BATCH, ImageEncoder
from core.encode.states import Piece, States
from core.encode.weights import EFFICIENTNET_LITE0

DEFAULT = "frames_cnn"
VERSION = 1


class ClipLike(Protocol):
    """What is encoded: frames as pictures, and the second at which each is shown."""

    times: tuple[float, ...]
    seconds: float

    @property
    def images(self) -> tuple[Image.Image, ...]: ...


class VideoEncoder:
    """A frozen image network over the frames of a film.

    name: "frames_cnn" for the bundled network, or what `ImageEncoder` takes.
    """

    modality = "video"

    def __init__(self, name: str = DEFAULT, device: str = "cpu") -> None:
        self.name = name
        self.frames = ImageEncoder(EFFICIENTNET_LITE0.name if name == DEFAULT else name, device)
        self.width = self.frames.width
        self.fingerprint = f"video-{self.frames.fingerprint}-frames-v{VERSION}"

    @torch.inference_mode()
    def encode(self, clips: Sequence[ClipLike], on_step: Callable[[int], None] | None = None) -> list[States]:
        """States of each clip, in order: tokens (T, E) of its frames by time, pooled (E,) their mean."""
        states = []
        for clip in clips:
            images, found = clip.images, []
            for start in range(0, len(images), BATCH):
                features = self.frames.features(self.frames.pixels(images[start : start + BATCH]))
                found.append(features.flatten(2).mean(2).cpu().numpy())  # (B, E)
            tokens = np.concatenate(found)
            states.append(States(tokens=tokens, pooled=tokens.mean(0)))
            if on_step:
                on_step(1)
        return states

    def pieces(self, clip: ClipLike | None, tokens: int) -> list[Piece]:
        """The frames of a clip, each with its row of `encode` and its time in milliseconds; -1 where nobody knows."""
        if clip is None or len(clip.times) != tokens:
            return [Piece(name=f"frame {at + 1}", span=(-1, at), rows=(at,)) for at in range(tokens)]
        ends = [*clip.times[1:], max(clip.seconds, clip.times[-1])]
        return [
            Piece(name=f"frame at {start:.1f} s", span=(round(1000 * start), round(1000 * end)), rows=(at,))
            for at, (start, end) in enumerate(zip(clip.times, ends, strict=True))
        ]
