"""Fonts: found by family, style, alias or file; what is wrong is named."""

import sys
from pathlib import Path

import pytest
from fontTools.ttLib import TTCollection, TTFont

from gpurender import Renderer
from gpurender.typeset import Typesetter
from gpurender.typeset.fonts import Font, find_font, list_fonts


def test_dejavu_comes_with_pip():
    face = find_font("DejaVu Sans")
    assert (face.family, face.style) == ("DejaVu Sans", "Book")
    assert "matplotlib" in face.file


@pytest.mark.parametrize(
    ("name", "family", "style"),
    [
        ("sans", "DejaVu Sans", "Book"),
        ("MONOSPACE", "DejaVu Sans Mono", "Book"),
        ("serif", "DejaVu Serif", "Book"),
        ("dejavu sans bold", "DejaVu Sans", "Bold"),
    ],
)
def test_names(name, family, style):
    assert find_font(name)[:2] == (family, style)


def test_a_file_is_a_name_too():
    face = find_font("DejaVu Serif")
    assert find_font(face.file).family == "DejaVu Serif"
    assert Typesetter(font=face.file)(["a"]).fonts[0].file == face.file


@pytest.fixture(scope="module")
def collection(tmp_path_factory, build_font):
    """A collection of three faces: One, Two and Two's bold."""
    folder = tmp_path_factory.mktemp("fonts")
    made = TTCollection()
    for i, (family, style) in enumerate((("One", "Regular"), ("Two", "Regular"), ("Two", "Bold"))):
        font = TTFont(build_font(folder / f"{i}.ttf", "abc "[i:], family=family))
        for record in font["name"].names:
            if record.nameID == 2:
                record.string = style
        made.fonts.append(font)
    made.save(folder / "made.ttc")
    return str(folder / "made.ttc")


@pytest.mark.parametrize(
    ("chosen", "index", "family", "style"),
    [
        ("", 0, "One", "Regular"),
        ("#0", 0, "One", "Regular"),
        ("#1", 1, "Two", "Regular"),
        ("#2", 2, "Two", "Bold"),
        ("#two", 1, "Two", "Regular"),
        ("#Two Bold", 2, "Two", "Bold"),
        ("#One", 0, "One", "Regular"),
    ],
)
def test_a_face_of_a_collection_is_chosen(collection, chosen, index, family, style):
    face = find_font(collection + chosen)
    assert face == (family, style, collection, index)
    key = Typesetter(font=collection + chosen, fallback=())(["c"]).fonts[0]
    assert (key.file, key.face_index) == (collection, index)


@pytest.mark.parametrize("chosen", ["3", "99", "Three", "-1"])
def test_a_face_that_a_collection_lacks_is_named(collection, chosen):
    message = rf"made\.ttc' has no face '{chosen}'; it has 0 \(One Regular\), 1 \(Two Regular\), 2 \(Two Bold\)"
    with pytest.raises(ValueError, match=message):
        find_font(f"{collection}#{chosen}")


def test_faces_of_a_collection_in_a_folder_are_found_by_family(collection, only_folder):
    (only_folder / "all.ttc").write_bytes(Path(collection).read_bytes())
    assert [(face.family, face.face_index) for face in list_fonts()] == [("One", 0), ("Two", 1), ("Two", 2)]
    assert find_font("Two").face_index == 1
    assert find_font("two bold").face_index == 2


def test_a_number_sign_may_be_in_a_files_name(tmp_path, build_font):
    (tmp_path / "a#1").mkdir()
    file = build_font(tmp_path / "a#1" / "b#2.ttf", "a ")
    assert find_font(file).file == find_font(file + "#0").file == file


def packed(folder, flavor, build_font):
    font = TTFont(build_font(folder / "plain.ttf", "abc ", family="Packed"))
    font.flavor = flavor
    font.save(folder / f"packed.{flavor}")
    return str(folder / f"packed.{flavor}")


