"""App: what the sub-commands have in common, and how their help looks.

    Usage: latency-kv snapshot scan [OPTIONS] FILE [PREFIX]

    Arguments:
      FILE    A snapshot's file, or a folder of checkpoints.
      PREFIX  Only keys that begin so.

An argument is shown by its name alone.  Some releases of typer add its Python type and a
mark where it is required, which the usage line tells already.

Knows no verb.  Start at `new_app`.
"""

from collections.abc import Callable
from typing import Any

from typer import BadParameter, Typer
from typer.core import TyperArgument, TyperCommand

__all__ = ["VerbCommand", "new_app", "whole_number"]


class VerbCommand(TyperCommand):
    """A verb, whose help is as above."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return ["[OPTIONS]", *map(_in_usage, self._arguments(ctx))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        arguments = self._arguments(ctx)
        options = [each for each in self.get_params(ctx) if each not in arguments]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl([(each.metavar, each.help) for each in arguments])
        with formatter.section("Options"):
            records = [each.get_help_record(ctx) for each in options]
            formatter.write_dl([each for each in records if each is not None])

    def _arguments(self, ctx: Any) -> list[TyperArgument]:
        return [
            each for each in self.get_params(ctx) if isinstance(each, TyperArgument)
        ]


def new_app(help: str | None = None, example: str | None = None) -> Typer:
    """Return an app without verbs; one of several has a help, and an example below it."""
    return Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        no_args_is_help=help is not None,
        context_settings={"help_option_names": ["-h", "--help"]},
        help=help,
        epilog=None if example is None else f"Example: {example}",
    )


def whole_number(least: int) -> Callable[[str], int]:
    """Return what reads an option that is a whole number, of this or more."""

    def read(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise BadParameter(f"'{text}' is no whole number") from None
        if number < least:
            raise BadParameter(f"{number} is too low: {least} is the least")
        return number

    return read


def _in_usage(argument: TyperArgument) -> str:
    name = f"{argument.metavar}" if argument.required else f"[{argument.metavar}]"
    return name if argument.nargs == 1 else f"{name}..."
