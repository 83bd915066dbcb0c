"""What Unicode says of each character, as tables over all code points, for compiled code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import regex

__all__ = [
    "CODES",
    "IGNORABLE",
    "JOINS",
    "MARK",
    "PRIVATE",
    "SPACING",
    "TRANSPARENT",
    "UNDRAWABLE",
    "character_kinds",
    "find_emoji",
    "joining_types",
    "letters_and_digits",
    "may_be_emoji",
    "may_join",
    "plain_scripts",
    "shaped_by_word",
]

CODES = 0x110000
# Everything with a property of interest lies in planes 0, 1, 2, 3 and 14.
_BLOCKS = (range(0xD800), range(0xE000, 0x40000), range(0xE0000, 0xE1000))

# Kinds of characters, for choosing fonts.
# MARK: extends the character before it. IGNORABLE: draws nothing and takes no room unless shaping asks for it.
# SPACING: white space, which has no ink. PRIVATE: means what the asked-for font says.
# UNDRAWABLE: a control, noncharacter or surrogate, which no font may draw.
MARK, IGNORABLE, SPACING, PRIVATE, UNDRAWABLE = 1, 2, 3, 4, 5
# Joining types of characters: one that joins to a letter beside it, or one that letters join across.
JOINS, TRANSPARENT = 1, 2


@cache
def _strings() -> tuple[tuple[int, str], ...]:
    return tuple((block.start, "".join(map(chr, block))) for block in _BLOCKS)


def _table(properties: dict[str, int]) -> np.ndarray:
    """[0x110000] uint8: the number of the first of the properties (regex character classes) that holds, else 0."""
    found = np.zeros(CODES, np.uint8)
    # The first is written last.
    for pattern, number in reversed(properties.items()):
        runs = regex.compile(f"[{pattern}]+")
        for first, text in _strings():
            for match in runs.finditer(text):
                found[first + match.start() : first + match.end()] = number
    return found


@cache
def character_kinds() -> np.ndarray:
    """[0x110000] uint8, `MARK` to `UNDRAWABLE`, else 0.

    The rule for characters without a shape of their own: tab and line ends set the text; other controls (Cc),
    noncharacters and lone surrogates count as missing glyphs; format characters that Unicode calls
    Default_Ignorable_Code_Point (joiners, bidi controls, variation selectors, soft hyphens, tags) do their work in
    shaping, ordering and breaking, are not drawn and are never missing; private-use characters are drawn if the
    asked-for font has them, and are never looked for elsewhere.
    """
    found = _table(
        {
            r"\p{Cc}\p{NChar}": UNDRAWABLE,
            r"\p{Co}": PRIVATE,
            r"\p{Default_Ignorable_Code_Point}": IGNORABLE,
            r"\p{M}": MARK,
            r"\p{Z}": SPACING,
        }
    )
    found[0xD800:0xE000] = UNDRAWABLE
    found[0xF0000:] = PRIVATE
    found[0xFFFE::0x10000] = found[0xFFFF::0x10000] = UNDRAWABLE
    # Braille's blank pattern has no dots.
    found[0x2800] = SPACING
    return found


@cache
def plain_scripts() -> np.ndarray:
    """[0x110000] uint8: 0, or for a character that plain text may hold a number that tells scripts apart.

    Plain text is left to right in one font, and what a line break does at a space follows from the words on either
    side: Latin, Greek and Cyrillic letters, digits, punctuation and symbols of no script (1). Left out are what bidi
    reorders or removes, what may be an emoji, and the line break classes (UAX #14) that look further than that.
    """
    left_out = (
        r"\p{Cc}\p{Cf}\p{bc=R}\p{bc=AL}\p{bc=AN}\p{bc=BN}\p{bc=B}\p{bc=S}\p{Emoji_Presentation}\p{Emoji_Modifier}"
        r"\p{lb=NS}\p{lb=CJ}\p{lb=ID}\p{lb=EB}\p{lb=EM}\p{lb=RI}\p{lb=ZW}\p{lb=WJ}\p{lb=CB}\p{lb=SA}\p{lb=HL}\p{lb=GL}"
        r"\p{lb=ZWJ}\p{lb=JL}\p{lb=JV}\p{lb=JT}\p{lb=H2}\p{lb=H3}\p{lb=XX}\p{lb=SG}\p{Variation_Selector}\p{Cn}\u20E3"
    )
    found = _table(
        {
            left_out: 0,
            r"\p{Script=Latin}": 2,
            r"\p{Script=Greek}": 3,
            r"\p{Script=Cyrillic}": 4,
            r"\p{Script=Common}\p{Script=Inherited}": 1,
        }
    )
    # Line ends end a line in any text.
    found[[10, 11, 12, 13, 0x85, 0x2028, 0x2029]] = 1
    found[0x3000:] = 0
    return found


@cache
def letters_and_digits() -> np.ndarray:
    """[0x110000] bool: what a plain word may be made of that has no line break within, nor asks for one at its ends."""
    return _table({r"\p{L}\p{Nd}": 1}).astype(bool)


@cache
def joining_types() -> np.ndarray:
    """Return the joining types of characters, [0x110000] uint8: `JOINS`, `TRANSPARENT`, else 0."""
    return _table({r"\p{jt=D}\p{jt=R}\p{jt=L}\p{jt=C}": JOINS, r"\p{jt=T}": TRANSPARENT})


@cache
def shaped_by_word() -> np.ndarray:
    """Return a table, [0x110000] bool: the characters of scripts whose letters look as their neighbours ask for.

    A word of these is set in one font where one has all of it. Of the others, letters of two fonts may stand side by
    side.
    """
    alone = ("Latin", "Greek", "Cyrillic", "Han", "Hiragana", "Katakana", "Hangul", "Bopomofo")
    left_out = "".join(rf"\p{{Script={name}}}" for name in (*alone, "Common", "Inherited", "Unknown"))
    return _table({left_out: 0, r"\p{L}\p{M}": 1}).astype(bool)


@cache
def may_join() -> np.ndarray:
    """[0x110000] bool: the characters one of which every grapheme cluster (UAX #29) holds that is not a base and marks.

    Conjuncts, syllables of jamo, flags, emoji joined or with a modifier, what stands under a sign of numbers.
    """
    joiners = r"\p{ccc=9}\p{GCB=L}\p{GCB=V}\p{GCB=T}\p{RI}\p{Emoji_Modifier}\u200D\p{GCB=Prepend}"
    # Letters that continue a cluster, as marks do: Thai and Lao AM, halfwidth voicing marks.
    return _table({joiners + r"\u0E33\u0EB3\uFF9E\uFF9F": 1}).astype(bool)


@cache
def may_be_emoji() -> np.ndarray:
    """[0x110000] bool: the characters one of which every emoji holds."""
    return _table({r"\p{Emoji_Presentation}\p{Emoji_Modifier}\uFE0F\u200D\u20E3\p{RI}": 1}).astype(bool)


# Emoji as UTS #51 has them: presented as pictures by themselves or by U+FE0F, with modifiers, keycaps, flags, tags and
# joined by U+200D.
_ELEMENT = (
    r"(?:\p{RI}\p{RI}|[0-9#*]\uFE0F\u20E3"
    r"|(?:\p{Emoji_Presentation}(?!\uFE0E)\uFE0F?|(?![0-9#*])\p{Emoji}(?:\uFE0F|(?=\p{Emoji_Modifier})))"
    r"\p{Emoji_Modifier}?(?:[\U000E0020-\U000E007E]+\U000E007F)?)"
)
# An element that may lack its U+FE0F.
_UNQUALIFIED = rf"(?:{_ELEMENT}|(?![0-9#*])\p{{Emoji}}(?!\uFE0E))"
_EMOJI = regex.compile(rf"{_ELEMENT}(?:\u200D{_UNQUALIFIED})*")
_SEQUENCE = regex.compile(rf"{_UNQUALIFIED}(?:\u200D{_UNQUALIFIED})+|[0-9#*]\u20E3|{_ELEMENT}")


def find_emoji(text: str, is_one: Callable[[int, int], bool]) -> list[tuple[int, int]]:
    """Return the character ranges of the emoji that are to be shown as pictures (UTS #51), each one sequence.

    Args:
        text: Any.
        is_one: Whether there is one picture for a range; asked of keycaps and joined sequences whose first element
            lacks the U+FE0F that makes it a picture.
    """
    found = []
    for match in _SEQUENCE.finditer(text):
        start, stop = match.span()
        if _EMOJI.fullmatch(text, start, stop) or is_one(start, stop):
            found.append((start, stop))
        else:
            found += [part.span() for part in _EMOJI.finditer(text, start, stop)]
    return found
