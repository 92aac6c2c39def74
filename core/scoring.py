"""The pipeline's `Scorer`: one query, or one item before a known user, as a function of its token states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from core.catalog.parts import READ
from core.domain import Aligned, Encoded, Fused, Modality, Query
from core.encode.states import States, collate
from core.errors import InputError, UnknownNameError
from core.explain.scorer import Attention, Baseline, Units
from core.features import catalogue_features, parts_of
from core.pipeline import Read, rows_of
from core.rank.multimodal import History

if TYPE_CHECKING:
    from core.pipeline import Pipeline


@dataclass(frozen=True, kw_only=True)
class PipelineScorer:
    """See `core.explain.scorer.Scorer`. media: what was encoded of the thing; read: the cleaned texts and decoded
    photos it came from; item_vectors (N, D): what is ranked; shown (N, D): what is ranked in its place where a modality
    was left out of every item, which histories still know."""

    pipeline: Pipeline
    model: Any
    scope: str
    media: Mapping[Modality, Sequence[States]]
    read: Read
    target: int
    user: str | None = None
    item_vectors: Tensor = field(repr=False)
    shown: Tensor | None = field(default=None, repr=False)

    @property
    def players(self) -> tuple[Modality, ...]:
        return tuple(m for m in self.model.modalities if self.media.get(m))

    @cached_property
    def whole(self) -> dict[Modality, Encoded]:
        """The thing with all its media, standardised, one row."""
        widths = self.pipeline.told["widths"]
        raw = {m: collate([self.media.get(m, ())], widths[m]).to(self.pipeline.device) for m in self.model.modalities}
        with torch.no_grad():
            return self.model.standardise(raw)

    @cached_property
    def states(self) -> dict[Modality, Tensor]:
        return {m: self.whole[m].tokens[0] for m in self.players}

    @cached_property
    def parts(self) -> dict[Modality, Tensor]:
        return {m: self.whole[m].part[0] for m in self.players}

    @cached_property
    def units(self) -> dict[Modality, Units]:
        return {m: self._units(m) for m in self.players}

    # ---- scores

    def scores(self, states: Mapping[Modality, Tensor], keep: Mapping[Modality, Tensor]) -> Tensor:
        return self.rank(self.fuse(states, keep)[1].vector)

    def rank(self, vectors: Tensor) -> Tensor:
        """Variants of the thing (B, D) -> (B, N)."""
        ranker = self.model.ranker
        if self.scope == "query":
            scores = ranker.score_query(vectors, self.item_vectors)
            return scores if self.user is None else scores + self.taste
        known, count = self.pipeline.known, len(self.item_vectors)
        table = torch.cat([self.item_vectors, vectors])  # variants stand behind the items, which some rankers compare
        known = torch.cat([known, known[self.target].expand(len(vectors))])
        own = ranker.score_users(self.history, table, known)[0, count:]  # (B,)
        column = torch.arange(count, device=own.device) == self.target
        return torch.where(column, own[:, None], self.taste)

    @cached_property
    def history(self) -> History:
        assert self.user is not None
        pipeline = self.pipeline
        return History.of([pipeline.history(self.user)], [pipeline.user_row(self.user)]).to(pipeline.device)

    @cached_property
    def taste(self) -> Tensor:
        """(1, N): what the known user adds to every item."""
        with torch.no_grad():
            return self._before(self.history)

    def _before(self, history: History) -> Tensor:
        """(B, N): all items as they are before users with these histories."""
        if self.shown is None:
            return self.model.ranker.score_users(history, self.item_vectors, self.pipeline.known)
        return self.model.ranker.score_users(history, self.shown, self.pipeline.known, self.item_vectors)

    def fuse(
        self, states: Mapping[Modality, Tensor], keep: Mapping[Modality, Tensor], attention: bool = False
    ) -> tuple[dict[Modality, Aligned], Fused]:
        rows = max((len(one) for one in (*keep.values(), *states.values())), default=1)
        encoded = {m: self._encoded(m, states.get(m), keep.get(m), rows) for m in self.model.modalities}
        aligned = self.model.align(encoded)
        return aligned, self.model.fuse(aligned, attention)

    def _encoded(self, m: Modality, states: Tensor | None, keep: Tensor | None, rows: int) -> Encoded:
        """One modality of `rows` variants; a medium is there while any of its tokens is, and its pooled vector moves
        with the mean of the tokens that are left."""
        whole = self.whole[m]
        if states is None or keep is None:
            off = torch.zeros_like
            gone = replace(whole, mask=off(whole.mask), pooled_mask=off(whole.pooled_mask), tokens=off(whole.tokens),
                           pooled=off(whole.pooled))  # fmt: skip
            return Encoded(
                **{name: getattr(gone, name).expand(rows, *getattr(gone, name).shape[1:]) for name in SHAPES}
            )
        mask = (keep.to(whole.mask.device) & whole.mask).expand(rows, -1)
        tokens = (states * mask[..., None]).expand(rows, -1, -1)
        media = functional.one_hot(whole.part[0], whole.pooled.shape[1]).to(tokens)  # (L, R)
        there = mask.to(tokens) @ media  # (B, R) tokens left of each medium
        mean = torch.einsum("bl,lr,blk->brk", mask.to(tokens), media, tokens) / there.clamp(min=1)[..., None]
        full = torch.einsum("l,lr,lk->rk", whole.mask[0].to(tokens), media, whole.tokens[0])
        full = full / (whole.mask[0].to(tokens) @ media).clamp(min=1)[:, None]
        pooled = whole.pooled + self._ratio(m) * (mean - full)
        pooled_mask = there > 0
        return Encoded(
            tokens=tokens, mask=mask, part=whole.part.expand(rows, -1), pooled=pooled * pooled_mask[..., None],
            pooled_mask=pooled_mask,
        )  # fmt: skip

    def _ratio(self, m: Modality) -> Tensor:
        """(R, 1): length of each medium's pooled vector over that of the mean of its tokens, as the encoder gave them;
        1 where pooling is the mean, 1 / length where the mean is brought to unit length."""
        lengths = [
            float(np.linalg.norm(one.pooled.astype(np.float64)))
            / max(1e-9, float(np.linalg.norm(one.tokens.astype(np.float64).mean(0))))
            for one in self.media[m]
        ]
        return torch.tensor(lengths, dtype=torch.float32, device=self.pipeline.device)[:, None]

    @torch.no_grad()
    def coalitions(self, baseline: Baseline = None) -> NDArray[np.float64]:
        kept = self._kept()
        if kept is not None and (baseline is None or not self.players):
            return kept
        scores = self._coalitions(baseline)
        if kept is not None:  # what is printed was rounded to be kept; moved alike, all rows stay in one precision
            scores[:, self.target] += kept[-1, self.target] - scores[-1, self.target]
        return scores

    def _kept(self) -> NDArray[np.float64] | None:
        """(2^M, N) by the item's vectors as they are kept and printed; None of a query and of another model."""
        if self.scope == "query" or self.model is not self.pipeline.model:
            return None
        rows = rows_of(self.model.modalities, self.players)
        return self.rank(self.pipeline.items.vectors[rows, self.target]).double().cpu().numpy()

    def _coalitions(self, baseline: Baseline) -> NDArray[np.float64]:
        """All of them in one forward."""
        inside = [[bool(row >> bit & 1) for bit in range(len(self.players))] for row in range(1 << len(self.players))]
        if baseline == "mean":
            there = torch.tensor(inside, device=self.pipeline.device)  # (2^M, M)
            states = {m: self.states[m] * there[:, bit, None, None] for bit, m in enumerate(self.players)}
            keep = {m: self.whole[m].mask.expand(len(inside), -1) for m in self.players}
            return self.scores(states, keep).double().cpu().numpy()
        other: Mapping[Modality, Any] = baseline if isinstance(baseline, Mapping) else {}
        return self.of_media([
            {m: self.media[m] if own else other.get(m, ()) for m, own in zip(self.players, row, strict=True)}
            for row in inside
        ])  # fmt: skip

    @torch.no_grad()
    def whole_scores(self) -> Tensor:
        """(1, N) with everything kept."""
        return self.scores({m: s[None] for m, s in self.states.items()}, {m: self.whole[m].mask for m in self.players})

    def media_scores(self, m: Modality, variants: Sequence[Sequence[States]]) -> NDArray[np.float64]:
        """(B, N) scores with other media of one modality in each row, none at all included; the rest as it is."""
        return self.of_media([{**self.media, m: variant} for variant in variants])

    @torch.no_grad()
    def of_media(self, rows: Sequence[Mapping[Modality, Sequence[States]]], block: int = 64) -> NDArray[np.float64]:
        """(B, N) scores with these media, and nothing else, in each row."""
        pieces = []
        for start in range(0, len(rows), block):
            part = rows[start : start + block]
            here = {
                m: collate([row.get(m, ()) for row in part], self.pipeline.told["widths"][m]).to(self.pipeline.device)
                for m in self.model.modalities
            }
            pieces.append(self.rank(self.model.fuse(self.model.align(self.model.standardise(here))).vector))
        return torch.cat(pieces).double().cpu().numpy()

    def instead(self, media: Mapping[Modality, Sequence[States]]) -> PipelineScorer:
        """The same thing with other media of some modalities."""
        return replace(self, media={**self.media, **media})

    def towards(self, target: int) -> PipelineScorer:
        """The same query before another item."""
        return replace(self, target=target)

    # ---- what it looked at

    def attention(self, states: Mapping[Modality, Tensor]) -> tuple[Tensor, Attention]:
        aligned, fused = self.fuse(states, {m: self.whole[m].mask for m in self.players}, attention=True)
        at, places = 1, {}
        for m in self.model.modalities:
            length = aligned[m].mask.shape[1]
            places[m], at = slice(at, at + length), at + length
        layers = fused.layers or (() if fused.attention is None else (fused.attention,))
        if layers and layers[-1].shape[-1] != at:
            layers = ()  # attention over whole modalities says nothing of tokens
        pooling = {m: weights for m in self.players if (weights := aligned[m].weights) is not None}
        return self.rank(fused.vector), Attention(
            pooling=pooling, gates={m: fused.gates[:, self.model.modalities.index(m)] for m in self.players},
            layers=layers, places={m: places[m] for m in self.players},
        )  # fmt: skip

    def gates(self) -> dict[Modality, float]:
        if not self.players:
            return {}
        with torch.no_grad():
            _, fused = self.fuse(
                {m: s[None] for m, s in self.states.items()}, {m: self.whole[m].mask for m in self.players}
            )
        return {m: float(fused.gates[0, self.model.modalities.index(m)]) for m in self.players}

    # ---- controls

    def randomised(self, seed: int) -> PipelineScorer:
        """Every learned tensor's values in random order; of the item vectors the axes and signs, so that their
        geometry stays and its meaning goes. Source: Adebayo et al. 2018, cascading to the top."""
        generator = torch.Generator().manual_seed(seed)
        model = deepcopy(self.model)
        for part in (model.aligner, model.fuser, model.ranker):
            for value in part.state_dict().values():
                if value.is_floating_point() and value.numel() > 1:
                    order = torch.randperm(value.numel(), generator=generator).to(value.device)
                    value.copy_(value.flatten()[order].view_as(value))
        width = self.item_vectors.shape[1]
        signs = (torch.randint(0, 2, (width,), generator=generator) * 2 - 1).to(self.item_vectors)
        axes = torch.randperm(width, generator=generator).to(self.item_vectors.device)
        shown = None if self.shown is None else self.shown[:, axes] * signs
        return replace(self, model=model, item_vectors=self.item_vectors[:, axes] * signs, shown=shown)

    @torch.no_grad()
    def history_effects(self) -> NDArray[np.float64]:
        """(T,) score of the target minus its score had the user never met that item of their history."""
        assert self.user is not None
        pipeline = self.pipeline
        rows = pipeline.history(self.user)
        if not rows:
            return np.zeros(0)
        shorter = [rows[:gone] + rows[gone + 1 :] for gone in range(len(rows))]
        history = History.of([rows, *shorter], [pipeline.user_row(self.user)] * (1 + len(rows))).to(pipeline.device)
        scores = self._before(history)[:, self.target]
        return (scores[0] - scores[1:]).double().cpu().numpy()

    def _units(self, m: Modality) -> Units:
        names: list[str] = []
        parts: list[int] = []
        spans: list[tuple[int, int]] = []
        covered: list[Tensor] = []
        start, total = 0, len(self.states[m])
        contents = list(self.read.get(m, ())) or [None] * len(self.media[m])
        encoder = None if m in self.pipeline.catalogue.features else self.pipeline.encoder(m)
        for number, medium in enumerate(self.media[m]):
            content = contents[number] if len(contents) == len(self.media[m]) else None
            for name, span, rows in pieces_of(encoder, content, len(medium.tokens)):
                member = torch.zeros(total, dtype=torch.bool, device=self.pipeline.device)
                member[[start + row for row in rows]] = True
                names.append(name)
                parts.append(number)
                spans.append(span)
                covered.append(member)
            start += len(medium.tokens)
        members = torch.stack(covered) if covered else torch.zeros(0, total, dtype=torch.bool)
        return Units(names=tuple(names), parts=tuple(parts), members=members, spans=tuple(spans))


