"""What every host's networks of ours share: the host builds its network, then its convolutions are replaced.

Surgery after construction, not blocks of our own: the hosts ask for their own block by identity (for
`zero_init_residual`), and the rules that make the named models of the papers make these networks too, widths included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from torch import nn

from backbones.adapters.openmmlab_weights import MobileNetV2Names, Names, translate
from backbones.ops.channel import Reading
from backbones.ops.learnable import Rule
from backbones.ops.slim_conv import Arrangement, SlimConv2d
from backbones.surgery import SurgeryError, slim, surgery_report, versatile
from backbones.surgery.slim_rules import recognise
from backbones.surgery.versatile import Kind

if TYPE_CHECKING:
    from typing_extensions import Self

_BatchNorm = nn.BatchNorm2d | nn.SyncBatchNorm


class Pretrainable(nn.Module):
    """Reads checkpoints that were trained by `mmconfigs/cls` or released by SlimConv's authors.

    That is for `init_cfg=dict(type="Pretrained", checkpoint=...)`: names are translated when a state dict is loaded,
    and what a backbone cannot have is told in one line. MMEngine shows which keys are missing or left over.
    """

    def names(self) -> Names:
        """How the catalogue's names of this network's layers differ from its own."""
        return Names()

    def train(self, mode: bool = True) -> Self:  # the hosts' own return nothing, and `eval()` returns what this does
        super().train(mode)
        return self

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        translate(state_dict, prefix, self.names(), self._modules)
        super()._load_from_state_dict(state_dict, prefix, *args)


class Slimmed(Pretrainable):
    """Puts SlimConv into the blocks of the host's network (SlimConv, section III.B, Figure 4).

    Stride and dilation of a block's 3x3 convolution are those of both 3x3 convolutions of its SlimConv; the batch
    norms inside are made as `norm_cfg` says. A GPU with one image trains: see :class:`SlimConv2d`.

    Raises:
        ValueError: for what SlimConv has no place for: `dcn`, plugins behind the 3x3 convolution, norms other than
            batch norms; for a ratio k, or groups that do not fit in one of the blocks.
    """

    def __init__(
        self,
        *args: Any,
        k: float = 4 / 3,
        bottom_groups: int | None = None,
        se_reduction: int = 32,
        se_min: int = 1,
        arrangement: Arrangement = "flip",
        third_branch: bool = False,
        exclude: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        _refuse(**kwargs)
        super().__init__(*args, **kwargs)
        _check_norms(self)
        slim(
            self, k, bottom_groups=bottom_groups, se_reduction=se_reduction, se_min=se_min, arrangement=arrangement,
            third_branch=third_branch, exclude=exclude, quiet=True,
        )  # fmt: skip
        _check_complete(self, exclude)
        if not (getattr(self, "norm_cfg", None) or {}).get("requires_grad", True):
            for norm in _norms_inside(self):
                norm.requires_grad_(False)
        _freeze_again(self)


class SlimmedResNeXt(Slimmed):
    """The same for a ResNeXt.

    Args:
        stage_blocks: blocks of each stage where they are not those of the depth: (4, 8, 18, 3) with `depth=101,
            groups=32, base_width=3, k=2, bottom_groups=16` (MMPretrain has `width_per_group`) is the ResNeXt-101 of
            SlimConv's Table I.
    """

    arch_settings: dict[int, tuple[type[nn.Module], tuple[int, ...]]]

    def __init__(self, *args: Any, stage_blocks: Sequence[int] | None = None, **kwargs: Any) -> None:
        if stage_blocks is not None:
            if len(stage_blocks) != 4 or min(stage_blocks) < 1:
                raise ValueError(f"stage_blocks={tuple(stage_blocks)}: must be the numbers of blocks of four stages")
            settings = {depth: (block, tuple(stage_blocks)) for depth, (block, _) in self.arch_settings.items()}
            vars(self)["arch_settings"] = settings  # the host reads them while it builds the network
        super().__init__(*args, **kwargs)


class PretrainableMobileNetV2(Pretrainable):
    """The same for a MobileNetV2, whose layers the hosts name otherwise than torchvision does; nothing is replaced.

    A plain ResNet needs nothing of the kind: hosts name its layers as torchvision does, and
    `init_cfg=dict(type="Pretrained", checkpoint=..., prefix="network.")` reads one that `mmconfigs/cls` trained.
    """

    numbered_convolutions = True  # MMDetection names those of a block

    def names(self) -> Names:
        return MobileNetV2Names(numbered=self.numbered_convolutions)


class SlimmedMobileNetV2(PretrainableMobileNetV2, Slimmed):
    """SlimConv in a MobileNetV2, whose convolutions are depthwise; by default that of SlimConv's Table III."""

    def __init__(self, *args: Any, k: float = 8 / 3, se_reduction: int = 24, se_min: int = 8, **kwargs: Any) -> None:
        super().__init__(*args, k=k, se_reduction=se_reduction, se_min=se_min, **kwargs)


