"""What people say about cases: nothing is lost, nobody overwrites anybody, two people can be compared."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from core.domain import Catalogue, Interaction
from core.errors import InputError, StoreError, TableError
from core.evaluate.cases import case_key
from core.evaluate.slices import Condition
from core.people import (
    DEFAULT_LABELS,
    agreement,
    annotations_csv,
    annotations_json,
    annotations_mark,
    annotations_of,
    case_keys,
    drop_slice,
    import_annotations,
    label_set,
    put_label,
    put_note,
    put_seen,
    read_annotations,
    save_label_set,
    save_slice,
    saved_slices,
)
from core.store.values import Annotation, CaseRef
from core.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
SHOP = "toys"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.open(tmp_path / "home")


def case(number: int) -> CaseRef:
    return CaseRef(key=f"{number:016x}", user=f"u{number}", item=f"i{number}")


def test_what_a_person_says_is_there_after_a_restart_with_author_and_time(workspace: Workspace, tmp_path: Path) -> None:
    put_label(workspace, SHOP, [case(1)], "Dora", "wrong photo")
    put_label(workspace, SHOP, [case(1)], "Dora", "duplicate")
    put_note(workspace, SHOP, case(1), "Dora", "the photo shows a clock", 1)
    [one] = annotations_of(Workspace.open(tmp_path / "home"), SHOP)
    assert (one.case, one.author, one.note) == (case(1), "Dora", "the photo shows a clock")
    assert set(one.labels) == {"wrong photo", "duplicate"}
    assert one.updated is not None
    assert annotations_of(workspace, "another shop") == []


def test_many_cases_are_labelled_and_unlabelled_at_once(workspace: Workspace) -> None:
    cases = [case(n) for n in range(30)]
    assert put_label(workspace, SHOP, cases, "Dora", "duplicate") == 30
    assert put_label(workspace, SHOP, cases[:10], "Dora", "duplicate", present=False) == 10
    assert put_label(workspace, SHOP, cases[:10], "Dora", "duplicate", present=False) == 0
    assert sum("duplicate" in one.labels for one in annotations_of(workspace, SHOP)) == 20
    with pytest.raises(InputError, match="1,001 cases at once"):
        put_label(workspace, SHOP, [case(n) for n in range(1001)], "Dora", "duplicate")


def test_a_second_tab_does_not_overwrite_a_note(workspace: Workspace) -> None:
    put_note(workspace, SHOP, case(1), "Dora", "first", 0)
    [seen] = annotations_of(workspace, SHOP)
    put_note(workspace, SHOP, case(1), "Dora", "from the second tab", seen.version)
    with pytest.raises(StoreError, match="your note was not saved over it") as error:
        put_note(workspace, SHOP, case(1), "Dora", "from the first tab", seen.version)
    assert error.value.code == "E-DB-CONFLICT"
    assert annotations_of(workspace, SHOP)[0].note == "from the second tab"


def test_a_label_is_no_reason_for_a_conflict(workspace: Workspace) -> None:
    put_note(workspace, SHOP, case(1), "Dora", "first", 0)
    [seen] = annotations_of(workspace, SHOP)
    put_label(workspace, SHOP, [case(1)], "Dora", "duplicate")
    put_note(workspace, SHOP, case(1), "Dora", "second", seen.version)
    assert annotations_of(workspace, SHOP)[0].note == "second"


WRITER = """
import sys, threading
from pathlib import Path
from core.people import put_label
from core.store.values import CaseRef
from core.workspace import Workspace

workspace, process = Workspace.open(Path(sys.argv[1])), sys.argv[2]
def write(thread):
    for n in range(50):
        one = CaseRef(key=f"{n:016x}", user="u", item="i")
        put_label(workspace, "toys", [one], f"{process}-{thread}", "duplicate")
threads = [threading.Thread(target=write, args=(n,)) for n in range(10)]
[one.start() for one in threads]; [one.join() for one in threads]
"""


def test_no_label_is_lost_between_twenty_threads_of_two_processes(workspace: Workspace) -> None:
    put_seen(workspace, SHOP, case(99), "Dora")  # the database is there
    command = [sys.executable, "-c", WRITER, str(workspace.home)]
    processes = [subprocess.Popen([*command, name], cwd=ROOT, stderr=subprocess.PIPE) for name in ("a", "b")]
    assert [one.communicate()[1].decode() for one in processes] == ["", ""]
    said = [one for one in annotations_of(workspace, SHOP) if one.labels == ("duplicate",)]
    assert len({(one.case.key, one.author) for one in said}) == 20 * 50


KILLED = """
import sys
from pathlib import Path
from core.people import put_label
from core.store.values import CaseRef
from core.workspace import Workspace

workspace = Workspace.open(Path(sys.argv[1]))
for n in range(100_000):
    put_label(workspace, "toys", [CaseRef(key=f"{n:016x}", user="u", item="i")], "Dora", "duplicate")
    print(n, flush=True)
