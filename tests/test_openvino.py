"""The optional backend agrees with torch, is refused where it does not, and has a name of its own in the store."""

import importlib.util
import json

import numpy as np
import pytest

from core.encode.openvino import LIMITS, OpenVinoText, agreement, certifying_texts
from core.encode.states import States
from core.errors import SettingsError

INSTALLED = importlib.util.find_spec("openvino") is not None
NEEDS = pytest.mark.skipif(not INSTALLED, reason="requirements-openvino.txt is not installed")


def states(vectors):
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return [States(tokens=row[None], pooled=row) for row in vectors]


def test_agreement_tells_equal_vectors_from_others():
    draw = np.random.default_rng(0)
    plain = draw.normal(size=(60, 16))
    assert agreement(states(plain), states(plain)) == {"cosine": 1.0, "top10": 1.0, "texts": 60}
    found = agreement(states(plain + 0.3 * draw.normal(size=plain.shape)), states(plain))
    assert found["cosine"] < LIMITS["bf16"][0] and found["top10"] < LIMITS["bf16"][1]


@pytest.mark.skipif(INSTALLED, reason="openvino is installed")
def test_it_is_refused_where_it_is_absent():
    with pytest.raises(SettingsError, match=r"requirements-openvino\.txt"):
        OpenVinoText()


@NEEDS
@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_it_is_certified_and_kept_apart(precision, tmp_path):
    encoder = OpenVinoText(precision, home=tmp_path)
    assert encoder.fingerprint.endswith(precision) and "-openvino" in encoder.fingerprint
    kept = json.loads((tmp_path / "certificates" / f"{encoder.fingerprint}.json").read_text())
    assert kept == encoder.agreement and kept["texts"] == len(certifying_texts())


@NEEDS
def test_it_is_refused_where_it_does_not_agree(tmp_path, monkeypatch):
    monkeypatch.setitem(LIMITS, "f32", (1.1, 1.1))
    with pytest.raises(SettingsError, match="does not agree"):
        OpenVinoText(home=tmp_path)
    assert list((tmp_path / "certificates").iterdir())
