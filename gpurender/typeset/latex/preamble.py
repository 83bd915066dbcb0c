"""What stands before the body wherever TeX sets an item: packages, and what prompts expect beyond them."""

from __future__ import annotations

from importlib.resources import files

__all__ = ["PREAMBLE"]

# In the server's own file, up to the macros that serve.
PREAMBLE = (files("gpurender.typeset.latex") / "server.tex").read_text(encoding="utf-8").partition("% ---- Items")[0]
