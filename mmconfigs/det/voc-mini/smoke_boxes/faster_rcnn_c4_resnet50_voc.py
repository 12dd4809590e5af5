"""Twenty iterations of Faster R-CNN (C4) with ResNet-50: shows that the path works.

Command:          slimbench train voc-mini/smoke-boxes/faster_rcnn_c4_resnet50_voc --seed 0
                  (or MMDetection's own: python TOOLS/train.py mmconfigs/det/voc-mini/smoke_boxes/faster_rcnn_c4_resnet50_voc.py,
                  TOOLS being mmdet/.mim/tools where MMDetection is installed)
Expected time:    about a minute on one CPU core
Expected metric:  none
"""

_base_ = [
    "../../_base_/models/faster_rcnn_c4_voc_mini.py",
    "../../_base_/datasets/voc_mini.py",
    "../../_base_/schedules/smoke_boxes.py",
    "../../_base_/smoke_runtime.py",
]
