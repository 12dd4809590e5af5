"""Faster R-CNN (C4) with separate L-Versatile ResNet-50 (s = 4) learns eight images of VOC 2012 by heart.

Command:          slimbench train voc-mini/overfit-boxes/faster_rcnn_c4_separate_l_versatile_resnet50_s4_voc --seed 0
                  (or MMDetection's own: python TOOLS/train.py mmconfigs/det/voc-mini/overfit_boxes/faster_rcnn_c4_separate_l_versatile_resnet50_s4_voc.py,
                  TOOLS being mmdet/.mim/tools where MMDetection is installed)
Expected time:    about 10 minutes on one CPU core (2.9 seconds an iteration)
Expected metric:  mAP at an IoU of 0.5 on the images that it learned from
"""

_base_ = [
    "../../_base_/models/faster_rcnn_c4_voc_mini.py",
    "../../_base_/datasets/voc_mini.py",
    "../../_base_/schedules/overfit_boxes.py",
    "../../_base_/mini_runtime.py",
]

model = dict(
    backbone=dict(type="VersatileResNet", kind="separate", s=4),
    roi_head=dict(shared_head=dict(type="VersatileResLayer", kind="separate", s=4)),
)
# Adam steps as far as the learning rate says, however small the gradient: at 30 times it masks would never rest.
custom_hooks = [dict(type="VersatileMaskHook", mask_lr_scale=1.0)]
