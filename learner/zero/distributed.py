"""The learner's process group: one or more ranks, on GPUs or CPUs."""

import logging
import os
from functools import cache
from typing import Any

import torch

from learner.errors import LearnerError


@cache
def load_deepspeed() -> Any:
    """The module `deepspeed`, for the CPU if there is no GPU, and so that it compiles no extension.

    The one import of DeepSpeed in this package: it takes seconds, and its environment must be set
    before.
    """
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import deepspeed.ops
    from deepspeed.utils import logger

    # Compiling this one takes 25 to 50 s, and each killed process leaks its shared memory.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    logger.setLevel(logging.WARNING)
    return deepspeed


def init_distributed(rank: int, world_size: int, master_address: str, master_port: int) -> None:
    """Join the learner's process group: NCCL on GPUs, gloo on CPUs. Does nothing in a member.

    Args:
        rank: of this process, 0 .. world_size - 1.
        world_size: number of processes.
        master_address: host of rank 0.
        master_port: free TCP port on that host; 0, for a single rank only, is any free port.
    """
    if torch.distributed.is_initialized():
        return
    devices = torch.cuda.device_count()
    os.environ.update(
        RANK=str(rank),
        WORLD_SIZE=str(world_size),
        LOCAL_RANK=str(rank % devices if devices else rank),
        LOCAL_SIZE=str(world_size),
        MASTER_ADDR=master_address,
        MASTER_PORT=str(master_port),
    )
    if devices:
        torch.cuda.set_device(rank % devices)
    load_deepspeed().init_distributed(
        "nccl" if devices else "gloo", auto_mpi_discovery=False, verbose=False
    )


def ensure_distributed() -> tuple[int, int]:
    """Rank and world size; joins the group named by the environment (torchrun), or a group of one.

    Raises:
        LearnerError: the environment names several ranks but not the address of rank 0.
    """
    if not torch.distributed.is_initialized():
        world_size = int(os.environ.get("WORLD_SIZE", "1"))
        if world_size == 1:
            init_distributed(0, 1, "127.0.0.1", 0)
        elif "MASTER_ADDR" in os.environ and "MASTER_PORT" in os.environ:
            address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            init_distributed(int(os.environ["RANK"]), world_size, address, port)
        else:
            raise LearnerError(
                f"WORLD_SIZE is {world_size}, but MASTER_ADDR and MASTER_PORT are not set: "
                "start with torchrun, or call init_distributed first"
            )
    return torch.distributed.get_rank(), torch.distributed.get_world_size()


def device() -> torch.device:
    """The device of this rank."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def torch_dtype(name: str) -> torch.dtype:
    """The dtype of a configuration's `dtype`; "auto" is bfloat16 on a GPU and float32 on a CPU."""
    if name == "auto":
        name = "bfloat16" if torch.cuda.is_available() else "float32"
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]


def sum_over_ranks(values: torch.Tensor) -> torch.Tensor:
    """`values` summed over all ranks, in place."""
    if torch.distributed.get_world_size() > 1:
        torch.distributed.all_reduce(values)
    return values


def max_over_ranks(values: torch.Tensor) -> torch.Tensor:
    """`values` maximised over all ranks, in place."""
    if torch.distributed.get_world_size() > 1:
        torch.distributed.all_reduce(values, op=torch.distributed.ReduceOp.MAX)
    return values


def barrier() -> None:
    """Wait for all ranks."""
    if torch.distributed.get_world_size() > 1:
        torch.distributed.barrier()
