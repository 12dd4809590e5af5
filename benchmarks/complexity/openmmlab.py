"""What of an OpenMMLab network is run when it is counted, and what its parts are.

The hosts' own forward pass proposes regions, which needs numbers: a network without weights has none. So each kind of
network is run here as it is at a test, part by part, and its second stage on empty regions of the right number and
shape. A network whose class does something else on the way is refused: it would be counted wrongly.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from backbones.nets.counting_standins import WholeNetwork
from benchmarks.errors import UserError

_ROI_HEADS = {f"mmdet.models.roi_heads.{kind}_roi_head" for kind in ("standard", "dynamic", "double", "cascade")}
"""Where what a second stage does at a test must be defined; a class that changes only the losses is none the worse."""


def whole_network(model: nn.Module) -> Counted:
    """Return ``model`` as it is counted.

    Args:
        model: a two-stage or one-stage detector of MMDetection, a segmentor of MMSegmentation (encoder and decoder), an
            image classifier of MMPretrain, or a subclass that changes nothing on the way from image to predictions.

    Raises:
        UserError: it is none.
    """
    for base in type(model).__mro__:
        known = _KINDS.get(f"{base.__module__}.{base.__name__}")
        if known is not None:
            kind, methods = known
            for name in methods:
                if getattr(type(model), name) is not getattr(base, name):
                    raise UserError(
                        f"{type(model).__name__} defines its own {name}, so it cannot be counted as the "
                        f"{base.__name__} that it is"
                    )
            return kind(model)
    raise UserError(
        f"{type(model).__name__} cannot be counted from a config: what can are MMDetection's two-stage and one-stage "
        "detectors, MMSegmentation's EncoderDecoder and MMPretrain's ImageClassifier; networks of the catalogue are "
        "counted by their names"
    )


class Counted(WholeNetwork):
    """The children of a network under their own names, which are its parts."""

    backbone: Any
    neck: Any
    head: Any
    decode_head: Any
    bbox_head: Any
    rpn_head: Any
    roi_head: Any

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        for name, child in model.named_children():
            if name != "data_preprocessor":
                self.add_module(name, child)
        self.counted_parts = {name: (name,) for name, _ in self.named_children()}

    def features(self, x: Tensor) -> Any:
        """Return what backbone and neck make of an image ``(N, 3, H, W)``."""
        found = self.backbone(x)
        return self.neck(found) if hasattr(self, "neck") else found


class Classifier(Counted):
    """Backbone, neck and head of MMPretrain."""

    def forward(self, x: Tensor) -> Any:
        found = self.features(x)
        return self.head(found) if hasattr(self, "head") else found


class Segmentor(Counted):
    """Backbone, neck and decode head of MMSegmentation, once over the whole input."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._mode = (model.test_cfg or {}).get("mode", "whole")

    def forward(self, x: Tensor) -> Any:
        return self.decode_head(self.features(x))

    def remarks(self) -> tuple[str, ...]:
        found = []
        if hasattr(self, "auxiliary_head"):
            found.append("auxiliary_head is for training: stored, never run")
        if self._mode == "slide":
            found.append("tests slide a window over the image; this is one window, as large as the input")
        return tuple(found)


class OneStage(Counted):
    """Backbone, neck and head of MMDetection's one-stage detectors."""

    def forward(self, x: Tensor) -> Any:
        return self.bbox_head(self.features(x))

    def remarks(self) -> tuple[str, ...]:
        return ("not counted: decoding the boxes, non-maximum suppression",)


