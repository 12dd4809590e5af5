"""Faster R-CNN (C4) with Sc-ResNet-101 on PASCAL VOC 2007: SlimConv, Table VIII.

Backbone and head start from ImageNet weights of Sc-ResNet-101, those that
mmconfigs/cls trained or the authors released: put the file, or a link to it, where `checkpoint` says.

Command:          slimbench train voc07/paper-7e/faster_rcnn_c4_sc_resnet101_voc
                  (or MMDetection's own: python TOOLS/train.py mmconfigs/det/voc07/paper_7e/faster_rcnn_c4_sc_resnet101_voc.py,
                  TOOLS being mmdet/.mim/tools where MMDetection is installed)
Expected time:    40 minutes on one H100 (estimated from its operations, not measured)
Expected metric:  mAP at an IoU of 0.5, 11 points, on the 4,952 test images; the paper: 75.2 %.
                  29.44 x 2^20 parameters, 98.16 x 2^30 FLOPs
"""

_base_ = [
    "../../_base_/models/faster_rcnn_c4_voc.py",
    "../../_base_/datasets/voc07.py",
    "../../_base_/schedules/paper_7e.py",
    "../../_base_/default_runtime.py",
]

checkpoint = "checkpoints/sc_resnet101.pth"
model = dict(
    backbone=dict(type="SlimResNet", depth=101, init_cfg=dict(type="Pretrained", checkpoint=checkpoint)),
    roi_head=dict(
        shared_head=dict(type="SlimResLayer", depth=101, init_cfg=dict(type="Pretrained", checkpoint=checkpoint))
    ),
)
