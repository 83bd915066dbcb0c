"""Languages: what a BCP 47 tag says of the script, by ICU's table of likely subtags (UTS #35)."""

from __future__ import annotations

import ctypes

from gpurender.typeset.breaks import LIBRARY, VERSION
from gpurender.typeset.native import function

__all__ = ["han_forms", "likely_subtags"]

_ROOM = 256  # bytes of a locale's name
_POINTER = ctypes.c_void_p
_from_tag = function(
    LIBRARY,
    "uloc_forLanguageTag" + VERSION,
    ctypes.c_int32,
    *(ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int32, _POINTER, _POINTER),
)
_maximize = function(
    LIBRARY,
    "uloc_addLikelySubtags" + VERSION,
    ctypes.c_int32,
    *(ctypes.c_char_p, ctypes.c_char_p, ctypes.c_int32, _POINTER),
)

_FORMS = {
    "Hans": "SC",
    "Bopo": "TC",
    "Jpan": "JP",
    "Hira": "JP",
    "Kana": "JP",
    "Hrkt": "JP",
    "Kore": "KR",
    "Hang": "KR",
}


def likely_subtags(tag: str) -> tuple[str, str, str]:
    """Return the language, script and region of a BCP 47 tag, those that it leaves out being the likely ones.

    `"zh-TW"` gives `("zh", "Hant", "TW")`. All are empty for what is no tag.
    """
    error = ctypes.c_int(0)
    name, full = ctypes.create_string_buffer(_ROOM), ctypes.create_string_buffer(_ROOM)
    _from_tag(tag.encode("ascii", "replace"), name, _ROOM, None, ctypes.byref(error))
    _maximize(name, full, _ROOM, ctypes.byref(error))
    subtags = full.value.decode().partition("@")[0].split("_")
    if error.value > 0 or len(subtags) < 3:
        return "", "", ""
    language, script, region = subtags[:3]
    return language, script, region


def han_forms(tag: str) -> str | None:
    """Return the forms of Han characters that a BCP 47 tag asks for: SC, TC, HK, JP or KR; None if it asks for none."""
    language, script, region = likely_subtags(tag)
    if script not in ("Hant", *_FORMS):
        # A transcription ("ja-Latn") keeps the forms of its language.
        _, script, region = likely_subtags(f"{language}-{region}")
    if script == "Hant":
        return "HK" if region in ("HK", "MO") else "TC"
    return _FORMS.get(script)
