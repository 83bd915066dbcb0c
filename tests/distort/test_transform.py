"""Programs become pixels: ink stays, paper is around it, batches and rounds change nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpurender import Pages, kernels
from gpurender.distort import (
    BoxBlur,
    Clean,
    Compose,
    EdgeShadow,
    GaussianBlur,
    MotionBlur,
    OneOf,
    Rotate,
    Stain,
    Wave,
    presets,
    steps,
    transform,
)
from gpurender.distort import transform as run

MIXED = OneOf(
    [
        Clean(),
        Rotate(30),
        Wave((1, 5), (50, 300)),
        GaussianBlur((0.3, 2)),
        BoxBlur((3, 9)),
        MotionBlur((3, 11)),
        EdgeShadow(),
        Stain(),
        Compose([Rotate(10), Wave(2, 80), Rotate(10), Wave(3, 90)]),
        Compose([EdgeShadow(), Stain(), Stain(), EdgeShadow()]),
        Compose([GaussianBlur(1), Rotate(5), MotionBlur(5), Stain(), Wave(2, 100)]),
        Compose([Rotate((90, 90)), Clean(), Rotate((0, 0)), BoxBlur(1), GaussianBlur(0)]),
    ]
)


def random_pages(make_pages, count, channels=1, seed=0, paper=255):
    rng = np.random.default_rng(seed)
    sizes = [(1, 1), (63, 123), (1, 70), (70, 1), *rng.integers(1, 90, (count, 2)).tolist()]
    return make_pages([rng.integers(0, 256, (channels, *size), dtype=np.uint8) for size in sizes[:count]], paper)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_cpu_is_the_reference_within_a_level(make_pages, channels, seed):
    pages = random_pages(make_pages, 30, channels, seed)
    params = MIXED.make_params(range(len(pages)), pages.sizes, seed=seed)
    expected, got = (transform(pages, params, backend=backend) for backend in ("reference", "cpu"))
    np.testing.assert_array_equal(got.sizes, expected.sizes)
    difference = np.abs(got.flat.astype(int) - expected.flat)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def test_a_batch_is_its_images_one_by_one(make_pages):
    pages = random_pages(make_pages, 40, 1)
    params = MIXED.make_params(range(40), pages.sizes)
    whole = transform(pages, params).to_numpy()
    images = pages.to_numpy()
    for n in range(40):
        alone = transform(make_pages([images[n]]), params.select([n])).to_numpy()[0]
        np.testing.assert_array_equal(alone, whole[n])
    order = np.random.default_rng(0).permutation(40)
    shuffled = transform(make_pages([images[n] for n in order]), params.select(order)).to_numpy()
    for k, n in enumerate(order):
        np.testing.assert_array_equal(shuffled[k], whole[n])


def test_steps_one_by_one_are_the_program(make_pages):
    """Fused passes are the same as a pass for each step, but for what is rounded in between."""
    pages = make_pages([np.full((1, 50, 80), 255, np.uint8)])
    pages.flat.reshape(50, 80)[15:35:3, 10:70] = 60
    op = Compose([Rotate((4, 4)), Wave(3, 60, axis="both"), Rotate((-7, -7))])
    params = op.make_params(["a"], pages.sizes)
    whole = transform(pages, params, backend="reference")
    assert len(steps.plan(*params.program())[1]) == 1
    kinds, values, _, _ = params.program()
    current = pages
    for s in range(3):
        one = type(params)(kinds[s : s + 1], values[s : s + 1], np.array([0, 1]), current.sizes)
        current = transform(current, one, backend="reference")
    assert current.sizes.tolist() == whole.sizes.tolist()
    # Resampled thrice it is softer, and nowhere else.
    a, b = (255.0 - p.to_numpy()[0][0] for p in (whole, current))
    assert abs(a.sum() - b.sum()) < 0.01 * a.sum()
    rows, columns = np.mgrid[: a.shape[0], : a.shape[1]]
    for grid in (rows, columns):
        assert abs((grid * a).sum() / a.sum() - (grid * b).sum() / b.sum()) < 0.05


@pytest.mark.parametrize(
    ("op", "passes"),
    [
        (Compose([Rotate((3, 3)), Wave(2, 50), Rotate((3, 3))]), [[0]]),
        (Compose([Wave(2, 50), Rotate((3, 3)), Wave(2, 50)]), [[0], [0]]),
        (Compose([Rotate((90, 90), expand=False), Rotate((-90, -90), expand=False)]), [[0], [0]]),
        (Compose([EdgeShadow(), Stain()]), [[2]]),
        (Compose([Stain(), EdgeShadow()]), [[2], [2]]),
        (Compose([Rotate((3, 3)), GaussianBlur(1), Rotate((3, 3))]), [[0], [1], [0]]),
        (Compose([GaussianBlur(1), Clean(), BoxBlur(3)]), [[1], [1]]),
        (Compose([Rotate((360, 360)), GaussianBlur(0), BoxBlur(1), Wave(0, 50), EdgeShadow(0), Stain(0)]), []),
    ],
    ids=repr,
)
def test_what_is_one_pass(op, passes):
    found = steps.plan(*op.make_params(["a"], [[40, 40]]).program())[1]
    assert [[kernel] for kernel in found.tolist()] == passes


def test_launches_do_not_grow_with_the_batch(make_pages, monkeypatch):
    """One call for each kernel and round, whatever the number of images; a clean batch is none."""
    calls = []
    module = __import__("sys").modules["gpurender.distort.transform"]
    for name in ("warp", "blur", "shade"):
        kernel = getattr(kernels, name)

        def counted(*arguments, kernel=kernel, **options):
            calls.append(kernel.__name__)
            return kernel(*arguments, **options)

        monkeypatch.setattr(module, name, counted)
    pages = random_pages(make_pages, 60)
    transform(pages, presets.lomo().make_params(range(60), pages.sizes))
    assert sorted(calls) == ["blur", "shade", "warp"]
    calls.clear()
    assert transform(pages, Clean().make_params(range(60), pages.sizes)) is pages
    assert calls == []


@pytest.mark.parametrize("backend", ["reference", "cpu", "triton"])
@pytest.mark.parametrize("channels", [1, 3])
def test_right_angles_and_nothing_at_all_are_exact(make_pages, backend, channels):
    # The interpreter is slow.
    few = backend == "triton"
    pages = random_pages(make_pages, 3 if few else 6, channels)
    for degrees, turns in ((0, 0), (90, 1), (180, 2), (270, 3), (-90, 3), (450, 1))[few :: 2 * few + 1]:
        params = Rotate((degrees, degrees)).make_params(range(len(pages)), pages.sizes)
        for before, after in zip(pages.to_numpy(), transform(pages, params, backend=backend).to_numpy(), strict=True):
            np.testing.assert_array_equal(after, np.rot90(before, turns, (1, 2)))
    nothing = Compose([GaussianBlur(0), MotionBlur(1), Wave(0, 50)]).make_params(range(len(pages)), pages.sizes)
    assert transform(pages, nothing, backend=backend) is pages


@pytest.mark.parametrize(
    "op", [Rotate(45), Rotate(180), Wave((1, 8), (60, 300)), Compose([Wave(5, 90), Rotate(45)])], ids=repr
)
@given(st.integers(0, 2**32), st.integers(1, 120), st.integers(1, 120), st.booleans())
@settings(max_examples=25)
def test_no_ink_is_lost(make_pages, op, seed, height, width, dark):
    """The ink on the canvas is the page's, and around it is a line of paper, even if the page is inked to its edge."""
    paper, ink = (20, 230) if dark else (240, 10)
    image = np.where(np.random.default_rng(seed).random((1, height, width)) < 0.6, ink, paper).astype(np.uint8)
    pages = make_pages([image], paper)
    params = op.make_params(["a"], pages.sizes, seed=seed)
    after = transform(pages, params).to_numpy()[0].astype(float)
    before, now = (image - float(paper)).sum(), (after - paper).sum()
    # What a source pixel weighs in all sums to 1 on average over where it falls; a few pixels make no average.
    slack = 0.01 * abs(before) + 4 * abs(ink - paper)
    if min(height, width) >= 20:
        assert abs(now - before) <= slack
    if params.describe(0)[0].get("degrees", 1) % 90:
        assert (after[0, [0, -1]] == paper).all()
        assert (after[0, :, [0, -1]] == paper).all()


