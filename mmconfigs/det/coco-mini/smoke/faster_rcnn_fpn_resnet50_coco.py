"""Twenty iterations of Faster R-CNN (FPN) with ResNet-50: shows that the path works.

Command:          slimbench train coco-mini/smoke/faster_rcnn_fpn_resnet50_coco --seed 0
                  (or MMDetection's own: python TOOLS/train.py mmconfigs/det/coco-mini/smoke/faster_rcnn_fpn_resnet50_coco.py,
                  TOOLS being mmdet/.mim/tools where MMDetection is installed)
Expected time:    about a minute on one CPU core
Expected metric:  none
"""

_base_ = [
    "../../_base_/models/faster_rcnn_fpn_mini.py",
    "../../_base_/datasets/coco_mini.py",
    "../../_base_/schedules/smoke.py",
    "../../_base_/smoke_runtime.py",
]
