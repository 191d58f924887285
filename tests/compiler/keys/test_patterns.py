"""What is said of all keys holds for each: the answers against enumerating short keys."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routewright.compiler.keys import patterns as patterns_module
from routewright.compiler.keys.key_classes import key_classes
from routewright.compiler.keys.pattern_table import PatternTable
from routewright.compiler.keys.patterns import (
    Pattern,
    Undecided,
    covers,
    exactly,
    intersects,
    matches,
    topic,
    witness,
    words,
)

SIGNS = ["a", "b", "*", "#"]
SHORT = [".".join(signs) for length in range(4) for signs in product(SIGNS, repeat=length)]
# Two patterns of three signs differ, if they do, on a key of six words at most.
KEYS = [".".join(key) for length in range(7) for key in product(["a", "b", "x"], repeat=length)]
LANGUAGES = {text: {key for key in KEYS if matches(topic(text), key)} for text in SHORT}

patterns = st.lists(st.sampled_from([*SIGNS, "", "ab"]), max_size=5).map(".".join).map(topic)


@pytest.mark.parametrize("one", SHORT)
def test_all_pairs_of_short_patterns_are_as_enumeration_says(one: str) -> None:
    for other in SHORT:
        both, only = LANGUAGES[one] & LANGUAGES[other], LANGUAGES[one] - LANGUAGES[other]
        assert intersects(topic(one), topic(other)) == bool(both), other
        assert covers([topic(other)], topic(one)) == (not only), other
        for keys, found in (
            (both, witness([topic(one), topic(other)])),
            (only, witness([topic(one)], [topic(other)])),
        ):
            smallest = min((len(words(key)) for key in keys), default=None)
            assert (found in keys) if keys else found is None
            assert found is None or len(words(found)) == smallest


@given(st.lists(patterns, min_size=1, max_size=3), st.lists(patterns, max_size=3))
def test_a_witness_is_one(wanted: list[Pattern], refused: list[Pattern]) -> None:
    found = witness(wanted, refused)
    if found is not None:
        assert all(matches(pattern, found) for pattern in wanted)
        assert not any(matches(pattern, found) for pattern in refused)


@given(patterns, st.lists(patterns, max_size=3))
def test_without_a_witness_no_short_key_is_one(wanted: Pattern, refused: list[Pattern]) -> None:
    if witness([wanted], refused) is None:
        for key in KEYS[:400]:
            assert not matches(wanted, key) or any(matches(it, key) for it in refused)


@given(st.lists(patterns, max_size=4), patterns)
def test_classes_part_the_keys(values: list[Pattern], within: Pattern) -> None:
    """Every key within the pattern matches just what the witness of some class matches."""
    table: PatternTable[int] = PatternTable()
    for number, pattern in enumerate(values):
        table.add(pattern, number)
    classes = {frozenset(found.values): found.witness for found in key_classes(table, [within])}
    for matched, key in classes.items():
        assert matches(within, key)
        assert {number for number, it in enumerate(values) if matches(it, key)} == matched
    for key in [*KEYS[:400], "", ".", "a.", ".a", "a..b", "ab"]:
        if matches(within, key):
            assert frozenset(n for n, it in enumerate(values) if matches(it, key)) in classes


@pytest.mark.parametrize(
    ("all_of", "none_of", "expected"),
    [
        (["a.*.c", "a.b.*"], [], "a.b.c"),  # which another tool calls disjoint
        (["#"], [], ""),
        (["#"], ["#"], None),
        (["*.#"], ["*"], "x.x"),
        (["#"], ["*.#"], ""),
        (["a.#"], ["a", "a.*", "a.*.*.#"], None),
        (["x.*"], ["x.x", "x.y"], "x.z"),
        ([".#"], [".*.#"], None),  # `.` is two empty words, and one empty word cannot be written
        (["."], [], "."),
        ([], ["#"], None),
        ([], [], ""),
    ],
)
def test_the_corners(all_of: list[str], none_of: list[str], expected: str | None) -> None:
    assert witness(map(topic, all_of), map(topic, none_of)) == expected


def test_a_key_has_255_bytes_at_most() -> None:
    halves = [topic("a" * 130 + ".#"), topic("#." + "b" * 130)]
    assert not intersects(*halves)
    assert intersects(topic("a" * 124 + ".#"), topic("#." + "b" * 130))
    many = topic(".".join("*" * 200))
    assert witness([many]) == "." * 199  # empty words are all that fit


def test_a_direct_exchange_takes_wildcards_for_words() -> None:
    assert witness([exactly("video.#")]) == "video.#"
    assert not intersects(exactly("video.#"), topic("video"))
    assert covers([topic("video.*")], exactly("video.#"))


def test_patterns_that_would_take_too_long_are_left_undecided(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patterns_module, "MAX_STATES", 1000)
    last_but_twenty = [topic(f"#.{word}." + ".".join("*" * 20)) for word in "abc"]
    with pytest.raises(Undecided):
        witness(last_but_twenty)


LONG = "k" * 100


def test_a_key_of_many_words_is_found_though_only_empty_ones_make_it_short_enough() -> None:
    stars = ".".join("*" * 100)
    table: PatternTable[str] = PatternTable()
    for pattern in (stars, f"#.{LONG}"):
        table.add(topic(pattern), pattern)
    both = [it.witness for it in key_classes(table) if len(it.values) == 2]
    assert both == ["." * 99 + LONG]
    assert len(both[0]) == 199

    table.add(topic("a..b"), "a..b")  # whether an empty word is as good as any is no longer plain
    with pytest.raises(Undecided):
        list(key_classes(table))
