"""`gpurender gallery`: what the page shows, that it needs nothing else, and that it is written whole or not at all."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from gpurender import gallery
from gpurender.cli import main

VOID = {"meta", "img", "input"}
STRENGTHS = ("low", "middle", "high")
DRAWS = ("draw 1", "draw 2", "draw 3")
SECTIONS = {
    "Clean": ("",),
    **dict.fromkeys(("Rotate, small", "Rotate, large"), STRENGTHS),
    **dict.fromkeys(("Wave, along x", "Wave, along y", "Wave, both"), STRENGTHS),
    **dict.fromkeys(("Gaussian blur", "Box blur", "Motion blur"), STRENGTHS),
    **dict.fromkeys(("Edge shadow, from a side", "Edge shadow, from a corner"), STRENGTHS),
    **dict.fromkeys(("Stain", "Compose"), STRENGTHS),
    **dict.fromkeys(("Preset mild", "Preset lomo", "Preset harsh"), DRAWS),
}
OPS = {"Gaussian blur": "GaussianBlur", "Box blur": "BoxBlur", "Motion blur": "MotionBlur"}


class Figure:
    def __init__(self, section):
        self.section, self.caption, self.polygons = section, "", []

    def image(self):
        kind, data = self.src.split(",", 1)
        assert kind == "data:image/png;base64"
        return Image.open(io.BytesIO(base64.b64decode(data, validate=True)))


class Page(HTMLParser):
    """The figures of a page; every tag that is opened must be closed in its order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.figures, self.sections, self.links, self.ids, self.styles, self.tags = (
            [],
            [],
            [],
            [],
            [],
            "",
            set(),
        )
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs[name] for name in ("src", "href", "srcset", "action", "data", "poster") if name in attrs]
        self.styles += attrs.get("style", "")
        if tag == "figure":
            self.figures.append(Figure(self.sections[-1]))
        elif tag == "h2":
            self.sections.append("")
        elif tag == "img":
            figure = self.figures[-1]
            figure.src, figure.size, figure.alt = (
                attrs["src"],
                (int(attrs["width"]), int(attrs["height"])),
                attrs["alt"],
            )
        elif tag == "svg":
            assert attrs["viewbox"] == "0 0 {} {}".format(*self.figures[-1].size)

    def handle_startendtag(self, tag, attrs):
        assert tag == "polygon"
        points = [tuple(map(float, point.split(","))) for point in dict(attrs)["points"].split()]
        self.figures[-1].polygons.append(points)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "figcaption" in self.open:
            self.figures[-1].caption += data
        elif self.open[-1:] == ["h2"]:
            self.sections[-1] += data
        elif self.open[-1:] == ["style"]:
            self.styles += data


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("gallery") / "gallery.html"
    assert main(["gallery", "-o", str(path)]) == 0
    assert [file.name for file in path.parent.iterdir()] == ["gallery.html"]
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(written):
    return Page(written)


@pytest.fixture
def clean_only(monkeypatch):
    sections = gallery._sections()[:1]
    monkeypatch.setattr(gallery, "_sections", lambda: sections)


def test_shows_every_operation_on_every_page(page):
    assert page.sections == list(SECTIONS)
    wanted = [
        (section, ", ".join(filter(None, (name, label))))
        for section, labels in SECTIONS.items()
        for name in ("prose", "formulas", "code", "table")
        for label in labels
    ]
    assert [(figure.section, figure.alt) for figure in page.figures] == wanted
    for figure in page.figures:
        assert figure.caption.split()[0].strip(",") == figure.alt.split()[0].strip(",")
        if not figure.section.startswith(("Preset", "Compose")):
            op = OPS.get(figure.section, figure.section.split(",")[0].title().replace(" ", ""))
            assert op in figure.caption
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= set(page.ids)


def test_is_complete_in_itself(written, page):
    assert len(written) < 10e6
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert not page.tags & {"script", "link", "iframe", "object", "embed"}
    assert "url(" not in page.styles
    assert "@import" not in page.styles
    assert "#boxes:checked ~ main svg" in page.styles
    assert "seed 0, backend cpu" in written


