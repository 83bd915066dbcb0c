"""Fallback: which font sets a character that the asked-for one lacks; files that fail are passed over and named."""

import struct
import warnings
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from fontTools.ttLib.tables._c_m_a_p import CmapSubtable
from fontTools.ttLib.tables.DefaultTable import DefaultTable

from gpurender import Renderer
from gpurender.typeset import Typesetter, fallback
from gpurender.typeset.characters import IGNORABLE, UNDRAWABLE, character_kinds
from gpurender.typeset.fonts import FontFace, FontWarning


@pytest.fixture
def machine(only_folder, monkeypatch):
    """`machine(face, ...)`: all the fonts that the machine says it has, be they there or not; a folder for them."""

    def holds(*faces):
        monkeypatch.setattr("gpurender.typeset.fonts._by_fontconfig", lambda: list(faces))

    holds.folder = only_folder
    return holds


def face_of(file, family="Made"):
    return FontFace(family, "Regular", str(file), 0)


def uses(typesetter, text):
    return [(font and Path(font.key.file).name, characters) for font, characters in typesetter.font_uses(text)]


def test_what_the_font_has_is_set_in_it_and_the_rest_in_the_fallback_in_order(tmp_path, build_font):
    asked = build_font(tmp_path / "asked.ttf", "ab ")
    first, second = build_font(tmp_path / "first.ttf", "bcd"), build_font(tmp_path / "second.ttf", "acde")
    one = Typesetter(font=asked, fallback=[first, second])
    other = Typesetter(font=asked, fallback=[second, first])
    assert uses(one, "abc def") == [("asked.ttf", "ab"), ("first.ttf", "cd"), ("second.ttf", "e"), (None, "f")]
    assert uses(other, "abc def") == [("asked.ttf", "ab"), ("second.ttf", "cde"), (None, "f")]
    layout = one(["abc def"])
    assert [Path(key.file).name for key in layout.fonts] == ["asked.ttf", "first.ttf", "second.ttf"]
    # The box for what no font has is the asked-for font's.
    assert layout.glyph_fonts.tolist() == [0, 0, 1, 1, 2, 0]
    assert [d.message for d in layout.diagnostics] == ["no font has a glyph for U+0066"]


def test_no_fallback_is_no_other_font(tmp_path, build_font):
    typesetter = Typesetter(font=build_font(tmp_path / "asked.ttf", "ab "), fallback=())
    layout = typesetter(["abc Ж"])
    assert [(d.start, d.stop, d.kind) for d in layout.diagnostics] == [(2, 3, "missing"), (4, 5, "missing")]
    assert len(layout.fonts) == 1


def test_a_font_that_claims_a_character_and_draws_nothing_is_passed_over_and_named(tmp_path, build_font):
    asked = build_font(tmp_path / "asked.ttf", "a ", empty="x")
    hollow = build_font(tmp_path / "hollow.ttf", "c", empty="xb", family="Hollow")
    full = build_font(tmp_path / "full.ttf", "xbc")
    typesetter = Typesetter(font=asked, fallback=[hollow, full])
    with pytest.warns(FontWarning) as told:
        assert uses(typesetter, "axbc") == [("asked.ttf", "a"), ("full.ttf", "xb"), ("hollow.ttf", "c")]
    messages = sorted(str(warning.message) for warning in told)
    assert messages == [f"Hollow ({hollow}) claims U+00{c} and draws nothing; passed over" for c in ("62", "78")]
    with pytest.warns(FontWarning):
        layout = Typesetter(font=asked, fallback=[hollow])(["xb"])
    assert [(d.start, d.stop) for d in layout.diagnostics] == [(0, 2)]


@pytest.mark.parametrize("content", [b"", b"junk", b"\0\1\0\0" + bytes(100), "cut", None])
def test_a_file_that_cannot_be_read_is_passed_over_and_named(machine, build_font, content):
    asked = build_font(machine.folder / "asked.otf", "a ")
    bad = machine.folder / "bad.otf"
    if content == "cut":
        content = Path(build_font(bad, "bc")).read_bytes()[:400]
        bad.unlink()
    # None: it was there when the machine's fonts were listed, and is not any more.
    if content is not None:
        bad.write_bytes(content)
    good = build_font(machine.folder / "good.otf", "bc", family="Ok")
    machine(face_of(bad), face_of(good, "Ok"))
    typesetter = Typesetter(font=asked)
    with pytest.warns(FontWarning, match=r"bad\.otf.*passed over"):
        assert uses(typesetter, "abc") == [("asked.otf", "a"), ("good.otf", "bc")]
    assert Renderer()(typesetter(["abc"])).to_numpy()[0].min() == 0


