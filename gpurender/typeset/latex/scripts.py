r"""Characters beyond ASCII in formulas and tables: which TeX sets, in which form, and which the text's fonts set.

- Signs that the preamble declares (`α`, `≤`, `∑`) stay as they are, and so do those of TeX's text fonts in text; in
  maths an accented letter becomes a letter under a math accent, any other text character a `\text`.
- Superscript and subscript digits and signs in a row become one script; mathematical letters (`𝐱`, `𝔸`) the letter in
  that alphabet.
- All other characters are runs: shaped as text is, put into TeX as boxes of their width, height and depth, and placed
  where TeX puts these boxes. A run is a word or less, but for words that read from the right, which stay together.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple, Protocol

import numpy as np
import regex

from gpurender.typeset.breaks import line_breaks
from gpurender.typeset.fonts import Outlines
from gpurender.typeset.latex.preamble import PREAMBLE

__all__ = ["Run", "Shaper", "encode", "find_runs"]


class Run(NamedTuple):
    """A shaped run. Lengths in 1/64 px at the text's size, from its origin on the baseline, y downwards."""

    width: int
    height: int  # of its ink above the baseline
    depth: int  # of its ink below it
    glyphs: np.ndarray  # [G, 4] int32: font, glyph id, x, y


class Shaper(Protocol):
    """An object that shapes runs in the text's fonts.

    Attributes:
        size: Of the text, px per em.
    """

    size: float

    def shape(self, texts: Sequence[str]) -> list[Run | None]:
        """Shape N strings; None for one that has a character without a glyph."""

    def open(self, number: int, size: float) -> Outlines:
        """Return the font of a number in `Run.glyphs`, at a size in px per em."""


# The characters of TeX's text fonts (T1 and TS1) that LaTeX sets by themselves.
_TEXT = frozenset(
    "¡¢£¤¥¦§¨©ª«®¯´¶º»¼½¾¿ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞßàáâãäåæçèéêëìíîïðñòóôõöøùúûüýþÿĀāĂăĄąĆćĈĉĊċČčĎďĐđĒēĔĕĖėĘęĚěĜĝĞğĠġ"
    "ĢģĤĥĨĩĪīĬĭĮįİıĲĳĴĵĶķĹĺĻļĽľŁłŃńŅņŇňŊŋŌōŎŏŐőŒœŔŕŖŗŘřŚśŜŝŞşŠšŢţŤťŨũŪūŬŭŮůŰűŲųŴŵŶŷŸŹźŻżŽžǍǎǏǐǑǒǓǔǦǧǨǩǪǫǰǴǵȘșȚțȲȳȷ"
    "‐‑‒–—―‘’‚“”„‰‹›€№℗™ﬀﬁﬂﬃﬄ"
)
_ACCENTS = {
    "\u0300": "grave",
    "\u0301": "acute",
    "\u0302": "hat",
    "\u0303": "tilde",
    "\u0304": "bar",
    "\u0305": "overline",
    "\u0306": "breve",
    "\u0307": "dot",
    "\u0308": "ddot",
    "\u030a": "mathring",
    "\u030c": "check",
    "\u0332": "underline",
    "\u20d6": "overleftarrow",
    "\u20d7": "vec",
    "\u20db": "dddot",
}
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱ", "0123456789+-=()ni", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₒₓₕₖₗₘₙₚₛₜᵢⱼᵣᵤᵥ", "0123456789+-=()aeoxhklmnpstijruv", strict=True))
_ALPHABETS = (
    ("BOLD ITALIC", "boldsymbol"),
    ("BOLD SCRIPT", "mathcal"),
    ("BOLD FRAKTUR", "mathfrak"),
    ("SANS-SERIF", "mathsf"),
    ("DOUBLE-STRUCK", "mathbb"),
    ("BOLD", "mathbf"),
    ("ITALIC", "mathnormal"),
    ("SCRIPT", "mathcal"),
    ("FRAKTUR", "mathfrak"),
    ("MONOSPACE", "mathtt"),
)

# Words that read from the right, with what stands between them or beside them in their order.
_RIGHT = r"[\p{bc=R}\p{bc=AL}\p{bc=AN}][\p{bc=R}\p{bc=AL}\p{bc=AN}\p{M}\u200c-\u200f]*"
_PIECE = regex.compile(
    rf"(?P<right>(?:(?<![\w.])\d[\d.,]* )?{_RIGHT}(?:[ \d.,:;!?()/\u060c\u061b\u061f-]{{1,9}}{_RIGHT})*"
    r"(?:[ :][\d.,]*\d|[\u061f\u060c\u061b])?)"
    rf"|(?P<marked>(?:(?<![\\A-Za-z])[A-Za-z]|\p{{L}}(?<![A-Za-z]))(?P<mark>[{''.join(_ACCENTS)}])(?!\p{{M}}))"
    rf"|(?P<scripts>(?P<operator>[∫-∳∏-∑⋀-⋃⨀-⨆]?)[{''.join(_RAISED | _LOWERED)}]+)"
    r"|(?P<greek>\p{Greek}[\p{Greek}\p{M}]+)"
    r"|(?P<latin>(?:(?<![\\A-Za-z])[A-Za-z]+)?(?:(?=[^\x00-\x7f])\p{Latin}\p{M}*)(?:\p{Latin}\p{M}*)*)"
    r"|(?P<other>[^\x00-\x7f][\p{M}\u200b-\u200f\ufe0e\ufe0f]*)"
)


@cache
def _declared() -> frozenset[str]:
    """The characters that the preamble says how to set."""
    codes = re.findall(r"(?:\\gpr@u|\\DeclareUnicodeCharacter)\{([0-9A-F]{4,5})\}", PREAMBLE)
    return frozenset(chr(int(code, 16)) for code in codes)


