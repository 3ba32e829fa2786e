"""Matrix products of float32 numbers on a CPU: exact, or by the processor's bfloat16 units."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import torch

from learner.errors import ModelError
from learner.models.processor import CPU_INFO, has_bfloat16


def set_products(
    precision: Literal["float32", "bfloat16"], device: torch.device, cpu_info: Path = CPU_INFO
) -> None:
    """Have this process multiply float32 matrices so, in forward and backward passes.

    In bfloat16 each factor is rounded to 8 bits of precision and the sum is in float32; weights,
    activations and gradients stay float32. Attention's own kernel stays exact. oneDNN 3.12 rounds
    with AMX only: on a processor that has avx512_bf16 alone it multiplies in float32, and on an AMD
    EPYC still in half the time of the library that multiplies otherwise.

    Raises:
        ModelError: bfloat16, on a GPU or on a processor that lacks it.
    """
    if precision == "bfloat16":
        if device.type != "cpu":
            raise ModelError(
                "learner.cpu_products bfloat16 is for a learner on a CPU: on a GPU set "
                "learner.dtype bfloat16"
            )
        if not has_bfloat16(cpu_info):
            raise ModelError(
                "learner.cpu_products bfloat16: this processor has no bfloat16 products (amx_bf16, "
                "avx512_bf16); they would be slower than float32: set cpu_products float32"
            )
    _matmul().fp32_precision = "bf16" if precision == "bfloat16" else "ieee"


@contextmanager
def products(precision: Literal["ieee", "bf16"]) -> Iterator[None]:
    """Within the context float32 matrices are multiplied so, by oneDNN's name of the precision."""
    setting = _matmul()
    before, setting.fp32_precision = setting.fp32_precision, precision
    try:
        yield
    finally:
        setting.fp32_precision = before


def _matmul() -> Any:
    return cast(Any, torch.backends.mkldnn).matmul
