"""Errors: one tree, each with the builtin that a reader expects, whole after pickling."""

import inspect
import pickle

from latency_kv import errors
from latency_kv.errors import LatencyKVError, StateDecodeError


def test_every_error_is_in_the_tree() -> None:
    classes = {
        name: member
        for name, member in vars(errors).items()
        if inspect.isclass(member) and issubclass(member, Exception)
    }
    assert sorted(classes) == sorted(errors.__all__)
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
