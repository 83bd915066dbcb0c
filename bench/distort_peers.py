"""What others offer to distort pages: for each operation, functions of a list of gray pages and of what is to be done.

They are told what is done to each page (`Params.describe`), and make its matrix, map or kernel themselves, as we do
while the clock runs. Those marked `draws` take no numbers from outside, but draw their own for each page from the same
ranges. Pages are uint8 before and after, so what works in floating point converts. Those marked `alike` do what we
do, but for rounding, some lines of canvas and a blur's tails; the others do the closest thing that they have.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

from gpurender import distort

Step = dict[str, Any]
Page = Any  # numpy array, [height, width] uint8
Batch = Callable[[list[Page], list[Step]], list[Page]]
PAPER = 255


class Peer(NamedTuple):
    """One library's way to do one operation."""

    operation: str
    name: str
    make: Callable[[Any], Batch]  # takes the operation, for its ranges
    alike: bool = True
    draws: bool = False
    batched: bool = False  # takes a batch as one


PEERS: list[Peer] = []


def peer(operation: str, name: str, **told: bool) -> Callable[[Any], Any]:
    """List a maker of a function of a batch."""

    def add(make: Callable[[Any], Batch]) -> Callable[[Any], Batch]:
        PEERS.append(Peer(operation, name, make, **told))
        return make

    return add


def each(run: Callable[[Page, Step], Page]) -> Batch:
    """A function of one page as one of a batch."""
    return lambda pages, steps: [run(page, step) for page, step in zip(pages, steps, strict=True)]


def optional(module: str, install: str = 'pip install -e ".[bench]"') -> Any:
    return pytest.importorskip(module, reason=f"needs {module}: {install}")


def canvas(size: tuple[int, int], degrees: float) -> tuple[int, int]:
    """Width and height that hold a rotated page of a height and width."""
    (height, width), c, s = size, abs(np.cos(np.radians(degrees))), abs(np.sin(np.radians(degrees)))
    return int(np.ceil(width * c + height * s)), int(np.ceil(width * s + height * c))


