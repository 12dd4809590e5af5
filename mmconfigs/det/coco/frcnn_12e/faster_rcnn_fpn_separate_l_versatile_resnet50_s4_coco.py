"""Faster R-CNN (FPN) with separate L-Versatile ResNet-50 (s = 4) on COCO: Table 10 with a pyramid.

The backbone starts from ImageNet weights of this network, those that
mmconfigs/cls trained: put the file, or a link to it, where `checkpoint` says.

Command:          slimbench train coco/frcnn-12e/faster_rcnn_fpn_separate_l_versatile_resnet50_s4_coco
                  (or MMDetection's own: python TOOLS/train.py mmconfigs/det/coco/frcnn_12e/faster_rcnn_fpn_separate_l_versatile_resnet50_s4_coco.py,
                  TOOLS being mmdet/.mim/tools where MMDetection is installed;
                  over 8 GPUs `torchrun --nproc_per_node 8 TOOLS/train.py CONFIG --launcher pytorch --cfg-options
                  train_dataloader.batch_size=1`)
Expected time:    6 hours on one H100 (estimated from ResNet-50's operations without the head's, not measured)
Expected metric:  AP at IoUs of 0.50 to 0.95 on the 5,000 images of val2017 (minival); the paper,
                  which does not say what head: 32.1 %. Backbone alone: 0.7 x 10^7 parameters, 1.3 x 10^10 #MUL
"""

_base_ = [
    "../../_base_/models/faster_rcnn_fpn.py",
    "../../_base_/datasets/coco.py",
    "../../_base_/schedules/frcnn_12e.py",
    "../../_base_/default_runtime.py",
]

checkpoint = "checkpoints/separate_l_versatile_resnet50_s4.pth"
model = dict(
    backbone=dict(type="VersatileResNet", kind="separate", s=4, init_cfg=dict(type="Pretrained", checkpoint=checkpoint))
)
custom_hooks = [dict(type="VersatileMaskHook")]
