"""Fonts for tests: made here, so that nothing depends on the machine; or Noto's, where they are installed."""

import shutil

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

from gpurender.typeset import fallback, fonts
from gpurender.typeset.latex import sandbox

INSTALL = "apt-get install -y --no-install-recommends fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji"


def _need(*families):
    found = {face.family for face in fonts.list_fonts()}
    lacking = [family for family in families if family not in found]
    if lacking:
        pytest.skip(f"needs {', '.join(lacking)}: {INSTALL}")


@pytest.fixture(scope="session")
def noto():
    """Skips where Noto's fonts for all scripts are not installed."""
    _need("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Khmer", "Noto Sans CJK SC", "Noto Color Emoji")


@pytest.fixture(scope="session")
def noto_emoji():
    """Skips where there is no colour font for emoji."""
    _need("Noto Color Emoji")


@pytest.fixture(scope="session")
def tex():
    """Skips where there is no pdfTeX."""
    if shutil.which("pdftex") is None:
        pytest.skip(f"needs pdftex: {sandbox.INSTALL}")


def _square(size):
    pen = TTGlyphPen(None)
    if size:
        pen.moveTo((0, 0))
        for point in ((0, size), (size, size), (size, 0)):
            pen.lineTo(point)
        pen.closePath()
    return pen.glyph()


def build(path, characters, *, family="Made", empty="", advance=600, notdef=700, save=True):
    """A TrueType font of squares for `characters`; it claims those in `empty` too, and draws nothing.

    Returns its name, or with `save=False` the builder, for what is to be added.
    """
    names = {ord(c): f"u{ord(c):04X}" for c in characters + empty}
    order = [".notdef", *names.values()]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    # Of each its own size, so that glyphs can be told apart.
    drawn = {names[ord(c)]: 300 + k % 300 for k, c in enumerate(characters) if c != " "}
    builder.setupGlyf({name: _square(notdef if name == ".notdef" else drawn.get(name, 0)) for name in order})
    builder.setupHorizontalMetrics(dict.fromkeys(order, (advance, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    if save:
        builder.save(path)
        return str(path)
    return builder


@pytest.fixture(scope="session")
def build_font():
    """`build_font(path, characters, family=, empty=)`: writes a small font, and gives its name; see `build`."""
    return build


@pytest.fixture
def only_folder(tmp_path, monkeypatch):
    """A folder that is all the machine has for fonts, beside those named by their files."""
    monkeypatch.setattr("gpurender.typeset.fonts._carried", lambda: None)
    monkeypatch.setattr("gpurender.typeset.fonts._by_fontconfig", lambda: None)
    monkeypatch.setattr("gpurender.typeset.fonts._folders", lambda: iter([tmp_path]))

    def forget():
        fonts.list_fonts.cache_clear()
        fonts.find_font.cache_clear()
        fallback._installed.cache_clear()

    forget()
    yield tmp_path
    # The next test, and what it asks for, is to see the machine's own again.
    forget()
