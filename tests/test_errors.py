"""Errors: one tree, each with the builtin that a reader expects, whole after pickling."""

import inspect
import pickle
from pathlib import Path
from typing import get_args

import pytest

from latency_kv import errors
from latency_kv.errors import (
    AmbiguousFacetError,
    CircularDependencyError,
    DuplicatePluginError,
    DurabilityError,
    FacetError,
    FacetErrorCode,
    FacetNotFoundError,
    InvalidationLoopError,
    JsonValueError,
    LatencyKVError,
    LockTimeoutError,
    MissingDependencyError,
    MissingTagError,
    OutcomeUnknownError,
    PluginError,
    PluginHookError,
    PluginInUseError,
    PluginManifestError,
    SnapshotCorruptError,
    SnapshotError,
    SnapshotVersionError,
    StateDecodeError,
    StateError,
    StateFormatError,
    StateMigrationError,
    StateParseError,
    StateReadError,
    StateValidationError,
    StateWriteError,
)


def test_every_error_is_in_the_tree() -> None:
    classes = {
        name: member
        for name, member in vars(errors).items()
        if inspect.isclass(member) and issubclass(member, Exception)
    }
    assert {*classes, "FacetErrorCode"} == {*errors.__all__}
    assert all(issubclass(member, LatencyKVError) for member in classes.values())


def test_state_decode_error_is_a_value_error_with_its_key() -> None:
    error = StateDecodeError(b"seat:12A", "the value is not an int")
    assert isinstance(error, ValueError)
    assert error.key == b"seat:12A"
    assert str(error) == "the value is not an int (key b'seat:12A')"


def test_state_decode_error_shows_the_start_of_a_long_key() -> None:
    error = StateDecodeError(b"k" * 65_535, "the value is not an int")
    assert str(error).endswith("kkk'... of 65535 bytes)")
    assert len(str(error)) < 150


def test_state_decode_error_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(StateDecodeError(b"k", "no")))
    assert (error.key, error.reason, str(error)) == (b"k", "no", "no (key b'k')")


