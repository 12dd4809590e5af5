"""Faster R-CNN (C4) with Sc-ResNet-101 on COCO 2014: SlimConv, Table IX.

Backbone and head start from ImageNet weights of Sc-ResNet-101, those that
mmconfigs/cls trained or the authors released: put the file, or a link to it, where `checkpoint` says.

Command:          slimbench train coco2014/paper-6e/faster_rcnn_c4_sc_resnet101_coco
                  (or MMDetection's own: python TOOLS/train.py mmconfigs/det/coco2014/paper_6e/faster_rcnn_c4_sc_resnet101_coco.py,
                  TOOLS being mmdet/.mim/tools where MMDetection is installed;
                  over 8 GPUs `torchrun --nproc_per_node 8 TOOLS/train.py CONFIG --launcher pytorch --cfg-options
                  train_dataloader.batch_size=3`)
Expected time:    13 hours on one H100 (estimated from its operations, not measured)
Expected metric:  AP at IoUs of 0.50 to 0.95 on the 5,000 images of minival; the paper: 35.3 %.
                  30.04 x 2^20 parameters, 101.36 x 2^30 FLOPs
"""

_base_ = [
    "../../_base_/models/faster_rcnn_c4.py",
    "../../_base_/datasets/coco2014.py",
    "../../_base_/schedules/paper_6e.py",
    "../../_base_/default_runtime.py",
]

checkpoint = "checkpoints/sc_resnet101.pth"
model = dict(
    backbone=dict(type="SlimResNet", depth=101, init_cfg=dict(type="Pretrained", checkpoint=checkpoint)),
    roi_head=dict(
        shared_head=dict(type="SlimResLayer", depth=101, init_cfg=dict(type="Pretrained", checkpoint=checkpoint))
    ),
)
