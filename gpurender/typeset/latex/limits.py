r"""What LaTeX from anywhere may not do: the words that are refused unread, and what one formula may use.

TeX is a programming language. With the words below gone, and with them `^^` and every environment that is not named
here, what is left sets type: it cannot define, branch, loop by choice, read or write, nor outlive its group. What still
costs time or memory runs into the limits, and the engine's sentinel formula tells if the next one would look otherwise.
"""

from __future__ import annotations

import re

__all__ = [
    "ADDRESS_SPACE",
    "AREA",
    "DENIED",
    "DOCUMENT_SECONDS",
    "ENVIRONMENTS",
    "FILE_SIZE",
    "FOLDER_SIZE",
    "FORGIVEN",
    "ITEMS",
    "LARGEST",
    "LENGTHS",
    "LONGEST",
    "NESTING",
    "ROW",
    "SECONDS",
    "TABLE_ENVIRONMENTS",
    "VISITS",
]

LONGEST = 20_000  # characters of one source
LARGEST = 16_384  # px, either way, of one box
SECONDS = 2.0  # that one source may take
DOCUMENT_SECONDS = 20.0  # that a whole document may take
FOLDER_SIZE = 2**27  # bytes that it may write in all
AREA = 2**24  # px of one picture
ADDRESS_SPACE = 2**30  # bytes of a TeX process
FILE_SIZE = 2**26  # bytes of a file it writes
ITEMS = 100_000  # that a TeX process sets before a new one takes its place: unknown names fill its memory

# Whole words; a dot and star stand for any letters.
DENIED = re.compile(
    "|".join(
        (
            # Files, programs, the terminal.
            r"input|include.*|(open|close)(in|out)|read|readline|write|immediate|special|message|errmessage|type(in|out)",
            r"show.*|tracing.*|dump|usepackage|RequirePackage.*|document(class|style)|LoadClass.*|PassOptions.*|pdf.*",
            r"InputIfFileExists|IfFileExists|(print)?bibliography.*|(list|no)files|make(index|glossary)|endinput",
            r"addcontentsline|addtocontents|contentsline|tableofcontents|listof.*|verb|verbatim.*|lstinputlisting|wlog",
            r"filecontents.*|synctex|(Package|Class|Generic)(Error|Warning|Info).*|gpr.*",
            r"font|font(encoding|family|size|dimen)|usefont|hyphenchar|skewchar|hyphenation|patterns|(set)?language",
            r"(cat|lc|uc|sf|math|del|lp|rp|ef|tag|knbs|stbs|shbs|knbc|knac)code|letterspacefont|ignoreligaturesinfont",
            # How TeX goes on, and its pages.
            r"(batch|nonstop|scroll|errorstop|interaction)mode|stop|bye|(end)?document|shipout|output|.*[Hh]ook.*",
            r".*Shipout.*|At(Begin|End).*|(this)?pagestyle|pagecolor|pagenumbering|(new|clear|cleardouble)page|(no)?pagebreak",
            r"maketitle|page(goal|total|stretch|shrink|depth|fi.*)|deadcycles|insertpenalties|prevgraf|insert|marks?",
            r"mag|magnification|[hv]offset|vsplit|(one|two)column|part|chapter|(sub)*section",
            r"(sub)?paragraph|title.*|author|and|date|appendix|abstract|the(index|bibliography)|bibitem|figure|figurename",
            # Environments by their bare words, which would leave them open.
            r"end[a-z]+|list|trivlist|itemize|enumerate|description|quot(e|ation)|verse|center|flush(left|right)|tabbing",
            r"tablenotes|TPT.*|table|tabular.?|array|minipage|picture|sloppypar",
            # Definitions, and what outlives a group.
            r"[egx]?def|let|futurelet|x?global.*|long|outer|protected|(re)?new(?!line$).*|provide.*|(Ren|N)ew.*|Provide.*",
            r"Declare.*|(math)?chardef|(count|dimen|skip|muskip|toks)(def)?|set(counter|box)|addtocounter|(ref)?stepcounter",
            r"counterwith.*|numberwithin|s(ave)?box|lrbox|un[hv](box|copy)|box|copy|lastbox|wd|ht|dp|advance|multiply|divide",
            r"Set.*|makeat(letter|other)|mathversion|ExplSyntax.*|(endline|escape|newline)char|fam|(|script|scriptscript)font",
            # Words made of other words, conditions, loops.
            r"(end|begin)?csname|expandafter|noexpand|unexpanded|expanded|detokenize|scantokens|string|meaning|jobname|the",
            r"romannumeral|(upper|lower)case|(Make|text)([Uu]pper|[Ll]ower)case|afterassignment|aftergroup|every.*",
            r"if(?!f$).*|else|fi|or|unless|loop|repeat|iterate|whiledo|foreach|(begin|end|b|e)group|[hv]align|(int|fp|dim|skip)eval",
        )
    )
)

# Errors that are forgiven in tables, since TeX's recovery from them is what their authors see.
FORGIVEN = frozenset({"Missing $ inserted."})

# Environments that a source may begin, with or without a star.
TABLE_ENVIRONMENTS = frozenset({"table", "tabular", "tabularx"})
ENVIRONMENTS = TABLE_ENVIRONMENTS | frozenset(
    """
    aligned alignedat array Bmatrix bmatrix cases center dcases drcases flushleft flushright gathered gpreqnarray
    itemize enumerate math matrix minipage multlined pmatrix rcases smallmatrix psmallmatrix bsmallmatrix Bsmallmatrix
    vsmallmatrix Vsmallmatrix split subarray threeparttable tablenotes Vmatrix vmatrix
    """.split()  # noqa: SIM905
)

# Of the ziamath engine, which sets an element once for each group round it, and stretches a brace piece by piece.
VISITS = 20_000  # elements by the groups they are in
LENGTHS = 4096  # px in sum, or so
ROW = 2000  # elements side by side
NESTING = 60  # groups within groups
