"""The last blocks of a text encoder, apart: what goes into them is encoded once, and they can be trained.

Texts never change in training, so all blocks below the ones that are fine-tuned give the same states in every epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from core.domain import Encoded
from core.encode.bank import MediaBank, places
from core.encode.states import States
from core.encode.text import TOKEN_BUDGET, TextEncoder, batches_by_tokens, pad
from core.errors import SettingsError

RATE, DECAY = 2e-5, 0.01  # of fine-tuning, as in Devlin et al. 2019


def blocks_of(encoder: TextEncoder) -> nn.ModuleList:
    """The Transformer blocks, first to last. Raises SettingsError where an encoder is built otherwise."""
    found = getattr(getattr(encoder.model, "encoder", None), "layer", None)
    if not isinstance(found, nn.ModuleList):
        raise SettingsError(
            f"the blocks of {encoder.name} cannot be fine-tuned: it is not built like BERT. Set unfreeze 0"
        )
    return found


class Below:
    """An encoder that stops before the last `count` blocks: States of hidden states, for the vector store."""

    def __init__(self, encoder: TextEncoder, count: int) -> None:
        whole = len(blocks_of(encoder))
        if not 1 <= count <= whole:
            raise SettingsError(f"unfreeze is {count}; {encoder.name} has {whole} blocks. Choose 1 to {whole}")
        self.encoder, self.count, self.width = encoder, count, encoder.width
        self.fingerprint = f"{encoder.fingerprint}-below-{count}"

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], on_step: Callable[[int], None] | None = None) -> list[States]:
        ids = self.encoder.tokenizer(list(texts), truncation=True, max_length=self.encoder.max_length)["input_ids"]
        states: list[States | None] = [None] * len(ids)
        for rows in batches_by_tokens([len(row) for row in ids], TOKEN_BUDGET):
            padded, mask = pad([ids[row] for row in rows], self.encoder.tokenizer.pad_token_id or 0)
            given = {"input_ids": torch.from_numpy(padded), "attention_mask": torch.from_numpy(mask)}
            given = {name: value.to(self.encoder.device) for name, value in given.items()}
            hidden = self.encoder.model(**given, output_hidden_states=True).hidden_states[-1 - self.count]
            found = hidden.cpu().numpy()
            for at, row in enumerate(rows):
                kept = found[at, : len(ids[row])]
                states[row] = States(tokens=kept, pooled=kept.mean(0))
            if on_step:
                on_step(len(rows))
        return [state for state in states if state is not None]


class Tail(nn.Module):
    """A copy of the last `count` blocks, to be trained; without dropout, so that a text has one state an epoch."""

    def __init__(self, encoder: TextEncoder, count: int) -> None:
        super().__init__()
        whole = blocks_of(encoder)
        self.first = len(whole) - count
        self.blocks = nn.ModuleList(deepcopy(block) for block in whole[self.first :]).requires_grad_(True).eval()

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """hidden (n, W, E) as `Below` gives it, mask (n, W) True at words -> the encoder's last states (n, W, E)."""
        closed = torch.zeros(mask.shape, device=hidden.device).masked_fill(~mask, torch.finfo(torch.float32).min)
        for block in self.blocks:
            hidden = block(hidden, closed[:, None, None])
        return hidden

    def to_bytes(self) -> bytes:
        """The blocks under the names that they have in the whole encoder, as safetensors."""
        named = {
            f"encoder.layer.{self.first + int(number)}.{rest}": value.detach().cpu().contiguous()
            for name, value in self.blocks.state_dict().items()
            for number, _, rest in [name.partition(".")]
        }
        return save(named)


class TunedBank(MediaBank):
    """A bank of hidden states that are led through `tail` whenever they are asked for: gradients reach its blocks.

    frozen: the bank of the untuned encoder over the same texts, by which the standardiser is fitted.
    """

    def __init__(self, hidden: Sequence[States], frozen: MediaBank, tail: Tail) -> None:
        super().__init__(hidden, frozen.width)
        self.pooled, self.tail = frozen.pooled, tail
        self.space: Any = None

    def transform(self, function: nn.Module, width: int, block: int = 65536) -> None:
        """Every batch is standardised from now on."""
        self.space = function

    def batch(self, things: Sequence[Sequence[int]]) -> Encoded:
        rows = sorted({row for thing in things for row in thing})
        hidden = super().batch([[row] for row in rows] or [[]])
        device = next(self.tail.parameters()).device
        mask = hidden.mask.to(device)
        states = self.tail(hidden.tokens.to(device), mask) * mask[..., None]  # (n, W, E)
        means = functional.normalize(states.sum(1) / mask.sum(1, keepdim=True).clamp(min=1), dim=-1)
        flat, length = states[mask], hidden.mask.sum(1)
        local = {row: place for place, row in enumerate(rows)}
        at = places(length.cumsum(0) - length, length, [[local[row] for row in thing] for thing in things])
        tokens = flat[at.token.to(device)] if len(flat) else states.new_zeros(*at.token.shape, states.shape[2])
        found = Encoded(
            tokens=tokens * at.mask.to(device)[..., None], mask=at.mask, part=at.part,
            pooled=means[at.medium.to(device)] * at.pooled_mask.to(device)[..., None], pooled_mask=at.pooled_mask,
        )  # fmt: skip
        found = found.to(str(device))
        return found if self.space is None else self.space.encoded(found)
