"""Configs of the smallest detector and segmentor, for MMDetection and MMSegmentation, and what belongs to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("cat", "dog", "bird")
NORMALISED = {"mean": [128.0] * 3, "std": [64.0] * 3}
BACKBONE = {
    "type": "ResNet", "depth": 18, "stem_channels": 4, "norm_cfg": {"type": "BN"},
    "num_stages": 2, "strides": (1, 2), "dilations": (1, 1), "out_indices": (1,),
}  # fmt: skip


def detector(classes: int = 3, channels: int = 4) -> dict[str, Any]:
    """Faster R-CNN on the second stage of a narrow ResNet-18; every box scores about 1 / (classes + 1)."""
    coder = {"type": "DeltaXYWHBBoxCoder", "target_stds": [0.5] * 4, "target_means": [0.0] * 4}
    return {
        "type": "FasterRCNN",
        "data_preprocessor": {"type": "DetDataPreprocessor", **NORMALISED, "pad_size_divisor": 8},
        "backbone": BACKBONE | {"base_channels": channels},
        "rpn_head": {
            "type": "RPNHead", "in_channels": 2 * channels, "feat_channels": 8, "bbox_coder": coder,
            "anchor_generator": {"type": "AnchorGenerator", "scales": [4], "ratios": [1.0], "strides": [8]},
        },
        "roi_head": {
            "type": "StandardRoIHead",
            "bbox_roi_extractor": {
                "type": "SingleRoIExtractor", "roi_layer": {"type": "RoIAlign", "output_size": 3, "sampling_ratio": 1},
                "out_channels": 2 * channels, "featmap_strides": [8],
            },
            "bbox_head": {
                "type": "Shared2FCBBoxHead", "in_channels": 2 * channels, "fc_out_channels": 8, "roi_feat_size": 3,
                "num_classes": classes, "bbox_coder": coder,
            },
        },
        "train_cfg": None,
        "test_cfg": {
            "rpn": {"nms_pre": 50, "max_per_img": 10, "nms": {"type": "nms", "iou_threshold": 0.7}, "min_bbox_size": 0},
            "rcnn": {"score_thr": 0.0, "nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 10},
        },
    }  # fmt: skip


def segmentor(classes: int = 3, channels: int = 4) -> dict[str, Any]:
    """A fully convolutional head on a narrow ResNet-18."""
    return {
        "type": "EncoderDecoder",
        "data_preprocessor": {"type": "SegDataPreProcessor", **NORMALISED},
        "backbone": BACKBONE | {"base_channels": channels},
        "decode_head": {
            "type": "FCNHead", "in_channels": 2 * channels, "in_index": 0, "channels": 8, "num_convs": 1,
            "concat_input": False, "num_classes": classes, "norm_cfg": {"type": "BN"},
        },
        "test_cfg": {"mode": "whole"},
    }  # fmt: skip


def write_config(path: Path, host: str, model: dict[str, Any], **metainfo: Any) -> Path:
    """Write a config with a test pipeline, as a file of MMDetection's ("mmdet") or MMSegmentation's ("mmseg")."""
    kind, pack = {"mmdet": ("CocoDataset", "PackDetInputs"), "mmseg": ("BaseSegDataset", "PackSegInputs")}[host]
    steps = ["LoadImageFromFile", {"type": "Resize", "scale": (48, 48), "keep_ratio": True}, "LoadAnnotations", pack]
    pipeline = [{"type": step} if isinstance(step, str) else step for step in steps]
    dataset = {"type": kind, "metainfo": {"classes": NAMES} | metainfo, "pipeline": pipeline, "data_root": "nowhere"}
    lines = {"default_scope": host, "model": model, "test_dataloader": {"dataset": dataset}, "test_pipeline": pipeline}
    path.write_text("".join(f"{name} = {value!r}\n" for name, value in lines.items()), encoding="utf-8")
    return path


def write_picture(path: Path, width: int = 64, height: int = 40, seed: int = 0) -> Path:
    """Write a picture of grey noise with a bright square."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(90, 130, (height, width, 3)).astype(np.uint8)
    pixels[8:24, 8:24] = (250, 200, 20)
    Image.fromarray(pixels).save(path)
    return path
