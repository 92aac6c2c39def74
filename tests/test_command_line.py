"""The command line: one JSON object and nothing else, three exit statuses, a help with an example for each command."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import core.importing
from core.__main__ import main, parser
from core.domain import Distance, Notice, RankedItem, Recommendation
from core.files import write_atomic
from core.jobs import queue
from core.jobs.bar import Bar
from core.workspace import Workspace
from tests.test_workspace import paint, write_run, write_shop

PROJECT = Path(__file__).resolve().parents[1]
COMMANDS = ("doctor", "import", "add-item", "catalogues", "runs", "train", "evaluate", "recommend", "map",
            "align-report", "explain", "audit", "cases", "report", "forget", "clean", "truth", "simulate-missing",
            "export")  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def ask(home: Path, capsys: pytest.CaptureFixture[str]):
    """Runs a command with --json; gives its exit status and what it wrote to standard output, as JSON."""

    def run(*arguments: str) -> tuple[int, dict]:
        status = main([arguments[0], "--home", str(home), "--json", *arguments[1:]])
        return status, json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders and training that take no time."""
    monkeypatch.setattr(core.importing, "_encoded", lambda workspace, catalogue, tell: len(catalogue.items))
    monkeypatch.setattr(
        core.importing, "_trained", lambda workspace, catalogue, folder, tell: write_run(folder, catalogue.name)
    )


def module(monkeypatch: pytest.MonkeyPatch, name: str, **parts: object) -> None:
    monkeypatch.setitem(sys.modules, name, SimpleNamespace(**parts))


def test_every_command_is_there_and_no_other() -> None:
    [commands] = [action for action in parser()._actions if action.dest == "command"]
    assert tuple(commands.choices) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_one_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.count(f"example: python -m core {command}") == 1
    assert "--home DIR" in told
    assert "--json" in told
    assert "--job" not in told


