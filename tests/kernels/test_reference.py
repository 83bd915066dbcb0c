"""The reference of warp, blur and shade against Kornia where Kornia has them, and against plain formulas."""

import math

import kornia
import numpy as np
import pytest
import torch
from gpurender.kernels import random

from gpurender import Pages, kernels
from gpurender.distort import BoxBlur, GaussianBlur, MotionBlur, Rotate, Wave, transform


def page(size=(63, 123), channels=1, seed=0):
    image = np.random.default_rng(seed).integers(0, 256, (channels, *size), dtype=np.uint8)
    return Pages(image.ravel(), np.array([size], np.int32), channels)


def run(op, pages):
    return transform(pages, op.make_params(["a"], pages.sizes), backend="reference").to_numpy()[0].astype(float)


def levels(pages):
    return torch.from_numpy(pages.to_numpy()[0].astype(float))[None]


def close(ours, kornias):
    difference = np.abs(ours - kornias.numpy()[0])
    assert difference.max() <= 0.51


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("degrees", [3.7, -20, 45, 160])
def test_rotation_is_kornias(degrees, channels):
    """Same canvas; Kornia's fill is black, so it turns what differs from paper."""
    pages = page(channels=channels)
    ink = levels(pages) - 255
    turned = kornia.geometry.rotate(ink, torch.tensor([degrees], dtype=ink.dtype), align_corners=True) + 255
    close(run(Rotate((degrees, degrees), expand=False), pages), turned)


def test_a_grown_canvas_is_kornias_affine_warp():
    pages, degrees = page(), 12.5
    ours = run(Rotate((degrees, degrees)), pages)
    (height, width), (tall, wide) = pages.sizes[0].tolist(), ours.shape[1:]
    matrix = kornia.geometry.get_rotation_matrix2d(
        torch.tensor([[(width - 1) / 2, (height - 1) / 2]], dtype=torch.float64),
        torch.tensor([degrees], dtype=torch.float64),
        torch.ones(1, 2, dtype=torch.float64),
    )
    matrix[0, :, 2] += torch.tensor([(wide - width) / 2, (tall - height) / 2])
    close(ours, kornia.geometry.warp_affine(levels(pages) - 255, matrix, (tall, wide), align_corners=True) + 255)


def bilinear(image, u, v, paper=255.0):
    """The value of image [H, W] at (u, v), as the formula has it."""
    x, y = math.floor(u), math.floor(v)
    found = 0.0
    for j in (0, 1):
        for i in (0, 1):
            inside = 0 <= x + i < image.shape[1] and 0 <= y + j < image.shape[0]
            value = image[y + j, x + i] if inside else paper
            found += (1 - abs(u - x - i)) * (1 - abs(v - y - j)) * value
    return found


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (17, 23)])
@pytest.mark.parametrize("op", [Rotate((33, 33)), Wave((2, 2), (14, 14), axis="both")], ids=repr)
def test_warp_is_the_formula(op, size):
    """One pixel of a row or column too, where Kornia alone is wrong."""
    pages = page(size)
    params = op.make_params(["a"], pages.sizes)
    step = params.describe(0)[0]
    ours = transform(pages, params, backend="reference").to_numpy()[0][0]
    tall, wide = ours.shape
    image = pages.to_numpy()[0][0].astype(float)
    for y in range(tall):
        for x in range(wide):
            u, v = x - (wide - 1) / 2, y - (tall - 1) / 2
            if step["op"] == "Rotate":
                c, s = math.cos(math.radians(33)), math.sin(math.radians(33))
                u, v = c * u - s * v, s * u + c * v
            u, v = u + (size[1] - 1) / 2, v + (size[0] - 1) / 2
            if step["op"] == "Wave":
                v -= 2 * math.sin(math.tau * (u / 14 + step["phase_y"] / 360))
                u -= 2 * math.sin(math.tau * (v / 14 + step["phase_x"] / 360))
            assert abs(bilinear(image, u, v) - ours[y, x]) <= 0.51


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(63, 123), (1, 1), (2, 40)])
@pytest.mark.parametrize("sigma", [0.3, 1.5, 3])
def test_gaussian_is_kornias(sigma, size, channels):
    pages, side = page(size, channels), 2 * math.ceil(3 * sigma) + 1
    close(
        run(GaussianBlur(sigma), pages),
        kornia.filters.gaussian_blur2d(levels(pages), (side, side), (sigma, sigma), border_type="replicate"),
    )


