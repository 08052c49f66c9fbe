"""Site: `make docs` builds without a warning, and its reference has every public name.

A warning is an error there, a link or an anchor that leads nowhere too.  Start at
`test_site_is_built`.
"""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from fresh import TESTS, run_fresh

ROOT = TESTS.parent
REFERENCE = ROOT / "docs/reference"
ROOMS = ["typed", "checkpoints", "documents", "plugins", "atoms", "providers"]


@pytest.mark.skipif(find_spec("mkdocs") is None, reason="the extra docs is missing")
def test_site_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    folder = tmp_path / "site"
    options = ["-f", str(ROOT / "mkdocs.yml"), "-d", str(folder)]
    # Not --quiet: what it does not say, it does not count as a warning.
    run_fresh("-m", "mkdocs", "build", *options)
    store = (folder / "reference/store.html").read_text()
    # Of a compiled class: its types from the stub, its texts from the module.
    assert 'id="latency_kv.core.store.InMemoryStore.get"' in store
    assert "Return the value of key as bytes, or default." in store
    commands = (folder / "reference/command-line.html").read_text()
    assert "List entries in key order: key, value." in commands
    # Nothing is loaded from elsewhere.
    for page in folder.rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img)[^>]+"(https?:[^"]+)"', page.read_text()
        )
        assert not loaded, page


@pytest.mark.parametrize("room", ROOMS)
def test_reference_has_every_name_of_a_room(room: str) -> None:
    module = f"latency_kv.{room}"
    page = (REFERENCE / f"{room}.md").read_text()
    shown = re.findall(rf"^::: {re.escape(module)}\.(\w+)$", page, re.MULTILINE)
    assert sorted(shown) == sorted(import_module(module).__all__)


def test_reference_has_every_facet_s_module() -> None:
    page = (REFERENCE / "facets.md").read_text()
    shown = re.findall(r"^::: latency_kv\.facets\.(\w+)$", page, re.MULTILINE)
    modules = {path.stem for path in (ROOT / "latency_kv/facets").glob("*.py")}
    assert {*shown} == modules - {"__init__"}


def test_every_page_is_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    pages = {
        str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").rglob("*.md")
    }
    assert {*re.findall(r"(\S+\.md)$", text, re.MULTILINE)} == pages | {"index.md"}


def test_cython_s_table_has_calls_that_exist() -> None:
    page = (REFERENCE / "cython.md").read_text()
    headers = "".join(
        path.read_text() for path in (ROOT / "latency_kv/core").glob("*.pxd")
    )
    called = re.findall(r"^\| `(\w+)\(", page, re.MULTILINE)
    assert len(called) >= 9
    for name in called:
        assert re.search(rf"cdef [\w ]+\*?[ ]?{name}\(", headers), name