def test_a_file_that_goes_between_its_coverage_and_its_use_is_passed_over_and_named(machine, build_font):
    asked = build_font(machine.folder / "asked.otf", "a ")
    going = build_font(machine.folder / "going.otf", "c", family="A")
    good = build_font(machine.folder / "good.otf", "bc", family="B")
    machine(face_of(going, "A"), face_of(good, "B"))
    typesetter = Typesetter(font=asked)
    assert uses(typesetter, "b") == [("good.otf", "b")]
    Path(going).unlink()
    with pytest.warns(FontWarning, match=r"going\.otf' cannot be read: .*; passed over"):
        assert uses(typesetter, "c") == [("good.otf", "c")]


def test_a_fallback_file_that_is_deleted_while_in_use_harms_nothing(tmp_path, build_font):
    asked, other = build_font(tmp_path / "asked.ttf", "a "), build_font(tmp_path / "other.ttf", "bcd")
    typesetter, renderer = Typesetter(font=asked, fallback=[other]), Renderer()
    before = renderer(typesetter(["ab"])).to_numpy()[0]
    Path(other).unlink()
    assert uses(typesetter, "abcd") == [("asked.ttf", "a"), ("other.ttf", "bcd")]
    assert renderer(typesetter(["abcd"])).to_numpy()[0].min() == 0
    assert (Renderer()(typesetter(["ab"])).to_numpy()[0] == before).all()


def test_a_font_without_glyphs_is_passed_over_and_named(machine, build_font):
    asked = build_font(machine.folder / "asked.otf", "a ")
    none = machine.folder / "none.otf"
    font = TTFont(build_font(none, "b"))
    data = bytearray(none.read_bytes())
    # The number of glyphs, in the table "maxp".
    at = font.reader.tables["maxp"].offset + 4
    data[at : at + 2] = b"\0\0"
    none.write_bytes(data)
    machine(face_of(none))
    with pytest.warns(FontWarning, match=r"none\.otf.*passed over"):
        assert uses(Typesetter(font=asked), "ab") == [("asked.otf", "a"), (None, "b")]


def test_private_use_characters_are_the_asked_for_fonts_alone(tmp_path, build_font):
    private = "\ue000\uf8ff\U000f0000\U0010fffd"
    asked = build_font(tmp_path / "asked.ttf", "a \ue000")
    other = build_font(tmp_path / "other.ttf", "b" + private)
    assert uses(Typesetter(font=asked, fallback=[other]), "ab" + private) == [
        ("asked.ttf", "a\ue000"),
        ("other.ttf", "b"),
        (None, private[1:]),
    ]


def test_what_no_font_may_draw_is_missing_whatever_fonts_claim(tmp_path, build_font):
    claimed = "a\x01\x7f\x9f\ufdd0\ufffe\U0001ffff "
    typesetter = Typesetter(font=build_font(tmp_path / "asked.ttf", claimed), fallback=())
    for c in "\x00\x01\x08\x0e\x1f\x7f\x80\x9f\ufdd0\ufdef\ufffe\uffff\U0001ffff\U0010fffe\ud800\udbff\udfff":
        (found,) = typesetter([f"a{c}a"]).diagnostics
        assert found[:4] == (0, 1, 2, "missing")
        assert found.message == f"no font has a glyph for U+{ord(c):04X}"
        assert character_kinds()[ord(c)] == UNDRAWABLE


@pytest.mark.parametrize("font", ["made", "DejaVu Sans"])
def test_ignorable_characters_draw_nothing_take_no_room_and_are_never_missing(tmp_path, build_font, font):
    name = build_font(tmp_path / "asked.ttf", "ab ") if font == "made" else font
    typesetter = Typesetter(font=name, fallback=())
    codes = np.flatnonzero(character_kinds() == IGNORABLE).tolist()
    assert {0xAD, 0x34F, 0x200B, 0x200C, 0x200D, 0x200E, 0x2060, 0xFE0F, 0xFEFF, 0x3164, 0xE0020, 0xE01EF} <= set(codes)
    without = typesetter(["ab"])
    width = without.words[0, 2] - without.words[0, 0]
    for begin in range(0, len(codes), 500):
        batch = [f"a{chr(code)}b" for code in codes[begin : begin + 500]]
        layout = typesetter(batch)
        assert layout.diagnostics == ()
        assert (layout.sizes == without.sizes[0]).all()
        widths = np.add.reduceat(layout.words[:, 2] - layout.words[:, 0], layout.word_offsets[:-1])
        assert widths == pytest.approx(width, abs=0.02)


