"""Pages: the page of a list that a query asks for.

Start at `page_of`.
"""

from collections.abc import Sequence
from typing import TypeVar

from latency_kv.errors import FacetError
from latency_kv.facets.paging import PaginatedQuery, PaginatedResult

T = TypeVar("T")


def page_of(matches: Sequence[T], query: PaginatedQuery) -> PaginatedResult[T]:
    """Cut the page out of all that matches; VALIDATION for a negative number."""
    if query.offset < 0 or (query.limit is not None and query.limit < 0):
        raise FacetError("a page has no negative limit or offset", "VALIDATION")
    rest = matches[query.offset :]
    items = tuple(rest if query.limit is None else rest[: query.limit])
    return PaginatedResult(items, len(matches), len(items) < len(rest))
