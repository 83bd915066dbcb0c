"""HarfBuzz as compiled code calls it: uharfbuzz carries the library, whose C functions numba calls by address.

uharfbuzz itself hands out a Python object a glyph, which takes 20 times as long as the shaping (25 us a word beside 1).
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import uharfbuzz
from numba import carray, njit, types

from gpurender.typeset.language import han_forms
from gpurender.typeset.native import external, function

__all__ = ["HarfBuzzFont", "coverage", "new_buffer", "nominal_glyph", "script_of", "shape_run", "variants"]


def _load() -> ctypes.CDLL:
    """The library in uharfbuzz's extension module, or the system's where that one hides its functions."""
    for file in (uharfbuzz._harfbuzz.__file__, ctypes.util.find_library("harfbuzz")):
        if file:
            library = ctypes.CDLL(file)
            if hasattr(library, "hb_shape"):
                return library
    raise ImportError(
        "no HarfBuzz library: the one in uharfbuzz exports no functions here, and the system has none; install it "
        "(brew install harfbuzz, apt-get install libharfbuzz0b)"
    )


_LIBRARY = _load()
_POINTER = ctypes.c_void_p


_blob_create = function(
    _LIBRARY, "hb_blob_create", _POINTER, ctypes.c_char_p, ctypes.c_uint, ctypes.c_int, _POINTER, _POINTER
)
_blob_destroy = function(_LIBRARY, "hb_blob_destroy", None, _POINTER)
_face_create = function(_LIBRARY, "hb_face_create", _POINTER, _POINTER, ctypes.c_uint)
_face_destroy = function(_LIBRARY, "hb_face_destroy", None, _POINTER)
_face_glyphs = function(_LIBRARY, "hb_face_get_glyph_count", ctypes.c_uint, _POINTER)
_face_unicodes = function(_LIBRARY, "hb_face_collect_unicodes", None, _POINTER, _POINTER)
_face_selectors = function(_LIBRARY, "hb_face_collect_variation_selectors", None, _POINTER, _POINTER)
_face_variants = function(_LIBRARY, "hb_face_collect_variation_unicodes", None, _POINTER, ctypes.c_uint32, _POINTER)
_font_create = function(_LIBRARY, "hb_font_create", _POINTER, _POINTER)
_font_destroy = function(_LIBRARY, "hb_font_destroy", None, _POINTER)
_font_scale = function(_LIBRARY, "hb_font_set_scale", None, _POINTER, ctypes.c_int, ctypes.c_int)
_font_extents = function(_LIBRARY, "hb_font_get_h_extents", ctypes.c_int, _POINTER, ctypes.POINTER(ctypes.c_int32 * 12))
_font_advance = function(_LIBRARY, "hb_font_get_glyph_h_advance", ctypes.c_int32, _POINTER, ctypes.c_uint32)
_font_variant = function(
    _LIBRARY, "hb_font_get_variation_glyph", ctypes.c_int, _POINTER, ctypes.c_uint32, ctypes.c_uint32, _POINTER
)
_set_create = function(_LIBRARY, "hb_set_create", _POINTER)
_set_destroy = function(_LIBRARY, "hb_set_destroy", None, _POINTER)
_set_size = function(_LIBRARY, "hb_set_get_population", ctypes.c_uint, _POINTER)
_set_next = function(_LIBRARY, "hb_set_next_many", ctypes.c_uint, _POINTER, ctypes.c_uint32, _POINTER, ctypes.c_uint)
_language = function(_LIBRARY, "hb_language_from_string", _POINTER, ctypes.c_char_p, ctypes.c_int)
new_buffer = function(_LIBRARY, "hb_buffer_create", _POINTER)

_ptr, _u32, _i32 = types.intp, types.uint32, types.int32
_buffer_clear = external(_LIBRARY, "hb_buffer_clear_contents", types.void, _ptr)
_buffer_add = external(_LIBRARY, "hb_buffer_add_codepoints", types.void, _ptr, _ptr, _i32, _u32, _i32)
_buffer_direction = external(_LIBRARY, "hb_buffer_set_direction", types.void, _ptr, _u32)
_buffer_script = external(_LIBRARY, "hb_buffer_set_script", types.void, _ptr, _u32)
_buffer_language = external(_LIBRARY, "hb_buffer_set_language", types.void, _ptr, _ptr)
_buffer_infos = external(_LIBRARY, "hb_buffer_get_glyph_infos", types.CPointer(types.uint32), _ptr, _ptr)
_buffer_positions = external(_LIBRARY, "hb_buffer_get_glyph_positions", types.CPointer(types.int32), _ptr, _ptr)
_shape = external(_LIBRARY, "hb_shape", types.void, _ptr, _ptr, _ptr, _u32)
_unicode_funcs = external(_LIBRARY, "hb_unicode_funcs_get_default", _ptr)
_unicode_script = external(_LIBRARY, "hb_unicode_script", _u32, _ptr, _u32)
_unicode_compose = external(_LIBRARY, "hb_unicode_compose", _i32, _ptr, _u32, _u32, _ptr)
_nominal_glyph = external(_LIBRARY, "hb_font_get_nominal_glyph", _i32, _ptr, _u32, _ptr)

LEFT_TO_RIGHT, RIGHT_TO_LEFT = 4, 5
_CHINESE = {"SC": "zh-Hans", "TC": "zh-Hant", "HK": "zh-Hant-HK"}
COMMON, INHERITED, UNKNOWN = 0x5A797979, 0x5A696E68, 0x5A7A7A7A  # Zyyy, Zinh, Zzzz


class Extents(NamedTuple):
    """A font's vertical extents in the font's scale, y upwards."""

    ascender: int
    descender: int


class HarfBuzzFont:
    """A face at a scale.

    Args:
        data: The font file; kept alive as long as this.
        face_index: In the file.
        scale: Units per em of what shaping gives.

    Attributes:
        pointer: The hb_font_t, for compiled code.
        glyph_count: In the face; 0 for what is no font.
    """

    def __init__(self, data: bytes, face_index: int, scale: int) -> None:
        self._data = data
        blob = _blob_create(data, len(data), 1, None, None)
        face = _face_create(blob, face_index)
        self.pointer: int = _font_create(face)
        self.glyph_count: int = _face_glyphs(face)
        # The font holds the face, which holds the blob.
        _face_destroy(face)
        _blob_destroy(blob)
        _font_scale(self.pointer, scale, scale)

    def __del__(self) -> None:
        _font_destroy(self.pointer)

    def extents(self) -> Extents:
        """Ascender and descender of horizontal lines."""
        found = (ctypes.c_int32 * 12)()
        _font_extents(self.pointer, ctypes.byref(found))
        return Extents(found[0], found[1])

    def advance(self, glyph: int) -> int:
        """A glyph's horizontal advance."""
        return int(_font_advance(self.pointer, glyph))

    def glyph(self, code: int) -> int:
        """The glyph of a code point by the font's cmap; 0 for none, or for one that the font does not have."""
        found = int(nominal_glyph(self.pointer, code))
        return found if found < self.glyph_count else 0

    def has_variant(self, code: int, selector: int) -> bool:
        """Return whether the font's cmap has a variation sequence."""
        glyph = ctypes.c_uint32()
        return bool(_font_variant(self.pointer, code, selector, ctypes.byref(glyph)))


