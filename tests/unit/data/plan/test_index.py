"""The invariants of the plan's index, and its one look-up."""

from dataclasses import replace

import numpy as np
import pytest


def test_answers_are_found_by_group_and_language(build_index):
    """A look-up that assumes all groups to have all languages answers with another group's passage."""
    index = build_index(
        [(0, "de", 0, 1), (2, "en", 0, 2), (3, "en", 0, 3)],
        [(0, "en", 4), (0, "de", 5), (2, "de", 6), (3, "de", 7), (3, "en", 8)],
    )
    assert index.answer_start.tolist() == [0, 2, 2, 3, 5]
    queries, german, english = np.arange(3), np.zeros(3, np.int64), np.ones(3, np.int64)
    assert index.answers_in(queries, german).tolist() == [0, 2, 3]
    assert index.answers_in(queries, english).tolist() == [1, -1, 4]
    assert index.answers_in(queries, np.array([1, 0, 1])).tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("languages", ("en", "de", "ar"), "languages are not sorted"),
        ("query_group", np.array([0, 9], np.int64), "query_group is out of range"),
        ("query_group", np.array([0, 1], np.int32), "query_group is int32"),
        ("query_language", np.array([0, 3], np.int16), "query_language is out of range"),
        ("query_source", np.array([0, -1], np.int16), "query_source is negative"),
        ("query_key", np.array([0], np.uint64), "query_key has shape"),
        ("answer_group", np.array([1, 0], np.int64), "answer_group decreases"),
        ("answer_group", np.array([0, 0], np.int64), "two answer entries in one language"),
        ("num_groups", 2**32, "not below 2\\^32"),
    ],
)
def test_contradicting_arrays_are_refused(build_index, field, value, message):
    """A damaged store would otherwise train on rows that do not belong together."""
    index = build_index([(0, "de", 0, 1), (1, "de", 0, 2)], [(0, "en", 3), (1, "en", 4)], ("ar", "de", "en"))
    with pytest.raises(ValueError, match=message):
        replace(index, **{field: value})
