"""LoMo: text records become interleaved records, text, image, text; the answer stays."""

from gpurender.lomo.localize import Segment, localize
from gpurender.lomo.substitute import Interleaved, LoMo, Outcome

__all__ = ["Interleaved", "LoMo", "Outcome", "Segment", "localize"]
