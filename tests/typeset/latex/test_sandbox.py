"""The sandbox: TeX and the rasteriser read, write and reach nothing of others."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from gpurender.typeset.latex import document, limits, preamble, sandbox
from gpurender.typeset.latex.box import Box, Failure
from gpurender.typeset.latex.sandbox import confinement, environment, python_trees, sandboxed, tex_trees
from gpurender.typeset.latex.server import Server
from gpurender.typeset.latex.source import Source

# As TeX a black area, in any font a word.
SECRET = r"\rule{300pt}{200pt}zyzzyva"
DOCUMENT = r"\documentclass{article}\pdfcompresslevel0 \pdfobjcompresslevel0 \begin{document}%s x\end{document}"

posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")
landlock = pytest.mark.skipif(confinement() != "landlock", reason="needs Linux with Landlock")


@pytest.fixture
def secret(tmp_path):
    """A file of somebody else, beside TeX's folder."""
    path = tmp_path / "private.tex"
    path.write_text(SECRET)
    return path


@pytest.fixture
def compiled(tex, monkeypatch):
    """Set a document; what came of it, with all bytes of the PDF and of what TeX said."""

    def run(body, preamble=""):
        seen = []
        rasterise = document._rasterise

        def keep(folder, *arguments):
            seen.extend(file.read_bytes() for file in folder.iterdir())
            return rasterise(folder, *arguments)

        monkeypatch.setattr(document, "_rasterise", keep)
        text = DOCUMENT.replace(r"\begin{document}", preamble + r"\begin{document}") % body
        box = document.set_as_picture(Source(text, "document"), 26)
        return box, b"".join(seen)

    return run


def shell(command, folder, readable=()):
    return subprocess.run(
        sandboxed(["sh", "-c", command], folder, readable), cwd=folder, capture_output=True, text=True
    )


_KERNS = re.compile(rb"\)-?[\d.]*\(")
_HEX = re.compile(rb"(?:[0-9A-F]{2}){8,}")

READ = {
    "input": r"\input{%s}",
    "input-primitive": r"\csname @@input\endcsname %s ",
    "openin": r"\newread\f\openin\f=%s \read\f to\x\x\closein\f",
    "verbatim": r"\makeatletter\verbatim@input\relax{%s}",
    "pdfobj": r"\immediate\pdfobj stream file {%s}",
    "pdfobj-attributes": r"\immediate\pdfobj stream attr {/Type/EmbeddedFile} file {%s}",
    "pdfobj-of-latex3": r"\ExplSyntaxOn\immediate\tex_pdfobj:D stream file {%s}\ExplSyntaxOff",
    "pdfobj-by-primitive": r"\immediate\pdfprimitive\pdfobj stream file {%s}",
    "pdfximage": r"\pdfximage{%s}",
    "pdffiledump": r"\message{\pdffiledump length 20 {%s}}\pdffiledump length 20 {%s}",
    "pdfmdfivesum": r"\pdfmdfivesum file {%s}",
    "pdfmapfile": r"\pdfmapfile{%s}",
    "font": r"\font\f=%s \f",
    "shell": r"\input{|cat %s}",
    "includegraphics": r"\csname includegraphics\endcsname{%s}",
}
PLACES = {"absolute": "{path}", "parent": "../{name}", "home": "~/{name}", "variable": "$HOME/{name}"}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("attack", READ.values(), ids=READ.keys())
def test_a_document_reads_nothing_of_others(compiled, secret, monkeypatch, attack, place):
    monkeypatch.setenv("HOME", str(secret.parent))
    monkeypatch.setattr(document.tempfile, "tempdir", str(secret.parent))
    name = place.format(path=secret, name=secret.name)
    box, seen = compiled(attack.replace("%s", name))
    # As it stands, as letters with their kerns, as hexadecimal digits.
    for content in (seen, _KERNS.sub(b"", seen), _HEX.sub(lambda m: bytes.fromhex(m[0].decode()), seen)):
        assert b"zyzzyva" not in content
        assert SECRET[:10].encode() not in content
    if isinstance(box, Box):
        assert box.pictures[0].pixels.shape[0] < 300


