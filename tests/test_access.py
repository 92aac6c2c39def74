"""Signing in: who may look, who may write, and that a button which is only hidden or greyed out protects nothing."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from streamlit import config
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.runtime.secrets import Secrets
from streamlit.testing.v1 import AppTest
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from bench.visitor import Visitor
from core.errors import InputError, RoleError
from core.evaluate.slices import Condition
from core.people import annotations_csv, annotations_json, annotations_of
from core.store.values import Annotation, CaseRef
from pages.shared import access, adding, data_services, errors_people, errors_services, questions
from pages.shared import errors_visit as visit
from tests.app_server import ROOT, serving
from tests.test_errors_page import book, said, world  # noqa: F401
from tests.test_security_server import in_own_loop

SECRET = "0123456789abcdef" * 4
SECRETS = {
    "auth": {"cookie_secret": SECRET, "client_id": "fusescope", "client_secret": "none",
             "redirect_uri": "http://127.0.0.1:8501/oauth2callback",
             "server_metadata_url": "https://id.example/.well-known/openid-configuration"},
    "roles": {"annotators": ["anna@shop.example"], "viewers": ["*@shop.example"]},
}  # fmt: skip
ANNA = {"is_logged_in": True, "email": "Anna@shop.example", "email_verified": True}
VERA = {"is_logged_in": True, "email": "vera@shop.example", "email_verified": True}


def page(name: str, user: dict, secrets: dict | None = None) -> AppTest:
    at = AppTest.from_file(ROOT / name, default_timeout=120)
    at.secrets.update(SECRETS if secrets is None else secrets)
    at.user = user
    at.run()
    assert not at.exception
    return at


@pytest.mark.parametrize(("user", "role"), [
    (ANNA, "annotator"), (VERA, "viewer"), ({"is_logged_in": False}, ""),
    ({**ANNA, "email_verified": False}, ""), ({**ANNA, "email_verified": "false"}, ""),
    ({**ANNA, "email_verified": "true"}, ""), ({**ANNA, "email_verified": None}, ""),
    ({"is_logged_in": True, "email": "anna@shop.example"}, "annotator"),  # listed by name; the provider says nothing
    ({"is_logged_in": True, "email": "vera@shop.example"}, ""),  # of a listed domain, which takes a verified address
    ({**ANNA, "email": "anna@elsewhere.example"}, ""), ({**ANNA, "email": "eve@evilshop.example"}, ""),
    ({**ANNA, "email": ""}, ""), ({**ANNA, "email": "xanna@shop.example.evil"}, ""),
])  # fmt: skip
def test_a_role_comes_from_the_lists_and_a_verified_mail(user, role, monkeypatch):
    monkeypatch.setattr(access, "_secrets", lambda: SECRETS)
    monkeypatch.setattr(access.st, "user", user)
    assert access.role() == role


@pytest.mark.parametrize(("listed", "role"), [
    ("*@shop.example", "annotator"), ("anna@shop.example", "annotator"), (["*"], "annotator"), ("*", "annotator"),
    ("*@other.example", ""), ([], ""), (7, ""), ([7, None], ""),
])  # fmt: skip
def test_an_entry_without_brackets_is_one_entry_not_its_letters(listed, role, monkeypatch):
    monkeypatch.setattr(access, "_secrets", lambda: {**SECRETS, "roles": {"annotators": listed}})
    monkeypatch.setattr(access.st, "user", ANNA)
    assert access.role() == role


BROKEN = {
    "no TOML": b"[auth\n",
    "no UTF-8": b"# \xff\n",
    "nothing in it": b"",
    "no [auth]": b"[roles]\nannotators = ['*']\n",
}


@pytest.fixture
def read_again(tmp_path, monkeypatch):
    """Writes the settings and lets Streamlit read them, as it does when the file changes."""
    path = tmp_path / "secrets.toml"
    option = config.get_option
    for where in (config, access.st):
        monkeypatch.setattr(where, "get_option", lambda name: [str(path)] if name == "secrets.files" else option(name))
    monkeypatch.setattr(access, "_asked_at_start", False)
    monkeypatch.setattr(access.st, "user", ANNA)

    def read(content: bytes | None) -> None:
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content)
        monkeypatch.setattr(access.st, "secrets", Secrets())

    return read


@pytest.mark.parametrize("content", [*BROKEN.values(), None], ids=[*BROKEN, "no file"])
def test_who_asked_at_the_start_lets_nobody_in_when_the_settings_break(content, read_again, tmp_path):
    good = written(tmp_path).read_bytes()
    read_again(good)
    access.check_secrets()
    assert access.role() == "annotator"
    read_again(content)
    assert (access.signing_in(), access.role(), access.person(), access.may_write()) == (True, "", "", False)
    with pytest.raises(RoleError):
        access.writable()
    read_again(good)
    assert access.role() == "annotator"


@pytest.mark.parametrize("kind", ["no TOML", "no UTF-8"])
def test_settings_that_cannot_be_read_refuse_the_start_and_let_nobody_in(kind, read_again):
    read_again(BROKEN[kind])
    assert access.role() == ""
    with pytest.raises(SystemExit, match="cannot be read"):
        access.check_secrets()


def test_without_a_file_the_server_starts_and_asks_nobody(read_again):
    read_again(None)
    access.check_secrets()
    assert access.role() == "annotator"


def test_without_sign_in_everybody_may_write(monkeypatch):
    monkeypatch.setattr(access, "_secrets", dict)
    assert (access.role(), access.person(), access.may_write()) == ("annotator", "", True)


@pytest.mark.parametrize("user", [{"is_logged_in": False}, {**ANNA, "email": "eve@elsewhere.example"}])
def test_who_is_not_let_in_sees_a_door_and_nothing_else(user):
    at = page("app.py", user)
    assert [one.value for one in at.header] == ["Fusescope"]
    assert len(at.button) == 1 and not at.text_area and not at.selectbox
    assert ("is on no list" in said(at)) == user["is_logged_in"]


def test_who_is_let_in_sees_the_home_page_and_who_they_are():
    at = page("app.py", VERA)
    assert "vera@shop.example, viewer" in said(at) and at.button(key="access_out").label == "Sign out"


def test_an_annotator_signs_with_their_own_name_and_no_other(world, book):  # noqa: F811
    at = page("pages/errors_page.py", ANNA)
    assert not [one for one in at.text_input if one.key == visit.AUTHOR]
    at.button(key=visit.label_key("wrong photo")).click().run()
    assert [(one.author, one.labels) for one in annotations_of(world, "toy")] == [
        ("anna@shop.example", ("wrong photo",))
    ]


def test_a_viewer_who_presses_what_is_greyed_out_changes_nothing(world, book):  # noqa: F811
    at = page("pages/errors_page.py", VERA)
    key = visit.label_key("wrong photo")
    assert at.button(key=key).disabled
    at.button(key=key).proto.disabled = False  # a client of their own sends what the page would not
    at.button(key=key).click().run()
    note = at.text_area(key=visit.note_key(str(book.cases.key[book.cases.order("worst")[0]]), 1))
    note.proto.disabled = False
    note.set_value("mine").run()
    assert annotations_of(world, "toy") == []


def test_a_viewer_whose_press_gets_as_far_as_the_callback_is_refused_in_words(world, monkeypatch):  # noqa: F811
    monkeypatch.setattr(access, "_secrets", lambda: SECRETS)
    monkeypatch.setattr(access.st, "user", VERA)
    state = {visit.note_key("c", 1): "mine"}
    monkeypatch.setattr(access.st, "session_state", state)
    ref = CaseRef(key="c", user="u", item="t00")
    for press in (
        lambda: errors_people._toggle("toy", ref, "vera@shop.example", "wrong photo", True),
        lambda: errors_people._keep_note("toy", ref, "vera@shop.example", 1),
    ):
        press()
        assert "E-SESSION-ROLE" in state.pop(visit.REFUSED)
    with pytest.raises(RoleError, match="may look here, not change"):
        errors_services.save_slice("toy", "mine", (Condition(attribute="category", value="mug"),), "Vera")
    assert annotations_of(world, "toy") == []


def test_where_people_sign_in_a_file_of_labels_adds_those_of_its_bearer_alone(world, monkeypatch):  # noqa: F811
    said = [
        Annotation(case=CaseRef(key=f"{number:016x}", user="u", item="t00"), author=who, labels=("bad data",), note="")
        for number, who in enumerate(("anna@shop.example", "vera@shop.example", "Anna"))
    ]
    monkeypatch.setattr(access, "_secrets", lambda: SECRETS)
    monkeypatch.setattr(access.st, "user", ANNA)
    with pytest.raises(InputError, match=r"2 signed with another name than anna@shop\.example were left out"):
        errors_people._import("toy", annotations_csv(said[1:]))
    assert annotations_of(world, "toy") == []
    told = errors_people._import("toy", annotations_json(said))
    assert told.startswith("1 annotations read") and "2 signed with another name" in told
    assert [one.author for one in annotations_of(world, "toy")] == ["anna@shop.example"]
    monkeypatch.setattr(access.st, "user", VERA)
    with pytest.raises(RoleError):
        errors_people._import("toy", annotations_csv(said[1:2]))
    monkeypatch.setattr(access, "_secrets", dict)  # nobody signs in here
    assert errors_people._import("toy", annotations_csv(said)) == "3 annotations read; what was there stays."
    assert len(annotations_of(world, "toy")) == 3


def test_a_viewer_starts_no_work(monkeypatch):
    monkeypatch.setattr(access, "_secrets", lambda: SECRETS)
    monkeypatch.setattr(access.st, "user", VERA)
    for work in (
        lambda: data_services.import_path("x", "/"), lambda: data_services.import_upload("x", "x.zip", b"x"),
        lambda: data_services.look_deeper("x"), lambda: data_services.cancel(1), lambda: data_services.resume(1),
        lambda: errors_services.make(errors_services.case_set("x", errors_services.KINDS[0], "test")),
        lambda: adding.add("x", {"item_id": "new-1", "title": "a mug"}, {}), lambda: questions._keep("x"),
    ):  # fmt: skip
        try:
            told = work()
        except RoleError as refused:
            told = refused
        assert isinstance(told, RoleError)


WRITES = re.compile(
    "put_(label|note|seen)|(save|drop)_slice|save_label_set|import_annotations|start_training|add_item|keep_question"
)
STARTS = {"start", "cancel", "resume"}  # of core.jobs.queue, under whatever name


def unguarded(tree: ast.AST) -> tuple[list[str], int]:
    """Calls that change something with another workspace than `access.writable()`, and how many use that one."""
    queue = {
        one.asname or one.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        and node.module == "core.jobs.queue" for one in node.names if one.name in STARTS
    }  # fmt: skip
    wrong, right = [], 0
    for part in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        named = {
            node.targets[0].id for node in ast.walk(part) if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name) and ast.unparse(node.value) == "access.writable()"
        }  # fmt: skip
        for node in [node for node in ast.walk(part) if isinstance(node, ast.Call) and node.args]:
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = ast.unparse(node.args[0])
            safe = first == "access.writable()" or first in named
            writes = (isinstance(node.func, ast.Name) and name in queue) or (
                WRITES.fullmatch(name) and "workspace" in ast.dump(node.args[0])
            )
            wrong += [f"{node.lineno} {name}({first})"] if writes and not safe else []
            right += safe
    return wrong, right


def test_no_page_changes_anything_but_through_the_guard():
    found = 0
    for path in sorted((ROOT / "pages").rglob("*.py")):
        wrong, right = unguarded(ast.parse(path.read_text("utf-8")))
        assert wrong == [], path.name
        found += right
    assert found >= 20


def test_the_search_for_unguarded_writes_finds_one_under_any_name():
    lines = (
        "def add():\n workspace = services.workspace()\n add_item(workspace, 'x')",
        "def keep():\n keep_question(services.workspace(), 'x')",
        "def go():\n from core.jobs.queue import start as begin\n begin(services.workspace(), 'x')",
    )
    assert [len(unguarded(ast.parse(one))[0]) for one in lines] == [1, 1, 1]
    guarded = "def add():\n workspace = access.writable()\n add_item(workspace, 'x')"
    assert unguarded(ast.parse(guarded)) == ([], 1)


# ---- a running server


def written(folder: Path, secret: str = SECRET) -> Path:
    lines = ["[auth]", *(f"{name} = {json.dumps(value)}" for name, value in SECRETS["auth"].items()), "[roles]",
             *(f"{name} = {json.dumps(value)}" for name, value in SECRETS["roles"].items())]  # fmt: skip
    path = folder / "secrets.toml"
    path.write_text("\n".join(lines).replace(SECRET, secret), "utf-8")
    return path


class SignedIn(Visitor):
    """A visitor with a cookie that says who they are, signed with `secret`."""

    secret, claims = SECRET, {"email": "vera@shop.example", "is_logged_in": True, "email_verified": True}

    def _cookie(self) -> str:
        claims = {"origin": f"http://127.0.0.1:{self.port}", **self.claims}
        signed = create_signed_value(self.secret, "_streamlit_user", json.dumps(claims))
        return f"{super()._cookie()}; _streamlit_user={signed.decode()}"


def test_s19_a_running_server_shows_nothing_without_a_cookie_that_it_signed(tmp_path):
    class Forged(SignedIn):
        secret = "f" * 64

    async def look(kind):
        seen = []
        for name in ("errors", "data", "recommend", ""):
            visitor = kind(port=server.port)
            seen.append((await visitor.open(name)).content)
            message = BackMsg()
            message.rerun_script.page_script_hash = "errors_page"
            seen.append((await visitor._act(message, 60)).content)
            await visitor.close()
        return seen

    with serving(tmp_path / "home", ROOT / "app.py", f"--secrets.files={written(tmp_path)}") as server:
        known, stranger, forged = (in_own_loop(look(kind)) for kind in (SignedIn, Visitor, Forged))
    assert any(b"studio" in content for content in known)
    for content in (*stranger, *forged):
        assert b"asks who you are" in content and b"studio" not in content


def test_settings_that_break_while_the_server_runs_close_the_door(tmp_path):
    async def look():
        visitor = SignedIn(port=server.port)
        content = (await visitor.open("")).content
        await visitor.close()
        return content

    path = written(tmp_path)
    with serving(tmp_path / "home", ROOT / "app.py", f"--secrets.files={path}") as server:
        assert b"studio" in in_own_loop(look())
        path.write_bytes(BROKEN["no TOML"])
        end = time.monotonic() + 60
        while b"studio" in (content := in_own_loop(look())) and time.monotonic() < end:
            time.sleep(0.5)
    assert b"cannot be read just now" in content and b"studio" not in content


@pytest.mark.parametrize("secret", ["", "short"])
def test_a_cookie_secret_that_can_be_guessed_is_refused(tmp_path, secret):
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true", "--server.port=18734",
               f"--secrets.files={written(tmp_path, secret)}"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "cookie_secret" in done.stderr


def test_with_sign_in_another_address_is_no_longer_refused(monkeypatch):
    from pages.shared import served

    monkeypatch.setattr(served.st, "get_option", lambda name: "0.0.0.0")
    monkeypatch.setattr(served, "network_allowed", lambda: False)
    monkeypatch.setattr(access, "_secrets", dict)
    with pytest.raises(SystemExit, match="refused"):
        served.stay_at_home()
    monkeypatch.setattr(access, "_secrets", lambda: SECRETS)
    served.stay_at_home()
