"""Triples of BPR one at a time, compiled: stochastic steps that touch three rows each, by Adagrad with one rate a row.

A step in batches writes whole tables for a few rows; here the likes of an epoch are dealt into cells, a block of users
by a block of items. Cells of one round share no row, so they run side by side, and what comes out is the same, bit by
bit, whatever the number of threads. The stranger of a like comes from the like's own block of items; blocks are drawn
anew in every epoch, so over epochs it is uniform among the items that the user has not liked.
Sources: Rendle et al. 2009, "BPR"; Gemulla et al. 2011, "Large-scale matrix factorization with distributed stochastic
gradient descent"; Duchi et al. 2011, "Adaptive subgradient methods", one rate a row as in Mudigere et al. 2022,
"Software-hardware co-design for fast and scalable training of deep learning recommendation models"; the penalty
is left out of the sums of squares, and shrinks a row to nothing at most.
"""

from __future__ import annotations

from collections.abc import Iterable
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
FLATTEST = np.float32(-80)  # margins below would overflow an exponential of four bytes
FULL = 1e200  # a product of losses this large is taken into the sum as a logarithm
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
    of the generator.  Sources: Marsaglia 2003, "Xorshift RNGs"; Lemire 2019, "Fast random integer generation"."""
    for _ in range(TRIES):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        drawn = pool[np.int64(((state >> np.uint64(32)) * np.uint64(len(pool))) >> np.uint64(32))]
        low, high = 0, len(known)
        while low < high:
            middle = (low + high) >> 1
            if known[middle] < drawn:
                low = middle + 1
            else:
                high = middle
        if low == len(known) or known[low] != drawn:
            return drawn, state
    return np.int32(-1), state


@njit(nogil=True, fastmath=True)
def run_cell(tables: Any, sums: Any, user: Rows, item: Rows, pool: Rows, begin: Any, known: Rows, seed: int,
             rate: Any, penalty: Any) -> float:  # fmt: skip
    """Steps over the likes of one cell; tables: users (U, d), items (N, d), bias (N,); sums: one a row of each.
    Returns the sum of losses; their logarithm is taken of many at a time."""
    users, items, bias = tables
    of_users, of_items, of_bias = sums
    state: Any = np.uint64(seed)
    total, product, width = 0.0, 1.0, users.shape[1]
    one, zero = np.float32(1), np.float32(0)
    for row in range(len(user)):
        u, liked = user[row], item[row]
        other, state = stranger(pool, known[begin[u] : begin[u + 1]], state)
        if other < 0:
            continue
        own, near, far = users[u], items[liked], items[other]
        margin, apart, size = bias[liked] - bias[other], np.float32(0), np.float32(0)
        for k in range(width):
            difference = near[k] - far[k]
            margin += own[k] * difference
            apart += difference * difference
            size += own[k] * own[k]
        odds = np.exp(-max(margin, FLATTEST))
        product *= 1.0 + odds
        if product > FULL:
            total, product = total + np.log(product), 1.0
        push = odds / (one + odds)
        square = push * push
        of_users[u] += square * apart / np.float32(width)
        of_items[liked] += square * size / np.float32(width)
        of_items[other] += square * size / np.float32(width)
        of_bias[liked] += square
        of_bias[other] += square
        at_user, at_liked = rate / np.sqrt(of_users[u] + TINY), rate / np.sqrt(of_items[liked] + TINY)
        at_other = rate / np.sqrt(of_items[other] + TINY)
        kept_user, kept_liked = max(one - at_user * penalty, zero), max(one - at_liked * penalty, zero)
        kept_other = max(one - at_other * penalty, zero)
        for k in range(width):
            mine = own[k]
            own[k] = kept_user * mine + at_user * push * (near[k] - far[k])
            near[k] = kept_liked * near[k] + at_liked * push * mine
            far[k] = kept_other * far[k] - at_other * push * mine
        bias[liked] += rate * push / np.sqrt(of_bias[liked] + TINY)
        bias[other] -= rate * push / np.sqrt(of_bias[other] + TINY)
    return total + np.log(product)


class RowAdagrad(torch.optim.Optimizer):
    """Mean squares of the gradients summed over steps, one number a row; `run_cell` takes the steps."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], lr: float) -> None:
        super().__init__(parameters, {"lr": lr})
        for table in self.param_groups[0]["params"]:
            self.state[table]["sum"] = torch.zeros(len(table))

    def step(self, closure: Any = None) -> Any:
        raise NotImplementedError("The steps are taken by Triples.epoch.")


class Triples:
    """Epochs of BPR over likes on the CPU; learns in place, the sums of Adagrad are those of the optimiser."""

    def __init__(self, learner: FactorsLearner, likes: Likes, rate: float, penalty: float) -> None:
        self.learner, self.rate, self.penalty = learner, np.float32(rate), np.float32(penalty)
        self.user, self.item = likes.user.int().numpy(), likes.item.int().numpy()
        self.shape = likes.users, likes.items
        self.known = (likes.keys % likes.items).int().numpy()
        self.begin = np.concatenate([[0], np.cumsum(likes.user_counts.long().numpy())])
        self.blocks = max(1, min(BLOCKS, likes.items // FEWEST))

    def optimiser(self) -> RowAdagrad:
        return RowAdagrad(self.learner.parameters(), float(self.rate))

    def epoch(self, optimiser: RowAdagrad, generator: torch.Generator) -> float:
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

    def state(self, optimiser: RowAdagrad) -> tuple[Any, Any]:
        """Tables and sums of squares as arrays over the very memory of torch."""
        learner = self.learner
        owned = (learner.users.weight, learner.items.weight, learner.bias)
        tables = tuple(table.detach().numpy() for table in owned)
        return tables, tuple(optimiser.state[table]["sum"].numpy() for table in owned)


def drawn(count: int, generator: torch.Generator) -> Rows:
    """The numbers below count, in drawn order."""
    return torch.randperm(count, generator=generator).int().numpy()
