"""Several processes, one run: who one is, what all agree on, sums over all of them.

torchrun starts the processes and says in the environment which is which. Each holds the whole
network and computes its share of every batch; gradients are added up while the backward pass runs
(gloo between processors, nccl between GPUs). One process is the world of size 1: it calls nothing
of torch.distributed and pays nothing.

Source: Li et al. (2020), "PyTorch Distributed: experiences on accelerating data parallel training".
"""

import atexit
import gc
import os
import re
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.modules.batchnorm import _BatchNorm as NORMS
from torch.nn.parallel import DistributedDataParallel

from skipwise.training.device import DEVICE, choose_device

JOIN = timedelta(minutes=2)  # until all are there
ANSWER = timedelta(minutes=10)  # the longest that one may keep the others waiting
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a run, seen from one of them.

    Args:
        rank: Of this process; 0 alone writes and speaks.
        size: How many there are.
        local_rank: Of this process among those of its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def broadcast(self, value: T) -> T:
        """Give rank 0's value, plain or of tensors on the CPU, to all."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def largest(self, *numbers: int) -> tuple[int, ...]:
        """Give the largest over all processes, number by number."""
        if self.size == 1:
            return numbers
        found = torch.tensor(numbers)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return tuple(found.tolist())

    def surest(self, level: int, value: T) -> T:
        """Give all the plain value of that process whose level is highest, the first of them."""
        if self.size == 1:
            return value
        is_highest = self.largest(level) == (level,)
        (before,) = self.largest(self.size - self.rank if is_highest else 0)
        values = [value]
        dist.broadcast_object_list(values, src=self.size - before)
        return values[0]

    def sum(self, tensor: Tensor) -> Tensor:
        """Add a tensor up over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def each(self, tensor: Tensor) -> list[Tensor]:
        """Give every process's tensor, all of one shape, in the order of their ranks."""
        if self.size == 1:
            return [tensor]
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        dist.all_gather(found, tensor.contiguous())
        return found

    def share_buffers(self, model: nn.Module) -> None:
        """Give rank 0's buffers, the statistics of norms for example, to all."""
        if self.size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)


ALONE = World()


def named_world() -> World:
    """Read off torchrun's environment who this process is; alone where it says nothing.

    Raises:
        ValueError: If the environment contradicts itself.
    """
    names = {"rank": "RANK", "size": "WORLD_SIZE"}
    given = {field: os.environ.get(name, "") for field, name in names.items()}
    if not given["size"]:
        return ALONE
    local = os.environ.get("LOCAL_RANK") or given["rank"]
    if not all(text.isdigit() for text in (*given.values(), local)):
        raise ValueError(
            f"WORLD_SIZE={given['size']} needs RANK and LOCAL_RANK as whole numbers beside it;"
            " torchrun sets all of them"
        )
    rank, size = int(given["rank"]), int(given["size"])
    if not rank < size:
        raise ValueError(f"RANK={rank} must be less than WORLD_SIZE={size}; torchrun sets both")
    port = os.environ.get("MASTER_PORT") or "0"  # that there is none is said where it is needed
    if size > 1 and not (port.isdigit() and int(port) < 2**16):
        raise ValueError(
            f"MASTER_PORT={port} is no port, which is a whole number below 65536; torchrun sets it"
        )
    return World(rank=rank, size=size, local_rank=int(local))


def join(*, within: timedelta = JOIN) -> World:
    """Meet the other processes, once; whoever calls it again gets the same world.

    Args:
        within: How long to wait for the others.

    Raises:
        ValueError: If they cannot be met: a port is taken, or one of them is not there, or a GPU is
            named that is another process's.
    """
    world = named_world()
    if world.size == 1 or dist.is_initialized():
        return world
    device = choose_device()
    on_gpu = device.type == "cuda"
    place = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    try:
        store, _, _ = next(rendezvous("env://", world.rank, world.size, timeout=within))
        store.set_timeout(within)
    except (RuntimeError, ValueError) as error:
        if isinstance(error, RuntimeError):
            _unmet.append(world.rank)
        raise ValueError(_why_alone(str(error), place, world, within)) from None
    _stores.append(PrefixStore(f"told/{attempt()}", store))
    atexit.register(_leave)
    if on_gpu:  # what one alone may find, it tells, now that they know of each other
        take_gpu(device, world)
    try:
        dist.init_process_group(
            # Values that all agree on stay on the processors, so no GPU is waited for.
            "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
            store=PrefixStore(f"run/{attempt()}", store),
            rank=world.rank,
            world_size=world.size,
            timeout=ANSWER,
        )
    except (RuntimeError, ValueError) as error:
        raise ValueError(_why_alone(str(error), place, world, within)) from None
    return world


def take_gpu(device: torch.device, world: World) -> None:
    """Take the GPU of this process.

    Raises:
        ValueError: If there are too few, or one is named that is another process's.
    """
    if device.index not in (None, world.local_rank):
        raise ValueError(
            f"{DEVICE}={device} contradicts torchrun, which gives process {world.local_rank} of"
            f" this machine the GPU cuda:{world.local_rank}; set {DEVICE}=cuda, or leave it out"
        )
    if world.local_rank >= torch.cuda.device_count():
        raise ValueError(
            f"process {world.local_rank} of this machine has no GPU, there are"
            f" {torch.cuda.device_count()}; start fewer with --nproc-per-node"
        )
    torch.cuda.set_device(world.local_rank)


