"""What rankers reach on Studio that know the truth, popularity alone, or the true attributes of what was taken."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sample_data.generator.heard import describe_sounds
from sample_data.generator.people import USERS, Row, describe_looks, describe_specs
from sample_data.generator.shop import Studio

TOP = 10
MIN_POSITIVES = 5
LIKED = 4


def split_rows(rows: tuple[Row, ...], warm: NDArray[np.bool_], users: int) -> tuple[list[list[Row]], list[list[Row]]]:
    """(seen, test) per user. Test: the last warm rows rated 4 or 5 in time, a tenth of all rows, at least 2.

    The positive before them is validation and counts as seen here; users with fewer than 5 positives have no test rows.
    """
    seen: list[list[Row]] = [[] for _ in range(users)]
    test: list[list[Row]] = [[] for _ in range(users)]
    for row in rows:
        if warm[row.item]:
            seen[row.user].append(row)
    for user, mine in enumerate(seen):
        liked = [row for row in mine if row.rating >= LIKED]
        if len(liked) >= MIN_POSITIVES:
            test[user] = liked[-max(2, round(0.1 * len(mine))) :]
            held = {row.item for row in test[user]}
            seen[user] = [row for row in mine if row.item not in held]
    return seen, test


def measure_ndcg(
    scores: NDArray[np.float64], seen: list[list[Row]], test: list[list[Row]], warm: NDArray[np.bool_]
) -> float:
    """Mean NDCG@10 over users with test rows; candidates = warm items without the user's seen rows. scores: (U, N)."""
    gains = 1 / np.log2(np.arange(TOP) + 2)
    values = []
    for user, wanted in enumerate(test):
        if wanted:
            mine = np.where(warm, scores[user], -np.inf)
            mine[[row.item for row in seen[user]]] = -np.inf
            hits = np.isin(np.argsort(-mine, kind="stable")[:TOP], [row.item for row in wanted])
            values.append(float(gains[hits].sum() / gains[: min(TOP, len(wanted))].sum()))
    return float(np.mean(values))


def learn_tastes(
    features: NDArray[np.float64], seen: list[list[Row]], warm: NDArray[np.bool_], rank: int = 12, ridge: float = 0.08
) -> NDArray[np.float64]:
    """Scores (U, N) of a linear reader of the true attributes that sees only training rows.

    Per user the mean attributes of what was taken (more stars weigh more), against all warm items, divided by their
    ridge-regularised covariance and cut to a low rank shared by all users.
    """
    centred = features - features[warm].mean(0)  # (N, F)
    spread = centred[warm].T @ centred[warm] / warm.sum() + ridge * np.eye(features.shape[1])
    means = np.array(
        [
            np.average(
                centred[[row.item for row in mine]], axis=0, weights=[0.4 + 0.3 * (row.rating - 1) for row in mine]
            )
            for mine in seen
        ]
    )  # (U, F)
    taste = np.linalg.solve(spread, means.T).T  # (U, F)
    left, sizes, right = np.linalg.svd(taste - taste.mean(0), full_matrices=False)
    shared = taste.mean(0) + (left[:, :rank] * sizes[:rank]) @ right[:rank]
    return shared @ centred.T  # (U, N)


def measure_reference(studio: Studio) -> dict[str, float]:
    """NDCG@10 of the true utility, of popularity and of `learn_tastes`, and the share of the gap it closes."""
    cold = {name for group in studio.world.groups if group.cold for name in group.items}
    warm = np.array([item.item_id not in cold for item in studio.items])
    users = len(studio.people.users)
    seen, test = split_rows(studio.rows, warm, users)
    taken = np.bincount([row.item for mine in seen for row in mine], minlength=len(studio.items)).astype(float)
    features = np.hstack(
        [describe_looks(studio.items), describe_specs(studio.items), describe_sounds(studio.items, studio.sounds)]
    )
    oracle = measure_ndcg(studio.people.utility, seen, test, warm)
    popular = measure_ndcg(np.tile(taken, (users, 1)), seen, test, warm)
    learned = measure_ndcg(learn_tastes(features, seen, warm), seen, test, warm)
    return {
        "oracle_ndcg10": round(oracle, 4),
        "popularity_ndcg10": round(popular, 4),
        "learned_ndcg10": round(learned, 4),
        "learnability": round((learned - popular) / (oracle - popular), 4),
        "listeners_oracle_ndcg10": round(
            measure_ndcg(studio.people.utility[USERS:], seen[USERS:], test[USERS:], warm), 4
        ),
        "test_users": sum(bool(rows) for rows in test),
        "test_rows": sum(len(rows) for rows in test),
    }
