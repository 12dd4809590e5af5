"""Faster R-CNN (C4) with S-Versatile ResNet-50 learns eight images of COCO by heart.

Command:          slimbench train coco-mini/overfit/faster_rcnn_c4_s_versatile_resnet50_coco --seed 0
                  (or MMDetection's own: python TOOLS/train.py mmconfigs/det/coco-mini/overfit/faster_rcnn_c4_s_versatile_resnet50_coco.py,
                  TOOLS being mmdet/.mim/tools where MMDetection is installed)
Expected time:    about 8 minutes on one CPU core (2.4 seconds an iteration)
Expected metric:  mAP at an IoU of 0.5 on the images that it learned from;
                  95.5 % with seed 0 in bfloat16
"""

_base_ = [
    "../../_base_/models/faster_rcnn_c4_mini.py",
    "../../_base_/datasets/coco_mini.py",
    "../../_base_/schedules/overfit.py",
    "../../_base_/mini_runtime.py",
]

model = dict(
    backbone=dict(type="VersatileResNet", kind="spatial"),
    roi_head=dict(shared_head=dict(type="VersatileResLayer", kind="spatial")),
)
