"""What stands before the body wherever TeX sets an item: packages, and what prompts expect beyond them."""

from __future__ import annotations

import re
from collections.abc import Collection
from importlib.resources import files

__all__ = ["LARGE", "PREAMBLE", "document_preamble", "find_packages", "read_server"]

# Packages that take long to load, and what only they know, behind a backslash: words, environments and column types.
LARGE = {
    "mhchem": r"c(?:e(?![A-Za-z])|h(?=\{))",
    "siunitx": r"(?:SI(?:list|range)?|si|(?:qty|num)(?:list|range|product)?|unit|ang(?= *[\[{])|complex(?:num|qty)"
    r"|tablenum|sisetup)(?![A-Za-z])"
    r"|begin\{tab[a-z]*\*?\}(?:\[\w\])?(?:\{[^{}]*\})?(?:\[\w\])?\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*?S",
    "tabularray": r"begin\{(?:long|tall)?tblr\}",
}
_LARGE = re.compile(
    r"\\(?=[Sabcnqstu])(?:" + "|".join(f"(?P<{name}>{pattern})" for name, pattern in LARGE.items()) + ")"
)


def find_packages(tex: str) -> set[str]:
    """Return the large packages that a source needs."""
    return {found.lastgroup or "" for found in _LARGE.finditer(tex)}


def read_server(packages: Collection[str]) -> str:
    """Return the program of a server, TeX, with the large packages that it is to load."""
    folder = files("gpurender.typeset.latex")
    text, words = ((folder / name).read_text(encoding="utf-8") for name in ("server.tex", "words.tex"))
    loads = "".join(f"\\gprtry{{{name}}}" for name in sorted(packages))
    return text.replace("% PACKAGES", loads).replace("% WORDS\n", words)


# The server's program up to the macros that serve.
PREAMBLE = read_server(LARGE).partition("% ---- Items")[0]

