import numpy as np
import pytest

from gpurender.typeset.fonts import Outlines
from gpurender.typeset.latex import texfonts
from gpurender.typeset.layout import FontKey

pytestmark = pytest.mark.usefixtures("tex")


def test_metrics_are_those_of_tex():
    # \number\fontcharwd, \fontcharht and \fontchardp as pdfTeX prints them.
    metrics = texfonts.read_metrics("cmr10", 10 * 65536)
    assert metrics[:, ord("A")].tolist() == [491521, 447828, 0]
    assert metrics[:, ord("g")].tolist() == [327681, 282168, 127431]
    # The same font twice as large, where TeX rounds otherwise than by doubling.
    assert abs(texfonts.read_metrics("cmr10", 20 * 65536)[0, ord("A")] - 2 * 491521) <= 1


def test_characters_that_a_font_lacks_have_no_size():
    assert not texfonts.read_metrics("cmr10", 65536)[:, 200].any()


def test_a_font_without_metrics():
    with pytest.raises(ValueError, match="nosuchfont"):
        texfonts.read_metrics("nosuchfont", 65536)


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("cmex10 CMEX10 <cmex10.pfb", ("cmex10.pfb", "", "")),
        ('ec-lmr10 LMRoman10-Regular " enclmec ReEncodeFont " <lm-ec.enc <lmr10.pfb', ("lmr10.pfb", "lm-ec.enc", "")),
        ("x X <[a.enc <<b.pfb", ("b.pfb", "a.enc", "")),
        (
            'ptmro8r NimbusRomNo9L-Regu " .167 SlantFont " <8r.enc <utmr8a.pfb',
            ("utmr8a.pfb", "8r.enc", ".167 SlantFont"),
        ),
        ("dummy Helvetica", ("", "", "")),
    ],
)
def test_map_entries(line, entry):
    assert texfonts.parse_entry(line) == entry


def test_codes_become_glyphs_by_the_encoding_or_the_fonts_own():
    for name, code, glyph in (
        ("ec-lmr10", ord("A"), b"A"),
        ("ec-lmr10", 0xFF, b"germandbls"),
        ("cmex10", 0, b"parenleftbig"),
    ):
        font = texfonts.load_font(name)
        face = Outlines(FontKey(font.file, 0, 10.0)).face
        assert face.get_glyph_name(int(font.ids[code])) == glyph


def test_glyphs_are_as_wide_as_tex_says():
    for name in ("ec-lmr10", "lmmi10", "lmsy10", "lmex10", "msbm10", "eufm10"):
        font = texfonts.load_font(name)
        assert not font.reason
        outlines = Outlines(FontKey(font.file, 0, 100.0))
        widths = texfonts.read_metrics(name, 10 * 65536)[0]
        for code in np.flatnonzero((font.ids >= 0) & (widths > 0)).tolist():
            outlines.face.load_glyph(int(font.ids[code]), 2)
            # Type 1 widths are whole thousandths of an em.
            assert abs(outlines.face.glyph.linearHoriAdvance / 65536 - widths[code] / 65536 * 10) < 0.2, (name, code)


def test_fonts_that_cannot_be_placed_say_why():
    assert "outlines" in texfonts.load_font("nosuchfont").reason
