"""Where and in which numbers a run computes."""

import ctypes
import os
import platform
import re
from collections import deque
from pathlib import Path

import torch
from torch import nn

PRECISIONS = ("auto", "float32", "bfloat16")
DEVICE = "SKIPWISE_DEVICE"


def choose_device() -> torch.device:
    """Give the device that SKIPWISE_DEVICE names; if it names none, the GPU if there is one.

    A GPU with a number becomes the current one of torch, whose events and streams lie there.

    Raises:
        ValueError: If it is not here.
    """
    gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    there = ["cpu", *(["cuda"] if gpus else []), *(f"cuda:{n}" for n in gpus)]
    word = os.environ.get(DEVICE) or ("cuda" if gpus else "cpu")
    if word not in there:
        raise ValueError(
            f"{DEVICE}={word} names no device that Skipwise can compute on here; there is"
            f" {', '.join(there)}"
        )
    device = torch.device(word)
    if device.index is not None:
        torch.cuda.set_device(device)
    return device


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 faster than float32.

    A processor does by AMX. By AVX-512 alone one of AMD does, while one of Intel multiplies half as
    many numbers a second as in float32. The answer is the same for every run on a machine, which a
    timing would not be.
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if torch.cpu._is_amx_tile_supported():
        return True
    return torch.cpu._is_avx512_bf16_supported() and "AuthenticAMD" in _processor()


def hardware(device: torch.device) -> str:
    """Name the GPU, or the processor as the system calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    found = re.search(r"^model name\s*: (.+)$", _processor(), re.MULTILINE)
    return found[1] if found else platform.processor() or platform.machine()


def _processor() -> str:
    """Give what the system says of its processor, its maker among it."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()


def autocast_type(
    precision: str, device: torch.device, *, exact: bool = False
) -> torch.dtype | None:
    """Turn ``auto``, ``float32`` or ``bfloat16`` into the type for autocast; None is float32.

    Args:
        precision: The word; ``auto`` is bfloat16 where the hardware is faster with it.
        device: The hardware.
        exact: Whether the three digits of bfloat16 would be seen in the output, as in regression;
            ``auto`` then stays with float32.
    """
    fast = precision == "auto" and not exact and has_fast_bfloat16(device)
    return torch.bfloat16 if fast or precision == "bfloat16" else None


def settle_kernels(device: torch.device) -> None:
    """Have a GPU repeat a step bit for bit, and compute in float32 what is not under autocast.

    cuDNN would otherwise take gradients of convolutions whose sums come in any order, which no
    resumed run could repeat, and round float32 to the ten bits of TF32.

    Args:
        device: The hardware; a processor needs none of it.
    """
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False


def keep_freed_memory() -> None:
    """Have the C library keep what is freed for what is asked for next, if it is glibc.

    Otherwise it gives large tensors back to the system at once, and every step pays for new pages:
    6 to 10 % of a step of ResNet-20 on two cores. The peak of memory stays what it is.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    trim_threshold, mmap_threshold = -1, -3
    mallopt(mmap_threshold, 32 << 20)  # the most that glibc takes
    mallopt(trim_threshold, 2**31 - 1)


class Leash:
    """Keeps the processor at most two steps ahead of a GPU, which never runs out of work by it.

    The seconds of a step are then those that the device takes, and not those of giving commands:
    what is fitted to a time, or chosen by it, can go by them.

    Args:
        device: Where the steps are computed; a CPU needs none.
    """

    AHEAD = 2

    def __init__(self, device: torch.device):
        self.device = device
        self._ends: deque[torch.cuda.Event] = deque()

    def pull(self) -> None:
        """Mark the end of a step, and wait for that of the one before the last."""
        if self.device.type != "cuda":
            return
        self._ends.append(torch.cuda.Event())
        self._ends[-1].record()
        if len(self._ends) > self.AHEAD:
            self._ends.popleft().synchronize()


def place_model(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a module to a device, 2-D kernels with channels last, which is fastest to read."""
    flat = all(tensor.dim() <= 4 for tensor in model.state_dict().values())
    moved = model.to(device=device)
    return moved.to(memory_format=torch.channels_last) if flat else moved
