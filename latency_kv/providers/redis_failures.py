"""Redis failures: what a refusal or a lost connection means, and what helps.

    the server refused               nothing was applied    repeated if it may pass
    there was no connection          nothing was sent       repeated
    the connection was lost          nobody knows           a read is repeated

A server's word on a script is on all of it: what a script writes before it is refused
changes no value.

No message has a user or a password in it.  Knows no store.  Start at `may_pass`.
"""

from __future__ import annotations

import errno
from typing import Final, TypeAlias

from redis.exceptions import RedisError

from latency_kv.providers.redis_link import Hopeless, LinkError, Unsent, quoted

__all__ = ["Failure", "cause_of", "code_of", "errno_of", "may_pass", "told"]

Failure: TypeAlias = LinkError | RedisError
"""What an exchange raises, or has among its answers."""

# Of a server that starts, is busy, or is between two states of its cluster.
_PASSING: Final = frozenset(
    (
        *("LOADING", "BUSY", "MAXCLIENTS", "NOREPLICAS"),
        *("TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN"),
    )
)

# What the server says without a code, or with ERR.
_CODES: Final = {
    "without any password": "WRONGPASS",
    "no password is set": "WRONGPASS",
    "invalid password": "WRONGPASS",
    "The user executing the script": "NOPERM",
    "cluster support disabled": "NOCLUSTER",
    "max number of clients": "MAXCLIENTS",
    # A script, while its keys are on their way to another node.
    "non local key": "TRYAGAIN",
}

# Their texts may have the user's name in them.
_IDENTITY: Final = frozenset(("NOAUTH", "WRONGPASS", "NOPERM"))

_LOGIN: Final = (
    "look at the user and the password, the URL's or LATENCY_KV_REDIS_USERNAME's and "
    "LATENCY_KV_REDIS_PASSWORD's"
)

_ADVICE: Final = {
    "OOM": "raise its maxmemory, or delete what is not needed",
    "READONLY": "it is a replica, which only reads: name its master in the URL",
    "LOADING": "it reads its files after a start: try again later",
    "BUSY": "a script runs there for long: see who it is with CLIENT LIST",
    "WRONGTYPE": "what is stored there is somebody else's: give the store a namespace "
    "of its own, or delete it",
    "MISCONF": "look at its log, and make room on its disk",
    "NOREPLICAS": "too few of its replicas run: look at min-replicas-to-write",
    "NOAUTH": _LOGIN,
    "WRONGPASS": _LOGIN,
    "NOPERM": "the user needs `~NAMESPACE*` and the commands of strings, sorted sets "
    "and scripts",
    "NOCLUSTER": "it is no cluster: use redis:",
    "MAXCLIENTS": "raise its maxclients, or lower pool_size",
    "MOVED": "it is a node of a cluster: use redis-cluster:",
    "CROSSSLOT": "it is a node of a cluster: use redis-cluster:",
    "CLUSTERDOWN": "see CLUSTER INFO for what it lacks",
    "TRYAGAIN": "its keys are on their way to another node: try again later",
    "ASK": "its keys are on their way to another node: try again later",
}

_ERRNOS: Final = {
    "OOM": errno.ENOSPC,
    "READONLY": errno.EROFS,
    "NOAUTH": errno.EACCES,
    "WRONGPASS": errno.EACCES,
    "NOPERM": errno.EACCES,
}


def code_of(failure: Failure) -> str:
    """Return the server's word for its refusal, such as OOM; "" if it is none."""
    if isinstance(failure, Unsent) and isinstance(failure.cause, RedisError):
        # What the server said instead of letting us in.
        failure = failure.cause
    if not isinstance(failure, RedisError):
        return ""
    text = str(failure)
    for part, code in _CODES.items():
        if part in text:
            return code
    code = failure.status_code or text.partition(" ")[0]
    return code if code.isupper() else ""


def may_pass(failure: Failure) -> bool:
    """Tell whether the same may succeed a little later."""
    code = code_of(failure)
    if isinstance(failure, LinkError) and not code:
        return not isinstance(failure, Hopeless)
    return code in _PASSING


def told(failure: Failure) -> str:
    """Tell what went wrong and what helps."""
    code = code_of(failure)
    if code in _IDENTITY:
        reason = f"the server refuses it: {code}"
    elif isinstance(failure, LinkError):
        reason = failure.reason
    else:
        said = str(failure).partition(" script: ")[0].removeprefix(f"{code} ")
        reason = f"the server refuses it: {quoted(f'{code} {said}')}".rstrip(".")
    advice = _ADVICE.get(code)
    return f"{reason}; {advice}" if advice else reason


def errno_of(failure: Failure) -> int | None:
    """Return the system's number of what is much the same there."""
    return _ERRNOS.get(code_of(failure))


def cause_of(failure: Failure) -> BaseException | None:
    """Return the client's exception, for a traceback."""
    cause = failure.cause if isinstance(failure, LinkError) else failure
    code = code_of(failure)
    if isinstance(cause, RedisError) and code in _IDENTITY:
        return type(cause)(code, status_code=code)
    return cause
