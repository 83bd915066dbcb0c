"""Joining: letters that look as their neighbours ask for, where the neighbours are set in another font."""

from __future__ import annotations

import numpy as np
from numba import njit

from gpurender.typeset.characters import IGNORABLE, JOINS, MARK
from gpurender.typeset.harfbuzz import COMMON, script_of
from gpurender.typeset.shape import CONTEXT, nearest_letter

__all__ = ["find_mixed_words", "mark_context"]


@njit(inline="always")
def _continues(code, kinds):
    # The tatweel is of no script.
    return kinds[code] == MARK or kinds[code] == IGNORABLE or code == 0x640


@njit(cache=True, nogil=True)
def _may_be_mixed(codes, start, stop, fonts, kinds, by_word):
    """Return whether two fonts meet in codes[start:stop] where a word may go on; a quick look at most texts."""
    for i in range(start + 1, stop):
        if fonts[i] == fonts[i - 1] or kinds[codes[i]] == IGNORABLE:
            continue
        k = i - 1
        while k > start and kinds[codes[k]] == IGNORABLE:
            k -= 1
        goes_on = (by_word[codes[k]] or _continues(codes[k], kinds)) and (
            by_word[codes[i]] or _continues(codes[i], kinds)
        )
        if fonts[i] != fonts[k] and goes_on:
            return True
    return False


@njit(cache=True, nogil=True)
def find_mixed_words(codes, starts, chosen, fonts, kinds, by_word):
    """Return the ranges, [W, 2] int64, of words of scripts shaped by the word, marks and all, that have two fonts.

    Args:
        codes: [K] uint32.
        starts: [N + 1] int64, each text's first.
        chosen: The texts to look at, int64.
        fonts: [K] int16, each character's.
        kinds, by_word: The tables of characters, see `characters`.
    """
    found = np.empty((len(codes) // 2 + 1, 2), np.int64)
    count = 0
    for n in chosen:
        if not _may_be_mixed(codes, starts[n], starts[n + 1], fonts, kinds, by_word):
            continue
        begin, script, is_mixed = np.int64(-1), np.uint32(COMMON), False
        for i in range(starts[n], starts[n + 1] + 1):
            is_letter = i < starts[n + 1] and by_word[codes[i]]
            is_end = i == starts[n + 1] or not (is_letter or _continues(codes[i], kinds))
            if begin >= 0 and (is_end or (is_letter and script_of(codes[i]) != script)):
                if is_mixed:
                    found[count] = begin, i
                    count += 1
                begin = -1
            if is_letter and begin < 0:
                begin, script, is_mixed = i, script_of(codes[i]), False
            if begin >= 0 and kinds[codes[i]] != IGNORABLE:
                is_mixed |= fonts[i] != fonts[begin]
    return found[:count]


@njit(cache=True, nogil=True)
def mark_context(codes, start, stop, keys, types):
    """Mark the runs of codes[start:stop] whose letters join to a run beside them, by `CONTEXT` in their keys.

    Args:
        codes: [K] uint32.
        start, stop: A text.
        keys: [K] uint32, run keys.
        types: [0x110000] uint8, joining types.
    """
    for i in range(start + 1, stop):
        if keys[i] == keys[i - 1] or types[codes[i]] == 0 or types[codes[i - 1]] == 0:
            continue
        before, after = nearest_letter(codes, i - 1, -1, start, types), nearest_letter(codes, i, 1, stop, types)
        if types[before] == JOINS and types[after] == JOINS:
            left, right = keys[i - 1], keys[i]
            k = i - 1
            while k >= start and keys[k] == left and codes[k] > 32:
                keys[k] |= np.uint32(CONTEXT)
                k -= 1
            k = i
            while k < stop and keys[k] == right and codes[k] > 32:
                keys[k] |= np.uint32(CONTEXT)
                k += 1
