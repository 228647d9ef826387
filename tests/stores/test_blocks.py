"""Blocks of lines: what goes in comes out, or it is said."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioservices.stores.query import LineQuery
from aioservices.stores.record import Row
from aioservices.stores.sqlite.blocks import matching_rows, pack_block, unpack_block

_numbers = st.integers(-(2**62), 2**62)
_small = st.integers(0, 2**31)
_text = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_rows = st.lists(
    st.builds(
        Row,
        st.integers(1, 2**60),
        _numbers,
        _numbers,
        _small,
        _small,
        st.none() | st.integers(1, 24),
        _text,
        _text,
        _text,
        st.none() | st.binary(max_size=20),
    ),
    min_size=1,
    max_size=50,
)


@given(_rows)
def test_lines_come_out_of_a_block_as_they_went_in(rows: list[Row]) -> None:
    assert unpack_block(pack_block(rows)) == rows


@given(_rows, st.none() | _numbers, st.none() | _numbers, st.none() | _small, _text)
def test_a_query_of_a_block_gives_what_a_query_of_its_lines_gives(
    rows: list[Row],
    start_at: int | None,
    end_at: int | None,
    deployment_id: int | None,
    contains: str | None,
) -> None:
    query = LineQuery(
        start_at=start_at, end_at=end_at, deployment_id=deployment_id, contains=contains or None
    )
    assert matching_rows(pack_block(rows), query) == [row for row in rows if query.matches(row)]


@given(_rows, st.data())
def test_a_block_that_was_cut_or_changed_gives_no_other_lines(
    rows: list[Row], data: st.DataObject
) -> None:
    block = pack_block(rows)
    position = data.draw(st.integers(0, len(block) - 1))
    with pytest.raises(ValueError, match="damaged"):
        unpack_block(block[:position])
    changed = bytearray(block)
    changed[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = unpack_block(bytes(changed))
    except ValueError:
        return
    assert found == rows  # the bit was one that nobody reads


def test_a_block_of_something_else_is_found_out() -> None:
    with pytest.raises(ValueError, match="damaged"):
        unpack_block(zlib.compress(b"something else"))
