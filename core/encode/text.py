"""Text -> word states, with any BERT-family encoder. Default: all-MiniLM-L6-v2 from its pip package, offline."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as from_bytes

from core.encode.states import States, quiet_transformers
from core.encode.weights import MINILM
from core.files import digest_bytes, digest_file

TOKEN_BUDGET = 2048  # tokens a batch; small budgets stay in the CPU cache and win
TUNED = "::"  # between the name of an encoder and the file of its fine-tuned blocks
VERSION = 1  # of the preprocessing; part of the fingerprint


class TextEncoder:
    """A frozen Transformer: one state a word piece, and their mean.

    name: "minilm", a hub id or a folder with a Hugging Face model; with blocks that were fine-tuned, see
    `tuned_name`. Computes in fp32 on any device.
    """

    modality = "text"

    def __init__(self, name: str = "minilm", device: str = "cpu", max_length: int = 256) -> None:
        quiet_transformers()
        from transformers import AutoModel, AutoTokenizer

        self.name, self.device = name, device
        name, tuned = base_and_tuned(name)
        folder = MINILM.verified().parent if name == "minilm" else name
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        self.model: Any = AutoModel.from_pretrained(folder, trust_remote_code=False, dtype=torch.float32)
        self.model.eval().requires_grad_(False).to(device)
        self.width: int = self.model.config.hidden_size
        self.max_length = min(max_length, self.model.config.max_position_embeddings)
        self.fingerprint = f"text-{name_of(name)}-{weights_digest(name, self.model)}-{self.max_length}-v{VERSION}-fp32"
        if tuned is not None:
            data = tuned.read_bytes()
            self.model.load_state_dict(from_bytes(data), strict=False)
            self.fingerprint += f"-tuned-{digest_bytes(data)[:12]}"

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], on_step: Callable[[int], None] | None = None) -> list[States]:
        """States of each text, in order: tokens (W, E) of real word pieces, pooled (E,) their mean, unit length."""
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.max_length)["input_ids"]
        states: list[States | None] = [None] * len(ids)
        for rows in batches_by_tokens([len(row) for row in ids], TOKEN_BUDGET):
            padded, mask = pad([ids[row] for row in rows], self.tokenizer.pad_token_id or 0)
            hidden = self.model(
                input_ids=torch.from_numpy(padded).to(self.device),
                attention_mask=torch.from_numpy(mask).to(self.device),
            ).last_hidden_state  # (B, W, E)
            weight = torch.from_numpy(mask).to(hidden)[..., None]
            pooled = torch.nn.functional.normalize((hidden * weight).sum(1) / weight.sum(1), dim=-1)  # (B, E)
            tokens_of, pooled_of = hidden.cpu().numpy(), pooled.cpu().numpy()
            for at, row in enumerate(rows):
                states[row] = States(tokens=tokens_of[at, : len(ids[row])], pooled=pooled_of[at])
            if on_step:
                on_step(len(rows))
        return [state for state in states if state is not None]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Character range of each word piece of `encode`; (0, 0) for the begin and end marks."""
        return self.tokenizer(text, truncation=True, max_length=self.max_length, return_offsets_mapping=True)[
            "offset_mapping"
        ]

    def words(self, text: str) -> list[Word]:
        """The words of a text in any script, each with its word pieces; punctuation belongs to the word it touches."""
        words: list[Word] = []
        for piece, (start, end) in enumerate(self.spans(text)):
            if start == end:
                continue
            last = words[-1] if words else None
            touches = last is not None and last.end == start and not alone(text[start])
            if last and touches and not (alone(text[start - 1]) and text[start].isalnum()):
                words[-1] = Word(text=text[last.start : end], start=last.start, end=end, pieces=(*last.pieces, piece))
            else:
                words.append(Word(text=text[start:end], start=start, end=end, pieces=(piece,)))
        return words


@dataclass(frozen=True, kw_only=True)
class Word:
    """Characters start to end of a text, and the rows of `encode` that stand for them."""

    text: str
    start: int
    end: int
    pieces: tuple[int, ...]


def alone(character: str) -> bool:
    """Whether a character is a word of its own: scripts that are written without spaces."""
    return unicodedata.name(character, "").startswith(("CJK UNIFIED", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER"))


def batches_by_tokens(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Row numbers in batches of similar length whose padded size stays within `budget` tokens."""
    rows: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if rows and lengths[row] * (len(rows) + 1) > budget:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


def pad(ids: Sequence[Sequence[int]], fill: int) -> tuple[np.ndarray, np.ndarray]:
    """ids (B, W) int64 and mask (B, W) int64."""
    width = max(len(row) for row in ids)
    padded = np.full((len(ids), width), fill, dtype=np.int64)
    mask = np.zeros((len(ids), width), dtype=np.int64)
    for at, row in enumerate(ids):
        padded[at, : len(row)], mask[at, : len(row)] = row, 1
    return padded, mask


def tuned_name(name: str, weights: Path) -> str:
    """The name of an encoder some of whose blocks are replaced by those in a safetensors file."""
    return f"{name}{TUNED}{weights}"


def base_and_tuned(name: str) -> tuple[str, Path | None]:
    """The other way round: the encoder that was fine-tuned, and the file of its blocks, None where it was not."""
    base, mark, path = name.partition(TUNED)
    return base, Path(path) if mark else None


def name_of(name: str) -> str:
    return Path(name).name or name


def weights_digest(name: str, model: torch.nn.Module) -> str:
    """First 12 hex digits over the weights: of the file where it is one of ours, else of the tensors themselves."""
    if name == "minilm":
        return MINILM.sha256[:12]
    files = sorted(Path(name).glob("*.safetensors")) if Path(name).is_dir() else []
    if files:
        return hashlib.sha256("".join(digest_file(file) for file in files).encode()).hexdigest()[:12]
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:12]
