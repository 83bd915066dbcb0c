"""Layout: selecting pages, travelling between processes."""

import pickle
from dataclasses import fields

import numpy as np

from gpurender.typeset import Diagnostic, FontKey, Layout


def full_layout():
    """Three pages with everything that a layout can hold, different on each."""
    rng = np.random.default_rng(0)

    def offsets(*counts):
        return np.cumsum([0, *counts]).astype(np.int64)

    pictures = np.array([[0, 0, 2, 3], [5, 5, 4, 1], [1, 2, 3, 3]], np.int32)
    return Layout(
        sizes=rng.integers(10, 99, (3, 2)).astype(np.int32),
        colors=rng.integers(0, 256, (3, 2, 3), dtype=np.uint8),
        fonts=(FontKey("a.ttf", 0, 20.0), FontKey("b.ttf", 1, 26.0)),
        glyph_fonts=np.array([0, 1, 0, 0, 1, 0, 1, 1, 0], np.uint16),
        glyph_ids=rng.integers(0, 500, 9).astype(np.uint16),
        glyph_xy=rng.integers(0, 5000, (9, 2)).astype(np.int32),
        glyph_colors=rng.integers(0, 256, (9, 3), dtype=np.uint8),
        glyph_offsets=offsets(4, 0, 5),
        rules=rng.integers(0, 5000, (3, 4)).astype(np.int32),
        rule_colors=rng.integers(0, 256, (3, 3), dtype=np.uint8),
        rule_offsets=offsets(1, 2, 0),
        pictures=pictures,
        picture_pixels=rng.integers(0, 256, (6 + 4 + 9, 4), dtype=np.uint8),
        picture_offsets=offsets(1, 0, 2),
        words=rng.random((4, 4)).astype(np.float32),
        word_ranges=rng.integers(0, 9, (4, 2)).astype(np.int32),
        word_offsets=offsets(1, 1, 2),
        diagnostics=(Diagnostic(0, 0, 1, "missing", "x"), Diagnostic(2, 3, 4, "direction", "y")),
    )


def test_select_takes_everything_of_a_page_along():
    layout = full_layout()
    assert layout.select([0, 1, 2]).equals(layout)
    chosen = layout.select([2, 0])
    assert chosen.sizes.tolist() == layout.sizes[[2, 0]].tolist()
    assert chosen.glyph_ids.tolist() == layout.glyph_ids[[4, 5, 6, 7, 8, 0, 1, 2, 3]].tolist()
    assert chosen.glyph_offsets.tolist() == [0, 5, 9]
    assert chosen.rules.tolist() == layout.rules[[0]].tolist()
    assert chosen.pictures.tolist() == layout.pictures[[1, 2, 0]].tolist()
    assert chosen.picture_pixels.tolist() == layout.picture_pixels[[*range(6, 19), *range(6)]].tolist()
    assert chosen.words.tolist() == layout.words[[2, 3, 0]].tolist()
    assert [(d.page, d.message) for d in chosen.diagnostics] == [(0, "y"), (1, "x")]
    assert chosen.select([1, 0]).equals(layout.select([0, 2]))
    assert len(layout.select([])) == 0


def test_pickle():
    layout = full_layout()
    assert pickle.loads(pickle.dumps(layout)).equals(layout)


def test_equals_looks_at_every_field():
    layout = full_layout()
    for f in fields(Layout):
        other = full_layout()
        value = getattr(other, f.name)
        setattr(other, f.name, value + 1 if isinstance(value, np.ndarray) else value[:-1])
        assert not layout.equals(other), f.name


def test_an_empty_layout_needs_no_arguments():
    assert len(Layout()) == 0
    assert repr(Layout()) == "Layout(0 pages, 0 glyphs, 0 rules, 0 pictures, 0 words, 0 diagnostics)"