class TwoStage(Counted):
    """Backbone, neck, RPN and RoI head of MMDetection's two-stage detectors.

    Attributes:
        proposals: ``test_cfg.rpn.max_per_img``; None where the config has no RPN.
        masks: regions whose mask is predicted, ``test_cfg.rcnn.max_per_img``.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        if not hasattr(self, "roi_head"):
            raise UserError(f"{type(model).__name__} has no roi_head, so its second stage cannot be counted")
        head = self.roi_head
        _check_roi_head(head)
        self.proposals = ((model.test_cfg or {}).get("rpn") or {}).get("max_per_img")
        self.masks = ((model.test_cfg or {}).get("rcnn") or {}).get("max_per_img", 100)
        self._sizes = {kind: _pool_by_shape(head, f"{kind}_roi_extractor") for kind in ("bbox", "mask")}
        self.counted_parts = {name: (name,) for name, _ in self.named_children() if name != "roi_head"}
        names = [name for name, child in head.named_children() if any(True for _ in child.parameters())]
        self.counted_parts |= {f"roi_head.{name}": (f"roi_head.{name}",) for name in names}

    def forward(self, x: Tensor) -> Any:
        found = self.features(x)
        if hasattr(self, "rpn_head"):
            self.rpn_head(found)
        head = self.roi_head
        regions = x.new_empty(self.proposals or 0, 5)
        stages: list[tuple[int, ...]] = [(i,) for i in range(head.num_stages)] if hasattr(head, "num_stages") else [()]
        for stage in stages:
            head._bbox_forward(*stage, found, regions)  # noqa: SLF001  # the head's forward needs real boxes
        if self._sizes["mask"]:
            for stage in stages:
                head._mask_forward(*stage, found, regions[: self.masks])  # noqa: SLF001

    def remarks(self) -> tuple[str, ...]:
        lines = [f"the second stage runs on {self.proposals:,} regions of {self._sizes['bbox']}"]
        if self._sizes["mask"]:
            number = min(self.masks, self.proposals or 0)
            lines.append(f"masks are predicted for {number:,} regions of {self._sizes['mask']}")
        lines.append("not counted: choosing the proposals, pooling the regions, non-maximum suppression")
        return tuple(lines)


class Regions(nn.Module):
    """In the place of a RoI extractor: features of the right shape, which come from nowhere."""

    def __init__(self, extractor: Any) -> None:
        super().__init__()
        self.num_inputs = extractor.num_inputs
        self.shape = (extractor.out_channels, *extractor.roi_layers[0].output_size)

    def forward(self, _levels: Any, regions: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        return regions.new_empty(regions.shape[0], *self.shape)


def _pool_by_shape(head: Any, name: str) -> str:
    """Replace the extractors called ``name`` by their shapes; return the size of a region, nothing without any."""
    found = getattr(head, name, None)
    if found is None or not hasattr(head, name.replace("roi_extractor", "head")):
        return ""
    extractors = list(found) if isinstance(found, nn.ModuleList) else [found]
    for extractor in extractors:
        if isinstance(extractor, Regions):  # shared with the boxes
            continue
        if any(True for _ in extractor.parameters()) or not hasattr(extractor, "roi_layers"):
            raise UserError(f"{type(extractor).__name__} has layers of its own, which cannot be counted from a config")
    replaced = [each if isinstance(each, Regions) else Regions(each) for each in extractors]
    setattr(head, name, nn.ModuleList(replaced) if isinstance(found, nn.ModuleList) else replaced[0])
    _, height, width = replaced[0].shape
    return f"{height}x{width}"


def _check_roi_head(head: nn.Module) -> None:
    for name in ("forward", "predict", "predict_bbox", "predict_mask", "_bbox_forward", "_mask_forward"):
        where = getattr(getattr(type(head), name, None), "__module__", "")
        if where not in {*_ROI_HEADS, "mmdet.models.roi_heads.base_roi_head"}:
            raise UserError(
                f"{type(head).__name__} defines its own {name}, so its second stage cannot be counted; "
                "those of StandardRoIHead, DynamicRoIHead, DoubleHeadRoIHead and CascadeRoIHead can"
            )


_DETECTORS = "mmdet.models.detectors"
#: class -> what counts it, and the methods that no subclass may have changed
_KINDS: dict[str, tuple[Callable[[nn.Module], Counted], tuple[str, ...]]] = {
    f"{_DETECTORS}.two_stage.TwoStageDetector": (TwoStage, ("extract_feat", "_forward", "predict")),
    f"{_DETECTORS}.single_stage.SingleStageDetector": (OneStage, ("extract_feat", "_forward", "predict")),
    "mmseg.models.segmentors.encoder_decoder.EncoderDecoder": (
        Segmentor,
        ("extract_feat", "_forward", "encode_decode", "predict"),
    ),
    "mmpretrain.models.classifiers.image.ImageClassifier": (Classifier, ("extract_feat", "forward", "predict")),
}
