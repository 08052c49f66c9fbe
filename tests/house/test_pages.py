"""Pages: README.md and docs/ do what they show, and their links lead somewhere.

`pages` says what is run and how.  Start at `test_page_does_what_it_shows`.
"""

import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from pages import PAGES, ROOT, Session, blocks_of, is_as_shown

# What is in the clone that a page installs the package from.
CLONE = ["setup.py", "pyproject.toml", "README.md", "LICENSE", "latency_kv"]

# To a place in this page, or to a file of the project and a place in it.
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)

named = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(ROOT))
)


@named
def test_page_does_what_it_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    blocks = blocks_of(page)
    folder = tmp_path / "folder"
    folder.mkdir()
    stranger = full and any(block.mark == "make check" for block in blocks)
    if stranger:
        put_clone(folder / "latency-kv")
    monkeypatch.chdir(folder)
    # A page may look for modules in its folder, which the next one has not.
    monkeypatch.setattr(sys, "path", [*sys.path])
    session = Session(page, folder, tmp_path / "session", stranger=stranger)
    for block in blocks:
        if block.mark == "" or (full and block.mark == "make check"):
            session.run(block)


def put_clone(folder: Path) -> None:
    """Put what the package is built from into a new folder."""
    folder.mkdir()
    ignored = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    for name in CLONE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, folder)


@named
def test_links_lead_somewhere(page: Path) -> None:
    for target, place in LINK.findall(FENCED.sub("", page.read_text())):
        path = page.parent / target if target else page
        assert path.exists(), target
        if place:
            assert place in anchors_of(path), f"{target}#{place}"


def anchors_of(page: Path) -> set[str]:
    """The places that headings make, as GitHub and the site name them."""
    headings = HEADING.findall(FENCED.sub("", page.read_text()))
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in headings
    }


def test_readme_shows_python() -> None:
    assert any(block.language == "python" for block in blocks_of(PAGES[0]))


def test_table_of_extras_has_every_extra() -> None:
    page = (ROOT / "docs/install.md").read_text()
    table = page.partition("| extra |")[2].partition("\n\n")[0]
    first = "".join(re.findall(r"^\|(.*?)\|", table, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    shown = re.findall(r"`(\w+)`", first)
    assert sorted(shown) == sorted(project["optional-dependencies"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_says_what_its_blocks_are(page: Path) -> None:
    """A block of another kind would be passed over without a word."""
    kinds = {"python", "cython", "console", "text", "toml", "json", "c"}
    fences = re.findall(r"^```(.+)$", page.read_text(), re.MULTILINE)
    assert {fence.partition(" ")[0] for fence in fences} <= kinds
    assert len(fences) == len(blocks_of(page))


@pytest.mark.parametrize(
    ("seen", "shown", "is_shown"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\nb\n", "a\n", False),
        ("a\nb\nc\n", "a\n...\nc\n", True),
        ("a\nb\n", "a\nb\n...\n", True),
        ("a\nb\n", "...\nc\n", False),
        ("took 3 ms\n", "took ... ms\n", True),
        ("took 3 s\n", "took ... ms\n", False),
        ("a.b\n", "a-b\n", False),
    ],
)
def test_output_is_compared(seen: str, shown: str, is_shown: bool) -> None:
    assert is_as_shown(seen, shown) is is_shown
