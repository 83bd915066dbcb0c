"""Pictures of what draws beyond glyphs and rules: documents, rotation, diagonals."""

import shutil
import subprocess

import numpy as np
import pytest

from gpurender import Renderer, Typesetter
from gpurender.typeset.latex import document, limits
from gpurender.typeset.latex.box import Failure
from gpurender.typeset.latex.sandbox import INSTALL, sandboxed
from gpurender.typeset.latex.source import Source

pytestmark = pytest.mark.skipif(shutil.which("pdftex") is None, reason=f"needs pdftex: {INSTALL}")
DOCUMENT = r"\documentclass{article}\usepackage{xcolor}\begin{document}%s\end{document}"


def make(tex, style="document", size=26.0):
    return document.set_as_picture(Source(tex, style), size)


def test_a_document_is_its_ink():
    box = make(DOCUMENT % r"\noindent\textcolor{red}{\rule{50pt}{20pt}}")
    (picture,) = box.pictures
    height, width = picture.pixels.shape[:2]
    # 2.6 px to the point.
    assert (width, height) == (pytest.approx(130, abs=2), pytest.approx(52, abs=2))
    assert picture.pixels[5, 5].tolist() == [255, 0, 0, 255]
    assert box.ink == (0, -height, width, 0)
    assert (box.width, box.height, box.depth) == (64 * width, 64 * height, 0)


def test_an_item_keeps_its_baseline_and_width():
    box = make(r"x\rule[-5pt]{30pt}{10pt}", "inline")
    (picture,) = box.pictures
    left, top, right, bottom = box.ink
    assert box.depth == pytest.approx(5 * 2.6 * 64, abs=2)
    assert bottom == pytest.approx(5 * 2.6, abs=1.5)
    assert box.width == pytest.approx(64 * right, abs=64 * 1.5)
    assert (picture.left, picture.top) == (left, top)
    # Half of it is ink, and paper is clear.
    assert picture.pixels[..., 3].max() == 255
    assert (picture.pixels[..., 3] == 0).any()


@pytest.mark.parametrize(
    ("tex", "named"),
    [
        (DOCUMENT % r"\undefinedword", "Undefined control sequence"),
        (DOCUMENT % "", "page"),
        (DOCUMENT % r"\input{/etc/passwd}", "not found"),
        (DOCUMENT % r"\phantom{x}\thispagestyle{empty}", "visible"),
        (r"\documentclass{nosuchclass}\begin{document}x\end{document}", "nosuchclass"),
        (r"\documentclass{article} no body", ""),
    ],
)
def test_what_cannot_be_compiled_says_why(tex, named):
    failure = make(tex)
    assert isinstance(failure, Failure)
    assert named in failure.message


def test_a_document_may_not_run_or_write_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "made"
    for attack in (
        rf"\immediate\write18{{touch {target}}}",
        rf"\newwrite\f\immediate\openout\f={target} \immediate\write\f{{x}}\immediate\closeout\f",
        r"\newwrite\f\immediate\openout\f=../made \immediate\write\f{x}\immediate\closeout\f",
    ):
        make(DOCUMENT % (attack + "x"))
    assert not target.exists()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("word", [r"\pdfobj", r"\pdfprimitive\pdfobj", r"\ExplSyntaxOn\tex_pdfobj:D"])
def test_a_document_may_not_put_a_file_into_its_pdf(tmp_path, word):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    failure = make(DOCUMENT % rf"{word} stream file {{{secret}}} x")
    assert failure.message.startswith("Undefined control sequence")


def test_disk_and_talk_have_an_end(monkeypatch):
    monkeypatch.setattr(limits, "FOLDER_SIZE", 2**22)
    for attack in (
        r"\def\x{\message{xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}\x}\x",
        r"\newwrite\f\immediate\openout\f=a.txt \def\x{\immediate\write\f{xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx}\x}\x",
    ):
        failure = make(DOCUMENT % attack)
        assert failure.kind == "limit"
        assert "writes more" in failure.message


def test_a_pdf_that_takes_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(limits, "DOCUMENT_SECONDS", 2.0)
    one = r"\rlap{\pdfrefxform\pdflastxform}"
    double = rf"\setbox0\hbox to5pt{{{one}{one}\hss}}\immediate\pdfxform0 "
    failure = make(DOCUMENT % rf"\setbox0\hbox{{x}}\immediate\pdfxform0 {double * 40}\noindent{one}.")
    assert failure.kind == "limit"


def test_area_has_an_end():
    failure = make(r"\rotatebox{45}{\rule{4000pt}{4000pt}}", "inline")
    assert (failure.kind, str(limits.AREA) in failure.message) == ("limit", True)


def test_time_has_an_end(monkeypatch):
    monkeypatch.setattr(limits, "DOCUMENT_SECONDS", 1.0)
    failure = make(DOCUMENT % r"\loop\iftrue\repeat")
    assert failure.kind == "limit"


def test_memory_has_an_end():
    failure = make(DOCUMENT % r"\def\a{xxxxxxxxxx\a\a}\edef\b{\a}")
    assert isinstance(failure, Failure)


def test_size_has_an_end():
    failure = make(r"\rule{16000pt}{1pt}", "inline")
    assert failure.kind == "limit"


def test_no_room_for_its_files_costs_the_picture_alone(monkeypatch):
    monkeypatch.setattr(document.tempfile, "tempdir", "/nowhere")
    failure = make(DOCUMENT % "x")
    assert failure.message.startswith("it cannot be compiled")


def test_no_folder_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(document.tempfile, "tempdir", None)
    make(DOCUMENT % "x")
    assert list(tmp_path.iterdir()) == []


def test_pages_show_the_picture():
    layout = Typesetter(latex="pdftex").set_tex([DOCUMENT % r"\rule{20pt}{20pt}", "x"])
    assert [d.kind for d in layout.diagnostics] == ["picture"]
    page = Renderer()(layout).to_numpy()[0][0]
    assert (page == 0).sum() > 45 * 45
    # The margin is around it.
    assert (page[:8] == 255).all()
    assert (page[:, :8] == 255).all()
    rows = np.flatnonzero((page < 255).any(1))
    assert rows[0] == 8


@pytest.mark.parametrize("tex", [r"\rotatebox{30}{rotated}", r"\resizebox{40pt}{!}{stretched}"])
def test_what_glyphs_and_rules_cannot_show_becomes_a_picture(tex):
    layout = Typesetter(latex="pdftex")(f"a $\\text{{{tex}}}$ b")
    assert [d.kind for d in layout.diagnostics] == ["picture"]
    assert len(layout.pictures) == 1


def test_a_launched_process_has_limits():
    run = subprocess.run(sandboxed(["sh", "-c", "ulimit -v; ulimit -f"]), capture_output=True, text=True)
    # In units of 1 KiB and of 512 or 1,024 bytes.
    memory, size = map(int, run.stdout.split())
    assert memory * 1024 == limits.ADDRESS_SPACE
    assert size * 512 in (limits.FILE_SIZE, limits.FILE_SIZE // 2)
