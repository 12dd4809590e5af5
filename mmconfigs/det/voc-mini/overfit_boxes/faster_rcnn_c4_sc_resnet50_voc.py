"""Faster R-CNN (C4) with Sc-ResNet-50 learns eight images of VOC 2012 by heart.

Command:          slimbench train voc-mini/overfit-boxes/faster_rcnn_c4_sc_resnet50_voc --seed 0
                  (or MMDetection's own: python TOOLS/train.py mmconfigs/det/voc-mini/overfit_boxes/faster_rcnn_c4_sc_resnet50_voc.py,
                  TOOLS being mmdet/.mim/tools where MMDetection is installed)
Expected time:    about 6 minutes on one CPU core (1.6 seconds an iteration)
Expected metric:  mAP at an IoU of 0.5 on the images that it learned from
"""

_base_ = [
    "../../_base_/models/faster_rcnn_c4_voc_mini.py",
    "../../_base_/datasets/voc_mini.py",
    "../../_base_/schedules/overfit_boxes.py",
    "../../_base_/mini_runtime.py",
]

model = dict(
    backbone=dict(type="SlimResNet"),
    roi_head=dict(shared_head=dict(type="SlimResLayer")),
)