# pdfTeX's way around its locks, under all of its names: it puts any file into a PDF.
_LOCKED = r"""
\let\pdfobj\undefined\let\pdfprimitive\undefined
\expandafter\let\csname tex_pdfobj:D\endcsname\undefined
\expandafter\let\csname tex_pdfprimitive:D\endcsname\undefined
"""
# Once its packages are loaded, a document prints no page numbers, and floats come on the first page if they fit.
_PAGE = r"""
\let\ps@plain\ps@empty \pagestyle{empty}\thispagestyle{empty}
\ifdefined\setbeamertemplate\setbeamertemplate{navigation symbols}{}\fi
\def\topfraction{1}\def\bottomfraction{1}\def\dbltopfraction{1}\def\textfraction{0}
\c@topnumber9 \c@bottomnumber9 \c@dbltopnumber9 \c@totalnumber9
\let\gpr@xfloat\@xfloat \def\gpr@p{p}
\def\@xfloat#1[#2]{\def\gpr@placement{#2}%
  \ifx\gpr@placement\gpr@p\def\gpr@placement{\gpr@xfloat{#1}[!htbp]}\else\def\gpr@placement{\gpr@xfloat{#1}[#2]}\fi
  \gpr@placement}
"""
# The content of a table's cell is marked in the PDF. Rows are counted on from one table to the next. A column may read
# up to the end of its row in a further group (siunitx): so a row ends at any level but within a table in the entry.
_CELLS = r"""
\newif\ifgpr@marked
\protected\def\gpr@mark#1#2{\ifgpr@marked\else\global\gpr@markedtrue\pdfliteral page{/gprcell <</R #1/C #2>> BDC}\fi}
\protected\def\gpr@unmark{\ifgpr@marked\global\gpr@markedfalse\pdfliteral page{EMC}\fi
  \let\gpr@mark\@gobbletwo}
\def\gpr@table{\ifnum\gpr@level=\z@\global\advance\gpr@row\@ne\global\gpr@column\z@\else\gpr@level\m@ne\fi}
\def\gpr@arrayed{\gpr@table\gpr@array}
\protected\def\gpr@newrow{\ifnum\gpr@level<\z@\else \global\advance\gpr@row\@ne
  \global\gpr@column\ifnum\gpr@level=\z@\z@\else-\gpr@span\fi\fi \gpr@arraycr}
\ifdefined\insert@column
  \gpr@cells
\else
  % Without the package array, which would make rules take room.
  \def\gpr@marking#1{\gpr@mkpream{#1}\def\@sharp{\gpr@cell\ignorespaces\noexpand\@sharp\gpr@trimmed}}
  % arydshln's version expects the next assignment from its caller.
  \ifdefined\adl@mkpream \let\gpr@mkpream\adl@mkpream \let\adl@mkpream\gpr@marking
  \else \let\gpr@mkpream\@mkpream \let\@mkpream\gpr@marking \fi
  \protected\def\gpr@trimmed{\ifmmode\else\unskip\fi\gpr@cellend}
  \long\def\multicolumn#1#2#3{\gpr@multicolumn{#1}{#2}{\gpr@cell\gpr@spanning{#1}#3\gpr@trimmed}}
  \let\gpr@tabarray\@tabarray \def\@tabarray{\gpr@table\gpr@tabarray}
  % In maths this macro closes the group of its entry.
  \protected\def\@arraycr{\ifnum\gpr@level<\z@\else
    \gpr@unmark\global\advance\gpr@row\@ne\global\gpr@column\z@\fi\gpr@arraycr}
  \let\gpr@tabularcr\@tabularcr \protected\def\@tabularcr{\let\gpr@arraycr\gpr@tabularcr\gpr@newrow}
\fi
\ifdefined\LT@array \let\gpr@LT@array\LT@array \def\LT@array{\gpr@table\gpr@LT@array}\fi
\ifdefined\ST@tabularcr
  \let\gpr@ST@cr\ST@tabularcr \protected\def\ST@tabularcr{\let\gpr@arraycr\gpr@ST@cr\gpr@newrow}
\fi
% A caption that stands within its table, and the names of authors, are no cells.
\ifdefined\LT@makecaption
  \let\gpr@LT@makecaption\LT@makecaption
  \def\LT@makecaption#1#2#3{\gpr@LT@makecaption{\pdfliteral page{EMC}\global\gpr@markedfalse#1}{#2}{#3}}
\fi
\ifdefined\maketitle
  \let\gpr@maketitle\maketitle
  \def\maketitle{\@ifnextchar[\gpr@maketitle{\gpr@level\m@ne\gpr@maketitle\gpr@level\z@}}
\fi
\ifdefined\SetTblrInner
  \def\gprtblr#1{\ifvmode\leavevmode\fi
    \gpr@mark{\the\numexpr\gpr@row+\c@rownum\relax}{\the\numexpr\c@colnum-1\relax}#1%
    \ifgpr@marked\global\gpr@markedfalse\pdfliteral page{EMC}\fi}
  \SetTblrInner[tblr,longtblr,talltblr]{cells={cmd=\gprtblr}}
  \@for\gpr@name:=tblr,longtblr,talltblr\do{\AddToHook{env/\gpr@name/before}{\global\advance\gpr@row\@m}%
    \AddToHook{env/\gpr@name/after}{\global\advance\gpr@row\@m}}
\fi
"""


def document_preamble(with_cells: bool, is_confined: bool) -> str:
    r"""Return the TeX code before the `\documentclass` of a document.

    Args:
        with_cells: Mark the cells of tables, objects of their content `/gprcell <</R row /C column>>`.
        is_confined: The kernel keeps TeX from files of others; otherwise primitives that reach them are taken away.
    """
    hook = _PAGE
    if with_cells:
        # The server's macros around an entry, with marks in place of its specials.
        cells = read_server(()).partition("% ---- Where a table's cells")[2].partition("% ---- Items")[0]
        cells = cells.replace(
            r"\special{gpr:cell \the\gpr@row\space\the\gpr@column}", r"\gpr@mark{\the\gpr@row}{\the\gpr@column}"
        )
        hook += "%" + cells.replace(r"\special{gpr:end}", r"\gpr@unmark") + _CELLS
    # Read here, before shorthands of languages are characters of another kind.
    macro = r"\def\gpr@document{" + hook.replace("#", "##") + "}"
    # Older LaTeX has one hook alone.
    begin = r"\ifdefined\AddToHook\AddToHook{begindocument/end}{\gpr@document}\else\AtBeginDocument{\gpr@document}\fi"
    return "\n".join(["" if is_confined else _LOCKED, r"\makeatletter", macro, begin, r"\makeatother", ""])
