"""Characters: the tables over all code points say what Unicode says."""

import unicodedata

import numpy as np

from gpurender.typeset.characters import (
    CODES,
    IGNORABLE,
    JOINS,
    MARK,
    PRIVATE,
    SPACING,
    TRANSPARENT,
    UNDRAWABLE,
    character_kinds,
    joining_types,
    may_be_emoji,
    may_join,
    plain_scripts,
    shaped_by_word,
)


def test_kinds():
    kinds = character_kinds()
    assert kinds.shape == (CODES,)
    for kind, characters in {
        0: "a1.中א\u0e33\u1100😀\ufffc\ufffd",
        MARK: "\u0301\u05b0\u093f\u0e31\u20e3\u3099\U000110ba",
        IGNORABLE: "\xad\u034f\u061c\u115f\u180e\u200d\u200f\u202e\u2060\u3164\ufe0f\ufeff\U000e0001\U000e01ef",
        SPACING: " \xa0\u1680\u2003\u2028\u3000\u2800",
        PRIVATE: "\ue000\uf8ff\U000f0000\U0010fffd",
        UNDRAWABLE: "\x00\t\n\x7f\x85\ufdd0\uffff\U0001fffe\U0010ffff\ud800\udfff",
    }.items():
        assert {hex(ord(c)): int(kinds[ord(c)]) for c in characters} == {hex(ord(c)): kind for c in characters}


def test_kinds_follow_the_categories():
    kinds = character_kinds()
    for code in range(CODES):
        category = unicodedata.category(chr(code))
        if category in ("Cc", "Cs"):
            assert kinds[code] == UNDRAWABLE
        elif category == "Co":
            assert kinds[code] == PRIVATE
        elif category in ("Mn", "Mc", "Me"):
            assert kinds[code] in (MARK, IGNORABLE)
        elif category in ("Zs", "Zl", "Zp"):
            assert kinds[code] == SPACING
        elif category[0] in "LNPS":
            # Fillers are letters, and Braille's blank is a symbol.
            assert kinds[code] == 0 or code in (0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800)


def test_plain_text_has_nothing_that_bidi_emoji_or_breaking_need_to_see():
    plain = plain_scripts()
    # What the rest of a text could change is never plain.
    assert not plain[may_be_emoji() | may_join()].any()
    for c in (
        "אبक中かกក한\t\x00\xad\u200b\u200d\u2060\u2067\u202e\ufe0f\xa0\u3000\u3001\u20e3😀🇩\U0001f3fd\u0378\ue000\ud800"
    ):
        assert plain[ord(c)] == 0, hex(ord(c))
    for code in np.flatnonzero(plain).tolist():
        assert unicodedata.bidirectional(chr(code)) not in ("R", "AL", "AN", "RLE", "LRE", "RLO", "LRO", "PDF", "LRI")
    assert len({int(plain[ord(c)]) for c in "aαя"}) == 3
    assert {int(plain[ord(c)]) for c in "1.-“’\u0301 \n\u2028"} == {1}


def test_joining_types():
    types = joining_types()
    for kind, characters in {
        JOINS: "بداے\u0640\u200dܐܒߊߋ\u1820\U0001e900\u0840",
        TRANSPARENT: "\u064b\u0670\u06e1\u0301\xad\u200b\u180b\ufe00\u07eb",
        0: "a1 ء\u060c\u200c\u180e中क\u06dd",
    }.items():
        assert {hex(ord(c)): int(types[ord(c)]) for c in characters} == {hex(ord(c)): kind for c in characters}


def test_scripts_shaped_by_the_word():
    table = shaped_by_word()
    for c in "بےࣰ\u06e1ܐߊ\u1820אकกກကཀაա\u0903":
        assert table[ord(c)], hex(ord(c))
    for c in "aαя中かカ한ㄅ1 .\u0301\u0640\u0660\u200d😀\u0378":
        assert not table[ord(c)], hex(ord(c))
