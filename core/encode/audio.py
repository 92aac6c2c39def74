"""Sound -> states over time. Default: a log-mel spectrogram read as a picture by the bundled image network, offline.

One column of the network's feature map is one moment of half a second, so that what is said of a moment lines up with
what a person hears. Sounds of any length keep their time: nothing is squeezed to a square.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from core.encode.image import bundled_network
from core.encode.states import Piece, States, quiet_transformers
from core.encode.text import name_of, weights_digest
from core.encode.weights import EFFICIENTNET_LITE0

DEFAULT = "logmel_cnn"
RATE = 16_000  # samples a second of everything that is read
MOMENT = 0.5  # seconds
VERSION = 1
MELS, WINDOW, HOP, FFT = 128, 640, 250, 1024  # samples: 40 ms every 15.6 ms, 32 steps a moment
RANGE = 80.0  # dB below the loudest point that are told apart
LONGEST = 40  # moments read at once


class SoundLike(Protocol):
    """What is encoded: samples (S,) float32 of one channel, `rate` a second."""

    samples: NDArray[np.float32]
    rate: int


class AudioEncoder:
    """A frozen network that hears: states of moments (and of bands of pitch, where `rows` > 1), and their mean.

    name: "logmel_cnn", or a hub id / folder that transformers reads (AST, CLAP, Whisper, wav2vec 2). fp32 anywhere.
    Tokens lie row by row, the highest band first, as the pixels of a spectrogram do.
    """

    modality = "audio"

    def __init__(self, name: str = DEFAULT, device: str = "cpu") -> None:
        self.name, self.device = name, device
        self.listener: Any
        if name == DEFAULT:
            self.listener, weights = Spectrograms(device), EFFICIENTNET_LITE0.sha256[:12]
        else:
            from core.encode.listeners import Listener

            quiet_transformers()
            self.listener = Listener(name, device)
            weights = weights_digest(name, self.listener.model)
        self.rows, self.width = self.listener.rows, self.listener.width
        self.fingerprint = f"audio-{name_of(name)}-{weights}-{MOMENT:g}s-v{VERSION}-fp32"

    @torch.inference_mode()
    def encode(self, sounds: Sequence[SoundLike], on_step: Callable[[int], None] | None = None) -> list[States]:
        """States of each sound, in order: tokens (rows * moments, E), pooled (E,) their mean."""
        states = []
        for sound in sounds:
            grid = self.listener.grid(sound)  # (rows, T, E)
            tokens = grid.reshape(-1, grid.shape[-1])
            states.append(States(tokens=tokens, pooled=tokens.mean(0)))
            if on_step:
                on_step(1)
        return states

    def pieces(self, sound: SoundLike | None, tokens: int) -> list[Piece]:
        """The moments of a sound, each with the rows of `encode` that stand for it and its time in milliseconds."""
        count = tokens // self.rows
        last = round(1000 * len(sound.samples) / sound.rate) if sound is not None else round(1000 * MOMENT * count)
        found = []
        for at in range(count):
            start, end = round(1000 * MOMENT * at), round(1000 * MOMENT * (at + 1))
            end = last if at == count - 1 else end
            name = f"{start / 1000:.1f} to {end / 1000:.1f} s"
            found.append(Piece(name=name, span=(start, end), rows=tuple(range(at, tokens, count))))
        return found


class Spectrograms:
    """The bundled image network over log-mel spectrograms: seven bands of pitch, a column a moment."""

    rows = 7

    def __init__(self, device: str) -> None:
        self.device = device
        self.network, self.size, _, _ = bundled_network()
        self.network.eval().requires_grad_(False).to(device)
        self.width = 1280

    @torch.inference_mode()
    def grid(self, sound: SoundLike) -> NDArray[np.float32]:
        """(7, T, 1280), the highest band first; T moments, the last one filled up with silence."""
        picture = torch.from_numpy(picture_of(log_mel(sound)))[None, None].to(self.device)  # (1, 1, MELS, 32 T)
        size = (self.size, picture.shape[-1])
        picture = torch.nn.functional.interpolate(picture, size=size, mode="bilinear", align_corners=False)
        pieces = [self.network(piece.expand(-1, 3, -1, -1)) for piece in picture.split(32 * LONGEST, -1)]
        return torch.cat(pieces, -1)[0].permute(1, 2, 0).cpu().numpy()


def log_mel(sound: SoundLike) -> NDArray[np.float32]:
    """(MELS, steps) dB below the loudest point, 0 to -80; the lowest pitch first, 15.6 ms a step, whole moments."""
    quiet_transformers()
    from transformers.audio_utils import spectrogram

    samples = at_rate(sound, RATE).astype(np.float64)
    size = round(MOMENT * RATE) * moments_in(len(samples) / RATE)
    padded = np.pad(samples[:size], (0, max(0, size - len(samples))))
    window, filters = analysis()
    found = spectrogram(
        padded, window, WINDOW, HOP, fft_length=FFT, power=2.0, mel_filters=filters, mel_floor=1e-10, log_mel="dB"
    )[:, : size // HOP]  # fmt: skip
    return np.clip(found - found.max(), -RANGE, 0.0).astype(np.float32)


def moments_in(seconds: float) -> int:
    """How many moments a sound has; a rest of less than a fifth of one is not a moment of its own."""
    return max(1, math.ceil(seconds / MOMENT - 0.2))


@cache
def analysis() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The window (WINDOW,) and the mel filters (FFT / 2 + 1, MELS), 20 Hz to 8 kHz."""
    from transformers.audio_utils import mel_filter_bank, window_function

    filters = mel_filter_bank(FFT // 2 + 1, MELS, 20.0, RATE / 2, RATE, norm="slaney", mel_scale="slaney")
    return window_function(WINDOW, "hann"), filters


def picture_of(decibels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(MELS, steps) in [-1, 1], the highest pitch on top, as the network wants its pixels."""
    return np.ascontiguousarray(1 + 2 * decibels[::-1] / RANGE)


def at_rate(sound: SoundLike, rate: int) -> NDArray[np.float32]:
    """The samples at a rate that a network wants."""
    if sound.rate == rate:
        return np.asarray(sound.samples, dtype=np.float32)
    from scipy.signal import resample_poly

    common = math.gcd(sound.rate, rate)
    return resample_poly(sound.samples, rate // common, sound.rate // common).astype(np.float32)


def windows(samples: NDArray[np.float32], size: int) -> Iterator[NDArray[np.float32]]:
    """Pieces of at most `size` samples, one after another."""
    for start in range(0, max(1, len(samples)), size):
        yield samples[start : start + size]
