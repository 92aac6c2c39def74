"""Fine-tuned blocks: what enters them gives what the whole encoder gives, they learn, and they belong to the run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from core.domain import Catalogue, Interaction, Item, Query
from core.encode.bank import MediaBank
from core.encode.tail import Below, Tail, TunedBank
from core.encode.text import TextEncoder, tuned_name
from core.errors import ModelError, SettingsError
from core.pipeline import TUNED_TEXT, load_run
from core.train import train_run
from tests.tiny_world import tiny_settings

WORDS = ["red", "green", "blue", "mug", "vase", "bowl", "lamp", "stool", "a", "the", "of"]
TEXTS = ["a red mug", "the green vase of a lamp", "blue", "a bowl of the blue stool and more"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> str:
    """A BERT of three blocks with drawn weights, as a folder that any tool could have written."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def encoder(bert) -> TextEncoder:
    return TextEncoder(bert)


def shop() -> Catalogue:
    """Words only: eight products, each asked for by reviews of four users."""
    kinds = [f"{colour} {kind}" for colour in ("red", "green", "blue", "a") for kind in ("mug", "vase")]
    items = tuple(Item(item_id=f"i{row}", title=kind) for row, kind in enumerate(kinds))
    met = tuple(
        Interaction(user_id=f"u{user}", item_id=f"i{row}", rating=5.0, timestamp=1000 * user + (row + user) % 8,
                    review_text=f"the {kind} of u{user % 2}")
        for user in range(4) for row, kind in enumerate(kinds)
    )  # fmt: skip
    return Catalogue(name="words", version="words-1", root=Path("nowhere"), items=items, interactions=met)


@pytest.fixture(scope="module")
def trained(bert, tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    settings = tiny_settings(catalogue="words", text_encoder=bert, unfreeze=2, epochs=2, batch=8)
    train_run(shop(), settings, home / "runs" / "tuned", vectors=home / "vectors")
    return home


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_tail_over_what_lies_below_is_the_whole_encoder(encoder, count):
    below, tail = Below(encoder, count), Tail(encoder, count)
    bank = TunedBank(below.encode(TEXTS), MediaBank(encoder.encode(TEXTS), encoder.width), tail)
    plain = MediaBank(encoder.encode(TEXTS), encoder.width)
    things = [[0, 2], [], [3], [1, 0]]
    ours, whole = bank.batch(things), plain.batch(things)
    assert torch.equal(ours.mask, whole.mask) and torch.equal(ours.part, whole.part)
    assert torch.allclose(ours.tokens, whole.tokens, atol=2e-2)  # both were stored in half precision
    assert torch.allclose(ours.pooled, whole.pooled, atol=5e-3)
    assert bank.batch([[], []]).tokens.abs().sum() == 0


def test_gradients_reach_every_block_and_nothing_else(encoder):
    tail = Tail(encoder, 2)
    bank = TunedBank(Below(encoder, 2).encode(TEXTS), MediaBank(encoder.encode(TEXTS), encoder.width), tail)
    bank.batch([[0], [1]]).pooled.square().sum().backward()
    bank.batch([[0], [1]]).tokens.sum().backward()
    assert all(parameter.grad is not None for parameter in tail.parameters())
    assert not any(parameter.requires_grad for parameter in encoder.model.parameters())


def test_too_many_blocks_are_refused(encoder, bert, tmp_path):
    with pytest.raises(SettingsError, match="has 3 blocks"):
        Below(encoder, 4)
    floor = tiny_settings(catalogue="words", rank="popularity", text_encoder=bert, unfreeze=1)
    with pytest.raises(SettingsError, match="looks at no words"):
        train_run(shop(), floor, tmp_path / "run", vectors=tmp_path)


def test_the_blocks_that_learned_are_a_file_of_the_run_and_part_of_the_cache_key(trained, bert, encoder):
    folder = trained / "runs" / "tuned"
    told = json.loads((folder / "run.json").read_text("utf-8"))
    assert told["settings"]["unfreeze"] == 2 and told["settings"]["text_encoder"] == bert
    assert TUNED_TEXT in told["digests"]
    assert told["encoders"]["text"] == f"{encoder.fingerprint}-tuned-{told['digests'][TUNED_TEXT][:12]}"
    tuned = TextEncoder(tuned_name(bert, folder / TUNED_TEXT))
    change = np.abs(tuned.encode(TEXTS)[0].pooled - encoder.encode(TEXTS)[0].pooled).max()
    assert 0 < change < 0.1
    after = tuned.model.state_dict()
    changed = {name for name, value in encoder.model.state_dict().items() if not torch.equal(value, after[name])}
    assert changed and all(name.startswith(("encoder.layer.1.", "encoder.layer.2.")) for name in changed)


def test_a_live_question_goes_through_the_blocks_that_learned(trained, encoder):
    pipeline = load_run(trained / "runs" / "tuned", shop(), vectors=trained / "vectors")
    answer = pipeline.recommend(Query.of(text="the red mug of u0"))
    assert pipeline.encoder("text").fingerprint != encoder.fingerprint
    assert len(answer.items) == 8
    vectors = load_run(trained / "runs" / "tuned", shop()).items.vectors
    with torch.inference_mode():
        aligned = pipeline.align(pipeline.encode({"text": ["red mug"]}), ("text",))
        own = pipeline.fuse(aligned).vectors[-1]
    assert torch.nn.functional.cosine_similarity(own, vectors[-1][0], dim=0) > 0.999  # the product's own words


def test_damaged_blocks_are_refused(trained):
    folder = trained / "runs" / "tuned"
    kept = (folder / TUNED_TEXT).read_bytes()
    try:
        (folder / TUNED_TEXT).write_bytes(kept[:-1] + b"x")
        with pytest.raises(ModelError):
            load_run(folder, shop())
    finally:
        (folder / TUNED_TEXT).write_bytes(kept)
