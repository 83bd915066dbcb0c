"""Pages to distort: real text, and dots whose place can be told after it."""

import numpy as np
import pytest

from gpurender import Pages, Renderer, Typesetter

TEXTS = [
    "A baker sells 24 rolls in the morning and twice as many after noon. How many does he sell in a day?",
    "Short.",
    "for x in range(10):\n    print(x ** 2, end=' ')\n\nWhat does this print, and why on one line?",
    "Three friends share a bill of 84 euros. One of them pays half of it, and the others share the rest evenly. "
    "What does each of the others pay? Give the answer in euros and cents, and say how you found it.",
]


@pytest.fixture(scope="session")
def layout():
    return Typesetter(width=420)(TEXTS)


@pytest.fixture(scope="session")
def pages(layout):
    return Renderer()(layout)


@pytest.fixture(scope="session")
def rgb_pages():
    typesetter = Typesetter(width=300, foreground=(20, 40, 90), background=(250, 240, 220))
    return Renderer(channels=3)(typesetter(TEXTS))


@pytest.fixture(scope="session")
def make_pages():
    """`make_pages([image, ..])` of arrays [C, height, width] uint8."""

    def make(images, paper=255):
        sizes = np.array([image.shape[1:] for image in images], np.int32).reshape(-1, 2)
        flat = np.concatenate([np.empty(0, np.uint8), *(image.ravel() for image in images)])
        channels = images[0].shape[0] if images else 1
        return Pages(flat, sizes, channels, paper=np.full((len(images), channels), paper, np.uint8))

    return make