"""


def test_a_process_that_is_killed_while_labelling_loses_the_last_key_at_most(workspace: Workspace) -> None:
    put_seen(workspace, SHOP, case(99_999), "Emil")  # the database is there
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(workspace.home)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    told = [int(child.stdout.readline()) for _ in range(25)]
    child.kill()
    told += [int(line) for line in child.communicate()[0].split()]
    kept = {one.case.key for one in annotations_of(Workspace.open(workspace.home), SHOP) if one.labels}
    assert {f"{n:016x}" for n in told} <= kept  # all that was acknowledged
    assert len(kept) <= len(told) + 1
    put_label(workspace, SHOP, [case(5)], "Emil", "duplicate")  # and nothing stays locked


def test_two_people_label_the_same_case_at_once(workspace: Workspace) -> None:
    threads = [threading.Thread(target=put_label, args=(workspace, SHOP, [case(1)], name, "duplicate"))
               for name in ("Dora", "Emil", "Fay", "Gus")]  # fmt: skip
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(one.author for one in annotations_of(workspace, SHOP)) == ["Dora", "Emil", "Fay", "Gus"]


def test_personal_data_in_a_note_is_masked_before_it_is_kept(workspace: Workspace) -> None:
    put_note(workspace, SHOP, case(1), "Dora", "ask anna@example.org, card 4111 1111 1111 1111", 0)
    assert annotations_of(workspace, SHOP)[0].note == "ask [mail], card [card]"


@pytest.mark.parametrize(("note", "kept", "told"), [
    ("DE89370400440532013000", "[IBAN]", "1 IBAN"), ("4111111111111111", "[card]", "1 card"),
    ("ask a&#64;b.co", "ask [mail]", "1 mail"), ("<a href='https://x.example/a'>here</a>", "here", ""),
    ("nothing of the kind", "nothing of the kind", ""),
])  # fmt: skip
def test_what_is_told_of_a_note_is_what_was_masked_in_the_one_that_is_kept(workspace, note, kept, told) -> None:
    assert put_note(workspace, SHOP, case(1), "Dora", note, 0) == told
    [said] = annotations_of(workspace, SHOP)
    assert said.note == kept
    import_annotations(workspace, SHOP, [Annotation(case=case(2), author="Dora", labels=(), note=note)])
    assert [one.note for one in annotations_of(workspace, SHOP)] == [kept, kept]


def test_nobody_labels_without_a_name_and_a_label_is_short(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="nobody signed"):
        put_label(workspace, SHOP, [case(1)], "  ", "duplicate")
    with pytest.raises(InputError, match="cannot be a label"):
        put_label(workspace, SHOP, [case(1)], "Dora", "a|b")


def test_whatever_is_said_or_taken_back_changes_the_mark_and_nothing_else_does(workspace: Workspace) -> None:
    marks = [annotations_mark(workspace, SHOP)]
    assert marks == [""] and not workspace.home.exists()  # looking opens no database
    put_note(workspace, "another shop", case(1), "Dora", "a note", 1)
    for say in (
        lambda: put_seen(workspace, SHOP, case(1), "Dora"),
        lambda: put_label(workspace, SHOP, [case(1)], "Dora", "duplicate"),
        lambda: put_label(workspace, SHOP, [case(1)], "Dora", "duplicate", present=False),
        lambda: put_note(workspace, SHOP, case(1), "Dora", "a note", 1),
        lambda: put_seen(workspace, SHOP, case(2), "Emil"),
    ):
        say()
        marks.append(annotations_mark(workspace, SHOP))
    assert len(set(marks)) == len(marks)
    put_seen(workspace, SHOP, case(2), "Emil")  # known already
    assert annotations_mark(workspace, SHOP) == marks[-1]


def test_labels_of_a_case_whose_row_is_gone_are_told_from_the_others(workspace: Workspace) -> None:
    """Imported again without its second row, the shop has no case of it; its label stays, under the same key."""
    rows = [Interaction(user_id=f"u{n}", item_id="i", timestamp=n + 1) for n in range(3)]
    keys = [case_key("query", row.user_id, row.item_id, row.timestamp) for row in rows]
    for key in keys:
        put_label(workspace, SHOP, [CaseRef(key=key, user="u", item="i")], "Dora", "duplicate")
    again = Catalogue(name=SHOP, version="2", root=Path("x"), items=(), interactions=(rows[0], rows[2]))
    kept = annotations_of(workspace, SHOP)
    assert len(kept) == 3
    assert [one.case.key for one in kept if one.case.key not in case_keys(again)] == [keys[1]]
    assert case_key("user", "u0", "i", 1) in case_keys(again)


# ---- agreement


def said(author: str, labels: dict[int, tuple[str, ...]]) -> list[Annotation]:
    return [Annotation(case=case(n), author=author, labels=own) for n, own in labels.items()]


def test_kappa_is_the_agreement_beyond_chance() -> None:
    """Fifty cases: both say yes 20 times, both no 15; Dora alone 5 times, Emil alone 10: Cohen's own example."""
    yes = ("duplicate",)
    dora = {n: yes if n < 25 else () for n in range(50)}
    emil = {n: yes if n < 20 or 25 <= n < 35 else () for n in range(50)}
    [one] = agreement([*said("Dora", dora), *said("Emil", emil)], "Dora", "Emil", yes)
    assert (one.both, one.only_first, one.only_second, one.neither) == (20, 5, 10, 15)
    observed, expected = 35 / 50, (25 / 50) * (30 / 50) + (25 / 50) * (20 / 50)
    assert one.kappa == pytest.approx((observed - expected) / (1 - expected)) == pytest.approx(0.4)


