"""The font stack: which font sets which character; the asked-for font first, then what else the machine has.

The choice depends on the character, the word or sequence that it is in, the text's language and the fonts installed
alone, never on what was set before, so a text looks the same in every batch and process.
"""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
import regex
from numba import njit

from gpurender.typeset.characters import CODES, IGNORABLE, MARK, PRIVATE, SPACING, UNDRAWABLE, character_kinds
from gpurender.typeset.fonts import REGULAR, Font, FontFace, FontWarning, find_font, list_fonts, load
from gpurender.typeset.harfbuzz import LEFT_TO_RIGHT, coverage, new_buffer, shape_run, variants

__all__ = ["NONE", "REGIONS", "FontStack", "install_command"]

UNKNOWN, NONE = -2, -1  # entries of a stack's tables: not asked for yet; no font has it

# The forms of Han characters that pan-CJK fonts tell apart, by their families' endings; the first is the default.
REGIONS = ("SC", "JP", "KR", "TC", "HK")

# Blocks of which pan-CJK fonts have nearly all, punctuation and symbols too: from radicals to ideographs, Hangul,
# compatibility and wide forms.
_CJK = (
    *(range(0x2E80, 0xA000), range(0xA960, 0xA980), range(0xAC00, 0xD800), range(0xF900, 0xFB00)),
    *(range(0xFE30, 0xFE50), range(0xFF00, 0xFFF0), range(0x1F200, 0x1F300), range(0x20000, 0x40000)),
)


@lru_cache(maxsize=4096)
def _coverage(file: str, face_index: int) -> np.ndarray | None:
    """A face's code points, [K] uint32, rising; None, with a warning, for a file that cannot be read."""
    try:
        found = coverage(load(file), face_index)
    except OSError as error:
        warnings.warn(f"font file {file!r} cannot be read ({error.strerror}); passed over", FontWarning, stacklevel=2)
        return None
    except ValueError as error:
        warnings.warn(f"{error}; passed over", FontWarning, stacklevel=2)
        return None
    if not len(found):
        warnings.warn(f"font file {file!r} holds no characters or is broken; passed over", FontWarning, stacklevel=2)
        return None
    return found


@lru_cache(maxsize=4096)
def _variants(file: str, face_index: int) -> dict[int, np.ndarray]:
    """Return a face's variation sequences: the code points, [K] uint32, rising, by the selectors."""
    try:
        return variants(load(file), face_index)
    except (OSError, ValueError):
        # Its coverage was read before: it has gone since.
        return {}


# Families that draw a box for every character, or that hold other shapes than their code points say (Computer Modern
# as matplotlib carries it, with TeX's own encodings).
_UNFIT = regex.compile(
    r"\.?last ?resort.*|adobe (blank|notdef).*|stix(nonunicode|size.*)|dejavu .* display|cm(b|ex|mi|r|ss|sy|ti|tt)10"
    r"|.*(dingbats|symbol) *mt",
    regex.I,
)


@cache
def _installed(style: str) -> tuple[FontFace, ...]:
    """Return the faces for a style of each family installed, the nearest first, the upright one last."""
    styles = _styles(style)
    found: dict[str, dict[int, FontFace]] = {}
    for face in list_fonts():
        if not _UNFIT.fullmatch(face.family):
            place = next((i for i, names in enumerate(styles) if face.style.lower() in names), None)
            if place is not None:
                found.setdefault(face.family, {}).setdefault(place, face)
    # Families without an upright face of usual weight are for display.
    usual = len(styles) - 1
    return tuple(face for faces in found.values() if usual in faces for _, face in sorted(faces.items()))


def _styles(style: str) -> list[frozenset[str]]:
    """Return the styles that go with one, each by its names, the nearest first."""
    style = style.lower()
    if style in REGULAR:
        return [REGULAR]
    is_bold = regex.search("bold|black|heavy", style) is not None
    is_slanted = regex.search("italic|oblique", style) is not None
    styles = [frozenset({style})]
    if is_bold and is_slanted:
        styles.append(frozenset({"bold italic", "bold oblique"}))
    if is_bold:
        styles.append(frozenset({"bold"}))
    if is_slanted:
        styles.append(frozenset({"italic", "oblique"}))
    return [*styles, REGULAR]


# White space that HarfBuzz does not make up: Ogham's, which some fonts draw as a line, and Braille's.
_OWN_SPACES = frozenset({0x1680, 0x2800})
CHOICES = 2**16  # words and variation sequences whose font a stack remembers


