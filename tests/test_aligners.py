"""What every aligner promises, for one to four modalities, and what each method promises beyond that."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from torch.nn import functional

from core.align import ALIGNERS, build_aligner
from core.align.adversarial import Adversarial
from core.align.losses import align_uniform, alignment_loss, info_nce
from core.align.sequence import media_of, squarest
from core.config import RunSettings
from core.domain import Aligned, Encoded
from core.errors import UnknownNameError
from core.model import Model, switch_off
from tests.contracts import SUBSETS, WIDTHS, D, all_kinds, media, shaken, things, trained_aligner

every_aligner = pytest.mark.parametrize("name", ALIGNERS)
every_subset = pytest.mark.parametrize("modalities", SUBSETS, ids="+".join)
FIELDS = ("tokens", "mask", "pooled", "present", "media")


def differing(left: dict[str, Aligned], right: dict[str, Aligned]) -> list[str]:
    return [f"{m}.{f}" for m in left for f in FIELDS if not torch.equal(getattr(left[m], f), getattr(right[m], f))]


@every_subset
@every_aligner
@torch.no_grad()
def test_aligned_vectors_have_unit_length_and_absent_ones_are_zero(name, modalities):
    found = trained_aligner(name, modalities)(all_kinds(modalities))
    for j, m in enumerate(modalities):
        there = [float(row >> j & 1) for row in range(1 << len(modalities))]
        assert found[m].present.tolist() == [bool(value) for value in there]
        assert found[m].pooled.norm(dim=1).tolist() == pytest.approx(there, abs=1e-5)
        assert found[m].media.sum(1).tolist() == pytest.approx(there, abs=1e-5)
        assert found[m].tokens.shape == (*found[m].mask.shape, D)
        assert not found[m].tokens[~found[m].mask].any()


@every_subset
@every_aligner
@torch.no_grad()
def test_the_content_of_an_absent_modality_changes_no_bit(name, modalities):
    aligner, given = trained_aligner(name, modalities), all_kinds(modalities)
    noisy = {
        m: replace(
            one,
            tokens=torch.where(one.mask[..., None], one.tokens, torch.randn_like(one.tokens)),
            pooled=torch.where(one.pooled_mask[..., None], one.pooled, torch.randn_like(one.pooled)),
        )
        for m, one in given.items()
    }
    assert not differing(aligner(given), aligner(noisy))


@every_aligner
@torch.no_grad()
def test_vectors_are_the_same_whether_tokens_are_read_or_not(name):
    aligner, given = trained_aligner(name, SUBSETS[-1]), all_kinds(SUBSETS[-1])
    bare, whole = aligner(given, tokens=False), aligner(given)
    for m in given:
        assert bare[m].tokens.shape[-1] == 0
        assert torch.allclose(bare[m].pooled, whole[m].pooled, atol=1e-6)


@every_aligner
@torch.no_grad()
def test_who_else_is_in_the_batch_changes_nothing(name):
    aligner = trained_aligner(name, ("text", "image"))
    both = aligner(things(("text", "image"), [[1, 2], [2, 1]]))
    first = aligner(things(("text", "image"), [[1], [2]]))
    assert torch.allclose(both["text"].pooled[0], first["text"].pooled[0], atol=1e-5)
    assert torch.allclose(both["image"].pooled[0], first["image"].pooled[0], atol=1e-5)


@every_subset
@every_aligner
@torch.no_grad()
def test_an_untrained_aligner_is_the_untrained_projection(name, modalities):
    widths, given = {m: WIDTHS[m] for m in modalities}, all_kinds(modalities)
    found = build_aligner(name, widths, D).eval()(given)
    start = build_aligner("projection", widths, D).eval()(given)
    for m in modalities:
        assert torch.allclose(found[m].pooled, start[m].pooled, atol=1e-6)
        assert torch.allclose(found[m].tokens, start[m].tokens, atol=1e-6)


@every_aligner
@torch.no_grad()
def test_a_saved_aligner_comes_back_to_the_bit_and_a_seed_builds_it_again(name):
    modalities, widths = SUBSETS[2], {m: WIDTHS[m] for m in SUBSETS[2]}
    aligner, other = trained_aligner(name, modalities), build_aligner(name, widths, D).eval()
    other.load_state_dict(load(save(aligner.state_dict())))
    assert not differing(aligner(all_kinds(modalities)), other(all_kinds(modalities)))
    assert not differing(aligner(all_kinds(modalities)), trained_aligner(name, modalities)(all_kinds(modalities)))


@every_aligner
def test_every_weight_can_learn(name):
    aligner, given = trained_aligner(name, ("text", "image")).train(), things(("text", "image"), [[1, 1, 2]] * 2)
    found = aligner(given)
    target = torch.randn(D)
    loss = sum(((one.pooled @ target).sum() + (one.tokens @ target).sum()) for one in found.values())
    if hasattr(aligner, "own_loss"):
        loss = loss + aligner.own_loss(given, found)
    loss.backward()
    assert not [name for name, weight in aligner.named_parameters() if weight.grad is None]


def model_with(name: str) -> Model:
    torch.manual_seed(1)
    return shaken(Model(RunSettings(align=name, width=D, kept=6), {"text": 12, "image": 16}, 1, 1))


@every_aligner
@torch.no_grad()
def test_aligned_apart_no_vector_tells_of_another_modality(name):
    model = model_with(name)
    whole = model.standardise(things(("text", "image"), [[1, 1], [1, 1]]))
    lone = switch_off(whole, ["image"])
    apart = model.align_apart(whole, model.align(whole))
    assert torch.allclose(apart["text"].pooled, model.align(lone)["text"].pooled, atol=1e-6)
    leaks = not torch.allclose(model.align(whole)["text"].pooled, model.align(lone)["text"].pooled, atol=1e-3)
    assert leaks == model.aligner.mixes


@pytest.mark.parametrize("blocks", [(4,), (1, 3), (2 * WIDTHS["audio"],), (5, WIDTHS["audio"], 7)], ids=str)
@pytest.mark.parametrize("name", ALIGNERS)
def test_a_head_that_starts_at_a_ridge_regression_is_its_closed_form(name, blocks):
    """Fewer and more things than axes, in any blocks: (states.T states + penalty)^-1 states.T targets, solved the other
    way round, as states.T (states states.T + penalty)^-1 targets."""
    head, draw = build_aligner(name, WIDTHS, D).heads["audio"], torch.Generator().manual_seed(0)
    heard = [media([1] * size, WIDTHS["audio"], seed=size) for size in blocks]
    targets = [torch.randn(size, D, generator=draw) for size in blocks]
    head.start_at(zip(heard, targets, strict=True), 0.3)
    states = torch.cat([one.tokens.mean(1) for one in heard]).double()  # (n, E)
    gram = states @ states.T + 0.3 * torch.eye(len(states))
    wanted = states.T @ torch.linalg.solve(gram, torch.cat(targets).double())
    found = head.vector(states.float())
    assert torch.allclose(found.double(), states @ wanted, atol=1e-5)
    assert not torch.allclose(found, torch.cat(targets), atol=0.01)  # a penalty of 0.3 is felt


def test_an_unknown_aligner_lists_the_known():
    with pytest.raises(UnknownNameError, match=r"known: .*adversarial.*projection"):
        build_aligner("telepathy", WIDTHS, D)


# ---- losses


def test_alignment_and_uniformity_by_hand():
    corners = torch.eye(2)  # |x - y|^2 = 2 between them
    assert align_uniform(corners, corners, 1.0).item() == pytest.approx(0 - 2 * 2)
    assert align_uniform(corners, corners.flip(0), 1.0).item() == pytest.approx(2 - 2 * 2)
    same = torch.ones(2, 2, dtype=torch.bool)
    assert align_uniform(corners, corners, 1.0, same).item() == pytest.approx(0)  # one thing: nothing to push apart


def test_partners_cost_less_than_strangers_under_both_losses():
    rows = functional.normalize(torch.randn(8, D, generator=torch.Generator().manual_seed(0)), dim=1)
    for near in (info_nce, align_uniform):
        assert near(rows, rows, 10.0) < near(rows, rows.roll(1, 0), 10.0)
        assert near(rows[:1], rows[:1], 10.0) == 0


def test_an_unknown_loss_lists_the_known():
    assert alignment_loss("uniformity") is align_uniform
    with pytest.raises(UnknownNameError, match=r"known: .*infonce.*uniformity"):
        alignment_loss("hope")


# ---- sequence


def test_media_of_a_thing_are_told_apart():
    given = media([2, 0, 1], 3, length=2)
    thing, place, lengths = media_of(given)
    assert thing.tolist() == [0, 0, 2]
    assert place.tolist() == [[0, 1], [2, 3], [0, 1]]
    assert lengths.tolist() == [2, 2, 2]
    assert [squarest(length) for length in (49, 12, 7, 1)] == [7, 3, 1, 1]


@pytest.mark.parametrize("modality", WIDTHS)
@torch.no_grad()
def test_only_the_sequence_aligner_knows_in_which_order_tokens_stand(modality):
    given = things((modality,), [[1, 1]])
    turned = {m: replace(one, tokens=one.tokens.flip(1)) for m, one in given.items()}
    for name, knows in (("sequence", True), ("projection", False)):
        aligner = trained_aligner(name, (modality,))
        gap = (aligner(given)[modality].pooled - aligner(turned)[modality].pooled).abs().max()
        assert (gap > 1e-3) == knows


@torch.no_grad()
def test_media_of_other_lengths_in_the_batch_do_not_disturb_the_reading():
    aligner = trained_aligner("sequence", ("image",))
    nine, four = media([1], 16, length=9), media([1], 16, seed=1, length=4)
    beside = Encoded(
        tokens=torch.cat([nine.tokens, functional.pad(four.tokens, (0, 0, 0, 5))]),
        mask=torch.cat([nine.mask, functional.pad(four.mask, (0, 5))]),
        part=torch.cat([nine.part, functional.pad(four.part, (0, 5))]),
        pooled=torch.cat([nine.pooled, four.pooled]),
        pooled_mask=torch.cat([nine.pooled_mask, four.pooled_mask]),
    )
    found = aligner({"image": beside})["image"].pooled
    assert torch.allclose(found[0], aligner({"image": nine})["image"].pooled[0], atol=1e-5)
    assert torch.allclose(found[1], aligner({"image": four})["image"].pooled[0], atol=1e-5)


# ---- adversarial


def pairs(count: int = 96) -> dict[str, Encoded]:
    """Things whose photo is a rotation of their words: each can be rebuilt from the other."""
    chance = torch.Generator().manual_seed(0)
    words = functional.normalize(torch.randn(count, 12, generator=chance), dim=1)
    turn = torch.linalg.qr(torch.randn(12, 12, generator=chance))[0]

    def lone(rows: torch.Tensor) -> Encoded:
        there = torch.ones(len(rows), 1, dtype=torch.bool)
        return Encoded(tokens=rows[:, None], mask=there, part=there.long() * 0, pooled=rows[:, None], pooled_mask=there)

    return {"text": lone(words), "image": lone(functional.pad(words @ turn, (0, 4)))}


@pytest.fixture(scope="module")
def taught() -> Adversarial:
    torch.manual_seed(0)
    aligner, given = build_aligner("adversarial", {"text": 12, "image": 16}, 16), pairs()
    optimiser = torch.optim.Adam(aligner.parameters(), lr=1e-2)
    aligner.train()
    for _ in range(120):
        optimiser.zero_grad()
        aligner.own_loss(given, aligner(given)).backward()
        optimiser.step()
    return aligner.eval()


def vectors(aligner: Adversarial) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return {m: one.pooled for m, one in aligner(pairs()).items()}


def test_the_judge_ends_near_chance_although_it_could_tell_them_apart_before(taught):
    assert taught.figures(vectors(taught))["judge"] == pytest.approx(1 / 2, abs=0.15)
    torch.manual_seed(0)
    untaught = build_aligner("adversarial", {"text": 12, "image": 16}, 16).eval()
    shared = vectors(untaught)
    shared["image"] = shared["image"] + 1  # a space in which the modalities lie apart
    optimiser = torch.optim.Adam(untaught.judge.parameters(), lr=1e-2)
    for _ in range(50):
        optimiser.zero_grad()
        sum(functional.cross_entropy(untaught.judge(v), untaught.label(m, v)) for m, v in shared.items()).backward()
        optimiser.step()
    assert untaught.figures(shared)["judge"] > 0.95


@pytest.mark.parametrize("modality", ["text", "image"])
@torch.no_grad()
def test_a_generator_rebuilds_what_is_missing(taught, modality):
    given = pairs()
    lone = taught(switch_off(given, [modality]))
    made = taught.complete(lone, modality)
    true = given[modality].pooled[:, 0]
    assert functional.cosine_similarity(made, true).mean() > 0.8
    assert not taught.complete(taught(switch_off(given, ["text", "image"])), modality).any()


@torch.no_grad()
def test_filling_in_touches_nothing_that_is_there_and_makes_nothing_of_nothing():
    modalities = SUBSETS[2]
    aligner, found = trained_aligner("adversarial", modalities), None
    found = aligner(all_kinds(modalities))
    filled = aligner.filled(found)
    for m in modalities:
        was = found[m].present
        assert filled[m].present.tolist() == [False] + [True] * 7
        assert filled[m].pooled.norm(dim=1).tolist() == pytest.approx([0] + [1] * 7, abs=1e-5)
        assert torch.equal(filled[m].pooled[was], found[m].pooled[was])
        assert torch.equal(filled[m].mask[was], found[m].mask[was])
        assert filled[m].mask.any(1).tolist() == [False] + [True] * 7
