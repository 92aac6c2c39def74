"""Security checks S1 to S18 of the contract, and the promises of SECURITY.md; a test belongs to the number in its name.

What needs a real server is in test_security_server.py.
"""

import csv
import io
import json
import logging
import sqlite3
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import core.importing
from core.__main__ import main
from core.catalog.folder import read_folder
from core.domain import Query
from core.encode import weights as bundled
from core.errors import InputError, ModelError
from core.files import digest_bytes
from core.privacy import forget
from core.report.tables import as_csv
from core.tensors import checked_tensors
from core.workspace import Workspace
from pages.shared import services, visit
from tests import corpus
from tests.offline import ROOT, RUN, walk
from tests.test_architecture import dangers, sources, tree
from tests.test_forget import ANNA, ITEM, found
from tests.test_forget import workspace as grown  # noqa: F401
from tests.test_pages import ask, images, recommend_page, said, world  # noqa: F401
from tests.test_report import check
from tests.test_workspace import write_run, write_shop

CANARY = b"fusescope-canary"
METADATA = (b"Exif\0\0", b"ns.adobe.com/xap", b"photoshop:", CANARY)


@pytest.fixture
def quick(monkeypatch):
    """Imports that encode and train nothing."""
    monkeypatch.setattr(core.importing, "_encoded", lambda workspace, catalogue, tell: len(catalogue.items))
    monkeypatch.setattr(
        core.importing, "_trained", lambda workspace, catalogue, folder, tell: write_run(folder, catalogue.name)
    )


def uploaded(files):
    """What the page's uploader does, outside of a page's run."""
    return services._read_photos.__wrapped__((), files)


def files_of(place: Path) -> list[Path]:
    return [path for path in place.rglob("*") if path.is_file()]


# ---- S1 to S4: sources, markup, paths, formulas


def test_s01_no_source_opens_a_door():
    opened = {name: dangers(tree(name), name) for name in sources() if not name.startswith("tests")}
    assert {name: doors for name, doors in opened.items() if doors} == {}


def hostile_texts() -> list[str]:
    corpus.need_corpus()
    numbers = ("219", "220", "221", "222", "223")
    rows = [row for row in corpus.manifest() if row["kind"] == "text" and row["number"] in numbers]
    assert len(rows) >= 5
    return [corpus.data_of(row["file"]).decode().strip() for row in rows]


def test_s02_markup_is_literal_in_reports_and_on_pages(world, tmp_path):  # noqa: F811
    from core.report.html import element, page

    for words in hostile_texts():
        tags = check(page(words[:60], words, element("p", words), element("td", words, title=words)))
        assert words.split()[0] in tags.text
        at = ask(recommend_page(), words)
        told = [one.value for one in (*at.markdown, *at.caption, *at.header) if words[:12] in one.value]
        assert not told or all(not one.allow_html for one in at.markdown)
    assert not [one for one in at.markdown if one.allow_html]


HOOK = """
import json, os, sys
from pathlib import Path
import core.importing
from core.__main__ import main
from tests.test_workspace import write_run
import core.catalog.clean, core.prepare.findings, core.store.engines, core.store.catalogues, core.store.runs
core.importing._encoded = lambda workspace, catalogue, tell: 0
core.importing._trained = lambda workspace, catalogue, folder, tell: write_run(folder, catalogue.name)
home, allowed = sys.argv[1], [os.path.realpath(path) for path in sys.argv[2].split(os.pathsep)]
seen = []
def look(event, arguments):
    if event in ("open", "os.mkdir", "os.rename", "os.symlink", "os.link") and isinstance(arguments[0], str):
        path = os.path.realpath(arguments[0])
        if not any(path == one or path.startswith(one + os.sep) for one in allowed):
            seen.append([event, path])
sys.addaudithook(look)
for number, source in enumerate(sys.argv[3:]):
    main(["import", source, "--name", f"n{number}", "--home", home, "--json"])
sys.stderr.write("SEEN" + json.dumps(seen))
"""


def test_s03_hostile_paths_touch_nothing_outside_the_workspace(tmp_path):
    corpus.need_corpus()
    sources = []
    for row in corpus.manifest():
        if row["kind"] == "archive" and row["number"] in ("401", "402", "403", "404", "405", "412", "414"):
            sources.append(str(corpus.folder() / row["file"]))
        if row["number"] == "330":
            place = tmp_path / "330"
            (place / "photos").mkdir(parents=True)
            (place / "items.csv").write_bytes(corpus.data_of(row["file"]))
            sources.append(str(place))
    assert len(sources) >= 6
    home = tmp_path / "home"
    program = [sys.prefix, sys.base_prefix, ROOT, corpus.folder(), home, tmp_path / "330",
               "/usr", "/lib", "/etc/localtime", "/etc/mime.types", "/proc/self", "/proc/cpuinfo", "/sys", "/dev",
               Path.home() / ".cache"]  # fmt: skip
    command = [sys.executable, "-c", HOOK, home, ":".join(map(str, program)), *sources]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    outside = json.loads(done.stderr.partition("SEEN")[2])
    assert outside == []