def shears(page: Page, step: Step, margin: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Where a waved page's pixels come from: x and y, float32; the canvas grew by `margin` at the left and top."""
    height, width = page.shape
    x = np.arange(width + 2 * margin[0], dtype=np.float32)[None] - margin[0]
    y = np.arange(height + 2 * margin[1], dtype=np.float32)[:, None] - margin[1]
    v = y - step["amplitude_y"] * np.sin(np.float32(2 * np.pi) * (x / step["wavelength_y"] + step["phase_y"] / 360))
    u = x - step["amplitude_x"] * np.sin(np.float32(2 * np.pi) * (v / step["wavelength_x"] + step["phase_x"] / 360))
    return u.astype(np.float32), v.astype(np.float32)


def wave_margin(step: Step) -> tuple[int, int]:
    return int(np.ceil(abs(step["amplitude_x"]))) + 1, int(np.ceil(abs(step["amplitude_y"]))) + 1


# OpenCV, on one core.


def opencv() -> Any:
    cv2 = optional("cv2")
    cv2.setNumThreads(1)
    return cv2


@peer("rotate", "OpenCV warpAffine")
def _(op: distort.Rotate) -> Batch:
    cv2 = opencv()

    def run(page: Page, step: Step) -> Page:
        size, (height, width) = canvas(page.shape, step["degrees"]), page.shape
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), step["degrees"], 1)
        matrix[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
        return cv2.warpAffine(page, matrix, size, flags=cv2.INTER_LINEAR, borderValue=PAPER)

    return each(run)


@peer("gaussian", "OpenCV GaussianBlur")
def _(op: distort.GaussianBlur) -> Batch:
    cv2 = opencv()
    return each(lambda page, step: cv2.GaussianBlur(page, (11, 11), step["sigma"], borderType=cv2.BORDER_REPLICATE))


@peer("box", "OpenCV blur")
def _(op: distort.BoxBlur) -> Batch:
    cv2 = opencv()
    return each(lambda page, step: cv2.blur(page, (step["kernel_size"],) * 2, borderType=cv2.BORDER_REPLICATE))


@peer("motion", "OpenCV filter2D")
def _(op: distort.MotionBlur) -> Batch:
    cv2 = opencv()

    def run(page: Page, step: Step) -> Page:
        size = step["kernel_size"]
        line = np.zeros((size, size), np.float32)
        line[size // 2] = 1
        kernel = cv2.warpAffine(line, cv2.getRotationMatrix2D((size // 2,) * 2, step["angle"], 1), (size, size))
        return cv2.filter2D(page, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)

    return each(run)


@peer("wave", "OpenCV remap")
def _(op: distort.Wave) -> Batch:
    cv2 = opencv()

    def run(page: Page, step: Step) -> Page:
        u, v = shears(page, step, wave_margin(step))
        return cv2.remap(page, u, v, cv2.INTER_LINEAR, borderValue=PAPER)

    return each(run)


@peer("shadow", "NumPy, a ramp by hand")
def _(op: distort.EdgeShadow) -> Batch:
    def run(page: Page, step: Step) -> Page:
        height, width = page.shape
        c, s = np.cos(np.radians(step["angle"])), np.sin(np.radians(step["angle"]))
        x = np.arange(width, dtype=np.float32)[None] - (width - 1) / 2
        y = np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2
        far = (abs(c) * (width - 1) + abs(s) * (height - 1)) / 2
        breadth = step["extent"] * (abs(c) * width + abs(s) * height)
        t = np.clip(1 - (far - np.float32(c) * x + np.float32(s) * y) / np.float32(breadth), 0, 1)
        light = 1 - np.float32(step["darkness"]) * t * t * (3 - 2 * t)
        return np.rint(page * light).astype(np.uint8)

    return each(run)


# Albumentations: one transform for all pages, which draws for each.


def albumentations(make: Callable[[Any], Any]) -> Batch:
    opencv()
    transform = make(optional("albumentations"))
    return each(lambda page, step: transform(image=page)["image"])


@peer("rotate", "Albumentations Affine", draws=True)
def _(op: distort.Rotate) -> Batch:
    return albumentations(lambda module: module.Affine(rotate=op.degrees, fit_output=True, fill=PAPER, p=1))


@peer("gaussian", "Albumentations GaussianBlur", draws=True)
def _(op: distort.GaussianBlur) -> Batch:
    return albumentations(lambda module: module.GaussianBlur(blur_limit=(11, 11), sigma_limit=op.sigma, p=1))


@peer("box", "Albumentations Blur", draws=True)
def _(op: distort.BoxBlur) -> Batch:
    return albumentations(lambda module: module.Blur(blur_limit=tuple(map(int, op.kernel_size)), p=1))


@peer("motion", "Albumentations MotionBlur", draws=True)
def _(op: distort.MotionBlur) -> Batch:
    limits = {"blur_limit": tuple(map(int, op.kernel_size)), "angle_range": op.angle, "direction_range": (0, 0)}
    return albumentations(lambda module: module.MotionBlur(allow_shifted=False, **limits, p=1))


@peer("wave", "Albumentations GridDistortion", alike=False, draws=True)
def _(op: distort.Wave) -> Batch:
    return albumentations(lambda module: module.GridDistortion(num_steps=5, distort_limit=0.05, fill=PAPER, p=1))


@peer("shadow", "Albumentations RandomShadow", alike=False, draws=True)
def _(op: distort.EdgeShadow) -> Batch:
    return albumentations(
        lambda module: module.RandomShadow(
            shadow_roi=(0, 0, 1, 1), num_shadows_limit=(1, 1), shadow_intensity_range=op.darkness, p=1
        )
    )


@peer("stain", "Albumentations Spatter (mud), to RGB and back", alike=False, draws=True)
def _(op: distort.Stain) -> Batch:
    cv2 = opencv()
    transform = optional("albumentations").Spatter(mode="mud", p=1)

    def run(page: Page, step: Step) -> Page:
        return cv2.cvtColor(transform(image=cv2.cvtColor(page, cv2.COLOR_GRAY2RGB))["image"], cv2.COLOR_RGB2GRAY)

    return each(run)


# Kornia: tensors [N, C, H, W] of ink, 0 to 1, since around a page it has black; and each page's numbers, [N] each.
# These functions are peers on a GPU too.

Numbers = dict[str, Any]
OnInk = Callable[[Any, Any, Numbers], Any]  # of the operation, ink, and numbers


def columns(steps: list[Step], device: str = "cpu") -> Numbers:
    import torch

    return {
        name: torch.tensor([float(step[name]) for step in steps], device=device) for name in steps[0] if name != "op"
    }


def on_ink(run: OnInk, op: Any) -> Callable[[Any, Numbers], Any]:
    """A function of ink as one of pages, uint8."""
    return lambda x, numbers: (PAPER - run(op, (PAPER - x).float() / 255, numbers) * 255).round().clamp(0, 255).byte()


def kornia(run: OnInk, op: Any) -> Batch:
    torch = optional("torch")
    torch.set_num_threads(1)
    whole = on_ink(run, op)
    return lambda pages, steps: list(whole(torch.from_numpy(np.stack(pages))[:, None], columns(steps)).numpy()[:, 0])


def kornia_rotate(op: distort.Rotate, x: Any, numbers: Numbers) -> Any:
    from kornia.geometry.transform import get_rotation_matrix2d, warp_affine

    height, width = x.shape[-2:]
    # One canvas for all.
    wide, tall = canvas((height, width), max(map(abs, op.degrees)))
    centers = x.new_tensor([[(width - 1) / 2, (height - 1) / 2]]).expand(len(x), 2)
    matrices = get_rotation_matrix2d(centers, numbers["degrees"], x.new_ones(len(x), 2))
    matrices = matrices + x.new_tensor([[0, 0, (wide - width) / 2], [0, 0, (tall - height) / 2]])
    return warp_affine(x, matrices, (tall, wide), align_corners=True)


def kornia_gaussian(op: distort.GaussianBlur, x: Any, numbers: Numbers) -> Any:
    from kornia.filters import gaussian_blur2d

    return gaussian_blur2d(x, (11, 11), numbers["sigma"][:, None].expand(-1, 2), border_type="replicate")


def kornia_box(op: distort.BoxBlur, x: Any, numbers: Numbers) -> Any:
    from kornia.filters import box_blur

    return box_blur(x, (int(op.kernel_size[0]),) * 2, border_type="replicate")


def kornia_motion(op: distort.MotionBlur, x: Any, numbers: Numbers) -> Any:
    from kornia.filters import motion_blur

    still = x.new_zeros(len(x))
    return motion_blur(x, int(op.kernel_size[0]), numbers["angle"], still, "replicate", "bilinear")


def kornia_wave(op: distort.Wave, x: Any, numbers: Numbers) -> Any:
    import torch
    from kornia.geometry.transform import remap

    margin = int(np.ceil(op.amplitude[1])) + 1
    px = (torch.arange(x.shape[3] + 2 * margin).to(x) - margin)[None, None]
    py = (torch.arange(x.shape[2] + 2 * margin).to(x) - margin)[None, :, None]
    n = {name: values[:, None, None] for name, values in numbers.items()}
    v = py - n["amplitude_y"] * (2 * torch.pi * (px / n["wavelength_y"] + n["phase_y"] / 360)).sin()
    u = px - n["amplitude_x"] * (2 * torch.pi * (v / n["wavelength_x"] + n["phase_x"] / 360)).sin()
    return remap(x, u, v, align_corners=True)


KORNIA: dict[str, OnInk] = {
    "rotate": kornia_rotate,
    "gaussian": kornia_gaussian,
    "box": kornia_box,
    "motion": kornia_motion,
    "wave": kornia_wave,
}
for _operation, _run in KORNIA.items():
    PEERS.append(Peer(_operation, "Kornia", partial(kornia, _run), batched=True))


@peer("shadow", "Kornia RandomLinearCornerIllumination", alike=False, draws=True, batched=True)
def _(op: distort.EdgeShadow) -> Batch:
    optional("torch").set_num_threads(1)
    transform = optional("kornia.augmentation").RandomLinearCornerIllumination(gain=op.darkness, sign=(-1, -1), p=1)

    def batch(pages: list[Page], steps: list[Step]) -> list[Page]:
        import torch

        x = torch.from_numpy(np.stack(pages))[:, None]
        return list((transform(x.float() / 255) * 255).round().byte().numpy()[:, 0])

    return batch


# Augraphy, whose transforms draw for each page.

AUGRAPHY = "pip install augraphy"


@peer("shadow", "Augraphy ShadowCast", alike=False, draws=True)
def _(op: distort.EdgeShadow) -> Batch:
    transform = optional("augraphy", AUGRAPHY).ShadowCast(shadow_opacity_range=op.darkness, p=1)
    return each(lambda page, step: transform(page.copy()))


@peer("stain", "Augraphy Stains", alike=False, draws=True)
def _(op: distort.Stain) -> Batch:
    transform = optional("augraphy", AUGRAPHY).Stains(stains_blend_alpha=0.5, p=1)
    return each(lambda page, step: transform(page.copy()))


# Pillow.


def pillow(run: Callable[[Any, Step], Any]) -> Batch:
    image = optional("PIL.Image")
    return each(lambda page, step: np.asarray(run(image.fromarray(page), step)))


@peer("rotate", "Pillow rotate")
def _(op: distort.Rotate) -> Batch:
    from PIL.Image import Resampling

    return pillow(lambda image, step: image.rotate(step["degrees"], Resampling.BILINEAR, expand=True, fillcolor=PAPER))


@peer("gaussian", "Pillow GaussianBlur")
def _(op: distort.GaussianBlur) -> Batch:
    from PIL import ImageFilter

    return pillow(lambda image, step: image.filter(ImageFilter.GaussianBlur(step["sigma"])))


@peer("box", "Pillow BoxBlur")
def _(op: distort.BoxBlur) -> Batch:
    from PIL import ImageFilter

    return pillow(lambda image, step: image.filter(ImageFilter.BoxBlur(step["kernel_size"] // 2)))


# scikit-image.


@peer("rotate", "scikit-image rotate")
def _(op: distort.Rotate) -> Batch:
    rotate = optional("skimage.transform").rotate

    def run(page: Page, step: Step) -> Page:
        turned = rotate(page, step["degrees"], resize=True, order=1, cval=PAPER, preserve_range=True)
        return np.rint(turned).astype(np.uint8)

    return each(run)


@peer("gaussian", "scikit-image gaussian")
def _(op: distort.GaussianBlur) -> Batch:
    gaussian = optional("skimage.filters").gaussian

    def run(page: Page, step: Step) -> Page:
        blurred = gaussian(page.astype(np.float32), step["sigma"], mode="nearest", truncate=3, preserve_range=True)
        return np.rint(blurred).astype(np.uint8)

    return each(run)


@peer("wave", "scikit-image warp")
def _(op: distort.Wave) -> Batch:
    warp = optional("skimage.transform").warp

    def run(page: Page, step: Step) -> Page:
        u, v = shears(page, step, wave_margin(step))
        return np.rint(warp(page, np.stack([v, u]), order=1, cval=PAPER, preserve_range=True)).astype(np.uint8)

    return each(run)