@pytest.mark.parametrize("mark", ["\u200d", "\ufe0f", "\ufe0e", "\u200e", "\xad", "\u3164", "\U000e0101"])
def test_what_is_missing_is_reported_without_ignorable_characters(mark):
    # They are set beside the box of a character that no font has, and belong to no box of their own.
    layout = Typesetter(fallback=())([f"a中{mark}文{mark} b"])
    assert {c for d in layout.diagnostics for c in d.message.split() if c[:2] == "U+"} == {"U+4E2D", "U+6587"}
    assert (layout.glyph_ids == 0).sum() == 2


def test_white_space_that_harfbuzz_does_not_make_up_is_looked_for(tmp_path, build_font):
    asked = build_font(tmp_path / "asked.ttf", "ab ")
    other = build_font(tmp_path / "other.ttf", "\u1680", empty="\u2800")
    typesetter = Typesetter(font=asked, fallback=[other])
    assert typesetter(["a\u1680b\u2800a\u2003\xa0\u3000b"]).diagnostics == ()


def test_the_choice_does_not_depend_on_what_was_set_before(tmp_path, build_font):
    asked = build_font(tmp_path / "asked.ttf", "ab ")
    files = [build_font(tmp_path / f"{i}.ttf", "bcdef"[i:] + "xyz"[:i]) for i in range(4)]
    texts = ["ab", "f", "xyz c", "cafe", "?", "zyx def", "", "c\u0301 a\u0301"]
    for order in (texts, texts[::-1], texts[3:] + texts[:3]):
        used = Typesetter(font=asked, fallback=files)
        for text in order:
            assert used([text]).equals(Typesetter(font=asked, fallback=files)([text])), text
        assert used([]).equals(Typesetter(font=asked, fallback=files)([]))
        assert used(texts).equals(Typesetter(font=asked, fallback=files)(texts))


def test_a_mark_and_its_letter_share_a_font_that_has_both(tmp_path, build_font):
    asked = build_font(tmp_path / "asked.ttf", "ab ")
    mark, both = build_font(tmp_path / "mark.ttf", "\u0301"), build_font(tmp_path / "both.ttf", "a\u0301")
    layout = Typesetter(font=asked, fallback=[both])(["ba\u0301b"])
    assert [layout.fonts[i].file for i in layout.glyph_fonts.tolist()] == [asked, both, both, asked]
    layout = Typesetter(font=asked, fallback=[mark])(["ba\u0301b"])
    assert [layout.fonts[i].file for i in layout.glyph_fonts.tolist()] == [asked, asked, mark, asked]


def test_fonts_that_are_no_fonts_for_reading_are_left_out(machine, build_font):
    asked = build_font(machine.folder / "asked.otf", "a ")
    made = {
        family: build_font(machine.folder / f"{i}.otf", "b", family=family)
        for i, family in enumerate(["LastResort", ".LastResort", "Adobe Blank", "cmsy10", "STIXNonUnicode", "Good"])
    }
    machine(*(face_of(file, family) for family, file in made.items()))
    assert uses(Typesetter(font=asked), "b") == [("5.otf", "b")]


def test_no_warning_without_a_reason(tmp_path, build_font):
    asked, other = build_font(tmp_path / "asked.ttf", "a "), build_font(tmp_path / "other.ttf", "bc")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Typesetter(font=asked, fallback=[other])(["a b c d \u200d\u0301"])


@pytest.mark.parametrize(
    ("text", "language", "region"),
    [
        ("骨直", "", "SC"),
        ("骨直です", "", "JP"),
        ("カタカナ骨", "", "JP"),
        ("骨 한국어", "", "KR"),
        ("骨です 한국어", "", "JP"),
        ("骨", "ja", "JP"),
        ("骨です", "zh", "SC"),
        ("骨です", "zh-Hant", "TC"),
        ("骨", "zh-TW", "TC"),
        ("骨", "zh-HK", "HK"),
        ("骨", "zh-Hant-MO", "HK"),
        ("骨", "ko-KR", "KR"),
        ("骨です", "en", "JP"),
    ],
)
def test_han_characters_have_the_forms_of_the_texts_language(noto, text, language, region):
    names = {c: font.family for font, characters in Typesetter(language=language).font_uses(text) for c in characters}
    assert names["骨"] == f"Noto Sans CJK {region}"


