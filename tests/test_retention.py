"""What people bring stays with them: a question goes after a day, and no report or export holds more than pixels."""

from __future__ import annotations

import base64
import errno
import io
import os
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image
from sqlalchemy import update
from sqlalchemy.orm import Session
from streamlit.testing.v1 import AppTest

from core.asked import sweep_questions
from core.catalog.copies import is_bare
from core.domain import Query
from core.errors import AddressError
from core.files import write_atomic
from core.limits import LIMITS
from core.report.bridges import export
from core.report.material import _jpeg
from core.report.page import query_page
from core.store.runs import files_of_queries, keep_query
from core.store.tables import QueryRow
from core.workspace import Workspace
from pages.shared import questions, services
from tests.test_bridges import material
from tests.test_errors_page import book, errors_page, said, world  # noqa: F401
from tests.test_report import World
from tests.toys import ToyPipeline
from tests.toys import paint as painted

MARKS = (b"Exif\0\0", b"EXIF", b"ns.adobe.com/xap", b"taken at home", b"a secret comment")
LATER = datetime.now(UTC) + timedelta(hours=2 * LIMITS.question_hours)


def dirty(kind: str = "JPEG") -> bytes:
    """A photo that says where it was taken, three times over."""
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    exif.get_ifd(0x8825)[1] = "N"
    sink = io.BytesIO()
    more = {"comment": b"a secret comment", "xmp": b"<x>http://ns.adobe.com/xap/1.0/</x>"} if kind == "JPEG" else {}
    Image.open(io.BytesIO(painted("mug", "red"))).save(sink, kind, exif=exif, **more)
    assert sum(mark in sink.getvalue() for mark in MARKS) >= 1
    return sink.getvalue()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "home")


def files(workspace: Workspace) -> list[Path]:
    return [path for path in (workspace.home / "queries").rglob("*") if path.is_file()]


# ---- how long a question lives


def test_a_question_that_nobody_kept_goes_with_its_photo_after_a_day(workspace: Workspace) -> None:
    ident = workspace.save_query(Query.of(text="a zebra mug", images=(painted("mug", "red"),)), "run")
    assert sweep_questions(workspace) == 0 and workspace.query(ident)[0].text == "a zebra mug"
    assert sweep_questions(workspace, LATER) == 1
    with pytest.raises(AddressError, match="no query has this link"):
        workspace.query(ident)
    assert files(workspace) == []


def test_asking_again_begins_the_day_anew(workspace: Workspace) -> None:
    ident = workspace.save_query(Query.of(text="a mug"), "run")
    aged(workspace)
    workspace.save_query(Query.of(text="a mug"), "run")
    assert sweep_questions(workspace) == 0 and workspace.query(ident)


def test_a_photo_of_two_questions_stays_while_one_of_them_does(workspace: Workspace) -> None:
    photo = painted("mug", "red")
    gone = workspace.save_query(Query.of(text="first", images=(photo,)), "run")
    kept = workspace.save_query(Query.of(text="second", images=(photo,)), "run")
    with workspace.store.writing() as session:
        keep_query(session, kept)
    assert sweep_questions(workspace, LATER) == 1
    assert len(workspace.query(kept)[0].of_modality("image")) == 1
    with pytest.raises(AddressError):
        workspace.query(gone)


def test_what_ran_out_is_in_no_byte_of_the_workspace(workspace: Workspace) -> None:
    for number in range(40):  # more than one page of the database
        workspace.save_query(Query.of(text=f"a zebra mug, {number} " + "zebra " * 60), "run")
    assert zebras(workspace)
    assert sweep_questions(workspace, LATER) == 40
    assert zebras(workspace) == []


def zebras(workspace: Workspace) -> list[str]:
    return [path.name for path in workspace.home.rglob("*") if path.is_file() and b"zebra" in path.read_bytes()]


