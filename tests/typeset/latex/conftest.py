"""The pdfTeX engine, where it is installed."""

import numpy as np
import pytest

from gpurender.typeset.latex.pdftex import PdfTeX


@pytest.fixture(scope="module")
def engine(tex):
    engine = PdfTeX(26)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def equal():
    """Whether two boxes are the same to the unit."""

    def compare(one, other):
        return type(one) is type(other) and all(
            np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in zip(one, other, strict=True)
        )

    return compare
