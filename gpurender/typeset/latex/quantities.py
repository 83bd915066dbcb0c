"""Numbers, units and angles of siunitx, and simple reactions of mhchem, as formulas for the ziamath engine."""

from __future__ import annotations

import re

from gpurender.typeset.latex.box import UnsettableError

__all__ = ["QUANTITIES", "write_quantity", "write_reaction"]

# siunitx's words for quantities, and the kinds of their arguments.
QUANTITIES = {r"\SI": "nu", r"\qty": "nu", r"\si": "u", r"\unit": "u", r"\num": "n", r"\ang": "a"}
_UNITS = {
    f"\\{name}": symbol
    for name, _, symbol in (
        entry.partition("=")
        for entry in r"""
metre=m meter=m gram=g kilogram=kg second=s ampere=A kelvin=K mole=mol candela=cd hertz=Hz newton=N pascal=Pa joule=J
watt=W coulomb=C volt=V farad=F ohm=Ω siemens=S weber=Wb tesla=T henry=H degreeCelsius=°C celsius=°C lumen=lm lux=lx
becquerel=Bq gray=Gy sievert=Sv katal=kat radian=rad steradian=sr minute=min hour=h day=d hectare=ha litre=L liter=L
tonne=t electronvolt=eV dalton=Da decibel=dB percent=\% degree=° arcminute=′ arcsecond=″ angstrom=Å bar=bar bit=bit
cm=cm eV=eV g=g GHz=GHz Hz=Hz J=J K=K kg=kg kHz=kHz kJ=kJ km=km kW=kW m=m mg=mg MHz=MHz mL=mL mm=mm mol=mol ms=ms nm=nm
Pa=Pa s=s V=V W=W
""".split()  # noqa: SIM905
    )
}
_PREFIXES = {
    f"\\{name}": symbol
    for name, _, symbol in (
        entry.partition("=")
        for entry in """
femto=f pico=p nano=n micro=µ milli=m centi=c deci=d deca=da hecto=h kilo=k mega=M giga=G tera=T peta=P
""".split()  # noqa: SIM905
    )
}
_POWERS = {r"\squared": "2", r"\cubed": "3", r"\square": "2", r"\cubic": "3"}
_UNIT = re.compile(
    r"(?P<word>\\[A-Za-z]+)|(?P<letters>[A-Za-zµΩ°Å]+|\\%)|\^\s*(?:\{(?P<braced>-?\d+)\}|(?P<power>\d))|(?P<over>/)|[.~\s]|\\[,\s]"
)
_AMOUNT = re.compile(r"([+-]?)(\d*)(?:[.,](\d+))?(?:(\(\d+\))|(?:\+-|\\pm)(\d+(?:\.\d+)?))?(?:[eEdD]([+-]?\d+))?")
# Parts of mhchem's formulas.
_REACTION = re.compile(
    r"\s*(?P<arrow><=>|<->|->|<-)(?:\[(?P<over>[^\]]*)\])?(?:\[(?P<under>[^\]]*)\])?\s*|(?P<plus>\s\+\s)"
    r"|(?:^|(?<=\s))(?:(?P<gas>\^)|(?P<solid>v))(?=\s|$)|(?:^|(?<=[\s*.(\[]))(?P<amount>\d+(?:[./]\d+)?)\s*(?=[A-Za-z(\[^_])"
    r"|(?P<letters>[A-Za-z]+)|(?P<number>\d+)|[_^]\{(?P<braced>[^{}]*)\}|\^(?P<raised>\d*[+-]|\d+)|_(?P<lowered>\d+)"
    r"|(?P<charge>[+-])(?=\s|[)\]]|$)|(?P<bond>[-=]|\\#)|(?P<bracket>[()\[\]])|(?P<dot>\s?[*.]\s?)|(?P<space>\s+)"
)
_REACTIONS = {"->": r"\xrightarrow", "<-": r"\xleftarrow", "<->": r"\xleftrightarrow", "<=>": r"\xrightleftharpoons"}


def write_quantity(kinds: str, arguments: list[str]) -> str:
    """Return a number, a unit, both or an angle as a formula; `kinds` has a letter for each argument."""
    parts = [{"n": _number, "u": _units, "a": _angle}[kind](text) for kind, text in zip(kinds, arguments, strict=True)]
    is_close = parts[-1].startswith((r"\mathrm{°}", r"\mathrm{′}", r"\mathrm{″}"))
    return "{" + ("" if is_close else r"\,").join(parts) + "}"


