"""Keys: byte order is value order, each key unpacks to its values, nothing else does.

Layouts and values are random; the fields' own corners come first in each strategy.
Start at `test_byte_order_is_value_order`.
"""

import math
import pickle
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latency_kv import InMemoryStore
from latency_kv.errors import StateDecodeError
from latency_kv.typed.keys import KeyLayout, successor

LOW_BYTES = st.lists(st.sampled_from([0, 1, 2, 0xFE, 0xFF])).map(bytes)
LOW_CHARACTERS = st.text(st.sampled_from("\0\1\2a\x7f\x80\uffff\U0010ffff"))

VALUES: dict[str, st.SearchStrategy[Any]] = {
    **{
        f"uint{bits}": st.integers(0, (1 << bits) - 1) | st.just((1 << bits) - 1)
        for bits in (8, 16, 32, 64)
    },
    **{
        f"int{bits}": st.integers(-1 << bits - 1, (1 << bits - 1) - 1)
        | st.sampled_from([-1 << bits - 1, -1, 0, (1 << bits - 1) - 1])
        for bits in (8, 16, 32, 64)
    },
    "float64": st.floats(allow_nan=False)
    | st.sampled_from([-math.inf, -5e-324, -0.0, 0.0, 5e-324, math.inf]),
    "str": LOW_CHARACTERS | st.text(st.characters(exclude_categories=["Cs"])),
    "bytes": LOW_BYTES | st.binary(),
}
PREFIXES = st.sampled_from([b"", b"w", b"\0", b"\xff\xff", b"{0}'\\"])


@st.composite
def layouts(draw: st.DrawFn) -> KeyLayout:
    fields: list[Any] = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=5))
    return KeyLayout(draw(PREFIXES), *fields)


@st.composite
def layouts_and_values(draw: st.DrawFn, count: int) -> tuple[Any, ...]:
    """A layout and so many tuples of values, which often begin alike."""
    layout = draw(layouts())
    rows = [tuple(draw(VALUES[field]) for field in layout.fields)]
    while len(rows) < count:
        common = draw(st.integers(0, len(layout.fields)))
        rest = tuple(draw(VALUES[field]) for field in layout.fields[common:])
        rows.append(rows[0][:common] + rest)
    return (layout, *rows)


@given(layouts_and_values(2))
def test_byte_order_is_value_order(drawn: tuple[KeyLayout, Any, Any]) -> None:
    layout, a, b = drawn
    assert (layout.pack(*a) < layout.pack(*b)) == (a < b)
    assert (layout.pack(*a) == layout.pack(*b)) == (a == b)


@pytest.mark.parametrize("field", sorted(VALUES))
def test_single_field_sorts_as_its_values(field: Any) -> None:
    layout = KeyLayout(b"p", field)

    @given(st.lists(VALUES[field]))
    def sorts(values: list[Any]) -> None:
        packed = sorted(layout.pack(value) for value in values)
        assert [layout.unpack(key)[0] for key in packed] == sorted(values)

    sorts()


@given(layouts_and_values(1))
def test_key_unpacks_to_its_values(drawn: tuple[KeyLayout, Any]) -> None:
    layout, values = drawn
    key = layout.pack(*values)
    assert type(key) is bytes
    assert layout.unpack(key) == values
    assert layout.unpack(bytearray(key)) == layout.unpack(memoryview(key)) == values


@given(layouts_and_values(2), st.data())
def test_prefix_is_shared_by_exactly_its_keys(
    drawn: tuple[KeyLayout, Any, Any], data: st.DataObject
) -> None:
    layout, a, b = drawn
    count = data.draw(st.integers(0, len(layout.fields)))
    prefix = layout.prefix(*a[:count])
    assert layout.pack(*a).startswith(prefix)
    assert layout.pack(*b).startswith(prefix) == (a[:count] == b[:count])


def accepts(layout: KeyLayout, key: bytes) -> bool:
    """Unpack: either StateDecodeError, or values that pack to the key again."""
    try:
        values = layout.unpack(key)
    except StateDecodeError as error:
        assert error.key == key
        return False
    assert layout.pack(*values) == key
    return True


