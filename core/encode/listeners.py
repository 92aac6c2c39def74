"""Networks for sound that transformers reads from a folder or its local cache: AST, CLAP, Whisper, wav2vec 2."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.encode.audio import MOMENT, SoundLike, at_rate, moments_in, windows

PLAIN_WINDOW = 30.0  # seconds that a network without a length of its own hears at once


class Listener:
    """One state a moment: what the network says over time, averaged over half seconds."""

    rows = 1

    def __init__(self, name: str, device: str) -> None:
        from transformers import AutoConfig, AutoFeatureExtractor

        config: Any = AutoConfig.from_pretrained(name, trust_remote_code=False)
        self.device, self.kind = device, str(config.model_type).removesuffix("_audio_model")
        self.extract: Any = AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False)
        self.model: Any = tower(name, self.kind).eval().requires_grad_(False).to(device)
        self.rate = int(self.extract.sampling_rate)
        self.window = window_of(self.kind, self.extract)
        self.width = self.hidden(np.zeros(int(self.rate * min(self.window, 2.0)), np.float32)).shape[1]

    @torch.inference_mode()
    def grid(self, sound: SoundLike) -> NDArray[np.float32]:
        """(1, T, E), T moments."""
        samples = at_rate(sound, self.rate)
        pieces = []
        whole = max(1, int(self.window / MOMENT)) * MOMENT  # no moment lies across two windows
        for piece in windows(samples, int(whole * self.rate)):
            seconds = max(len(piece) / self.rate, 1e-3)
            if len(piece) < self.rate // 10:  # too short for the networks' own strides
                piece = np.pad(piece, (0, self.rate // 10 - len(piece)))
            pieces.append(moments(self.hidden(piece), self.covered(piece), seconds))
        return np.concatenate(pieces)[None]

    def covered(self, piece: NDArray[np.float32]) -> float:
        """Seconds that the states of a piece cover: the whole window where the network fills it up."""
        filled = self.kind in ("whisper", "clap", "audio-spectrogram-transformer")
        return self.window if filled else len(piece) / self.rate

    @torch.inference_mode()
    def hidden(self, piece: NDArray[np.float32]) -> NDArray[np.float32]:
        """(t, E) states in the order of time, bands of pitch averaged."""
        given: Any = self.extract(piece, sampling_rate=self.rate, return_tensors="pt")
        names = ("input_features", "input_values", "is_longer")
        found = self.model(**{name: given[name].to(self.device) for name in names if name in given}).last_hidden_state
        if self.kind == "clap":
            states = found.mean(2)[0].transpose(0, 1)  # (1, E, bands, t)
        elif self.kind == "audio-spectrogram-transformer":
            config = self.model.config
            bands = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
            states = found[0, 2:].unflatten(0, (bands, -1)).mean(0)  # (2 + bands * t, E), two marks in front
        else:
            states = found[0]
        return states.float().cpu().numpy()


def tower(name: str, kind: str) -> Any:
    """The part of the model that hears."""
    from transformers import AutoModel

    if kind == "clap":
        from transformers import ClapAudioModel

        return ClapAudioModel.from_pretrained(name, dtype=torch.float32)
    model: Any = AutoModel.from_pretrained(name, trust_remote_code=False, dtype=torch.float32)
    return model.get_encoder() if kind == "whisper" else model


def window_of(kind: str, extract: Any) -> float:
    """Seconds that the network hears at once."""
    if kind == "audio-spectrogram-transformer":
        return float(extract.max_length) / 100  # frames of 10 ms
    if kind == "clap":
        return float(extract.max_length_s)
    return float(extract.chunk_length) if kind == "whisper" else PLAIN_WINDOW


def moments(states: NDArray[np.float32], covered: float, seconds: float) -> NDArray[np.float32]:
    """(T, E) means over half seconds of states (t, E) that lie evenly over `covered` seconds, `seconds` of them heard.
    A moment between two states takes the nearest."""
    count = moments_in(seconds)
    middles = (np.arange(len(states)) + 0.5) * covered / len(states)
    found = []
    for at in range(count):
        inside = (middles >= at * MOMENT) & (middles < min((at + 1) * MOMENT, seconds))
        rows = np.flatnonzero(inside) if inside.any() else [int(np.abs(middles - (at + 0.5) * MOMENT).argmin())]
        found.append(states[rows].mean(0))
    return np.stack(found)
