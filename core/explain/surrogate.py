"""A plain model that imitates the ranker around one query: logistic regression on named facts of the items."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.domain import Item

MOST_FACTS = 60
FEW = 4  # items that must share a fact, and that must lack it
FOLDS = 5
STOP = frozenset(("and", "are", "for", "from", "has", "its", "not", "that", "the", "this", "with", "you", "your"))


@dataclass(frozen=True, kw_only=True)
class Surrogate:
    """weights: log odds of being among the first `top` that a fact adds, largest first. fidelity: area under the curve
    on items that were left out of the fit, .5 chance, 1 perfect; None where too few items are inside."""

    weights: Mapping[str, float]
    fidelity: float | None
    top: int
    items: int

    @property
    def trusted(self) -> bool:
        return self.fidelity is not None and self.fidelity >= 0.7


def facts_of(items: Sequence[Item]) -> tuple[list[str], NDArray[np.float64]]:
    """Names of facts and (N, F) 0 or 1: category, attributes, price third, photo, and words of title and description.
    Kept are facts that some items have and some have not, the most even ones first."""
    prices = [item.price for item in items if item.price is not None]
    low, high = np.quantile(prices, [1 / 3, 2 / 3]) if len(set(prices)) >= 3 else (np.inf, np.inf)
    named = [facts(item, float(low), float(high)) for item in items]
    count = Counter(fact for one in named for fact in one)
    even = [(abs(seen - len(items) / 2), fact) for fact, seen in count.items() if FEW <= seen <= len(items) - FEW]
    kept = [fact for _, fact in sorted(even)[:MOST_FACTS]]
    return kept, np.array([[float(fact in one) for fact in kept] for one in named]).reshape(len(items), len(kept))


def facts(item: Item, low: float, high: float) -> set[str]:
    found = {f"category: {part.strip()}" for part in re.split(r"[>|]", item.category) if part.strip()}
    found |= {f"{name}: {value}" for name, value in item.attributes.items() if value and len(value) <= 40}
    if item.price is not None and np.isfinite(low):
        found.add(
            "price: low third" if item.price <= low else "price: high third" if item.price > high else "price: mid"
        )
    found |= {f"has {modality}" for modality, paths in item.media.items() if paths}
    return found | {f"says “{word}”" for word in re.findall(r"[^\W\d_]{3,}", item.text.lower()) if word not in STOP}


def imitate(items: Sequence[Item], scores: NDArray[np.float64], top: int, seed: int = 0) -> Surrogate:
    """scores (N,). Fitted to tell the first `top` items from the others. Source: Ribeiro et al. 2016, on the items."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    names, table = facts_of(items)
    inside = np.zeros(len(items), dtype=bool)
    inside[np.argsort(-scores, kind="stable")[:top]] = True
    if not names or inside.sum() < FOLDS or (~inside).sum() < FOLDS:
        return Surrogate(weights={}, fidelity=None, top=top, items=len(items))
    model = LogisticRegression(C=0.5, max_iter=500, class_weight="balanced")
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    guessed = cross_val_predict(model, table, inside, cv=folds, method="decision_function")
    weights = model.fit(table, inside).coef_[0]
    order = np.argsort(-np.abs(weights))
    return Surrogate(
        weights={names[row]: float(weights[row]) for row in order},
        fidelity=float(roc_auc_score(inside, guessed)),
        top=top,
        items=len(items),
    )
