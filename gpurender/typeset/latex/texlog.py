"""The errors of a TeX log, as people may read them."""

from __future__ import annotations

import re

__all__ = ["errors"]

# A message, with lines of the same package that go on with it, and the line where it came up.
_ERROR = re.compile(r"^! (.*(?:\n\([\w.-]+\) +.*)*)\n?(.*)", re.MULTILINE)
_GOES_ON = re.compile(r"\n\([\w.-]+\) +")
_WORDS = re.compile(r"\\(?:[A-Za-z@]+|.)")
_LACKING = re.compile(r"[Ff]ile [`']?(\S+)\.(?:sty|cls|clo|ldf)'? (?:was )?not found")
# Debian's packages beyond `sandbox.INSTALL`, by style files and classes that are often asked for.
_DEBIAN = {
    "texlive-bibtex-extra": r"biblatex.*|bibtopic|chapterbib|multibib",
    "texlive-fonts-extra": r"academicons|bbm|bbold|CormorantGaramond|cochineal|doclicense|dsfont|ebgaramond|fbb"
    r"|FiraSans|fontawesome\d?|garamondx|inconsolata|lato|libertin.*|MnSymbol|newp[xt]*(?:text|math)|newtx(?:text|math)|noto.*"
    r"|opensans|roboto|source(?:code|sans|serif)pro|stix\d?|utfsym|XCharter",
    "texlive-games": r"chess.*|skak|xskak|crossword|sudoku|logicpuzzle",
    "texlive-humanities": r"covington|gb4e|linguex|philex|qtree|reledmac|tikz-dependency|verse",
    "texlive-lang-chinese": r"ctex.*|xeCJK|CJKutf8|zhnumber",
    "texlive-lang-cjk": r"CJK.*",
    "texlive-lang-cyrillic": r"russian.*|ukrainian.*|bulgarian.*",
    "texlive-lang-french": r"french.*|tkz-tab.*|tabvar",
    "texlive-lang-german": r"n?german.*",
    "texlive-music": r"musix.*|lilyglyphs|guitar|songs",
    "texlive-plain-generic": r"ulem|soul|xlop|tabto-generic|spreadtab|systeme",
    "texlive-pstricks": r"pst.*",
    "texlive-publishers": r"acm.*|aastex.*|elsarticle|IEEEtran.*|llncs|revtex.*|sig-alternate|svjour3?|apa\d?",
    "texlive-science": r"algor.*|algp.*|chem.*|mhchem|physics|siunitx|steinmetz|units|nicefrac",
}
_PACKAGE = re.compile("|".join(f"(?P<{name.replace('-', '_')}>{pattern})" for name, pattern in _DEBIAN.items()))


def errors(log: str) -> list[str]:
    """Return the messages of a log, or of a part of it.

    An unknown word is named, and so is Debian's package of a file that is not found, if it is known.
    """
    found = []
    for message, context in _ERROR.findall(log):
        text = _GOES_ON.sub(" ", message).strip()
        if text == "Undefined control sequence.":
            words = _WORDS.findall(context)
            # siunitx reports units where none is allowed by a word of its own.
            last = words[0 if words[-1] == r"\ERROR" else -1] if words else ""
            text = f"Undefined control sequence {last}" if words else text
        elif text.startswith("Forbidden control sequence"):
            text = "something is never closed"
        else:
            # Lines are counted from the server's start.
            text = text.partition(" after line")[0]
        lacking = _LACKING.search(text)
        package = _PACKAGE.fullmatch(lacking[1]) if lacking else None
        if package:
            text += f" apt-get install {package.lastgroup}".replace("_", "-")
        found.append(text)
    return found
