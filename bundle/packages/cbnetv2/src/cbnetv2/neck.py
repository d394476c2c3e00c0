"""A feature pyramid for backbones that return one set of maps for each of their networks."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.models.builder import NECKS
from mmdet.models.necks.fpn import FPN
from torch import Tensor

Pyramid = tuple[Tensor, ...]


@NECKS.register_module()
class CBFPN(FPN):  # type: ignore[misc]  # mmdet has no types
    """mmdet's FPN, its one set of weights run on the assistant's and on the lead's maps.

    Takes the words of `FPN`.
    """

    def forward(self, inputs: Sequence[Tensor] | Sequence[Sequence[Tensor]]) -> Pyramid | list[Pyramid]:
        """Make pyramids.

        Args:
            inputs: one set of maps for each network, the lead's last; or, from an ordinary backbone, the
                maps themselves.

        Returns:
            In training one pyramid for each set. In evaluation the lead's alone. For plain maps their
            pyramid, as `FPN` does.
        """
        if isinstance(inputs[0], Tensor):
            plain: Pyramid = super().forward(inputs)
            return plain
        if not self.training:
            lead: Pyramid = super().forward(inputs[-1])
            return lead
        return [FPN.forward(self, maps) for maps in inputs]
