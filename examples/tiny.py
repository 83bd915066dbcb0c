"""A tokenizer and models of the Qwen-VL families, made on the spot: real classes, few random weights, no download.

    import tiny
    tokenizer = tiny.tokenizer(texts)
    model = tiny.model(tokenizer, "qwen2_5_vl")

They take what the real ones take, so that code which runs with them runs with a checkpoint too. They have nothing of a
checkpoint's knowledge: they are for examples and tests, on a CPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

FAMILIES = ("qwen2_5_vl", "qwen3_vl", "qwen3_5")
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# How the families cut a text before they merge bytes: contractions, words, single digits, signs, white space.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# What the families' own templates write, for texts, images and videos: `content` is a string or a list of parts.
CHAT_TEMPLATE = """
{%- for message in messages -%}
    {%- if loop.first and message.role != 'system' -%}
        {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' -}}
    {%- endif -%}
    {{- '<|im_start|>' + message.role + '\\n' -}}
    {%- if message.content is string -%}
        {{- message.content -}}
    {%- else -%}
        {%- for part in message.content -%}
            {%- if part.type in ('image', 'image_url') or 'image' in part or 'image_url' in part -%}
                {{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
            {%- elif part.type == 'video' or 'video' in part -%}
                {{- '<|vision_start|><|video_pad|><|vision_end|>' -}}
            {%- elif 'text' in part -%}
                {{- part.text -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
    {{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def tokenizer(texts: Iterable[str], *, vocabulary: int = 2000) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer with the families' special tokens and chat template.

    Args:
        texts: What it is trained on. Any text can be encoded; one unlike these takes more tokens.
        vocabulary: Tokens, at most: the 8 special ones, 256 bytes, and merges.
    """
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<|endoftext|>",
        eos_token="<|im_end|>",
        extra_special_tokens=list(SPECIAL),
        chat_template=CHAT_TEMPLATE,
        padding_side="right",
        model_max_length=8192,
    )


def texts(value: Any) -> Iterator[str]:
    """All strings in a record of any shape, to train a tokenizer on."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


def model(tokenizer: Any, family: str = "qwen2_5_vl", *, seed: int = 0) -> Any:
    """A model of a family for conditional generation, of some 900,000 random weights, the same for a seed.

    Args:
        tokenizer: Its special tokens are the model's.
        family: `"qwen2_5_vl"`, `"qwen3_vl"` or `"qwen3_5"`.
        seed: Any integer.

    Raises:
        ValueError: No such family.
    """
    import transformers

    kinds = {
        "qwen2_5_vl": ("Qwen2_5_VL", _qwen2_5_vl),
        "qwen3_vl": ("Qwen3VL", _qwen3_vl),
        "qwen3_5": ("Qwen3_5", _qwen3_5),
    }
    if family not in kinds:
        raise ValueError(f"family must be one of {', '.join(kinds)}, not {family!r}")
    name, sizes = kinds[family]
    text, vision = sizes()
    token = tokenizer.convert_tokens_to_ids
    config = getattr(transformers, f"{name}Config")(
        text_config=TEXT
        | text
        | {
            "vocab_size": len(tokenizer),
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config=VISION | vision,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )
    # The caller's own random numbers stay where they are.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return getattr(transformers, f"{name}ForConditionalGeneration")(config)


# What the families share.
TEXT = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 8192,
}
VISION = {"depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "out_hidden_size": 128}


def _qwen2_5_vl() -> tuple[dict[str, Any], dict[str, Any]]:
    # Each half of a head's 32 numbers is turned by time, height and width.
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]}
    return {"rope_parameters": rope}, {"fullatt_block_indexes": [1]}


def _qwen3_vl() -> tuple[dict[str, Any], dict[str, Any]]:
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [6, 5, 5], "mrope_interleaved": True}
    return {"rope_parameters": rope, "head_dim": 32}, {"num_position_embeddings": 256, "deepstack_visual_indexes": [0]}


def _qwen3_5() -> tuple[dict[str, Any], dict[str, Any]]:
    rope = {
        "rope_type": "default",
        "rope_theta": 1e7,
        "partial_rotary_factor": 0.5,
        "mrope_section": [4, 2, 2],
        "mrope_interleaved": True,
    }
    linear = {
        "linear_key_head_dim": 32,
        "linear_value_head_dim": 32,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "layer_types": ["linear_attention", "full_attention"],
    }
    return {"rope_parameters": rope, "head_dim": 32} | linear, {"num_position_embeddings": 256}