SHAPES = ("tokens", "mask", "part", "pooled", "pooled_mask")


def pieces_of(encoder: Any, content: Any, tokens: int) -> list[tuple[str, tuple[int, int], Sequence[int]]]:
    """What a person can point at in one medium: name, place, and its token rows. Words where the encoder knows words,
    moments and frames (in milliseconds) where it knows times, cells of its grid where it has one."""
    if hasattr(encoder, "pieces"):
        return [(piece.name, piece.span, piece.rows) for piece in encoder.pieces(content, tokens)]
    if hasattr(encoder, "words") and content is not None:
        return [(word.text, (word.start, word.end), word.pieces) for word in encoder.words(content)]
    rows, columns = getattr(encoder, "grid", (1, tokens))
    if rows * columns != tokens:
        rows, columns = 1, tokens
    return [
        (f"row {row + 1}, column {column + 1}", (row, column), (row * columns + column,))
        for row in range(rows)
        for column in range(columns)
    ]


def case_scorer(
    pipeline: Pipeline, scope: str, media: Mapping[Modality, Sequence[States]], read: Read, target: int,
    user: str | None,
) -> PipelineScorer:  # fmt: skip
    """A scorer of media that are encoded already; target -1 while nothing is explained yet."""
    return PipelineScorer(
        pipeline=pipeline, model=pipeline.model, scope=scope, media=media, read=read, user=user, target=target,
        item_vectors=pipeline.items.vectors[-1].clone(),
    )  # fmt: skip


