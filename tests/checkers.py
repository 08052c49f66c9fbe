"""Checkers: what mypy and pyright say of files, and what these say that they should.

A file says it in comments, at the end of a statement:

    reveal_type(data.get(RETRIES))  # int | None
    data.set(RETRIES, "3")  # error: no int

The first must be revealed as this type by both, modules left out; the second must be
refused by both, whatever the words.  Everything else must be refused by neither.

Start at `differences`.
"""

import ast
import io
import json
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from fresh import TESTS

ROOT = TESTS.parent

# Both exit with 1 if they have found errors, with more if they could not look.
_MOST_EXIT = 1

_ERROR = "error:"
_REVEALED = re.compile(r'(?:Revealed type|Type of ".*") is "(.*)"', re.DOTALL)
_MODULES = re.compile(r"\b(?:[A-Za-z_]\w*\.)+(?=\w)")


class Remark(NamedTuple):
    """What a checker has to say at one place."""

    path: Path
    line: int
    text: str
    is_error: bool

    @property
    def revealed(self) -> str | None:
        """The type that was asked for, if that is what this is about."""
        found = _REVEALED.fullmatch(self.text)
        return None if found is None or self.is_error else _MODULES.sub("", found[1])

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.text}"


Checker: TypeAlias = Callable[[Iterable[Path]], list[Remark]]


class Claim(NamedTuple):
    """A statement, by its lines, and what its comment says of it."""

    first: int
    last: int
    is_question: bool
    comment: str | None


def mypy(paths: Iterable[Path]) -> list[Remark]:
    """Run mypy --strict over files of which the package's source is a part."""
    output = _run("mypy", "--strict", "--output=json", paths)
    remarks = map(json.loads, output.splitlines())
    return [
        Remark(ROOT / each["file"], each["line"], each["message"], _is_error(each))
        for each in remarks
    ]


def pyright(paths: Iterable[Path]) -> list[Remark]:
    """Run pyright, as pyproject.toml has it, over files and folders."""
    # Its node is a package too; what it prints as JSON is no news of later releases,
    # which it would have to ask the network for.
    output = _run("pyright", "--outputjson", "--pythonpath", sys.executable, paths)
    report = json.loads(output)
    assert report["summary"]["filesAnalyzed"] > 0, report
    return [
        Remark(
            Path(each["file"]),
            each["range"]["start"]["line"] + 1,
            each["message"],
            _is_error(each),
        )
        for each in report["generalDiagnostics"]
    ]


def differences(paths: list[Path], checker: Checker) -> list[str]:
    """Return where the files say one thing and the checker says another."""
    remarks = checker(paths)
    return [
        f"{path.relative_to(ROOT)}:{claim.first}: {difference}"
        for path in paths
        for claim, said in _together(path, remarks)
        for difference in _differences(claim, said)
    ]


def _differences(claim: Claim, said: list[Remark]) -> Iterator[str]:
    errors = [each.text for each in said if each.is_error]
    revealed = [each.revealed for each in said if each.revealed is not None]
    if claim.comment is not None and claim.comment.startswith(_ERROR):
        if not errors:
            yield f"accepted, and the comment says {claim.comment!r}"
        return
    yield from errors
    if claim.is_question and revealed != [claim.comment]:
        yield f"revealed as {revealed}, and the comment says {claim.comment!r}"


def _together(
    path: Path, remarks: list[Remark]
) -> Iterator[tuple[Claim, list[Remark]]]:
    """Give each statement of a file what was said at its own lines."""
    said = {claim: list[Remark]() for claim in _claims(path.read_text("utf-8"))}
    for remark in remarks:
        if remark.path == path:
            said[_innermost(said, remark.line)].append(remark)
    yield from said.items()


def _claims(source: str) -> Iterator[Claim]:
    comments = {
        token.start[0]: token.string.removeprefix("#").strip()
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            decorators: list[ast.expr] = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(each.lineno for each in decorators)])
            last = node.end_lineno or node.lineno
            # Behind a statement with a body stands what its last one's comment says.
            comment = None if hasattr(node, "body") else comments.get(last)
            yield Claim(first, last, _is_question(node), comment)


def _is_question(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Call(func=ast.Name(id="reveal_type"))):
            return True
        case _:
            return False


def _innermost(claims: Iterable[Claim], line: int) -> Claim:
    around = [claim for claim in claims if claim.first <= line <= claim.last]
    return min(around, key=lambda claim: claim.last - claim.first)


def _is_error(remark: Any) -> bool:
    return remark["severity"] not in ("note", "information")


def _run(module: str, *arguments: str | Iterable[Path]) -> str:
    command = [sys.executable, "-m", module]
    for argument in arguments:
        command += [argument] if isinstance(argument, str) else map(str, argument)
    done = subprocess.run(
        command,
        cwd=ROOT,
        # The sources, as pyright has them, rather than what is installed.
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode <= _MOST_EXIT, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout
