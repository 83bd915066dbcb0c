"""Scripts: words of many are set as HarfBuzz itself shapes them, in the fonts the machine has; none is lost."""

import shutil
import subprocess

import numpy as np
import pytest
import uharfbuzz
from fontTools.ttLib import TTFont

from gpurender.typeset import Typesetter
from gpurender.typeset.fonts import find_font

# Twenty words each, for what is hard in the script: marks, ligatures, conjuncts, reordering, forms by position.
WORDS = {
    "Latin": "café naïve Å\u030a e\u0301te\u0301 a\u0308\u0304b "
    "o\u0323\u0302 ỗng Việt waffle office ﬁn fjord Łódź "
    "Çağdaş x\u0332y\u0332 q\u0307\u0323 Ǧîlan ɓàŋ̀ Žižek n\u0303an\u0303",
    "Greek": "άνθρωπος ἄνθρωπος ᾧ ῥόδον ΐ "
    "α\u0301β ψυχή Ὀδυσσεύς φιλοσοφία ᾳ Ἀθῆναι ὕδωρ εἶναι τί Ω\u0313 σοφός "
    "ἑαυτοῦ ὦ Ἑλλάς μῆνιν",
    "Cyrillic": "привет ёлка й и\u0306 Київ ґанок џеп ђак љубав Ѣ мѣсто ҳафт қазақ ә ӣ о\u0301кна щука въезд ЭХО ҫуҡыр",
    "Hebrew": "שלום שָׁלוֹם בְּרֵאשִׁית אֱלֹהִים תּוֹרָה יְרוּשָׁלַיִם חַג עִבְרִית מֶלֶךְ כֹּל אֵת הָאָרֶץ שֶׁמֶשׁ לֶחֶם פֶּה וָו צֵל קֹדֶשׁ זֹאת ס״ת",
    "Arabic": "السلام مَرْحَبًا لا اللّٰه كِتَابٌ مُحَمَّد إلى الآن قُرْآن شَيْء مدرسة بَيْتٌ حِكْمَة هٰذَا صَلَّى لأن لإ عَلَيْكُمْ پنجاه گفتگو",
    "Devanagari": "नमस्ते क्षत्रिय ज्ञान श्री हिन्दी संस्कृत कर्म द्वारा विद्या र्क प्रकृति स्त्री कृष्ण लक्ष्मी उत्तर ह्रदय रु रू क्ष्म्य दृष्टि",
    "Bengali": "বাংলা ক্ষমা স্ত্রী জ্ঞান শ্রী কৃষ্ণ রাষ্ট্র বিদ্যা কর্ম প্রশ্ন সৎ হৃদয় গো কৌ উত্তর ন্যায় দুঃখ চাঁদ স্বাস্থ্য ব্রাহ্মণ",
    "Tamil": "தமிழ் வணக்கம் கொடு கோ கௌ ஸ்ரீ க்ஷ நன்றி பெண் மொழி யானை கை திரு ஊர் தூது சீதா ஜூலை ஹிந்து ஔவை ஃபோன்",
    "Telugu": "తెలుగు నమస్కారం క్షమ జ్ఞానం స్త్రీ కృష్ణ శ్రీ విద్య కర్మ రాష్ట్రం పుస్తకం గౌరి హృదయం అన్న చెట్టు కై మౌనం పెద్ద ఉత్తరం బ్రహ్మ",
    "Kannada": "ಕನ್ನಡ ನಮಸ್ಕಾರ ಕ್ಷಮೆ ಜ್ಞಾನ ಸ್ತ್ರೀ ಕೃಷ್ಣ ಶ್ರೀ ವಿದ್ಯೆ ಕರ್ಮ ರಾಷ್ಟ್ರ ಪುಸ್ತಕ ಗೌರಿ ಹೃದಯ ಅಣ್ಣ ಕೊಡು ಕೋತಿ ಮೈ ಮೌನ ದೊಡ್ಡ ಬ್ರಹ್ಮ",
    "Malayalam": "മലയാളം നമസ്കാരം ക്ഷമ ജ്ഞാനം സ്ത്രീ കൃഷ്ണൻ ശ്രീ വിദ്യ കർമ്മം രാഷ്ട്രം പുസ്തകം ഗൗരി ഹൃദയം അണ്ണൻ കൊടി കോഴി മൈന പെൺ അവൾ ബ്രഹ്മം",
    "Gujarati": "ગુજરાતી નમસ્તે ક્ષમા જ્ઞાન સ્ત્રી કૃષ્ણ શ્રી વિદ્યા કર્મ રાષ્ટ્ર પુસ્તક ગૌરી હૃદય ઉત્તર કોણ કૈલાસ પ્રશ્ન રૂ જૂનું દ્વાર",
    "Sinhala": "සිංහල ආයුබෝවන් ක්\u200dෂණය ශ්\u200dරී කෘෂි "
    "විද්\u200dයා කර්ම ගෞරව කොළඹ කෝපි "
    "දෛවය ස්තූතියි ඥාන ප්\u200dරශ්නය රූපය නුවර ළමයා පුත්\u200dර මව් ගෙදර",
    "Thai": "สวัสดี ภาษาไทย น้ำ ทำ ก็ เก้าอี้ ผู้ใหญ่ ปี่ ฟ้า ญี่ปุ่น ฐานุกรม กิ่ง เมื่อ ใคร ไม่ โต๊ะ ศักดิ์ คั้น เป็น ก๋วยเตี๋ยว",
    "Lao": "ສະບາຍດີ ພາສາລາວ ນ້ຳ ເຈົ້າ ຂອບໃຈ ໄປ ໃຫຍ່ ກິນ ເຂົ້າ ຫຼາຍ ຫມາ ໜັງ ແມ່ ປີ້ ຄົນ ເຮືອນ ຜູ້ ດຳ ໂຕະ ຊື່",
    "Khmer": "ភាសាខ្មែរ សួស្តី ស្រី ក្រុម ខ្ញុំ ព្រះ ម្នាក់ ស្ត្រី កម្ពុជា ទឹក ញ៉ាំ ប៉ុន្តែ ធ្វើ ឆ្នាំ គ្រូ ស៊ី លក្ខណៈ ចៅ កោះ ផ្ទះ",
    "Myanmar": "မြန်မာ မင်္ဂလာပါ ကျွန်တော် ဗုဒ္ဓ သတ္တဝါ ကြောင် ရွှေ နေကောင်း မိန်းမ ဖြစ် သင်္ဘော ပညာ အင်္ဂလိပ် ကျောင်း လူ ဆယ် မျှော် ခွေး ထမင်း ဩ",
    "Tibetan": "བོད་ཡིག བཀྲ་ཤིས་ རྒྱལ་པོ་ སྐྱེ་ བརྒྱད་ ཨོཾ་ ཧཱུྃ་ མཎི་ པདྨེ་ སངས་རྒྱས་ དགེ་བ་ གཉིས་ རྡོ་རྗེ་ བླ་མ་ ཀླུ་ ཤྲཱི་ འབྲུག་ ལྷ་ས་ ཚོགས་ ངོ་བོ་",
    "Ethiopic": "ሰላም አማርኛ ኢትዮጵያ እንዴት ነህ ውሃ ቤት መጽሐፍ ፀሐይ ጨረቃ ትግርኛ ቋንቋ ኳስ ልጅ ሴት ወንድ ጤና ዓለም ኧረ ፍቅር",
    "Georgian": "გამარჯობა საქართველო ქართული თბილისი წყალი "
    "ღვინო ჭადრაკი ძმა ხე ჯვარი "
    "ᲗᲑᲘᲚᲘᲡᲘ მთა ზღვა პური ჟამი ყვავილი შვილი ცა ჰაერი ფული",
    "Armenian": "բարև Հայաստան Երևան հայերեն և եւ մեծ ջուր խոսք ծառ գիրք ճանապարհ շուն ձուկ ղեկ ռուս սեր տուն ցուրտ օր",
    "Korean": "한국어 안녕하세요 \u1112\u1161\u11ab \u1100\u1161 \u1100\u116e\u11af "
    "값 닭 읽다 ㄱㄴㄷ 꽃 뷁 서울 \u1112\u1161\u11ab\u1100\u116e\u11a8 "
    "없다 \uac00\u11a8 물 사랑 ㅏㅑ 의자 쐐기",
    "Japanese": "こんにちは カタカナ が か\u3099 "
    "ぱ は\u309a コンピューター っと ゃゅょ ヴァ 日本語 東京タワー 々 言葉 ひらがな ゐゑ キャッチ 食べる ヷ 葛城",
    "Chinese": "你好 世界 中文 繁體字 语言 學習 龍龜 骨头 直角 门 𠮷野 㐀 𠮟 謝謝 北京 上海 数学 汉字 书 飛機",
    "Thaana": "ދިވެހި މާލެ ރާއްޖެ ބަސް ކިޔަން އަހަރެން ފޮތް މީހުން ގެ ރަށް ކަނޑު މަސް ފެން ބޯޓު އިރު ހަނދު ތަރި ގަސް މާ ދޮން",
    "Syriac": "ܫܠܡܐ ܣܘܪܝܝܐ ܠܫܢܐ ܒܝܬܐ ܟܬܒܐ ܡܠܟܐ ܐܠܗܐ ܝܘܡܐ ܠܠܝܐ ܫܡܫܐ ܣܗܪܐ ܡܝܐ ܢܘܪܐ ܐܪܥܐ ܫܡܝܐ ܒܪܢܫܐ ܐܢܬܬܐ ܓܒܪܐ ܛܒܐ ܚܕ",
    "N'Ko": "ߒߞߏ ߊߟߎ߫ ߌ߬ߣߌ߫ ߞߊ߲ ߡߊ߲߬ߘߋ߲ ߘߎ߱ ߖߌ߱ ߕߋ߬ ߓߏ߲ ߛߏ ߝߊ߬ ߣߊ ߞߍ ߡߏ߬ߛߏ ߕߟߋ ߞߊߙߏ ߟߏߟߏ ߘߌ ߦߙߌ ߛߓߍ",
    "Gurmukhi": "ਪੰਜਾਬੀ ਸਤਿ ਸ੍ਰੀ ਅਕਾਲ ਪ੍ਰੇਮ ਕ੍ਰਿਸ਼ਨ ਪੱਤਾ ਹੱਥ ਪੜ੍ਹ ਸਿੰਘ ਉੱਤਰ ਕੌਰ ਕੋਈ ਐਤਵਾਰ ਜ਼ਮੀਨ ਫ਼ਸਲ ਸ਼ਹਿਰ ਖ਼ੁਸ਼ੀ ੴ ਚੰਨ੍ਹ",
}


def words_of(script):
    return [word for word in WORDS[script].split() if word]


def shape(key, word):
    """HarfBuzz's glyphs of a word, from left to right, (id, x, y) in 1/64 px, y downwards; by uharfbuzz's objects."""
    face = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(key.file), key.face_index)
    font = uharfbuzz.Font(face)
    font.scale = (round(key.size * 64),) * 2
    buffer = uharfbuzz.Buffer()
    buffer.add_codepoints([ord(c) for c in word])
    buffer.guess_segment_properties()
    uharfbuzz.shape(font, buffer)
    pen, glyphs = 0, []
    for info, place in zip(buffer.glyph_infos, buffer.glyph_positions, strict=True):
        dx, dy, advance, _ = place.position
        glyphs.append((info.codepoint, pen + dx, -dy))
        pen += advance
    return glyphs, pen


def placed(layout, page):
    rows = slice(*layout.glyph_offsets[page : page + 2])
    pairs = zip(layout.glyph_ids[rows].tolist(), layout.glyph_xy[rows].tolist(), strict=True)
    # In reading order.
    return [(glyph, x, y) for glyph, (x, y) in pairs]


def test_there_are_twenty_words_of_each_script():
    assert {script: len(words_of(script)) for script in WORDS} == dict.fromkeys(WORDS, 20)


@pytest.mark.parametrize("script", WORDS)
@pytest.mark.parametrize("size", [20, 13.5])
def test_words_are_what_harfbuzz_gives(noto, script, size):
    words = words_of(script)
    layout = Typesetter(size=size, width=2**16)(words)
    assert layout.diagnostics == ()
    for page, word in enumerate(words):
        rows = slice(*layout.glyph_offsets[page : page + 2])
        numbers = set(layout.glyph_fonts[rows].tolist())
        assert len(numbers) == 1, (word, [layout.fonts[i].file for i in numbers])
        expected, advance = shape(layout.fonts[numbers.pop()], word)
        got = placed(layout, page)
        leftwards = script in ("Hebrew", "Arabic", "Thaana", "Syriac", "N'Ko")
        assert [glyph for glyph, _, _ in got] == [glyph for glyph, _, _ in expected][:: -1 if leftwards else 1], word
        first = got[-1] if leftwards else got[0]
        moved = [(glyph, x - first[1] + expected[0][1], y - first[2] + expected[0][2]) for glyph, x, y in got]
        assert moved[:: -1 if leftwards else 1] == expected, word
        boxes = layout.words[slice(*layout.word_offsets[page : page + 2])]
        assert float(boxes[:, 2].max() - boxes[:, 0].min()) == pytest.approx(advance / 64, abs=0.01), word


JOINED = {
    "urdu-ke": "کے",
    "urdu-hain": "ہیں",
    "urdu-unhen": "انہیں",
    "urdu-more": "ڈاکٹر چاہیے گے ٹھیک لڑکے ۂ ہوئے یہ",
    "pashto-ney": "نۍ",
    "pashto-more": "ښځه ږیره څوک پښتو ډېر مې",
    "quran-bismi": "بِسۡمِ",
    "quran-more": "ٱلرَّحۡمَـٰنِ ٱلۡحَمۡدُ لِلَّهِ هُدࣰى غِشَٰوَةࣱۖ",
    "kashmiri": "کٲشُر تٔمؠ رٔژھ زامٕتؠ",
    "jawi": "ڤڠتاهوان چڤت ڽوڽي سڬي",
    "sindhi": "ڳالھ ڄاڻ ٻار ڏينھن ڪيئن",
    "persian": "می\u200cآیند گفت\u200cوگو پژوهش",
    "syriac": "ܐܝܼܩܵܪܵܐ ܒܪܢܫܐ",
    "nko": "ߡߐ߱ ߖߊ߲ߓߊߘߋ߲ ߢߊ߬ߝߎ߫",
    "mongolian": "ᠮᠣᠩᠭᠣᠯ ᠪᠠᠢᠢ\u180bᠨ\u180eᠠ",
    "hebrew": "בְּרֵאשִׁ֖ית בָּרָ֣א",
}


