"""Paging: how a facet hands over a long list, a page at a time.

A page of what a query matches is `matches[offset:offset + limit]`, in an order that the
method promises.  What changes between two calls may move entries from one page to
another: paging is no snapshot.

Knows no facet.  Start at `PaginatedQuery`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["PaginatedQuery", "PaginatedResult"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class PaginatedQuery:
    """Which page: at most `limit` matches, after the first `offset`.

    Limit None is all of them and 0 none; an offset behind the last match gives an empty
    page.  A negative one is for the provider to refuse, with FacetError VALIDATION.
    """

    limit: int | None = None
    offset: int = 0


# Without slots: with them, CPython 3.11 cannot make `PaginatedResult[T](...)`.
@dataclass(frozen=True)
class PaginatedResult(Generic[T_co]):
    """One page of what a query matched.

    total counts every match, whatever the page.  has_more tells whether any is behind
    the page: `offset + len(items) < total`, so after `limit=0` too.
    """

    items: tuple[T_co, ...]
    total: int
    has_more: bool
