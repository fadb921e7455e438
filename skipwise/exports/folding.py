"""BatchNorm folded into the convolution or linear map before it: fewer operations, same function.

In evaluation ``N(W·x + b) = s·W·x + s·(b − μ) + β`` with ``s = γ/√(σ² + ε)``: the norm is a factor
and an offset per channel, which the layer before it takes in. That needs the norm to stand right
behind the layer, to be alone in reading it and to go by the channels that it makes. So every norm
of a post-activation network (v1) folds; of a pre-activation one (v2) those that read the stream
stay, since a sum stands before them.
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from skipwise.layers import CONVOLUTIONS


@dataclass(frozen=True, kw_only=True)
class Folding:
    """What was folded.

    Args:
        folded: Number of norms that are gone.
        kept: Number of norms that stay.
        difference: The largest that folding makes in an output of the example.
    """

    folded: int
    kept: int
    difference: float = 0.0

    def __str__(self) -> str:
        if not self.folded + self.kept:
            return "there is no BatchNorm to fold"
        text = f"{self.folded} of {self.folded + self.kept} BatchNorms folded into the layer before"
        if self.folded:
            text += f", which changes outputs by at most {self.difference:.1e}"
        if self.kept:
            text += (
                f"; {self.kept} stay, for none stands right behind a layer of its own and goes by"
                " the channels of that"
            )
        return text


def fold(model: nn.Module, example: Tensor) -> tuple[nn.Module, Folding]:
    """Give a copy of a module, in evaluation mode, without the norms that can be folded.

    Which norm reads which layer is seen in the graph of the computation, so any module of a user's
    own will do. A layer that is used twice, or read by others too, keeps its norm, and so
    does a linear map of sequences, whose norm goes by another axis.

    Args:
        model: Any module that ``torch.export`` can follow.
        example: An input.

    Returns:
        The copy, and what was folded.
    """
    model = deepcopy(model).eval()
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
    if not norms:
        return model, Folding(folded=0, kept=0)
    pairs = _pairs(torch.export.export(model, (example,)), model)
    with torch.no_grad():
        before = model(example)
        for layer, norm in pairs:
            _fuse(model, layer, norm)
        difference = float((model(example) - before).abs().max())
    kept = len(norms) - len(pairs)
    return model, Folding(folded=len(pairs), kept=kept, difference=difference)


def _pairs(program: ExportedProgram, model: nn.Module) -> list[tuple[str, str]]:
    """Name the layers and the norms that read them, and nothing but them."""
    tensors = {
        **program.graph_signature.inputs_to_parameters,
        **program.graph_signature.inputs_to_buffers,
    }

    def module_of(node: object) -> str:
        """Name the module whose tensor this is, if the computation uses it once."""
        if not isinstance(node, Node) or len(node.users) != 1:
            return ""
        return tensors.get(node.name, "").rpartition(".")[0]

    found = []
    for node in program.graph.nodes:
        if node.target != torch.ops.aten.batch_norm.default:
            continue
        before, mean = node.args[0], node.args[3]
        layer, norm = module_of(before.args[1] if len(before.args) > 1 else None), module_of(mean)
        alone = len(before.users) == 1 and layer and norm
        if not alone or not _can_fuse(model.get_submodule(layer), model.get_submodule(norm)):
            continue
        # A norm goes by axis 1. The layer makes its channels there if its output has as many axes
        # as its weight: a linear map of sequences makes them along a later one.
        if before.meta["val"].dim() == before.args[1].meta["val"].dim():
            found.append((layer, norm))
    return found


def _can_fuse(layer: nn.Module, norm: nn.Module) -> bool:
    return isinstance(layer, (*CONVOLUTIONS, nn.Linear)) and isinstance(norm, _BatchNorm)


def _fuse(model: nn.Module, layer: str, norm: str) -> None:
    fused, second = deepcopy(model.get_submodule(layer)), model.get_submodule(norm)
    assert isinstance(fused, (*CONVOLUTIONS, nn.Linear))
    assert isinstance(second, _BatchNorm)
    assert second.running_mean is not None
    assert second.running_var is not None
    # Those of a convolution are a linear map's too, and may lack γ and β.
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight,
        fused.bias,
        second.running_mean,
        second.running_var,
        second.eps,
        second.weight,
        second.bias,
    )
    for name, module in ((layer, fused), (norm, nn.Identity())):
        parent, _, own = name.rpartition(".")
        setattr(model.get_submodule(parent), own, module)
