"""Triples of BPR one at a time, compiled: stochastic steps by Adagrad that touch three rows each.

A step in batches writes whole tables for a few rows; here the likes of an epoch are dealt into cells, a block of users
by a block of items. Cells of one round share no row, so they run side by side, and what comes out is the same, bit by
bit, whatever the number of threads. The stranger of a like comes from the like's own block of items; blocks are drawn
anew in every epoch, so over epochs it is uniform among the items that the user has not liked.
Sources: Rendle et al. 2009, "BPR"; Gemulla et al. 2011, "Large-scale matrix factorization with distributed stochastic
gradient descent"; Duchi et al. 2011, "Adaptive subgradient methods".
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray

from core.rank.factors import FactorsLearner
from core.rank.likes import Likes

BLOCKS, FEWEST = 8, 64  # blocks of items at most, and items that a block has at least
TRIES = 8  # draws of a stranger; a user who has liked all of them skips the step
TINY = np.float32(1e-20)
Rows = NDArray[np.int32]


@njit(nogil=True)
def dealt(user: Rows, item: Rows, order: Rows, user_block: Rows, item_block: Rows, blocks: int) -> Any:
    """Likes in drawn order, cell after cell: users (E,), items (E,) and where each cell begins (blocks^2 + 1,).

    Cell number r * blocks + b is round r of user block b; its item block is (b + r) modulo blocks."""
    begin, cell = np.zeros(blocks * blocks + 1, np.int64), np.empty(len(user), np.int32)
    for row in range(len(user)):
        b = user_block[user[row]]
        cell[row] = (item_block[item[row]] - b + blocks) % blocks * blocks + b
        begin[cell[row] + 1] += 1
    for one in range(blocks * blocks):
        begin[one + 1] += begin[one]
    place, users, items = begin.copy(), np.empty_like(user), np.empty_like(item)
    for row in order:
        users[place[cell[row]]], items[place[cell[row]]] = user[row], item[row]
        place[cell[row]] += 1
    return users, items, begin


@njit(nogil=True)
def stranger(pool: Rows, known: Rows, state: Any) -> Any:
    """An item of the pool that is not among the known ones (ascending), -1 where none was drawn; and the next state
    of the generator.  Source: Marsaglia 2003, "Xorshift RNGs"."""
    for _ in range(TRIES):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        drawn = pool[np.int64((state >> np.uint64(33)) % np.uint64(len(pool)))]
        place = np.searchsorted(known, drawn)
        if place == len(known) or known[place] != drawn:
            return drawn, state
    return -1, state


@njit(nogil=True, fastmath=True)
def stepped(value: Any, seen: Any, climb: Any, rate: Any) -> None:
    """One step of Adagrad up a gradient, in place; value, seen (sums of squares), climb: (d,)."""
    for k in range(len(value)):
        seen[k] += climb[k] * climb[k]
        value[k] += rate * climb[k] / np.sqrt(seen[k] + TINY)


@njit(nogil=True, fastmath=True)
def run_cell(tables: Any, sums: Any, user: Rows, item: Rows, pool: Rows, begin: Any, known: Rows, seed: int,
             rate: Any, penalty: Any) -> float:  # fmt: skip
    """Steps over the likes of one cell; tables and sums: users (U, d), items (N, d), bias (N, 1). Returns the sum of
    losses."""
    users, items, bias = tables
    state: Any = np.uint64(seed)
    total, width = 0.0, users.shape[1]
    up, down, out = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    tilt = np.empty(1, np.float32)
    for row in range(len(user)):
        u, liked = user[row], item[row]
        other, state = stranger(pool, known[begin[u] : begin[u + 1]], state)
        if other < 0:
            continue
        own, near, far = users[u], items[liked], items[other]
        margin = bias[liked, 0] - bias[other, 0]
        for k in range(width):
            margin += own[k] * (near[k] - far[k])
        total += np.log1p(np.exp(-margin))
        push = np.float32(1 / (1 + np.exp(margin)))
        for k in range(width):
            out[k] = push * (near[k] - far[k]) - penalty * own[k]
            up[k], down[k] = push * own[k] - penalty * near[k], -push * own[k] - penalty * far[k]
        stepped(own, sums[0][u], out, rate)
        stepped(near, sums[1][liked], up, rate)
        stepped(far, sums[1][other], down, rate)
        tilt[0] = push
        stepped(bias[liked], sums[2][liked], tilt, rate)
        tilt[0] = -push
        stepped(bias[other], sums[2][other], tilt, rate)
    return total


class Triples:
    """Epochs of BPR over likes on the CPU; learns in place, the sums of Adagrad are those of the optimiser."""

    def __init__(self, learner: FactorsLearner, likes: Likes, rate: float, penalty: float) -> None:
        self.learner, self.rate, self.penalty = learner, np.float32(rate), np.float32(penalty)
        self.user, self.item = likes.user.int().numpy(), likes.item.int().numpy()
        self.shape = likes.users, likes.items
        self.known = (likes.keys % likes.items).int().numpy()
        self.begin = np.concatenate([[0], np.cumsum(likes.user_counts.long().numpy())])
        self.blocks = max(1, min(BLOCKS, likes.items // FEWEST))

    def epoch(self, optimiser: torch.optim.Adagrad, generator: torch.Generator) -> float:
        """One pass over all likes; returns the mean loss."""
        (users, items), blocks = self.shape, self.blocks
        of_user, of_item = (drawn(count, generator) % blocks for count in (users, items))
        order = drawn(len(self.user), generator)
        dealt_users, dealt_items, begin = dealt(self.user, self.item, order, of_user, of_item, blocks)
        pools = [np.flatnonzero(of_item == one).astype(np.int32) for one in range(blocks)]
        seeds = torch.randint(1, 1 << 62, (blocks * blocks,), generator=generator).tolist()
        tables, sums = self.state(optimiser)

        def run(cell: int) -> float:
            part = slice(begin[cell], begin[cell + 1])
            pool = pools[(cell % blocks + cell // blocks) % blocks]
            return run_cell(
                tables, sums, dealt_users[part], dealt_items[part], pool, self.begin, self.known, seeds[cell],
                self.rate, self.penalty,
            )  # fmt: skip

        with ThreadPoolExecutor(torch.get_num_threads()) as threads:
            rounds = (range(r * blocks, (r + 1) * blocks) for r in range(blocks))
            return sum(sum(threads.map(run, one)) for one in rounds) / len(self.user)

    def state(self, optimiser: torch.optim.Adagrad) -> tuple[Any, Any]:
        """Tables and sums of squares as arrays over the very memory of torch."""
        learner = self.learner
        owned = (learner.users.weight, learner.items.weight, learner.bias)
        both = [owned, [optimiser.state[one]["sum"] for one in owned]]
        tables, sums = (tuple(one.detach().numpy().reshape(len(one), -1) for one in part) for part in both)
        return tables, sums


def drawn(count: int, generator: torch.Generator) -> Rows:
    """The numbers below count, in drawn order."""
    return torch.randperm(count, generator=generator).int().numpy()
