"""The gallery: one HTML page, complete in itself, that shows every distortion on prose, formulas, code and a table."""

from __future__ import annotations

import base64
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import IO, Any, Literal, NamedTuple

import numpy as np
from tqdm import tqdm

from gpurender._version import __version__
from gpurender.distort import (
    BoxBlur,
    Clean,
    Compose,
    EdgeShadow,
    GaussianBlur,
    MotionBlur,
    OneOf,
    Op,
    Params,
    Rotate,
    Stain,
    Wave,
)
from gpurender.distort.presets import PRESETS
from gpurender.kernels import Backend, default_device
from gpurender.raster import Pages, Renderer, encode_png
from gpurender.typeset import Layout, Typesetter

__all__ = ["write_gallery"]

PROSE = """A page is read line by line. Where it lies askew, or a thumb casts its shadow, we hardly notice. \
Whoever learns to read has to learn that, too."""

FORMULAS = r"""The equation $ax^2 + bx + c = 0$ has the roots $$x = \frac{-b \pm \sqrt{b^2 - 4ac}}{2a},$$
and $e^{i\pi} = -1$. All in all, $$\sum_{k=1}^{n} k = \frac{n(n+1)}{2}.$$"""

CODE = """def mean(xs):
    total = 0.0
    for x in xs:
        total += x
    # Nothing has no mean.
    if not xs:
        return None
    return total / len(xs)"""

TABLE = r"""\begin{tabular}{|l|r|r|}
\hline Planet & Moons & Year \\
\hline Mercury & 0 & 88 d \\ Earth & 1 & 365 d \\ Mars & 2 & 687 d \\
\hline $\sum$ & 3 & \\ \hline
\end{tabular}"""

# As Layout.word_kinds counts them.
KINDS = ("text", "formula", "table", "cell")

# px between the points of a box's outline where a wave bends it.
STEP = 8

# How a step's numbers are told.
NUMBERS = {
    "Rotate": "degrees {degrees:.1f}",
    "GaussianBlur": "sigma {sigma:.2f} px",
    "BoxBlur": "kernel size {kernel_size} px",
    "MotionBlur": "kernel size {kernel_size} px, angle {angle:.0f}°",
    "EdgeShadow": "darkness {darkness:.2f}, extent {extent:.2f}, angle {angle:.0f}°",
    "Stain": "blots {blots}, radius {radius:.0f} px, opacity {opacity:.2f}, colour "
    '<i class="color" style="background: rgb({red}, {green}, {blue})"></i> {red} {green} {blue}',
}
WAVE = "{} by {:.1f} px, wavelength {:.0f} px, phase {:.0f}°"


class Source(NamedTuple):
    """A page before it is distorted."""

    name: str
    layout: Layout
    pages: dict[int, Pages]  # by channels


class Section(NamedTuple):
    """Operations that belong together, by what tells them apart."""

    title: str
    about: str
    ops: dict[str, Op]


def write_gallery(
    path: str | os.PathLike[str],
    *,
    typesetter: Typesetter,
    code_typesetter: Typesetter,
    backend: Backend = "auto",
    seed: int = 0,
    max_pixels: int = 2**24,
    progress: bool = False,
) -> int:
    """Write the gallery: the same bytes for the same arguments, on the same machine.

    Args:
        path: The HTML file. One that is there is replaced when the new one is whole.
        typesetter: Sets the prose, the formulas and the table.
        code_typesetter: Sets the code.
        backend: What paints and distorts; see `gpurender.kernels`.
        seed: Another draws other parameters.
        max_pixels: An image that would grow beyond is left clean, and its caption says so.
        progress: Show a progress bar on stderr, if that is a terminal.

    Returns:
        How many images it shows.

    Raises:
        OSError: The file cannot be written.
        ValueError: A page has more pixels than the typesetter allows, or the backend cannot work here.
    """
    sections = _sections()
    # Gray pages, and RGB for those with stains, which have colours.
    renderers = [Renderer(device=default_device(backend), backend=backend, channels=channels) for channels in (1, 3)]
    with _replacing(Path(path)) as file:
        sources = [
            _source("prose", PROSE, typesetter, renderers),
            _source("formulas", FORMULAS, typesetter, renderers),
            _source("code", CODE, code_typesetter, renderers),
            _source("table", TABLE, typesetter, renderers),
        ]
        total = len(sources) * sum(len(section.ops) for section in sections)
        with tqdm(total=total, unit="image", disable=None if progress else True, desc="gallery") as bar:
            bodies = [_section(section, sources, renderers[0].backend, seed, max_pixels, bar) for section in sections]
        template = Template(files("gpurender").joinpath("gallery.html").read_text(encoding="utf-8"))
        html = template.substitute(
            made=f"{total} images by gpurender {__version__}: seed {seed}, backend {renderers[0].backend} on "
            f"{renderers[0].device}, LaTeX {typesetter.latex}.",
            contents="\n".join(f'<a href="#{_anchor(s)}">{escape(s.title)}</a>' for s in sections),
            sections="\n".join(bodies),
            # What a page grows by when it is turned or waved a little.
            column=int(1.08 * max(source.layout.sizes[0, 1] for source in sources)),
        )
        file.write(html.encode())
    return total


