"""Operations by name, and from YAML."""

import pytest

from gpurender.distort import Clean, Compose, GaussianBlur, OneOf, Rotate, Stain, presets
from gpurender.distort.config import from_config, load


def test_presets_and_none_by_name():
    assert load("lomo") == presets.lomo()
    assert load("mild") == presets.mild()
    assert load("harsh") == presets.harsh()
    assert load("none") is None


def test_yaml_is_what_python_says(tmp_path):
    path = tmp_path / "distort.yaml"
    path.write_text(
        """
OneOf:
  weights: [1, 2, 1, 0]
  ops:
    - Clean
    - Rotate: {degrees: [-5, 5], expand: false}
    - Compose: [{GaussianBlur: {sigma: [0.5, 1.5]}}, {Stain: {blots: 3, colors: [[200, 150, 90]]}}]
    - lomo
"""
    )
    expected = OneOf(
        [
            Clean(),
            Rotate((-5, 5), expand=False),
            Compose([GaussianBlur((0.5, 1.5)), Stain(3, colors=[(200, 150, 90)])]),
            presets.lomo(),
        ],
        weights=[1, 2, 1, 0],
    )
    assert load(path) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Rotat", "no operation 'Rotat'; there are Clean, Compose, OneOf, BoxBlur"),
        ("Rotate: {degres: 3}", "Rotate: got an unexpected keyword argument 'degres'"),
        ("Rotate: {degrees: [5, 3]}", "Rotate: degrees must rise from min to max, at least"),
        ("Rotate: '12'", "Rotate: degrees must be a number, not '12'"),
        ("Rotate: {expand: 'false'}", "Rotate: expand must be True or False, not 'false'"),
        ("Clean: 5", "Clean: takes no arguments"),
        ("Compose: 5", "Compose: ops must be a list of operations, not 5"),
        ("Compose: &x [Compose: *x]", "it holds itself"),
        ("OneOf: {ops: [Clean], weights: [0]}", "OneOf: weights must be finite, not negative, and sum to more than 0"),
        ("OneOf: [Clean, 3]", "an operation must be a name, or one name with its arguments, not 3"),
        ("[1, 2]", "an operation must be a name"),
        ("", "an operation must be a name"),
        ("a: b: c", "mapping values are not allowed"),
    ],
)
def test_what_is_not_understood_is_named(tmp_path, text, told):
    path = tmp_path / "distort.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=told) as error:
        load(path)
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(
        ValueError, match="distort must be lomo, mild, harsh, none, or a YAML file that exists, not 'lom'"
    ):
        load("lom")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "no.yaml")


def test_the_first_argument_needs_no_name():
    assert from_config({"Rotate": [-5, 8]}) == Rotate((-5, 8))
    assert from_config({"Rotate": 0}) == Rotate(0)
    assert from_config({"Rotate": None}) == Rotate()
    assert from_config({"Compose": ["Clean", {"Rotate": 3}]}) == Compose([Clean(), Rotate(3)])


def test_presets_take_their_arguments():
    assert from_config({"lomo": {"expand": False}}) == presets.lomo(expand=False)
