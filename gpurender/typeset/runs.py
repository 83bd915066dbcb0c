"""What each character of a text that is not plain is set with: its font, script, direction, and the breaks before it.

Plain text (see `characters.plain_scripts`) needs none of this, and is told by one table look-up a character.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import regex
from numba import njit

from gpurender.typeset.bidi import bidi_classes, needs_bidi, resolve_levels
from gpurender.typeset.breaks import grapheme_breaks, line_breaks
from gpurender.typeset.characters import (
    CODES,
    IGNORABLE,
    MARK,
    character_kinds,
    find_emoji,
    joining_types,
    may_be_emoji,
    may_join,
    plain_scripts,
    shaped_by_word,
)
from gpurender.typeset.context import Context
from gpurender.typeset.fallback import NONE, REGIONS, FontStack
from gpurender.typeset.harfbuzz import COMMON, INHERITED, UNKNOWN, compose, nominal_glyph, script_of
from gpurender.typeset.insets import NOTHING, Insets
from gpurender.typeset.joining import find_mixed_words, mark_context
from gpurender.typeset.language import han_forms
from gpurender.typeset.maths import scan
from gpurender.typeset.shape import BOXED, COMPLEX, LEVEL, NO_FONT, OTHER_SCRIPT, Runs

__all__ = ["Analyzer", "to_codes"]

# Entries of the table of characters: the bits of three scripts, none for what belongs to none; not plain; not known yet
# whether the font draws it.
_SCRIPTS, _COMPLEX, _UNASKED = np.uint8(7), np.uint8(64), np.uint8(128)
# Traits of characters: kana; Hangul; of emoji; of clusters longer than a letter and its marks; selectors of variants.
_KANA, _HANGUL, _EMOJI, _LONG, _VARIANT = 1, 2, 4, 8, 16
LRI, PDI = 0x2066, 0x2069
MARKS = 32  # on a letter, beyond which no font is looked for that has them all

# What stands as it is in right-to-left text, beside formulas and code: URLs, up to the last character that is not
# punctuation of the sentence around them, and mail addresses.
_VERBATIM = regex.compile(
    r"\b(?:[a-z][a-z0-9+.-]{0,30}+://|www\.)(?:\([^\s<>\"'()]*\)|[^\s<>\"'()])+(?<![.,;:!?،؛؟\]}])"
    # Lengths have bounds, or a long text of one word would be searched from each of its letters on.
    r"|(?<![a-z0-9_])[a-z0-9_][a-z0-9_.+-]{0,63}@[\w-]+\.[\w.-]*\w",
    regex.MULTILINE | regex.IGNORECASE,
)

# A character and what chooses a variant of it, presentation of emoji aside.
_VARIANTS = regex.compile(r"[^\uFE00-\uFE0F\U000E0100-\U000E01EF][\uFE00-\uFE0D\U000E0100-\U000E01EF]")

# One of these is in all of that.
_MARKS = ("://", "www.", "WWW.", "@")


@njit(cache=True, nogil=True)
def _find_complex(codes, starts, plain, found, unasked):
    """Tell which texts are not plain; returns how many code points of the table were not known, and are in `unasked`.

    A word of two scripts, which is to be shaped as two, is not plain.
    """
    count = 0
    for n in range(len(starts) - 1):
        # Unsigned indexes need no check for negative ones.
        start, stop = np.uint64(starts[n]), np.uint64(starts[n + 1])
        seen = np.uint8(0)
        for i in range(start, stop):
            seen |= plain[codes[i]]
        found[n] = (seen & _COMPLEX) != 0
        if seen & _UNASKED:
            for i in range(start, stop):
                if plain[codes[i]] & _UNASKED:
                    unasked[count] = codes[i]
                    count += 1
        if seen & (seen - np.uint8(1)) & _SCRIPTS:
            script = np.uint8(0)
            for i in range(start, stop):
                kind = plain[codes[i]] & _SCRIPTS
                if codes[i] <= 32:
                    script = np.uint8(0)
                elif kind:
                    found[n] |= script != 0 and kind != script
                    script = kind
    return count


@cache
def _traits() -> np.ndarray:
    """Return a table, [0x110000] uint8: what about a character asks for more than its font."""
    table = np.zeros(CODES, np.uint8)
    table[may_be_emoji()] |= _EMOJI
    table[may_join()] |= _LONG
    table[0x3041:0x3100] |= _KANA
    table[0xAC00:0xD7A4] |= _HANGUL
    table[0xFE00:0xFE0E] |= _VARIANT
    table[0xE0100:0xE01F0] |= _VARIANT
    return table


@njit(cache=True, nogil=True)
def _survey(codes, table, classes):
    """Return the traits of a text's characters taken together, and whether there is anything that bidi orders."""
    traits = np.uint8(0)
    for code in codes:
        traits |= table[code]
    return traits, needs_bidi(codes, classes)


