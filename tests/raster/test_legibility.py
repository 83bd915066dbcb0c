"""An OCR engine reads the pages."""

import os
import shutil
import subprocess

import pytest

from gpurender import Renderer, Typesetter
from gpurender.raster import encode_png
from gpurender.typeset.fallback import install_command

INSTALL = "apt-get install -y --no-install-recommends tesseract-ocr"
# What Tesseract calls a language, texts written for this, and the error rate that is too high: its own, on pages that
# Pango sets, is about 3 % for Chinese and Thai and under 1 % for Russian and Hindi.
LANGUAGES = {
    "chi-sim": (
        0.06,
        "小明在市场买了十二个苹果，每个苹果三元，他给了老板五十元。老板应该找给他多少钱？",
        "学校图书馆有四百本书，其中一半是故事书，四分之一是科学书，其余是历史书。历史书有多少本？",
        "一列火车每小时行驶八十公里，从甲地到乙地需要五个半小时。两地之间的距离是多少公里？",
        "农场里有二十六只鸡和十四只鸭子，每只鸡每天下一个蛋，一个星期一共能收多少个鸡蛋？",
    ),
    "rus": (
        0.015,
        "Маша купила на рынке двенадцать яблок по три рубля и дала продавцу сто рублей. Сколько сдачи она получит?",
        "Поезд едет со скоростью 80 километров в час и прибывает в город через пять часов с половиной.",
        "В школьной библиотеке четыреста книг: половина из них сказки, четверть учебники, остальные по истории.",
    ),
    "hin": (
        0.02,
        "सीता ने बाज़ार से बारह आम खरीदे और उनमें से आधे अपनी सहेली को दे दिए। अब उसके पास कितने आम हैं?",
        "रेलगाड़ी अस्सी किलोमीटर प्रति घंटे की गति से चलती है और पाँच घंटे में शहर पहुँचती है।",
        "राम ने सुबह पुस्तक के तीस पृष्ठ पढ़े और शाम को बीस पृष्ठ, अब सौ पृष्ठ शेष हैं।",
    ),
    "tha": (
        0.06,
        "สมชายซื้อแอปเปิ้ลสิบสองลูกจากตลาด ราคาลูกละสามบาท เขาจ่ายเงินห้าสิบบาท จะได้รับเงินทอนกี่บาท",
        "รถไฟวิ่งด้วยความเร็วแปดสิบกิโลเมตรต่อชั่วโมง และถึงเมืองภายในห้าชั่วโมงครึ่ง",
        "ห้องสมุดของโรงเรียนมีหนังสือสี่ร้อยเล่ม ครึ่งหนึ่งเป็นนิทาน ที่เหลือเป็นหนังสือประวัติศาสตร์",
    ),
}


def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def read(page, language, folder):
    """What Tesseract makes of a page."""
    file = folder / "page.png"
    file.write_bytes(encode_png(page))
    command = ["tesseract", str(file), "stdout", "-l", language, "--psm", "6", "--dpi", "100"]
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def need_tesseract(language):
    found = shutil.which("tesseract") and subprocess.run(["tesseract", "--list-langs"], capture_output=True, text=True)
    if not found or language.replace("-", "_") not in found.stdout.split():
        pytest.skip(f"needs Tesseract: {INSTALL}" + (f" tesseract-ocr-{language}" if language != "eng" else ""))


def check_errors(pairs, limit):
    errors = characters = 0
    for expected, got in pairs:
        distance = edit_distance(expected, got)
        errors += distance
        characters += len(expected)
        if distance:
            print(f"{distance}: {expected!r}\n   {got!r}")
    print(f"character error rate {errors / characters:.4%} over {characters} characters")
    assert errors <= limit * characters


def test_tesseract_reads_word_problems(prompts, tmp_path):
    need_tesseract("eng")
    texts = prompts("gsm8k")[:40]
    pages = Renderer()(Typesetter()(texts)).to_numpy()
    # Line breaks are the page's; quotes and dashes have several code points that look alike.
    same = str.maketrans("’‘“”—", "''\"\"-")
    seen = [read(page, "eng", tmp_path) for page in pages]
    check_errors(
        [[" ".join(s.translate(same).split()) for s in pair] for pair in zip(texts, seen, strict=True)], limit=0.001
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_tesseract_reads_other_scripts(language, tmp_path):
    need_tesseract(language)
    limit, *lines = LANGUAGES[language]
    texts = ["\n".join(lines)]
    layout = Typesetter(margin=16)(texts)
    if layout.diagnostics:
        pytest.skip(f"{layout.diagnostics[0].message}: {install_command()}")
    seen = [read(page, language.replace("-", "_"), tmp_path) for page in Renderer()(layout).to_numpy()]
    # Where it sets spaces is a matter of taste in scripts that have few; its marks are often the other width.
    same = str.maketrans("，？：；（）", ",?:;()")
    check_errors(
        [["".join(s.translate(same).split()) for s in pair] for pair in zip(texts, seen, strict=True)], limit=limit
    )