def test_kappa_looks_only_at_cases_that_both_saw_and_is_unknown_without_variety() -> None:
    one, two = said("Dora", {1: (), 2: (), 3: ("x",)}), said("Emil", {1: (), 2: (), 4: ("x",)})
    [found] = agreement([*one, *two], "Dora", "Emil", ["x"])
    assert (found.cases, found.kappa) == (2, None)


# ---- files


@pytest.mark.parametrize("write", [annotations_csv, annotations_json])
def test_labels_leave_and_come_back_equal(workspace: Workspace, tmp_path: Path, write) -> None:
    put_label(workspace, SHOP, [case(1), case(2)], "Dora", "duplicate")
    put_note(workspace, SHOP, case(1), "Dora", '=HYPERLINK("x"), she says', 1)
    before = annotations_of(workspace, SHOP)
    other = Workspace.open(tmp_path / "other")
    assert import_annotations(other, SHOP, read_annotations(write(before))) == 2
    after = annotations_of(other, SHOP)
    assert [(one.case, one.author, one.labels, one.note) for one in after] == [
        (one.case, one.author, one.labels, one.note) for one in before
    ]


def test_an_import_adds_and_overwrites_no_note(workspace: Workspace) -> None:
    put_note(workspace, SHOP, case(1), "Dora", "mine", 0)
    import_annotations(workspace, SHOP, [Annotation(case=case(1), author="Dora", labels=("duplicate",), note="theirs")])
    [one] = annotations_of(workspace, SHOP)
    assert (one.note, one.labels) == ("mine", ("duplicate",))


def test_cells_that_a_spreadsheet_would_run_are_defused(workspace: Workspace) -> None:
    put_note(workspace, SHOP, case(1), "Dora", "=1+1", 0)
    assert b",'=1+1," in annotations_csv(annotations_of(workspace, SHOP))


@pytest.mark.parametrize("data", [b"\xff\xfe", b"[1, 2]", b"a,b\r\n1,2\r\n", b'[{"case": "zz", "author": "x"}]'])
def test_what_is_no_file_of_labels_is_refused(data: bytes) -> None:
    with pytest.raises(TableError, match="these are no labels"):
        read_annotations(data)


# ---- label set, slices


def test_the_label_set_is_ours_until_somebody_makes_their_own(workspace: Workspace) -> None:
    assert label_set(workspace) == DEFAULT_LABELS
    assert not workspace.home.exists()  # looking opens no database
    save_label_set(workspace, {"blurred": "cannot be seen", "other": ""})
    assert list(label_set(workspace)) == ["blurred", "other"]
    with pytest.raises(InputError, match="10 labels came"):
        save_label_set(workspace, {f"label {n}": "" for n in range(10)})


def test_a_named_slice_has_one_link_and_can_be_renamed_and_dropped(workspace: Workspace) -> None:
    conditions = [Condition(attribute="price", value="1 to 9"), Condition(attribute="stars", value="5")]
    first = save_slice(workspace, SHOP, "cheap and loved", conditions, "Dora")
    again = save_slice(workspace, SHOP, "cheap favourites", conditions[::-1], "Emil")
    assert first.id == again.id
    [kept] = saved_slices(workspace, SHOP)
    assert (kept.name, kept.author, set(kept.conditions)) == (
        "cheap favourites", "Emil", {("price", "1 to 9"), ("stars", "5")},
    )  # fmt: skip
    drop_slice(workspace, SHOP, kept.id)
    assert saved_slices(workspace, SHOP) == []
    with pytest.raises(InputError, match="without name"):
        save_slice(workspace, SHOP, " ", conditions, "Dora")


def test_json_holds_the_same_rows_as_the_table(workspace: Workspace) -> None:
    put_label(workspace, SHOP, [case(1)], "Dora", "duplicate")
    [row] = json.loads(annotations_json(annotations_of(workspace, SHOP)))
    assert (row["case"], row["labels"], row["author"]) == (f"{1:016x}", "duplicate", "Dora")
