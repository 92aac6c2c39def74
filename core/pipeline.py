"""READ FIRST: the whole path. read -> encode -> align -> fuse -> rank -> explain, for one query.

    workspace = Workspace.open()
    answer = open_pipeline(workspace, "studio-default").recommend(Query.of(text="a red mug", images=(photo,)))

A Pipeline is one trained run over one catalogue. It holds nothing that belongs to a visitor: every by-product of a
query is returned, so many threads may share it.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from core.catalog.copies import CALLED
from core.catalog.forgotten import follow
from core.catalog.parts import read_part
from core.config import RunSettings, wanted_device
from core.domain import MATRIX, Catalogue, Distance, Modality, Notice, Query, RankedItem, Recommendation
from core.encode import load_encoder
from core.encode.states import States, collate
from core.encode.text import tuned_name
from core.errors import InputError, ModelError, SettingsError, UnknownNameError
from core.explain.shapley import shapley, shares
from core.features import Features, catalogue_features, encoder_name
from core.files import read_verified, sealed, unsealed, write_atomic
from core.model import Clock, Coalitions, Model, best_device, switch_off
from core.rank.index import ABOVE, REACH, Index, Shortlist, best_columns, graph_of
from core.rank.multimodal import History
from core.tensors import check_shapes, checked_tensors, read_tensors

if TYPE_CHECKING:
    from core.workspace import Workspace

FORMAT = 1  # of run.json; a newer one is refused
TUNED_TEXT = "encoder-text.safetensors"  # blocks of the text encoder that were fine-tuned with the run
Read = Mapping[Modality, list[Any]]  # modality -> sentences of the cleaned text, or decoded photos, sounds, clips


class Pipeline:
    """One run over one catalogue, ready to answer. Build it with `open_pipeline` or `load_run`."""

    def __init__(
        self, told: Mapping[str, Any], model: Model, catalogue: Catalogue, items: Coalitions, device: str
    ) -> None:
        """told: the run's run.json. items: vectors and gates of every item under every subset of its modalities."""
        self.told, self.model, self.catalogue, self.items, self.device = told, model, catalogue, items, device
        self.run: str = told["run"]
        self.settings = RunSettings.from_values(told["settings"])
        self.item_ids = tuple(item.item_id for item in catalogue.items)
        row_of = {item_id: row for row, item_id in enumerate(told["items"])} if self.at_home else {}
        self.known = torch.tensor([row_of.get(item_id, -1) for item_id in self.item_ids], device=device)
        people = {row.user_id for row in catalogue.interactions} if self.at_home else set()
        self.user_rows = {user: row for row, user in enumerate(told["users"]) if user in people}
        self.histories: list[list[tuple[int, float | None]]] = []
        self.index: Index | None = None  # of so many items that not all are compared, or where it was asked for
        self._encoders: dict[Modality, Any] = {}
        self._loading = threading.Lock()

    @property
    def at_home(self) -> bool:
        """Whether the catalogue is the one the run was trained on; users and item biases mean nothing elsewhere."""
        return self.catalogue.name == self.told["data"]["catalogue"]

    # ---- the path

    def recommend(self, query: Query, *, top: int = 12, without: tuple[Modality, ...] = ()) -> Recommendation:
        """The best `top` items with what each modality contributed; nothing given at all ranks by the null vector.
        `without` leaves modalities out: of the query, or of the items where a known user alone is asked for.

        Raises PhotoError or TextError when nothing usable is left of the query, InputError for an unknown user or for
        what this ranker cannot do.
        """
        clock = Clock()
        read, notices = self.read(query.without(*without))
        clock.lap("read")
        states = self.encode(read)
        clock.lap("encode")
        players = self.players(query, states)
        asked = bool(players) or query.user is None or any(m in query.modalities for m in without)
        aligned = self.align(states, players)
        clock.lap("align")
        fused = self.fuse(aligned)
        clock.lap("fuse")
        near = self.shortlist(fused.vectors[-1], top) if asked and players and query.user is None else None
        rows = None if near is None else near.rows
        coalitions = self.rank(query, fused.vectors if asked else None, rows)  # (2^M, N)
        clock.lap("rank")
        if not asked:  # the items' own modalities are the players
            players = tuple(m for m in self.model.modalities if m not in without)
            coalitions = coalitions[rows_of(self.model.modalities, players)]
        return Recommendation(
            run=self.run,
            catalogue=self.catalogue.name,
            device=self.device,
            scope="query" if asked else "item",
            players=players,
            items=self.cards(coalitions, players, fused if asked else None, top, rows),
            coalitions=coalitions,
            item_ids=self.item_ids if rows is None else tuple(self.item_ids[row] for row in rows),
            distance=self.distance(fused.vectors[-1], players, rows) if asked and players else None,
            search="" if near is None else near.told(),
            timing_ms=clock.finish(),
            notices=notices,
            media_weights={m: tuple(aligned[m].media[-1].tolist()) for m in states},
        )

    def read(self, query: Query) -> tuple[Read, tuple[Notice, ...]]:
        """Cleaned sentences and decoded media. What cannot be used is a notice, unless nothing else is left."""
        read: dict[Modality, list[Any]] = {}
        notices: list[Notice] = []
        refused: list[InputError] = []
        given: Counter[Modality] = Counter()
        if query.parts:
            self.must("query")
        for number, part in enumerate(query.parts, 1):
            self.must_read(part.modality)
            name = part.name or ("your words" if part.modality == "text" else f"{CALLED[part.modality]} {number}")
            earlier = query.parts[: number - 1]
            if part.modality == "image" and any(one.content == part.content for one in earlier):
                notices.append(Notice(code="N-IMG-DUP", message="is there already; it is used once.", where=name))
                continue
            given[part.modality] += 1
            try:
                media, said = read_part(part.modality, part.content, name, given[part.modality])
                read.setdefault(part.modality, []).extend(media)
                notices += said
            except InputError as error:
                refused.append(error)
                notices.append(Notice(code=error.code, message=error.message, where=name))
        if refused and not read and query.user is None:
            raise refused[0]
        return read, tuple(notices)

    def encode(self, read: Read) -> dict[Modality, list[States]]:
        """States of every text and photo, rounded as the vector store rounds them."""
        return {m: [state.rounded() for state in self.encoder(m).encode(values)] for m, values in read.items()}

    def players(self, query: Query, states: Mapping[Modality, list[States]]) -> tuple[Modality, ...]:
        return tuple(m for m in self.model.modalities if m in states)

    @torch.inference_mode()
    def align(self, states: Mapping[Modality, list[States]], players: tuple[Modality, ...]) -> dict:
        """The query under every subset of its modalities, (2^M, L, D) a modality, in binary order of `players`."""
        encoded = {}
        for modality in self.model.modalities:
            bit = players.index(modality) if modality in players else None
            rows = [states[modality] if bit is not None and row >> bit & 1 else [] for row in range(1 << len(players))]
            encoded[modality] = collate(rows, self.told["widths"][modality]).to(self.device)
        return self.model.align(self.model.standardise(encoded))

    @torch.inference_mode()
    def fuse(self, aligned: Mapping) -> Coalitions:
        fused = self.model.fuse(aligned)
        return Coalitions(vectors=fused.vector, gates=fused.gates)

    def shortlist(self, vector: Tensor, top: int) -> Shortlist | None:
        """The items that the index finds for a fused vector (D,); None where all are compared."""
        return None if self.index is None or 2 * top > REACH else self.index.search(vector.cpu().numpy(), REACH)

    @torch.inference_mode()
    def rank(self, query: Query, vectors: Tensor | None, rows: np.ndarray | None = None) -> np.ndarray:
        """Scores of all items (or `rows`) under every coalition, (2^M, N) float32: of the query's modalities, whose
        fused vectors are given, else of the items' own. A known user's taste is added to every coalition of a query."""
        ranker, items = self.model.ranker, self.items.vectors[-1]
        items = items if rows is None else items[torch.from_numpy(rows)]
        scores = None
        if vectors is not None:
            self.must("query")
            scores = ranker.score_query(vectors, items)
        if query.user is not None:
            self.must("known user")
            history = History.of([self.history(query.user)], [self.user_row(query.user)]).to(self.device)
            if scores is None:
                whole = [ranker.score_users(history, rows, self.known, items)[0] for rows in self.items.vectors]
                return torch.stack(whole).cpu().numpy()
            scores = scores + ranker.score_users(history, items, self.known)
        return scores.float().cpu().numpy()

    def cards(
        self, coalitions: np.ndarray, players: tuple[Modality, ...], fused: Coalitions | None, top: int,
        rows: np.ndarray | None = None,
    ) -> tuple[RankedItem, ...]:  # fmt: skip
        """The best items with exact Shapley values; `fused` is the query's own fusion, None when items are switched;
        rows: the items of the columns, None for all."""
        best = best_columns(coalitions[-1], top)
        phi = shapley(coalitions[:, best])  # (M, top)
        share = shares(phi)
        cards = []
        for place, column in enumerate(best.tolist()):
            item = column if rows is None else int(rows[column])
            gates = (self.items.gates[-1, item] if fused is None else fused.gates[-1]).tolist()
            cards.append(
                RankedItem(
                    item_id=self.item_ids[item],
                    title=self.catalogue.items[item].title or self.item_ids[item],
                    rank=place + 1,
                    score=float(coalitions[-1, column]),
                    phi={m: float(phi[row, place]) for row, m in enumerate(players)},
                    shares={m: float(share[row, place]) for row, m in enumerate(players)},
                    gates=dict(zip(self.model.modalities, gates, strict=True)),
                    base=float(coalitions[0, column]),
                )
            )
        return tuple(cards)

    def distance(self, vector: Tensor, players: tuple[Modality, ...], rows: np.ndarray | None) -> Distance | None:
        """1 - best cosine, and where that stands among held-out queries of the same modalities (None: not measured)."""
        items = self.items.vectors[-1]
        value = 1.0 - float(((items if rows is None else items[torch.from_numpy(rows)]) @ vector).max())
        held_out = self.told.get("distances", {}).get("+".join(players))
        if not held_out:
            return None
        return Distance(value=value, percentile=100.0 * float(np.searchsorted(held_out, value)) / len(held_out))

    # ---- what it stands on

    def encoder(self, modality: Modality) -> Any:
        """Loaded on first use, once."""
        with self._loading:
            if modality not in self._encoders:
                self._encoders[modality] = load_encoder(modality, encoder_name(self.settings, modality), self.device)
            return self._encoders[modality]

    def must_read(self, modality: Modality) -> None:
        """Raises SettingsError for a modality that the run does not know, or knows as a ready-made matrix only."""
        if modality not in self.model.modalities:
            known = ", ".join(self.model.modalities)
            raise SettingsError(f"run {self.run} cannot read {modality}; it knows {known}. Choose another run")
        known = self.told.get("encoders", {}).get(modality, "")
        if known.startswith(MATRIX):
            raise SettingsError(
                f"run {self.run} learned {modality} from ready-made vectors ({known}); no {modality} that is given now "
                "can be compared with them. Ask as a known user, or choose a run that encodes for itself"
            )

    def must(self, case: str) -> None:
        if case not in self.model.ranker.cases:
            raise InputError(
                "E-INPUT-VALUE",
                f"the ranker {self.settings.rank} cannot answer a {case}; "
                f"it can: {', '.join(sorted(self.model.ranker.cases))}. "
                "Choose another run.",
            )

    def user_row(self, user: str) -> int:
        if user not in self.user_rows:
            raise InputError(
                "E-INPUT-VALUE", f'user "{user[:40]}" has no training rows in run {self.run}; leave the user out.'
            )
        return self.user_rows[user]

    def history(self, user: str) -> list[tuple[int, float | None]]:
        return self.histories[self.user_row(user)]


