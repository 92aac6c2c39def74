"""Settings, validated once. The environment is read here and nowhere else."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from core.domain import MODALITIES
from core.errors import SettingsError

PROJECT = Path(__file__).resolve().parent.parent
SAMPLE = PROJECT / "sample_data"


def home_folder() -> Path:
    """The workspace: FUSESCOPE_HOME, else .fusescope beside the app."""
    return Path(os.environ.get("FUSESCOPE_HOME") or PROJECT / ".fusescope")


def database_url() -> str | None:
    """Where the tables are, by FUSESCOPE_DATABASE (a PostgreSQL URL); None: SQLite in the workspace."""
    return os.environ.get("FUSESCOPE_DATABASE") or None


def network_allowed() -> bool:
    """Whether FUSESCOPE_NETWORK=1 says that other machines may reach the app."""
    return os.environ.get("FUSESCOPE_NETWORK") == "1"


def mask_names() -> tuple[str, ...]:
    """Names to mask in every text, by FUSESCOPE_MASK_NAMES with commas: those, and names where one stands ("Dear Mr.
    ...", "my name is ..."); a bare 1 asks for the latter alone. Empty or 0: names stay. A name has a letter."""
    parts = [part.strip() for part in os.environ.get("FUSESCOPE_MASK_NAMES", "").split(",")]
    return tuple(name for name in parts if name == "1" or any(map(str.isalpha, name)))


def wanted_device() -> str:
    """ "auto", or the device named by FUSESCOPE_DEVICE (cpu, cuda, mps)."""
    return os.environ.get("FUSESCOPE_DEVICE", "auto")


INDEXES = ("auto", "pgvector")


def wanted_index() -> str:
    """How items are searched, by FUSESCOPE_INDEX: one of INDEXES, see `core.database_index`. Raises SettingsError."""
    found = os.environ.get("FUSESCOPE_INDEX") or INDEXES[0]
    if found not in INDEXES:
        raise SettingsError(f'FUSESCOPE_INDEX is "{found[:40]}"; {" or ".join(INDEXES)} was expected. Correct it')
    return found


def ray_address() -> str:
    """Of a Ray cluster, by FUSESCOPE_RAY as ray.init takes it; "": one is started here, for this work alone."""
    return os.environ.get("FUSESCOPE_RAY", "")


def told_by_torchrun(name: str, alone: int) -> int:
    """RANK, WORLD_SIZE or LOCAL_RANK of this process; `alone` without torchrun."""
    return int(os.environ.get(name, alone))


EPOCHS = {"factors": 40, "vbpr": 40, "graph": 25}  # over interactions an epoch is light and learns little


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Everything that, with the data, decides a run's weights.

    modalities: those that are learned from, with commas; empty: all that the catalogue has.
    width: of the shared space, D. standardise: how what encoders say is made comparable, a name of
    `core.align.space.SPACES`; kept: principal axes of each modality that are kept; soften: see `Standardise` there, of
    damped_pca alone. ridge: penalty of the regression onto the first modality at which the heads of the
    others start (0: they start at their own axes), for few things to learn from. drop_modality: chance that a training
    query loses one of its modalities.
    own_photo: chance that a training query without a photo borrows one of its product's. weight_align: of the
    alignment loss; align_loss: infonce or uniformity; weight_own: of each modality finding its own kind, words words
    and photos photos; fused_reach: how far the loss of fused vectors reaches into those of the modalities;
    weight_users: how far the users' loss reaches into the item vectors (0: not at all). trust_folds: gates are fitted
    on so many folds of the products, each held out once (0: with everything else), see core.train.trust.
    tune_folds: first find the best number of epochs on one of so many folds of the products,
    held out; 0 trains at once. unfreeze: how many of the text encoder's last blocks are fine-tuned. impute: what stands
    in for a missing modality, see core.prepare.impute; clean: cleaning steps of core.catalog.clean that are on, with
    commas; drop_tokens: chance that training misses a word or patch; views: how many altered versions of each photo
    training draws from beside the photo itself, see core.prepare.views.

    epochs: at most; -1 becomes what the ranker usually needs. Of rankers that learn from interactions: own_width of the
    vectors of users and items; layers of a graph; loss: bpr, softmax or auto (what the ranker is known for); negatives
    a softmax draws, and its heat (temperature); penalty on squared lengths; user_batch likes a step at user_rate
    (`factors` under BPR: one); both are at -1 what the ranker usually needs;
    item_share: how much the frozen item-item graph adds to `graph`, as a part of what the users' graph says.
    """

    catalogue: str = "studio"
    align: str = "projection"
    fuse: str = "weighted"
    rank: str = "multimodal"
    protocol: str = "cold"
    modalities: str = ""
    text_encoder: str = "minilm"
    image_encoder: str = "efficientnet_lite0"
    audio_encoder: str = "logmel_cnn"
    video_encoder: str = "frames_cnn"
    unfreeze: int = 0
    seed: int = 0
    epochs: int = -1
    patience: int = 6
    batch: int = 128
    width: int = 192
    standardise: str = "damped_pca"
    kept: int = 256
    soften: float = 0.5
    ridge: float = 0.0
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    drop_modality: float = 0.3
    own_photo: float = 0.7
    drop_tokens: float = 0.0
    views: int = 0
    impute: str = "none"
    clean: str = ""
    align_loss: str = "infonce"
    weight_align: float = 0.05
    weight_own: float = 1.0
    fused_reach: float = 0.2
    weight_users: float = 0.0
    user_rate: float = -1.0
    tune_folds: int = 0
    trust_folds: int = 0
    own_width: int = 64
    layers: int = 2
    loss: str = "auto"
    negatives: int = 1024
    heat: float = 0.2
    penalty: float = -1.0
    user_batch: int = 2048
    item_share: float = 0.0
    threads: int = 2

    @property
    def one_by_one(self) -> bool:
        """Whether a step is one triple, see core.train.triples: on the CPU, wherever the rest runs."""
        return self.rank == "factors" and self.loss != "softmax"

    def __post_init__(self) -> None:
        if self.epochs == -1:
            object.__setattr__(self, "epochs", EPOCHS.get(self.rank, 4))
        for name, single, batched in (("user_rate", 0.05, 3e-3), ("penalty", 0.01, 1e-4)):
            if getattr(self, name) == -1:
                object.__setattr__(self, name, single if self.one_by_one else batched)
        for name, low, high in (
            ("epochs", 0, 1000), ("batch", 2, 65536), ("width", 4, 4096), ("kept", 4, 8192), ("soften", 0, 1),
            ("drop_modality", 0, 1), ("drop_tokens", 0, 0.9), ("views", 0, 32), ("own_photo", 0, 1),
            ("learning_rate", 0, 1), ("user_rate", 0, 10), ("threads", 1, 256), ("unfreeze", 0, 48), ("ridge", 0, 1000),
            ("tune_folds", 0, 100), ("trust_folds", 0, 100), ("fused_reach", 0, 1),
            ("own_width", 1, 4096), ("layers", 0, 12), ("negatives", 1, 1 << 20),
            ("heat", 1e-3, 10), ("penalty", 0, 10), ("user_batch", 1, 1 << 20), ("item_share", 0, 10),
        ):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(
                    f"{name} is {value}; a value from {low} to {high} was expected. Correct the setting"
                )
        if unknown := sorted(set(self.chosen) - set(MODALITIES)):
            raise SettingsError(f"modalities {unknown} are not known; {', '.join(MODALITIES)} are. Correct the setting")
        if self.loss not in ("auto", "bpr", "softmax"):
            raise SettingsError(f'loss is "{self.loss}"; auto, bpr or softmax was expected. Correct the setting')

    @property
    def chosen(self) -> tuple[str, ...]:
        """The modalities asked for; none: all."""
        return tuple(name for part in self.modalities.split(",") if (name := part.strip()))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> RunSettings:
        """Raises SettingsError for unknown keys: a newer run is refused, not guessed at."""
        return cls.from_values(json.loads(text))

    @classmethod
    def from_values(cls, values: dict) -> RunSettings:
        """The settings of a run.json. Raises SettingsError as `from_json` does."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise SettingsError(f"settings {unknown} are not known to this version. Use the version that wrote the run")
        return cls(**values)
