"""The command line: what it prints, what it returns, and that it answers before it loads anything heavy."""

import gzip
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gpurender.cli import main


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from gpurender.cli import main\n"
        "try: main(['lomo', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numba', 'numpy', 'PIL', 'uharfbuzz', 'freetype'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    for option in (
        "--shape",
        "--field",
        "--format",
        "--ratio",
        "--position",
        "--seed",
        "--width",
        "--font",
        "--size",
        "--line-height",
        "--limit",
    ):
        assert option in run.stdout
    for option in ("--shape", "--field", "--format"):
        assert option in run.stdout
    assert "--workers" in run.stdout
    assert "--backend" in run.stdout


def test_version_and_no_command(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gpurender 0.")
    assert main([]) == 2
    assert "lomo" in capsys.readouterr().out


def test_render(tmp_path, capsys, monkeypatch):
    page = tmp_path / "page.png"
    assert main(["render", "Hello, world", "-o", str(page)]) == 0
    with Image.open(page) as image:
        assert image.mode == "L"
        small = image.size
        assert np.array(image).min() == 0
    assert f"{small[0]} x {small[1]} px" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.StringIO("from a pipe"))
    assert main(["render", "-", "-o", str(page), "--size", "40", "--font", "monospace"]) == 0
    with Image.open(page) as image:
        assert image.size[1] > small[1]


def test_render_sets_tex(tmp_path, capsys, monkeypatch):
    page, source = tmp_path / "page.png", tmp_path / "a.tex"
    source.write_text("% a comment\n\\frac{a}{b}\n", encoding="utf-8")
    assert main(["render", "--tex", str(source), "-o", str(page), "--latex", "ziamath"]) == 0
    assert capsys.readouterr().err == ""
    with Image.open(page) as image:
        assert image.mode == "RGB"
        small = image.size
    monkeypatch.setattr(sys, "stdin", io.StringIO("$$\\frac{a}{b}$$"))
    options = ["--latex", "ziamath", "--math-size", "60"]
    assert main(["render", "--tex", "-", "-o", str(page), *options]) == 0
    with Image.open(page) as image:
        assert image.size > small
    source.write_text("\\nosuchword x", encoding="utf-8")
    assert main(["render", "--tex", str(source), "-o", str(page), "--latex", "ziamath"]) == 0
    assert "formula: set as source" in capsys.readouterr().err
    source.write_bytes(b"\xff\xfe")
    assert main(["render", "--tex", str(source), "-o", str(page)]) == 1
    assert "a.tex: not UTF-8" in capsys.readouterr().err
    assert main(["render", "--tex", str(source), "-o", str(page), "--latex", "off"]) == 1


def test_lomo_tells_what_set_the_formulas(tmp_path, capsys):
    source = tmp_path / "a.jsonl"
    texts = ["Let $x^2$ and $y$ be.", "No maths.", "And $\\nosuchword$ is not, but $z$ is."]
    records = [{"messages": [{"role": "user", "content": text}]} for text in texts]
    source.write_text("\n".join(map(json.dumps, records)))
    command = ["lomo", str(source), "-o", str(tmp_path / "out"), "--ratio", "1", "--latex", "ziamath"]
    assert main(command) == 0
    assert "formulas and tables: 3 by ziamath, 0 as pictures, 1 as their source" in capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["formulas_set_by"] == {"source": 1, "ziamath": 3}
    first, plain, failed = (json.loads(line) for line in (tmp_path / "out" / "data.jsonl").read_text().splitlines())
    assert first["gpurender"]["latex"] == "ziamath"
    (span,) = failed["gpurender"]["spans"]
    assert (span["formulas"], span["formulas_as_source"]) == (1, 1)
    assert span["formula_errors"].startswith("4-17: ")
    assert "nosuchword" in span["formula_errors"]
    assert plain["gpurender"]["latex"] == ""
    assert main([*command[:-1], "off"]) == 0
    assert "formulas" not in capsys.readouterr().out


