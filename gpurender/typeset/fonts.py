"""Fonts: where they are, and one face at one size as HarfBuzz and FreeType see it."""

from __future__ import annotations

import difflib
import io
import os
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import freetype
import numpy as np

from gpurender.typeset.emoji import ColorPainter
from gpurender.typeset.harfbuzz import HarfBuzzFont
from gpurender.typeset.layout import FontKey

__all__ = ["REGULAR", "Font", "FontFace", "FontWarning", "Outlines", "find_font", "list_fonts", "load", "open_face"]

ALIASES = {"sans": "DejaVu Sans", "serif": "DejaVu Serif", "monospace": "DejaVu Sans Mono"}
SUFFIXES = {".ttf", ".otf", ".ttc", ".otc"}
# Fonts of web pages, which may be named, and are not looked for in folders.
WEB_SUFFIXES = {".woff", ".woff2"}


COLOR = 1 << 14  # FT_FACE_FLAG_COLOR, which freetype-py does not name
# What the style of a family's upright face of usual weight is called.
REGULAR = frozenset({"book", "regular", "roman", "normal"})


PICTURES = 2**24  # px of emoji that a font keeps


class FontWarning(UserWarning):
    """A font file was passed over; the message says which and why."""


class FontFace(NamedTuple):
    """A face found in a file."""

    family: str
    style: str
    file: str
    face_index: int


def _carried() -> Path | None:
    """The folder of the DejaVu fonts that matplotlib carries; first, so that pixels do not depend on the machine."""
    matplotlib = find_spec("matplotlib")
    return Path(matplotlib.origin).parent / "mpl-data" / "fonts" / "ttf" if matplotlib and matplotlib.origin else None


