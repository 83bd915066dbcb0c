"""The atlas: FreeType's own bitmaps, bit for bit; what is missing, frozen or broken."""

import ctypes

import freetype
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpurender.raster import Atlas, FrozenAtlasError, Renderer
from gpurender.typeset import FontKey, Layout, Typesetter

TEXT = "AVjgfi ffl Qq@|_.,; Ωж∞ é\u0301 W" + chr(0x378)


def freetype_bitmap(key, glyph, phase):
    """A glyph moved right by `phase` quarter pixels: its outline is translated and rendered, without set_transform."""
    face = freetype.Face(key.file, key.face_index)
    face.set_char_size(round(key.size * 64))
    face.load_glyph(glyph, freetype.FT_LOAD_NO_HINTING | freetype.FT_LOAD_NO_BITMAP)
    slot = face.glyph
    freetype.FT_Outline_Translate(ctypes.byref(slot._FT_GlyphSlot.contents.outline), 16 * phase, 0)
    freetype.FT_Render_Glyph(slot._FT_GlyphSlot, freetype.FT_RENDER_MODE_NORMAL)
    bitmap = slot.bitmap
    pixels = np.array(bitmap.buffer, np.uint8).reshape(bitmap.rows, bitmap.pitch or 1)[:, : bitmap.width]
    return pixels, slot.bitmap_left, slot.bitmap_top


def every_phase(font="DejaVu Sans", size=20):
    """A layout of one text at four quarter-pixel positions, a page each."""
    layout = Typesetter(font=font, size=size)([TEXT] * 4)
    for page in range(4):
        rows = slice(*layout.glyph_offsets[page : page + 2])
        layout.glyph_xy[rows, 0] = layout.glyph_xy[rows, 0] // 64 * 64 + 16 * page + 3
    return layout


@pytest.mark.parametrize(("font", "size"), [("DejaVu Sans", 20), ("DejaVu Serif Bold", 33.5), ("monospace", 7)])
def test_bitmaps_are_freetypes(font, size):
    layout, atlas = every_phase(font, size), Atlas()
    xy, slots = atlas.place(layout)
    seen = set()
    for g, slot in enumerate(slots.tolist()):
        x, y = layout.glyph_xy[g].tolist()
        quarter = (x + 8) >> 4
        key = layout.fonts[layout.glyph_fonts[g]]
        pixels, left, top = freetype_bitmap(key, int(layout.glyph_ids[g]), quarter & 3)
        np.testing.assert_array_equal(atlas.bitmap(slot), pixels)
        if pixels.size:
            assert xy[g].tolist() == [(quarter >> 2) + left, ((y + 32) >> 6) - top]
        seen.add((int(layout.glyph_ids[g]), quarter & 3))
    assert len(atlas) == len(seen) > 80
    assert {phase for _, phase in seen} == {0, 1, 2, 3}


@pytest.mark.parametrize("backend", ["reference", "cpu", "triton"])
def test_a_page_is_freetypes_bitmaps_painted_over(backend):
    """End to end: text to pixels, against FreeType and the formula for "over", in every backend."""
    texts = ["AVj fi Q"] if backend == "triton" else [TEXT, "two\nlines -- WAVE"]
    typesetter = Typesetter(foreground=(30, 30, 30), background=(210, 210, 210))
    layout = typesetter(texts)
    device = "cuda" if backend == "triton" and torch.cuda.is_available() else "cpu"
    pages = Renderer(backend=backend, device=device)(layout).to_numpy()
    for n, page in enumerate(pages):
        expected = np.full(layout.sizes[n], 210, np.int64)
        for g in range(*layout.glyph_offsets[n : n + 2]):
            x, y = layout.glyph_xy[g].tolist()
            quarter = (x + 8) >> 4
            key = layout.fonts[layout.glyph_fonts[g]]
            a, left, top = freetype_bitmap(key, int(layout.glyph_ids[g]), quarter & 3)
            y, x = ((y + 32) >> 6) - top, (quarter >> 2) + left
            d = expected[y : y + a.shape[0], x : x + a.shape[1]]
            assert d.shape == a.shape
            d[:] = (a.astype(int) * 30 + (255 - a.astype(int)) * d + 127) // 255
        np.testing.assert_array_equal(page[0], expected)


