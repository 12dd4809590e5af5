"""Run in a process of its own by test_mmcv_ext.py: what mmcv.ops and a small Faster R-CNN give, saved to a file.

    python mmcv_operators_program.py WHICH FILE.pth

WHICH is "installed" (whatever install() finds) or "stand-in" (also where compiled operators are there).
"""

from __future__ import annotations

import sys
from typing import Any

import torch

from backbones.adapters import mmcv_ext


def operators() -> dict[str, torch.Tensor]:
    """Results and gradients of nms and roi_align on random boxes and features, in every mode that has a stand-in."""
    from mmcv.ops import batched_nms, nms, roi_align

    results = {}
    for seed in range(20):
        torch.manual_seed(seed)
        boxes = torch.rand(300, 4) * 100
        boxes[:, 2:] += boxes[:, :2] - 10 * (seed % 2)  # some are turned inside out
        classes = torch.randint(0, 5, (300,))
        scores = torch.rand(300)
        for threshold in (0.3, 0.5, 0.7):
            for offset in (0, 1):
                results[f"nms {seed} {threshold} {offset}"] = nms(boxes, scores, threshold, offset)[1]
            results[f"coarse {seed} {threshold}"] = nms(boxes.round(), scores.round(decimals=1), threshold)[1]
            results[f"half {seed} {threshold}"] = nms(boxes, scores.half(), threshold)[1]
        results[f"batched {seed}"] = batched_nms(boxes, scores, classes, {"type": "nms", "iou_threshold": 0.5})[0]
        for aligned in (True, False):
            for ratio, dtype in ((0, torch.float32), (2, torch.float32), (0, torch.float64), (2, torch.float16)):
                features = torch.randn(2, 5, 13, 17).to(dtype).requires_grad_()
                regions = torch.rand(40, 5) * 260 - 30
                regions[:, 0] = torch.randint(0, 2, (40,))
                regions[:, 3:] = regions[:, 1:3] + torch.rand(40, 2) * 150
                pooled = roi_align(features, regions.to(dtype), (7, 5), 1 / 12, ratio, "avg", aligned)
                pooled.backward(torch.randn_like(pooled))
                name = f"roi_align {seed} {aligned} {ratio} {dtype}"
                results[name] = pooled.detach()
                results[f"{name} gradient"] = features.grad
    return results


def faster_rcnn() -> dict[str, Any]:
    """Losses and a gradient of one training step, then the detections of a small network with random weights."""
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmengine.config import ConfigDict
    from mmengine.registry import init_default_scope
    from mmengine.structures import InstanceData

    init_default_scope("mmdet")
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(CONFIG))
    model.init_weights()
    samples = []
    for boxes in ([[8.0, 8.0, 60.0, 50.0], [70.0, 20.0, 120.0, 90.0]], [[30.0, 5.0, 90.0, 80.0]]):
        sample = DetDataSample(metainfo={"img_shape": (96, 128), "scale_factor": (1.0, 1.0), "ori_shape": (96, 128)})
        sample.gt_instances = InstanceData(bboxes=torch.tensor(boxes), labels=torch.arange(len(boxes)))
        samples.append(sample)
    data = {
        "inputs": [torch.randint(0, 256, (3, 96, 128), dtype=torch.uint8) for _ in samples],
        "data_samples": samples,
    }
    model.train()
    losses = model(**model.data_preprocessor(data, True), mode="loss")
    total, logged = model.parse_losses(losses)
    total.backward()
    results = {f"loss {name}": value.detach() for name, value in logged.items()}
    results["gradient"] = model.backbone.conv1.weight.grad
    model.eval()
    for index, sample in enumerate(model.test_step(data)):
        found = sample.pred_instances
        results.update({f"{key} {index}": found[key] for key in ("bboxes", "scores", "labels")})
    return results


def level(**settings: Any) -> dict[str, Any]:
    """A box head or region head's coder of boxes and losses."""
    coder = {"type": "DeltaXYWHBBoxCoder", "target_means": [0.0] * 4, "target_stds": settings.pop("stds")}
    return {**settings, "bbox_coder": coder, "loss_bbox": {"type": "L1Loss"}}


def assigner(positive: float, negative: float) -> dict[str, Any]:
    return {"type": "MaxIoUAssigner", "pos_iou_thr": positive, "neg_iou_thr": negative, "min_pos_iou": negative}


def sampler(number: int) -> dict[str, Any]:
    return {"type": "RandomSampler", "num": number, "pos_fraction": 0.5, "add_gt_as_proposals": number < 64}


PROPOSALS = {"nms_pre": 200, "max_per_img": 50, "nms": {"type": "nms", "iou_threshold": 0.7}, "min_bbox_size": 0}
CONFIG: dict[str, Any] = {
    "type": "FasterRCNN",
    "data_preprocessor": {
        "type": "DetDataPreprocessor",
        "mean": [127.0] * 3,
        "std": [60.0] * 3,
        "pad_size_divisor": 32,
    },
    "backbone": {"type": "ResNet", "depth": 18, "base_channels": 8, "norm_eval": False},
    "neck": {"type": "FPN", "in_channels": [8, 16, 32, 64], "out_channels": 16, "num_outs": 5},
    "rpn_head": level(
        type="RPNHead",
        in_channels=16,
        feat_channels=16,
        anchor_generator={
            "type": "AnchorGenerator",
            "scales": [8],
            "ratios": [0.5, 1.0, 2.0],
            "strides": [4, 8, 16, 32, 64],
        },
        stds=[1.0] * 4,
        loss_cls={"type": "CrossEntropyLoss", "use_sigmoid": True},
    ),
    "roi_head": {
        "type": "StandardRoIHead",
        "bbox_roi_extractor": {
            "type": "SingleRoIExtractor",
            "roi_layer": {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0},
            "out_channels": 16,
            "featmap_strides": [4, 8, 16, 32],
        },
        "bbox_head": level(
            type="Shared2FCBBoxHead",
            in_channels=16,
            fc_out_channels=32,
            roi_feat_size=7,
            num_classes=3,
            stds=[0.1, 0.1, 0.2, 0.2],
            loss_cls={"type": "CrossEntropyLoss"},
        ),
    },
    "train_cfg": {
        "rpn": {"assigner": assigner(0.7, 0.3), "sampler": sampler(64), "allowed_border": -1, "pos_weight": -1},
        "rpn_proposal": PROPOSALS,
        "rcnn": {"assigner": assigner(0.5, 0.5), "sampler": sampler(32), "pos_weight": -1},
    },
    "test_cfg": {
        "rpn": PROPOSALS,
        "rcnn": {"score_thr": 0.05, "nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 100},
    },
}


def main(which: str, file: str) -> None:
    if which == "stand-in":
        sys.modules[mmcv_ext.NAME] = mmcv_ext.StandIn()
    in_use = mmcv_ext.install()
    import mmdet.models  # noqa: F401
    import mmseg.models  # noqa: F401

    torch.save({"in use": in_use, "operators": operators(), "faster_rcnn": faster_rcnn()}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
