"""Faster R-CNN (FPN) with Sc-ResNet-50 on COCO: beside the rows of Table 10.

The backbone starts from ImageNet weights of Sc-ResNet-50, those that
mmconfigs/cls trained or the authors released: put the file, or a link to it, where `checkpoint` says.

Command:          slimbench train coco/frcnn-12e/faster_rcnn_fpn_sc_resnet50_coco
                  (or MMDetection's own: python TOOLS/train.py mmconfigs/det/coco/frcnn_12e/faster_rcnn_fpn_sc_resnet50_coco.py,
                  TOOLS being mmdet/.mim/tools where MMDetection is installed;
                  over 8 GPUs `torchrun --nproc_per_node 8 TOOLS/train.py CONFIG --launcher pytorch --cfg-options
                  train_dataloader.batch_size=1`)
Expected time:    6 hours on one H100 (estimated from ResNet-50's operations without the head's, not measured)
Expected metric:  AP at IoUs of 0.50 to 0.95 on the 5,000 images of val2017 (minival); in no paper
"""

_base_ = [
    "../../_base_/models/faster_rcnn_fpn.py",
    "../../_base_/datasets/coco.py",
    "../../_base_/schedules/frcnn_12e.py",
    "../../_base_/default_runtime.py",
]

checkpoint = "checkpoints/sc_resnet50.pth"
model = dict(backbone=dict(type="SlimResNet", init_cfg=dict(type="Pretrained", checkpoint=checkpoint)))
