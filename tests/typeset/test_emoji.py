"""Emoji: one picture for each sequence, with a word box and its source range; glyphs where no colour font has it."""

import io
from pathlib import Path

import numpy as np
import pytest
from fontTools.feaLib.builder import addOpenTypeFeaturesFromString
from fontTools.ttLib import newTable
from fontTools.ttLib.tables.sbixGlyph import Glyph
from fontTools.ttLib.tables.sbixStrike import Strike
from PIL import Image

from gpurender import Renderer
from gpurender.typeset import Typesetter
from gpurender.typeset.characters import find_emoji
from gpurender.typeset.fonts import Font, FontWarning, find_font

MAN, WOMAN, GIRL, JOINER, DARK = "👨", "👩", "👧", "\u200d", "\U0001f3ff"
FAMILY = JOINER.join((MAN, WOMAN, GIRL))
FLAG = "🇩🇪"
WALES = "🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"
# One picture each.
SEQUENCES = ["😀", FAMILY, FLAG, "1\ufe0f\u20e3", "👍" + DARK, "☺\ufe0f", "❤\ufe0f\u200d🔥", WALES, "👩🏽\u200d🚀"]


def png(color):
    file = io.BytesIO()
    Image.new("RGBA", (20, 20), color).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def colour_font(tmp_path_factory, build_font):
    """A font of coloured squares: 😀 red, a family of three green, Germany's flag blue, ☺ half transparent."""
    file = tmp_path_factory.mktemp("fonts") / "made.ttf"
    builder = build_font(file, "", empty="😀" + MAN + WOMAN + GIRL + FLAG + "☺", family="Made Emoji", save=False)
    font = builder.font
    names = font.getGlyphOrder()
    man, woman, girl, d, e = (f"u{ord(c):04X}" for c in MAN + WOMAN + GIRL + FLAG)
    extra = {"family": png("lime"), "germany": png("blue"), "u1F600": png("red"), "u263A": png((255, 0, 0, 128))}
    builder.setupGlyphOrder([*names, "family", "germany", "joiner"])
    for name in ("family", "germany", "joiner"):
        font["glyf"][name] = font["glyf"][".notdef"].__class__()
        font["hmtx"][name] = (0 if name == "joiner" else 1000, 0)
    builder.setupCharacterMap({**font.getBestCmap(), 0x200D: "joiner"})
    font["maxp"].numGlyphs = len(font.getGlyphOrder())
    feature = f"feature ccmp {{ sub {man} joiner {woman} joiner {girl} by family; sub {d} {e} by germany; }} ccmp;"
    addOpenTypeFeaturesFromString(font, feature)
    strike = Strike(ppem=20, resolution=72)
    strike.glyphs = {name: Glyph(glyphName=name) for name in font.getGlyphOrder()}
    for name, data in extra.items():
        strike.glyphs[name] = Glyph(
            glyphName=name, graphicType="png ", imageData=data, originOffsetX=0, originOffsetY=0
        )
    table = font["sbix"] = newTable("sbix")
    table.version, table.flags, table.strikes = 1, 1, {20: strike}
    builder.save(file)
    return str(file)


@pytest.fixture(scope="module")
def asked(tmp_path_factory, build_font):
    """The font for what is no emoji; it has ☺ and 👍 too."""
    return build_font(tmp_path_factory.mktemp("fonts") / "asked.ttf", "ab ☺👍1\u20e3")


def test_a_sequence_is_one_picture_with_a_word_box_and_its_range(asked, colour_font):
    typesetter = Typesetter(font=asked, fallback=[colour_font])
    assert Font(find_font(colour_font), 20).is_color
    text = f"a 😀 {FAMILY} b{FLAG}"
    layout = typesetter([text])
    assert layout.diagnostics == ()
    assert layout.pictures[:, 2:].tolist() == [[20, 20]] * 3
    colors = [tuple(rows[0]) for rows in layout.picture_pixels.reshape(3, 400, 4).tolist()]
    assert colors == [(255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255)]
    ranges = [text[start:stop] for start, stop in layout.word_ranges.tolist()]
    assert ranges == ["a", "😀", FAMILY, "b", FLAG]
    # A picture stands in its word's box: beside it, there is nothing of that word.
    for (left, _, width, _), box in zip(layout.pictures.tolist(), layout.words[[1, 2, 4]].tolist(), strict=True):
        assert box[0] - 0.5 <= left
        assert left + width <= box[2] + 0.5 + 20 * 0.4
    # The fonts of pictures are no fonts of the layout: nothing of them is left to rasterise.
    assert [key.file for key in layout.fonts] == [asked]
    assert len(layout.glyph_ids) == 2
    assert typesetter.font_names(layout, range(1)) == ["Made", "Made Emoji"]


def test_pictures_are_painted_over_the_page(asked, colour_font):
    layout = Typesetter(font=asked, fallback=[colour_font])(["😀 ☺\ufe0f"])
    page = Renderer(channels=3)(layout).to_numpy()[0]
    (x, y), (s, t) = (layout.pictures[:, :2] + 10).tolist()
    assert page[:, y, x].tolist() == [255, 0, 0]
    assert page[:, t, s].tolist() == [255, 127, 127]


