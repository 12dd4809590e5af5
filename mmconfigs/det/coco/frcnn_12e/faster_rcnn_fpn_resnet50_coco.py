"""Faster R-CNN (FPN) with ResNet-50 on COCO: Table 10 with a pyramid.

The backbone starts from torchvision's ImageNet weights. For those that mmconfigs/cls trained: `--cfg-options
model.backbone.init_cfg.checkpoint=FILE model.backbone.init_cfg.prefix=network.`

Command:          slimbench train coco/frcnn-12e/faster_rcnn_fpn_resnet50_coco
                  (or MMDetection's own: python TOOLS/train.py mmconfigs/det/coco/frcnn_12e/faster_rcnn_fpn_resnet50_coco.py,
                  TOOLS being mmdet/.mim/tools where MMDetection is installed;
                  over 8 GPUs `torchrun --nproc_per_node 8 TOOLS/train.py CONFIG --launcher pytorch --cfg-options
                  train_dataloader.batch_size=1`)
Expected time:    6 hours on one H100 (estimated from ResNet-50's operations without the head's, not measured)
Expected metric:  AP at IoUs of 0.50 to 0.95 on the 5,000 images of val2017 (minival); the paper,
                  which does not say what head: 33.1 %. Backbone alone: 2.4 x 10^7 parameters, 5.0 x 10^10 #MUL
"""

_base_ = [
    "../../_base_/models/faster_rcnn_fpn.py",
    "../../_base_/datasets/coco.py",
    "../../_base_/schedules/frcnn_12e.py",
    "../../_base_/default_runtime.py",
]

checkpoint = "torchvision://resnet50"
model = dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint=checkpoint)))