@landlock
@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "/proc/self/status"])
@pytest.mark.parametrize("word", [r"\immediate\pdfobj", r"\pdfobj", r"\pdfprimitive\pdfobj"])
def test_a_document_may_not_put_a_file_of_the_system_into_its_pdf(compiled, path, word):
    failure, seen = compiled(rf"{word} stream file {{{path}}}\pdfrefobj\pdflastobj")
    assert failure == Failure("error", "TeX made no page of it")
    assert seen == b""


@landlock
def test_primitives_that_drawing_packages_need_are_there(compiled):
    box, seen = compiled(r"\immediate\pdfobj stream {abcdef}\pdfrefobj\pdflastobj")
    assert box.note == ""
    assert b"abcdef" in seen


def test_without_landlock_primitives_that_reach_files_are_refused(compiled, secret, monkeypatch):
    monkeypatch.setattr(document, "confinement", lambda: "refusals")
    for word in (r"\pdfobj", r"\pdfprimitive\pdfobj", r"\ExplSyntaxOn\tex_pdfobj:D"):
        box, seen = compiled(rf"{word} stream file {{{secret}}}")
        assert box.note.startswith("Undefined control sequence")
        assert SECRET.encode() not in seen


def test_without_landlock_nothing_is_asked_of_the_kernel(monkeypatch):
    monkeypatch.setattr(sandbox, "confinement", lambda: "refusals")
    command = sandboxed(["sh", "-c", "true"], None, ["/x"])
    assert "" in command
    assert "/x" not in " ".join(command)
    assert subprocess.run(command).returncode == 0


WRITE = {
    "write18": r"\immediate\write18{{touch {path}}}",
    "write18-of-latex3": r"\ExplSyntaxOn\sys_shell_now:n{{touch~{path}}}\ExplSyntaxOff",
    "openout": r"\newwrite\f\immediate\openout\f={path} \immediate\write\f{{x}}\immediate\closeout\f",
    "parent": r"\newwrite\f\immediate\openout\f=../made \immediate\write\f{{x}}\immediate\closeout\f",
    "filecontents": "\\begin{{filecontents*}}{{{path}}}\nx\n\\end{{filecontents*}}\n",
}


@pytest.mark.parametrize("attack", WRITE.values(), ids=WRITE.keys())
def test_a_document_writes_nothing_outside_its_folder(compiled, tmp_path, monkeypatch, attack):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(document.tempfile, "tempdir", str(tmp_path))
    compiled(attack.format(path=tmp_path / "made"))
    assert list(tmp_path.iterdir()) == []