@given(layouts(), st.binary() | LOW_BYTES)
def test_unpack_of_any_bytes_accepts_only_packed_keys(
    layout: KeyLayout, data: bytes
) -> None:
    accepts(layout, data)
    accepts(layout, layout.prefix() + data)


@given(layouts_and_values(1), st.data())
def test_unpack_of_damaged_key_accepts_only_packed_keys(
    drawn: tuple[KeyLayout, Any], data: st.DataObject
) -> None:
    layout, values = drawn
    key = layout.pack(*values)
    assert not accepts(layout, key + b"\0")
    if key:
        assert not accepts(layout, key[:-1])
        place = data.draw(st.integers(0, len(key) - 1))
        byte = data.draw(st.integers(0, 255))
        accepts(layout, key[:place] + bytes((byte,)) + key[place + 1 :])


@pytest.mark.parametrize(
    ("field", "form"),
    [
        ("float64", "7fffffffffffffff"),  # -0.0
        ("float64", "fff8000000000000"),  # NaN
        ("float64", "0007ffffffffffff"),  # NaN, negative
        ("str", "0102"),  # no end
        ("str", "0100"),  # escape of nothing
        ("str", "010300"),  # escape of another byte
        ("str", "ff00"),  # no UTF-8
        ("str", "c08000"),  # overlong
        ("str", "eda08000"),  # surrogate
        ("bytes", "01020300" + "00"),  # more after the end
    ],
)
def test_unpack_refuses_forms_that_pack_never_makes(field: Any, form: str) -> None:
    layout = KeyLayout(b"p", field)
    with pytest.raises(StateDecodeError, match=r"not of KeyLayout\(b'p', '") as caught:
        layout.unpack(b"p" + bytes.fromhex(form))
    assert caught.value.__cause__ is not None


def test_unpack_refuses_another_prefix_and_str() -> None:
    with pytest.raises(StateDecodeError):
        KeyLayout(b"a", "uint8").unpack(b"b\0")
    with pytest.raises(TypeError):
        KeyLayout(b"a", "uint8").unpack("a\0")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("int8", -129),
        ("int8", 128),
        ("uint16", 1 << 16),
        ("uint64", -1),
        ("uint64", 1 << 64),
        ("int64", 1 << 63),
        ("int64", -(1 << 63) - 1),
        ("float64", 1 << 1024),
        ("float64", math.nan),
        ("str", "\ud800"),
    ],
)
def test_value_out_of_range_raises_value_error(field: Any, value: Any) -> None:
    layout = KeyLayout(b"p", field)
    with pytest.raises(ValueError):
        layout.pack(value)
    with pytest.raises(ValueError):
        layout.prefix(value)


@pytest.mark.parametrize("value", [None, 1.0, 1j, "1", b"1", [1], ("1",), object()])
@pytest.mark.parametrize("field", ["int8", "uint64", "float64", "str", "bytes"])
def test_value_of_another_type_raises_type_error(field: Any, value: Any) -> None:
    own = {"float64": float, "str": str, "bytes": bytes}.get(field, int)
    layout = KeyLayout(b"p", "uint8", field)
    if isinstance(value, own):
        assert layout.unpack(layout.pack(7, value)) == (7, value)
    else:
        with pytest.raises(TypeError) as caught:
            layout.pack(7, value)
        told = f"field 2 of {layout!r} takes {own.__name__}, not {type(value).__name__}"
        assert str(caught.value).startswith(told)


def test_wrong_type_is_told_with_what_to_do() -> None:
    layout = KeyLayout(b"p:", "uint64", "str", "bytes")
    of = r"of KeyLayout\(b'p:', 'uint64', 'str', 'bytes'\) takes"
    for values, message in [
        ((1, b"a", b""), f"field 2 {of} str, not bytes: decode it first$"),
        ((1, "a", "b"), f"field 3 {of} bytes, not str: encode it first, .*encode"),
        ((1.5, "a", b""), f"field 1 {of} int, not float: round it first$"),
        ((1, 7, b""), f"field 2 {of} str, not int$"),
    ]:
        with pytest.raises(TypeError, match=message):
            layout.pack(*values)
    mixed = KeyLayout(b"p", "float64", "str")
    with pytest.raises(TypeError, match="field 2 .* takes str, not int"):
        mixed.pack(0.5, 7)