@njit(cache=True, nogil=True)
def _assign(codes, starts, chosen, kinds, types, pointers, levels, fonts, keys, breaks):
    """Run keys from the characters' own fonts: clusters stay in one font where one has all of it."""
    for n in chosen:
        script, flip = np.uint32(COMMON), np.uint32(0)
        may_touch = False
        base = cluster = starts[n]
        for i in range(starts[n], starts[n + 1]):
            code = codes[i]
            kind = kinds[code]
            if code <= 32 or code == 0x85 or code == 0x2028 or code == 0x2029:
                script, flip = np.uint32(COMMON), np.uint32(0)
            elif i > base and kind in (MARK, IGNORABLE) and codes[i - 1] > 32:
                before = fonts[i - 1]
                breaks[i] |= 2
                if kind == IGNORABLE:
                    # What no font has is reported without it.
                    fonts[i] = max(before, np.int16(0))
                elif before >= 0 and fonts[i] != before:
                    whole = compose(codes[i - 1], code)
                    if nominal_glyph(pointers[before], code) or (whole and nominal_glyph(pointers[before], whole)):
                        fonts[i] = before
                    elif fonts[i] >= 0:
                        # The mark's font for all of the cluster, if it has it.
                        k = cluster if i - cluster <= MARKS else i
                        shared = k < i
                        while shared and k < i:
                            shared = nominal_glyph(pointers[fonts[i]], codes[k]) != 0
                            k += 1
                        if shared:
                            for k in range(cluster, i):
                                fonts[k] = fonts[i]
                                keys[k] = (keys[k] & ~np.uint32(NO_FONT)) | np.uint32(fonts[i])
                            may_touch = True
            else:
                cluster = i
            own = script_of(code)
            other = i > base and fonts[i] > 0 and fonts[i - 1] > 0 and fonts[i] != fonts[i - 1]
            if other and own == COMMON and nominal_glyph(pointers[fonts[i - 1]], code):
                # Punctuation that several scripts share looks as in the text before it.
                fonts[i] = fonts[i - 1]
            if own != COMMON and own != INHERITED and own != UNKNOWN and own != script:
                if script != COMMON:
                    flip ^= np.uint32(OTHER_SCRIPT)
                script = own
            font = np.uint32(fonts[i]) if fonts[i] >= 0 else np.uint32(NO_FONT)
            keys[i] = font | (np.uint32(levels[i]) << np.uint32(LEVEL)) | flip | np.uint32(COMPLEX)
            may_touch |= i > base and keys[i] != keys[i - 1] and types[code] != 0
        if may_touch:
            mark_context(codes, starts[n], starts[n + 1], keys, types)


