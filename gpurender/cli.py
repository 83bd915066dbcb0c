"""The `gpurender` command. Imports are made where they are used, so that `--help` answers at once."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpurender.typeset import Typesetter

__all__ = ["main"]

EPILOG = """examples:
  gpurender lomo prompts.jsonl -o out
  gpurender lomo a.jsonl.gz b.parquet -o out --ratio 1 --position suffix --workers 4
  gpurender lomo texts.jsonl --field text -o out --format parts
  gpurender render 'Hello, $x^2$' -o page.png
  gpurender render --tex table.tex -o table.png
  gpurender fonts --text "Hello, 你好"
  gpurender gallery -o gallery.html
"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gpurender",
        description="Text in, model-ready images out.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    face = argparse.ArgumentParser(add_help=False)
    group = face.add_argument_group("the fonts")
    group.add_argument("--font", default="DejaVu Sans", help="family, file, sans, serif or monospace (%(default)s)")
    group.add_argument(
        "--fallback",
        action="append",
        metavar="FONT",
        help="for what the font lacks, instead of whatever is installed; may be given again; 'none' for no other font",
    )
    group.add_argument(
        "--language", default="", metavar="TAG", help="BCP 47 tag (ja, zh-Hant); by default the text's letters tell"
    )

    page = _page_options(face, width=768)
    lomo = commands.add_parser(
        "lomo",
        parents=[page],
        help="rewrite a dataset: a part of each drawn prompt becomes an image",
        description="Rewrite a dataset's records into a folder that LLaMA-Factory trains on: data.jsonl, images/, "
        "dataset_info.json, report.json. Records that cannot be used are counted and named in report.json.",
    )
    lomo.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="JSONL or a JSON array (also in gzip or zstandard), or parquet; told by content, whatever the name",
    )
    lomo.add_argument("-o", "--out", required=True, metavar="OUT", help="folder; an earlier result in it is replaced")
    shape = lomo.add_mutually_exclusive_group()
    shape.add_argument(
        "--shape",
        choices=("messages", "conversations", "alpaca"),
        help="of the records: messages (OpenAI, ShareGPT), conversations (from, value: LLaVA, Qwen), alpaca "
        "(instruction, input, output); told by the first record if not given",
    )
    shape.add_argument(
        "--field", metavar="NAME", help="in place of a shape: the field that is the prompt (text, prompt, tex)"
    )
    lomo.add_argument(
        "--format",
        choices=("placeholder", "parts"),
        default="placeholder",
        help="of the result: <image> in strings and a list 'images', as LLaMA-Factory reads it (%(default)s), or typed "
        "parts in place of strings, without dataset_info.json",
    )
    lomo.add_argument(
        "--color",
        choices=("auto", "rgb", "gray"),
        default="auto",
        help="of the images: RGB where a page has colour, gray elsewhere (%(default)s), or all alike",
    )
    lomo.add_argument("--ratio", type=float, default=0.5, help="share of records to rewrite, 0 to 1 (%(default)s)")
    lomo.add_argument(
        "--position",
        choices=("prefix", "middle", "suffix", "multi-span", "full"),
        default="middle",
        help="which part becomes an image (%(default)s)",
    )
    lomo.add_argument(
        "--turn", choices=("first", "last", "longest", "all"), default="first", help="of the user's (%(default)s)"
    )
    lomo.add_argument(
        "--distort",
        default="lomo",
        metavar="NAME",
        help="what is done to images: lomo (%(default)s), mild, harsh, none, or a YAML file",
    )
    lomo.add_argument("--seed", type=int, default=0, help="another draws other records and distortions (%(default)s)")
    lomo.add_argument("--limit", type=int, metavar="N", help="read at most N records")
    lomo.add_argument("--workers", type=int, default=1, metavar="N", help="processes (%(default)s)")
    lomo.add_argument("--strict", action="store_true", help="exit 1 at the first record that cannot be used")
    lomo.set_defaults(run=_lomo)

    render = commands.add_parser("render", parents=[page], help="set one text, or LaTeX, and write it as a PNG file")
    what = render.add_mutually_exclusive_group(required=True)
    what.add_argument("text", nargs="?", help="the text, or - for standard input")
    what.add_argument(
        "--tex", metavar="FILE", help="a formula, a table or a document in LaTeX, or - for standard input, as a page"
    )
    render.add_argument("-o", "--out", required=True, metavar="PNG", help="file to write")
    render.set_defaults(run=_render)

    fonts = commands.add_parser(
        "fonts",
        parents=[face],
        help="list the fonts that are found, or which of them set a text",
        description="Without --text: every font that is found, by family and style. With it: which font sets which "
        "characters, and those that none has, with the command that installs what is missing.",
    )
    fonts.add_argument("--text", help="a text, or - for standard input")
    fonts.set_defaults(run=_fonts)

    gallery = commands.add_parser(
        "gallery",
        # Narrow, so that three pages stand side by side.
        parents=[_page_options(face, width=360)],
        help="show every distortion on prose, formulas, code and a table, as an HTML page",
        description="Write one HTML page, complete in itself, that shows every operation of gpurender.distort and "
        "draws of each preset on prose, formulas, code and a table, with their parameters and the boxes of words.",
    )
    gallery.add_argument("-o", "--out", required=True, metavar="HTML", help="file to write")
    gallery.add_argument("--seed", type=int, default=0, help="another draws other parameters (%(default)s)")
    gallery.set_defaults(run=_gallery)
    return parser