def _sections() -> list[Section]:
    return [
        Section("Clean", "Nothing is done.", {"": Clean()}),
        Section(
            "Rotate, small",
            "As a page lies in a scanner.",
            _strengths(Rotate((0.5, 1)), Rotate((-3, -2)), Rotate((4, 5))),
        ),
        Section(
            "Rotate, large",
            "As a page lies in a photograph. The canvas grows, so that nothing is lost.",
            _strengths(Rotate((10, 20)), Rotate((-60, -30)), Rotate((120, 180))),
        ),
        Section("Wave, along x", "Lines of text are shifted along themselves.", _waves("x")),
        Section("Wave, along y", "Lines of text rise and fall.", _waves("y")),
        Section("Wave, both", "One after the other.", _waves("both")),
        Section(
            "Gaussian blur",
            "Out of focus.",
            _strengths(GaussianBlur((0.4, 0.8)), GaussianBlur((1, 1.5)), GaussianBlur((2, 3))),
        ),
        Section("Box blur", "The mean of a square.", _strengths(BoxBlur(3), BoxBlur(5), BoxBlur((7, 9)))),
        Section(
            "Motion blur",
            "As if the camera had moved.",
            _strengths(MotionBlur(3), MotionBlur((5, 7)), MotionBlur((9, 13))),
        ),
        Section("Edge shadow, from a side", "One of the four.", _shadows(0, 90, 180, 270)),
        Section("Edge shadow, from a corner", "One of the four.", _shadows(45, 135, 225, 315)),
        Section(
            "Stain",
            "On RGB pages. Gray ones get the luma of its colour.",
            _strengths(
                Stain((1, 2), (20, 30), (0.1, 0.2)),
                Stain((3, 5), (30, 50), (0.3, 0.4)),
                Stain((8, 12), (50, 80), (0.6, 0.8)),
            ),
        ),
        Section(
            "Compose",
            "A rotation, a wave, a blur, a shadow and a stain, one after another.",
            _strengths(
                *(
                    Compose(
                        [
                            Rotate((k, 2 * k)),
                            Wave(1.5 * k, (180, 300)),
                            GaussianBlur(0.4 * k),
                            EdgeShadow(0.2 * k, (0.4, 0.8)),
                            Stain(2 * k, (20, 40), 0.2 * k),
                        ]
                    )
                    for k in (1, 2, 3)
                )
            ),
        ),
        *(
            Section(
                f"Preset {name}",
                "Each image is a draw of its own.",
                dict.fromkeys(("draw 1", "draw 2", "draw 3"), PRESETS[name]()),
            )
            for name in ("mild", "lomo", "harsh")
        ),
    ]


def _strengths(*ops: Op) -> dict[str, Op]:
    return dict(zip(("low", "middle", "high"), ops, strict=True))


def _waves(axis: Literal["x", "y", "both"]) -> dict[str, Op]:
    bounds = (((0.5, 1.5), (300, 400)), ((2, 4), (200, 300)), ((7, 9), (120, 200)))
    return _strengths(*(Wave(amplitude, wavelength, axis=axis) for amplitude, wavelength in bounds))


def _shadows(*angles: float) -> dict[str, Op]:
    bounds = (((0.1, 0.2), (0.2, 0.4)), ((0.4, 0.5), (0.4, 0.6)), ((0.7, 0.9), (0.8, 1)))
    return _strengths(
        *(OneOf([EdgeShadow(darkness, extent, angle) for angle in angles]) for darkness, extent in bounds)
    )