def test_s04_what_looks_like_a_formula_is_defused_and_comes_back_equal(tmp_path):
    corpus.need_corpus()
    [row] = [row for row in corpus.manifest() if row["number"] == "326"]
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    (first / "items.csv").write_bytes(corpus.data_of(row["file"]))
    before, _ = read_folder(first, "x")
    rows = [{"item_id": one.item_id, "title": one.title, "description": one.description} for one in before.items]
    data = as_csv(rows)
    for line in csv.reader(io.StringIO(data.decode("utf-8-sig"))):
        assert all(cell[:1] not in "=+-@\t\r" or not cell for cell in line)
    (second / "items.csv").write_bytes(data)
    after, _ = read_folder(second, "x")
    assert [(one.item_id, one.title, one.description) for one in after.items] == [
        (one.item_id, one.title, one.description) for one in before.items
    ]


# ---- S5 to S8: people


def test_s05_people_are_keyed_hashes_and_the_key_is_theirs_alone(tmp_path, quick):
    one, other = Workspace.open(tmp_path / "one"), Workspace.open(tmp_path / "other")
    one.import_folder(write_shop(tmp_path / "shop"), "toys")
    assert one.user_key("ben") != other.user_key("ben")
    key = one.home / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    dump = "\n".join(sqlite3.connect(one.home / "fusescope.sqlite").iterdump())
    assert "anna@example.org" not in dump and "'ben'" not in dump and one.user_key("ben") in dump
    assert key.read_bytes()[:32].hex() not in dump.lower()
    names = [path for path in files_of(one.home) if b"anna@example.org" in path.read_bytes()]
    assert {path.parent.name for path in names} <= {"rejects"}  # what the person is shown of their own file


def test_s06_who_is_forgotten_is_nowhere_in_the_workspace(grown):  # noqa: F811
    key = grown.user_key(ANNA)
    assert found(grown, key)
    forget(grown, "shop", user=ANNA)
    assert found(grown, ANNA, key, "Anna drinks", "canary of Anna") == []
    forget(grown, "shop", item=ITEM)
    assert found(grown, ITEM) == []


def test_s07_stored_and_exported_pictures_hold_pixels_alone(tmp_path, quick):
    corpus.need_corpus()
    shop = write_shop(tmp_path / "shop", items=3)
    hostile = [row for row in corpus.manifest() if row["number"] in ("150", "151", "194", "195", "196")]
    rows = ["item_id,title,images"]
    for n, row in enumerate(hostile):
        name = Path(row["file"]).name
        (shop / "photos" / name).write_bytes(corpus.data_of(row["file"]))
        rows.append(f"m-{n},Item {n},photos/{name}")
    (shop / "items.csv").write_text("\r\n".join(rows) + "\r\n")
    (shop / "interactions.csv").unlink()
    workspace = Workspace.open(tmp_path / "home")
    workspace.import_folder(shop, "toys")
    for item in workspace.catalogue("toys").items:
        workspace.thumbnail("toys", item.media["image"][0])
    workspace.save_query(Query.of(images=tuple(corpus.data_of(row["file"]) for row in hostile)), "toys-content")
    kept = [path for folder in ("media", "queries", "cache") for path in files_of(workspace.home / folder)]
    assert len(kept) >= 3 * len(hostile) - 2
    assert [(path, mark) for path in kept for mark in METADATA if mark in path.read_bytes()] == []


def test_s08_no_log_line_holds_what_somebody_wrote(world, caplog):  # noqa: F811
    corpus.need_corpus()
    caplog.set_level(logging.DEBUG)
    texts = [corpus.data_of(row["file"]) for row in corpus.manifest() if row["kind"] == "text"]
    pictures = [row for row in corpus.manifest() if row["kind"] == "image" and row["expected_outcome"] == "refuse"]
    for data in texts:
        try:
            services.clean_words(data.decode("utf-8", "surrogateescape"))
        except InputError:
            continue
    for row in pictures[:12]:
        uploaded([(corpus.data_of(row["file"]), corpus.name_of(row))])
    ask(recommend_page(), "write to dora@example.org about the fusescope-canary, 0171 2345678")
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("fusescope")]
    assert any("refused code=E-IMG-" in line for line in ours)
    told = "\n".join(ours)
    assert CANARY.decode() not in told and "dora@" not in told and "2345678" not in told and "\\x" not in told


# ---- S9, S13: settings (the running server is looked at in test_security_server.py)


def test_s09_s13_the_settings_keep_to_this_machine_and_open_no_side_door():
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    assert settings["server"]["address"] == "127.0.0.1"
    assert not settings["server"].get("enableStaticServing") and not settings["server"].get("enableAgentApi")
    assert settings["server"].get("enableCORS", True) and settings["server"].get("enableXsrfProtection", True)
    assert settings["browser"]["gatherUsageStats"] is False
    assert "0.0.0.0" not in (ROOT / "Makefile").read_text("utf-8")


# ---- S11, S12: what is left, what is installed


