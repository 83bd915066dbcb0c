"""TeX's fonts: their metrics (TFM) and where their glyphs are (Type 1 files, by pdfTeX's own map and encodings)."""

from __future__ import annotations

import re
import subprocess
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import freetype
import numpy as np

from gpurender.typeset.fonts import open_face
from gpurender.typeset.layout import FontKey

__all__ = ["MapEntry", "TexFont", "find_files", "load_font", "read_encoding", "read_map", "read_metrics"]

_PART = re.compile(r'"([^"]*)"|(<+\[?)\s*(\S+)|(\S+)')
_FILES: dict[str, str] = {}


class MapEntry(NamedTuple):
    """What pdfTeX's map says of a font."""

    file: str  # Type 1 or OpenType; "" if it names none
    encoding: str  # a file; "" for the font's own
    effects: str  # slanted or extended, if so


class TexFont(NamedTuple):
    """A font of TeX's at its design size."""

    file: str  # of its glyphs; "" where there is none that can be placed
    reason: str  # then why
    ids: np.ndarray  # [256] int32, glyph of each character code; -1 where there is none


def find_files(*names: str) -> dict[str, str]:
    """Where files are, those that TeX finds; asks `kpsewhich` once for all that were not asked for before."""
    new = [name for name in names if name and name not in _FILES]
    if new:
        run = subprocess.run(["kpsewhich", *new], capture_output=True, text=True, timeout=60)
        found = {Path(line).name: line for line in run.stdout.splitlines()}
        _FILES.update({name: found.get(name, "") for name in new})
    return {name: _FILES[name] for name in names if name and _FILES[name]}


@cache
def read_map(file: str) -> dict[str, str]:
    """The lines of a font map by the font's name."""
    lines = Path(file).read_text("latin-1").splitlines()
    return {line.split(None, 1)[0]: line for line in lines if line.strip() and line[0] not in "%*#; "}


def parse_entry(line: str) -> MapEntry:
    """One line of a font map: `tfm [PostScript name] ["effects"] [<encoding] [<file]`."""
    file = encoding = effects = ""
    for special, load, name, _ in _PART.findall(line):
        if special:
            effects += " ".join(re.findall(r"\S+\s+(?:SlantFont|ExtendFont)", special))
        elif load:
            if name.endswith(".enc") or load.endswith("["):
                encoding = name
            else:
                file = name
    return MapEntry(file, encoding, effects)


@cache
def read_encoding(file: str) -> tuple[str, ...]:
    """The glyph names of an encoding file, 256 of them."""
    text = re.sub(r"%.*", "", Path(file).read_text("latin-1"))
    names = re.findall(r"/([^\s/\[\]]*)", text[text.index("[") : text.rindex("]")])
    return tuple((names + [".notdef"] * 256)[:256])


@lru_cache(maxsize=1024)
def read_metrics(name: str, scale: int) -> np.ndarray:
    """Widths, heights and depths of a font's characters at a size, in sp, as TeX itself rounds them.

    Args:
        name: The font's, without suffix.
        scale: Its size in sp.

    Returns:
        [3, 256] int32.

    Raises:
        ValueError: It has no metrics that could be read.
    """
    file = find_files(f"{name}.tfm").get(f"{name}.tfm")
    if file is None:
        raise ValueError(f"font {name} has no metrics")
    data = np.frombuffer(Path(file).read_bytes(), np.uint8)
    halves = data[:24].view(">u2").astype(int).tolist()
    header, first, last, widths, heights, depths = halves[1:7]
    info = data[4 * (6 + header) :][: 4 * (last - first + 1)].reshape(-1, 4).astype(int)
    at = 4 * (6 + header + last - first + 1)
    # TeX, section 572: fix_words times the size without overflow, each step rounded down.
    alpha, z = 16, scale
    while z >= 1 << 23:
        z >>= 1
        alpha *= 2
    beta = 256 // alpha
    words = data[at : at + 4 * (widths + heights + depths)].reshape(-1, 4).astype(np.int64)
    scaled = (((words[:, 3] * z >> 8) + words[:, 2] * z >> 8) + words[:, 1] * z) // beta
    scaled -= np.where(words[:, 0] == 255, alpha * z, 0)
    sizes = np.zeros((3, 256), np.int32)
    codes = slice(first, last + 1)
    sizes[0, codes] = scaled[info[:, 0]]
    sizes[1, codes] = scaled[widths + (info[:, 1] >> 4)]
    sizes[2, codes] = scaled[widths + heights + (info[:, 1] & 15)]
    return sizes


@cache
def load_font(name: str) -> TexFont:
    """A font's glyphs, or why they cannot be placed."""
    lines = read_map(find_files("pdftex.map")["pdftex.map"]) if find_files("pdftex.map") else {}
    entry = parse_entry(lines[name]) if name in lines else MapEntry("", "", "")
    nothing = np.full(256, -1, np.int32)
    if not entry.file:
        return TexFont("", f"the font {name} has no outlines", nothing)
    if entry.effects:
        return TexFont("", f"the font {name} is {entry.effects}", nothing)
    where = find_files(entry.file, entry.encoding)
    if entry.file not in where or (entry.encoding and entry.encoding not in where):
        return TexFont("", f"the font {name} lacks a file ({entry.file} {entry.encoding})", nothing)
    try:
        face = open_face(FontKey(where[entry.file], 0, 10.0))
    except ValueError as error:
        return TexFont("", str(error), nothing)
    if entry.encoding:
        names = read_encoding(where[entry.encoding])
        ids = np.array([face.get_name_index(glyph.encode()) for glyph in names], np.int32)
        # FreeType gives 0, .notdef, for a name that it does not know.
        ids[ids == 0] = -1
    else:
        for charmap in (freetype.FT_ENCODING_ADOBE_CUSTOM, freetype.FT_ENCODING_ADOBE_STANDARD):
            if any(charmap == one.encoding for one in face.charmaps):
                face.select_charmap(charmap)
                break
        ids = np.array([face.get_char_index(code) for code in range(256)], np.int32)
        ids[ids == 0] = -1
    return TexFont(where[entry.file], "", ids)


def prefetch(names: list[str]) -> None:
    """Look for the files of several fonts at once."""
    found = find_files("pdftex.map")
    lines = read_map(found["pdftex.map"]) if found else {}
    wanted = [f"{name}.tfm" for name in names]
    for name in names:
        if name in lines:
            wanted += parse_entry(lines[name])[:2]
    find_files(*wanted)