@cache
def _letter(character: str) -> str:
    """A mathematical letter in TeX's words; empty for what is none."""
    name = unicodedata.name(character, "")
    plain = unicodedata.normalize("NFKC", character)
    if not name.startswith("MATHEMATICAL ") or len(plain) != 1 or plain == character:
        return ""
    command = next((command for part, command in _ALPHABETS if part in name), "")
    if plain.isascii():
        # The alphabets of capitals have no others.
        capital = command in ("mathcal", "mathbb") and not plain.isupper()
        return "" if capital else rf"\{command}{{{plain}}}"
    if plain not in _declared():
        return ""
    return plain if command == "mathnormal" else rf"\boldsymbol{{{plain}}}" if "BOLD" in name else ""


@lru_cache(maxsize=4096)
def _pieces(tex: str, in_table: bool) -> tuple[tuple[str, str], ...]:
    """Cut a source into TeX's words (`""`) and runs (`"run"`; `"break"` where a line of a table may end behind it)."""
    pieces: list[tuple[str, str]] = []
    words: list[str] = []
    run: list[str] = []

    def close_run() -> None:
        if not run:
            return
        text = "".join(run)
        run.clear()
        pieces.append(("", "".join(words)))
        words.clear()
        cuts = [0, *line_breaks(text).tolist()] if in_table and not _is_leftward(text) else [0, len(text)]
        parts = [text[a:b] for a, b in pairwise(cuts)]
        pieces.extend(("break" if part is not parts[-1] else "run", part) for part in parts)

    at = 0
    for found in _PIECE.finditer(tex):
        if found.start() > at:
            close_run()
            words.append(tex[at : found.start()])
        at = found.end()
        text = found[0]
        for part, is_run in _translate(found.lastgroup or "", text, found["mark"], found["operator"]):
            if is_run:
                run.append(part)
            else:
                close_run()
                words.append(part)
        if found["right"]:
            close_run()
    close_run()
    words.append(tex[at:])
    return (*pieces, ("", "".join(words)))


def _is_leftward(text: str) -> bool:
    return any(unicodedata.bidirectional(c) in ("R", "AL", "AN") for c in text)


def _translate(kind: str, text: str, mark: str | None, operator: str | None) -> Iterator[tuple[str, bool]]:
    """A piece in TeX's words, or as runs (True)."""
    if kind == "right":
        yield text, True
    elif operator is not None:
        scripts = [
            ("^{" if is_raised else "_{") + "".join((_RAISED | _LOWERED)[c] for c in group) + "}"
            for is_raised, group in groupby(text.removeprefix(operator), _RAISED.__contains__)
        ]
        # Two stand above one another, and with an operator where its limits do.
        pairs = ["".join(scripts[k : k + 2]) for k in range(0, len(scripts), 2)]
        yield rf"\ensuremath{{{operator or '{}'}{'{}'.join(pairs)}}}", False
    elif kind == "greek":
        # In maths a product, in text a word.
        yield rf"{{\gprmode{{{text}}}{{", False
        yield text, True
        yield "}}", False
    elif mark:
        yield from _accented(text, text[0], mark)
    elif kind == "latin" and not all(c.isascii() or c in _TEXT or c in _declared() for c in text):
        # A word of one font.
        yield text, True
    else:
        for character in text if kind == "latin" else text[:1]:
            for part, is_run in _character(character):
                # What follows belongs to it: marks, joiners, variation selectors.
                yield part + (text[1:] if is_run and kind == "other" else ""), is_run


def _character(character: str) -> Iterator[tuple[str, bool]]:
    if character.isascii() or character in _declared():
        yield character, False
    elif character in _TEXT:
        parts = unicodedata.normalize("NFD", character)
        if len(parts) == 2 and parts[1] in _ACCENTS and parts[0].isascii():
            yield from _accented(character, parts[0], parts[1])
        else:
            yield rf"{{\gprtext{{{character}}}}}", False
    elif letter := _letter(character):
        yield rf"\ensuremath{{{letter}}}", False
    elif character in "\u200b\u200c\u200d\ufeff":
        yield "", False
    elif unicodedata.category(character) == "Zs":
        yield r"\quad " if character == "\u3000" else r"\ ", False
    else:
        yield character, True


def _accented(text: str, base: str, mark: str) -> Iterator[tuple[str, bool]]:
    """A letter under a math accent in maths; in text the character itself, or a run."""
    if not (base.isascii() or base in _declared()):
        yield text, True
        return
    above = {"i": r"\imath", "j": r"\jmath"}.get(base, base) if mark != "\u0332" else base
    whole = unicodedata.normalize("NFC", text)
    if len(whole) == 1 and whole in _TEXT:
        yield rf"{{\gprmode{{\{_ACCENTS[mark]}{{{above}}}}}{{{whole}}}}}", False
    else:
        yield rf"\ensuremath{{\{_ACCENTS[mark]}{{{above}}}}}", False


def find_runs(tex: str, in_table: bool) -> list[str]:
    """The runs of a source, from left to right."""
    return [] if tex.isascii() else [text for kind, text in _pieces(tex, in_table) if kind]


def encode(tex: str, in_table: bool, place: Callable[[str], str]) -> str:
    """A source in the words of `server.tex`.

    Args:
        tex: As `prepare` gives it.
        in_table: Whether lines may be broken between the parts of a run.
        place: Gives the number and the sizes of a run as arguments of `\\gprrun`.
    """
    if tex.isascii():
        return tex
    out = []
    for kind, text in _pieces(tex, in_table):
        out.append(rf"{{\gprrun{place(text)}}}" if kind else text)
        if kind == "break":
            out.append(r"\gprbreak ")
    return "".join(out)