# With each tag the region whose forms Han characters take.
TAGS = {
    "SC": "zh-Hans-HK zh-Hans-TW zh-Hans zh-SG zh-CN zh-MY cmn cmn-Hans yue-Hans yue-CN und-Hans hak gan-CN ZH-HANS-hk",
    "TC": "cmn-Hant zh-TW und-Hant und-TW zh-Hant-SG nan-TW hak-TW lzh zh-cmn-Hant zh-Hant-CN zh-Bopo zh-Latn-TW",
    "HK": "yue-Hant-HK yue zh-MO zh-HK zh-Hant-MO und-HK zh-yue zh-yue-Hant-HK yue-Hant yue-MO zh-hant-hk-u-co-stroke",
    "JP": "ja ja-JP ja-Latn und-JP und-Kana ja-Hira",
    "KR": "ko ko-KR ko-Hani und-Kore ko-KP",
}


@pytest.mark.parametrize(
    ("tag", "region"),
    [pytest.param(tag, region, id=f"language-{tag}") for region, tags in TAGS.items() for tag in tags.split()],
)
def test_script_and_region_subtags_decide_the_forms(noto, tag, region):
    # Kana in the text do not matter.
    typesetter = Typesetter(latex="off", language=tag)
    assert [font.family for font, _ in typesetter.font_uses("直")] == [f"Noto Sans CJK {region}"]
    assert {font.family for font, _ in typesetter.font_uses("直です")} == {f"Noto Sans CJK {region}"}
    # The glyph, too, is the region's: HarfBuzz chooses it by the tag.
    plain = {"SC": "zh-Hans", "TC": "zh-Hant", "HK": "zh-HK", "JP": "ja", "KR": "ko"}[region]
    expected = Typesetter(latex="off", language=plain)(["直骨"]).glyph_ids.tolist()
    assert typesetter(["直骨"]).glyph_ids.tolist() == expected


@pytest.mark.parametrize("tag", ["", "en", "en-TW", "vi", "de-CH", "und", "en-x-hant", "sr-Latn", "abcdefgh"])
def test_other_languages_leave_the_forms_to_the_text(noto, tag):
    names = [Typesetter(latex="off", language=tag).font_uses(text)[0][0].family for text in ("骨", "骨です", "骨한")]
    assert names == ["Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR"]


def styled(folder, build_font, name, characters, family, style):
    file = build_font(folder / f"{name}.ttf", characters, family=family)
    font = TTFont(file)
    for record in font["name"].names:
        if record.nameID == 2:
            record.string = style
    font.save(file)
    return file


@pytest.mark.parametrize(
    ("style", "files"),
    [
        ("Regular", "regular regular regular"),
        ("Bold", "bold bold regular"),
        ("SemiBold", "bold bold regular"),
        ("Black", "black bold regular"),
        ("Extra Bold", "bold bold regular"),
        ("Italic", "italic regular regular"),
        ("Oblique", "italic regular regular"),
        ("Bold Italic", "both bold regular"),
        ("Black Oblique", "both bold regular"),
        ("Light", "regular regular regular"),
    ],
)
def test_fallback_is_of_the_style_of_the_font(only_folder, build_font, style, files):
    # Of the family that has "x", every style; "y" is in two of them, "z" in one.
    faces = {"regular": "Regular", "bold": "Bold", "italic": "Italic", "both": "Bold Italic", "black": "Black"}
    for name, other in faces.items():
        has = {"regular": "xyz", "bold": "xy"}.get(name, "x")
        styled(only_folder, build_font, name, has, "Other", other)
    asked = styled(only_folder, build_font, "asked", "a ", "Asked", style)
    typesetter = Typesetter(font=asked)
    assert [Path(typesetter.font_uses(c)[0][0].key.file).stem for c in "xyz"] == files.split()


def test_a_family_without_a_bold_face_is_upright(only_folder, build_font):
    asked = styled(only_folder, build_font, "asked", "a ", "Asked", "Bold")
    styled(only_folder, build_font, "upright", "x", "Upright", "Regular")
    # A family of bold faces alone is for display.
    styled(only_folder, build_font, "display", "xy", "Display", "Bold")
    assert uses(Typesetter(font=asked), "xy") == [("upright.ttf", "x"), (None, "y")]