class Analyzer:
    """Tells plain texts from others, and works out the others' runs.

    Args:
        stack: The fonts to choose from.
        language: A BCP 47 tag, or none: then Han characters take Japanese forms in a text with kana, Korean ones in a
            text with Hangul, else simplified Chinese ones.
    """

    def __init__(self, stack: FontStack, language: str) -> None:
        self.stack = stack
        forms = han_forms(language)
        self._region = REGIONS.index(forms) if forms else None
        self._scripts = np.array([_COMPLEX, 0, 1, 2, 4], np.uint8)[plain_scripts()]
        self.plain = np.where(self._scripts == _COMPLEX, _COMPLEX, _UNASKED)
        # What sets the text is plain in any font.
        self.plain[[10, 11, 12, 13, 32, 0x85, 0x2028, 0x2029]] = 0

    def __call__(
        self,
        texts: Sequence[str],
        codes: np.ndarray,
        starts: np.ndarray,
        insets: Insets = NOTHING,
        contexts: Sequence[Context | None] = (),
    ) -> Runs:
        """Work out the runs of N texts.

        Args:
            texts: N strings.
            codes: [K] uint32, their code points, with letters in place of what boxes stand for.
            starts: [N + 1] int64, each text's first.
            insets: The boxes, and what is set as source, in monospace.
            contexts: The prompts that texts are parts of; none, or N.
        """
        found = np.zeros(len(texts), bool)
        unasked = np.empty(len(codes), np.uint32)
        while count := _find_complex(codes, starts, self.plain, found, unasked):
            new = np.unique(unasked[:count])
            self.plain[new] = np.where(self.stack.choose(new, 0) == 0, self._scripts[new], _COMPLEX)
        found[insets.pages] = True
        for n, context in enumerate(contexts):
            # Text that is plain by itself may stand in a paragraph that reads from the right.
            if context is not None and not found[n] and not context.text.isascii():
                before, _ = context.around(context.start + len(texts[n]))
                found[n] = bool(needs_bidi(to_codes(before), bidi_classes()))
        sources: dict[int, list[tuple[int, int]]] = {}
        for page, start, stop in insets.sources:
            found[page] = True
            sources.setdefault(page, []).append((start, stop))
        if not found.any():
            nothing = np.empty(0, np.uint8)
            return Runs(np.empty(0, np.uint32), nothing, nothing, nothing, found)
        size = len(codes)
        keys, fonts = np.zeros(size, np.uint32), np.zeros(size, np.int16)
        levels, bases, breaks = (np.zeros(size, np.uint8) for _ in range(3))
        chosen = np.flatnonzero(found)
        for n in chosen.tolist():
            part = slice(int(starts[n]), int(starts[n + 1]))
            context = contexts[n] if len(contexts) else None
            self._analyze(texts[n], codes[part], fonts[part], levels[part], bases[part], breaks[part], context)
            for start, stop in sources.get(n, ()):
                self._set_in_monospace(codes[start:stop], fonts[start:stop])
        for start, stop in find_mixed_words(codes, starts, chosen, fonts, character_kinds(), shaped_by_word()).tolist():
            number = self.stack.choose_for_word(codes[start:stop])
            if number != NONE:
                fonts[start:stop] = number
        tables = character_kinds(), joining_types(), self.stack.pointers
        _assign(codes, starts, chosen, *tables, levels, fonts, keys, breaks)
        for i, (start, stop) in enumerate(zip(insets.starts.tolist(), insets.stops.tolist(), strict=True)):
            # Neighbours differ, so that each is a word of its own.
            keys[start:stop] = BOXED | COMPLEX | int(levels[start]) << LEVEL | OTHER_SCRIPT * (i & 1)
        return Runs(keys, levels, bases, breaks, found)

    def _analyze(
        self,
        text: str,
        codes: np.ndarray,
        fonts: np.ndarray,
        levels: np.ndarray,
        bases: np.ndarray,
        breaks: np.ndarray,
        context: Context | None,
    ) -> None:
        """Fill in one text's fonts, levels and breaks."""
        source, text = text, codes.tobytes().decode("utf-32-le", "surrogatepass")
        traits, bidi = _survey(codes, _traits(), bidi_classes())
        language = traits
        around = codes, codes[:0], codes[:0]
        if context is not None and not context.text.isascii():
            language, _ = _survey(to_codes(context.text), _traits(), bidi_classes())
            before, after = context.around(context.start + len(source))
            around = codes, to_codes(before), to_codes(after)
            bidi = bidi or any(needs_bidi(part, bidi_classes()) for part in around[1:])
        region = self._region
        if region is None:
            region = REGIONS.index("JP" if language & _KANA else "KR" if language & _HANGUL else "SC")
        self.stack.choose(codes, region, out=fonts)
        if traits & _VARIANT:
            for match in _VARIANTS.finditer(text):
                i = match.start()
                number = self.stack.choose_for_variant(int(codes[i]), int(codes[i + 1]), int(fonts[i]), region)
                if number != NONE:
                    fonts[i] = number
        if traits & _EMOJI and self.stack.emoji != NONE:
            for start, stop in find_emoji(text, lambda start, stop: self.stack.has_ligature(codes[start:stop])):
                if self.stack.has_emoji(codes[start:stop]):
                    fonts[start:stop] = self.stack.emoji
        breaks[line_breaks(text)[:-1]] = 1
        if traits & _LONG:
            inside = np.ones(len(codes), bool)
            inside[0] = inside[grapheme_breaks(text)[:-1]] = False
            breaks[inside] |= 2
        if bidi:
            levels[:], bases[:] = _levels(source if context is None else context, *around)

    def _set_in_monospace(self, codes: np.ndarray, fonts: np.ndarray) -> None:
        number = self.stack.number_of("monospace")
        drawn = [code for code in np.unique(codes).tolist() if self.stack.fonts[number].draws(code)]
        fonts[np.isin(codes, drawn)] = number


