"""Named distortions. The LoMo paper names the operations and gives no numbers; these are ours, see README's table."""

from __future__ import annotations

from gpurender.distort.op import Clean, OneOf, Op
from gpurender.distort.ops import BoxBlur, EdgeShadow, GaussianBlur, MotionBlur, Rotate, Stain, Wave

__all__ = ["PRESETS", "harsh", "lomo", "mild"]


def mild(*, expand: bool = True) -> Op:
    """What an OCR engine still reads: at most 2 % of characters wrong with any operation.

    Args:
        expand: Let canvases grow with rotations and waves; else images keep their sizes.
    """
    return OneOf(
        [
            Clean(),
            Rotate((-5, 5), expand=expand),
            OneOf([GaussianBlur((0.4, 1.3)), BoxBlur(3), MotionBlur((3, 5))]),
            OneOf([EdgeShadow((0.1, 0.4), (0.2, 0.6)), Stain((1, 4), (20, 60), (0.2, 0.5))]),
            Wave((0.5, 2), (250, 500), expand=expand),
        ]
    )


def lomo(*, expand: bool = True) -> Op:
    """LoMo's third stage: one of clean, rotate, blur, shadow or stain, wave, each as often; read at a glance.

    Args:
        expand: As of :func:`mild`.
    """
    return OneOf(
        [
            Clean(),
            OneOf([Rotate((-5, 5), expand=expand), Rotate((-20, 20), expand=expand)]),
            OneOf([GaussianBlur((0.5, 1.6)), BoxBlur((3, 5)), MotionBlur((3, 7))]),
            OneOf([EdgeShadow((0.2, 0.6), (0.2, 0.8)), Stain((2, 6), (20, 70), (0.3, 0.8))]),
            Wave((1, 4), (200, 400), expand=expand),
        ]
    )


def harsh(*, expand: bool = True) -> Op:
    """Beyond what is easily read: one operation, strong, and no image clean.

    Args:
        expand: As of :func:`mild`.
    """
    return OneOf(
        [
            OneOf([Rotate((-45, 45), expand=expand), Rotate((-180, 180), expand=expand)]),
            OneOf([GaussianBlur((1.5, 2.5)), BoxBlur((5, 7)), MotionBlur((7, 11))]),
            OneOf([EdgeShadow((0.5, 0.9), (0.4, 1)), Stain((4, 10), (30, 90), (0.6, 1))]),
            Wave((4, 9), (120, 300), expand=expand),
        ]
    )


PRESETS = {"lomo": lomo, "mild": mild, "harsh": harsh}
