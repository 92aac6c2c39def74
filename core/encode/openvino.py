"""The bundled text encoder through OpenVINO, on the CPU: an optional backend. So far the bench alone uses it.

In fp32 its vectors are those of torch by another kernel, in bf16 they are close (equality classes B and C). Neither is
used before it was certified on this machine: vectors and the ten nearest of a fixed set of texts against torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from core.config import home_folder
from core.encode.states import States
from core.encode.text import TextEncoder
from core.errors import SettingsError
from core.files import write_atomic
from core.nearest import neighbours

# precision -> lowest cosine to torch's vector and lowest share of its ten nearest that certify
LIMITS = {"f32": (0.999999, 0.999), "bf16": (0.9999, 0.985)}
STEP = 8  # lengths are padded to multiples of it: fewer shapes to compile
TOP = 10
SUBJECTS = ("mug", "lamp", "chair", "clock", "vase", "rug", "kettle", "desk", "speaker", "cushion", "bag", "shoe")
LOOKS = ("red", "matte black", "oak", "hand-painted", "small")
OPINIONS = (
    "It arrived broken.",
    "We use it every day, and after two years it still looks new.",
    "Too loud",
    "穏やかな色",
)


class OpenVinoText(TextEncoder):
    """As TextEncoder. precision: f32 or bf16; threads: 0 for OpenVINO's own choice.

    Raises SettingsError where openvino is not installed or its vectors do not agree here.
    """

    def __init__(self, precision: str = "f32", threads: int = 0, home: Path | None = None) -> None:
        if importlib.util.find_spec("openvino") is None:
            raise _refused("openvino is not installed; pip install -r requirements-openvino.txt")
        openvino = importlib.import_module("openvino")

        super().__init__()
        plain = self.encode(certifying_texts())
        self.label = f"core.encode.openvino({precision})"
        self.model = Compiled(openvino, self.model, precision, threads)
        version = openvino.__version__.split("-")[0]
        self.fingerprint = f"{self.fingerprint.removesuffix('-fp32')}-openvino{version}-{precision}"
        self.agreement = agreement(self.encode(certifying_texts()), plain)
        keep(home or home_folder(), self.fingerprint, self.agreement)
        cosine, shared = LIMITS[precision]
        if self.agreement["cosine"] < cosine or self.agreement["top10"] < shared:
            raise _refused(f"{precision} does not agree with torch on this machine: {self.agreement}")


class Compiled:
    """A Transformer's last hidden state, called as transformers' own model is."""

    def __init__(self, openvino: Any, model: torch.nn.Module, precision: str, threads: int) -> None:
        tokens = torch.ones(2, STEP, dtype=torch.int64)
        graph = openvino.convert_model(model, example_input={"input_ids": tokens, "attention_mask": tokens})
        options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        self.compiled = openvino.Core().compile_model(graph, "CPU", options)

    def __call__(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        wide = input_ids.shape[1]
        more = (0, -wide % STEP)
        asked = [torch.nn.functional.pad(part, more).numpy() for part in (input_ids, attention_mask)]
        hidden = self.compiled({"input_ids": asked[0], "attention_mask": asked[1]})[0]
        return Hidden(torch.from_numpy(np.array(hidden[:, :wide], dtype=np.float32)))


class Hidden:
    def __init__(self, last_hidden_state: torch.Tensor) -> None:
        self.last_hidden_state = last_hidden_state


def certifying_texts() -> list[str]:
    """A fixed set, short and long."""
    made = [f"{look} {subject}. {said}" for subject in SUBJECTS for look in LOOKS for said in OPINIONS]
    return [text * (1 + at % 5) for at, text in enumerate(made)]


def agreement(ours: Sequence[States], plain: Sequence[States]) -> dict[str, float]:
    """Lowest cosine of a vector to its twin, and the mean share of ten nearest that both find."""
    mine, theirs = (np.stack([state.pooled for state in states]) for states in (ours, plain))
    cosine = float((mine.astype(np.float64) * theirs.astype(np.float64)).sum(1).min())
    found, wanted = neighbours(mine, TOP + 1)[0], neighbours(theirs, TOP + 1)[0]
    shared = [len(set(a[1:]) & set(b[1:])) / TOP for a, b in zip(found.tolist(), wanted.tolist(), strict=True)]
    return {"cosine": round(cosine, 7), "top10": round(float(np.mean(shared)), 4), "texts": len(mine)}


def keep(home: Path, fingerprint: str, found: dict[str, float]) -> None:
    """The certificate, passed or not, for people to read."""
    folder = home / "certificates"
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / f"{fingerprint.replace('/', '_')}.json", (json.dumps(found, indent=1) + "\n").encode())


def _refused(why: str) -> SettingsError:
    return SettingsError(f"OpenVINO cannot encode texts here: {why}. Use core.encode.text instead")