def coverage(data: bytes, face_index: int) -> np.ndarray:
    """The code points that a face's cmap holds, [K] uint32, rising; none for what is no font."""
    with _open_face(data, face_index) as face:
        return _collect(_face_unicodes, face)


def variants(data: bytes, face_index: int) -> dict[int, np.ndarray]:
    """Return the code points that a face's cmap has variation sequences of, [K] uint32, rising, by the selectors."""
    with _open_face(data, face_index) as face:
        selectors = _collect(_face_selectors, face).tolist()
        return {selector: _collect(_face_variants, face, selector) for selector in selectors}


@contextmanager
def _open_face(data: bytes, face_index: int) -> Iterator[int]:
    blob = _blob_create(data, len(data), 1, None, None)
    face = _face_create(blob, face_index)
    try:
        yield face
    finally:
        _face_destroy(face)
        _blob_destroy(blob)


def _collect(function: Any, *arguments: int) -> np.ndarray:
    """Return the set, [K] uint32, rising, that a C function puts into its last argument."""
    codes = _set_create()
    try:
        function(*arguments, codes)
        found = np.empty(_set_size(codes), np.uint32)
        _set_next(codes, 0xFFFFFFFF, found.ctypes.data, len(found))
        return found
    finally:
        _set_destroy(codes)


def language_pointer(tag: str) -> int:
    """The hb_language_t of a BCP 47 tag, for :func:`shape_run`; 0 for none."""
    # HarfBuzz knows few of the tags that mean Chinese.
    tag = _CHINESE.get(han_forms(tag) or "", tag)
    return int(_language(tag.encode("ascii", "replace"), -1) or 0) if tag else 0


@njit(cache=True, nogil=True)
def nominal_glyph(font, code):
    """A code point's glyph by the font's cmap; 0 for none."""
    glyph = np.zeros(1, np.uint32)
    _nominal_glyph(font, np.uint32(code), glyph.ctypes.data)
    return glyph[0]


@njit(cache=True, nogil=True)
def compose(first, second):
    """The code point that two are canonically equivalent to; 0 for none."""
    code = np.zeros(1, np.uint32)
    _unicode_compose(_unicode_funcs(), np.uint32(first), np.uint32(second), code.ctypes.data)
    return code[0]


@njit(cache=True, nogil=True)
def script_of(code):
    """A code point's script, an ISO 15924 tag as HarfBuzz writes it."""
    return _unicode_script(_unicode_funcs(), np.uint32(code))


@njit(cache=True, nogil=True)
def shape_run(buffer, font, codes, begin, stop, direction, language, length, context):
    """Shape codes[begin:stop] as one run in the script of its first character that has one.

    Args:
        buffer, font, language: HarfBuzz's objects, by address.
        codes: [K] uint32.
        begin, stop: The run.
        direction: `LEFT_TO_RIGHT` or `RIGHT_TO_LEFT`.
        length: [1] uint32, room for the number of glyphs.
        context: How many code points before and after the run its letters may join to; 0 for a run by itself.

    Returns:
        infos: [G, 5] uint32, in visual order; glyph id, flags, cluster (relative to begin).
        positions: [G, 5] int32: x advance, y advance, x offset, y offset. Both until the buffer is used again.
    """
    script = np.uint32(COMMON)
    funcs = _unicode_funcs()
    for i in range(begin, stop):
        found = _unicode_script(funcs, codes[i])
        if found != COMMON and found != INHERITED and found != UNKNOWN:
            script = found
            break
    _buffer_clear(buffer)
    around = stop - begin + 2 * context
    _buffer_add(buffer, codes.ctypes.data + 4 * (begin - context), around, context, stop - begin)
    _buffer_direction(buffer, direction)
    _buffer_script(buffer, script)
    _buffer_language(buffer, language)
    _shape(font, buffer, 0, 0)
    infos = _buffer_infos(buffer, length.ctypes.data)
    positions = _buffer_positions(buffer, length.ctypes.data)
    glyphs = carray(infos, (np.int64(length[0]), 5))
    if context:
        for g in range(len(glyphs)):
            glyphs[g, 2] -= np.uint32(context)
    return glyphs, carray(positions, (np.int64(length[0]), 5))
