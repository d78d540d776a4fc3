"""What is said of an .npz before any of its arrays is read."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile_files import bomb_member, header_member, member, meta, npy_header, zip_bytes
from tinyproto.npz import read_arrays
from tinyproto.state import load_arrays


def refused(*members):
    asked = []

    def choose(headers):
        asked.append(headers)
        return list(headers)

    with pytest.raises(ValueError) as raised:  # noqa: PT011
        read_arrays(io.BytesIO(zip_bytes(*members)), choose)
    assert not asked  # before the shapes are shown, and so before anything is read
    return str(raised.value)


def test_sizes_are_compared_with_shapes_before_anything_is_read():
    assert "x should have 20 bytes for its shape (20,), and has 3" in refused(
        member(b"x", content=npy_header((20,)) + b"few")
    )
    assert "x should have 2 bytes for its shape (2,), and has 4" in refused(
        member(b"x", content=npy_header((2,)) + b"more")
    )


def test_headers_are_short_and_matched_with_a_pattern():
    assert "a header of 5,000 bytes" in refused(header_member(b"x", b" " * 5000))
    for text in (b"", b"{}", b"exit()", b"{'descr': '|u1', 'fortran_order': 1, 'shape': (), }"):
        assert "unknown kind of elements, or its header is damaged" in refused(
            header_member(b"x", text)
        )


def test_headers_of_other_programs():
    """With other spaces, without the last comma, or with the L of Python 2's long integers."""
    for text in (
        b"{'descr':'|u1','fortran_order':False,'shape':(2,3)}",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (2L, 3L), }          \n",
    ):
        name, method, content, size, flags = header_member(b"x", text)
        file = io.BytesIO(zip_bytes((name, method, content + b"abcdef", size + 6, flags)))
        assert read_arrays(file)["x"].tobytes() == b"abcdef"


def test_all_shapes_are_shown_before_the_first_array_is_read():
    file = io.BytesIO(zip_bytes(member(b"a", np.arange(3)), member(b"b", np.eye(2))))
    shown = {}
    found = read_arrays(file, lambda headers: shown.update(headers) or ["b"])
    assert {name: header.shape for name, header in shown.items()} == {"a": (3,), "b": (2, 2)}
    assert list(found) == ["b"]


def test_files_of_ours_are_not_compressed(tmp_path):
    (tmp_path / "x.npz").write_bytes(zip_bytes(meta, bomb_member(b"x", (4 << 26,), 4)))
    with pytest.raises(ValueError, match="x is compressed"):
        load_arrays(tmp_path / "x.npz")


@settings(max_examples=200)
@given(
    content=st.binary(max_size=200)
    | st.binary(max_size=100).map(lambda text: zip_bytes(meta, header_member(b"x", text)))
    | st.text("{}':(), |u1<f8descrfortan_dTFlsehp0123", max_size=80).map(
        lambda text: zip_bytes(meta, header_member(b"x", text.encode()))
    )
    | st.binary(max_size=50).map(lambda text: zip_bytes(meta, member(b"x", content=text)))
    | st.binary(max_size=50).map(
        lambda text: zip_bytes(member(b"metadata.json", np.frombuffer(text, np.uint8)))
    )
)
def test_any_bytes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any_bytes.npz"
    path.write_bytes(content)
    try:
        arrays, metadata = load_arrays(path)
    except ValueError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:  # by chance, a JSON of a dictionary
        assert arrays == {} or list(arrays) == ["x"]
        assert isinstance(metadata, dict)