def open_pipeline(workspace: Workspace, run: str, catalogue: str | None = None, device: str = "") -> Pipeline:
    """A run of the workspace over its own catalogue or another one, on `device` where one is named.

    Raises UnknownNameError, ModelError."""
    folder = workspace.run_folder(run)
    wanted = catalogue or workspace.run(run).catalogue
    return load_run(folder, workspace.catalogue(wanted), vectors=workspace.vectors, device=device)


def load_run(
    folder: Path, catalogue: Catalogue, *, features: Features | None = None, vectors: Path | None = None,
    device: str = "",
) -> Pipeline:  # fmt: skip
    """Weights, digests checked first, and the item vectors: shipped, kept from an earlier time, or made now.

    features: encoded items, where the caller has them; vectors: the vector store to encode with and to keep item
    vectors in. Raises ModelError E-MODEL-VERSION, E-MODEL-SUM, E-MODEL-SHAPE.
    """
    told = json.loads((folder / "run.json").read_text("utf-8"))
    if told["format"] > FORMAT:
        raise ModelError(
            "E-MODEL-VERSION", f"run {folder.name}: its format is {told['format']}; at most {FORMAT} is known. Update."
        )
    told = with_tuned_encoder(folder, told)
    try:
        settings, device = RunSettings.from_values(told["settings"]), best_device(device or wanted_device())
    except SettingsError as error:  # another version's words
        raise ModelError("E-MODEL-VERSION", f"run {folder.name}: {error.message}.") from error
    model = Model(settings, told["widths"], len(told["users"]), len(told["items"]))
    weights = read_tensors(folder / "model.safetensors", told["digests"]["model.safetensors"])
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        check_shapes(weights, model.state_dict(), "model.safetensors")
        raise ModelError(
            "E-MODEL-SHAPE",
            f"run {folder.name}: its weights do not fit its settings ({str(error).splitlines()[-1].strip()}).",
        ) from error
    model.eval().requires_grad_(False).to(device)
    items = item_vectors(folder, told, model, catalogue, settings, device, features, vectors)
    pipeline = Pipeline(told, model, catalogue, items, device)
    if len(catalogue.items) > ABOVE and device == "cpu" and "query" in getattr(model.ranker, "cases", ()):
        place = None if vectors is None else items_folder(vectors, told) / f"graph-{catalogue.version[:16]}.faiss"
        pipeline.index = graph_of(items.vectors[-1].numpy(), place)
    if pipeline.at_home:
        kept = read_tensors(folder / "history.safetensors", told["digests"]["history.safetensors"])
        rows = [(i, None if r < 0 else r) for i, r in zip(kept["item"].tolist(), kept["rating"].tolist(), strict=True)]
        ends = np.cumsum(kept["length"].numpy())
        lengths = kept["length"].tolist()
        whole = [rows[end - length : end] for end, length in zip(ends, lengths, strict=True)]
        pipeline.histories = [follow(history, catalogue.gone) for history in whole] if catalogue.gone else whole
    return pipeline