def test_pictures_stand_where_bidi_wants_them(tmp_path, build_font, colour_font):
    hebrew = build_font(tmp_path / "hebrew.ttf", "ab אבג")
    layout = Typesetter(font=hebrew, fallback=[colour_font])([f"אב 😀 {FLAG} ג"])
    lefts = {tuple(r): box[0] for r, box in zip(layout.word_ranges.tolist(), layout.words.tolist(), strict=True)}
    assert lefts[0, 2] > lefts[3, 4] > lefts[5, 7] > lefts[8, 9]
    # The order of pictures is that of the text.
    assert layout.pictures[0, 0] > layout.pictures[1, 0]


def test_text_presentation_stays_glyphs(asked, colour_font):
    typesetter = Typesetter(font=asked, fallback=[colour_font])
    for text in ("☺", "☺\ufe0e", "a☺b", "1\u20e3", "👍\ufe0e"):
        layout = typesetter([text])
        assert len(layout.pictures) == 0, text
        assert layout.diagnostics == (), text


def test_what_the_colour_font_lacks_is_a_glyph_of_another_font_or_reported(asked, colour_font):
    typesetter = Typesetter(font=asked, fallback=[colour_font])
    layout = typesetter(["👍 👍" + DARK + " 🚀"])
    assert len(layout.pictures) == 0
    # The hand is a glyph of the asked-for font; no font has the skin tone, nor the rocket.
    assert [d.message for d in layout.diagnostics] == [
        "no font has a glyph for U+1F3FF",
        "no font has a glyph for U+1F680",
    ]
    assert (layout.glyph_ids == 0).sum() == 2


def test_without_a_colour_font_emoji_are_glyphs_or_reported(asked):
    layout = Typesetter(font=asked, fallback=())([f"👍 ☺\ufe0f {FAMILY} {FLAG} 1\ufe0f\u20e3"])
    assert len(layout.pictures) == 0
    named = {code for d in layout.diagnostics for code in d.message.split() if code[:2] == "U+"}
    assert named == {f"U+{ord(c):04X}" for c in MAN + WOMAN + GIRL + FLAG}


def test_a_page_with_pictures_does_not_depend_on_its_batch(asked, colour_font):
    texts = ["a", "😀", "", f"{FAMILY} b 中", "b", f"☺\ufe0f☺{FLAG}"]
    used = Typesetter(font=asked, fallback=[colour_font])
    batch = used(texts)
    for i, text in enumerate(texts):
        alone = Typesetter(font=asked, fallback=[colour_font])([text])
        assert batch.select([i]).equals(alone)
        assert used([text]).equals(alone)


def test_a_font_of_pictures_is_not_for_letters(colour_font, asked):
    with pytest.raises(ValueError, match=r"made.ttf' is of pictures, not letters; it may be one of fallback"):
        Typesetter(font=colour_font)


def test_a_colour_font_without_a_smile_and_without_outlines_harms_nothing(asked, colour_font, tmp_path):
    from fontTools.ttLib import TTFont

    font = TTFont(colour_font)
    for table in font["cmap"].tables:
        table.cmap.pop(0x1F600, None)
    file = tmp_path / "flags.ttf"
    font.save(file)
    layout = Typesetter(font=asked, fallback=[str(file)])(["😀 a"])
    assert [d.message for d in layout.diagnostics] == ["no font has a glyph for U+1F600"]


def test_a_damaged_picture_is_left_blank_and_named(asked, colour_font, tmp_path):
    file = tmp_path / "damaged.ttf"
    data = Path(colour_font).read_bytes()
    # The first picture's data, past its header.
    at = data.index(b"IDAT") + 4
    file.write_bytes(data[:at] + b"\xff" * 8 + data[at + 8 :])
    typesetter = Typesetter(font=asked, fallback=[str(file)])
    with pytest.warns(FontWarning, match=r"damaged\.ttf' has a damaged picture, glyph \d+ .*; left blank"):
        layout = typesetter([f"a 😀 {FAMILY} {FLAG} ☺\ufe0f"])
    assert sorted(layout.pictures[:, 2].tolist()) == [0, 20, 20, 20]
    Renderer(channels=3)(layout)


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_find_emoji_takes_whole_sequences(sequence):
    text = f"a{sequence}b 1 # ☺ ©"
    assert find_emoji(text, never) == [(1, 1 + len(sequence))]
    assert find_emoji(sequence * 2, never) == [(0, len(sequence)), (len(sequence), 2 * len(sequence))]


def never(start, stop):
    return False


@pytest.mark.parametrize(
    "text", ["☺", "☺\ufe0e", "😀\ufe0e", "1", "#", "©", "1\u20e3", "a\ufe0f", "→", "✓", "☺\u200d☺"]
)
def test_find_emoji_leaves_text(text):
    assert find_emoji(text, never) == []


