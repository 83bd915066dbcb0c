"""Scenes: pages placed by one atlas and painted by another are the renderer's own, bit for bit."""

import numpy as np
import pytest
from gpurender.kernels.plan import pack_colors, unpack_colors

from gpurender import Atlas, Renderer, Typesetter
from gpurender.raster import FrozenAtlasError
from gpurender.raster.scene import make_scene


def decorated():
    layout = Typesetter(width=300, background=(250, 240, 9))(["abc def", "", "jumps over\nit", "x" * 90])
    count = len(layout.glyph_ids)
    # Two glyphs off the page, one of them at the end of what a position can hold, and one that sticks out.
    layout.glyph_xy[0], layout.glyph_xy[1], layout.glyph_xy[2] = (2**31 - 1, 100), (-(2**31), -(2**31)), (-200, 600)
    layout.glyph_colors[::2] = np.random.default_rng(0).integers(0, 256, (-(-count // 2), 3))
    layout.rules = np.array([[64, 96, 1000, 160], [0, 0, 64, 64]], np.int32)
    layout.rule_colors = np.array([[200, 10, 40], [1, 2, 3]], np.uint8)
    layout.rule_offsets = np.array([0, 0, 0, 1, 2])
    layout.pictures = np.array([[2, 3, 3, 2], [20, 1, 4, 4]], np.int32)
    layout.picture_pixels = np.random.default_rng(1).integers(0, 256, (22, 4), dtype=np.uint8)
    layout.picture_offsets = np.array([0, 1, 1, 1, 2])
    return layout


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("channels", [1, 3])
def test_painting_a_scene_is_rendering_its_layout(channels, backend):
    layout, atlas = decorated(), Atlas()
    # The atlases number their bitmaps differently.
    atlas.place(Typesetter()(["other glyphs 0123"]))
    scene = make_scene(layout, atlas)
    expected = Renderer(channels=channels, backend=backend)(layout)
    got = Renderer(channels=channels, backend=backend).paint(scene, layout.sizes, layout.fonts)
    np.testing.assert_array_equal(got.flat, expected.flat)
    np.testing.assert_array_equal(got.paper, expected.paper)


def test_bitmaps_are_named_once_and_glyphs_off_the_page_left_out():
    layout = decorated()
    scene = make_scene(layout, Atlas())
    assert len(np.unique(scene.bitmaps, axis=0)) == len(scene.bitmaps) == scene.glyphs[:, 2].max() + 1
    ink = make_scene(Typesetter(width=300)(["abc def", "", "jumps over\nit", "x" * 90]), Atlas())
    assert len(scene.glyphs) == scene.glyph_starts[-1] == len(ink.glyphs) - 2
    assert (scene.extents[:, 1:3] > 0).all()


def test_no_pages():
    layout = Typesetter()([])
    scene = make_scene(layout, Atlas())
    assert len(Renderer().paint(scene, layout.sizes, layout.fonts)) == 0


def test_a_frozen_atlas_refuses_a_bitmap_it_lacks():
    layout = Typesetter()(["abc"])
    renderer = Renderer()
    renderer(layout)
    renderer.atlas.freeze()
    renderer.paint(make_scene(layout, Atlas()), layout.sizes, layout.fonts)
    other = Typesetter()(["xyz"])
    with pytest.raises(FrozenAtlasError, match="is not in the frozen atlas"):
        renderer.paint(make_scene(other, Atlas()), other.sizes, other.fonts)


@pytest.mark.parametrize("channels", [1, 3])
def test_colors_survive_packing(channels):
    colors = np.random.default_rng(0).integers(0, 256, (300, channels), dtype=np.uint8)
    np.testing.assert_array_equal(unpack_colors(pack_colors(colors), channels), colors)
