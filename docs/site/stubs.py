"""Stubs: what griffe has to know of this package to make a reference of it.

Of a compiled module griffe reads the stub, which has types and no docstrings; these come
from the module itself.  And a docstring here is plain text, in which a table is lined up
by blanks and an example begins with `>>>`: both become blocks of code.

Start at `HouseStyle`.
"""

import inspect
import re
from importlib import import_module
from textwrap import dedent
from typing import Any

import griffe

# Two blanks stand behind a full stop; more than that line up a column.
_COLUMN = re.compile(r"\S {3,}\S|[^.:?!\s] {2}\S")
_MARKED_COLUMN = re.compile(r"`.*\S {2,}\S")
_PARAGRAPHS = re.compile(r"\n[ ]*\n")


class HouseStyle(griffe.Extension):
    """Gives compiled classes their docstrings, and all docstrings the form of Markdown."""

    def on_module(self, *, mod: griffe.Module, **kwargs: Any) -> None:
        """Complete a module that was read from a stub."""
        if isinstance(mod.filepath, list) or mod.filepath.suffix != ".pyi":
            return
        compiled = import_module(mod.path)
        _take_docstring(mod, compiled)
        for owner in [mod, *mod.classes.values()]:
            if owner.is_alias:
                continue
            _keep_overloaded(owner)
            for function in owner.functions.values():
                if not function.is_alias:
                    for each in [function, *(function.overloads or [])]:
                        _expand(each, mod)
            of_owner = compiled if owner is mod else getattr(compiled, owner.name)
            for name, member in owner.members.items():
                if not member.is_alias:
                    _take_docstring(member, getattr(of_owner, name, None))

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Turn a docstring that griffe has read into Markdown."""
        if obj.docstring is not None:
            obj.docstring.value = markdown_of(obj.docstring.value)


def _keep_overloaded(owner: Any) -> None:
    """Make members of methods that a stub has as overloads alone: griffe drops them."""
    for name, overloads in owner.overloads.items():
        if overloads and name not in owner.members:
            last = overloads[-1]
            member = griffe.Function(
                name,
                parameters=last.parameters,
                returns=last.returns,
                lineno=last.lineno,
                endlineno=last.endlineno,
            )
            member.overloads = overloads
            owner.set_member(name, member)


def _expand(function: griffe.Function, module: griffe.Module) -> None:
    """Say what a stub's private aliases stand for: nobody can import them."""
    for parameter in function.parameters:
        parameter.annotation = _expanded(parameter.annotation, module)
    function.returns = _expanded(function.returns, module)


def _expanded(annotation: Any, module: griffe.Module) -> Any:
    if isinstance(annotation, griffe.ExprBinOp):
        annotation.left = _expanded(annotation.left, module)
        annotation.right = _expanded(annotation.right, module)
    elif isinstance(annotation, griffe.ExprName) and annotation.name in _aliases(
        module
    ):
        return module.attributes[annotation.name].value
    return annotation


def _aliases(module: griffe.Module) -> set[str]:
    return {
        name
        for name, attribute in module.attributes.items()
        if name.startswith("_") and str(attribute.annotation) == "TypeAlias"
    }


def _take_docstring(obj: Any, compiled: Any) -> None:
    text = getattr(compiled, "__doc__", None)
    # An instance would have its class's, and a constructor object's.
    is_own = not obj.is_attribute or inspect.isdatadescriptor(compiled)
    if obj.docstring is None and text and is_own and text != object.__init__.__doc__:
        obj.docstring = griffe.Docstring(inspect.cleandoc(text), parent=obj)


def markdown_of(text: str) -> str:
    """Return a docstring as Markdown: its tables and examples as blocks of code."""
    return "\n\n".join(map(_paragraph, _PARAGRAPHS.split(text.strip("\n"))))


def _paragraph(text: str) -> str:
    if text.startswith("```"):
        return text
    if text.lstrip().startswith(">>> "):
        return f"```pycon\n{dedent(text)}\n```"
    is_indented = all(line.startswith("    ") for line in text.splitlines() if line)
    if is_indented or _COLUMN.search(text):
        # Where no column comes after them, marks of code are not needed to line it up.
        plain = text if _MARKED_COLUMN.search(text) else text.replace("`", "")
        return f"```text\n{dedent(plain)}\n```"
    return text