@pytest.mark.parametrize("op", [Rotate(30), Wave((1, 6), (80, 300))], ids=repr)
def test_real_pages_keep_their_ink(pages, rgb_pages, op):
    for batch in (pages, rgb_pages):
        params = op.make_params(range(len(batch)), batch.sizes)
        for n, (before, after) in enumerate(zip(batch.to_numpy(), transform(batch, params).to_numpy(), strict=True)):
            paper = batch.paper[n].astype(float)[:, None, None]
            ink = (paper - before).sum((1, 2))
            np.testing.assert_allclose((paper - after).sum((1, 2)), ink, rtol=0.01)


def test_blurs_keep_ink_within_the_page(make_pages):
    image = np.full((1, 60, 80), 255, np.uint8)
    image[0, 25:35, 30:50] = 0
    for op in (GaussianBlur(2), BoxBlur(7), MotionBlur(9)):
        after = op(make_pages([image])).to_numpy()[0]
        assert abs((255.0 - after).sum() / (255.0 * 200) - 1) < 0.01
        assert 0 < after[0, 25, 30] < 255


@pytest.mark.parametrize(("angle", "dark"), [(0, "right"), (90, "top"), (180, "left"), (270, "bottom")])
def test_shadows_come_from_their_side(make_pages, angle, dark):
    page = make_pages([np.full((1, 60, 80), 200, np.uint8)])
    after = EdgeShadow(0.5, 0.5, angle)(page).to_numpy()[0][0].astype(int)
    sides = {"right": after[:, -1], "left": after[:, 0], "top": after[0], "bottom": after[-1]}
    assert (sides.pop(dark) == 100).all()
    assert all(side.max() == 200 for side in sides.values())
    # Darkest at the edge, lighter and lighter, and gone at half of the page.
    along = after[30] if angle in (0, 180) else after[:, 40]
    along = along[::-1] if dark in ("right", "bottom") else along
    assert (np.diff(along) >= 0).all()
    assert (along[len(along) // 2 + 1 :] == 200).all()
    assert along[len(along) // 2 - 3] < 200


def test_a_corner_shadow_is_darkest_in_its_corner(make_pages):
    page = make_pages([np.full((1, 60, 60), 200, np.uint8)])
    after = EdgeShadow(0.5, 0.5, 45)(page).to_numpy()[0][0]
    assert after[0, -1] == after.min() == 100
    assert after[-1, 0] == 200


def test_stains_are_translucent_blots_of_their_colour(make_pages):
    image = np.full((3, 120, 200), 255, np.uint8)
    image[:, ::6] = 0
    pages = make_pages([image])
    op = Stain(4, 25, (0.5, 0.5), colors=[(200, 150, 90)])
    after = op.transform(pages, op.make_params(["a"], pages.sizes)).to_numpy()[0].astype(int)
    changed = (after != image).any(0)
    assert 0.05 < changed.mean() < 0.6
    # Paper takes the colour, by half of it where a blot is densest; where blots overlap it takes more of it.
    red, green, blue = after[:, changed]
    assert (red >= green).all()
    assert (green >= blue).all()
    one = [255 * (1 - 0.5 * (1 - level / 255)) for level in (200, 150, 90)]
    assert min((red < 255).mean(), (blue < 253).mean()) > 0.9
    assert np.quantile(blue, 0.5) >= one[2]
    # Ink stays as dark as it was.
    assert (after[:, ::6] == 0).all()


def test_every_page_has_its_own_paper(make_pages):
    pages = make_pages([np.full((1, 20, 30), level, np.uint8) for level in (10, 90, 200, 255)])
    pages.paper[:, 0] = (10, 90, 200, 255)
    op = OneOf([Clean(), Rotate((30, 30)), Wave(3, 40)])
    for seed in range(4):
        params = op.make_params(range(4), pages.sizes, seed=seed)
        for n, page in enumerate(transform(pages, params).to_numpy()):
            assert (page == pages.paper[n, 0]).all()


def test_gray_stains_have_the_luma_of_their_color(make_pages):
    page = make_pages([np.full((1, 60, 60), 255, np.uint8)])
    for color in ((250, 0, 0), (0, 250, 0), (0, 0, 250)):
        op = Stain(32, 200, (1, 1), colors=[color])
        other = Stain(32, 200, (1, 1), colors=[[round(0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2])] * 3])
        params = [o.make_params(["a"], page.sizes) for o in (op, other)]
        a, b = (transform(page, p).flat for p in params)
        np.testing.assert_array_equal(a, b)


def test_pages_that_lie_elsewhere_in_their_buffer(make_pages):
    buffer = np.zeros(5000, np.uint8)
    buffer[2500:] = 255
    pages = Pages(buffer, np.array([[40, 50]], np.int32), 1, offsets=np.array([2500, 4500]))
    assert (transform(pages, Rotate((180, 180)).make_params(["a"], pages.sizes)).flat == 255).all()


def test_a_backend_that_cannot_work_is_refused_with_nothing_to_do(pages):
    params = Clean().make_params(range(len(pages)), pages.sizes)
    with pytest.raises(ValueError, match="backend must be one of"):
        transform(pages, params, backend="gpu")


def test_dark_pages_turn_on_dark_paper(make_pages):
    image = np.full((3, 30, 60), 255, np.uint8) * np.array([1, 0, 0], np.uint8)[:, None, None]
    pages = make_pages([image])
    pages.paper[:] = (10, 20, 30)
    done = Rotate((20, 20))(pages)
    assert done.paper.tolist() == [[10, 20, 30]]
    assert done.to_numpy()[0][:, 0, 0].tolist() == [10, 20, 30]


def test_sizes_are_known_beforehand(pages):
    for op in (presets.lomo(), presets.harsh(), MIXED):
        params = op.make_params(range(len(pages)), pages.sizes)
        np.testing.assert_array_equal(transform(pages, params).sizes, params.out_sizes)


def test_wrong_arguments_are_named(pages):
    params = Rotate(5).make_params(range(len(pages)), pages.sizes)
    with pytest.raises(ValueError, match=r"params are of 1 images, pages has 4"):
        transform(pages, params.select([0]))
    with pytest.raises(ValueError, match=r"params are of images of other sizes: page 0 is"):
        transform(pages, params.select([1, 0, 2, 3]))
    with pytest.raises(TypeError, match="pages must be Pages, not list"):
        transform([], params)
    with pytest.raises(TypeError, match="params must be Params, not NoneType"):
        transform(pages, None)
    with pytest.raises(ValueError, match="backend must be one of"):
        transform(pages, params, backend="gpu")


def test_an_empty_batch_is_an_empty_batch(make_pages):
    empty = make_pages([])
    params = presets.lomo().make_params([], empty.sizes)
    assert len(params) == 0
    assert len(run(empty, params)) == 0


def test_pages_do_not_change_and_own_their_memory(pages):
    before = pages.flat.copy()
    done = presets.harsh()(pages)
    done.flat[:] = 7
    np.testing.assert_array_equal(pages.flat, before)
    assert isinstance(done, Pages)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_no_value_on_the_gpu_is_waited_for(pages):
    there = Pages(pages.buffer.cuda(), pages.sizes, pages.channels)
    params = MIXED.make_params(range(len(pages)), pages.sizes)
    expected = transform(pages, params, backend="reference")
    transform(there, params)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        done = transform(there, params)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert np.abs(done.flat.cpu().numpy().astype(int) - expected.flat).max() <= 2