def test_a_document_runs_where_nothing_was_cached(compiled, tmp_path, monkeypatch):
    for name in ("HOME", "TEXMFVAR", "TEXMFCONFIG", "TEXMFHOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "nowhere"))
    box, _ = compiled("Hello", r"\usepackage[T1]{fontenc}")
    assert box.note == ""
    assert list(tmp_path.iterdir()) == []


def test_the_environment_has_no_folder_of_a_user(monkeypatch):
    monkeypatch.setenv("TEXMFOUTPUT", "/tmp")
    found = environment(openin_any="a")
    assert "TEXMFOUTPUT" not in found
    assert {found[name] for name in ("HOME", "TEXMFHOME", "TEXMFVAR", "TEXMFCONFIG")} == {"/nonexistent"}
    # What the caller says holds.
    assert found["openin_any"] == "a"


@landlock
@pytest.mark.parametrize(
    "command",
    [
        "cat /etc/passwd",
        "ls /",
        "ls ..",
        "ls /proc",
        "cat /proc/self/environ",
        'cat "$HOME"/private.tex',
        "cat ../private.tex",
        "ln -s ../private.tex link && cat link",
        "ln ../private.tex link",
        "mv ../private.tex .",
        "touch ../made",
        "mkdir ../made",
        "mkfifo ../made",
        "rm ../private.tex",
        "echo x > ../private.tex",
        "mv inside ../outside",
        "kill -0 $PPID",
        "mount -t tmpfs none .",
    ],
)
def test_a_process_in_the_sandbox_reaches_nothing_outside(secret, monkeypatch, command):
    monkeypatch.setenv("HOME", str(secret.parent))
    folder = secret.parent / "folder"
    folder.mkdir()
    (folder / "inside").touch()
    run = shell(command, folder)
    assert run.returncode != 0
    assert run.stdout == ""
    assert sorted(secret.parent.iterdir()) == [folder, secret]
    assert secret.read_text() == SECRET


@landlock
def test_a_process_in_the_sandbox_has_its_folder(tmp_path):
    run = shell(
        "mkdir a && echo x > a/b && mv a/b c && ln -s c d && cat d && rm -r a && ls && cat < /dev/null", tmp_path
    )
    assert (run.returncode, run.stdout.split(), run.stderr) == (0, ["x", "c", "d"], "")


@landlock
def test_without_a_folder_a_process_writes_nothing(tmp_path):
    assert subprocess.run(sandboxed(["sh", "-c", "touch x"]), cwd=tmp_path, capture_output=True).returncode != 0
    assert list(tmp_path.iterdir()) == []


@landlock
def test_what_is_readable_is_not_writable(tmp_path):
    tree, folder = tmp_path / "tree", tmp_path / "folder"
    tree.mkdir()
    folder.mkdir()
    (tree / "file").write_text("x")
    assert shell(f"cat {tree}/file", folder, [str(tree)]).stdout == "x"
    assert shell(f"echo y > {tree}/file", folder, [str(tree)]).returncode != 0
    assert shell(f"rm {tree}/file", folder, [str(tree)]).returncode != 0


@landlock
@pytest.mark.skipif(confinement() == "landlock" and sandbox.landlock_version() < 4, reason="needs Landlock 4")
def test_a_process_in_the_sandbox_has_no_network(tmp_path):
    program = "import socket; socket.create_server(('127.0.0.1', 0))"
    command = sandboxed([sys.executable, "-I", "-c", program], tmp_path, python_trees())
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "PermissionError" in run.stderr


@landlock
@pytest.mark.parametrize("version", range(1, 8))
def test_older_kernels_confine_as_far_as_they_can(tmp_path, version):
    if version > sandbox.landlock_version():
        pytest.skip("needs a newer kernel")
    program = (
        "import sys, os; sys.path.insert(0, sys.argv[1]); import launch\n"
        "launch.landlock_version = lambda: int(sys.argv[2])\n"
        "launch.ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)\n"
        "launch._confine(sys.argv[3], ['/usr', '/lib'])\n"
        "open('made', 'w').close()\n"
        "try: open('/etc/passwd')\n"
        "except PermissionError: print('refused')\n"
    )
    folder = os.path.dirname(sandbox.__file__)
    command = [sys.executable, "-I", "-c", program, folder, str(version), str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("refused\n", "")
    assert (tmp_path / "made").exists()


def test_trees_are_folders_of_tex(tex):
    trees = tex_trees()
    assert any(os.path.exists(os.path.join(tree, "tex/latex/base/article.cls")) for tree in trees)
    assert "/" not in trees
    assert not any(tree.startswith(os.path.expanduser("~")) for tree in trees)


@landlock
def test_the_server_is_confined(tex):
    server = Server()
    status = f"/proc/{server._process.pid}/status"
    with open(status) as file:
        assert "NoNewPrivs:\t1" in file.read()
    # It has opened nothing but TeX's files, its pipes and /dev/null.
    folder = f"/proc/{server._process.pid}/fd"
    targets = [os.readlink(os.path.join(folder, name)) for name in os.listdir(folder)]
    assert not any(target.startswith(("/etc/", "/root", "/home")) for target in targets)
    server.close()


def test_marks_of_cells_are_made_of_the_macros_of_the_server():
    text = preamble.document_preamble(True, True)
    assert r"\special" not in text
    assert "BDC" in text
    assert "EMC" in text


@posix
def test_a_launched_process_has_limits():
    run = subprocess.run(sandboxed(["sh", "-c", "ulimit -v; ulimit -f"]), capture_output=True, text=True)
    # In units of 1 KiB and of 512 or 1,024 bytes.
    memory, size = map(int, run.stdout.split())
    assert memory * 1024 == limits.ADDRESS_SPACE
    assert size * 512 in (limits.FILE_SIZE, limits.FILE_SIZE // 2)


@posix
def test_a_program_that_is_missing_ends_at_once():
    assert shutil.which("no-such-program") is None
    run = subprocess.run(sandboxed(["no-such-program"]), capture_output=True, text=True)
    assert "FileNotFoundError" in run.stderr
