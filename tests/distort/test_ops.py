"""What the operations draw, what they refuse, and dense tensors as Kornia's and torchvision's users have them."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gpurender import Pages, distort
from gpurender.distort import (
    BoxBlur,
    Clean,
    Compose,
    EdgeShadow,
    GaussianBlur,
    MotionBlur,
    OneOf,
    Params,
    Rotate,
    Stain,
    Wave,
    presets,
)

SIZES = [[60, 200], [33, 90], [200, 40]]
EVERY = [
    Clean(),
    Rotate(5),
    Wave((1, 3), 100),
    GaussianBlur(),
    BoxBlur(),
    MotionBlur(),
    EdgeShadow(),
    Stain(),
    presets.mild(),
    presets.lomo(),
    presets.harsh(),
    Compose([Rotate(3), Wave(2, 120), GaussianBlur(0.7), Stain()]),
]


def programs(params):
    return [params.to_json(n) for n in range(len(params))]


def drawn(op, name, count=2000, seed=0):
    params = op.make_params(range(count), np.tile([[50, 300]], (count, 1)), seed=seed)
    return np.array([step[name] for n in range(count) for step in params.describe(n)])


@pytest.mark.parametrize("op", EVERY, ids=repr)
def test_an_image_gets_the_same_whatever_the_batch(op):
    keys, sizes = [("a", 0), ("a", 1), "b", 7, "7"], [*SIZES, *SIZES[:2]]
    whole = programs(op.make_params(keys, sizes, seed=3, epoch=1))
    for order in ([4, 3, 2, 1, 0], [2], [3, 0]):
        part = op.make_params([keys[n] for n in order], [sizes[n] for n in order], seed=3, epoch=1)
        assert programs(part) == [whole[n] for n in order]
    # An id is a str or an int, the same one way or the other; without an image's number it is the first.
    assert whole[3] == whole[4] or sizes[3] != sizes[4]
    assert programs(op.make_params([("b", 0)], sizes[2:3], seed=3, epoch=1)) == [whole[2]]


@pytest.mark.parametrize("op", EVERY[1:], ids=repr)
def test_seed_epoch_record_and_image_each_change_what_is_drawn(op):
    sizes = np.tile([[60, 200]], (40, 1))
    base = programs(op.make_params(range(40), sizes))
    assert base == programs(op.make_params(range(40), sizes))
    others = [
        op.make_params(range(40), sizes, seed=1),
        op.make_params(range(40), sizes, epoch=1),
        op.make_params(range(40, 80), sizes),
        op.make_params([(n, 1) for n in range(40)], sizes),
    ]
    for other in others:
        assert programs(other) != base


def test_nothing_is_drawn_from_global_state():
    torch.manual_seed(0)
    np.random.seed(0)
    first = programs(presets.lomo().make_params(range(50), np.tile([[50, 300]], (50, 1))))
    torch.rand(3)
    np.random.rand(3)
    assert programs(presets.lomo().make_params(range(50), np.tile([[50, 300]], (50, 1)))) == first


def test_numbers_lie_in_their_ranges_and_fill_them():
    degrees = drawn(Rotate((-4, 10)), "degrees")
    assert -4 <= degrees.min() < -3.9
    assert 9.9 < degrees.max() < 10
    assert abs(degrees.mean() - 3) < 0.3
    assert set(drawn(BoxBlur((2, 8)), "kernel_size")) == {3, 5, 7}
    assert set(drawn(BoxBlur(5), "kernel_size")) == {5}
    counts = np.bincount(drawn(Stain((1, 4)), "blots").astype(int), minlength=6)
    assert (counts[[0, 5]] == 0).all()
    assert counts[1:5].min() > 400
    angles = drawn(MotionBlur(5, (0, 180)), "angle")
    assert angles.min() < 2
    assert angles.max() > 178


def test_a_number_stands_for_itself_and_degrees_for_both_ways():
    assert Rotate(5).degrees == (-5, 5)
    assert Rotate((3, 3)).degrees == (3, 3)
    assert GaussianBlur(1.5).sigma == (1.5, 1.5)
    assert (drawn(GaussianBlur(1.5), "sigma") == 1.5).all()


@pytest.mark.parametrize(("axis", "moved"), [("x", (1, 0)), ("y", (0, 1)), ("both", (1, 1))])
def test_waves_go_along_their_axis(axis, moved):
    op = Wave((2, 3), axis=axis)
    assert [(drawn(op, name) > 0).mean() for name in ("amplitude_x", "amplitude_y")] == list(moved)


def test_any_axis_is_each_of_three():
    x, y = (drawn(Wave((2, 3)), name) > 0 for name in ("amplitude_x", "amplitude_y"))
    for share in ((x & ~y).mean(), (~x & y).mean(), (x & y).mean()):
        assert abs(share - 1 / 3) < 0.05


def test_one_of_keeps_its_weights_and_compose_its_order():
    op = OneOf([Rotate(5), GaussianBlur(1), Clean()], weights=[3, 1, 0])
    params = op.make_params(range(4000), np.tile([[50, 50]], (4000, 1)))
    names = [step["op"] for n in range(4000) for step in params.describe(n)]
    assert len(names) == 4000
    assert abs(names.count("Rotate") / 4000 - 0.75) < 0.03
    both = Compose([GaussianBlur(1), OneOf([Rotate(5), Clean()]), Stain()]).make_params(range(50), [[50, 50]] * 50)
    found = {tuple(step["op"] for step in both.describe(n)) for n in range(50)}
    assert found == {("GaussianBlur", "Rotate", "Stain"), ("GaussianBlur", "Stain")}


def test_draws_within_a_program_are_independent():
    params = Compose([Rotate(5), Rotate(5)]).make_params(range(500), [[50, 50]] * 500)
    first, second = params.values[0::2, 0], params.values[1::2, 0]
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.15


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: Rotate(float("nan")), ValueError, "degrees must be finite"),
        (lambda: Rotate((0, float("inf"))), ValueError, "degrees must be finite"),
        (lambda: Rotate((5, -5)), ValueError, "degrees must rise from min to max"),
        (lambda: Rotate("12"), TypeError, "degrees must be a number, not '12'"),
        (lambda: Rotate(True), TypeError, "degrees must be a number, not True"),
        (lambda: Rotate({5, -5}), TypeError, "degrees must be a number"),
        (lambda: Rotate(2e6), ValueError, "degrees must rise from min to max, at least -1e"),
        (lambda: Rotate(5, expand="no"), TypeError, "expand must be True or False, not 'no'"),
        (lambda: OneOf([Clean()], weights="1"), TypeError, "weights must be a list of numbers, not '1'"),
        (lambda: OneOf([Clean()], weights=["1"]), TypeError, "weights must be a number, not '1'"),
        (lambda: OneOf([Clean()] * 2, weights=[1e308] * 2), ValueError, "weights must be finite"),
        (lambda: Compose(Rotate()), TypeError, "ops must be a list of operations, not Rotate"),
        (lambda: Stain(colors=5), TypeError, "colors must be triples"),
        (lambda: Stain(colors=["red"]), TypeError, "colors must be triples"),
        (lambda: Rotate().make_params(5, [[4, 4]]), TypeError, "keys must be a sequence, not int"),
        (lambda: Rotate().make_params([None], [[4, 4]]), TypeError, "keys must be str, int, or such an id and an int"),
        (lambda: Rotate().make_params([("a", 0, 1)], [[4, 4]]), TypeError, "keys must be str, int"),
        (lambda: Rotate().make_params(["a"], [[4, 4]], seed=0.5), TypeError, "seed must be an integer, not 0.5"),
        (lambda: Rotate().make_params(["a"], [[4, 4]], max_pixels="9"), TypeError, "max_pixels must be an integer"),
        (lambda: Rotate().make_params(["a"], [[2**32 + 10, 20]]), ValueError, r"sizes must lie in \[-2147483648"),
        (lambda: Rotate().make_params(["a"], [[2, 3], [4]]), ValueError, "sizes must have rows of one length"),
        (lambda: Rotate((5, 5))(torch.zeros(1, 1, 4, 4, dtype=torch.float8_e5m2)), TypeError, "x must be"),
        (lambda: Rotate((1, 2, 3)), TypeError, r"degrees must be a number or \(min, max\)"),
        (lambda: GaussianBlur(-1), ValueError, "sigma must rise from min to max, at least 0 and at most 8, not -1"),
        (lambda: GaussianBlur(9), ValueError, "sigma"),
        (lambda: BoxBlur(4), ValueError, "kernel_size must hold an odd integer, not 4"),
        (lambda: BoxBlur(51), ValueError, "kernel_size"),
        (lambda: MotionBlur((0, 3)), ValueError, "kernel_size"),
        (lambda: MotionBlur(3, None), TypeError, "angle"),
        (lambda: EdgeShadow(darkness=1.1), ValueError, "darkness"),
        (lambda: EdgeShadow(extent=-0.1), ValueError, "extent"),
        (lambda: Stain(blots=33), ValueError, "blots"),
        (lambda: Stain(radius=0), ValueError, "radius"),
        (lambda: Stain(opacity=2), ValueError, "opacity"),
        (lambda: Stain(colors=[(1, 2)]), ValueError, "colors must be triples"),
        (lambda: Stain(colors=[]), ValueError, "colors must be triples"),
        (lambda: Stain(blots=(1.2, 1.8)), ValueError, "blots must hold an integer"),
        (lambda: Wave(amplitude=-1), ValueError, "amplitude"),
        (lambda: Wave(wavelength=0), ValueError, "wavelength"),
        (lambda: Wave(axis="z"), ValueError, "axis must be 'x', 'y', 'both' or 'any', not 'z'"),
        (lambda: OneOf([]), ValueError, "ops must hold an operation"),
        (lambda: OneOf([Clean()], weights=[0]), ValueError, "weights must be finite, not negative, and sum to more"),
        (lambda: OneOf([Clean()] * 2, weights=[1, -1]), ValueError, "weights"),
        (lambda: OneOf([Clean()] * 2, weights=[1]), ValueError, "weights has 1 items for 2 ops"),
        (lambda: OneOf([Rotate]), TypeError, r"ops\[0\] must be an operation"),
        (lambda: Compose([Clean(), 3]), TypeError, r"ops\[1\] must be an operation of gpurender.distort, not int"),
        (lambda: Rotate().make_params([1], [[0, 12]]), ValueError, "sizes must be at least 1 x 1; image 0 has 0 x 12"),
        (lambda: Rotate().make_params([1, 2], [[5, 12]]), ValueError, "keys has 2 items for 1 sizes"),
        (lambda: Rotate().make_params([1], torch.ones(1, 2)), TypeError, "sizes must be an array of int32"),
        (lambda: Rotate().make_params([1], [[1, 2, 3]]), ValueError, "sizes must have shape"),
        (lambda: Rotate()(np.zeros((1, 1, 4, 4), np.uint8)), TypeError, "x must be Pages or a tensor"),
        (lambda: Rotate()(torch.zeros(1, 1, 4, 4, dtype=torch.int64)), TypeError, "x must be"),
        (lambda: Rotate()(torch.zeros(4, 4)), TypeError, "x must be"),
        (lambda: Rotate()(torch.zeros(2, 1, 0, 4)), ValueError, "side of length 0"),
    ],
)
def test_wrong_arguments_are_named(make, error, told):
    with pytest.raises(error, match=told):
        make()


def test_a_canvas_over_the_limit_leaves_the_image_clean_and_says_so():
    op = Compose([Rotate((30, 30)), GaussianBlur(1)])
    params = op.make_params("abc", [[50, 100], [500, 400], [50, 100]], max_pixels=100_000)
    assert [len(params.describe(n)) for n in range(3)] == [2, 0, 2]
    assert list(params.left_clean) == [1]
    assert "more than max_pixels=100000" in params.left_clean[1]
    assert params.out_sizes[1].tolist() == [500, 400]
    assert params.select([1, 0]).left_clean == {0: params.left_clean[1]}
    # What does not grow is not refused, however large the page is.
    assert not GaussianBlur(1).make_params("a", [[500, 400]], max_pixels=100).left_clean


@pytest.mark.parametrize("op", EVERY, ids=repr)
def test_operations_pickle_compare_and_show_themselves(op):
    assert pickle.loads(pickle.dumps(op)) == op
    assert eval(repr(op), vars(distort)) == op
    assert op != Rotate((1, 2))


def test_numbers_of_numpy_and_torch_will_do():
    assert Rotate(np.int64(5)) == Rotate(5)
    assert GaussianBlur(np.float32(1.5)) == GaussianBlur(torch.tensor(1.5)) == GaussianBlur(1.5)
    assert Rotate(np.array([-3, 4])) == Rotate((-3, 4))
    op = presets.lomo()
    sizes = [[40, 80]] * 3
    assert programs(op.make_params(torch.arange(3), sizes, seed=np.int64(4))) == programs(
        op.make_params(range(3), sizes, seed=4)
    )


def test_a_canvas_no_image_can_have_is_left_clean_or_refused():
    params = Wave(5).make_params(["a"], [[2**28, 1]], max_pixels=2**62)
    assert params.out_sizes.tolist() == [[2**28, 1]]
    assert "more than 268435456 px in a side" in params.left_clean[0]


def test_dense_images_over_the_default_limit_are_distorted_all_the_same():
    x = torch.randint(0, 256, (1, 1, 4100, 4100), dtype=torch.uint8)
    assert Rotate((2, 2))(x).shape[2] > 4100


def test_every_color_of_stains_is_drawn():
    colors = [(200, 10, 10), (10, 200, 10), (10, 10, 200)]
    assert set(drawn(Stain(2, colors=colors), "red", 200)) == {200, 10}
    assert set(drawn(Stain(2, colors=colors), "blue", 200)) == {200, 10}


def test_presets_draw_every_kind_as_often():
    params = presets.lomo().make_params(range(6000), np.tile([[100, 600]], (6000, 1)))
    kinds = [step["op"] for n in range(6000) for step in params.describe(n)]
    shares = {
        "Clean": 6000 - len(kinds),
        "Rotate": kinds.count("Rotate"),
        "blur": sum(kinds.count(k) for k in ("GaussianBlur", "BoxBlur", "MotionBlur")),
        "shade": sum(kinds.count(k) for k in ("EdgeShadow", "Stain")),
        "Wave": kinds.count("Wave"),
    }
    assert sum(shares.values()) == 6000
    for count in shares.values():
        assert abs(count / 6000 - 0.2) < 0.02


# Dense tensors.


def test_dense_batches_come_back_dense():
    torch.manual_seed(1)
    x = torch.randint(0, 256, (3, 3, 40, 60), dtype=torch.uint8)
    turned = Rotate((20, 30))(x)
    assert turned.dtype == torch.uint8
    assert turned.shape[:2] == (3, 3)
    assert turned.shape[2] > 40
    # Around the images all is white.
    assert (turned[:, :, 0] == 255).all()
    assert (turned[:, :, -1] == 255).all()
    assert Rotate(30, expand=False)(x).shape == x.shape
    assert presets.lomo(expand=False)(x).shape == x.shape
    assert GaussianBlur(1)(x).shape == x.shape
    assert Rotate((90, 90))(x).equal(torch.rot90(x, 1, (2, 3)))
    assert Clean()(x).equal(x)
    assert Rotate((90, 90))(x[0]).equal(torch.rot90(x[0], 1, (1, 2)))
    assert Rotate(5)(x[:0]).shape == (0, 3, 40, 60)


def test_dense_draws_follow_torchs_seed():
    x = torch.randint(0, 256, (4, 1, 30, 50), dtype=torch.uint8)
    op = GaussianBlur((0.5, 3))
    torch.manual_seed(5)
    first, second = op(x), op(x)
    torch.manual_seed(5)
    assert op(x).equal(first)
    assert not first.equal(second)
    # Each image by numbers of its own.
    same = op(x[:1].expand(4, -1, -1, -1))
    assert not same[0].equal(same[1])


def test_half_precision_stays_what_it_is():
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        assert Rotate((4, 4))(torch.rand(1, 1, 20, 30).to(dtype)).dtype == dtype


@pytest.mark.parametrize("op", EVERY, ids=repr)
def test_floating_point_is_as_uint8_and_differentiable(op):
    x = torch.randint(0, 256, (2, 3, 40, 50), dtype=torch.uint8)
    torch.manual_seed(2)
    levels = op(x)
    torch.manual_seed(2)
    floating = (x / 255).requires_grad_()
    values = op(floating)
    assert values.shape == levels.shape
    # uint8 is rounded after each of up to three passes.
    assert (values * 255 - levels).abs().max() <= 1.51
    values.sum().backward()
    assert floating.grad.abs().sum() > 0


def test_pages_draw_afresh(pages):
    torch.manual_seed(0)
    first = Rotate(10)(pages)
    assert isinstance(first, Pages)
    torch.manual_seed(0)
    assert Rotate(10)(pages).buffer.equal(first.buffer)
    assert not (Rotate(10)(pages).sizes == first.sizes).all()


@given(st.integers(-(2**70), 2**70), st.text(max_size=5), st.integers(0, 10**6))
def test_any_key_and_seed_will_do(seed, record, epoch):
    params = presets.harsh().make_params([record], [[30, 30]], seed=seed, epoch=epoch)
    assert isinstance(params, Params)
    assert len(params.describe(0)) == 1