def with_tuned_encoder(folder: Path, told: Mapping[str, Any]) -> Mapping[str, Any]:
    """What run.json tells, its text encoder named together with the blocks that were fine-tuned, where some were."""
    if TUNED_TEXT not in told["digests"]:
        return told
    read_verified(folder / TUNED_TEXT, told["digests"][TUNED_TEXT])
    name = tuned_name(told["settings"]["text_encoder"], folder / TUNED_TEXT)
    return {**told, "settings": {**told["settings"], "text_encoder": name}}


def item_vectors(
    folder: Path, told: Mapping[str, Any], model: Model, catalogue: Catalogue, settings: RunSettings, device: str,
    features: Features | None, vectors: Path | None,
) -> Coalitions:  # fmt: skip
    """Vectors of all items, keyed by run and catalogue version: beside the run, else in the vector store."""
    name = f"items-{catalogue.version[:16]}.safetensors"
    if not model.modalities:
        nothing = torch.zeros(1, len(catalogue.items), 0, device=device)
        return Coalitions(vectors=nothing, gates=nothing)
    if features is None:
        kept = kept_vectors(folder, told, name, vectors)
        if kept is not None:
            return Coalitions(vectors=kept["vectors"].float().to(device), gates=kept["gates"].float().to(device))
        if vectors is None:
            raise UnknownNameError("catalogue", catalogue.name, [told["data"]["catalogue"]])
        features = catalogue_features(
            catalogue, settings, vectors, interactions=False, modalities=tuple(told["widths"])
        )
        same_encoders(told, features, catalogue)
    made = item_coalitions(model, features, device)
    if vectors is not None:
        write_atomic(items_folder(vectors, told) / name, sealed(made.to_bytes()))
    return made