@pytest.mark.parametrize(
    ("font", "text", "name"),
    [
        pytest.param("DejaVu Sans Bold", "Bold 你好", "Noto Sans CJK SC Bold", id="bold"),
        pytest.param("DejaVu Serif Bold", "Bold 你好", "Noto Serif CJK SC Bold", id="serif"),
        pytest.param("DejaVu Sans Mono Bold", "Bold 你好", "Noto Sans Mono CJK SC Bold", id="mono"),
        pytest.param("DejaVu Sans Bold Oblique", "Bold 你好", "Noto Sans CJK SC Bold", id="oblique"),
        pytest.param("DejaVu Sans Bold", "Bold 日本です", "Noto Sans CJK JP Bold", id="japanese"),
        pytest.param("DejaVu Sans Bold", "Bold हिन्दी", "Noto Sans Devanagari Bold", id="hindi"),
        pytest.param("DejaVu Sans Bold", "Bold کے", "Noto Sans Arabic Bold", id="urdu"),
        pytest.param("DejaVu Sans", "你好", "Noto Sans CJK SC", id="regular"),
        pytest.param("DejaVu Sans Oblique", "你好", "Noto Sans CJK SC", id="no-italic"),
    ],
)
def test_bold_falls_back_to_bold(noto, font, text, name):
    names = [found.name for found, _ in Typesetter(latex="off", font=font).font_uses(text)]
    assert names[-1] == name
    assert set(names) <= {font, name}


def with_variants(file, variants):
    """Give a font variation sequences: {selector: {character: the character whose glyph it takes, or None for its}}."""
    font = TTFont(file)
    table = CmapSubtable.newSubtable(14)
    table.platformID, table.platEncID, table.language, table.cmap = 0, 5, 0, {}
    names = font.getBestCmap()
    table.uvsDict = {
        selector: [(ord(c), names[ord(other)] if other else None) for c, other in pairs.items()]
        for selector, pairs in variants.items()
    }
    font["cmap"].tables.append(table)
    font.save(file)
    return file


def test_variation_sequences_are_set_in_the_font_that_has_them(tmp_path, build_font):
    asked = build_font(tmp_path / "asked.ttf", "ab")
    plain = build_font(tmp_path / "plain.ttf", "xyb")
    first = with_variants(build_font(tmp_path / "first.ttf", "bxyz"), {0xE0100: {"x": "z"}, 0xFE00: {"x": None}})
    second = with_variants(build_font(tmp_path / "second.ttf", "xyz"), {0xE0101: {"x": "y"}, 0xE0100: {"x": "y"}})
    typesetter = Typesetter(font=asked, fallback=[plain, first, second])
    text = "x\U000e0100x\U000e0101x\ufe00x\U000e0102x ab\U000e0100"
    layout = typesetter([text])
    assert layout.diagnostics == ()
    assert [Path(layout.fonts[i].file).stem for i in layout.glyph_fonts.tolist()] == [
        *("first", "second", "first", "plain", "plain"),
        *("asked", "asked"),
    ]
    pairs = zip(layout.glyph_fonts.tolist(), layout.glyph_ids.tolist(), strict=True)
    names = [TTFont(layout.fonts[i].file).getGlyphName(glyph) for i, glyph in pairs]
    assert names == ["u007A", "u0079", "u0078", "u0078", "u0078", "u0061", "u0062"]
    # The same in any order.
    for part in ("x\U000e0101", "x\U000e0100", "x", "x\U000e0102"):
        assert typesetter([part]).equals(Typesetter(font=asked, fallback=[plain, first, second])([part]))


def test_the_asked_for_font_keeps_the_variants_that_it_has(tmp_path, build_font):
    asked = with_variants(build_font(tmp_path / "asked.ttf", "xy"), {0xE0100: {"x": "y"}})
    other = with_variants(build_font(tmp_path / "other.ttf", "xy"), {0xE0100: {"x": "y"}, 0xE0101: {"x": "y"}})
    layout = Typesetter(font=asked, fallback=[other])(["x\U000e0100x\U000e0101x"])
    assert [Path(layout.fonts[i].file).stem for i in layout.glyph_fonts.tolist()] == ["asked", "other", "asked"]
    layout = Typesetter(font=asked, fallback=())(["x\U000e0100x\U000e0101x"])
    assert layout.diagnostics == ()
    assert layout.glyph_ids.tolist() == [2, 1, 1]


