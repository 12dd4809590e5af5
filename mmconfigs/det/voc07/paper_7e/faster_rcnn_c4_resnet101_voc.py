"""Faster R-CNN (C4) with ResNet-101 on PASCAL VOC 2007: SlimConv, Table VIII.

Backbone and head start from torchvision's ImageNet weights. For those that mmconfigs/cls trained: `--cfg-options
model.backbone.init_cfg.checkpoint=FILE model.backbone.init_cfg.prefix=network.
model.roi_head.shared_head.init_cfg.checkpoint=FILE model.roi_head.shared_head.init_cfg.prefix=network.`

Command:          slimbench train voc07/paper-7e/faster_rcnn_c4_resnet101_voc
                  (or MMDetection's own: python TOOLS/train.py mmconfigs/det/voc07/paper_7e/faster_rcnn_c4_resnet101_voc.py,
                  TOOLS being mmdet/.mim/tools where MMDetection is installed)
Expected time:    55 minutes on one H100 (estimated from its operations, not measured)
Expected metric:  mAP at an IoU of 0.5, 11 points, on the 4,952 test images; the paper: 75.0 %.
                  45.26 x 2^20 parameters, 148.93 x 2^30 FLOPs
"""

_base_ = [
    "../../_base_/models/faster_rcnn_c4_voc.py",
    "../../_base_/datasets/voc07.py",
    "../../_base_/schedules/paper_7e.py",
    "../../_base_/default_runtime.py",
]

checkpoint = "torchvision://resnet101"
model = dict(
    backbone=dict(depth=101, init_cfg=dict(type="Pretrained", checkpoint=checkpoint)),
    roi_head=dict(shared_head=dict(depth=101, init_cfg=dict(type="Pretrained", checkpoint=checkpoint))),
)