def test_render_reports_what_is_missing(tmp_path, capsys):
    assert main(["render", "\u0378", "-o", str(tmp_path / "a.png")]) == 0
    assert "missing: no font has a glyph for U+0378" in capsys.readouterr().err
    assert main(["render", "\u0378", "-o", str(tmp_path / "b.png"), "--on-missing", "error"]) == 1
    assert "error: no font has a glyph for U+0378" in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--font", "Nothing Like It"], "no font named 'Nothing Like It'"),
        (["--width", "3"], "width must be from"),
        (["--max-pixels", "10"], "more pixels than max_pixels=10"),
    ],
)
def test_errors_are_one_line(tmp_path, capsys, arguments, message):
    assert main(["render", "text", "-o", str(tmp_path / "a.png"), *arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("gpurender: error: ")
    assert message in error
    assert error.count("\n") == 1


def test_triton_without_a_gpu_is_an_error_not_a_fallback(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    code = "import os; os.environ.pop('TRITON_INTERPRET', 0); from gpurender.cli import main; main()"
    command = [sys.executable, "-c", code, "render", "a", "-o", str(tmp_path / "a.png"), "--backend", "triton"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert "Traceback" not in run.stderr
    assert "gpurender: error: device 'cuda' is not there" in run.stderr
    assert not (tmp_path / "a.png").exists()


def test_fonts(capsys):
    assert main(["fonts"]) == 0
    assert "DejaVu Sans Book\t" in capsys.readouterr().out


@pytest.fixture
def build_font(tmp_path):
    """`build_font(name, characters)`: a small font of squares; its path."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    def build(name, characters):
        pen = TTGlyphPen(None)
        pen.moveTo((0, 0))
        for point in ((0, 500), (500, 500), (500, 0)):
            pen.lineTo(point)
        pen.closePath()
        square = pen.glyph()
        names = {ord(c): f"u{ord(c):04X}" for c in characters}
        builder = FontBuilder(1000)
        builder.setupGlyphOrder([".notdef", *names.values()])
        builder.setupCharacterMap(names)
        builder.setupGlyf(dict.fromkeys([".notdef", *names.values()], square))
        builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *names.values()], (600, 0)))
        builder.setupHorizontalHeader(ascent=800, descent=-200)
        builder.setupNameTable({"familyName": name, "styleName": "Regular"})
        builder.setupOS2()
        builder.setupPost()
        builder.save(tmp_path / f"{name}.ttf")
        return str(tmp_path / f"{name}.ttf")

    return build


INSTALL = "apt-get install -y --no-install-recommends fonts-noto-core fonts-noto-cjk fonts-noto-color-emoji"


def test_fonts_tells_which_sets_what(build_font, capsys, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    one, two = build_font("One", "abc "), build_font("Two", "cde中")
    told = ["fonts", "--font", one, "--text", "a bad\ncab 中\u0378\ue000"]
    assert main([*told, "--fallback", two]) == 0
    assert capsys.readouterr().out == (
        f"One (3)\tabc\t{one}\nTwo (2)\td中\t{two}\nno font (2)\tU+0378 U+E000\tto install more fonts: {INSTALL}\n"
    )
    assert main([*told, "--fallback", "none"]) == 0
    assert capsys.readouterr().out == (
        f"One (3)\tabc\t{one}\nno font (4)\tU+0064 U+4E2D U+0378 U+E000\tto install more fonts: {INSTALL}\n"
    )
    monkeypatch.setattr(sys, "stdin", io.StringIO("cab"))
    assert main(["fonts", "--font", one, "--text", "-"]) == 0
    assert capsys.readouterr().out == f"One (3)\tcab\t{one}\n"
    assert main(["fonts", "--font", one, "--text", " \n"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["fonts", "--font", one, "--text", "a", "--fallback", "No Such Font"]) == 1
    assert "no font named 'No Such Font'" in capsys.readouterr().err
    assert main(["fonts", "--font", one, "--text", "a", "--language", "not a tag"]) == 1
    assert "language must be a BCP 47 tag" in capsys.readouterr().err


def test_language_chooses_the_forms_of_han_characters(capsys):
    from gpurender.typeset.fonts import list_fonts

    if "Noto Sans CJK JP" not in {face.family for face in list_fonts()}:
        pytest.skip(f"needs Noto Sans CJK JP: {INSTALL}")
    for language, family in (("ja", "JP"), ("zh", "SC"), ("zh-Hant", "TC"), ("ko", "KR")):
        assert main(["fonts", "--text", "骨", "--language", language]) == 0
        assert capsys.readouterr().out.startswith(f"Noto Sans CJK {family} (1)\t骨\t")


def test_lomo(tmp_path, capsys):
    source, out = tmp_path / "a.jsonl", tmp_path / "out"
    source.write_text('{"messages": [{"role": "user", "content": "Hi!"}]}\nbroken\n')
    assert main(["lomo", str(source), "-o", str(out), "--ratio", "1", "--seed", "5"]) == 0
    told = capsys.readouterr().out
    assert "2 records read: 1 rewritten, 0 kept as text, 1 failed; 1 images" in told
    assert "1 could not be used; the first: " in told
    assert "a.jsonl:2: not JSON" in told
    assert json.loads((out / "data.jsonl").read_text())["gpurender"]["seed"] == 5
    assert main(["lomo", str(source), "-o", str(out), "--strict"]) == 1
    assert "a.jsonl:2: not JSON" in capsys.readouterr().err
    assert main(["lomo", str(tmp_path / "none"), "-o", str(out)]) == 1
    assert f"gpurender: error: {tmp_path / 'none'}: input does not exist" in capsys.readouterr().err
    assert main(["lomo", str(source), "-o", str(source)]) == 1
    assert "output is a file, not a folder" in capsys.readouterr().err


def test_lomo_takes_shapes_fields_and_formats(tmp_path, capsys):
    source, out = tmp_path / "a", tmp_path / "out"
    source.write_bytes(gzip.compress(b'[{"id": "f", "tex": "x^2", "instruction": "Why?"}]'))
    assert main(["lomo", str(source), "-o", str(out), "--ratio", "1", "--field", "tex"]) == 0
    record = json.loads((out / "data.jsonl").read_text())
    assert (record["tex"], record["images"]) == ("<image>", ["images/00000000-0.png"])
    assert main(["lomo", str(source), "-o", str(out), "--ratio", "1", "--format", "parts"]) == 0
    record = json.loads((out / "data.jsonl").read_text())
    assert record["instruction"] == [{"type": "image", "image": "images/00000000-0.png"}]
    assert not (out / "dataset_info.json").exists()
    capsys.readouterr()
    assert main(["lomo", str(source), "-o", str(out), "--shape", "conversations"]) == 1
    error = capsys.readouterr().err
    assert f"gpurender: error: {source}: input has no record that can be used among the first 1; record 1: " in error
    assert "'conversations' is missing; fields: id, tex, instruction" in error
    with pytest.raises(SystemExit):
        main(["lomo", str(source), "-o", str(out), "--shape", "alpaca", "--field", "tex"])
    assert "not allowed with" in capsys.readouterr().err