@pytest.mark.parametrize("flavor", ["woff", "woff2"])
def test_web_fonts_may_be_named(tmp_path, build_font, flavor):
    if flavor == "woff2":
        pytest.importorskip("brotli", reason="needs brotli: pip install brotli")
    file = packed(tmp_path, flavor, build_font)
    assert find_font(file) == ("Packed", "Regular", file, 0)
    plain = str(tmp_path / "plain.ttf")
    for options in ({"font": file, "fallback": ()}, {"font": build_font(tmp_path / "x.ttf", "x "), "fallback": [file]}):
        layout = Typesetter(**options)(["abc"])
        other = Typesetter(**{k: plain if v == file else [plain] if v == [file] else v for k, v in options.items()})
        assert layout.diagnostics == ()
        assert layout.glyph_ids.tolist() == other(["abc"]).glyph_ids.tolist() == [1, 2, 3]
        pages = [Renderer()(found).to_numpy()[0] for found in (layout, other(["abc"]))]
        assert (pages[0] == pages[1]).all()


def test_web_fonts_are_not_looked_for_in_folders(only_folder, build_font):
    packed(only_folder, "woff", build_font)
    assert [Path(face.file).name for face in list_fonts()] == ["plain.ttf"]


def test_woff2_without_brotli_names_what_to_install(tmp_path, monkeypatch):
    for name in ("brotli", "brotlicffi"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("gpurender.typeset.fonts.find_spec", lambda name: None)
    (tmp_path / "a.woff2").write_bytes(b"wOF2" + bytes(100))
    with pytest.raises(ValueError, match=r"a\.woff2' is WOFF2, which needs the package brotli: pip install brotli"):
        find_font(str(tmp_path / "a.woff2"))


def test_a_damaged_web_font_is_named(tmp_path, build_font):
    data = Path(packed(tmp_path, "woff", build_font)).read_bytes()
    for size in (4, 44, 100, len(data) // 2):
        (tmp_path / f"{size}.woff").write_bytes(data[:size])
        with pytest.raises(ValueError, match=rf"{size}\.woff' cannot be unpacked: "):
            find_font(str(tmp_path / f"{size}.woff"))
    (tmp_path / "junk.woff").write_bytes(b"no font at all")
    with pytest.raises(ValueError, match=r"junk\.woff' cannot be read as a scalable font"):
        find_font(str(tmp_path / "junk.woff"))


def test_what_is_not_found_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no font named 'DejaVu Snas'; near it: .*DejaVu Sans"):
        find_font("DejaVu Snas")
    with pytest.raises(ValueError, match=r"font file '.*none.ttf' does not exist"):
        find_font(str(tmp_path / "none.ttf"))
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"\0\1\0\0 not a font")
    with pytest.raises(ValueError, match=r"broken.ttf' cannot be read as a scalable font"):
        find_font(str(broken))


def test_a_broken_file_in_a_font_folder_is_passed_over(only_folder):
    (only_folder / "broken.otf").write_bytes(b"junk")
    assert list_fonts() == ()


def test_metrics_are_in_64ths_of_a_pixel():
    font = Font(find_font("DejaVu Sans"), 20)
    assert font.ascent / 64 == pytest.approx(0.928 * 20, abs=0.1)
    assert font.descent / 64 == pytest.approx(0.236 * 20, abs=0.1)
    assert font.space / 64 == pytest.approx(0.318 * 20, abs=0.05)


def test_a_file_is_read_once_and_may_go_while_in_use(tmp_path, build_font):
    file = build_font(tmp_path / "a.ttf", "abc ")
    typesetter, renderer = Typesetter(font=file, fallback=()), Renderer()
    before = renderer(typesetter(["abc", "a"])).to_numpy()
    Path(file).write_bytes(b"something else")
    # A glyph that no one has seen yet, by a renderer and a typesetter that have opened nothing yet.
    again = Renderer()(Typesetter(font=file, size=20, fallback=())(["abc", "a"])).to_numpy()
    assert all((x == y).all() for x, y in zip(before, again, strict=True))
    Path(file).unlink()
    assert renderer(typesetter(["cab cab"])).to_numpy()[0].min() == 0
    assert Renderer()(typesetter(["b"])).to_numpy()[0].min() == 0


def test_a_font_cut_short_is_named_or_used_for_what_it_still_has(tmp_path, build_font):
    whole = Path(build_font(tmp_path / "whole.ttf", "abcdef")).read_bytes()
    refused = []
    for size in range(0, len(whole), 40):
        cut = tmp_path / f"cut{size}.ttf"
        cut.write_bytes(whole[:size])
        try:
            typesetter = Typesetter(font=str(cut), fallback=())
        except ValueError as error:
            refused.append(str(error) == f"font file {str(cut)!r} cannot be read as a scalable font")
        else:
            Renderer()(typesetter(["abcdef"]))
    assert len(refused) > 5
    assert all(refused)
