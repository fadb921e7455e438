"""Networks that do not fit: each process keeps a share of every parameter, and of what follows it.

A block's parameters are gathered before it computes and let go after it; gradients are added up and
cut into shares again in the backward pass. Files hold whole tensors, so a run can go on with
another number of processes, or with one.

Axes: a tensor is cut along its first.

Source: Zhao et al. (2023), "PyTorch FSDP: experiences on scaling fully sharded data parallel";
torch's ``fully_shard``. Its modules take half a second to import, so the functions import them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from skipwise.strategies import Strategy
from skipwise.training.processes import World


def can_shard(world: World, strategy: Strategy, *, resumed: bool) -> bool:
    """Whether there is anybody to share with.

    Args:
        world: The processes.
        strategy: How they train.
        resumed: Whether a run goes on, which may have had more processes.

    Raises:
        ValueError: If sharing was asked for where it cannot be.
    """
    if strategy.averaging is not None:
        raise ValueError(
            "shard and strategy.averaging do not go together: the average is a second, whole"
            " network; leave one of them out"
        )
    if not strategy.optimiser.is_elementwise:
        raise ValueError(
            f"shard and {type(strategy.optimiser).__name__} do not go together: it looks at whole"
            " parameters; leave shard out, or take SGD or AdamW"
        )
    if world.size == 1 and not resumed:
        raise ValueError("shard needs several processes; start them with torchrun")
    return world.size > 1


def repeated_blocks(model: nn.Module) -> list[nn.Module]:
    """List the outermost modules that repeat in a ``Sequential`` or a list.

    Each is computed by its own forward pass, so it can be gathered when that begins. Single layers
    are listed only where nothing larger repeats, and nothing where two modules share a parameter,
    which is cut once only.
    """
    names = [name for name, _ in model.named_parameters(remove_duplicate=False)]
    if len(names) > len(list(model.parameters())):
        return []
    boxes = [box for box in model.modules() if isinstance(box, nn.Sequential | nn.ModuleList)]
    items = [part for box in boxes for part in box if any(True for _ in part.parameters())]
    items = [part for part in items if not isinstance(part, nn.ModuleList | nn.ModuleDict)]
    kinds = Counter(type(part) for part in items)
    blocks = [part for part in items if kinds[type(part)] > 1]
    inner = {within for block in blocks for within in block.modules() if within is not block}
    outer = [block for block in blocks if block not in inner]
    return [block for block in outer if any(True for _ in block.children())] or outer


def sharded(
    model: nn.Module, blocks: Iterable[nn.Module], world: World, device: torch.device
) -> nn.Module:
    """Cut the parameters into shares, block by block, then those that belong to no block.

    Args:
        model: The network, on the CPU; changed in place.
        blocks: What is gathered at once.
        world: The processes.
        device: Where the shares go; only one block at a time is there as a whole.

    Raises:
        ValueError: If a parameter has no axis to be cut along.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    single = next((name for name, p in model.named_parameters() if p.dim() == 0), None)
    if single is not None:
        raise ValueError(
            f"shard cuts parameters along their first axis, and {single} is a single number; leave"
            " shard out, or take a network without such parameters"
        )

    mesh = init_device_mesh(device.type, (world.size,))
    for part in (*blocks, model):
        fully_shard(part, mesh=mesh)
    return model.to(device)


def add_up(model: nn.Module, *, now: bool) -> None:
    """Say whether the next backward pass adds gradients up over the processes."""
    from torch.distributed.fsdp import FSDPModule

    assert isinstance(model, FSDPModule)
    model.set_requires_gradient_sync(now)


def whole(tree: Any, *, kept: bool = True) -> Any:
    """Gather every share in a tree of dictionaries and lists; all processes call it together.

    Args:
        tree: Tensors and plain values at any depth.
        kept: Whether this process wants what is gathered; if not it holds one tensor at a time, and
            None is left in its place.
    """
    if isinstance(tree, Mapping):
        return {name: whole(value, kept=kept) for name, value in tree.items()}
    if isinstance(tree, list):
        return [whole(value, kept=kept) for value in tree]
    if not _is_share(tree):
        return tree
    gathered = whole_tensor(tree)
    return gathered.cpu() if kept else None


def whole_tensor(tensor: Tensor) -> Tensor:
    """Gather a share."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def own_share(tensor: Tensor) -> Tensor:
    """Give what of a tensor lies in this process."""
    from torch.distributed.tensor import DTensor

    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def cut_like(value: Tensor, like: Tensor) -> Tensor:
    """Cut a whole tensor into the shares that another one has."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def cut_weights(tensors: Mapping[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    """Cut whole parameters and buffers into a model's shares, by their names."""
    there = model.state_dict()
    return {n: cut_like(value, there[n]) if n in there else value for n, value in tensors.items()}


def cut_optimiser(state: Mapping[str, Any], optimiser: Optimizer) -> dict[str, Any]:
    """Cut an optimiser's whole state into the shares of its parameters."""
    owners = {
        number: parameter
        for saved, group in zip(state["param_groups"], optimiser.param_groups, strict=True)
        for number, parameter in zip(saved["params"], group["params"], strict=True)
    }
    return {
        **state,
        "state": {
            number: {
                name: cut_like(value, owners[number]) if isinstance(value, Tensor) else value
                for name, value in kept.items()
            }
            for number, kept in state["state"].items()
        },
    }


def _is_share(thing: Any) -> bool:
    from torch.distributed.tensor import DTensor

    return isinstance(thing, DTensor)