def test_a_sweep_that_finds_nothing_takes_no_lock(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace.save_query(Query.of(text="a mug"), "run")
    monkeypatch.setattr(workspace.store, "writing", lambda: pytest.fail("the lock was taken"))
    assert sweep_questions(workspace) == 0


def test_a_photo_that_is_asked_again_while_the_sweep_runs_is_there_afterwards(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, asked = painted("mug", "red"), []
    workspace.save_query(Query.of(text="first", images=(photo,)), "run")
    again = threading.Thread(
        target=lambda: asked.append(workspace.save_query(Query.of(text="second", images=(photo,)), "run"))
    )

    def meanwhile(session: Session) -> set[str]:
        named = files_of_queries(session)
        again.start()
        again.join(0.5)  # as far as it gets
        return named

    monkeypatch.setattr("core.store.runs.files_of_queries", meanwhile)
    assert sweep_questions(workspace, LATER) == 1
    again.join()
    assert len(workspace.query(asked[0])[0].of_modality("image")) == 1


def test_a_young_file_that_no_question_names_yet_stays_and_an_old_one_goes(workspace: Workspace) -> None:
    young, old = (workspace.home / "queries" / "ab" / name for name in ("ab1.png", "ab2.png"))
    for file in (young, old):
        write_atomic(file, b"photo")
    os.utime(old, (0, 0))
    workspace.save_query(Query.of(text="a mug"), "run")
    aged(workspace)
    assert sweep_questions(workspace) == 1
    assert files(workspace) == [young]


def test_a_file_that_cannot_be_removed_is_one_warning_and_the_others_go(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(services, "workspace", lambda: workspace)
    for colour in ("red", "blue"):
        workspace.save_query(Query.of(text=colour, images=(painted("mug", colour),)), "run")
    stuck, *_ = sorted(files(workspace))
    for file in files(workspace):
        os.utime(file, (0, 0))
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path == stuck:
            raise PermissionError(errno.EACCES, "held by another program")
        unlink(path, missing_ok=missing_ok)

    aged(workspace)
    with monkeypatch.context() as held:
        held.setattr(Path, "unlink", refused)
        questions.sweep.clear()
        assert questions.sweep() == 0
    assert [one.getMessage() for one in caplog.records if one.name == "fusescope.pages"] == [
        "questions were not swept code=E-DB-READONLY"
    ]
    assert files(workspace) == [stuck]
    workspace.save_query(Query.of(text="a mug"), "run")
    aged(workspace)
    assert sweep_questions(workspace) == 1 and files(workspace) == []


def aged(workspace: Workspace) -> None:
    """Every question was last asked three days ago."""
    with workspace.store.writing() as session:
        session.execute(update(QueryRow).values(created=datetime.now(UTC) - timedelta(days=3)))


def test_nothing_is_made_where_nobody_ever_asked(workspace: Workspace) -> None:
    assert sweep_questions(workspace, LATER) == 0
    assert not workspace.home.exists()


def test_the_page_says_how_long_and_keeps_by_a_button(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "workspace", lambda: workspace)
    ident = workspace.save_query(Query.of(text="a mug"), "run")

    def drawn() -> None:
        import streamlit as st

        from pages.shared import questions
        from pages.shared.visit import Address

        questions.draw_keeping(Address(query=st.query_params["q"]))

    at = AppTest.from_function(drawn)
    at.query_params["q"] = ident
    assert f"removed {LIMITS.question_hours} hours after" in at.run().caption[0].value
    at.button(key="recommend_keep").click().run()
    assert not at.exception and "Kept" in at.caption[0].value
    assert sweep_questions(workspace, LATER) == 0


def test_every_visit_sweeps(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "workspace", lambda: workspace)
    monkeypatch.setattr("core.asked.datetime", type("Clock", (), {"now": staticmethod(lambda zone: LATER)}))
    questions.sweep.clear()
    workspace.save_query(Query.of(text="a mug"), "run")
    assert questions.sweep() == 1
    questions.sweep.clear()
    app = (Path(__file__).resolve().parents[1] / "app.py").read_text("utf-8")
    assert "questions.sweep()" in app


def test_what_one_visitor_drafts_is_in_no_other_visit(world, book) -> None:  # noqa: F811
    from pages.shared import errors_visit as visit

    first = errors_page()
    first.session_state[visit.DRAFT] = "zebra words that were not saved"
    first.run()
    assert "zebra words" in first.code[0].value
    second = errors_page()
    assert visit.DRAFT not in second.session_state
    assert "zebra" not in said(second) and not any("zebra" in code.value for code in second.code)


# ---- pixels alone


def test_a_report_of_a_question_holds_pixels_alone(tmp_path: Path) -> None:
    pipeline = ToyPipeline()
    query = Query.of(text="a mug", images=(dirty(), dirty("PNG"), dirty("WEBP")))
    answer = pipeline.recommend(query, top=4)
    data = query_page(World(tmp_path), query, answer, pipeline.catalogue)
    pictures = [base64.b64decode(found) for found in re.findall(rb"data:image/[a-z]+;base64,([^\"]+)", data)]
    assert len(pictures) >= 3
    assert [mark for one in pictures for mark in MARKS if mark in one] == []


@pytest.mark.parametrize("to", ["spotlight", "embedding-atlas"])
def test_an_export_with_pictures_holds_pixels_alone(tmp_path: Path, to: str) -> None:
    whole = material()
    items = tuple(replace(one, media={"image": ("a.jpg",)}) for one in whole.catalogue.items)
    shop = replace(whole.catalogue, items=items)
    export(to, replace(whole, catalogue=shop, photo=lambda path: _jpeg(dirty("PNG"))), tmp_path / "toys.parquet")
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    for row in pq.read_table(tmp_path / "toys.parquet").to_pylist():
        written += [value["bytes"] for value in row.values() if isinstance(value, dict) and "bytes" in value]
    assert [mark for one in written for mark in MARKS if mark in one] == []
    assert any(one[:2] == b"\xff\xd8" for one in written)


def test_an_upload_is_bare_before_it_reaches_the_session() -> None:
    read = services._read_photos.__wrapped__((), [(dirty(), "a.jpg"), (dirty("PNG"), "b.png")])
    assert read.photos and all(is_bare(one) for one in read.photos)
    assert [mark for one in read.photos for mark in MARKS if mark in one] == []