def _source(name: str, text: str, typesetter: Typesetter, renderers: list[Renderer]) -> Source:
    layout = typesetter(text)
    for diagnostic in layout.diagnostics:
        if diagnostic.kind == "oversize":
            raise ValueError(diagnostic.message)
    return Source(name, layout, {renderer.channels: renderer(layout) for renderer in renderers})


def _section(
    section: Section,
    sources: list[Source],
    backend: Backend,
    seed: int,
    max_pixels: int,
    bar: Any,
) -> str:
    figures = []
    for source in sources:
        for label, op in section.ops.items():
            key = f"{section.title}, {label}, {source.name}"
            params = op.make_params([key], source.layout.sizes, seed=seed, max_pixels=max_pixels)
            stained = any(step["op"] == "Stain" for step in params.describe(0))
            pages = op.transform(source.pages[3 if stained else 1], params, backend=backend)
            figures.append(_figure(label, source, params, pages.to_numpy()[0]))
            bar.update()
    about = f'<section id="{_anchor(section)}">\n<h2>{escape(section.title)}</h2>\n<p>{escape(section.about)}</p>'
    return "\n".join([about, "<div>", *figures, "</div>", "</section>"])


def _anchor(section: Section) -> str:
    return re.sub(r"\W+", "-", section.title.lower())


def _figure(label: str, source: Source, params: Params, page: np.ndarray) -> str:
    tall, wide = source.layout.sizes[0].tolist()
    _, height, width = page.shape
    image = base64.b64encode(encode_png(page)).decode()
    name = ", ".join(filter(None, (source.name, label)))
    wrong = [params.left_clean.get(0, ""), *(f"{d.kind}: {d.message}" for d in source.layout.diagnostics)]
    lines = [
        f"<b>{escape(name)}</b>, {wide} x {tall} → {width} x {height} px",
        *([_told(step) for step in params.describe(0)] or ["Clean"]),
    ]
    return "\n".join(
        [
            "<figure>",
            '<div class="page">',
            f'<img src="data:image/png;base64,{image}" width="{width}" height="{height}" alt="{escape(name)}">',
            f'<svg viewBox="0 0 {width} {height}">{_boxes(source.layout, params)}</svg>',
            "</div>",
            f'<figcaption title="{escape(params.to_json(0))}">',
            *(f"<span>{line}</span>" for line in lines),
            *(f'<span class="wrong">{escape(told)}</span>' for told in wrong if told),
            "</figcaption>",
            "</figure>",
        ]
    )


def _told(step: dict[str, Any]) -> str:
    """A step and its numbers, rounded for reading."""
    if step["op"] == "Wave":
        moved = [axis for axis in "xy" if step[f"amplitude_{axis}"]]
        names = ("amplitude", "wavelength", "phase")
        return "Wave: " + "; ".join(WAVE.format(axis, *(step[f"{name}_{axis}"] for name in names)) for axis in moved)
    return f"{step['op']}: {NUMBERS[step['op']].format(**step)}"


def _boxes(layout: Layout, params: Params) -> str:
    """Polygons around the words of a page, where they come to lie."""
    waved = any(step["op"] == "Wave" for step in params.describe(0))
    polygons = []
    for (left, top, right, bottom), kind in zip(layout.words.tolist(), layout.word_kinds.tolist(), strict=True):
        longest = max(right - left, bottom - top)
        t = np.linspace(0, 1, 1 + (int(longest // STEP) + 1 if waved else 1))[:-1]
        zero, one = np.zeros_like(t), np.ones_like(t)
        # Clockwise; each side without its end, which is where the next begins.
        x = left + (right - left) * np.concatenate([t, one, 1 - t, zero])
        y = top + (bottom - top) * np.concatenate([zero, t, one, 1 - t])
        points = params.map_points(np.stack([x, y], 1), 0)
        told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points.tolist())
        polygons.append(f'<polygon class="{KINDS[kind]}" points="{told}"/>')
    return "".join(polygons)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file beside `path` that takes its place when it is whole; on an error it goes."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is a folder, not a file" if path.is_dir() else "is not a file", str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "its folder does not exist", str(path))
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(new, "wb") as file:
            yield file
        new.replace(path)
    except BaseException as error:
        new.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(new):
            # Of the name that was asked for.
            raise OSError(error.errno, f"cannot be written: {error.strerror}", str(path)) from None
        raise