def test_number_of_values_is_checked() -> None:
    layout = KeyLayout(b"p", "uint8", "str")
    for values in [(), (1,), (1, "a", "b")]:
        with pytest.raises(TypeError):
            layout.pack(*values)
    of = r"^KeyLayout\(b'p', 'uint8', 'str'\)\.pack\(\) "
    with pytest.raises(TypeError, match=f"{of}missing 1 .*'str_2'"):
        layout.pack(1)
    with pytest.raises(TypeError, match=f"{of}takes 2 .* but 3 were given"):
        layout.pack(1, "a", "b")
    with pytest.raises(TypeError, match="3 values are too many"):
        layout.prefix(1, "a", "b")


def test_unknown_field_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no field is called 'int'.*uint8.*bytes"):
        KeyLayout(b"p", "int")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the prefix is bytes, not str: b'p'"):
        KeyLayout("p", "int8")  # type: ignore[arg-type]


def test_numpy_values_pack_as_pythons_own() -> None:
    np = pytest.importorskip("numpy")
    layout = KeyLayout(b"p", "int64", "uint8", "float64", "str", "bytes")
    values = (-5, 250, 1.5, "a\0", b"b\0")
    same = layout.pack(
        np.int64(-5),
        np.uint8(250),
        np.float64(1.5),
        np.str_("a\0"),
        np.frombuffer(b"b\0", dtype=np.uint8),
    )
    assert same == layout.pack(*values)


def test_layout_survives_pickling() -> None:
    layout = KeyLayout(b"p", "int64", "str")
    again = pickle.loads(pickle.dumps(layout))
    assert repr(again) == repr(layout) == "KeyLayout(b'p', 'int64', 'str')"
    assert again.pack(-1, "a") == layout.pack(-1, "a")


def test_forms_stay_as_they_are() -> None:
    layout = KeyLayout(b"w", "int16", "uint32", "str", "float64", "bytes")
    key = layout.pack(-2, 7, "J\0\1K", -1.5, b"\xff")
    assert key.hex(" ") == (
        "77 7f fe 00 00 00 07 4a 01 01 01 02 4b 00 40 07 ff ff ff ff ff ff ff 00"
    )
    assert layout.unpack(key) == (-2, 7, "J\0\1K", -1.5, b"\xff")


@given(st.binary(max_size=4), st.binary(max_size=5))
@example(b"\xff\xff", b"\xff\xff\xff")
@example(b"a\xff", b"b")
def test_successor_parts_the_prefix_from_what_follows(
    prefix: bytes, key: bytes
) -> None:
    after = successor(prefix)
    below = after is None or key < after
    assert key.startswith(prefix) == (prefix <= key and below)


def test_layout_scans_and_prunes_a_store() -> None:
    windows = KeyLayout(b"win:", "int64", "str", "str")
    store = InMemoryStore()
    for start in (-3600, 0, 3600, 7200):
        for route in ("JFK-LAX", "JFK-LA", "EWR-SFO"):
            store.put(windows.pack(start, route, "AA"), b"")
    store.put(b"win;", b"of another layout")

    hour = [windows.unpack(key) for key, _ in store.prefix_scan(windows.prefix(0))]
    assert hour == [
        (0, "EWR-SFO", "AA"),
        (0, "JFK-LA", "AA"),
        (0, "JFK-LAX", "AA"),
    ]
    assert len(list(store.prefix_scan(windows.prefix(0, "JFK-LA")))) == 1

    late = store.range_scan(windows.prefix(3600), successor(windows.prefix()))
    assert {windows.unpack(key)[0] for key, _ in late} == {3600, 7200}
    for key, _ in store.range_scan(windows.prefix(), windows.prefix(3600)):
        store.delete(key)
    assert len(store) == 7