@pytest.mark.parametrize("size", [(63, 123), (1, 1), (2, 40)])
@pytest.mark.parametrize("side", [3, 7])
def test_box_is_kornias(side, size):
    pages = page(size)
    close(run(BoxBlur(side), pages), kornia.filters.box_blur(levels(pages), (side, side), border_type="replicate"))


@pytest.mark.parametrize("size", [(63, 123), (1, 1), (2, 40)])
@pytest.mark.parametrize("angle", [0, 30, 45, 90, 117.3, 179])
@pytest.mark.parametrize("side", [3, 9])
def test_motion_is_kornias(side, angle, size):
    pages = page(size)
    kernel = kornia.filters.get_motion_kernel2d(side, float(angle), 0.0, mode="bilinear").double()
    blurred = kornia.filters.filter2d(levels(pages), kernel, border_type="replicate")
    # Kornia makes its kernel in single precision.
    assert np.abs(run(MotionBlur(side, angle), pages) - blurred.numpy()[0]).max() <= 0.55


def test_shade_is_the_formula():
    """Every pixel of a small page, in plain Python."""
    height, width = 40, 50
    image = np.random.default_rng(0).integers(0, 256, (3, height, width), dtype=np.uint8)
    a, b, c, depth = -0.02, 0.01, 0.7, 0.6
    key = (123, 456)
    blots = np.array([[20.5, 10, 15, 0.5], [45, 38, 20, 0.9]])
    colors = np.array([[200, 150, 90], [10, 250, 30]], np.uint8)
    images = kernels.Images(np.array([[height, width]], np.int32), np.zeros(1, np.int64), 3)
    shades = kernels.Shades(np.array([[a, b, c, depth]]), np.array([key]), blots, colors, np.array([0, 2]))
    out = np.zeros(image.size, np.uint8)
    kernels.shade(out, images, image.ravel(), images, shades, backend="reference")
    out = out.reshape(image.shape)

    def fade(t):
        return t * t * (3 - 2 * t)

    def slope(i, j, x, y):
        drawn = random.bits(key, 2**16 * j + i)
        gx, gy = 2 * (drawn >> 16) / 2**16 - 1, 2 * (drawn % 2**16) / 2**16 - 1
        return gx * (x / 32 - i) + gy * (y / 32 - j)

    for y in range(height):
        for x in range(width):
            i, j, wx, wy = x // 32, y // 32, fade(x % 32 / 32), fade(y % 32 / 32)
            above = (1 - wx) * slope(i, j, x, y) + wx * slope(i + 1, j, x, y)
            below = (1 - wx) * slope(i, j + 1, x, y) + wx * slope(i + 1, j + 1, x, y)
            n = (1 - wy) * above + wy * below
            values = image[:, y, x] * (1 - depth * fade(min(max(1 - (a * x + b * y + c), 0), 1)))
            for (cx, cy, r, alpha), color in zip(blots, colors, strict=True):
                u = 4 * (1 + n - ((x - cx) ** 2 + (y - cy) ** 2) / r**2)
                f = min(max(u, 0), 1) * (0.7 + 0.3 * min(max(2 - u, 0), 1))
                values = values * (1 - alpha * f * (1 - color / 255))
            assert np.abs(out[:, y, x] - values).max() <= 0.51


def test_gradients_reach_the_source():
    image = torch.rand(63 * 20, dtype=torch.float64, requires_grad=True)
    images = kernels.Images(np.array([[63, 20]], np.int32), np.zeros(1, np.int64), 1)
    maps = np.zeros((1, 18))
    maps[0, [0, 4, 12, 16]] = 1
    out = torch.empty(63 * 20, dtype=torch.float64)
    kernels.warp(out, images, image, images, kernels.Warps(maps, np.array([[255]], np.uint8)), backend="reference")
    out.sum().backward()
    torch.testing.assert_close(image.grad, torch.ones_like(image))
    with pytest.raises(TypeError, match="only backend 'reference' takes"):
        kernels.warp(out.detach(), images, image.detach(), images, kernels.Warps(maps, np.array([[255]], np.uint8)))