def query_scorer(pipeline: Pipeline, query: Query, item_id: str) -> PipelineScorer:
    """The query before one item; its own modalities are the players."""
    pipeline.must("query")
    read, _ = pipeline.read(query)
    if not read:
        raise InputError("E-INPUT-VALUE", "nothing was given to explain by; give words, a photo or a known user.")
    media = {m: [state for state in states] for m, states in pipeline.encode(read).items()}
    return PipelineScorer(
        pipeline=pipeline, model=pipeline.model, scope="query", media=media, read=read, user=query.user,
        target=column_of(pipeline, item_id), item_vectors=pipeline.items.vectors[-1].clone(),
    )  # fmt: skip


def item_scorer(
    pipeline: Pipeline, user: str, item_id: str, vectors: Path, without: Sequence[Modality] = ()
) -> PipelineScorer:
    """One item before a known user; the item's own modalities are the players. vectors: the vector store; without:
    modalities that are left out of every item."""
    pipeline.must("known user")
    pipeline.user_row(user)
    target = column_of(pipeline, item_id)
    media = item_media(pipeline, [target], vectors)[0]
    left = tuple(m for m in pipeline.model.modalities if m not in without)
    shown = pipeline.items.vectors[rows_of(pipeline.model.modalities, left)[-1]].clone() if without else None
    return PipelineScorer(
        pipeline=pipeline, model=pipeline.model, scope="item", media={m: media[m] for m in left if m in media},
        read=item_contents(pipeline, target), user=user, target=target, shown=shown,
        item_vectors=pipeline.items.vectors[-1].clone(),
    )  # fmt: skip