def _number(text: str) -> str:
    found = _AMOUNT.fullmatch(text.replace(" ", ""))
    if found is None or not text.strip():
        raise UnsettableError(f"the number {text!r} needs pdfTeX")
    sign, whole, part, digits, tolerance, power = found.groups(default="")
    if len(whole) > 4:
        whole = re.sub(r"(?<=\d)(?=(?:\d{3})+$)", r"\\,", whole)
    if len(part) > 4:
        part = r"\,".join(part[k : k + 3] for k in range(0, len(part), 3))
    number = sign + (f"{whole or 0}.{part}" if part else whole) + digits + (rf"\pm {tolerance}" if tolerance else "")
    return number + (r"\times " * bool(whole or part) + f"10^{{{power}}}" if power else "")


def _angle(text: str) -> str:
    parts = text.split(";")
    if len(parts) > 3:
        raise UnsettableError(f"the angle {text!r} needs pdfTeX")
    signs = (r"^{\circ}", r"^{\prime}", r"^{\prime\prime}")
    return "".join(f"{{{_number(part)}}}{sign}" for part, sign in zip(parts, signs, strict=False) if part.strip())


def _units(text: str) -> str:
    parts: list[list[str]] = []
    prefix, sign, power = "", "", ""
    at = 0
    while at < len(text):
        found = _UNIT.match(text, at)
        if found is None:
            raise UnsettableError(f"the unit {text!r} needs pdfTeX")
        at = found.end()
        word = found["word"]
        if word in _PREFIXES:
            prefix += _PREFIXES[word]
        elif word == r"\per":
            sign = "-"
        elif word in (r"\square", r"\cubic"):
            power = _POWERS[word]
        elif word in _POWERS or found["braced"] or found["power"]:
            if not parts or parts[-1][0] == "/":
                raise UnsettableError(f"the unit {text!r} needs pdfTeX")
            parts[-1][1] = parts[-1][1].replace("1", "") + (
                _POWERS.get(word or "") or found["braced"] or found["power"]
            )
        elif word in _UNITS or found["letters"]:
            parts.append([prefix + (_UNITS[word] if word else found["letters"]), sign + (power or "1" * bool(sign))])
            prefix, sign, power = "", "", ""
        elif found["over"]:
            parts.append(["/", ""])
        elif word:
            raise UnsettableError(f"the unit {word} is not known")
    units = [rf"\mathrm{{{name}}}" + (f"^{{{power}}}" if power else "") for name, power in parts]
    return re.sub(r"\\,\\mathrm{/}\\,", "/", r"\,".join(units))


def write_reaction(text: str) -> str:
    r"""Return what \ce of mhchem has as a formula."""
    out: list[str] = []
    at = 0
    while at < len(text):
        found = _REACTION.match(text, at)
        if found is None:
            raise UnsettableError(rf"\ce{{{text}}} needs pdfTeX")
        at, kind, part = found.end(), found.lastgroup, found[0]
        if found["arrow"]:
            over, under = (write_reaction(found[name] or "") for name in ("over", "under"))
            out.append(f"{_REACTIONS[found['arrow']]}{f'[{under}]' * bool(under)}{{{over}}}")
        elif kind == "plus":
            out.append("+")
        elif kind == "amount":
            over, _, under = found["amount"].partition("/")
            out.append((rf"\tfrac{{{over}}}{{{under}}}" if under else over) + r"\,")
        elif kind == "letters":
            out.append(rf"\mathrm{{{part}}}")
        elif kind in ("number", "lowered"):
            out.append(f"_{{{part.lstrip('_')}}}")
        elif kind in ("raised", "charge"):
            out.append(f"^{{{part.lstrip('^')}}}")
        elif kind == "braced":
            out.append(rf"{part[0]}{{\mathrm{{{found['braced']}}}}}")
        elif kind in ("gas", "solid"):
            out.append(r"\uparrow " if kind == "gas" else r"\downarrow ")
        else:
            signs = {"bond": {"-": "{-}", "=": "{=}"}.get(part, r"{\equiv}"), "dot": r"{\cdot}", "space": r"\,"}
            out.append(signs.get(kind or "", part))
    return "".join(out)
