"""`simulate-missing`: a modality is taken away, filled in in every known way, and what that costs is measured.

when = items: products lose it after training; query: held-out queries lose it; training: products lose it before a run
is trained anew with each way to fill in. A thing that has nothing else keeps it. The way is chosen on validation; test
figures of all of them are told, and only the chosen one's is the result.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from core.domain import LIKED, Aligned, Catalogue, Encoded, Estimate, Modality, Query
from core.errors import InputError, SettingsError
from core.evaluate.measure import FEWEST_QUERIES, fullest, next_item
from core.evaluate.metrics import target_ranks
from core.evaluate.missing_kept import HOW, WHEN, best, file_of, joined, keep, read
from core.evaluate.protocols import split_of
from core.evaluate.significance import bootstrap
from core.evaluate.splits import TEST, TRAIN, VALIDATION, Split, stars
from core.explain.shapley import shapley, shares
from core.features import Features, Media, catalogue_features
from core.model import Coalitions, switch_off
from core.pipeline import Pipeline, load_run, open_pipeline
from core.prepare.impute import IMPUTERS, build_imputer, pooled_vectors

if TYPE_CHECKING:
    from core.workspace import Workspace

METRICS = ("ndcg@10", "recall@10")
COMPLETE = "complete"
RESAMPLES = 10_000
OnStep = Callable[[str, float], None]
Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
Fill = Callable[[dict[Modality, Encoded]], dict[Modality, Encoded]]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What goes missing: `ratio` of the things that have `modality` and something else beside it."""

    modality: Modality
    ratio: float
    how: str = "random"
    when: str = "items"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise SettingsError(f"ratio is {self.ratio}; a share above 0 and up to 1 was expected. Correct the ratio")
        if self.how not in HOW or self.when not in WHEN:
            known = f"one of {', '.join(HOW)} and one of {', '.join(WHEN)}"
            raise SettingsError(f"how {self.how}, when {self.when}: {known} was expected")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Metrics of one subject (users or queries), a value each (n,), and the shares (M, n) its modalities have."""

    metrics: Mapping[str, Values]
    shares: Values
    groups: tuple[str, ...]


def simulate(
    workspace: Workspace, run: str, modality: Modality, ratios: Sequence[float], *, how: str = "random",
    when: str = "items", methods: Sequence[str] = (), seed: int = 0, on_step: OnStep | None = None,
) -> dict[str, Any]:  # fmt: skip
    """`rows`: ratio x method x subject x part, with `metrics` and `kept` (ndcg@10 over the complete data's) as
    value, low, high, and `shares` of every modality; `complete` the same without a loss; `chosen` {ratio: method}. Kept
    in the workspace (`missing_kept.py`); what was kept of the same weights and catalogue is not measured again.

    Raises SettingsError for what cannot be simulated, UnknownNameError.
    """
    tell = on_step or (lambda label, fraction: None)
    losses = [Loss(modality=modality, ratio=ratio, how=how, when=when, seed=seed) for ratio in ratios]
    pipeline = open_pipeline(workspace, run)
    ways = tuple(methods) or usable(pipeline)
    must(pipeline, modality, ways)
    about = {
        "run": run, "catalogue": pipeline.catalogue.name, "modality": modality, "how": how, "when": when, "seed": seed,
        "modalities": list(pipeline.model.modalities),
    }  # fmt: skip
    asked = [(loss, method) for loss in losses for method in ways]
    file = file_of(workspace, about, pipeline.catalogue.version)
    before = read(file) or {"rows": ()}
    measured = {(row["ratio"], row["method"]) for row in before["rows"]}
    left = [(loss, method) for loss, method in asked if (loss.ratio, method) not in measured]
    if left:
        measure_and_keep(workspace, pipeline, about, left, tell)
    whole = read(file) or before
    order = {(loss.ratio, method): place for place, (loss, method) in enumerate(asked)}
    rows = [dict(row) for row in whole["rows"] if (row["ratio"], row["method"]) in order]
    rows.sort(key=lambda row: order[row["ratio"], row["method"]])
    chosen = {str(loss.ratio): best(rows, loss.ratio) for loss in losses}
    for row in rows:
        row["chosen"] = chosen[str(row["ratio"])] == row["method"]
    return {**about, "chosen": chosen, "complete": whole["complete"], "rows": rows}


def measure_and_keep(
    workspace: Workspace, pipeline: Pipeline, about: Mapping[str, Any], left: Sequence[tuple[Loss, str]], tell: OnStep
) -> None:
    """Each ratio and way is kept as soon as it is measured, so that work that was stopped goes on where it was."""
    world = World.of(workspace, pipeline, lambda label, done: tell(label, 0.2 * done))
    modalities, complete = pipeline.model.modalities, world.measured((), NONE, None)
    whole = [{"subject": s, "part": p, **told(one, one, modalities)} for (s, p), one in complete.items()]
    for number, (loss, method) in enumerate(left):
        tell(f"{loss.ratio:.0%} of {loss.modality} missing, filled in by {method}", 0.2 + 0.8 * number / len(left))
        lost, found = world.under(loss, method, workspace)
        rows = [
            {"ratio": loss.ratio, "method": method, "subject": subject, "part": part, **lost, "chosen": False,
             **told(one, complete[subject, part], modalities)}
            for (subject, part), one in found.items()
        ]  # fmt: skip
        answer = {**about, "chosen": {}, "complete": whole, "rows": rows}
        keep(workspace, joined(answer, answer), pipeline.catalogue.version)


def usable(pipeline: Pipeline) -> tuple[str, ...]:
    """Every way to fill in media; the aligner's own generator only where it has one."""
    own = ("none", "generator") if hasattr(pipeline.model.aligner, "filled") else ("none",)
    return tuple(name for name, make in IMPUTERS.items() if make is not None or name in own)


def must(pipeline: Pipeline, modality: Modality, methods: Sequence[str]) -> None:
    if modality not in pipeline.model.modalities or len(pipeline.model.modalities) < 2:
        raise SettingsError(
            f"run {pipeline.run} reads {', '.join(pipeline.model.modalities) or 'no media'}; {modality} beside another "
            "modality was expected. Choose another run or modality"
        )
    if not pipeline.at_home:
        raise SettingsError(f"run {pipeline.run} is simulated on its own catalogue only. Leave --catalogue out")
    for method in methods:
        if method == "generator" and not hasattr(pipeline.model.aligner, "filled"):
            raise SettingsError(f"aligner {pipeline.settings.align} has no generators; train a run with adversarial")
        if method != "generator":
            build_imputer(method, {}, 0)  # names the known ones for an unknown name


# ---- what is masked


def lost(things: Sequence[Media], owners: Sequence[int], catalogue: Catalogue, counts: Values, loss: Loss) -> Flags:
    """(n,) True where a thing loses the modality. owners: the item row each belongs to; counts (N,): training rows of
    the items. category: whole categories, drawn one after another, the last one in part; popularity: rarest first."""
    able = [
        at for at, media in enumerate(things) if media.get(loss.modality) and len([m for m in media.values() if m]) > 1
    ]
    items = catalogue.items

    def draw(text: str) -> str:
        return hashlib.sha256(f"{loss.seed}\t{text}".encode()).hexdigest()

    def order(at: int) -> tuple[Any, ...]:
        item, last = items[owners[at]], draw(f"{at}\t{items[owners[at]].item_id}")
        if loss.how == "category":
            return (draw(item.category.split(">")[0].split("|")[0].strip()), last)
        return (counts[owners[at]], last) if loss.how == "popularity" else (last,)

    flags = np.zeros(len(things), dtype=bool)
    flags[sorted(able, key=order)[: round(loss.ratio * len(able))]] = True
    return flags


def without(things: Sequence[Media], flags: Flags, modality: Modality) -> tuple[Media, ...]:
    return tuple({m: rows for m, rows in media.items() if m != modality} if gone else media
                 for media, gone in zip(things, flags, strict=True))  # fmt: skip


def poorer(catalogue: Catalogue, flags: Flags, loss: Loss) -> Catalogue:
    """The catalogue as if these items had never had the modality; another version, so that nothing is mixed up."""

    def less(item: Any) -> Any:
        if loss.modality == "text":
            return replace(item, title="", description="")
        return replace(item, media={m: paths for m, paths in item.media.items() if m != loss.modality})

    items = tuple(less(item) if gone else item for item, gone in zip(catalogue.items, flags, strict=True))
    told = f"{catalogue.version}{loss}{flags.tobytes().hex()}"
    return replace(catalogue, items=items, version=hashlib.sha256(told.encode()).hexdigest())


# ---- what is measured


class Filler:
    """One way to fill in, fitted on standardised vectors of the items that training knew, as they are now."""

    def __init__(self, name: str, fill: Fill | None = None) -> None:
        self.name, self.fill = name, fill or (lambda encoded: encoded)
        self.generates = name == "generator"


NONE = Filler("none")


@dataclass(frozen=True, kw_only=True)
class World:
    """A run, its split and everything encoded."""

    pipeline: Pipeline
    split: Split
    features: Features
    counts: Values
    asked: Mapping[str, Any]  # part -> held-out queries, where there are enough

    @classmethod
    def of(cls, workspace: Workspace, pipeline: Pipeline, tell: OnStep) -> World:
        catalogue = pipeline.catalogue
        split = split_of(pipeline)
        features = catalogue_features(catalogue, pipeline.settings, workspace.vectors,
                                      modalities=pipeline.model.modalities, on_step=tell)  # fmt: skip
        position = catalogue.position()
        rows = [position[catalogue.interactions[row].item_id] for row in split.rows(TRAIN)]
        counts = np.bincount(rows, minlength=len(catalogue.items)).astype(float)
        asked = {}
        ranker: Any = pipeline.model.ranker
        if "query" in ranker.cases:
            found = {part: fullest(pipeline, features, split, "all", part)[0] for part in ("validation", "test")}
            asked = {part: one for part, one in found.items() if one and len(one.answers) >= FEWEST_QUERIES}
        return cls(pipeline=pipeline, split=split, features=features, counts=counts, asked=asked)

    def under(self, loss: Loss, method: str, workspace: Workspace) -> tuple[dict[str, Any], dict]:
        """What one way to fill in leaves under a loss; `moved` says of whom: users do not feel lost queries."""
        items, catalogue = self.features.items, self.pipeline.catalogue
        gone = lost(items, range(len(items)), catalogue, self.counts, loss)
        if loss.when == "training":
            other = self.trained(poorer(catalogue, gone, loss), method, workspace)
            return {"lost": int(gone.sum()), "of": len(items), "moved": True}, other
        if loss.when == "items":
            left = without(items, gone, loss.modality)
            found = self.measured(left, self.filler(method, left), None)
            return {"lost": int(gone.sum()), "of": len(items), "moved": True}, found
        found = self.measured((), self.filler(method, items), loss)
        whole = next((one for part, one in self.asked.items() if part == "test"), None)
        gone = lost(whole.media, whole.answers, catalogue, self.counts, loss) if whole else np.zeros(0, bool)
        found = {key: one for key, one in found.items() if key[0] == "queries"}
        if not found:
            raise SettingsError(f"run {self.pipeline.run} answers no held-out query; choose --when items")
        return {"lost": int(gone.sum()), "of": len(gone), "moved": True}, found

    def filler(self, method: str, items: Sequence[Media]) -> Filler:
        """Fitted on the items that training knew."""
        model: Any = self.pipeline.model
        known = [at for at, row in enumerate(self.pipeline.known.tolist()) if row >= 0]
        spaces = {m: model.space[m] for m in model.modalities}
        imputer = build_imputer(method, {m: one.kept for m, one in spaces.items()}, len(known))
        if imputer is None:
            return Filler(method)
        blocks = [self.encoded([items[at] for at in known[start : start + 64]]) for start in range(0, len(known), 64)]
        pooled = [pooled_vectors(block) for block in blocks]
        vectors = {m: torch.cat([one[0][m] for one in pooled]).cpu() for m in model.modalities}
        present = {m: torch.cat([one[1][m] for one in pooled]).cpu() for m in model.modalities}
        imputer.fit(vectors, present)
        return Filler(method, imputer.to(self.pipeline.device))

    @torch.no_grad()
    def encoded(self, things: Sequence[Media]) -> dict[Modality, Encoded]:
        """Standardised, nothing filled in."""
        model: Any = self.pipeline.model
        raw = {m: self.banks[m].batch([one.get(m, ()) for one in things]) for m in model.modalities}
        return {m: model.space[m].encoded(raw[m].to(self.pipeline.device)) for m in model.modalities}

    @property
    def banks(self) -> dict[Modality, Any]:
        kept = self.__dict__.setdefault("_banks", {})
        if not kept:
            kept.update({m: self.features.bank(m) for m in self.pipeline.model.modalities})
        return kept

    @torch.no_grad()
    def coalitions(self, things: Sequence[Media], filler: Filler) -> Coalitions:
        """Things filled in, then under every subset of their modalities: a stand-in is switched like the real thing."""
        model, vectors, gates = self.pipeline.model, [], []
        for start in range(0, len(things), 64):
            whole = filler.fill(self.encoded(things[start : start + 64]))
            found = [self.fused(whole, [m for bit, m in enumerate(model.modalities) if not row >> bit & 1], filler)
                     for row in range(1 << len(model.modalities))]  # fmt: skip
            vectors.append(torch.stack([one.vector for one in found]))
            gates.append(torch.stack([one.gates for one in found]))
        return Coalitions(vectors=torch.cat(vectors, 1), gates=torch.cat(gates, 1))

    def fused(self, whole: dict[Modality, Encoded], off: Sequence[Modality], filler: Filler) -> Any:
        model: Any = self.pipeline.model
        if filler.generates:  # made in the shared space, so switched off there
            return model.fuser({m: absent(one) if m in off else one
                                for m, one in model.aligner.filled(model.align(whole)).items()}, False)  # fmt: skip
        return model.fuser(model.align(switch_off(whole, off)), False)

    def measured(self, items: Sequence[Media], filler: Filler, loss: Loss | None) -> dict[tuple[str, str], Measure]:
        """(subject, part) -> Measure. items: as they are now, () for complete ones; loss: what queries lose."""
        pipeline = copy.copy(self.pipeline)
        pipeline.items = self.coalitions(items or self.features.items, filler if items else NONE)
        return self.of_pipeline(pipeline, filler, loss)

    def of_pipeline(self, pipeline: Pipeline, filler: Filler, loss: Loss | None) -> dict[tuple[str, str], Measure]:
        found: dict[tuple[str, str], Measure] = {}
        for part in ("validation", "test"):
            users = next_item(pipeline, pipeline.catalogue, self.split, part)
            if users:
                found["users", part] = Measure(
                    metrics={name: users.ours[name] for name in METRICS}, groups=users.users,
                    shares=self.user_shares(pipeline, users.users, part),
                )  # fmt: skip
            if part in self.asked:
                found["queries", part] = self.of_queries(pipeline, self.asked[part], filler, loss)
        return found

    def user_shares(self, pipeline: Pipeline, users: Sequence[str], part: str) -> Values:
        """(M, U): mean item-scope share over each user's held-out likes."""
        position = self.pipeline.catalogue.position()
        held: dict[str, list[int]] = {user: [] for user in users}
        label = {"test": TEST, "validation": VALIDATION}[part]
        rows = zip(pipeline.catalogue.interactions, self.split.labels, stars(pipeline.catalogue), strict=True)
        for row, one, rating in rows:
            if one == label and row.user_id in held and (rating is None or rating >= LIKED):
                held[row.user_id].append(position[row.item_id])
        phi = [shapley(pipeline.rank(Query(user=user), None)[:, held[user]]) for user in users]  # (M, held) each
        return np.stack([shares(one).mean(1) for one in phi], 1)

    def of_queries(self, pipeline: Pipeline, asked: Any, filler: Filler, loss: Loss | None) -> Measure:
        media = asked.media
        if loss is not None:
            gone = lost(media, asked.answers, pipeline.catalogue, self.counts, loss)
            media = without(media, gone, loss.modality)
        made = World.coalitions(replace(self, pipeline=pipeline), media, filler if loss else NONE)
        ranker: Any = pipeline.model.ranker
        items = pipeline.items.vectors[-1]
        with torch.no_grad():
            scores = torch.stack([ranker.score_query(one, items) for one in made.vectors]).float().cpu().numpy()
        places = target_ranks(scores[-1], asked.answers).astype(float)
        own = scores[:, np.arange(len(places)), asked.answers]  # (2^M, Q)
        metrics = {"ndcg@10": np.where(places <= 10, 1 / np.log2(places + 1), 0.0), "recall@10": (places <= 10) * 1.0}
        return Measure(metrics=metrics, shares=shares(shapley(own)), groups=asked.products)

    def trained(self, catalogue: Catalogue, method: str, workspace: Workspace) -> dict[tuple[str, str], Measure]:
        """A run of the same settings, trained where the items lack the modality, with this way to fill in."""
        from core.train.run import train_run

        settings = replace(self.pipeline.settings, impute=method)
        folder = workspace.home / "cache" / "missing" / f"{self.pipeline.run}-{catalogue.version[:16]}-{method}"
        if not (folder / "run.json").is_file():
            train_run(catalogue, settings, folder, vectors=workspace.vectors)
        other = load_run(folder, catalogue, vectors=workspace.vectors)
        return self.of_pipeline(other, NONE, None)


def absent(one: Aligned) -> Aligned:
    off = torch.zeros_like(one.present)
    return replace(one, present=off, mask=torch.zeros_like(one.mask), pooled=torch.zeros_like(one.pooled))


# ---- what is told


def told(one: Measure, complete: Measure, modalities: Sequence[Modality]) -> dict[str, Any]:
    """metrics, kept and shares as value, low, high."""
    return {
        "n": len(one.groups),
        "metrics": {name: asdict(bootstrap(values, one.groups)) for name, values in one.metrics.items()},
        "kept": asdict(kept(one, complete)),
        "shares": {m: asdict(bootstrap(one.shares[at], one.groups)) for at, m in enumerate(modalities)},
    }


def kept(one: Measure, complete: Measure, metric: str = "ndcg@10", seed: int = 0) -> Estimate:
    """Mean over that of the complete data, users (of queries: products) drawn again together. Raises InputError where
    the complete data find nothing."""
    own, whole = np.nan_to_num(one.metrics[metric]), np.nan_to_num(complete.metrics[metric])
    if not whole.mean() > 0:
        raise InputError("E-INPUT-VALUE", "the run finds nothing even with complete data; there is nothing to lose.")
    _, member = np.unique(np.asarray(one.groups), return_inverse=True)
    sums = np.stack([np.bincount(member, weights=values) for values in (own, whole)])  # (2, groups)
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, sums.shape[1], sums.shape[1]) for _ in range(RESAMPLES)]
    ratios = [float(a / b) if b > 0 else np.nan for a, b in (sums[:, rows].sum(1) for rows in drawn)]
    low, high = np.nanquantile(ratios, (0.025, 0.975))
    return Estimate(value=float(own.mean() / whole.mean()), low=float(low), high=float(high))
