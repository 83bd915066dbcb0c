"""For a training loop: plan in workers, pixels on the device.

collator = Collator(tokenizer, profiles.qwen2_5_vl())
loader = DataLoader(records, batch_size=8, num_workers=2, collate_fn=collator, pin_memory=True)
for batch in PrefetchLoader(loader, device="cuda"):
    loss = model(**batch).loss
"""

from gpurender.feed import profiles
from gpurender.feed.collator import Collator
from gpurender.feed.planned import Planned, Problem
from gpurender.feed.prefetch import PrefetchLoader
from gpurender.feed.text_to_image import TextToImage

__all__ = ["Collator", "Planned", "PrefetchLoader", "Problem", "TextToImage", "profiles"]
