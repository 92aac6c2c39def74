"""The rules of the house, proved: who may import whom, what stays light, how pages are named, what no source holds."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST_FILE = 400
TO_SPLIT = {  # known to be too long; may shrink, must not grow
    "tests.test_bad_inputs": 410,
}  # fmt: skip
LISTS = {  # mostly data, read by looking things up: sentences of the shop; one short builder for each family
    "sample_data.generator.words",
    "sample_data.generator.families",
}
STAGES = {"catalog", "encode", "align", "fuse", "rank", "explain"}
GROUND = {"domain", "errors", "config", "limits", "files", "nearest"}  # what everybody stands on
BINDING = STAGES | GROUND | {"model", "features", "train", "evaluate", "pipeline", "presets", "workspace", "store"}

# area of core -> the areas it may import, itself aside. A stage meets another stage only above this line.
MAY_IMPORT: dict[str, set[str]] = {
    **{area: {"domain", "errors", "limits"} for area in GROUND},
    "errors": set(),
    **{stage: GROUND for stage in STAGES},
    "store": GROUND,
    "figures": GROUND,
    "model": STAGES | GROUND | {"prepare"},
    "features": STAGES | GROUND,
    "prepare": STAGES | GROUND | {"features"},
    "train": STAGES | GROUND | {"model", "features", "pipeline", "evaluate", "prepare"},
    "evaluate": (BINDING - {"store"}) | {"scoring", "explaining", "prepare"},
    "pipeline": (BINDING - {"store", "evaluate", "train"}) | {"tensors"},
    "tensors": GROUND,
    "fallback": GROUND | {"pipeline"},
    "database_index": GROUND | {"pipeline", "rank", "store", "workspace"},
    "scoring": STAGES | GROUND | {"features", "pipeline"},
    "editing": STAGES | GROUND | {"scoring"},
    "explaining": STAGES | GROUND | {"features", "pipeline", "scoring", "editing"},
    "account": STAGES | GROUND | {"pipeline", "explaining"},
    "presets": GROUND,
    "workspace": STAGES | GROUND | {"store", "importing"},
    "cluster": STAGES | GROUND | {"features"},
    "importing": BINDING | {"prepare", "cluster"},
    "adding": BINDING | {"importing"},
    "jobs": BINDING | {"importing", "prepare"},
    "report": BINDING | {"figures", "figures_errors", "figures_explain", "figures_media", "explaining", "editing"},
    "people": BINDING | {"report"},
    "privacy": BINDING,
    "asked": BINDING | {"privacy"},
    "figures_errors": GROUND | {"figures"},
    "figures_data": GROUND | {"figures"},
    "figures_media": GROUND | {"figures", "figures_explain"},
    "mapping": BINDING | {"prepare"},
    "figures_explain": GROUND | {"figures"},
    "figures_map": GROUND | {"figures"},
    "figures_training": GROUND | {"figures"},
    "figures_missing": GROUND | {"figures"},
}
ABOVE_EVERYTHING = {"core.__main__", "core.doctor"}  # the command line binds all of core
PAGE_MAY_IMPORT = GROUND | {
    "presets", "figures", "figures_explain", "figures_media", "figures_map", "figures_training", "figures_errors",
    "figures_data", "figures_missing",
}  # fmt: skip
SHARED_MAY_IMPORT = PAGE_MAY_IMPORT | {
    "workspace", "pipeline", "jobs", "evaluate", "report", "importing", "doctor", "catalog", "explain", "people",
    "mapping", "explaining", "editing", "prepare", "fallback", "privacy", "asked",
    "database_index", "adding",
}  # fmt: skip
VALUES = "core.store.values"  # plain values that travel; rows and sessions do not

SCREEN = {"streamlit"}
HEAVY = {"streamlit", "umap", "transformers", "timm", "numba", "sentence_transformers", "captum", "tensorboard"}
MAY_LOAD_TORCH = {
    "encode", "align", "fuse", "rank", "train", "explain", "model", "features", "pipeline", "mapping", "scoring",
    "explaining", "editing", "prepare", "fallback", "nearest", "database_index", "account",
}  # fmt: skip
MEASURE_NETWORKS = {
    "core.evaluate.measure", "core.evaluate.run", "core.evaluate.judge", "core.evaluate.trust", "core.evaluate.audit",
    "core.evaluate.truth_shares", "core.evaluate.missing", "core.evaluate.knockout", "core.evaluate.new_items",
}  # fmt: skip
STAYS_LIGHT = {"core.explain.shapley", "core.explain.compare", "core.explain.contributions", "core.encode.weights"}


@cache
def sources() -> dict[str, Path]:
    """Dotted name -> file, of every Python source of the house."""
    files = [ROOT / "app.py"] if (ROOT / "app.py").exists() else []
    for folder in ("core", "pages", "bench", "sample_data", "tests"):
        files += sorted((ROOT / folder).rglob("*.py"))
    return {name_of(file): file for file in files if "__pycache__" not in file.parts}


def name_of(file: Path) -> str:
    parts = list(file.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(sources()[name].read_text(encoding="utf-8"))


def imports(name: str) -> set[str]:
    """Dotted names a module imports anywhere in it, functions and type annotations included."""
    found: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}, line {node.lineno}: imports are written in full, never relative"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {full if full in sources() else str(node.module) for full in inside}
    return found


def area(name: str) -> str:
    """encode of core.encode.text; "" of core itself."""
    return [*name.split("."), ""][1]


def core_modules() -> list[str]:
    return [name for name in sources() if name.split(".")[0] == "core" and "migrations" not in name]


def core_areas(name: str) -> set[str]:
    return {area(other) for other in imports(name) if other.split(".")[0] == "core" and area(other)}


@pytest.mark.parametrize("name", core_modules())
def test_values_flow_forward_and_imports_point_back(name):
    if name in ABOVE_EVERYTHING or name == "core" or area(name) == "commands":
        return
    assert area(name) in MAY_IMPORT, f"{name} is in no area of the house; give it its place in MAY_IMPORT"
    beyond = core_areas(name) - MAY_IMPORT[area(name)] - {area(name)}
    assert not beyond, f"{name} may not import core.{', core.'.join(sorted(beyond))}"


@pytest.mark.parametrize("name", core_modules())
def test_nothing_in_core_knows_a_screen(name):
    roots = {other.split(".")[0] for other in imports(name)}
    assert not roots & {*SCREEN, "pages", "app", "tests", "bench"}, (
        f"{name} imports {roots & {*SCREEN, 'pages', 'app'}}"
    )


def test_pages_reach_models_and_tables_only_through_what_is_shared():
    for name in sources():
        if name.split(".")[0] not in ("pages", "app"):
            continue
        allowed = SHARED_MAY_IMPORT if name.startswith("pages.shared") else PAGE_MAY_IMPORT
        reached = {area(other) for other in imports(name) - {VALUES} if other.split(".")[0] == "core" and area(other)}
        beyond = reached - allowed
        assert not beyond, f"{name} may not import core.{', core.'.join(sorted(beyond))}"
        assert not imports(name) & {"torch", "sqlalchemy", "transformers", "timm"}, f"{name} computes or stores"


# Imports one module after another, each in a fork of a process that has loaded nothing of ours.
PROBE = """
import importlib, json, os, sys
first, *names = json.loads(sys.argv[1])
if first:
    importlib.import_module(first)
