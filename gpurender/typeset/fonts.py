"""Fonts: where they are, and one face at one size as HarfBuzz and FreeType see it."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import freetype
import uharfbuzz

from gpurender.typeset.layout import FontKey

__all__ = ["Font", "FontFace", "find_font", "list_fonts"]

ALIASES = {"sans": "DejaVu Sans", "serif": "DejaVu Serif", "monospace": "DejaVu Sans Mono"}
SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}


class FontFace(NamedTuple):
    """A face found in a file."""

    family: str
    style: str
    file: str
    face_index: int


def _folders() -> Iterator[Path]:
    """Where fonts lie: DejaVu as matplotlib carries it comes first, so that pixels do not depend on the machine."""
    matplotlib = find_spec("matplotlib")
    if matplotlib and matplotlib.origin:
        yield Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf"
    home = Path.home()
    if sys.platform == "darwin":
        yield from (home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts"))
    elif sys.platform == "win32":
        yield Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"
        yield Path(os.environ.get("LOCALAPPDATA", home)) / "Microsoft/Windows/Fonts"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME", home / ".local/share"))
        yield from (home / ".fonts", data / "fonts", Path("/usr/local/share/fonts"), Path("/usr/share/fonts"))


def _faces(file: Path) -> Iterator[FontFace]:
    """The scalable faces of a file; none if it cannot be read as a font."""
    index, count = 0, 1
    while index < count:
        try:
            face = freetype.Face(str(file), index)
        except (freetype.FT_Exception, OSError):
            return
        count = face.num_faces
        if face.is_scalable:
            family, style = (
                name.decode("utf-8", "replace") for name in (face.family_name or b"", face.style_name or b"")
            )
            yield FontFace(family, style, str(file), index)
        index += 1


def list_fonts() -> Iterator[FontFace]:
    """Every scalable face found, in order of preference; files are opened as the iteration reaches them."""
    for folder in _folders():
        for file in sorted(folder.rglob("*")):
            if file.suffix.lower() in SUFFIXES:
                yield from _faces(file)


@cache
def find_font(name: str) -> FontFace:
    """The face that a name means.

    Args:
        name: A file (`"fonts/My.ttf"`), a family (`"DejaVu Sans"`), a family and style (`"DejaVu Sans Bold"`), or
            `"sans"`, `"serif"` or `"monospace"` (DejaVu, which is always there). Case does not matter.

    Raises:
        ValueError: Nothing of that name is found, or the file is not a font; the message names what comes near.
    """
    path = Path(name)
    if path.suffix.lower() in SUFFIXES:
        if not path.is_file():
            raise ValueError(f"font file {name!r} does not exist")
        faces = tuple(_faces(path.resolve()))
        if not faces:
            raise ValueError(f"font file {name!r} cannot be read as a scalable font")
        return faces[0]
    wanted = ALIASES.get(name.lower(), name).lower()
    regular = {"book", "regular", "roman", "normal"}
    best = None
    for face in list_fonts():
        if wanted == f"{face.family} {face.style}".lower() or (
            wanted == face.family.lower() and face.style.lower() in regular
        ):
            return face
        if best is None and wanted == face.family.lower():
            best = face
    if best:
        return best
    near = difflib.get_close_matches(name, {face.family for face in list_fonts()}, n=3, cutoff=0.5)
    hint = f"; near it: {', '.join(near)}" if near else ""
    raise ValueError(f"no font named {name!r}{hint} (`gpurender fonts` lists what is found)")


class Font:
    """One face at one size. Lengths are in 1/64 px, y upwards, unhinted.

    Attributes:
        key: What identifies it in a Layout.
        name: Family and style, for messages.
        ascent, descent: Above and below the baseline, both positive.
        space: The advance of U+0020.
    """

    def __init__(self, face: FontFace, size: float) -> None:
        self.key = FontKey(face.file, face.face_index, float(size))
        self.name = f"{face.family} {face.style}".removesuffix(" Book").removesuffix(" Regular")
        try:
            blob = uharfbuzz.Blob.from_file_path(face.file)
            self.shaper = uharfbuzz.Font(uharfbuzz.Face(blob, face.face_index))
            self._outlines = freetype.Face(face.file, face.face_index)
        except (freetype.FT_Exception, uharfbuzz.HarfBuzzError, OSError) as error:
            raise ValueError(f"font file {face.file!r} cannot be read: {error}") from error
        scale = round(size * 64)
        self.shaper.scale = (scale, scale)
        self._outlines.set_char_size(scale)
        extents = self.shaper.get_font_extents("ltr")
        self.ascent, self.descent = extents.ascender, -extents.descender
        glyph = self.shaper.get_nominal_glyph(0x20)
        self.space = self.shaper.get_glyph_h_advance(glyph) if glyph else scale // 4
        self._ink: dict[int, tuple[int, int, int, int]] = {}

    def ink(self, glyph: int) -> tuple[int, int, int, int]:
        """A glyph's control box (xMin, yMin, xMax, yMax): what FreeType sizes its bitmap by."""
        box = self._ink.get(glyph)
        if box is None:
            self._outlines.load_glyph(glyph, freetype.FT_LOAD_NO_HINTING | freetype.FT_LOAD_NO_BITMAP)
            cbox = self._outlines.glyph.outline.get_cbox()
            box = self._ink[glyph] = (cbox.xMin, cbox.yMin, cbox.xMax, cbox.yMax)
        return box
