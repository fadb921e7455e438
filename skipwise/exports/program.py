"""The network with all that stands around it: from raw examples to probabilities."""

from typing import final

from torch import Tensor, nn

from skipwise.data import CLASSES, LABELS, Preprocessing, Views, mean_over_views
from skipwise.exports.resize import Fit


@final
class Program(nn.Module):
    """Raw examples in, probabilities out: what an exported file computes.

    Pictures are read as Pillow and numpy give them, uint8 with channels last: shape ``(batch,
    height, width, channels)``. Other examples are float32 in the shape of the training.

    Args:
        network: In evaluation mode.
        preprocessing: Normalisation, and the size of pictures.
        task: Softmax for one class, sigmoid for several labels; regression gives its numbers in
            the units of the target.
        views: Over which views of a picture the outputs are averaged, or None.
        pictures: Whether it reads pictures in uint8.
        resize: Whether pictures of any size are read and resized inside.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        *,
        task: str,
        views: Views | None = None,
        pictures: bool = True,
        resize: bool = False,
    ):
        super().__init__()
        self.network = network
        self.preprocessing, self.task, self.views = preprocessing, task, views
        self.pictures = pictures
        self.fit = Fit(preprocessing.size) if resize else nn.Identity()

    def forward(self, examples: Tensor) -> Tensor:
        """Give probabilities, shape ``(batch, classes)``, or numbers ``(batch, *outputs)``."""
        if self.pictures:
            examples = self.fit(examples.permute(0, 3, 1, 2))
        outputs = mean_over_views(self.network, self.preprocessing(examples), self.views).float()
        if self.task == CLASSES:
            return outputs.softmax(1)
        if self.task == LABELS:
            return outputs.sigmoid()
        return self.preprocessing.unscaled(outputs)