def _levels(
    text: str | Context, codes: np.ndarray, before: np.ndarray, after: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return bidi levels and paragraph levels; what stands verbatim is one left-to-right isolate (UAX #9, HL4).

    Args:
        text: The source, or the prompt that it is a part of.
        codes: [K] uint32, of the source, with letters in place of what boxes stand for.
        before: The rest of its first paragraph, in front of it.
        after: The rest of its last paragraph.
    """
    whole, start = (text, 0) if isinstance(text, str) else text
    first, last = start - len(before), start + len(codes) + len(after)
    edges = [(a - first, b - first) for a, b in _verbatim(whole) if first <= a and b <= last]
    places = [edge for pair in edges for edge in pair]
    isolated = np.insert(np.concatenate([before, codes, after]), places, [LRI, PDI] * len(edges))
    levels, bases = resolve_levels(isolated.astype(np.uint32))
    kept = np.delete(np.arange(len(isolated)), np.array(places, np.int64) + np.arange(len(places)))
    kept = kept[len(before) : len(before) + len(codes)]
    return levels[kept], bases[kept]


def to_codes(text: str) -> np.ndarray:
    """Return the code points of a string, [K] uint32; lone surrogates too."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _verbatim(text: str) -> Iterator[tuple[int, int]]:
    """The ranges that stand as they are in any text, formulas, code, URLs: line by line, in order, none nested."""
    scanned = scan(text)
    # Indentation alone makes prose no code.
    literals = [(start, stop) for start, stop in scanned.literals if not text[start].isspace()]
    ranges = [(start, stop) for start, stop, _ in scanned.formulas] + literals
    if any(mark in text for mark in _MARKS):
        ranges += [match.span() for match in _VERBATIM.finditer(text)]
    at = 0
    for start, stop in sorted(ranges, key=lambda r: (r[0], -r[1])):
        if start < at:
            continue
        at = stop
        # A line end closes every isolate.
        for line in regex.finditer(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+", text, pos=start, endpos=stop):
            yield line.span()
