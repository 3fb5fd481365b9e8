"""Which rows of a pool are taken: a bitmap of three floors that always gives the lowest free row.

So the free rows follow from the live ones, whatever happened before, and a state read from a snapshot continues with
the same rows. Row 0 of every pool means "none" and is never given; row `r` is bit `r - 1`. Zeroed memory is an empty
pool.

A word of the lowest floor has a bit per row. In front of 64 such words stands a word that says which of them are full,
and in front of 64 of these groups one that says the same of the groups; so the words that are used lie in front of
all others. `words[0]` is the number of the first word that is not full.
"""

import numpy as np

from engine.compiling import inlined, kernel
from engine.fixed import count_trailing_zeros

Number = int | np.int64

ZERO, ONE, FULL, IN_WORD, WORD_BITS = (np.int64(number) for number in (0, 1, -1, 63, 6))
GROUP_WORDS, CLUSTER_WORDS, ALL_GROUPS = np.int64(65), np.int64(4161), np.int64(64)


def count_words(capacity: int) -> int:
    """How many int64 words the bitmap of a pool of `capacity` rows, row 0 among them, takes."""
    word = max(capacity - 2, 0) >> 6
    return 4 + word + (word >> 6) + (word >> 12)


@inlined
def _leaf_at(word: Number) -> Number:
    return 3 + word + (word >> WORD_BITS) + (word >> 2 * WORD_BITS)


@inlined
def _group_at(group: Number) -> Number:
    return 2 + (group >> WORD_BITS) + group * GROUP_WORDS


@inlined
def _cluster_at(cluster: Number) -> Number:
    return 1 + cluster * CLUSTER_WORDS


@kernel
def _find_word(words: np.ndarray, word: Number) -> Number:
    """The first word from `word` on that is not full, possibly the one behind the pool's last."""
    group = word >> WORD_BITS
    if words[_group_at(group)] == FULL:
        cluster = group >> WORD_BITS
        while _cluster_at(cluster) < len(words) and words[_cluster_at(cluster)] == FULL:
            cluster += ONE
        if _cluster_at(cluster) >= len(words):
            return cluster << 2 * WORD_BITS
        group = (cluster << WORD_BITS) + count_trailing_zeros(~words[_cluster_at(cluster)])
        if _group_at(group) >= len(words):
            return group << WORD_BITS
    return (group << WORD_BITS) + count_trailing_zeros(~words[_group_at(group)])


@kernel
def _note_full(words: np.ndarray, word: Number) -> None:
    """A word has become full: tell the floors above, and find the next one."""
    group = word >> WORD_BITS
    words[_group_at(group)] |= ONE << (word & IN_WORD)
    if words[_group_at(group)] == FULL:
        words[_cluster_at(group >> WORD_BITS)] |= ONE << (group & IN_WORD)
    words[0] = _find_word(words, word)


@inlined
def take_lowest_row(words: np.ndarray, capacity: Number) -> Number:
    """Take the lowest free row of a pool of `capacity` rows (row 0 counts but is never given); 0 if all are taken."""
    word = words[0]
    first = (word << WORD_BITS) + ONE
    if first >= capacity:
        return ZERO
    at = _leaf_at(word)
    bits = words[at]
    bit = count_trailing_zeros(~bits)
    if first + bit >= capacity:
        return ZERO
    bits |= ONE << bit
    words[at] = bits
    if bits == FULL:
        _note_full(words, word)
    return first + bit


@inlined
def peek_lowest_row(words: np.ndarray, capacity: Number) -> Number:
    """The row that `take_lowest_row` would give; 0 if all are taken."""
    first = (words[0] << WORD_BITS) + ONE
    if first >= capacity:
        return ZERO
    row = first + count_trailing_zeros(~words[_leaf_at(words[0])])
    return row if row < capacity else ZERO


@inlined
def release_row(words: np.ndarray, row: Number) -> None:
    """Give back a taken row, which is at least 1."""
    bit = row - ONE
    word = bit >> WORD_BITS
    group = word >> WORD_BITS
    words[_leaf_at(word)] &= ~(ONE << (bit & IN_WORD))
    words[_group_at(group)] &= ~(ONE << (word & IN_WORD))
    words[_cluster_at(group >> WORD_BITS)] &= ~(ONE << (group & IN_WORD))
    words[0] = min(words[0], word)


@inlined
def is_row_taken(words: np.ndarray, row: Number) -> bool:
    """Whether a row of at least 1 is taken."""
    bit = row - ONE
    return (words[_leaf_at(bit >> WORD_BITS)] >> (bit & IN_WORD)) & ONE != 0


@kernel
def find_taken_row(words: np.ndarray, row: Number, end: Number) -> Number:
    """The lowest taken row from `row` (at least 1) on and below `end`; 0 if there is none."""
    bit = row - ONE
    word = bit >> WORD_BITS
    bits = words[_leaf_at(word)] & (FULL << (bit & IN_WORD))
    while bits == 0:
        word += ONE
        if (word << WORD_BITS) + ONE >= end:
            return ZERO
        bits = words[_leaf_at(word)]
    found = (word << WORD_BITS) + ONE + count_trailing_zeros(bits)
    return found if found < end else ZERO