def _folders() -> Iterator[Path]:
    """Where fonts lie on a machine without fontconfig."""
    home = Path.home()
    if sys.platform == "darwin":
        yield from (home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts"))
    elif sys.platform == "win32":
        yield Path(os.environ.get("WINDIR", "C:/Windows")) / "Fonts"
        yield Path(os.environ.get("LOCALAPPDATA", home)) / "Microsoft/Windows/Fonts"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME", home / ".local/share"))
        yield from (home / ".fonts", data / "fonts", Path("/usr/local/share/fonts"), Path("/usr/share/fonts"))


def _faces(file: Path, data: bytes | None = None) -> Iterator[FontFace]:
    """Yield the faces of a file, or of the font that was unpacked from it; none if it cannot be read as a font."""
    index, count = 0, 1
    while index < count:
        try:
            face = freetype.Face(str(file) if data is None else io.BytesIO(data), index)
        except (freetype.FT_Exception, OSError):
            return
        count = face.num_faces
        if face.is_scalable or face.face_flags & COLOR:
            family, style = (
                name.decode("utf-8", "replace") for name in (face.family_name or b"", face.style_name or b"")
            )
            yield FontFace(family, style, str(file), index)
        index += 1


def _in_folder(folder: Path) -> Iterator[FontFace]:
    for file in sorted(folder.rglob("*")):
        if file.suffix.lower() in SUFFIXES:
            yield from _faces(file)


def _by_fontconfig() -> list[FontFace] | None:
    """What fontconfig has in its cache, without opening a file; None where it is not installed."""
    command = shutil.which("fc-list")
    if command is None:
        return None
    form = "%{file}\t%{index}\t%{family[0]}\t%{style[0]}\n"
    run = subprocess.run([command, "--format", form], capture_output=True, text=True, errors="replace", timeout=60)
    rows = [line.split("\t") for line in run.stdout.splitlines()]
    # The upper half of an index names an instance of a variable font; 0 is the font as it is.
    found = [FontFace(row[2], row[3], row[0], int(row[1])) for row in rows if len(row) == 4 and int(row[1]) < 1 << 16]
    return sorted({face for face in found if Path(face.file).suffix.lower() in SUFFIXES}, key=lambda face: face[2:])


@cache
def list_fonts() -> tuple[FontFace, ...]:
    """Every face found, in order of preference: DejaVu as it comes with this package, then the system's by file.

    The system's are those that fontconfig knows, where it is installed, else those in the usual folders.
    """
    carried = _carried()
    own = tuple(_in_folder(carried)) if carried else ()
    system = _by_fontconfig()
    if system is None:
        system = [face for folder in _folders() for face in _in_folder(folder)]
    return own + tuple(system)


@cache
def find_font(name: str) -> FontFace:
    """Return the face that a name means.

    Args:
        name: A family (`"DejaVu Sans"`), a family and style (`"DejaVu Sans Bold"`), or `"sans"`, `"serif"` or
            `"monospace"` (DejaVu, which is always there); or a file, TrueType, OpenType, WOFF or WOFF2
            (`"fonts/My.ttf"`). Of a collection the first face is meant, or the one after a `#`: its number from 0
            (`"fonts/My.ttc#2"`), or its family, with or without the style (`"fonts/My.ttc#My Sans Bold"`). Case does
            not matter.

    Raises:
        ValueError: There is nothing of that name, or the file is not a font, or is WOFF2 and the package brotli is not
            installed; the message names what comes near.
    """
    file, _, part = name.rpartition("#")
    for path, chosen in ((name, ""), (file, part)):
        if Path(path).suffix.lower() in SUFFIXES | WEB_SUFFIXES:
            return _in_file(path, chosen)
    face = _named(ALIASES.get(name.lower(), name), list_fonts())
    if face:
        return face
    raise ValueError(f"no font named {name!r}{_near(name)} (`gpurender fonts` lists what is found)")


def _named(name: str, faces: Sequence[FontFace]) -> FontFace | None:
    """Return the face of a family and style, or of a family: the upright one of usual weight, else its first."""
    wanted = name.lower()
    best = None
    for face in faces:
        if wanted == f"{face.family} {face.style}".lower() or (
            wanted == face.family.lower() and face.style.lower() in REGULAR
        ):
            return face
        if best is None and wanted == face.family.lower():
            best = face
    return best


def _near(name: str) -> str:
    near = difflib.get_close_matches(name, {face.family for face in list_fonts()}, n=3, cutoff=0.5)
    return f"; near it: {', '.join(near)}" if near else ""


def _in_file(name: str, chosen: str) -> FontFace:
    """Return the face of a file that a number, or a family with or without the style, chooses; its first for none."""
    path = Path(name)
    if not path.is_file():
        raise ValueError(f"font file {name!r} does not exist")
    path = path.resolve()
    # FreeType reads what it can in place.
    data = _read(str(path)) if path.suffix.lower() in WEB_SUFFIXES else None
    faces = tuple(_faces(path, data))
    if not faces:
        raise ValueError(f"font file {name!r} cannot be read as a scalable font")
    if chosen.isdecimal():
        face = next((face for face in faces if face.face_index == int(chosen)), None)
    else:
        face = _named(chosen, faces) if chosen else faces[0]
    if face is None:
        held = ", ".join(f"{face.face_index} ({face.family} {face.style})" for face in faces)
        raise ValueError(f"font file {name!r} has no face {chosen!r}; it has {held}")
    return face


def load(file: str) -> bytes:
    """Return a font file's content; of WOFF and WOFF2 files the font that is packed in them.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is a damaged WOFF or WOFF2 file, or WOFF2 and the package brotli is not installed.
    """
    data = Path(file).read_bytes()
    return _unpack(file, data) if data[:4] in (b"wOFF", b"wOF2") else data


@lru_cache(maxsize=16)
def _unpack(file: str, data: bytes) -> bytes:
    from fontTools.ttLib import TTFont

    if data[:4] == b"wOF2" and not (find_spec("brotli") or find_spec("brotlicffi")):
        raise ValueError(f"font file {file!r} is WOFF2, which needs the package brotli: pip install brotli")
    unpacked = io.BytesIO()
    try:
        font = TTFont(io.BytesIO(data), recalcBBoxes=False, recalcTimestamp=False)
        font.flavor = None
        font.save(unpacked, reorderTables=None)
    # A damaged file fails in as many ways as it has tables.
    except Exception as error:
        raise ValueError(f"font file {file!r} cannot be unpacked: {error}") from error
    return unpacked.getvalue()


@cache
def _read(file: str) -> bytes:
    # Kept in memory, so that a file which is deleted or overwritten while in use harms nothing.
    return load(file)


def open_face(key: FontKey) -> freetype.Face:
    """A FreeType face of its own at a size; the file is read once in a process.

    Raises:
        ValueError: The file cannot be read as a font.
    """
    try:
        face = freetype.Face(io.BytesIO(_read(key.file)), key.face_index)
        if face.is_scalable:
            face.set_char_size(round(key.size * 64))
    except (freetype.FT_Exception, OSError, ValueError) as error:
        raise ValueError(f"font file {key.file!r} cannot be read: {error}") from error
    return face


class Outlines:
    """A face at one size as FreeType sees it. Lengths are in 1/64 px, y upwards, unhinted.

    Attributes:
        key: What identifies it in a Layout.
        face: FreeType's; its transform and glyph slot are this object's own.
        name: Family and style, for messages.
        is_color: It is an emoji font whose glyphs are pictures.
    """

    is_color = False

    def __init__(self, key: FontKey) -> None:
        self.key = key
        self.face = open_face(key)
        family, style = (
            (name or b"").decode("utf-8", "replace") for name in (self.face.family_name, self.face.style_name)
        )
        self.name = f"{family} {style}".removesuffix(" Book").removesuffix(" Regular")
        self._boxes = np.zeros((self.face.num_glyphs, 4), np.int32)
        self._known = np.zeros(self.face.num_glyphs, bool)

    def ink(self, glyphs: np.ndarray) -> np.ndarray:
        """Glyphs' control boxes (xMin, yMin, xMax, yMax), [K, 4] int32: what FreeType sizes their bitmaps by."""
        new = np.unique(glyphs[~self._known[glyphs]])
        for glyph in new.tolist():
            self._boxes[glyph] = self._box(glyph)
        self._known[new] = True
        boxes: np.ndarray = self._boxes[glyphs]
        return boxes

    def _box(self, glyph: int) -> tuple[int, int, int, int]:
        try:
            self.face.load_glyph(glyph, freetype.FT_LOAD_NO_HINTING | freetype.FT_LOAD_NO_BITMAP)
        except freetype.FT_Exception:
            # A damaged glyph is one that draws nothing: it is looked for in other fonts.
            return 0, 0, 0, 0
        box = self.face.glyph.outline.get_cbox()
        return box.xMin, box.yMin, box.xMax, box.yMax


class Font(Outlines):
    """A face at one size, as HarfBuzz and FreeType see it.

    Attributes:
        family: As the file has it.
        shaper: The face in HarfBuzz.
        ascent, descent: Above and below the baseline, both positive.
        space: The advance of U+0020.
        zero: The advance of the digit 0.
    """

    def __init__(self, face: FontFace, size: float) -> None:
        super().__init__(FontKey(face.file, face.face_index, float(size)))
        self.family = face.family
        self.name = f"{face.family} {face.style}".removesuffix(" Book").removesuffix(" Regular")
        scale = round(size * 64)
        self.shaper = HarfBuzzFont(_read(face.file), face.face_index, scale)
        if self.shaper.glyph_count == 0:
            raise ValueError(f"font file {face.file!r} cannot be read: it has no glyphs")
        # HarfBuzz may count more glyphs than FreeType does.
        self._boxes = np.zeros((self.shaper.glyph_count, 4), np.int32)
        self._known = np.zeros(self.shaper.glyph_count, bool)
        is_color = bool(self.face.face_flags & COLOR)
        # Letters in colour are set as outlines, where they have some.
        self.is_color = is_color and (self.shaper.glyph(0x1F600) != 0 or not self.face.is_scalable)
        self._painter: ColorPainter | None = None
        self._pictures: dict[int, tuple[np.ndarray, int, int]] = {}
        extents = self.shaper.extents()
        self.ascent, self.descent = extents.ascender, -extents.descender
        glyph = self.shaper.glyph(0x20)
        self.space = self.shaper.advance(glyph) if glyph else scale // 4
        glyph = self.shaper.glyph(0x30)
        self.zero = self.shaper.advance(glyph) if glyph else scale // 2

    def draws(self, code: int) -> bool:
        """Whether the font has a glyph for a code point, and that glyph has ink."""
        glyph = self.shaper.glyph(code)
        left, bottom, right, top = self.ink(np.array([glyph]))[0].tolist()
        return glyph != 0 and left < right and bottom < top

    def picture(self, glyph: int) -> tuple[np.ndarray, int, int]:
        """A colour glyph's picture: RGBA [height, width, 4] uint8, and its left and top from the origin, px, y up."""
        picture = self._pictures.get(glyph)
        if picture is None:
            if self._painter is None:
                self._painter = ColorPainter(_read(self.key.file), self.key.face_index, self.key.size)
            try:
                picture = self._painter.draw(glyph)
            except OSError as error:
                message = f"font file {self.key.file!r} has a damaged picture, glyph {glyph} ({error}); left blank"
                warnings.warn(message, FontWarning, stacklevel=2)
                picture = np.zeros((0, 0, 4), np.uint8), 0, 0
            if len(self._pictures) * self.key.size**2 > PICTURES:
                self._pictures.clear()
            self._pictures[glyph] = picture
        return picture

    def _box(self, glyph: int) -> tuple[int, int, int, int]:
        if self.is_color:
            pixels, left, top = self.picture(glyph)
            height, width = pixels.shape[:2]
            return 64 * left, 64 * (top - height), 64 * (left + width), 64 * top
        return super()._box(glyph)
