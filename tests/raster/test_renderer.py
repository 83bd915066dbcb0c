"""The renderer and its pages: backends, channels, colours, memory, files."""

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from gpurender import Atlas, Pages, Renderer, Typesetter
from gpurender.raster import encode_png

TEXTS = ["The quick brown fox", "", "jumps\nover", "x" * 200]


def renderer_of(backend, **options):
    """A renderer where that backend works."""
    device = "cuda" if backend == "triton" and torch.cuda.is_available() else "cpu"
    return Renderer(backend=backend, device=device, **options)


@pytest.fixture(scope="module")
def typesetter():
    return Typesetter(width=300)


def decorated(typesetter):
    """A layout with a rule and a picture on its second page, and glyphs in two colours."""
    layout = typesetter(["abc", "def"])
    layout.sizes[1] = 40, 50
    layout.rules = np.array([[64, 96, 1000, 160]], np.int32)
    layout.rule_colors = np.array([[200, 10, 40]], np.uint8)
    layout.rule_offsets = np.array([0, 0, 1])
    layout.pictures = np.array([[20, 10, 3, 2]], np.int32)
    layout.picture_pixels = np.arange(24, dtype=np.uint8).reshape(6, 4) * 10
    layout.picture_offsets = np.array([0, 0, 1])
    layout.glyph_colors[::2] = 250, 128, 3
    return layout


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("backend", ["reference", "triton"])
def test_backends_agree_bit_for_bit(typesetter, backend, channels):
    layout = decorated(typesetter)
    expected = Renderer(backend="cpu", channels=channels)(layout)
    got = renderer_of(backend, channels=channels)(layout)
    for mine, theirs in zip(got.to_numpy(), expected.to_numpy(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_rules_and_pictures_stand_where_they_should(typesetter):
    page = Renderer(channels=3)(decorated(typesetter)).to_numpy()[1]
    # The rule covers half of row 1 and half of row 2, from x = 1 to 15.6.
    half = (255 * 32 * 64 + 2048) >> 12
    red = (half * 200 + (255 - half) * 255 + 127) // 255
    assert page[0, 1, 1:15].tolist() == page[0, 2, 1:15].tolist() == [red] * 14
    assert page[0, 1, 0] == page[0, 0, 5] == page[0, 3, 5] == 255
    # The picture's last pixel, (200, 210, 220) at alpha 230.
    expected = [(230 * s + 25 * 255 + 127) // 255 for s in (200, 210, 220)]
    assert page[:, 11, 22].tolist() == expected


def test_gray_is_pils_luma(typesetter):
    layout = Typesetter(foreground=(250, 128, 3), background=(9, 200, 77))(["#"])
    gray = Renderer()(layout).to_numpy()[0]
    expected = Image.new("RGB", (1, 1), (9, 200, 77)).convert("L").getpixel((0, 0))
    assert gray[0, 0, 0] == expected


def test_three_channels_of_black_are_the_gray_page_thrice(typesetter):
    layout = typesetter(TEXTS)
    gray, rgb = Renderer()(layout), Renderer(channels=3)(layout)
    for one, three in zip(gray.to_numpy(), rgb.to_numpy(), strict=True):
        np.testing.assert_array_equal(np.repeat(one, 3, 0), three)


def test_pages_are_views_at_native_sizes(typesetter):
    layout = typesetter(TEXTS)
    pages = Renderer(channels=3)(layout)
    assert len(pages) == 4
    assert pages.sizes.tolist() == layout.sizes.tolist()
    for i, page in enumerate(pages):
        assert page.shape == (3, *layout.sizes[i])
        assert page.data_ptr() == pages.buffer.data_ptr() + int(pages.offsets[i])
        assert page.is_contiguous()
    assert pages[-1].shape == pages[3].shape
    with pytest.raises(IndexError, match="page 4 of 4"):
        pages[4]


def test_to_padded_and_to_pil(typesetter):
    pages = Renderer()(typesetter(TEXTS))
    padded = pages.to_padded(fill=7)
    height, width = pages.sizes.max(0)
    assert padded.shape == (4, 1, height, width)
    for target, page, image in zip(padded, pages, pages.to_pil(), strict=True):
        _, h, w = page.shape
        assert torch.equal(target[:, :h, :w], page)
        assert (target[:, h:] == 7).all()
        assert (target[:, :, w:] == 7).all()
        assert image.mode == "L"
        np.testing.assert_array_equal(np.array(image), page[0].numpy())
    assert Renderer(channels=3)(typesetter(["a"])).to_pil()[0].mode == "RGB"


def test_no_pages():
    pages = Renderer()(Typesetter()([]))
    assert len(pages) == 0
    assert pages.to_padded().shape == (0, 1, 0, 0)
    assert pages.to_pil() == []


def test_memory_is_used_again_but_never_under_living_pages(typesetter):
    renderer = Renderer()
    kept = [renderer(typesetter([f"page number {i}", "second"])) for i in range(6)]
    tensor = kept[0][0]
    snapshots = [[page.copy() for page in pages.to_numpy()] for pages in kept]
    address = kept[-1].buffer.data_ptr()
    del kept[0]
    for i in range(6):
        renderer(typesetter([f"other {i}", "and more of it"]))
    np.testing.assert_array_equal(tensor.numpy(), snapshots[0][0])
    for pages, snapshot in zip(kept, snapshots[1:], strict=True):
        for page, before in zip(pages.to_numpy(), snapshot, strict=True):
            np.testing.assert_array_equal(page, before)
    kept.clear()
    addresses = {renderer(typesetter(["page"])).buffer.data_ptr() for _ in range(8)}
    assert len(addresses) <= 3, address


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 33), (3, 7, 200)])
def test_png_round_trip(shape):
    page = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    image = Image.open(io.BytesIO(encode_png(page)))
    assert image.mode == ("L" if shape[0] == 1 else "RGB")
    np.testing.assert_array_equal(np.array(image).reshape(shape[1], shape[2], shape[0]).transpose(2, 0, 1), page)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="channels must be 1 or 3, not 4"):
        Renderer(channels=4)
    with pytest.raises(ValueError, match="backend must be one of"):
        Renderer(backend="opencv")
    with pytest.raises(ValueError, match="the atlas is on 'cuda', the renderer on 'cpu'"):
        Renderer(atlas=Atlas(device="cuda"))
    with pytest.raises(ValueError, match="buffer has 3 bytes"):
        Pages(np.zeros(3, np.uint8), np.array([[2, 2]], np.int32), 1)
    assert Renderer().backend == "cpu"


def test_the_cpu_path_does_not_import_torch():
    code = (
        "import sys; from gpurender import Renderer, Typesetter;"
        "Renderer()(Typesetter()(['a'])).to_pil(); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