def items_folder(vectors: Path, told: Mapping[str, Any]) -> Path:
    """Where the vector store keeps what a run makes of items."""
    return vectors / "items" / str(told["digests"]["model.safetensors"][:16])


def rows_of(all_players: Sequence[Modality], players: Sequence[Modality]) -> list[int]:
    """Rows of the coalitions of `all_players` (binary order) in which only `players` take part, in their order."""
    bits = [1 << all_players.index(player) for player in players]
    return [sum(bit for j, bit in enumerate(bits) if row >> j & 1) for row in range(1 << len(bits))]


def same_encoders(told: Mapping[str, Any], features: Features, catalogue: Catalogue) -> None:
    """Raises SettingsError where run or catalogue have a modality from a matrix, and not both from the same."""
    for modality, known in told.get("encoders", {}).items():
        found = features.encoders[modality]
        if found != known and any(one.startswith(MATRIX) for one in (found, known)):
            raise SettingsError(
                f"run {told['run']} knows {modality} of {known}; catalogue {catalogue.name} has {modality} of {found}, "
                f"and the two cannot be compared. Train a run on {catalogue.name}"
            )


def kept_vectors(folder: Path, told: Mapping[str, Any], name: str, vectors: Path | None) -> dict[str, Tensor] | None:
    if name in told["digests"]:
        return read_tensors(folder / name, told["digests"][name])
    path = items_folder(vectors, told) / name if vectors else None
    data = unsealed(path.read_bytes()) if path and path.is_file() else None  # damaged ones are made again
    return checked_tensors(data, name) if data is not None else None


@torch.inference_mode()
def item_coalitions(model: Model, features: Features, device: str) -> Coalitions:
    """Every item under every subset of the run's modalities, in binary order."""
    banks = {m: features.bank(m) for m in model.modalities}
    vectors, gates = [], []
    for row in range(1 << len(model.modalities)):
        off = [m for bit, m in enumerate(model.modalities) if not row >> bit & 1]
        pieces = []
        for start in range(0, len(features.items), 64):
            block = features.items[start : start + 64]
            raw = {m: bank.batch([item.get(m, ()) for item in block]).to(device) for m, bank in banks.items()}
            pieces.append(model.fuse(model.align(model.standardise(switch_off(raw, off)))))
        vectors.append(torch.cat([piece.vector for piece in pieces]))
        gates.append(torch.cat([piece.gates for piece in pieces]))
    return Coalitions(vectors=torch.stack(vectors), gates=torch.stack(gates))
