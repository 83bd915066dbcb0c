"""Fonts: found by family, style, alias or file; what is wrong is named."""

from pathlib import Path

import pytest

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