_stores: list[Store] = []  # the one by which processes know that another has spoken
_unmet: list[int] = []  # this process, if nobody was there who could speak


def _why_alone(error: str, place: str, world: World, within: timedelta) -> str:
    if re.search("EADDRINUSE|in use", error):
        return (
            f"the port of {place} is taken; set MASTER_PORT to another one,"
            " or give torchrun --standalone"
        )
    if "environment variable" in error:
        return f"{error.splitlines()[0]}; torchrun sets it"
    return (
        f"process {world.rank} of {world.size} did not meet the others at {place} within"
        f" {within.total_seconds():.0f} seconds: one of them did not start or ended,"
        " or something else answers there"
    )


def _leave() -> None:
    _stores.clear()
    gc.collect()  # a wrapper that lives on keeps threads of the group alive
    if dist.is_initialized():
        dist.destroy_process_group()


def attempt() -> int:
    """Count how often torchrun has started the processes anew."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


def job() -> str:
    """Name the job of torchrun that this process belongs to, the same after a restart; else ''."""
    run_id = os.environ.get("TORCHELASTIC_RUN_ID")
    if run_id is None:
        return ""
    agent = os.getppid()  # one and the same over all restarts
    stat = Path(f"/proc/{agent}/stat")
    began = stat.read_text().rpartition(")")[2].split()[19] if stat.exists() else ""
    return f"{run_id} {socket.gethostname()} {agent} {began}".strip()


def is_first_to_tell() -> bool:
    """Whether this process is the one that says what went wrong: the first that knows it."""
    if not _stores:
        rank, size = (os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE"))
        are_ranks = rank.isdigit() and size.isdigit() and int(rank) < int(size)
        return bool(_unmet) or not are_ranks or rank == "0" or dist.is_initialized()
    try:
        return _stores[0].add("error", 1) == 1
    except RuntimeError:
        return True  # the store is gone, with the process that held it


def is_loss_of_another(error: Exception) -> bool:
    """Whether an error means that another process ended or does not answer."""
    return isinstance(error, RuntimeError) and bool(
        re.search(r"gloo|NCCL|TCPStore|Connection (closed|reset)", str(error), re.IGNORECASE)
    )


def check_shares(world: World, *, batch: int, parts: int, held: Mapping[str, int]) -> None:
    """See that every process has something to do in every batch.

    Args:
        world: The processes.
        batch: Examples of a training batch.
        parts: Into which each process cuts its share.
        held: Examples of the parts that are evaluated, by name.

    Raises:
        ValueError: If there are too few examples.
    """
    if world.size == 1:
        return
    for name, count in held.items():
        if world.size > count:
            raise ValueError(
                f"the {name} part has {count} examples, too few for {world.size} processes;"
                f" start at most {count}"
            )
    if world.size > batch:
        raise ValueError(
            f"a batch of {batch} is too small for {world.size} processes;"
            f" start at most {batch}, or set a larger --batch-size if the data are enough"
        )
    if world.size * parts > batch:
        raise ValueError(
            f"a batch of {batch} cannot be cut into {parts} parts on each of {world.size}"
            " processes; set fewer --parts"
        )


def share_statistics(
    model: nn.Module, device: torch.device, world: World, *, synchronised: bool, resumed: bool
) -> tuple[nn.Module, tuple[str, ...]]:
    """Let norms see the whole batch, if they are to, and say what they see.

    Args:
        model: The network; its norms are replaced.
        device: Where it is computed.
        world: The processes.
        synchronised: Whether norms are to see the whole batch.
        resumed: Whether a run goes on; it may do so where nothing is or can be synchronised.

    Raises:
        ValueError: If a new run asks for it where it cannot be or has no effect.
    """
    has_norms = any(isinstance(part, NORMS) for part in model.modules())
    if synchronised and not resumed:
        _check_synchronised(device, world, has_norms=has_norms)
    if world.size == 1 or not has_norms:
        return model, ()
    if synchronised and device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model), ()
    return model, (
        f"each of the {world.size} processes normalises by the statistics of its own share of a"
        " batch; evaluations and saves take those of rank 0",
    )


def _check_synchronised(device: torch.device, world: World, *, has_norms: bool) -> None:
    if world.size == 1:
        raise ValueError(
            "--sync-norms needs several processes; start them with torchrun, or leave it out"
        )
    if not has_norms:
        raise ValueError(
            "--sync-norms has no effect on a network without batch norms; leave it out"
        )
    if device.type != "cuda":
        raise ValueError("--sync-norms needs GPUs: torch synchronises batch norms only there")


def replicated(model: nn.Module) -> nn.Module:
    """Wrap a network so that the backward pass adds up its gradients over all processes.

    The wrapper divides by their number. That parameters may be unused costs a walk over the graph,
    and keeps the buckets, and with them the order of sums, as they are: a resumed run is exact.
    """
    # Its name of today is not known to older versions of torch.
    warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")
    return DistributedDataParallel(
        model, broadcast_buffers=False, find_unused_parameters=True, gradient_as_bucket_view=True
    )


@contextmanager
def adding_up(model: nn.Module | None, *, now: bool) -> Iterator[None]:
    """Add gradients up over the processes in this backward pass, or leave it for a later one."""
    if now or not isinstance(model, DistributedDataParallel):
        yield
    else:
        with model.no_sync():
            yield
