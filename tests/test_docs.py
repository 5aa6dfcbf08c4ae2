"""Documents that have to agree with the program: the generated tables, links, and the examples' configuration."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modwsgi_go.express import table

TOP = Path(__file__).parent.parent
DOCS = TOP / "docs"


def load_tables():
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLES = load_tables()


@pytest.mark.parametrize("name", sorted(TABLES.PAGES))
def test_generated_pages_are_current(name):
    page = (DOCS / name).read_text(encoding="utf-8")
    assert page == TABLES.PAGES[name](), f"docs/{name} is not current: run `python docs/tables.py`"


def test_remarks_are_about_options_that_work():
    working = {row.name for row in table.ROWS if row.effect == table.WORKS}
    assert set(TABLES.DIFFERENT) <= working and working >= TABLES.NEW


PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *(f"docs/{p.name}" for p in sorted(DOCS.glob("*.md")))]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    """Files that a page links to exist, and so do the headings that it links to within itself."""
    text = (TOP / page).read_text(encoding="utf-8")
    headings = {re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).strip().replace(" ", "-")
                for line in text.splitlines() if line.startswith("#")}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (TOP / page).parent.joinpath(target.partition("#")[0]).exists(), target


def test_the_source_distribution_has_what_the_readme_names():
    """Pages that README links to, and the folder whose scripts the Makefile runs, are in MANIFEST.in."""
    manifest = (TOP / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    names = {word for line in manifest if line.startswith(("graft ", "include ")) for word in line.split()[1:]}
    targets = re.findall(r"\]\(([^)\s#:]+)\)", (TOP / "README.md").read_text(encoding="utf-8"))
    assert {target.split("/")[0] for target in targets} | {".ci"} <= names


def test_the_configuration_among_the_examples_has_its_full_effect():
    folder = TOP / "examples" / "two-sites"
    command = [sys.executable, "-m", "modwsgi_go", "check", "httpd.conf"]
    environ = {**os.environ, "PWD": str(folder)}
    check = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=60)
    assert check.returncode == 0 and "0 errors, 0 warnings, 0 notices" in check.stdout, check.stdout


CODE = r"\b(?:WSGI\d{4}|AH\d{5}|(?:WSGI|CONF|HTTPD)(?:-[A-Z]+)+)\b"


def printed_codes():
    """Every code that the server can print: all that the sources of the server have; C names mod_wsgi's by number."""
    found = {}
    sources = [p for folder in ("gocore", "src") for p in (TOP / folder).rglob("*") if p.suffix in (".go", ".c", ".py")]
    for path in sources:
        if path.name.endswith("_test.go") or "_gocore" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        codes = re.findall(CODE, text)
        if path.suffix == ".c":
            codes += [f"WSGI{number}" for number in re.findall(r'"(0\d{3})"', text)]
        for code in codes:
            found.setdefault(code, path.relative_to(TOP))
    return found


def test_every_code_is_explained():
    """docs/errors.md has a section for each code that can be printed, one only, and no other."""
    page = (DOCS / "errors.md").read_text(encoding="utf-8")
    explained = [code for line in page.splitlines() if line.startswith("### ") for code in re.findall(CODE, line)]
    assert len(explained) == len(set(explained)), "a code has two sections"
    printed = printed_codes()
    missing = {code: str(path) for code, path in printed.items() if code not in explained}
    assert not missing, f"docs/errors.md: say what these mean, their usual cause and the cure: {missing}"
    assert set(explained) <= set(printed), f"docs/errors.md: nothing prints these: {set(explained) - set(printed)}"


def test_tests_that_pages_name_exist():
    """docs/processes.md says which test shows what it promises."""
    named = set(re.findall(r"`((?:test_|Test)\w+)`", (TOP / "docs/processes.md").read_text()))
    sources = [*(TOP / "tests").glob("test_*.py"), *(TOP / "gocore").rglob("*_test.go")]
    defined = {name for path in sources for name in re.findall(r"(?:def|func) ((?:test_|Test)\w+)\(", path.read_text())}
    assert len(named) > 40 and named <= defined, named - defined
