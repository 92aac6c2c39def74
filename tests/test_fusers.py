"""What every fuser promises, for one to four modalities, and what each method promises beyond that."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional

from core.errors import UnknownNameError
from core.fuse import FUSERS, build_fuser
from core.fuse.fuser import LeftOut
from tests.contracts import SUBSETS, D, aligned_kinds, shaken, things, trained_aligner

every_fuser = pytest.mark.parametrize("name", FUSERS)
every_subset = pytest.mark.parametrize("modalities", SUBSETS, ids="+".join)
NAMED = SUBSETS[1]


def trained_fuser(name: str, modalities: tuple[str, ...]) -> torch.nn.Module:
    torch.manual_seed(2)
    return shaken(build_fuser(name, modalities, D))


@every_subset
@every_fuser
@torch.no_grad()
def test_vectors_have_unit_length_and_gates_share_one_among_what_is_there(name, modalities):
    given = aligned_kinds(modalities)
    found = trained_fuser(name, modalities)(given)
    present = torch.stack([given[m].present for m in modalities], 1)
    assert found.vector.norm(dim=1).tolist() == pytest.approx([1] * len(present), abs=1e-5)
    assert found.gates.shape == present.shape
    assert (found.gates >= 0).all()
    assert not found.gates[~present].any()
    assert found.gates.sum(1).tolist() == pytest.approx([0] + [1] * (len(present) - 1), abs=1e-5)


@every_subset
@every_fuser
@torch.no_grad()
def test_the_content_of_a_missing_modality_changes_no_bit(name, modalities):
    given = aligned_kinds(modalities)
    noisy = {
        m: replace(
            one,
            pooled=torch.where(one.present[:, None], one.pooled, 100 * torch.randn_like(one.pooled)),
            tokens=torch.where(one.mask[..., None], one.tokens, 100 * torch.randn_like(one.tokens)),
        )
        for m, one in given.items()
    }
    fuser = trained_fuser(name, modalities)
    assert torch.equal(fuser(given).vector, fuser(noisy).vector)
    assert torch.equal(fuser(given).gates, fuser(noisy).gates)


@every_fuser
@torch.no_grad()
def test_a_run_in_which_a_modality_is_missing_is_a_run_that_does_not_know_it(name):
    wide = trained_fuser(name, SUBSETS[2])
    narrow = build_fuser(name, SUBSETS[1], D).eval()
    narrow.load_state_dict({key: wide.state_dict()[key] for key in narrow.state_dict()})
    given = aligned_kinds(SUBSETS[2])
    silent = ~given[SUBSETS[2][-1]].present
    assert torch.allclose(wide(given).vector[silent], narrow(given).vector[silent], atol=1e-5)
    assert torch.allclose(wide(given).gates[silent][:, :2], narrow(given).gates[silent], atol=1e-5)


@every_subset
@every_fuser
@torch.no_grad()
def test_nothing_at_all_gives_the_null_vector(name, modalities):
    fuser = trained_fuser(name, modalities)
    found = fuser(aligned_kinds(modalities)).vector
    null = functional.normalize(fuser.null, dim=0)
    assert torch.equal(found[0], null)
    assert not torch.isclose(found[1:], null, atol=1e-4).all(1).any()


@every_fuser
@torch.no_grad()
def test_who_else_is_in_the_batch_changes_nothing(name):
    fuser, aligner = trained_fuser(name, NAMED), trained_aligner("projection", NAMED)
    both = fuser(aligner(things(NAMED, [[1, 1], [2, 1]])))
    first = fuser(aligner(things(NAMED, [[1], [2]])))
    assert torch.allclose(both.vector[0], first.vector[0], atol=1e-5)
    assert torch.allclose(both.gates[0], first.gates[0], atol=1e-5)


@every_fuser
@torch.no_grad()
def test_the_order_of_modalities_matters_only_to_the_fuser_that_reads_them_in_order(name):
    modalities, other = SUBSETS[2], SUBSETS[2][::-1]
    fuser, turned = trained_fuser(name, modalities), build_fuser(name, other, D).eval()
    turned.load_state_dict(fuser.state_dict())
    given = aligned_kinds(modalities)
    here, there = fuser(given), turned(given)
    same = torch.allclose(here.vector, there.vector, atol=1e-5)
    same = same and torch.allclose(here.gates, there.gates.flip(1), atol=1e-5)
    assert same == (name != "sequence")


@every_subset
@every_fuser
@torch.no_grad()
def test_an_untrained_fuser_is_about_the_mean(name, modalities):
    given = aligned_kinds(modalities)
    torch.manual_seed(0)
    found = build_fuser(name, modalities, D).eval()(given).vector[1:]
    mean = functional.normalize(sum(one.pooled for one in given.values())[1:], dim=1)
    assert ((found * mean).sum(1) > 0.85).all()


@every_fuser
@torch.no_grad()
def test_a_saved_fuser_comes_back_to_the_bit_and_a_seed_builds_it_again(name):
    given = aligned_kinds(SUBSETS[2])
    fuser, other = trained_fuser(name, SUBSETS[2]), build_fuser(name, SUBSETS[2], D).eval()
    other.load_state_dict(load(save(fuser.state_dict())))
    for one in (other, trained_fuser(name, SUBSETS[2])):
        assert torch.equal(fuser(given).vector, one(given).vector)
        assert torch.equal(fuser(given).gates, one(given).gates)


@every_fuser
def test_every_weight_that_a_vector_depends_on_can_learn(name):
    fuser = trained_fuser(name, NAMED).train()
    (fuser(aligned_kinds(NAMED)).vector @ torch.randn(D)).sum().backward()
    assert not [name for name, weight in fuser.named_parameters() if weight.grad is None]


def test_an_unknown_fuser_lists_the_known():
    with pytest.raises(UnknownNameError, match=r"known: .*stacking.*weighted"):
        build_fuser("telepathy", NAMED, D)


# ---- attention


@pytest.mark.parametrize("name", ["attention", "transformer"])
@torch.no_grad()
def test_attention_is_returned_when_asked_for_and_reads_nothing_that_is_absent(name):
    modalities, given = SUBSETS[2], aligned_kinds(SUBSETS[2])
    fuser = trained_fuser(name, modalities)
    found = fuser(given, attention=True)
    there = torch.cat([given[m].mask if fuser.reads_tokens else given[m].present[:, None] for m in modalities], 1)
    there = functional.pad(there, (1, 0), value=True)  # the summary token comes first
    assert found.attention.shape[0] == len(there)
    assert found.attention.shape[-1] == there.shape[1]
    assert torch.allclose(found.attention.sum(-1), torch.ones(()), atol=1e-5)
    assert not found.attention.movedim(-1, 1)[~there].any()
    assert fuser(given).attention is None
    assert torch.allclose(fuser(given).vector, found.vector, atol=1e-5)


@torch.no_grad()
def test_every_block_of_the_transformer_tells_what_it_read():
    found = trained_fuser("transformer", SUBSETS[2])(aligned_kinds(SUBSETS[2]), attention=True)
    assert len(found.layers) == 2
    assert torch.equal(found.layers[-1], found.attention)
    assert all(layer.shape[-2] == layer.shape[-1] for layer in found.layers)


@torch.no_grad()
def test_the_gates_of_self_attention_are_what_the_summary_attends_to():
    given = aligned_kinds(SUBSETS[2])
    found = trained_fuser("attention", SUBSETS[2])(given, attention=True)
    read = found.attention[:, :, 0, 1:].mean(1)[1:]
    assert torch.allclose(found.gates[1:], read / read.sum(1, keepdim=True), atol=1e-6)


# ---- gates that are measured


class Tilted(LeftOut):
    """unit(sum of present vectors): how far leaving one out turns it can be worked out by hand."""

    def vector(self, pooled: Tensor, present: Tensor) -> Tensor:
        return self.unit_or_null(pooled.sum(1), present)


def test_measured_gates_are_shares_of_how_far_leaving_out_moves_the_vector():
    fuser = Tilted(("text", "image"))
    fuser.null = torch.nn.Parameter(torch.eye(2)[0])
    pooled, present = torch.tensor([[[3.0, 0.0], [0.0, 4.0]]]), torch.ones(1, 2, dtype=torch.bool)
    whole = fuser.vector(pooled, present)  # (.6, .8)
    without_text = ((0.6 - 0.0) ** 2 + (0.8 - 1.0) ** 2) ** 0.5  # the image alone is (0, 1)
    without_image = ((0.6 - 1.0) ** 2 + (0.8 - 0.0) ** 2) ** 0.5  # the words alone are (1, 0)
    gates = fuser.moves(pooled, present, whole)[0].tolist()
    total = without_text + without_image
    assert gates == pytest.approx([without_text / total, without_image / total], abs=1e-5)


@pytest.mark.parametrize("name", [name for name in FUSERS if issubclass(FUSERS[name], LeftOut)])
@torch.no_grad()
def test_a_copy_of_a_modality_shares_its_gate_in_an_untrained_fuser(name):
    given = aligned_kinds(NAMED)
    given["image"] = given["text"]
    gates = build_fuser(name, NAMED, D).eval()(given).gates[3]
    assert gates.tolist() == pytest.approx([0.5, 0.5], abs=1e-3)