for name in names:
    read, write = os.pipe()
    if os.fork() == 0:
        try:
            importlib.import_module(name)
            report = sorted({loaded.split(".")[0] for loaded in sys.modules})
        except BaseException as error:
            report = f"{type(error).__name__}: {error}"
        with os.fdopen(write, "w") as pipe:
            json.dump(report, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        print(json.dumps([name, json.load(pipe)]), flush=True)
    os.wait()
"""


def loaded_by(names: list[str], first: str = "") -> dict[str, set[str]]:
    """Top-level packages in sys.modules after importing each module alone, `first` loaded before all of them."""
    command = [sys.executable, "-c", PROBE, json.dumps([first, *names])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    reports = dict(json.loads(line) for line in done.stdout.splitlines())
    broken = {name: report for name, report in reports.items() if isinstance(report, str)}
    assert not broken, broken
    assert set(reports) == set(names)
    return {name: set(report) for name, report in reports.items()}


def stays_light(name: str) -> bool:
    return name in STAYS_LIGHT or (area(name) not in MAY_LOAD_TORCH and name not in MEASURE_NETWORKS)


needs_fork = pytest.mark.skipif(sys.platform == "win32", reason="modules are imported in forked processes")


@needs_fork
def test_importing_core_loads_nothing_heavy():
    loaded = loaded_by(["core"])["core"]
    assert not loaded & (HEAVY | {"torch", "pandas", "sklearn", "scipy", "plotly", "PIL"})


@needs_fork
def test_every_module_but_the_network_ones_imports_alone_without_torch():
    names = [name for name in core_modules() if stays_light(name)]
    heavy = {name: loaded & (HEAVY | {"torch"}) for name, loaded in loaded_by(names).items()}
    assert not {name: packages for name, packages in heavy.items() if packages}


@needs_fork
def test_the_network_modules_import_alone_and_load_torch_but_no_library_of_models():
    names = [name for name in core_modules() if not stays_light(name)]
    heavy = {name: loaded & HEAVY for name, loaded in loaded_by(names, first="torch").items()}
    assert heavy.pop("core.train.triples") == {"numba"}  # compiled loops, imported where they are run
    assert not {name: packages for name, packages in heavy.items() if packages}


def page_files() -> list[Path]:
    return sorted((ROOT / "pages").glob("*.py"))


def test_page_files_end_so_that_the_old_discovery_cannot_serve_them_without_the_frame():
    wrong = [file.name for file in page_files() if not file.stem.endswith("_page") and file.name != "__init__.py"]
    assert not wrong, f"pages/ may hold only *_page.py; shared code lives in pages/shared: {wrong}"


def test_every_page_but_the_default_one_has_its_own_address():
    calls = [node for name in sources() if name.split(".")[0] in ("app", "pages") for node in ast.walk(tree(name))
             if isinstance(node, ast.Call) and ast.unparse(node.func) in ("st.Page", "streamlit.Page")]  # fmt: skip
    given = [{word.arg: word.value for word in call.keywords} for call in calls]
    addresses = [ast.literal_eval(words["url_path"]) for words in given if "url_path" in words]
    nameless = [words for words in given if "url_path" not in words]
    assert all(ast.unparse(words.get("default", ast.Constant(value=False))) == "True" for words in nameless)
    assert len(nameless) <= 1 and len(addresses) == len(set(addresses))
    assert not [address for address in addresses if address.endswith("_page")]
    files = [call for call in calls if ast.unparse(call.args[0]) != "access.draw_door"]  # no file: who is not let in
    assert len(files) == len([file for file in page_files() if file.stem.endswith("_page")])


FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {"os.system", "os.popen", "yaml.load", "np.load", "numpy.load", "tempfile.mktemp", "joblib.load"}
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
FORBIDDEN_WORDS = {"unsafe_allow_html", "unsafe_allow_javascript"}
FORBIDDEN_TRUE = {"shell", "allow_pickle"}


def dangers(module: ast.Module, name: str) -> list[str]:
    """What a source holds that opens a door: code from data, markup from data, a shell, unpickling, archives."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.Import | ast.ImportFrom):
            roots = {str(node.module)} if isinstance(node, ast.ImportFrom) else {alias.name for alias in node.names}
            found += [f"{node.lineno}: import {root}" for root in roots if root.split(".")[0] in FORBIDDEN_IMPORTS]
        if isinstance(node, ast.Attribute) and node.attr == "extractall":
            found.append(f"{node.lineno}: extractall")
        if isinstance(node, ast.Call):
            found += [f"{node.lineno}: {text}" for text in call_dangers(node, name)]
    return found


def call_dangers(call: ast.Call, name: str) -> list[str]:
    called, words = ast.unparse(call.func), {word.arg: ast.unparse(word.value) for word in call.keywords}
    found = [word for word in FORBIDDEN_WORDS if word in words]
    found += [word for word in FORBIDDEN_TRUE if words.get(word, "False") != "False"]
    if isinstance(call.func, ast.Name) and called in FORBIDDEN_NAMES:
        found.append(f"{called}()")
    if called in FORBIDDEN_CALLS and not (called.endswith(".load") and words.get("allow_pickle") == "False"):
        found.append(called)
    if called == "torch.load" and (
        not name.startswith(("core.encode", "bench.cases.peers")) or words.get("weights_only") != "True"
    ):
        found.append("torch.load outside core/encode and the peers of bench, or without weights_only=True")
    if called.split(".")[-1] == "text" and any(isinstance(given, ast.JoinedStr) for given in call.args):
        found += (
            ["SQL text() built from an f-string"] if "sqlalchemy" in called or called in ("text", "sa.text") else []
        )
    return found


@pytest.mark.parametrize("name", [name for name in sources() if not name.startswith("tests")])
def test_no_source_opens_a_door(name):
    assert not dangers(tree(name), name)


@pytest.mark.parametrize(
    "line",
    [
        "eval(text)",
        "exec(text)",
        "import pickle",
        "from pickle import loads",
        "st.markdown(text, unsafe_allow_html=True)",
        "subprocess.run(command, shell=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "archive.extractall(folder)",
        "torch.load(path, weights_only=True)",
        "yaml.load(text)",
        "text(f'select {name}')",
    ],
)
def test_the_scan_sees_each_kind_of_door(line):
    assert dangers(ast.parse(line), "core.pipeline")


def test_the_scan_lets_safe_neighbours_pass():
    safe = "model.eval()\nnp.load(path, allow_pickle=False)\nsubprocess.run(command)\nre.compile('a')\ntext('select 1')"
    assert not dangers(ast.parse(safe), "core.pipeline")
    assert not dangers(ast.parse("torch.load(path, weights_only=True)"), "core.encode.weights")


@pytest.mark.parametrize("name", [name for name in sources() if name not in LISTS])
def test_a_file_can_be_read_in_one_sitting(name):
    lines = len(sources()[name].read_text(encoding="utf-8").splitlines())
    most = TO_SPLIT.get(name, LONGEST_FILE)
    assert lines <= most, f"{name} has {lines} lines, at most {most}; give part of it a file of its own"


def test_no_file_is_named_after_nothing():
    vague = re.compile(r"(^|_)(utils?|helpers?|managers?|misc|common|data2)(_|$)")
    assert not [name for name in sources() if vague.search(name.split(".")[-1])]


def test_a_fresh_app_is_bound_to_this_machine_and_sends_nothing():
    config = ROOT / ".streamlit" / "config.toml"
    if not config.exists():
        pytest.skip("the app has no configuration yet")
    import tomllib

    settings = tomllib.loads(config.read_text(encoding="utf-8"))
    assert settings["server"]["address"] == "127.0.0.1"
    assert settings["server"]["fileWatcherType"] == "none"
    assert settings["browser"]["gatherUsageStats"] is False
    assert not settings["server"].get("enableStaticServing", False)
    assert not settings["server"].get("enableAgentApi", False)
