"""Names of ImageNet checkpoints, turned into those of OpenMMLab's networks.

The hosts' ResNets have torchvision's names; their MobileNetV2 have others. The networks of `backbones.create_model`
have torchvision's, `mmconfigs/cls` writes `network.` before them, and SlimConv's authors call the parts of a SlimConv
otherwise (:mod:`backbones.adapters.official`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.logging import print_log

from backbones.adapters.official import official_to_ours

_CLASSIFIER = ("fc", "classifier")
_FEATURE = re.compile(r"^features\.(?P<index>\d+)\.(?P<rest>.+)$")
_LAYER = re.compile(r"^conv\.(?P<conv>\d+)(?:\.(?P<part>[01]))?\.(?P<rest>.+)$")


@dataclass(frozen=True)
class Names:
    """The names of a network with torchvision's ResNet names.

    Attributes:
        part: it is a single stage of the network, whose other layers are elsewhere (a C4 detector's shared head).
    """

    part: bool = False

    def translate(self, key: str) -> str:
        return key

    def is_elsewhere(self, layer: str, own: Container[str]) -> bool:
        """Whether a top-level layer of the checkpoint belongs to what this network is not meant to have."""
        return layer not in own and (self.part or re.fullmatch(r"layer\d+", layer) is not None)


@dataclass(frozen=True)
class MobileNetV2Names(Names):
    """torchvision's names of MobileNetV2 -> a host's, with stages `layer1` .. `layer7`.

    Attributes:
        blocks: of each stage.
        convolutions: what the host calls the three convolutions of a block; the first block has the last two.
        numbered: whether the blocks with two convolutions number them from 0.
    """

    blocks: Sequence[int] = (1, 2, 3, 4, 3, 3, 1)
    convolutions: tuple[str, str, str] = ("expand_conv", "depthwise_conv", "linear_conv")
    numbered: bool = False

    def translate(self, key: str) -> str:
        feature = _FEATURE.match(key)
        if feature is None:
            return key
        index, rest = int(feature["index"]), feature["rest"]
        if index in (0, 1 + sum(self.blocks)):
            part, name = rest.split(".", 1)
            return f"{'conv2' if index else 'conv1'}.{'conv' if part == '0' else 'bn'}.{name}"
        stage, block = self._block(index - 1)
        layer = _LAYER.match(rest)
        if stage >= len(self.blocks) or layer is None:
            return key
        convolutions = self.convolutions[1 if stage == 0 else 0 :]
        at, is_norm = int(layer["conv"]), layer["part"] == "1"
        if layer["part"] is None and at == len(convolutions):  # the last norm stands beside its convolution
            at, is_norm = at - 1, True
        name = str(at) if self.numbered else convolutions[at]
        inside = f"conv.{name}" if self.numbered else name
        return f"layer{stage + 1}.{block}.{inside}.{'bn' if is_norm else 'conv'}.{layer['rest']}"

    def is_elsewhere(self, layer: str, own: Container[str]) -> bool:
        return layer == "conv2" and layer not in own  # mmseg's network ends before the last 1x1

    def _block(self, index: int) -> tuple[int, int]:
        """The stage and the place in it of the block with that index, counted over all stages."""
        stage = 0
        while stage < len(self.blocks) and index >= self.blocks[stage]:
            index -= self.blocks[stage]
            stage += 1
        return stage, index


def translate(state_dict: dict[str, Any], prefix: str, names: Names, own: Container[str]) -> None:
    """Give the entries below ``prefix`` the network's names, in place, and drop what it is not meant to have.

    Entries that have the network's own names stay as they are. What is dropped, the classifier and layers that are
    elsewhere, is told in one line of the log.
    """
    dropped: dict[str, int] = {}
    for key in [key for key in state_dict if key.startswith(prefix)]:
        name = names.translate(official_to_ours(key.removeprefix(prefix).removeprefix("network.")))
        layer = name.split(".", 1)[0]
        if layer not in own and (layer in _CLASSIFIER or names.is_elsewhere(layer, own)):
            dropped[layer] = dropped.get(layer, 0) + 1
            del state_dict[key]
        elif prefix + name != key:
            state_dict[prefix + name] = state_dict.pop(key)
    if dropped:
        layers = ", ".join(f"{layer} ({count} tensors)" for layer, count in dropped.items())
        print_log(f"left out of the checkpoint, as this network has no such part: {layers}", "current", logging.INFO)
