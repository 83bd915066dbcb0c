"""The operations: what each is, and which numbers it draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from gpurender.distort.checks import Range, number, odd_range, range_of, switch
from gpurender.distort.draw import Draw
from gpurender.distort.op import Step
from gpurender.distort.steps import BOUNDS

__all__ = ["PAPER_COLORS", "BoxBlur", "EdgeShadow", "GaussianBlur", "MotionBlur", "Rotate", "Stain", "Wave"]

# What stains paper: aged paper, tea, coffee, clay, ash.
PAPER_COLORS = ((222, 205, 164), (201, 174, 124), (163, 124, 82), (190, 163, 140), (176, 176, 168))


class Rotate(Step):
    """Turns images about their middle, counter-clockwise; around them is paper.

    Args:
        degrees: `(min, max)`, or d for (-d, d).
        expand: Let the canvas grow, so that nothing is lost and its border is paper, and at right angles pixels are
            only moved; else it keeps its size, and cuts off what does not fit.

    Raises:
        ValueError: Not a range of finite numbers.
    """

    def __init__(self, degrees: Range = (-5, 5), *, expand: bool = True) -> None:
        self.degrees = range_of("degrees", degrees, *BOUNDS["degrees"], symmetric=True)
        self.expand = switch("expand", expand)

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        return [draw.uniform(images, self.degrees), np.full(len(images), self.expand)]


class Wave(Step):
    """Shifts pixels along sines, as where paper is folded or went through a scanner unevenly; around it is paper.

    A pixel at (x, y) moves to `x + ax sin(2 pi (y / lx + px / 360))`, and then, by its new x, to
    `y + ay sin(2 pi (x / ly + py / 360))`: two shears, which keep areas and have an exact inverse.

    Args:
        amplitude: px, `(min, max)` or a number, 0 to 10,000.
        wavelength: px, `(min, max)` or a number, at least 8.
        axis: Which way pixels move: `"x"`, `"y"`, `"both"`, or `"any"`, one of these three for each image.
        expand: Let the canvas grow, so that nothing is lost; else it keeps its size, and cuts off what does not fit.

    Raises:
        ValueError: An amplitude or a wavelength outside of these, no such axis.
    """

    def __init__(
        self,
        amplitude: Range = (1, 3),
        wavelength: Range = (200, 400),
        *,
        axis: Literal["x", "y", "both", "any"] = "any",
        expand: bool = True,
    ) -> None:
        self.amplitude = range_of("amplitude", amplitude, *BOUNDS["amplitude_x"])
        self.wavelength = range_of("wavelength", wavelength, *BOUNDS["wavelength_x"])
        if axis not in ("x", "y", "both", "any"):
            raise ValueError(f"axis must be 'x', 'y', 'both' or 'any', not {axis!r}")
        self.axis = axis
        self.expand = switch("expand", expand)

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        choice = np.floor(draw.uniform(images, (0, 3)))  # 0: x, 1: y, 2: both
        if self.axis != "any":
            choice[:] = ("x", "y", "both").index(self.axis)
        columns = []
        for still in (1, 0):
            amplitude = np.where(choice == still, 0, draw.uniform(images, self.amplitude))
            columns += [amplitude, draw.uniform(images, self.wavelength), draw.uniform(images, (0, 360))]
        return [*columns, np.full(len(images), self.expand)]


class GaussianBlur(Step):
    """Blurs by a Gaussian, cut off at three sigma; edges replicate.

    Args:
        sigma: px, `(min, max)` or a number, 0 to 8.

    Raises:
        ValueError: Not a range within these.
    """

    def __init__(self, sigma: Range = (0.5, 1.5)) -> None:
        self.sigma = range_of("sigma", sigma, *BOUNDS["sigma"])

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        return [draw.uniform(images, self.sigma)]


class BoxBlur(Step):
    """Blurs by the mean of a square; edges replicate.

    Args:
        kernel_size: The square's side in px, `(min, max)` or a number: one of the odd integers in it is drawn, 1 to 49.

    Raises:
        ValueError: Not a range within these, or without an odd integer.
    """

    def __init__(self, kernel_size: Range = (3, 5)) -> None:
        self.kernel_size = odd_range("kernel_size", kernel_size, *BOUNDS["kernel_size"])

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        return [draw.odd(images, self.kernel_size)]


class MotionBlur(Step):
    """Blurs along a line, as if the camera had moved; edges replicate. Kornia's kernel, bilinear.

    Args:
        kernel_size: The line's length in px, as of :class:`BoxBlur`.
        angle: Degrees counter-clockwise, `(min, max)` or a number; 0 is along the lines of text.

    Raises:
        ValueError: Not such ranges.
    """

    def __init__(self, kernel_size: Range = (3, 7), angle: Range = (0, 180)) -> None:
        self.kernel_size = odd_range("kernel_size", kernel_size, *BOUNDS["kernel_size"])
        self.angle = range_of("angle", angle, *BOUNDS["angle"])

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        return [draw.odd(images, self.kernel_size), draw.uniform(images, self.angle)]


class EdgeShadow(Step):
    """Casts a soft shadow that falls in from a side or a corner.

    Args:
        darkness: What share of its light the darkest edge loses, `(min, max)` or a number, 0 to 1.
        extent: What share of the page, measured away from that edge, the shadow reaches over, 0.001 to 1.
        angle: Where it comes from: degrees counter-clockwise, 0 the right side, 45 the top right corner, 90 the top.

    Raises:
        ValueError: Not such ranges.
    """

    def __init__(self, darkness: Range = (0.2, 0.5), extent: Range = (0.2, 0.6), angle: Range = (0, 360)) -> None:
        self.darkness = range_of("darkness", darkness, *BOUNDS["darkness"])
        self.extent = range_of("extent", extent, *BOUNDS["extent"])
        self.angle = range_of("angle", angle, *BOUNDS["angle"])

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        return [
            draw.uniform(images, self.darkness),
            draw.uniform(images, self.extent),
            draw.uniform(images, self.angle),
        ]


class Stain(Step):
    """Stains images with translucent, irregular blots, denser along their edges, of one colour an image.

    A blot is as light that falls through it: paper takes its colour, and ink stays dark.

    Args:
        blots: How many, `(min, max)` or a number, 0 to 32.
        radius: Of a blot, px, `(min, max)` or a number: each blot's is between 0.5 and 1.5 of what is drawn.
        opacity: Of the densest blot at its edge, 0 to 1; every blot's is between 0.5 and 1 of it.
        colors: RGB, 0 to 255; one is drawn. On gray images their luma.

    Raises:
        ValueError: Not such ranges or colours.
    """

    def __init__(
        self,
        blots: Range = (2, 6),
        radius: Range = (20, 60),
        opacity: Range = (0.2, 0.5),
        *,
        colors: Sequence[Sequence[int]] = PAPER_COLORS,
    ) -> None:
        self.blots = range_of("blots", blots, *BOUNDS["blots"])
        if math.ceil(self.blots[0]) > self.blots[1]:
            raise ValueError(f"blots must hold an integer, not {blots!r}")
        self.radius = range_of("radius", radius, *BOUNDS["radius"])
        self.opacity = range_of("opacity", opacity, *BOUNDS["opacity"])
        try:
            self.colors = tuple(tuple(number("colors", v) for v in color) for color in colors)
        except TypeError:
            raise TypeError(f"colors must be triples of 0 to 255, not {colors!r}") from None
        if not self.colors or any(len(c) != 3 or not all(0 <= v <= 255 for v in c) for c in self.colors):
            raise ValueError(f"colors must be triples of 0 to 255, at least one, not {colors!r}")

    def _values(self, draw: Draw, images: np.ndarray) -> list[Any]:
        low, high = math.ceil(self.blots[0]), math.floor(self.blots[1])
        blots = np.floor(draw.uniform(images, (low, high + 1)))
        radius, opacity = draw.uniform(images, self.radius), draw.uniform(images, self.opacity)
        choice = np.floor(draw.uniform(images, (0, len(self.colors)))).astype(np.int64)
        return [blots, radius, opacity, *np.array(self.colors)[choice].T, *draw.key(images)]