def test_s11_temporary_folders_are_private_and_empty_afterwards(tmp_path, quick, monkeypatch):
    workspace = Workspace.open(tmp_path / "home")
    import shutil

    packed = Path(shutil.make_archive(str(tmp_path / "shop"), "zip", write_shop(tmp_path / "shop")))
    modes = []
    whole = core.importing._published

    def look(*given):
        modes.extend(stat.S_IMODE(path.stat().st_mode) for path in (workspace.home / "incoming").glob("zip-*"))
        return whole(*given)

    seen = []
    keep = core.importing._kept

    def during(*given):
        seen.extend(stat.S_IMODE(path.stat().st_mode) for path in (workspace.home / "incoming").iterdir())
        return keep(*given)

    monkeypatch.setattr(core.importing, "_kept", during)
    monkeypatch.setattr(core.importing, "_published", look)
    workspace.import_folder(packed, "toys", uploaded=True)
    assert seen == [0o700] and modes == []
    assert not list((workspace.home / "incoming").iterdir()) and not list(workspace.home.rglob("*.part"))


def test_s12_every_requirement_is_pinned_and_the_lock_names_hashes():
    import re

    wanted = {}
    for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, pin = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?==([^ ;#]+).*", line.strip()).groups()
            wanted[re.sub(r"[-_.]+", "-", name).lower()] = pin
    lock = ROOT / "requirements-lock.txt"
    assert lock.is_file()
    hashed = r"^([A-Za-z0-9_.-]+)==(\S+) \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)"
    blocks = re.findall(hashed, lock.read_text("utf-8"), re.MULTILINE)
    locked = {re.sub(r"[-_.]+", "-", name).lower(): pin for name, pin, _ in blocks}
    assert {name: locked.get(name) for name in wanted} == wanted
    bare = [line for line in lock.read_text().splitlines() if "==" in line and not line.endswith("\\")]
    assert not bare and len(locked) > len(wanted)


# ---- S14 to S16: visitors


def test_s14_a_visitor_never_sees_what_another_brought(world):  # noqa: F811
    from tests.toys import paint

    mine = ("mine.jpg", paint("mug", "red"), "image/jpeg")
    first = ask(recommend_page(), "zebra-token-of-the-first visitor", (mine,))
    second = recommend_page()
    assert "zebra-token" not in said(second) and second.text_area(key=visit.TEXT).value in ("", None)
    theirs = {picture.url for picture in images(first)}
    assert not theirs & {picture.url for picture in images(second)}


def test_s15_heavy_actions_are_counted_and_the_waiting_time_named(world, monkeypatch):  # noqa: F811
    from dataclasses import replace

    import pages.shared.services as doors

    assert doors.LIMITS.heavy_actions_a_minute == 60
    at = recommend_page()
    at.session_state["visit_acts"] = [visit.time.monotonic()] * 60
    ask(at, "the sixty-first question")
    assert "E-RATE-LIMIT" in said(at) and "wait" in said(at)
    assert replace(doors.LIMITS).heavy_actions_a_minute == 60


def test_s16_the_documents_say_that_vectors_are_personal_data():
    words = (ROOT / "SECURITY.md").read_text("utf-8")
    assert "personal data" in words and "forget" in words and "vectors" in words
    from core.report import bridges

    source = Path(bridges.__file__).read_text("utf-8")
    assert "user" in source and "states.bin" not in source  # what people wrote is exported by no bridge


# ---- S17, S18: the network, weights


def test_s17_nothing_connects_to_anywhere_from_a_question_to_an_export():
    if not RUN.is_file():
        pytest.skip("the bundled run is not there")
    done = walk()
    assert done.status == 0 and "NoNetwork" not in done.errors, done.errors[-2000:]


def test_s18_no_weight_is_looked_into_before_its_digest_was_checked(monkeypatch, tmp_path):
    import safetensors.torch

    def opened(*_):
        raise AssertionError("opened before it was checked")

    monkeypatch.setattr(safetensors.torch, "load", opened)
    data = (8).to_bytes(8, "little") + b'{"a":{} '
    with pytest.raises(ModelError, match="E-MODEL-SUM"):
        checked_tensors(data, "x.safetensors", digest_bytes(b"other"))
    changed = tmp_path / "weights.bin"
    changed.write_bytes(b"not the weights")
    monkeypatch.setattr(bundled.BundledWeights, "path", lambda self: changed)
    for one in bundled.BUNDLED.values():
        with pytest.raises(ModelError, match="E-MODEL-SUM"):
            one.verified()


def test_s18_no_command_takes_weights_of_a_kind_that_can_run_code(tmp_path, capsys):
    corpus.need_corpus()
    for name in ("701_pickle.safetensors", "702_checkpoint.pt"):
        path = corpus.folder() / "model" / name
        status = main(["import", str(write_shop(tmp_path / name)), "--name", "toys", "--home", str(tmp_path / "h"),
                       "--json", "--features", f"image={path}"])  # fmt: skip
        told = capsys.readouterr()
        assert status == 1 and CANARY.decode() not in told.out + told.err