@pytest.mark.parametrize("text", JOINED.values(), ids=JOINED)
@pytest.mark.parametrize("font", ["DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "DejaVu Sans Bold"])
def test_a_word_is_set_in_one_font_that_has_all_of_it(noto, text, font):
    words = text.split()
    layout = Typesetter(latex="off", size=40, line_height=60, font=font)(words)
    assert layout.diagnostics == ()
    for page, word in enumerate(words):
        numbers = set(layout.glyph_fonts[slice(*layout.glyph_offsets[page : page + 2])].tolist())
        assert len(numbers) == 1, word
        expected, _ = shape(layout.fonts[numbers.pop()], word)
        got = [glyph for glyph, _, _ in placed(layout, page)]
        assert got in ([glyph for glyph, _, _ in expected], [glyph for glyph, _, _ in expected][::-1]), word


def lacking(file, characters, path):
    """Write a font without some of its characters, its glyphs as they are."""
    font = TTFont(file)
    for table in font["cmap"].tables:
        for c in characters:
            table.cmap.pop(ord(c), None)
    font.save(path)
    return str(path)


# Letters of one half are in one font, those of the other half in another; no ligature is split.
SPLIT = {
    "urdu": ("Noto Sans Arabic", "انہیں ہیں کے پاکستان کتابیں گھر چاہیے"),
    "pashto": ("Noto Sans Arabic", "نۍ پښتو ژبه ښځه"),
    "marks": ("Noto Sans Arabic", "بِسۡمِ کٲشُر محمّد مَّن"),
    "tatweel": ("Noto Sans Arabic", "ـمـ بـسم بــن"),
    "joiners": ("Noto Sans Arabic", "م\u200cن م\u200dن می\u200cخواهم ب\u200d"),
    "persian": ("DejaVu Sans", "گفتگو پژوهش چهار مدرسه"),
    "nko": ("Noto Sans NKo", "ߒߞߏ ߊߟߎ߫ ߡߊ߲߬ߘߋ߲ ߖߊ߲ߓߊߘߋ߲"),
    "syriac": ("Noto Sans Syriac", "ܫܠܡ ܟܬܒ ܡܠܟ ܝܘܡ"),
    "adlam": ("Noto Sans Adlam", "𞤋𞤲𞤲𞤢𞤥𞤢 𞤢𞤣𞤫𞤶𞤭"),
    "mandaic": ("Noto Sans Mandaic", "ࡋࡌࡀ ࡄࡆࡉ"),
    "mongolian": ("Noto Sans Mongolian", "ᠮᠣᠩᠭᠣᠯ ᠨᠠᠮ ᠰᠠᠷ"),
}


@pytest.mark.parametrize("name", SPLIT)
@pytest.mark.parametrize("odd", [0, 1])
def test_letters_join_across_fonts(noto, tmp_path, name, odd):
    family, text = SPLIT[name]
    words, file = text.split(), find_font(family).file
    letters = sorted({c for c in text if c.isalpha() and c != "\u0640"})
    one = lacking(file, letters[odd::2], tmp_path / "one.ttf")
    other = lacking(file, letters[1 - odd :: 2], tmp_path / "other.ttf")
    whole = Typesetter(latex="off", font=file, fallback=(), width=2**12)(words)
    typesetter = Typesetter(latex="off", font=one, fallback=[other], width=2**12)
    layout = typesetter(words)
    assert layout.diagnostics == whole.diagnostics == ()
    assert len(set(layout.glyph_fonts.tolist())) == 2
    for page, word in enumerate(words):
        assert [row[0] for row in placed(layout, page)] == [row[0] for row in placed(whole, page)], word
    # Beside each other, too, whatever was set before.
    line = [" ".join(words), " ".join(words[::-1])]
    assert typesetter(line).equals(Typesetter(latex="off", font=one, fallback=[other], width=2**12)(line))


def test_the_same_letters_in_other_words_have_other_forms(noto, tmp_path):
    file = find_font("Noto Sans Arabic").file
    one, other = lacking(file, "م", tmp_path / "one.ttf"), lacking(file, "ب", tmp_path / "other.ttf")
    typesetter = Typesetter(latex="off", font=one, fallback=[other])
    words = ["ب", "بم", "مب", "مبم", "دبم", "مبد", "ب م", "مٰب", "م\u200cب"]
    whole = Typesetter(latex="off", font=file, fallback=())
    for order in (words, words[::-1]):
        for word in order:
            assert typesetter([word]).glyph_ids.tolist() == whole([word]).glyph_ids.tolist(), word
    assert typesetter(words).glyph_ids.tolist() == whole(words).glyph_ids.tolist()


def test_many_runs_that_join_take_linear_time(tmp_path, build_font):
    """Quadratic time would take minutes here."""
    one = build_font(tmp_path / "one.ttf", "ب\u064e")
    other = build_font(tmp_path / "other.ttf", "م\u0651")
    for text in ("بم" * 50_000, "ب" + "\u064e\u0651" * 50_000 + "م"):
        layout = Typesetter(font=one, fallback=[other], max_pixels=2**40)([text])
        assert layout.diagnostics == ()


HB_SHAPE = "needs hb-shape: apt-get install -y --no-install-recommends libharfbuzz-bin"


@pytest.mark.skipif(shutil.which("hb-shape") is None, reason=HB_SHAPE)
@pytest.mark.parametrize("script", ["Arabic", "Devanagari", "Khmer", "Thai"])
def test_words_are_what_the_command_of_harfbuzz_gives(noto, script):
    # Another build of HarfBuzz: glyph ids alone, in case its rounding differs.
    words = words_of(script)
    layout = Typesetter(width=2**16)(words)
    for page, word in enumerate(words):
        rows = slice(*layout.glyph_offsets[page : page + 2])
        key = layout.fonts[layout.glyph_fonts[rows][0]]
        options = ["--no-glyph-names", "--no-positions", "--no-clusters", f"--face-index={key.face_index}"]
        run = subprocess.run(
            ["hb-shape", *options, f"--text={word}", key.file], capture_output=True, text=True, check=True
        )
        expected = [int(glyph) for glyph in run.stdout.strip().strip("[]").split("|")]
        got = [glyph for glyph, _, _ in placed(layout, page)]
        assert got[:: -1 if script == "Arabic" else 1] == expected, word


@pytest.mark.parametrize("script", WORDS)
def test_words_are_set_in_a_line_as_alone(noto, script):
    # What stands before a word, in whatever script, changes nothing about it.
    words = words_of(script)
    # Han characters would take other forms beside kana.
    typesetter = Typesetter(width=2**16, language="ja" if script == "Japanese" else "")
    alone = typesetter(words)
    line = typesetter([" ".join(f"{word} ab" for word in words)])
    assert line.diagnostics == ()
    glyphs = [np.sort(alone.glyph_ids[a:b]) for a, b in zip(alone.glyph_offsets, alone.glyph_offsets[1:], strict=False)]
    latin = typesetter(["ab"]).glyph_ids
    expected = np.sort(np.concatenate([part for word in glyphs for part in (word, latin)]))
    assert (np.sort(line.glyph_ids) == expected).all()


@pytest.mark.parametrize("name", ["mgsm", "alpaca_en", "alpaca_zh"])
def test_no_prompt_has_a_missing_glyph(noto, prompts, name):
    texts = prompts(name)
    layout = Typesetter(max_pixels=2**30)(texts)
    assert [d for d in layout.diagnostics if d.kind == "missing"] == []
    assert len(layout) == len(texts)
