"""README: every block of Python in README.md and in docs/ runs as it stands.

The blocks of one page share their names, as a reader would type them in one session. A
block that is not to be run is not marked as python. Start at `blocks_of`.
"""

import re
from pathlib import Path

import pytest

from fresh import TESTS

ROOT = TESTS.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(page: Path) -> list[tuple[int, str]]:
    """The blocks of a page, each with the line that it starts on."""
    text = page.read_text()
    return [
        (text.count("\n", 0, match.start()) + 1, match[1])
        for match in BLOCK.finditer(text)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_run(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for line, block in blocks_of(page):
        padded = "\n" * line + block
        exec(compile(padded, str(page), "exec"), names)  # noqa: S102 - our own pages


def test_readme_shows_python() -> None:
    assert blocks_of(ROOT / "README.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target
