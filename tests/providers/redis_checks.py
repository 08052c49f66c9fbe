"""Redis checks: the calls of a store by kind, and a look past it into the server.

Knows the layout of the entries. Start at `check_index`.
"""

import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from servers import RedisServer

Call = Callable[[Any], Coroutine[Any, Any, Any]]

READS: dict[str, Call] = {
    "get": lambda store: store.get("key"),
    "has": lambda store: store.has("key"),
    "get_many": lambda store: store.get_many(["key"]),
    "keys": lambda store: store.keys(),
}
SETS: dict[str, Call] = {
    "set": lambda store: store.set("key", "new"),
    "set with ttl": lambda store: store.set("key", "new", ttl=3_600),
    "set_many": lambda store: store.set_many({"key": "new"}),
}
DECISIONS: dict[str, Call] = {
    "delete": lambda store: store.delete("key"),
    "set_if_absent": lambda store: store.set_if_absent("key", "new"),
    "compare_and_set": lambda store: store.compare_and_set("key", "old", "new"),
}
WRITES = {**SETS, **DECISIONS}
CALLS = {**READS, **WRITES}

KEYLESS = [READS["keys"], SETS["set_many"]]


def raw(node: RedisServer, *command: str) -> list[str]:
    """The lines of an answer that has no line breaks within."""
    return node.cli(*command).splitlines()


def members(node: RedisServer, namespace: str) -> set[tuple[str, str]]:
    """The (bucket, key) that the indexes of a namespace have."""
    found = set()
    for pattern in (f"{namespace}:i", f"{namespace}{{*}}:i"):
        for name in raw(node, "--scan", "--pattern", pattern):
            bucket = name.removesuffix(":i")
            found |= {(bucket, key) for key in raw(node, "zrange", name, "0", "-1")}
    return found


def values(node: RedisServer, namespace: str) -> set[tuple[str, str]]:
    """The (bucket, key) that have values, those that are over and not gone yet too."""
    found = set()
    for pattern in (f"{namespace}:d:*", f"{namespace}{{*}}:d:*"):
        for name in raw(node, "--scan", "--pattern", pattern):
            bucket, _, key = name.partition(":d:")
            found.add((bucket, key))
    return found


def check_index(node: RedisServer, namespace: str) -> int:
    """Compare the values with the index, and count them; nobody may write."""
    there, listed = values(node, namespace), members(node, namespace)
    assert there == listed, sorted(there ^ listed)[:5]
    return len(there)


def shown(error: BaseException) -> str:
    """All that anybody shows of an error, and of what led to it."""
    return "".join([*traceback.format_exception(error), repr(error), repr(error.args)])
