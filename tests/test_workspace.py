"""The workspace: what is bundled is there, what is imported is whole, what is asked can be found again."""

import io
import json
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

import core.importing
from core.domain import Part, Query
from core.errors import AddressError, InputError, ModelError, StoreError, TableError, UnknownNameError
from core.files import digest_bytes, read_verified, write_atomic
from core.workspace import BUNDLED_CATALOGUE, Workspace, read_run


def paint(colour: tuple[int, int, int], kind: str = "PNG", **options: object) -> bytes:
    """A picture of two halves, one of them in `colour`."""
    image = Image.new("RGB", (64, 48), (250, 250, 250))
    image.paste(colour, (0, 0, 32, 48))
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def write_shop(folder: Path, items: int = 6) -> Path:
    """Six items, a photo each (the last one is no picture), two interactions of two people."""
    (folder / "photos").mkdir(parents=True)
    rows = ["item_id,title,description,category,price,images"]
    for n in range(items):
        name = f"photos/{n}.png"
        rows.append(f"toy-{n},Toy {n},A toy with the number {n},Toys,{n}.50,{name}")
        whole = paint((40 * n, 90, 200 - 30 * n))
        (folder / name).write_bytes(whole if n < items - 1 else whole[: len(whole) // 2])
    (folder / "items.csv").write_text("\r\n".join(rows) + "\r\n")
    (folder / "interactions.csv").write_text(
        "user_id,item_id,rating,timestamp,review_text\r\n"
        "anna@example.org,toy-0,5,2024-03-01T10:00:00Z,Write to anna@example.org about this toy\r\n"
        "ben,toy-1,,2024-03-02T10:00:00Z,Nice\r\n"
        "ben,toy-99,4,2024-03-03T10:00:00Z,Unknown toy\r\n"
    )
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "home")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_shop(tmp_path / "shop")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Encoding and training replaced by toys: contents are "encoded" once by path, a run is a run.json."""
    calls = SimpleNamespace(encoded=set(), trained=0)

    def encode(_workspace: Workspace, catalogue, tell) -> int:
        paths = {path for item in catalogue.items for path in item.media.get("image", ())} - calls.encoded
        calls.encoded |= paths
        tell("encoding", 1.0)
        return len(paths)

    def train(_workspace: Workspace, catalogue, folder: Path, tell) -> None:
        calls.trained += 1
        write_run(folder, catalogue.name)

    monkeypatch.setattr(core.importing, "_encoded", encode)
    monkeypatch.setattr(core.importing, "_trained", train)
    return calls


def write_run(folder: Path, catalogue: str, **more: object) -> Path:
    settings = {"catalogue": catalogue, "align": "projection", "fuse": "weighted", "rank": "content"}
    told = {"run": folder.name, "settings": settings, "metrics": {"test": {"recall@1": 0.5}}, **more}
    write_atomic(folder / "run.json", json.dumps(told).encode())
    return folder


# ---- what is bundled


def test_the_bundled_catalogue_is_there_without_any_set_up(workspace: Workspace) -> None:
    studio = workspace.catalogue(BUNDLED_CATALOGUE)
    [info, support] = workspace.catalogues()
    assert (support.name, support.bundled, support.items) == ("support", True, 60)
    assert (info.name, info.bundled, info.version) == (BUNDLED_CATALOGUE, True, studio.version)
    assert (info.items, info.interactions) == (len(studio.items), len(studio.interactions))
    assert info.users == len({one.user_id for one in studio.interactions})
    assert workspace.catalogue(BUNDLED_CATALOGUE) is studio
    assert not workspace.home.exists()


def test_listing_what_is_bundled_opens_no_database(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from core.workspace import Workspace\n"
        "w = Workspace.open(Path(sys.argv[1])); w.catalogues(); w.runs()\n"
        "print(sorted({'sqlalchemy', 'alembic', 'torch', 'PIL', 'numpy'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[1]
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "[]"


def test_bundled_names_cannot_be_taken(workspace: Workspace, shop: Path) -> None:
    with pytest.raises(InputError, match="bundled catalogue"):
        workspace.import_folder(shop, "studio")
    with pytest.raises(InputError, match="bundled run"):
        workspace.new_run_folder("studio-default")


@pytest.mark.parametrize("name", ["", "../shop", "a/b", "Shop", "a" * 65, "shop\n", ".hidden"])
def test_a_name_that_could_leave_the_workspace_is_refused(workspace: Workspace, shop: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot name a catalogue"):
        workspace.import_folder(shop, name)


def test_an_unknown_name_lists_the_known_ones(workspace: Workspace) -> None:
    with pytest.raises(UnknownNameError, match=r'unknown catalogue "luma"; known: studio'):
        workspace.catalogue("luma")
    with pytest.raises(UnknownNameError, match=r'unknown run "luma"'):
        workspace.run_folder("luma")


# ---- import


def test_an_import_keeps_the_good_and_lists_the_rest(workspace: Workspace, shop: Path, quick: SimpleNamespace) -> None:
    steps: list[float] = []
    done = workspace.import_folder(shop, "toys", lambda label, fraction: steps.append(fraction))
    assert (done.items, done.users, done.interactions) == (6, 2, 3 - 1)
    assert (done.media, done.encoded, done.changed, done.run) == ({"image": 6 - 1}, 5, True, "toys-content")
    assert sorted(notice.code for notice in done.refused) == ["E-IMG-TRUNC", "E-ROW-REF"]
    assert len(done.rejects_file.read_text().splitlines()) >= 1 + 2
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    assert [info.name for info in workspace.catalogues()] == ["studio", "support", "toys"]
    assert workspace.run("toys-content").catalogue == "toys"


def test_people_are_keyed_hashes_and_reviews_are_redacted(
    workspace: Workspace, shop: Path, quick: SimpleNamespace
) -> None:
    workspace.import_folder(shop, "toys")
    first, second = workspace.catalogue("toys").interactions
    assert first.user_id == workspace.known_user("toys", "anna@example.org") != second.user_id
    assert len(first.user_id) == 32
    assert "anna" not in first.review_text + first.user_id
    key = workspace.home / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    other = Workspace.open(workspace.home.parent / "elsewhere")
    assert other.user_key("ben") != workspace.user_key("ben")
    assert workspace.known_user("studio", "u001") == "u001"


def test_photos_are_our_own_encoding_without_metadata(workspace: Workspace, shop: Path, quick: SimpleNamespace) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    (shop / "photos" / "0.png").write_bytes(paint((1, 2, 3), "JPEG", exif=exif))
    workspace.import_folder(shop, "toys")
    [path] = workspace.catalogue("toys").items[0].media["image"]
    data = workspace.media("toys", path)
    assert digest_bytes(data) == Path(path).stem
    assert b"taken at home" not in data
    assert not Image.open(io.BytesIO(data)).getexif()
    small = workspace.thumbnail("toys", path, 32)
    assert max(Image.open(io.BytesIO(small)).size) == 32
    assert workspace.thumbnail("toys", path, 32) == small


def test_the_same_import_twice_encodes_nothing_and_changes_nothing(
    workspace: Workspace, shop: Path, quick: SimpleNamespace
) -> None:
    workspace.import_folder(shop, "toys")
    before = {path: path.stat().st_mtime_ns for path in (workspace.home / "media").rglob("*") if path.is_file()}
    again = workspace.import_folder(shop, "toys")
    assert (again.encoded, again.changed, again.run, quick.trained) == (0, False, "toys-content", 1)
    after = {path: path.stat().st_mtime_ns for path in (workspace.home / "media").rglob("*") if path.is_file()}
    assert after == before
    assert [run.run for run in workspace.runs() if not run.bundled] == ["toys-content"]


def test_a_changed_folder_replaces_the_catalogue_and_adds_a_run(
    workspace: Workspace, shop: Path, quick: SimpleNamespace
) -> None:
    workspace.import_folder(shop, "toys")
    first = workspace.catalogue("toys")
    same_size = bytearray(paint((0, 90, 200)))
    (shop / "photos" / "1.png").write_bytes(bytes(same_size))
    again = workspace.import_folder(shop, "toys")
    assert (again.changed, again.run) == (True, "toys-content-2")
    assert workspace.catalogue("toys").version != first.version
    assert workspace.catalogue("toys").items[1].media != first.items[1].media


def test_an_import_that_is_cut_off_shows_nothing_and_goes_on_later(
    workspace: Workspace, shop: Path, quick: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(label: str, fraction: float) -> None:
        if label == "encoding":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        workspace.import_folder(shop, "toys", cut_off)
    assert [info.name for info in workspace.catalogues()] == ["studio", "support"]
    import core.workspace

    encoded: list[str] = []
    slowly = core.workspace.own_copy
    monkeypatch.setattr(core.workspace, "own_copy", lambda m, data, name: encoded.append(name) or slowly(m, data, name))
    done = workspace.import_folder(shop, "toys")
    assert encoded == ["5.png"]  # the broken one, which was never kept
    assert (done.encoded, done.changed) == (0, True)
    assert [info.name for info in workspace.catalogues()] == ["studio", "support", "toys"]


def test_a_training_that_fails_leaves_no_catalogue(
    workspace: Workspace, shop: Path, quick: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise StoreError("E-DISK-FULL", "the disk is full")

    monkeypatch.setattr(core.importing, "_trained", fail)
    with pytest.raises(StoreError):
        workspace.import_folder(shop, "toys")
    assert [info.name for info in workspace.catalogues()] == ["studio", "support"]


def test_a_folder_without_items_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TableError, match=r"there is no items\.csv"):
        workspace.import_folder(tmp_path / "empty", "toys")


@pytest.mark.parametrize("path", ["../key", "/etc/passwd", "ab/nothing.webp", "", "seen/../../key"])
def test_a_path_out_of_the_catalogue_leads_nowhere(
    workspace: Workspace, shop: Path, quick: SimpleNamespace, path: str
) -> None:
    workspace.import_folder(shop, "toys")
    for catalogue in ("toys", "studio"):
        with pytest.raises(AddressError):
            workspace.media(catalogue, path)


# ---- runs


def test_a_run_is_recorded_and_a_changed_run_json_is_refused(workspace: Workspace) -> None:
    folder = write_run(workspace.new_run_folder("mine"), "studio", created="2026-01-02T03:04:05+00:00")
    info = workspace.add_run(folder)
    assert workspace.run("mine") == info
    assert (info.created.isoformat(), info.metrics) == ("2026-01-02T03:04:05+00:00", {"test": {"recall@1": 0.5}})
    assert workspace.run_folder("mine") == folder
    assert workspace.free_run_name("mine") == "mine-2"
    write_run(folder, "studio", created="2026-02-02T03:04:05+00:00")
    with pytest.raises(ModelError, match="not the one that was recorded") as error:
        workspace.run_folder("mine")
    assert error.value.code == "E-MODEL-SUM"


def test_a_run_elsewhere_or_without_sense_is_not_recorded(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="must lie in the workspace"):
        workspace.add_run(write_run(tmp_path / "mine", "studio"))
    with pytest.raises(ModelError, match=r"it has no run\.json"):
        read_run(tmp_path / "nothing")
    write_atomic(tmp_path / "odd" / "run.json", b"[1, 2")
    with pytest.raises(ModelError, match="cannot be read"):
        read_run(tmp_path / "odd")


# ---- queries


def test_a_query_comes_back_cleaned_by_its_link(workspace: Workspace) -> None:
    photo = paint((10, 200, 30))
    query = Query.of(text="Call me at ben@example.org about a mug", images=(photo,), user="u001")
    ident = workspace.save_query(query, "studio-default")
    found, run = workspace.query(ident)
    assert (run, found.user, found.modalities) == ("studio-default", "u001", ("text", "image"))
    assert "ben@example.org" not in found.text
    assert found.parts[1].content != photo
    assert Image.open(io.BytesIO(found.parts[1].content)).format == "WEBP"


def test_saving_what_was_restored_gives_the_same_link_and_the_same_bytes(workspace: Workspace) -> None:
    ident = workspace.save_query(Query.of(text="a green mug", images=(paint((10, 200, 30)),)), "studio-default")
    found, run = workspace.query(ident)
    assert workspace.save_query(found, run) == ident
    assert workspace.query(ident)[0] == found
    assert workspace.save_query(found, "another-run") != ident


def test_an_unknown_link_is_told_so(workspace: Workspace) -> None:
    for ident in ("nothing", "x" * 500, ""):
        with pytest.raises(AddressError, match="no query has this link"):
            workspace.query(ident)
    assert not workspace.home.exists()


def test_a_damaged_photo_of_a_query_is_not_shown(workspace: Workspace) -> None:
    ident = workspace.save_query(Query.of(images=(paint((10, 200, 30)),)), "studio-default")
    [file] = (workspace.home / "queries").glob("*/*")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(AddressError, match="gone or damaged"):
        workspace.query(ident)


def test_a_webp_with_metadata_is_encoded_again(workspace: Workspace) -> None:
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    data = paint((10, 200, 30), "WEBP", exif=exif)
    ident = workspace.save_query(Query(parts=(Part(modality="image", content=data, name="a.webp"),)), "studio-default")
    assert b"taken at home" not in workspace.query(ident)[0].parts[0].content


# ---- files


def test_a_write_that_fails_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    file = write_atomic(tmp_path / "a.bin", b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"a\.bin: the disk is full") as error:
        write_atomic(file, b"new")
    assert error.value.code == "E-DISK-FULL"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]
    assert file.read_bytes() == b"old"


def test_a_file_whose_digest_differs_is_not_read(tmp_path: Path) -> None:
    file = write_atomic(tmp_path / "model.safetensors", b"weights")
    assert read_verified(file, digest_bytes(b"weights")) == b"weights"
    file.write_bytes(b"weighty")
    with pytest.raises(ModelError, match="was changed or damaged") as error:
        read_verified(file, digest_bytes(b"weights"))
    assert error.value.code == "E-MODEL-SUM"
    with pytest.raises(ModelError, match="is missing"):
        read_verified(tmp_path / "gone", "0" * 64)


# ---- with real encoders


def write_plain_shop(folder: Path, photos: bool) -> Path:
    """Eight items without any interaction; each with its one photo, or with words alone."""
    folder.mkdir()
    rows = ["item_id,title,images"]
    for n in range(8):
        (folder / f"{n}.png").write_bytes(paint((30 * n, 90, 200 - 20 * n)))
        rows.append(f"plain-{n},Plain thing number {n},{f'{n}.png' if photos else ''}")
    (folder / "items.csv").write_text("\r\n".join(rows) + "\r\n")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("photos", [True, False])
def test_a_fresh_catalogue_answers_at_once_without_any_interaction(
    workspace: Workspace, tmp_path: Path, photos: bool
) -> None:
    from core.pipeline import open_pipeline

    done = workspace.import_folder(write_plain_shop(tmp_path / "plain", photos), "plain")
    assert done.encoded == 8 + 8 * photos
    told = json.loads((workspace.run_folder(done.run) / "run.json").read_bytes())
    assert told["training"]["best_epoch"] == (20 if photos else 0)
    found = open_pipeline(workspace, done.run).recommend(Query.of(text="Plain thing number 3"), top=8)
    assert len(found.items) == 8
    assert workspace.import_folder(tmp_path / "plain", "plain").encoded == 0
