"""Every code: the same set in the code, in docs/codes.md and in the contract."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = ROOT.parent / "shared" / "bad_inputs.md"
AREAS = "IMG|TXT|TAB|ROW|ZIP|AUD|VID|MODEL|ARR|FILE|URL|INPUT|SESSION|QUEUE|RATE|JOB|DB|DISK|GPU|WORKER|SPLIT"
CODE = re.compile(rf"\b[EN]-(?:{AREAS})-[A-Z]+\b")
BUILT = {  # files that put the area in front of a reason
    "core/catalog/archive.py": "E-ZIP-", "core/catalog/arrays.py": "E-ARR-", "core/catalog/sounds.py": "E-AUD-",
    "core/catalog/clips.py": "E-VID-", "core/tensors.py": "E-MODEL-",
}  # fmt: skip
REASON = re.compile(r'\b_?refused\(\s*"([A-Z]+)"')
NOTED = {"core/catalog/sounds.py": "N-AUD-", "core/catalog/clips.py": "N-VID-"}


def in_code() -> set[str]:
    found = set()
    for folder in ("core", "pages"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text("utf-8")
            found |= set(CODE.findall(text))
            name = path.relative_to(ROOT).as_posix()
            if name in BUILT:
                found |= {BUILT[name] + reason for reason in REASON.findall(text)}
            if name in NOTED:
                found |= {NOTED[name] + reason for reason in re.findall(r'\b_notice\(\s*"([A-Z]+)"', text)}
    return found


def in_docs() -> set[str]:
    rows = (ROOT / "docs" / "codes.md").read_text("utf-8").splitlines()
    return {match.group(1) for row in rows if (match := re.match(r"\| `([EN]-[A-Z]+-[A-Z]+)` \|", row))}


def in_contract() -> set[str]:
    text = CONTRACT.read_text("utf-8")
    part = text[text.index("**E-IMG-**", text.index("## 3. Messages")) : text.index("**Order of checks**")]
    found = set()
    for area, reasons in re.findall(r"\*\*([EN]-[A-Z]+-)\*\*(.*?)(?=\*\*|\n- |\Z)", part, re.DOTALL):
        found |= {area + reason for reason in re.findall(r"(?:^|[·.])\s*([A-Z]+)\b", reasons.strip())}
    return found


def test_the_list_names_every_code_of_the_product_and_no_other():
    assert in_code() == in_docs()


def test_the_list_holds_the_whole_contract():
    if not CONTRACT.is_file():
        pytest.skip("the contract ../shared/bad_inputs.md is not there")
    assert len(in_contract()) > 110
    assert in_contract() <= in_docs()
    ours = in_docs() - in_contract()
    assert ours == {"E-DB-CONFLICT", "E-SESSION-ROLE", "N-SPLIT-MEDIA"}


def test_every_code_has_its_meaning_and_what_to_do():
    for row in (ROOT / "docs" / "codes.md").read_text("utf-8").splitlines():
        if row.startswith("| `"):
            cells = [cell.strip() for cell in row.strip("|").split("|")]
            assert len(cells) == 3 and all(cells), row
