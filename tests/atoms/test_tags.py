"""Tags: keys whose identity is the object, with a type and a default at most."""

import copy
import pickle
from typing import Any

import pytest

from latency_kv.atoms import Tag, tag


def test_tag_has_label_and_repr() -> None:
    retries = tag("retries")
    assert isinstance(retries, Tag)
    assert retries.label == "retries"
    assert repr(retries) == "tag('retries')"
    assert repr(tag("it's")) == 'tag("it\'s")'


def test_tags_with_one_label_are_different() -> None:
    first, second = tag("retries"), tag("retries")
    assert first != second
    assert first == first  # noqa: PLR0124 - equality is identity
    assert len({first, second, first}) == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, False),
        ({"type": int}, False),
        ({"default": 3}, True),
        ({"default": None}, True),
        ({"default": 0}, True),
        ({"default_factory": list}, True),
    ],
)
def test_has_default_tells_whether_one_was_given(
    options: dict[str, Any], expected: bool
) -> None:
    assert tag("retries", **options).has_default is expected


@pytest.mark.parametrize("label", ["", None, 3])
def test_label_that_is_no_text_or_empty_is_refused(label: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        tag(label)


def test_empty_label_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="label"):
        tag("")


@pytest.mark.parametrize("default", [[], {}, set(), bytearray(), [1, 2]])
def test_mutable_default_is_refused_with_the_way_out(default: Any) -> None:
    with pytest.raises(ValueError, match="default_factory"):
        tag("retries", default=default)


@pytest.mark.parametrize("default", [3, "three", None, (), (1, 2), frozenset({1}), b""])
def test_immutable_default_is_taken(default: Any) -> None:
    assert tag("retries", default=default).has_default


def test_default_and_default_factory_together_are_refused() -> None:
    options: dict[str, Any] = {"default": 3, "default_factory": int}
    with pytest.raises(ValueError, match="default_factory"):
        tag("retries", **options)
    options["default"] = None
    with pytest.raises(ValueError, match="default_factory"):
        tag("retries", **options)


@pytest.mark.parametrize(
    ("kind", "default"), [(int, "three"), (int, None), (str, 3), (bool, 1)]
)
def test_default_that_is_not_of_the_type_is_refused(kind: Any, default: Any) -> None:
    with pytest.raises(TypeError, match="retries"):
        tag("retries", type=kind, default=default)


@pytest.mark.parametrize(
    ("kind", "default"), [(int, 3), (int, True), (object, None), (int | None, None)]
)
def test_default_of_the_type_is_taken(kind: Any, default: Any) -> None:
    assert tag("retries", type=kind, default=default).has_default


@pytest.mark.parametrize("kind", [list[int], dict[str, int], "int", 3, Any])
def test_type_that_isinstance_cannot_use_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError):
        tag("retries", type=kind)


def test_type_that_isinstance_cannot_use_is_refused_with_a_default_too() -> None:
    kind: Any = list[int]
    with pytest.raises(TypeError):
        tag("retries", type=kind, default_factory=list)


def test_default_factory_is_not_called_by_tag() -> None:
    def fail() -> Any:
        raise AssertionError("called")

    assert tag("retries", default_factory=fail).has_default


def test_copies_of_a_tag_are_the_tag() -> None:
    retries = tag("retries", default=3)
    assert copy.copy(retries) is retries
    assert copy.deepcopy(retries) is retries
    assert copy.deepcopy({"key": [retries]})["key"][0] is retries


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_tag_is_not_pickled(protocol: int) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(tag("retries"), protocol)