def item_media(pipeline: Pipeline, rows: Sequence[int], vectors: Path) -> list[dict[Modality, tuple[States, ...]]]:
    """Encoded media of some items, from the vector store where they are there."""
    catalogue = pipeline.catalogue
    whole = bool(catalogue.features)  # rows of ready-made vectors belong to the whole catalogue
    wanted = catalogue if whole else replace(catalogue, items=tuple(catalogue.items[row] for row in rows))
    features = catalogue_features(
        wanted, pipeline.settings, vectors, interactions=False, modalities=pipeline.model.modalities,
        encoders={m: pipeline.encoder(m) for m in pipeline.model.modalities if m not in catalogue.features},
    )  # fmt: skip
    found = [features.items[row] for row in rows] if whole else features.items
    return [{m: tuple(features.states[m][at] for at in own.get(m, ())) for m in features.states} for own in found]


def item_contents(pipeline: Pipeline, row: int) -> dict[Modality, list[Any]]:
    """The words and photos of an item as its encoder got them, one a medium; None for what is not looked into."""
    item = pipeline.catalogue.items[row]
    found: dict[Modality, list[Any]] = {}
    for m in pipeline.model.modalities:
        parts = () if m in pipeline.catalogue.features else tuple(dict.fromkeys(parts_of(item, m)))
        found[m] = [part if m == "text" else clip_of(pipeline, part) if m == "video" else None for part in parts]
    return found


def clip_of(pipeline: Pipeline, path: str) -> Any:
    """A clip of the catalogue, for the times of its frames; None where it cannot be read."""
    try:
        return READ["video"]((pipeline.catalogue.root / path).read_bytes(), path)[0]
    except (InputError, OSError):
        return None


def scorer_for(
    pipeline: Pipeline, query: Query, item_id: str, vectors: Path, without: Sequence[Modality] = ()
) -> PipelineScorer:
    """Scope "query" when anything was given, else "item" for the known user. without: as `recommend` has it."""
    if query.parts or query.user is None:
        return query_scorer(pipeline, query.without(*without), item_id)
    return item_scorer(pipeline, query.user, item_id, vectors, without)


def column_of(pipeline: Pipeline, item_id: str) -> int:
    if item_id not in pipeline.item_ids:
        raise UnknownNameError("item", item_id[:80], pipeline.item_ids[:5])
    return pipeline.item_ids.index(item_id)
