"""Profiles: canvases that the families' own processors leave alone, patches that they would make, counts of tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpurender import Pages, Renderer, Typesetter
from gpurender.feed import profiles

FAMILIES = [profiles.qwen2_5_vl(), profiles.qwen3_vl(), profiles.llava_ov15()]
IDS = ["qwen2_5_vl", "qwen3_vl", "llava_ov15"]
SIDES = st.integers(1, 20_000) | st.integers(1, 60)


def processor_of(profile, kind="Pil"):
    module = pytest.importorskip(
        f"transformers.models.qwen2_vl.image_processing_{'pil_' * (kind == 'Pil')}qwen2_vl",
        reason='needs transformers 5: pip install -e ".[test]"',
    )
    return module, getattr(module, f"Qwen2VLImageProcessor{kind}")(
        size={"shortest_edge": profile.min_pixels, "longest_edge": profile.max_pixels},
        image_mean=list(profile.mean),
        image_std=list(profile.std),
        patch_size=profile.patch,
        temporal_patch_size=profile.temporal,
        merge_size=profile.merge,
    )


@pytest.fixture(scope="module")
def pages():
    texts = ["Short.", "A page of text, with $x^2$ in it. " * 20, "One\nword\na\nline\n" * 8]
    return Renderer(channels=3)(Typesetter(background=(250, 240, 230))(texts))


@pytest.mark.parametrize("profile", FAMILIES, ids=IDS)
@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=4))
def test_smart_resize_is_the_identity_on_canvases(profile, sizes):
    module, _ = processor_of(profile)
    sizes = np.array(sizes, np.int32)
    canvases = profile.canvases(sizes)
    factor = profile.patch * profile.merge
    assert (canvases >= sizes).all()
    assert (canvases % factor == 0).all()
    for canvas, fits in zip(canvases.tolist(), profile.fits(sizes), strict=True):
        assert fits == (canvas[0] * canvas[1] <= profile.max_pixels)
        if fits:
            limits = {"min_pixels": profile.min_pixels, "max_pixels": profile.max_pixels}
            assert module.smart_resize(*canvas, factor=factor, **limits) == tuple(canvas)


@pytest.mark.parametrize("profile", FAMILIES, ids=IDS)
@given(SIDES, SIDES)
def test_canvases_waste_little(profile, height, width):
    """Above the least number of pixels a canvas is the page, rounded up; below, at most a row of tokens more."""
    ((high, wide),) = profile.canvases(np.array([[height, width]])).tolist()
    factor = profile.patch * profile.merge
    if height * width >= profile.min_pixels and max(height, width) <= 200 * factor:
        assert 0 <= high - height < factor
        assert 0 <= wide - width < factor
    elif max(height, width) ** 2 < profile.min_pixels:
        assert high * wide < profile.min_pixels + 2 * factor * max(high, wide)


@pytest.mark.parametrize("profile", FAMILIES, ids=IDS)
def test_patches_are_those_of_the_familys_processor(profile, pages):
    _, processor = processor_of(profile)
    expected = processor(images=profile.canvas(pages).to_pil(), return_tensors="pt")
    found = profile.patchify(pages)
    assert found["image_grid_thw"].equal(expected["image_grid_thw"])
    assert found["pixel_values"].dtype == torch.float32
    torch.testing.assert_close(found["pixel_values"], expected["pixel_values"], rtol=0, atol=1e-6)
    tokens = found["image_grid_thw"].prod(1) // profile.merge**2
    assert profile.count_tokens(pages.sizes).tolist() == tokens.tolist()


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a CUDA GPU, and torchvision, which fits no other torch"
)
@pytest.mark.parametrize("profile", FAMILIES, ids=IDS)
def test_patches_are_those_of_torchvisions_processor(profile, pages):
    pytest.importorskip("torchvision", reason="needs torchvision: pip install torchvision")
    _, processor = processor_of(profile, "")
    expected = processor(images=list(profile.canvas(pages)), return_tensors="pt", device="cuda")
    on_gpu = Pages(pages.buffer.cuda(), pages.sizes, pages.channels, paper=pages.paper)
    found = profile.patchify(on_gpu)
    assert found["image_grid_thw"].cpu().equal(expected["image_grid_thw"].cpu())
    torch.testing.assert_close(found["pixel_values"], expected["pixel_values"].cuda(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("profile", FAMILIES, ids=IDS)
def test_canvas_keeps_pages_and_patches_decode_to_it(profile, pages):
    canvas = profile.canvas(pages)
    for page, on_canvas in zip(pages, canvas, strict=True):
        shown = torch.full_like(on_canvas, 0)
        shown[:] = torch.tensor([250, 240, 230], dtype=torch.uint8)[:, None, None]
        shown[:, : page.shape[1], : page.shape[2]] = page
        assert on_canvas.equal(shown)
    again = profile.unpatchify(**profile.patchify(pages))
    assert all(a.equal(b) for a, b in zip(again, canvas, strict=True))
    same = profile.patchify(canvas)
    assert all(value.equal(same[name]) for name, value in profile.patchify(pages).items())


def test_gray_pages_and_bfloat16():
    gray = Renderer()(Typesetter()(["Some text.", "More of it."]))
    exact = profiles.qwen2_5_vl().patchify(gray)["pixel_values"]
    half = profiles.qwen2_5_vl(dtype="bfloat16").patchify(gray)["pixel_values"]
    assert half.dtype == torch.bfloat16
    assert half.equal(exact.bfloat16())


def test_dense_is_padded_and_normalised(pages):
    found = profiles.dense(multiple=16).patchify(pages)["pixel_values"]
    tallest, widest = pages.sizes.max(0)
    assert found.shape == (3, 3, -(-tallest // 16) * 16, -(-widest // 16) * 16)
    mean = torch.tensor(profiles.dense().mean)[:, None, None]
    std = torch.tensor(profiles.dense().std)[:, None, None]
    padded = profiles.dense(multiple=16).canvas(pages)
    for image, page in zip(found, padded, strict=True):
        torch.testing.assert_close(image, (page / 255 - mean) / std, rtol=0, atol=1e-6)
    fixed = profiles.dense(size=(800, 768), tokens=5)
    assert fixed.patchify(pages)["pixel_values"].shape == (3, 3, 800, 768)
    assert fixed.count_tokens(pages.sizes).tolist() == [5, 5, 5]
    assert fixed.fits(np.array([[800, 768], [801, 768], [1, 769]])).tolist() == [True, False, False]


def test_no_pages():
    empty = Pages(np.empty(0, np.uint8), np.empty((0, 2), np.int32), 3)
    assert profiles.qwen3_vl().patchify(empty)["pixel_values"].shape == (0, 1536)
    assert profiles.dense().patchify(empty)["pixel_values"].shape == (0, 3, 1, 1)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: profiles.qwen2_5_vl(dtype="int8"), "dtype must be one of float32, bfloat16, float16, not 'int8'"),
        (lambda: profiles.qwen2_5_vl(min_pixels=0), "min_pixels must be from 1 to max_pixels"),
        (lambda: profiles.qwen2_5_vl(max_pixels=1000), "min_pixels must be from 1 to max_pixels, 1000, not 3136"),
        (lambda: profiles.qwen3_vl(min_pixels=1, max_pixels=1000), "max_pixels must be at least 1024, the smallest"),
        (lambda: profiles.dense(std=(1, 1, 0)), "std must be three finite numbers, and std positive"),
        (lambda: profiles.dense(tokens=0), "multiple and tokens must be at least 1, not 1 and 0"),
        (lambda: profiles.dense(size=(30, 32), multiple=16), "size must be a height and a width, multiples of 16"),
    ],
)
def test_wrong_arguments(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def test_a_page_too_large_is_named(pages):
    with pytest.raises(ValueError, match=r"page 1 is \d+ x \d+ px, too large for .*max_pixels=10000"):
        profiles.qwen2_5_vl(max_pixels=10_000).patchify(pages)