@pytest.mark.parametrize("margin", [0, 8])
def test_pages_are_trimmed_to_freetypes_boxes(margin):
    """The layout knows the ink box before a pixel exists: no ink is cut, and no row or column stays empty."""
    layout = Typesetter(margin=margin, width=500)([TEXT, "jjj", "_", "'", "x" * 100, "AVA\nWAW"])
    atlas = Atlas()
    xy, slots = atlas.place(layout)
    table = atlas.bitmaps().slots[slots]
    for n, (height, width) in enumerate(layout.sizes.tolist()):
        rows = slice(*layout.glyph_offsets[n : n + 2])
        inked = table[rows, 1] > 0
        left, top = xy[rows][inked].min(0).tolist()
        right, bottom = (xy[rows] + table[rows][:, [2, 1]])[inked].max(0).tolist()
        assert (top, height - bottom) == (margin, margin)
        assert left + (width - right) == min(2 * margin, 500 - (right - left))
        assert left >= 0


@given(
    st.text(st.one_of(st.sampled_from("jf_WAVÅ,'\u0301\t\n -"), st.characters(max_codepoint=0x2FFF)), max_size=80),
    st.sampled_from([(768, 8, True), (60, 0, True), (200, 3, False), (33, 16, True)]),
)
def test_no_ink_is_cut_off(text, style):
    width, margin, trim = style
    layout, atlas = Typesetter(width=width, margin=margin, trim=trim)([text]), Atlas()
    xy, slots = atlas.place(layout)
    ends = xy + atlas.bitmaps().slots[slots][:, [2, 1]]
    inked = (ends > xy).all(1)
    assert (xy[inked] >= 0).all()
    assert (ends[inked] <= layout.sizes[0, ::-1]).all()


def test_a_frozen_atlas_raises_for_what_it_lacks():
    typesetter, atlas = Typesetter(), Atlas()
    renderer = Renderer(atlas=atlas)
    before = renderer(typesetter(["abc"])).to_numpy()[0].copy()
    atlas.freeze()
    with pytest.raises(FrozenAtlasError, match=r"glyph \d+ of .*DejaVuSans.ttf' at 20.0 px is not in the frozen atlas"):
        renderer(typesetter(["abcd"]))
    np.testing.assert_array_equal(renderer(typesetter(["abc"])).to_numpy()[0], before)


def test_an_interrupted_rasterisation_is_taken_up_again(monkeypatch):
    layout, renderer = Typesetter()(["interrupted"]), Renderer()
    real, calls = Atlas._add, []

    def add(self, glyph):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, glyph)

    monkeypatch.setattr(Atlas, "_add", add)
    with pytest.raises(KeyboardInterrupt):
        renderer(layout)
    np.testing.assert_array_equal(renderer(layout).to_numpy()[0], Renderer()(layout).to_numpy()[0])


def test_fonts_are_known_by_file_and_size_not_by_number():
    """Two layouts number their fonts differently; the pixels are the same."""
    small, large = Typesetter(size=12)(["abc"]), Typesetter(size=30)(["abc"])
    renderer = Renderer()
    expected = [Renderer()(small).to_numpy()[0], Renderer()(large).to_numpy()[0]]
    for layout, page in zip((small, large, small), (expected[0], expected[1], expected[0]), strict=True):
        np.testing.assert_array_equal(renderer(layout).to_numpy()[0], page)


def test_what_cannot_be_rasterised_is_named(tmp_path):
    layout = Typesetter()(["a"])
    lost = Layout(**{**vars(layout), "fonts": (FontKey(str(tmp_path / "gone.ttf"), 0, 20.0),)})
    with pytest.raises(ValueError, match=r"gone.ttf' cannot be read"):
        Atlas().place(lost)
    layout.glyph_ids[0] = 65000
    with pytest.raises(ValueError, match=r"DejaVuSans.ttf' has no glyph 65000, only \d+"):
        Atlas().place(layout)
    layout.glyph_fonts[0] = 3
    with pytest.raises(ValueError, match="glyph_fonts holds 3, but the layout has 1 fonts"):
        Atlas().place(layout)
