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
    "EXPANSIONS",
    "FILE_SIZE",
    "FOLDER_SIZE",
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
            r"input|include(|only|graphics|pdf|svg)|(open|close)(in|out)|read|readline|write|immediate|special|message",
            r"errmessage|type(in|out)|usetikzlibrary|epstopdf.*|hyper(setup|link|target)|Load.*|PrintDictionary.*",
            r"show.*|tracing.*|dump|usepackage|RequirePackage.*|document(class|style)|PassOptions.*|pdf.*",
            r"InputIfFileExists|IfFileExists|(print)?bibliography.*|(list|no)files|make(index|glossary)|endinput",
            r"addcontentsline|addtocontents|contentsline|tableofcontents|listof.*|verb|verbatim.*|lstinputlisting|wlog",
            r"filecontents.*|synctex|(Package|Class|Generic)(Error|Warning|Info).*|gpr.*",
            r"font|font(encoding|family|size|dimen)|usefont|hyphenchar|skewchar|hyphenation|patterns|(set)?language",
            r"(cat|lc|uc|sf|math|del|lp|rp|ef|tag|knbs|stbs|shbs|knbc|knac)code|letterspacefont|ignoreligaturesinfont",
            # How TeX goes on, and its pages.
            r"(batch|nonstop|scroll|errorstop|interaction)mode|stop|bye|(end)?document|shipout|output|[A-Z].*Hook.*",
            r"[A-Z].*Shipout.*|(At|After)(Begin|End|Preamble).*|(this)?pagestyle|pagecolor|pagenumbering|(no)?pagebreak",
            r"(new|clear|cleardouble)page",
            r"maketitle|page(goal|total|stretch|shrink|depth|fi.*)|deadcycles|insertpenalties|prevgraf|insert|marks?",
            r"mag|magnification|[hv]offset|vsplit|(one|two)column|part|chapter|(sub)*section",
            r"(sub)?paragraph|title(|page|format|spacing)|author|date|appendix|abstract|the(index|bibliography)|bibitem",
            r"figure|figurename",
            # Environments by their bare words, which would leave them open.
            r"end[a-z]+|list|trivlist|itemize|enumerate|description|quot(e|ation)|verse|center|flush(left|right)|tabbing",
            r"tablenotes|TPT.*|table|tabular.?|array|minipage|picture|sloppypar",
            # Definitions, and what outlives a group.
            r"[egx]?def|let|futurelet|x?global.*|long|outer|protected|(re)?new(?!(line|ton|tie)$).*|provide.*|(Ren|N)ew.*",
            r"Provide.*|Declare.*|(math)?chardef|(count|dimen|skip|muskip|toks)(def)?|set(counter|box)|addtocounter",
            r"(ref)?stepcounter|counterwith.*|numberwithin|s(ave)?box|lrbox|un[hv](box|copy)|box|copy|lastbox|wd|ht|dp|advance",
            r"multiply|divide|Set(?!(|Cells?|Rows?|Columns?|[HV]lines?)$).*|makeat(letter|other)|mathversion|ExplSyntax.*",
            r"(endline|escape|newline)char|fam|(|script|scriptscript)font",
            # The same by packages: etoolbox, tabularray, translations, chemgreek.
            r"(num|dim|glue|mu)g?def|[egx]?(appto|preto)|(app|pre)tocmd|patchcmd|robustify|letcs|g?undef|def(counter|length)",
            r"list[egx]?(add|remove)|(for|do)(cs|list).*|(set|not)(bool|toggle)|(bool|toggle)(true|false)|(unless|while)bool.*",
            r"prgNew.*|[A-Z][a-z]*Tblr.*|.*[Tt]ranslation.*|.*chemgreek.*|protecting|expandonce|UL[a-z]+",
            # Words by other names, and what marks later formulas, depends on earlier ones, or draws without end.
            r"UseName|ExpandArgs|(Before|After)[A-Z].*|bmdefine|aftergroupdef|(define|reset)color(series|set)|usecounter",
            r"smashoperator|(legacy)?oldstylenums|equation|eqnarray|inputlineno|today|[cx]?leaders|multiput|usebox|value",
            r"the(?!(ta|tasym|refore)$)[A-Za-z]+|[Aa]lph|arabic|[Rr]oman|fnsymbol",
            # Words made of other words, conditions, loops.
            r"(end|begin)csname|cs(?!ch?$).*|expandafter|noexpand|unexpanded|expanded|detokenize|scantokens|string|meaning|jobname|the",
            r"romannumeral|(upper|lower)case|(Make|text)([Uu]pper|[Ll]ower)case|afterassignment|aftergroup|every.*",
            r"if(?!f$).*|else|fi|or|unless|loop|repeat|iterate|whiledo|foreach|(begin|end|b|e)group|[hv]align|(int|fp|dim|skip)eval",
        )
    )
)

# Environments that a source may begin, with or without a star; the first make it a table.
TABLE_ENVIRONMENTS = frozenset({"table", "tabular", "tabularx", "tabulary", "tblr"})
ENVIRONMENTS = TABLE_ENVIRONMENTS | frozenset(
    """
    aligned alignedat array Bmatrix bmatrix cases CD center darray dcases drcases flushleft flushright footnotesize
    gathered gpreqnarray itemize enumerate large Large math matrix minipage multlined normalsize pmatrix rcases
    scriptsize small smallmatrix psmallmatrix bsmallmatrix Bsmallmatrix vsmallmatrix Vsmallmatrix split subarray
    threeparttable tablenotes tiny Vmatrix vmatrix
    """.split()  # noqa: SIM905
)

# Of macros that a text defines.
EXPANSIONS = 2000  # in one source

# Of the ziamath engine, which sets an element once for each group round it, and stretches a brace piece by piece.
VISITS = 20_000  # elements by the groups they are in
LENGTHS = 4096  # px in sum, or so
ROW = 2000  # elements side by side
NESTING = 60  # groups within groups