@pytest.mark.parametrize("command", COMMANDS)
def test_the_example_of_every_command_can_be_parsed(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    import shlex

    with pytest.raises(SystemExit):
        main([command, "--help"])
    _, example = " ".join(capsys.readouterr().out.split()).split("example: python -m core ")
    assert parser().parse_args(shlex.split(example)).command == command


@pytest.mark.parametrize(
    "wrong",
    [
        [], ["fly"], ["import"], ["import", "folder"], ["recommend"], ["train", "--catalogue", "a"], ["runs", "extra"],
        ["recommend", "--run", "r", "--without", "smell"], ["recommend", "--run", "r", "--top", "0"],
        ["evaluate", "--run", "r", "--products", "hot"], ["import", "a", "--name", "b", "--format", "zip"],
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_2_and_says_so_on_standard_error(
    wrong: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main(wrong)
    assert end.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "usage: python -m core" in told.err


def test_a_refusal_exits_with_1_and_is_one_json_object(ask, home: Path) -> None:
    status, answer = ask("import", "nowhere", "--name", "toys")
    assert status == 1
    assert answer["error"]["code"] == "E-INPUT-VALUE"
    assert "there is no such folder" in answer["error"]["reason"]
    status, answer = ask("recommend", "--run", "unheard", "--text", "a mug")
    assert status == 1
    assert 'unknown run "unheard"' in answer["error"]["reason"]


def test_a_refusal_is_told_in_words_without_a_traceback(home: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "core", "import", str(tmp_path / "nowhere"), "--name", "toys", "--home", str(home)]
    told = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr.startswith('refused: "nowhere": there is no such folder')
    assert "Traceback" not in told.stderr


def test_import_tells_what_was_kept_cleaned_and_refused(ask, toys: None, tmp_path: Path, home: Path) -> None:
    status, answer = ask("import", str(write_shop(tmp_path / "shop")), "--name", "toys")
    assert status == 0
    assert (answer["catalogue"], answer["items"], answer["users"], answer["interactions"]) == ("toys", 6, 2, 2)
    assert answer["media"] == {"image": 6 - 1}
    assert {one["code"] for one in answer["refused"]} == {"E-IMG-TRUNC", "E-ROW-REF"}
    assert all(one["where"] and one["reason"] for one in answer["refused"])
    assert answer["cleaned"]["N-TXT-PII"] == 1
    assert Path(answer["rejects_file"]).is_file()
    assert (answer["run"], answer["encoded"]) == ("toys-content", 6)
    [job] = queue.jobs(Workspace.open(home))
    assert (job.kind, job.target, job.state, job.result["items"]) == ("import", "toys", "done", 6)


def test_import_of_nothing_usable_is_refused(ask, tmp_path: Path, home: Path) -> None:
    write_atomic(tmp_path / "shop" / "items.csv", b"item_id,title\r\n")
    status, answer = ask("import", str(tmp_path / "shop"), "--name", "toys")
    assert (status, answer["error"]["code"]) == (1, "E-TAB-EMPTY")
    assert [job.state for job in queue.jobs(Workspace.open(home))] == ["failed"]


def test_an_import_that_is_running_already_is_refused(ask, tmp_path: Path, home: Path) -> None:
    queue.claim(Workspace.open(home), "import", "toys")
    status, answer = ask("import", str(write_shop(tmp_path / "shop")), "--name", "toys")
    assert (status, answer["error"]["code"]) == (1, "E-JOB-RUNNING")


def test_lists_name_what_is_bundled_and_what_was_imported(ask, toys: None, tmp_path: Path) -> None:
    ask("import", str(write_shop(tmp_path / "shop")), "--name", "toys")
    _, answer = ask("catalogues")
    told = [(one["name"], one["bundled"]) for one in answer["catalogues"]]
    assert told == [("studio", True), ("support", True), ("toys", False)]
    assert all(len(one["version"]) == 64 for one in answer["catalogues"])
    _, answer = ask("runs")
    mine = [one for one in answer["runs"] if not one["bundled"]]
    assert [(one["run"], one["catalogue"], one["rank"]) for one in mine] == [("toys-content", "toys", "content")]


def test_lists_are_readable_without_json(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["catalogues", "--home", str(home)]) == 0
    assert capsys.readouterr().out.startswith("studio ")


def test_what_a_library_prints_does_not_spoil_the_json(ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Workspace, "runs", lambda self: print("loading ...") or [])
    assert ask("runs") == (0, {"runs": []})


def test_train_writes_a_run_and_tells_its_metrics(ask, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_run(catalogue, settings, out: Path, *, vectors: Path, on_step, resume) -> SimpleNamespace:
        on_step("epoch 1 of 2", 0.5, {"loss": 1.0})
        write_run(out, catalogue.name)
        assert (settings.rank, settings.seed, settings.epochs, vectors) == ("content", 3, 2, home / "vectors")
        metrics = {"validation": {"recall@1": 0.25}, "test": {"recall@1": float("nan")}}
        return SimpleNamespace(run=out.name, metrics=metrics, epochs=2, best_epoch=1, seconds=1.5)

    module(monkeypatch, "core.train", train_run=train_run, finished=None)
    given = ("--catalogue", "studio", "--rank", "content", "--seed", "3", "--epochs", "2", "--name", "mine")
    status, answer = ask("train", *given)
    assert status == 0
    assert answer == {
        "run": "mine", "epochs": 2, "best_epoch": 1, "seconds": 1.5,
        "metrics": {"validation": {"recall@1": 0.25}, "test": {"recall@1": None}},
    }  # fmt: skip
    assert Workspace.open(home).run("mine").rank == "content"
    status, answer = ask("train", *given)
    assert status == 1
    assert "is a run already" in answer["error"]["reason"]


def test_train_on_an_unknown_catalogue_is_refused(ask, monkeypatch: pytest.MonkeyPatch) -> None:
    module(monkeypatch, "core.train", train_run=None, finished=None)
    status, answer = ask("train", "--catalogue", "luma", "--rank", "content")
    assert status == 1
    assert 'unknown catalogue "luma"' in answer["error"]["reason"]


def answer_of(query, top: int, without: tuple[str, ...]) -> Recommendation:
    items = tuple(
        RankedItem(
            item_id=f"s{n}", title=f"Item {n}", rank=n + 1, score=1.0 - n / 10, phi={"text": 0.3, "image": -0.1},
            shares={"text": 0.75, "image": 0.25}, gates={"text": 0.5, "image": 0.5},
        )
        for n in range(top)
    )  # fmt: skip
    return Recommendation(
        run="mine", catalogue="studio", device="cpu", scope="query", players=("text", "image"), items=items,
        coalitions=np.zeros((4, top), np.float32), item_ids=tuple(item.item_id for item in items),
        distance=Distance(value=0.5, percentile=99.5), timing_ms={"total": np.float32(12.5)},
        notices=(Notice(code="N-IMG-FLAT", message="almost no content", where=",".join(without) or query.text),),
    )  # fmt: skip


def test_recommend_gives_items_with_shares_and_hashes_the_user(
    ask, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace.open(home)
    workspace.add_run(write_run(workspace.new_run_folder("mine"), "toys"))
    asked: list = []

    class Pipeline:
        def recommend(self, query, *, top, without):
            asked.append(query)
            return answer_of(query, top, without)

    module(monkeypatch, "core.pipeline", open_pipeline=lambda *_: Pipeline())
    photo = write_atomic(tmp_path / "mug.png", paint((1, 2, 3)))
    status, answer = ask(
        "recommend", "--run", "mine", "--text", "a mug", "--image", str(photo), "--user", "anna", "--top", "3"
    )
    assert status == 0
    assert set(answer) >= {"run", "device", "scope", "items", "distance", "timing_ms"}
    assert [one["rank"] for one in answer["items"]] == [1, 2, 3]
    assert set(answer["items"][0]) >= {"item_id", "title", "rank", "score", "shares", "gates"}
    assert answer["distance"] == {"value": 0.5, "percentile": 99.5, "unlike_anything": True}
    assert answer["timing_ms"] == {"total": 12.5}
    [query] = asked
    assert (query.text, query.of_modality("image")[0].content) == ("a mug", photo.read_bytes())
    assert query.user == workspace.user_key("anna")
    status, answer = ask("recommend", "--run", "mine", "--text", "a mug", "--without", "image", "--without", "audio")
    assert answer["notices"][0]["where"] == "image,audio"
    status, answer = ask("recommend", "--run", "mine", "--image", "nothing.jpg")
    assert (status, answer["error"]["code"]) == (1, "E-INPUT-VALUE")


def test_evaluate_hands_on_what_the_protocol_found(ask, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "run": "mine", "protocol": "cold", "split": "test", "products": "cold", "queries": 60,
        "metrics": {"recall@1": {"value": 0.5, "low": 0.4, "high": 0.6}}, "chance": {"recall@1": 1 / 320}, "single": {},
    }  # fmt: skip
    asked: dict = {}

    def evaluate_run(workspace, run, **options):
        asked.update(options, run=run)
        return found

    module(monkeypatch, "core.evaluate.run", evaluate_run=evaluate_run)
    assert ask("evaluate", "--run", "mine", "--products", "cold", "--query", "photo") == (0, found)
    assert (asked["run"], asked["products"], asked["query"], asked["split"]) == ("mine", "cold", "photo", "test")


def test_doctor_lists_checks_and_what_is_missing(ask, home: Path) -> None:
    status, answer = ask("doctor")
    assert set(answer) == {"ok", "device", "checks"}
    assert status == (0 if answer["ok"] else 1)
    names = [check["name"] for check in answer["checks"]]
    for name in ("python", "packages", "device", "weights minilm", "weights efficientnet_lite0", "threads", "database"):
        assert name in names
    assert all(check["detail"] for check in answer["checks"])
    assert answer["ok"] == all(check["ok"] for check in answer["checks"] if check["needed"])
    assert not home.exists()


def test_doctor_says_that_changed_weights_may_not_be_used(ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from core.encode import weights

    monkeypatch.setitem(weights.BUNDLED, "minilm", replace(weights.MINILM, sha256="0" * 64))
    status, answer = ask("doctor")
    [check] = [check for check in answer["checks"] if check["name"] == "weights minilm"]
    assert (status, answer["ok"], check["ok"]) == (1, False, False)
    assert "was expected" in check["detail"]


def test_doctor_finds_a_broken_database(ask, home: Path) -> None:
    write_atomic(home / "fusescope.sqlite", b"a shopping list " * 300)
    status, answer = ask("doctor")
    [check] = [check for check in answer["checks"] if check["name"] == "database"]
    assert (status, check["ok"]) == (1, False)
    assert "E-DB-BROKEN" in check["detail"]


def test_progress_names_the_time_that_is_left_and_draws_no_bar_into_a_file() -> None:
    import io

    page = io.StringIO()
    bar = Bar(page)
    bar.show("keeping photos", 0.25, 75.0)
    bar.show("keeping photos", 0.26, 74.0)
    bar.show("done", 1.0, 0.0)
    bar.close()
    assert page.getvalue() == " 25% keeping photos, 1:15 left\n100% done, 0:00 left\n"
