"""Text to image as a plain transform."""

import pickle

import pytest
import torch

from gpurender import Renderer, TextToImage, Typesetter, distort


def test_a_text_is_its_page():
    image = TextToImage()("Some text, $x^2$.")
    (page,) = Renderer(channels=3)(Typesetter()("Some text, $x^2$."))
    assert image.dtype == torch.uint8
    assert image.equal(page)
    gray = TextToImage(channels=1)
    first = gray("One.")
    kept = first.clone()
    gray("Another, longer one.")
    assert first.equal(kept)
    assert first.shape[0] == 1


def test_distortion_is_of_seed_epoch_and_text():
    make = TextToImage(distort=distort.presets.harsh(), seed=1)
    texts = [f"Text number {n}." for n in range(8)]
    first = [make(text) for text in texts]
    again = pickle.loads(pickle.dumps(make))
    assert all(again(text).equal(image) for text, image in reversed(list(zip(texts, first, strict=True))))
    make.epoch = 1
    other = [make(text) for text in texts]
    seeded = TextToImage(distort=distort.presets.harsh(), seed=2)
    for images in (other, [seeded(text) for text in texts]):
        assert any(a.shape != b.shape or not a.equal(b) for a, b in zip(images, first, strict=True))


def test_in_a_data_loader():
    class Texts(torch.utils.data.Dataset):
        transform = TextToImage(Typesetter(width=200, trim=False), channels=1)

        def __len__(self):
            return 4

        def __getitem__(self, n):
            return self.transform(f"Text {n}")

    loader = torch.utils.data.DataLoader(Texts(), batch_size=4, num_workers=1)
    (batch,) = loader
    assert batch.shape[:2] == (4, 1)
    assert batch[2].equal(Texts()[2])


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        (3, TypeError, "text must be a str, not int"),
        (" \n ", ValueError, r"' \\n ' cannot be shown: the page has no ink"),
        ("word " * 500, ValueError, r"'word word .*\.\.' cannot be shown: .* max_pixels=20000"),
    ],
)
def test_what_cannot_be_shown(text, kind, told):
    with pytest.raises(kind, match=told):
        TextToImage(Typesetter(max_pixels=20_000))(text)
    with pytest.raises(TypeError, match="distort must be an operation"):
        TextToImage(distort="lomo")