@pytest.mark.parametrize(
    ("error", "builtin", "said"),
    [
        (
            SnapshotCorruptError("it is empty", Path("a.lkv")),
            ValueError,
            "a.lkv: it is",
        ),
        (SnapshotCorruptError("it is empty"), ValueError, "it is empty"),
        (SnapshotVersionError(7, 2, Path("a.lkv")), ValueError, "version 7, flags 0x2"),
        (DurabilityError(Path("a.lkv")), OSError, "a.lkv: the file is in place"),
        (LockTimeoutError("d/.lock", 1.5), TimeoutError, "d/.lock: another writer"),
        (JsonValueError("value[1]: JSON has no nan"), ValueError, "value[1]: JSON"),
        (StateError("clock", "it is gone"), Exception, "plugin 'clock': it is gone"),
        (StateReadError("clock", "no", Path("a")), OSError, "plugin 'clock': no (a)"),
        (StateWriteError("clock", "no", Path("a")), OSError, "plugin 'clock': no (a)"),
        (OutcomeUnknownError("clock", "perhaps"), OSError, "'clock': perhaps"),
        (StateParseError("clock", "no", Path("a"), "{"), ValueError, "no (a)"),
        (StateFormatError("clock", "later"), StateParseError, "later"),
        (
            StateReadError(None, "no", key="a", store="redis://h/?namespace=n"),
            OSError,
            "key 'a' of redis://h/?namespace=n: no",
        ),
        (StateWriteError(None, "it is full", store="lmdb:/d"), OSError, "lmdb:/d: it"),
        (OutcomeUnknownError(None, "lost", key="a"), OSError, "key 'a': lost"),
        (StateParseError(None, "no", None, "{", key=""), ValueError, "key '': no"),
        (StateValidationError("clock", "no"), ValueError, "'clock': no"),
        (StateMigrationError("clock", "no"), RuntimeError, "'clock': no"),
        (FacetError("no issue 7", "NOT_FOUND"), Exception, "no issue 7"),
        (FacetNotFoundError("Logger"), LookupError, 'found for facet "Logger"'),
        (FacetNotFoundError("Logger", "q"), LookupError, 'with qualifier "q"'),
        (AmbiguousFacetError("Logger", ["a", "b"]), LookupError, '"Logger": a, b. '),
        (CircularDependencyError(["a", "b", "a"]), ValueError, "a -> b -> a"),
        (PluginError("clock", "no"), Exception, "plugin 'clock': no"),
        (PluginManifestError("clock", ["no", "nor"]), ValueError, "'clock': no; nor"),
        (DuplicatePluginError("clock"), ValueError, "'clock': a plugin of this id"),
        (MissingDependencyError("clock", "no", "F", "q"), LookupError, "'clock': no"),
        (
            PluginInUseError("clock", ["a", "b"]),
            RuntimeError,
            "unload them first: a, b",
        ),
        (PluginHookError("clock", "activate"), RuntimeError, "its activate raised"),
        (MissingTagError("retries"), LookupError, "tag 'retries' has neither"),
        (InvalidationLoopError(["a", "b", "a"]), RuntimeError, "a -> b -> a"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_error_says_where_and_survives_pickling(
    error: LatencyKVError, builtin: type[Exception], said: str
) -> None:
    assert isinstance(error, builtin)
    assert said in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), vars(again), str(again)) == (
        type(error),
        vars(error),
        str(error),
    )


def test_state_error_shows_what_there_is_and_no_more() -> None:
    assert str(StateError(None, "no")) == "no"
    assert str(StateError(None, "no", Path("a"))) == "no (a)"
    assert str(StateError(None, "no", key="a", store="memory:")) == (
        "key 'a' of memory:: no"
    )
    long = str(StateError(None, "no", key="\n" * 65_535))
    assert long.endswith("\\n'... of 65535 characters: no")
    assert len(long) < 200


def test_system_errors_number_survives_pickling() -> None:
    error = StateWriteError(None, "no", key="a", store="file:/d")
    error.errno = 28
    again = pickle.loads(pickle.dumps(error))
    assert (again.errno, again.key, again.store) == (28, "a", "file:/d")


def test_unsound_images_are_caught_by_one_name() -> None:
    assert issubclass(SnapshotCorruptError, SnapshotError)
    assert issubclass(SnapshotVersionError, SnapshotError)


def test_errors_of_files_have_no_number_that_is_not_the_systems() -> None:
    """What OSError would make of two arguments or more."""
    for error in (
        LockTimeoutError("d/.lock", 1.5),
        StateReadError("clock", "no", Path("a")),
        OutcomeUnknownError("clock", "perhaps", Path("a")),
    ):
        assert (error.errno, error.strerror, error.filename) == (None, None, None)


@pytest.mark.parametrize("code", get_args(FacetErrorCode))
def test_facet_error_has_a_code_and_a_cause(code: FacetErrorCode) -> None:
    cause = TimeoutError("slow")
    error = FacetError("it took too long", code, cause)
    assert (error.code, error.message, error.__cause__) == (
        code,
        "it took too long",
        cause,
    )


def test_facet_error_refuses_a_code_that_nobody_knows() -> None:
    with pytest.raises(ValueError, match="'VALIDATION_ERROR' is none of NOT_FOUND"):
        FacetError("no", "VALIDATION_ERROR")  # type: ignore[arg-type]


def test_facets_errors_have_the_code_that_a_consumer_expects() -> None:
    assert FacetError("no").code == "UNKNOWN"
    assert FacetNotFoundError("Logger").code == "NOT_FOUND"
    assert AmbiguousFacetError("Logger", ["a"]).code == "CONFLICT"
    assert CircularDependencyError(["a", "a"]).code == "VALIDATION"