@pytest.mark.parametrize("text", ["☺", "☺\ufe0e", "1", "©", "a\u20e3", "1\u200d2", "☺\ufe0e\u200d☺", "☺\u200da", "✓"])
def test_what_is_no_sequence_is_text_whatever_the_font_has(text):
    assert find_emoji(text, lambda start, stop: True) == []


def test_find_emoji_takes_half_of_a_flag():
    assert find_emoji("🇩", never) == [(0, 1)]


# Sequences without the U+FE0F that they ought to have.
UNQUALIFIED = {
    "emoji-rainbow": "🏳\u200d🌈",
    "emoji-heart": "❤\u200d🔥",
    "emoji-detective": "🕵\u200d♂",
    "emoji-keycap": "1\u20e3",
    "keycap-star": "*\u20e3",
    "transgender": "🏳\u200d⚧",
    "mending": "❤\u200d🩹",
    "eye": "👁\u200d🗨",
    "ball": "⛹\u200d♀",
    "half": "🕵\u200d♂\ufe0f",
    "skin": "🕵🏽\u200d♂",
    "pirate": "🏴\u200d☠",
    "couple": "👨\u200d❤\u200d👨",
    "kiss": "👩\u200d❤\u200d💋\u200d👨",
    "judge": "🧑\u200d⚖",
    "chain": "⛓\u200d💥",
}


@pytest.mark.parametrize("sequence", UNQUALIFIED.values(), ids=UNQUALIFIED)
def test_a_sequence_without_variation_selectors_is_one_picture(noto_emoji, sequence):
    layout = Typesetter(latex="off", size=32, line_height=40)([sequence, f"a {sequence}{sequence} b"])
    assert layout.diagnostics == ()
    assert np.diff(layout.picture_offsets).tolist() == [1, 2]
    assert layout.word_ranges[0].tolist() == [0, len(sequence)]
    # Two letters are all that is left to rasterise.
    assert len(layout.glyph_ids) == 2


@pytest.mark.parametrize("text", ["❤", "©", "™", "1", "☺\u200d☺", "©\u200d®", "❤\u200da", "☺", "⚖", "12", "# *"])
def test_characters_presented_as_text_stay_text(noto_emoji, text):
    layout = Typesetter(latex="off")([text])
    assert len(layout.pictures) == 0
    assert layout.diagnostics == ()


def test_a_sequence_that_the_font_has_no_picture_of_is_its_elements(noto_emoji):
    layout = Typesetter(latex="off")(["☺\u200d🔥", "1\u200d🔥"])
    assert np.diff(layout.picture_offsets).tolist() == [1, 1]


def test_an_unqualified_sequence_needs_one_glyph(tmp_path, asked, colour_font):
    from fontTools.ttLib import TTFont

    font = TTFont(colour_font)
    addOpenTypeFeaturesFromString(font, "feature ccmp { sub u263A joiner u1F600 by family; } ccmp;")
    font.save(tmp_path / "joined.ttf")
    files = str(tmp_path / "joined.ttf"), colour_font
    joined, separate = (Typesetter(font=asked, fallback=[file])(["☺\u200d😀"]) for file in files)
    assert joined.picture_pixels[0].tolist() == [0, 255, 0, 255]
    assert (len(joined.pictures), len(joined.glyph_ids)) == (1, 0)
    # The first is text, the second a picture.
    assert separate.picture_pixels[0].tolist() == [255, 0, 0, 255]
    assert len(separate.pictures) == 1
    assert separate.glyph_ids[0] != 0


@pytest.mark.parametrize("size", [11.5, 20, 64])
def test_notos_emoji_are_one_picture_each(noto_emoji, size):
    typesetter = Typesetter(size=size)
    layout = typesetter(SEQUENCES)
    assert layout.diagnostics == ()
    assert np.diff(layout.picture_offsets).tolist() == [1] * len(SEQUENCES)
    assert layout.word_ranges.tolist() == [[0, len(text)] for text in SEQUENCES]
    assert len(layout.glyph_ids) == 0
    assert ((layout.pictures[:, 2:] >= 0.8 * size) & (layout.pictures[:, 2:] <= 1.5 * size)).all()
    for text, page in zip(SEQUENCES, Renderer(channels=3)(layout).to_numpy(), strict=True):
        # In colour (but Noto's families are grey), and all of it on the page.
        assert (page[0] != (255 if text == FAMILY else page[2])).any()
        assert (page[:, [0, -1]] == 255).all()
        assert (page[:, :, [0, -1]] == 255).all()


def test_emoji_in_a_line_of_text_keep_their_lines_apart(noto_emoji):
    layout = Typesetter(size=20, line_height=22)(["text\n😀👍 text\n👨‍👩‍👧\ntext"])
    boxes = sorted(layout.pictures.tolist(), key=lambda box: box[1])
    assert boxes[1][1] + boxes[1][3] <= boxes[2][1]