def _page_options(face: argparse.ArgumentParser, *, width: int) -> argparse.ArgumentParser:
    page = argparse.ArgumentParser(add_help=False, parents=[face])
    group = page.add_argument_group("the page")
    group.add_argument("--size", type=float, default=20, metavar="PX", help="font size (%(default)s)")
    group.add_argument(
        "--line-height", type=int, metavar="PX", help="baseline to baseline (by default 1.1 times the size)"
    )
    group.add_argument("--width", type=int, default=width, metavar="PX", help="where lines wrap (%(default)s)")
    group.add_argument(
        "--latex",
        choices=("auto", "pdftex", "ziamath", "off"),
        default="auto",
        help="what sets formulas and tables: pdftex (fast; needs TeX), ziamath (formulas), the first of them that "
        "works (%(default)s), or off: as typed",
    )
    group.add_argument(
        "--dollars",
        choices=("auto", "strict", "off"),
        default="auto",
        help="which single dollars delimit formulas: what reads as maths (%(default)s), what Pandoc takes, or none",
    )
    group.add_argument("--math-size", type=float, metavar="PX", help="font size of formulas (1.3 times --size)")
    group.add_argument(
        "--display", choices=("center", "left"), default="center", help="where displayed formulas stand (%(default)s)"
    )
    group.add_argument(
        "--on-missing",
        choices=("report", "skip-record", "error"),
        default="report",
        help="a character without a glyph: draw the font's box and say so, leave the record as text, or stop",
    )
    group.add_argument(
        "--max-pixels", type=int, default=2**24, metavar="N", help="larger pages are not made (%(default)s)"
    )
    group.add_argument(
        "--backend",
        choices=("auto", "reference", "cpu", "triton"),
        default="auto",
        help="what paints: cpu (auto), reference (PyTorch), triton (needs a GPU)",
    )
    return page


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0, 1 for what failed, 2 for words it does not know, 130 for Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        # What is told may hold a text's lone surrogate, or letters the terminal lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.version:
        from gpurender._version import __version__

        print(f"gpurender {__version__}")
        return 0
    if arguments.command is None:
        parser.print_help()
        return 2
    try:
        with warnings.catch_warnings():
            # One line each, without the place in our code that found it.
            warnings.showwarning = lambda message, *_, **__: print(f"gpurender: warning: {message}", file=sys.stderr)
            return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        print(f"gpurender: error: {name}{error.strerror or error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"gpurender: error: not enough memory: {error}", file=sys.stderr)
        return 1
    except (ValueError, TypeError, RuntimeError) as error:
        print(f"gpurender: error: {error}", file=sys.stderr)
        return 1


def _fallback(arguments: argparse.Namespace) -> list[str] | None:
    return None if arguments.fallback is None else [name for name in arguments.fallback if name != "none"]


def _typesetter(arguments: argparse.Namespace, *, font: str | None = None) -> Typesetter:
    from gpurender.typeset import Typesetter

    return Typesetter(
        font=font or arguments.font,
        size=arguments.size,
        line_height=arguments.line_height,
        width=arguments.width,
        fallback=_fallback(arguments),
        language=arguments.language,
        on_missing=arguments.on_missing,
        latex=arguments.latex,
        math_size=arguments.math_size,
        dollars=arguments.dollars,
        display=arguments.display,
        max_pixels=arguments.max_pixels,
    )


def _lomo(arguments: argparse.Namespace) -> int:
    from gpurender.distort.config import load
    from gpurender.lomo import LoMo
    from gpurender.lomo.dataset import write_dataset

    lomo = LoMo(
        ratio=arguments.ratio,
        position=arguments.position,
        seed=arguments.seed,
        turn=arguments.turn,
        distort=load(arguments.distort),
        typesetter=_typesetter(arguments),
    )
    report = write_dataset(
        arguments.inputs,
        arguments.out,
        lomo=lomo,
        shape=arguments.shape,
        field=arguments.field,
        form=arguments.format,
        color=arguments.color,
        backend=arguments.backend,
        limit=arguments.limit,
        workers=arguments.workers,
        strict=arguments.strict,
        progress=True,
    )
    counts = report.counts
    print(
        f"{counts['read']} records read: {counts['rewritten']} rewritten, {counts['kept']} kept as text, "
        f"{counts['failed']} failed; {counts['images']} images in {report.seconds:.1f} s "
        f"({counts['images'] / max(report.seconds, 1e-9):.0f}/s) -> {arguments.out}"
    )
    if counts["problems"]:
        first = report.problems[0]
        told = f"{first['source']}: {first['reason']}"
        print(f"{counts['problems']} could not be used; the first: {told} (more in report.json)")
    if counts["with_missing"]:
        told = "each record names its own (gpurender fonts --text tells what sets what)"
        print(f"{counts['with_missing']} images show boxes for characters that no font has; {told}")
    if report.formulas.total():
        told = ", ".join(
            f"{count} by {name}" for name, count in report.formulas.items() if name not in ("source", "picture")
        )
        print(
            f"formulas and tables: {told or 'none set'}, {report.formulas['picture']} as pictures, "
            f"{report.formulas['source']} as their source (each record names its own and why)"
        )
    if counts["left_clean"]:
        told = f"their canvas would have had more than {arguments.max_pixels} pixels"
        print(f"{counts['left_clean']} images left clean: {told}")
    if not report.complete:
        print("interrupted: the folder holds a valid, shorter result", file=sys.stderr)
        return 130
    return 0


def _text(given: str) -> str:
    if given == "-" and sys.stdin is None:
        raise ValueError("there is no standard input to read")
    return sys.stdin.read() if given == "-" else given


def _tex(file: str) -> str:
    try:
        return _text(file) if file == "-" else Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def _render(arguments: argparse.Namespace) -> int:
    from gpurender.kernels import default_device
    from gpurender.raster import Renderer, encode_png

    typesetter = _typesetter(arguments)
    layout = typesetter(_text(arguments.text)) if arguments.tex is None else typesetter.set_tex(_tex(arguments.tex))
    for diagnostic in layout.diagnostics:
        if diagnostic.kind == "oversize":
            raise ValueError(diagnostic.message)
        print(f"gpurender: {diagnostic.kind}: {diagnostic.message}", file=sys.stderr)
    channels = 3 if arguments.tex is not None or layout.is_colored().any() else 1
    renderer = Renderer(device=default_device(arguments.backend), backend=arguments.backend, channels=channels)
    page = renderer(layout).to_numpy()[0]
    with open(arguments.out, "wb") as file:
        file.write(encode_png(page))
    print(f"{arguments.out}: {page.shape[2]} x {page.shape[1]} px")
    return 0


def _fonts(arguments: argparse.Namespace) -> int:
    from gpurender.typeset import Typesetter
    from gpurender.typeset.fallback import install_command
    from gpurender.typeset.fonts import list_fonts

    if arguments.text is not None:
        typesetter = Typesetter(font=arguments.font, fallback=_fallback(arguments), language=arguments.language)
        for font, characters in typesetter.font_uses(_text(arguments.text)):
            if font is not None:
                kind = ", as pictures" if font.is_color else ""
                print(f"{font.name} ({len(characters)}{kind})\t{characters}\t{font.key.file}")
                continue
            codes = " ".join(f"U+{ord(c):04X}" for c in characters)
            print(f"no font ({len(characters)})\t{codes}\tto install more fonts: {install_command()}")
        return 0
    for face in list_fonts():
        number = f" (face {face.face_index})" if face.face_index else ""
        print(f"{face.family} {face.style}\t{face.file}{number}")
    return 0


def _gallery(arguments: argparse.Namespace) -> int:
    from gpurender.gallery import write_gallery

    count = write_gallery(
        arguments.out,
        typesetter=_typesetter(arguments),
        code_typesetter=_typesetter(arguments, font="monospace"),
        backend=arguments.backend,
        seed=arguments.seed,
        max_pixels=arguments.max_pixels,
        progress=True,
    )
    print(f"{arguments.out}: {count} images, {Path(arguments.out).stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