@pytest.mark.parametrize(
    ("text", "glyphs"),
    [
        pytest.param("葛\U000e0100葛\U000e0101", 2, id="variation"),
        pytest.param("辻\U000e0100辻\U000e0101", 2, id="road"),
        pytest.param("祇\U000e0100祇\U000e0101です", 4, id="japanese"),
        pytest.param("葛\U000e0101城\U000e0100", 2, id="castle"),
    ],
)
@pytest.mark.parametrize("font", ["DejaVu Sans", "DejaVu Serif", "Noto Sans CJK SC", "DejaVu Sans Bold"])
def test_ideographic_variation_sequences_are_different_glyphs(noto, text, glyphs, font):
    layout = Typesetter(latex="off", font=font)([text])
    assert layout.diagnostics == ()
    assert len(layout.glyph_ids) == len(set(layout.glyph_ids.tolist())) == glyphs
    assert 0 not in layout.glyph_ids


@pytest.mark.parametrize("text", ["中\U000e01ef", "a\U000e0100", "क\ufe00", "ب\U000e0101", "😀\U000e0100"])
def test_a_variant_that_no_font_has_is_the_character(noto, text):
    typesetter = Typesetter(latex="off")
    plain, other = typesetter([text[0]]), typesetter([text[:2]])
    assert other.diagnostics == ()
    assert [key.file for key in other.fonts] == [key.file for key in plain.fonts]
    assert other.glyph_ids[: len(plain.glyph_ids)].tolist() == plain.glyph_ids.tolist()


def test_each_text_of_a_batch_has_its_own_forms(noto):
    typesetter = Typesetter()
    layout = typesetter(["骨", "骨です", "骨 한"])
    assert typesetter.font_names(layout, range(1)) == ["Noto Sans CJK SC"]
    assert typesetter.font_names(layout, range(1, 2)) == ["Noto Sans CJK JP"]
    assert typesetter.font_names(layout, range(2, 3)) == ["Noto Sans CJK KR"]


@pytest.mark.parametrize("kind", ["sans", "serif", "monospace"])
def test_fallback_is_of_the_same_kind_as_the_font(noto, kind):
    expected = {"sans": "Noto Sans", "serif": "Noto Serif", "monospace": "Noto Sans Mono"}[kind]
    families = [font.family for font, _ in Typesetter(font=kind).font_uses("中")]
    assert families == [f"{expected} CJK SC"]


def test_the_install_command_fits_the_machine(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    assert fallback.install_command().startswith("apt-get install -y --no-install-recommends fonts-noto-core ")
    monkeypatch.setattr("sys.platform", "darwin")
    assert fallback.install_command().startswith("brew install --cask font-noto-")


@pytest.mark.parametrize("asked_for", [True, False])
def test_a_glyph_that_a_damaged_font_does_not_have_is_missing(tmp_path, build_font, asked_for):
    bad = build_font(tmp_path / "bad.ttf", "ab")
    font = TTFont(bad)
    # Read as it stands, a map of format 12 that sends "b" to glyph 50,000.
    font["cmap"] = table = DefaultTable("cmap")
    table.data = struct.pack(">HHHHI", 0, 1, 3, 10, 12) + struct.pack(">HHIIIIII", 12, 0, 28, 0, 1, 98, 98, 50_000)
    font.save(bad)
    good = build_font(tmp_path / "good.ttf", "xy")
    typesetter = Typesetter(font=bad, fallback=()) if asked_for else Typesetter(font=good, fallback=[bad])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FontWarning)
        layout = typesetter(["b"])
    assert [d.message for d in layout.diagnostics] == ["no font has a glyph for U+0062"]
    Renderer()(layout)


def test_an_interruption_is_not_remembered(tmp_path, build_font, monkeypatch):
    asked, other = build_font(tmp_path / "asked.ttf", "a"), build_font(tmp_path / "other.ttf", "xyz")
    expected = Typesetter(font=asked, fallback=[other])(["axb\u0300"])
    for name in ("coverage", "Font", "warnings"):
        typesetter = Typesetter(font=asked, fallback=[other])
        fallback._coverage.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(fallback, name, None)
            with pytest.raises((TypeError, AttributeError)) if name != "warnings" else nullcontext():
                typesetter(["axb\u0300"])
        assert typesetter(["axb\u0300"]).equals(expected)


def test_many_marks_of_two_fonts_take_linear_time(tmp_path, build_font):
    """Quadratic time would take minutes here."""
    asked = build_font(tmp_path / "asked.ttf", "a\u0301")
    other = build_font(tmp_path / "other.ttf", "b\u0302")
    Typesetter(font=asked, fallback=[other])(["a" + "\u0301\u0302" * 200_000])
