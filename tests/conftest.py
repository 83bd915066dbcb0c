"""Shared set-up: Triton kernels run in Triton's interpreter where no GPU is."""

import os

import torch

# Read when kernels are imported, so it must stand before any of them is.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
