"""Where tensors lie: a copy to a GPU must not wait, and what fits there need not be copied."""

import torch
from torch import Tensor

CPU = torch.device("cpu")
SHARE = 0.5  # of a GPU's free memory that the training part may take


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """Give a tensor on a device, without waiting: to a GPU from pages that stay in place."""
    if tensor.device.type == device.type:
        return tensor
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def fits(size: int, device: torch.device) -> bool:
    """Say whether so many bytes may lie on a device for the whole run; only a GPU is asked."""
    return device.type == "cuda" and size <= SHARE * torch.cuda.mem_get_info(device)[0]