def test_captions_tell_the_images_sizes(page):
    grown = 0
    for figure in page.figures:
        wide, tall, width, height = map(int, re.search(r"(\d+) x (\d+) → (\d+) x (\d+) px", figure.caption).groups())
        with figure.image() as image:
            assert image.size == figure.size == (width, height)
            assert image.mode == ("RGB" if "Stain" in figure.caption else "L")
        moves = "Rotate" in figure.caption or "Wave" in figure.caption
        assert ((wide, tall) != (width, height)) == moves
        grown += moves
    assert grown > 60


def test_boxes_lie_on_the_words(page):
    for figure in page.figures:
        assert len(figure.polygons) > 5
        width, height = figure.size
        points = np.array([point for polygon in figure.polygons for point in polygon])
        assert (points >= 0).all()
        assert (points <= (width, height)).all()
        if not figure.section.startswith(("Clean", "Rotate", "Wave")):
            continue
        with figure.image() as image:
            dark = np.array(image) < 128
        held = Image.new("L", figure.size)
        for polygon in figure.polygons:
            one = Image.new("L", figure.size)
            # PIL's points are pixels' centres.
            ImageDraw.Draw(one).polygon([(x - 0.5, y - 0.5) for x, y in polygon], fill=255)
            assert (dark & (np.array(one) > 0)).any()
            held.paste(255, mask=one)
        assert not (dark & (np.array(held.filter(ImageFilter.MaxFilter(5))) == 0)).any()


def test_tables_without_tex_are_told(tmp_path, clean_only):
    path = tmp_path / "a.html"
    assert main(["gallery", "-o", str(path), "--latex", "ziamath"]) == 0
    table = Page(path.read_text(encoding="utf-8")).figures[-1]
    assert "formula: set as source: tables need pdfTeX" in table.caption


def test_the_same_seed_gives_the_same_bytes(tmp_path, monkeypatch):
    sections = [section for section in gallery._sections() if section.title == "Rotate, small"]
    monkeypatch.setattr(gallery, "_sections", lambda: sections)
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        assert main(["gallery", "-o", str(tmp_path / name), "--seed", seed]) == 0
    a, b, c = ((tmp_path / name).read_text().replace("seed 4", "seed 3") for name in "abc")
    assert a == b != c


def test_what_would_be_too_large_is_told(tmp_path, monkeypatch, capsys):
    sections = [section for section in gallery._sections() if section.title == "Rotate, large"]
    monkeypatch.setattr(gallery, "_sections", lambda: sections)
    path = tmp_path / "a.html"
    assert main(["gallery", "-o", str(path), "--max-pixels", "90000"]) == 0
    assert "left clean: its canvas would have" in path.read_text(encoding="utf-8")
    path.unlink()
    assert main(["gallery", "-o", str(path), "--max-pixels", "10"]) == 1
    assert "more pixels than max_pixels=10" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_wrong_paths_are_named(tmp_path, capsys):
    for path, message in ((tmp_path / "none" / "a.html", "its folder does not exist"), (tmp_path, "is a folder")):
        assert main(["gallery", "-o", str(path)]) == 1
        assert f"gpurender: error: {path}: {message}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (OSError(28, "No space left on device"), 1)])
def test_an_error_leaves_what_was_there(tmp_path, monkeypatch, error, status):
    def fail(*_):
        raise error

    monkeypatch.setattr(gallery, "encode_png", fail)
    path = tmp_path / "a.html"
    path.write_text("before")
    assert main(["gallery", "-o", str(path)]) == status
    assert [file.name for file in tmp_path.iterdir()] == ["a.html"]
    assert path.read_text() == "before"


def test_help(capsys):
    assert main([]) == 2
    assert "gpurender gallery -o gallery.html" in capsys.readouterr().out
    for command, width in (("gallery", 360), ("render", 768)):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert f"where lines wrap ({width})" in capsys.readouterr().out