class FontStack:
    """The fonts of one typesetter, opened when first needed.

    Args:
        face: The font that was asked for; what it has is set in it, but for words of scripts whose letters look as
            their neighbours ask for (Arabic, Devanagari), which are set in the first font that has all of the word.
        size: px per em.
        fallback: The faces that come after it, in order; None for every family installed: DejaVu Sans, then those named
            after the character's script, of the same kind (sans, serif, mono) as the font, Noto before others; of a
            family the face of the font's style (bold, italic), then the upright one.

    Attributes:
        fonts: The fonts opened so far; a font's number is its place here, and 0 is the one asked for.
        pointers: [fonts] int64, HarfBuzz's, for compiled code.
        glyph_counts: [fonts] int64, how many glyphs each has.
    """

    def __init__(self, face: FontFace, size: float, fallback: Sequence[FontFace] | None) -> None:
        self.size = size
        self.fonts = [Font(face, size)]
        self.pointers = np.array([self.fonts[0].shaper.pointer], np.int64)
        self.glyph_counts = np.array([self.fonts[0].shaper.glyph_count], np.int64)
        self._numbers: dict[FontFace, int] = {face: 0}
        self._fallback = fallback
        self._generic, self._style = _generic(face.family), face.style
        self._orders: dict[tuple[str, int], tuple[FontFace, ...]] = {}
        self._tables: dict[int, np.ndarray] = {}
        self._union: np.ndarray | None = None  # [0x110000] bool: whether any face claims the code point
        self._emoji: int | None = None
        self._word_fonts: dict[tuple[int, ...], int] = {}
        self._variant_fonts: dict[tuple[int, ...], int] = {}
        self._buffer = new_buffer()

    def choose(self, codes: np.ndarray, region: int, *, out: np.ndarray | None = None) -> np.ndarray:
        """The number of the font that sets each of the code points, [K] int16; `NONE` where there is none.

        Args:
            codes: [K] uint32.
            region: Of Han characters, an index into `REGIONS`.
            out: [K] int16, where to put them.
        """
        found = np.empty(len(codes), np.int16) if out is None else out
        table = self._tables.get(region)
        if table is None:
            table = self._tables[region] = np.full(CODES, UNKNOWN, np.int16)
        if _look_up(codes, table, found):
            for code in np.unique(codes[found == UNKNOWN]).tolist():
                table[code] = self._search(code, region)
            _look_up(codes, table, found)
        return found

    def choose_for_word(self, codes: np.ndarray) -> int:
        """Return the number of the first font that has all of a word, [K] uint32; `NONE` if there is none."""
        kinds = character_kinds()
        shown = tuple(code for code in np.unique(codes).tolist() if kinds[code] != IGNORABLE)
        key = int(codes[0]), *shown
        number = self._word_fonts.get(key)
        if number is None:
            if len(self._word_fonts) > CHOICES:
                self._word_fonts.clear()
            number = self._word_fonts[key] = self._search_for_word(*key)
        return number

    def choose_for_variant(self, code: int, selector: int, number: int, region: int) -> int:
        """Return the number of the font for a variation sequence: `number` or the first that has it, else `NONE`."""
        key = code, selector, number, region
        found = self._variant_fonts.get(key)
        if found is None:
            if len(self._variant_fonts) > CHOICES:
                self._variant_fonts.clear()
            found = self._variant_fonts[key] = self._search_for_variant(*key)
        return found

    def _search_for_word(self, first: int, *codes: int) -> int:
        if all(self._draws(0, code) for code in codes):
            return 0
        # No script but Han has regions.
        for face in self._order(first, 0):
            covered = _coverage(face.file, face.face_index)
            if covered is not None and all(_holds(covered, code) for code in codes):
                number = self._open(face)
                if number != NONE and all(self._draws(number, code) for code in codes):
                    return number
        return NONE

    def _search_for_variant(self, code: int, selector: int, number: int, region: int) -> int:
        for known in dict.fromkeys((number, 0)):
            if known != NONE and self.fonts[known].shaper.has_variant(code, selector) and self._draws(known, code):
                return known
        for face in self._order(code, region):
            covered = _coverage(face.file, face.face_index)
            if covered is None or not _holds(covered, code):
                continue
            sequences = _variants(face.file, face.face_index).get(selector)
            if sequences is not None and _holds(sequences, code):
                other = self._open(face)
                if other != NONE and self._draws(other, code):
                    return other
        return NONE

    def _draws(self, number: int, code: int) -> bool:
        """Return whether a font that is open is one for a code point."""
        font = self.fonts[number]
        if number and font.is_color:
            return False
        # Some marks have no ink by design, such as viramas that only join.
        may_be_empty = character_kinds()[code] in (SPACING, MARK)
        return font.draws(code) or (may_be_empty and bool(font.shaper.glyph(code)))

    @property
    def emoji(self) -> int:
        """The number of the font that draws emoji as pictures; `NONE` if there is none."""
        if self._emoji is None:
            named = (self._open(face) for face in self._faces() if "emoji" in face.family.lower())
            self._emoji = next((n for n in named if n != NONE and self.fonts[n].is_color), NONE)
        return self._emoji

    def number_of(self, name: str) -> int:
        """The number of the font of that name, opened if need be; 0, the one asked for, where there is none."""
        try:
            return max(0, self._open(find_font(name)))
        except ValueError:
            return 0

    def has_emoji(self, codes: np.ndarray) -> bool:
        """Whether the font that draws emoji as pictures has all that one sequence is made of, [K] uint32."""
        shown = codes[character_kinds()[codes] != IGNORABLE]
        shaper = self.fonts[self.emoji].shaper
        return all(shaper.glyph(code) for code in shown.tolist())

    def has_ligature(self, codes: np.ndarray) -> bool:
        """Return whether the font that draws emoji as pictures has one glyph for a sequence, [K] uint32."""
        length = np.zeros(1, np.uint32)
        pointer = self.fonts[self.emoji].shaper.pointer
        glyphs, _ = shape_run(self._buffer, pointer, codes.copy(), 0, len(codes), LEFT_TO_RIGHT, 0, length, 0)
        return len(glyphs) == 1 and bool(glyphs[0, 0])

    def _search(self, code: int, region: int) -> int:
        kind = int(character_kinds()[code])
        if kind == UNDRAWABLE:
            return NONE
        if kind == IGNORABLE or (kind == SPACING and code not in _OWN_SPACES):
            # HarfBuzz makes up what a font lacks of these.
            return 0
        if self._draws(0, code):
            return 0
        if kind == PRIVATE or (self._union is not None and not self._union[code]):
            return NONE
        for face in self._order(code, region):
            covered = _coverage(face.file, face.face_index)
            if covered is None or not _holds(covered, code):
                continue
            number = self._open(face)
            if number == NONE or self.fonts[number].is_color:
                continue
            if self._draws(number, code):
                return number
            message = f"{face.family} ({face.file}) claims U+{code:04X} and draws nothing; passed over"
            warnings.warn(message, FontWarning, stacklevel=4)
        if self._union is None:
            # What else nobody has is known at once from here on. Set when whole, lest an interruption be remembered.
            union = np.zeros(CODES, bool)
            for face in self._faces():
                covered = _coverage(face.file, face.face_index)
                if covered is not None:
                    union[covered] = True
            self._union = union
        return NONE

    def _faces(self) -> Sequence[FontFace]:
        return _installed(self._style) if self._fallback is None else self._fallback

    def _order(self, code: int, region: int) -> tuple[FontFace, ...]:
        if self._fallback is not None:
            return tuple(self._fallback)
        # The script, as Unicode's name for the character begins ("DEVANAGARI LETTER KA") and families are named.
        word = "CJK" if any(code in block for block in _CJK) else unicodedata.name(chr(code), "").partition(" ")[0]
        order = self._orders.get((word, region))
        if order is None:
            order = tuple(sorted(self._faces(), key=lambda face: self._rank(face, word.lower(), region)))
            self._orders[word, region] = order
        return order

    def _rank(self, face: FontFace, word: str, region: int) -> tuple[object, ...]:
        words = face.family.split()
        return (
            face.family != "DejaVu Sans",
            not word or word not in face.family.lower().split(),
            _generic(face.family) != self._generic,
            words[0] != "Noto",
            "Noto Sans" not in face.family,
            # Of a pan-CJK font, the region's forms.
            REGIONS.index(words[-1]) != region if words[-1] in REGIONS else False,
            len(words),
            # Of a family the faces keep their order.
            face.family,
        )

    def _open(self, face: FontFace) -> int:
        number = self._numbers.get(face)
        if number is None:
            try:
                font = Font(face, self.size)
            except ValueError as error:
                self._numbers[face] = NONE
                warnings.warn(f"{error}; passed over", FontWarning, stacklevel=5)
                return NONE
            # The number last: compiled code looks it up in the others, whatever interrupts this.
            fonts = [*self.fonts, font]
            self.pointers = np.array([font.shaper.pointer for font in fonts], np.int64)
            self.glyph_counts = np.array([font.shaper.glyph_count for font in fonts], np.int64)
            self.fonts = fonts
            number = self._numbers[face] = len(fonts) - 1
        return number


@njit(cache=True, nogil=True)
def _look_up(codes, table, found):
    """Look code points up; returns whether any was not asked for before."""
    unknown = False
    for i in range(len(codes)):
        found[i] = table[codes[i]]
        unknown |= found[i] == UNKNOWN
    return unknown


def _holds(covered: np.ndarray, code: int) -> bool:
    place = int(np.searchsorted(covered, code))
    return place < len(covered) and int(covered[place]) == code


def _generic(family: str) -> str:
    words = family.lower().split()
    return "mono" if "mono" in words else "serif" if "serif" in words or "naskh" in words else "sans"


def install_command() -> str:
    """The command that installs fonts for what is missing, on the kind of machine this is."""
    import sys

    if sys.platform == "darwin":
        return "brew install --cask font-noto-sans-cjk font-noto-emoji"
    return "apt-get install -y --no-install-recommends fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji"
