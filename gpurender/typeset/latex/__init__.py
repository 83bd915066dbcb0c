"""LaTeX to boxes: formulas and tables as placed glyphs and rules, by one of several engines."""