class Versatile(Pretrainable):
    """Replaces the convolutions of the host's network by versatile ones; the arguments are `backbones.versatile`'s.

    Primary filters are drawn when the network is built, as widely as the host's `init_cfg` would draw the filters
    that they replace; an `init_cfg` for layers of type Conv2d does not reach them.
    """

    def __init__(
        self,
        *args: Any,
        kind: Kind = "separate",
        s: int | None = None,
        gap: int = 8,
        channel_stride: int = 8,
        reading: Reading = "window",
        rule: Rule = "clipped",
        scale_grad: bool = True,
        strict: bool = False,
        skip_first: bool | None = None,
        exclude: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        versatile(
            self, kind, s=s, gap=gap, channel_stride=channel_stride, reading=reading, rule=rule,
            scale_grad=scale_grad, strict=strict, skip_first=skip_first, exclude=exclude, quiet=True,
        )  # fmt: skip
        _freeze_again(self)


def _refuse(dcn: Any = None, plugins: Any = None, **_: Any) -> None:
    """Raise for arguments of the host that ask for something else in the place of the 3x3 convolution."""
    if dcn is not None:
        raise ValueError(f"dcn={dcn}: SlimConv stands where the deformable convolution would; leave dcn out")
    behind = [plugin["cfg"] for plugin in plugins or () if plugin["position"] == "after_conv2"]
    if behind:
        raise ValueError(
            f"plugins: {behind[0]} after_conv2 expects all channels of the 3x3 convolution, and SlimConv gives fewer; "
            "after_conv1 and after_conv3 will do"
        )


def _check_norms(network: nn.Module) -> None:
    """Raise unless the norms that SlimConv will replace are batch norms."""
    for block in network.modules():
        if (plan := recognise(block)) is not None:
            norm = block.get_submodule(plan.norm)
            if not isinstance(norm, _BatchNorm):
                raise ValueError(f"norm_cfg: SlimConv normalises inside by BN or SyncBN, not by {type(norm).__name__}")


def _check_complete(network: nn.Module, exclude: Sequence[str]) -> None:
    """Raise if a block kept its convolution unasked: in a config nobody would notice."""
    reasons = {change.name: change.outcome for change in surgery_report(network)[-1].left}
    for name, block in network.named_modules():
        plan = recognise(block)
        if plan is not None and not any(fnmatchcase(name, pattern) for pattern in exclude):
            raise SurgeryError(f"{name}.{plan.conv}: {reasons.get(f'{name}.{plan.conv}', 'was left as it is')}")


def _norms_inside(network: nn.Module) -> Iterator[nn.Module]:
    for operator in network.modules():
        if isinstance(operator, SlimConv2d):
            yield from (module for module in operator.modules() if isinstance(module, _BatchNorm))


def _freeze_again(network: Any) -> None:
    """The host froze its stages before they had operators of ours (a shared head freezes nothing)."""
    if hasattr(network, "_freeze_stages"):
        network._freeze_stages()  # noqa: SLF001
