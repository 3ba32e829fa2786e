"""Environment variables of processes with and without a GPU."""

from __future__ import annotations

from collections.abc import Mapping

from actors.errors import RunFailed

NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
"""For an actor without a GPU, which Ray would let see every GPU of its node."""

_ALLOCATOR = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")


def nccl_env(driver: Mapping[str, str]) -> dict[str, str]:
    """NCCL's variables for every process with a GPU: the driver's, whatever node it runs on.

    NCCL does not reconcile them: where one end maps memory by cuMem and the other does not, the
    first collective hangs. `NCCL_CUMEM_ENABLE` is 0 unless the driver sets it, because vLLM's sleep
    mode maps memory itself.
    """
    given = {name: value for name, value in driver.items() if name.startswith("NCCL_")}
    return {"NCCL_CUMEM_ENABLE": "0"} | given


def check_allocator(environment: Mapping[str, str]) -> None:
    """Refuse an allocator whose memory no other process can open, as the ipc transport must.

    Raises:
        RunFailed: names the variable.
    """
    for name in _ALLOCATOR:
        if "expandable_segments:true" in environment.get(name, "").lower().replace(" ", ""):
            raise RunFailed(
                f"{name} turns expandable_segments on, and memory of such segments cannot be "
                f"shared with the engine on the same GPU (weights.backend ipc): unset it, or set "
                f"placement.colocate false"
            )
