"""An OCR engine reads the pages."""

import os
import shutil
import subprocess

import pytest

from gpurender import Renderer, Typesetter
from gpurender.raster import encode_png

INSTALL = "apt-get install -y --no-install-recommends tesseract-ocr"


def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def test_tesseract_reads_word_problems(prompts, tmp_path):
    if not shutil.which("tesseract"):
        pytest.skip(f"needs Tesseract: {INSTALL}")
    texts = prompts("gsm8k")[:40]
    pages = Renderer()(Typesetter()(texts)).to_numpy()
    errors = characters = 0
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    for i, (text, page) in enumerate(zip(texts, pages, strict=True)):
        file = tmp_path / f"{i}.png"
        file.write_bytes(encode_png(page))
        command = ["tesseract", str(file), "stdout", "--psm", "6", "--dpi", "100"]
        read = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
        # Line breaks are the page's; quotes and dashes have several code points that look alike.
        expected, got = (" ".join(s.translate(str.maketrans("’‘“”—", "''\"\"-")).split()) for s in (text, read))
        distance = edit_distance(expected, got)
        errors += distance
        characters += len(expected)
        if distance:
            print(f"{distance}: {expected!r}\n   {got!r}")
    print(f"character error rate {errors / characters:.4%} over {characters} characters")
    assert errors <= 0.001 * characters
