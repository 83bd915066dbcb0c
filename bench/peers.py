"""What others offer to turn a text into a gray page: each a function of a text and the page's height in px.

They get the height for nothing, and are warmed up, like us: fonts loaded, words measured, buffers at hand. Those that
choose fonts for scripts that DejaVu Sans lacks do so from what is installed, like us.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from gpurender.typeset.fonts import find_font

WIDTH, MARGIN, SIZE, LEADING = 768, 8, 20, 22
Painter = Callable[[str, int], np.ndarray]


def pillow() -> Painter:
    """Pillow with Raqm (HarfBuzz), lines filled by hand from a cache of word widths."""
    from PIL import Image, ImageDraw, ImageFont, features

    if not features.check("raqm"):
        pytest.skip("this Pillow has no Raqm: pip install --upgrade pillow")
    font = ImageFont.truetype(find_font("DejaVu Sans").file, SIZE, layout_engine=ImageFont.Layout.RAQM)
    width_of = cache(font.getlength)
    space = font.getlength(" ")

    def paint(text: str, height: int) -> np.ndarray:
        image = Image.new("L", (WIDTH, height), 255)
        draw = ImageDraw.Draw(image)
        line: list[str] = []
        y, used = MARGIN, 0.0
        for word in text.split(" "):
            width = width_of(word)
            if line and used + space + width > WIDTH - 2 * MARGIN:
                draw.text((MARGIN, y), " ".join(line), fill=0, font=font)
                y, line, used = y + LEADING, [], -space
            used += (space if line else 0) + width
            line.append(word)
        draw.text((MARGIN, y), " ".join(line), fill=0, font=font)
        return np.asarray(image)

    return paint


def opencv() -> Painter:
    """OpenCV 5's FontFace, which wraps lines itself; no kerning, no shaping of joined scripts."""
    cv2: Any = pytest.importorskip("cv2", reason='needs OpenCV: pip install -e ".[bench]"')
    if not hasattr(cv2, "FontFace"):
        pytest.skip("this OpenCV has no FontFace: pip install 'opencv-python-headless>=5'")
    cv2.setNumThreads(1)
    face = cv2.FontFace(find_font("DejaVu Sans").file)
    page = np.empty((4096, WIDTH), np.uint8)

    def paint(text: str, height: int) -> np.ndarray:
        image = page[:height]
        image[:] = 255
        cv2.putText(
            image, text, (MARGIN, MARGIN + 18), (0,), face, SIZE, 400, cv2.PUT_TEXT_WRAP, (MARGIN, WIDTH - MARGIN)
        )
        return image

    return paint


def skia(*, alone: bool = True) -> Painter:
    """skia's Paragraph (HarfBuzz, ICU), painted on a gray surface; in our DejaVu Sans `alone`, or in what it finds."""
    sk: Any = pytest.importorskip("skia", reason='needs skia: pip install -e ".[bench]"')
    provider = sk.textlayout.TypefaceFontProvider()
    provider.registerTypeface(sk.Typeface.MakeFromFile(find_font("DejaVu Sans").file), "DejaVu Sans")
    fonts = sk.textlayout.FontCollection()
    fonts.setDefaultFontManager(provider if alone else sk.FontMgr())
    unicode = sk.Unicodes.ICU.Make()
    text_style = sk.textlayout.TextStyle()
    text_style.setFontFamilies(["DejaVu Sans"])
    text_style.setFontSize(SIZE)
    text_style.setColor(sk.ColorBLACK)
    style = sk.textlayout.ParagraphStyle()
    style.setTextStyle(text_style)
    page = np.empty((4096, WIDTH), np.uint8)
    info = sk.ImageInfo.Make(WIDTH, 4096, sk.kGray_8_ColorType, sk.kOpaque_AlphaType)
    canvas = sk.Surface.MakeRasterDirect(info, page, WIDTH).getCanvas()

    def paint(text: str, height: int) -> np.ndarray:
        image = page[:height]
        image[:] = 255
        builder = sk.textlayout.ParagraphBuilder.make(style, fonts, unicode)
        builder.addText(text)
        paragraph = builder.Build()
        paragraph.layout(WIDTH - 2 * MARGIN)
        paragraph.paint(canvas, MARGIN, MARGIN)
        return image

    return paint


def pango() -> Painter:
    """Pango (HarfBuzz, FriBidi, fontconfig) on cairo, as A8."""
    try:
        import cairocffi
        import pangocairocffi
        import pangocffi
    except (ImportError, OSError):
        pytest.skip("needs Pango: apt-get install -y --no-install-recommends libpangocairo-1.0-0, and .[bench]")
    surface = cairocffi.ImageSurface(cairocffi.FORMAT_A8, WIDTH, 4096)
    page = np.frombuffer(surface.get_data(), np.uint8).reshape(4096, surface.get_stride())
    context = cairocffi.Context(surface)
    layout = pangocairocffi.create_layout(context)
    font = pangocffi.FontDescription()
    font.family = "DejaVu Sans"
    font.set_absolute_size(pangocffi.units_from_double(SIZE))
    layout.font_description = font
    layout.width = pangocffi.units_from_double(WIDTH - 2 * MARGIN)
    layout.wrap = pangocffi.WrapMode.WORD_CHAR

    def paint(text: str, height: int) -> np.ndarray:
        image = page[:height, :WIDTH]
        image[:] = 0
        layout.text = text
        context.move_to(MARGIN, MARGIN)
        pangocairocffi.show_layout(context, layout)
        surface.flush()
        # Ink is opaque here, and black there.
        return ~image

    return paint


PEERS: dict[str, Callable[[], Painter]] = {
    "Pillow (Raqm)": pillow,
    "OpenCV FontFace": opencv,
    "skia Paragraph": skia,
    "Pango + cairo": pango,
}
# Those that find fonts for any script by themselves.
ANY_SCRIPT: dict[str, Callable[[], Painter]] = {
    "skia Paragraph": partial(skia, alone=False),
    "Pango + cairo": pango,
}
