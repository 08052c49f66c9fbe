"""Wording: numbers, verdicts and names as the reports print them.

Knows what a figure is and nothing of pages.  `one_line` is for every text that comes
from a file, whatever it is shown on; escaping for a page comes after it.
"""

from __future__ import annotations

import re
from math import floor, log10

from latency_kv.bench.report import number, quantity
from latency_kv.bench.reports.runs import FigureRow

__all__ = [
    "amount",
    "goal_text",
    "is_close",
    "markdown_text",
    "one_line",
    "rate_text",
    "ratio_text",
    "share_text",
    "system_text",
    "verdict_text",
]

# What begins a thing in Markdown, or in the HTML within it.
_SPECIAL = re.compile(r"[\\`*\[\]|~]")

# A tag or a comment begins right behind it.
_TAG = re.compile(r"<(?! )")

_STEPS = ((1e9, " G/s"), (1e6, " M/s"), (1e3, " K/s"), (1.0, "/s"))


def one_line(text: str, most: int = 1_000) -> str:
    """Return a text without line breaks and what does not print, not too long."""
    line = " ".join(text.split())
    if len(line) > most:
        line = f"{line[: most - 3]}..."
    return "".join(sign if sign.isprintable() else "?" for sign in line)


def markdown_text(text: str) -> str:
    """Return a text that a cell of a Markdown table shows as it is, in ASCII."""
    line = _SPECIAL.sub(r"\\\g<0>", one_line(text)).replace("&", "&amp;")
    line = _TAG.sub("&lt;", line)
    return line.encode("ascii", "xmlcharrefreplace").decode()


def amount(value: float | None, unit: str) -> str:
    """Return a value with its unit; nothing for None."""
    if value is None or unit == "ns":
        return quantity(value, unit)
    if unit == "/s":
        return rate_text(value)
    return f"{number(value)} {one_line(unit)}"


def rate_text(rate: float | None) -> str:
    """Return operations a second in three digits; nothing for None."""
    if rate is None:
        return ""
    size, unit = next((step for step in _STEPS if rate >= step[0]), _STEPS[-1])
    return f"{number(rate / size)}{unit}"


def ratio_text(ratio: float | None) -> str:
    """Return two digits below 1, two decimals up to 10, no exponent; nothing for None.

    >>> [ratio_text(ratio) for ratio in (0.00019, 0.5, 0.998, 1.1777, 21.2, 1234.5)]
    ['0.00019', '0.50', '1.00', '1.18', '21.2', '1,234']
    """
    if ratio is None:
        return ""
    if ratio >= 100:
        return f"{ratio:,.0f}"
    if ratio >= 10:
        return f"{ratio:.1f}"
    decimals = 2 if ratio >= 0.1 or ratio <= 0 else 1 - floor(log10(ratio))
    return f"{ratio:.{min(decimals, 12)}f}"


def share_text(share: float | None) -> str:
    """Return a share in percent; nothing for None."""
    if share is None:
        return ""
    return f"{100 * share:.1f} %" if share < 0.1 else f"{100 * share:.0f} %"


def goal_text(figure: FigureRow) -> str:
    """Return the most that the ratio, and our own figure, may be."""
    goal = "" if figure.goal is None else f"{figure.goal:g}"
    limit = "" if figure.limit is None else f"< {amount(figure.limit, figure.unit)}"
    return ", ".join(filter(None, [goal, limit]))


def is_close(figure: FigureRow) -> bool:
    """Return whether the ratio is on both sides of its goal within the spread."""
    if figure.ratio is None or figure.goal is None or not figure.spread:
        return False
    return abs(figure.ratio - figure.goal) <= figure.ratio * figure.spread


def verdict_text(figure: FigureRow) -> str:
    """Return yes or no, nothing where there is no goal, or why there is no saying."""
    if figure.ours is None:
        return "not measured"
    if figure.reached is None:
        return "at another size" if figure.goal or figure.limit else ""
    verdict = "yes" if figure.reached else "no"
    return f"{verdict}, within the spread" if is_close(figure) else verdict


def system_text(system: str) -> str:
    """Return a system and its version, without what a builder put behind it."""
    return " ".join(one_line(system).split()[:2]).partition("-")[0]
