"""DeepLabv3+ with MobileNetV2 on VOC 2012 with SBD: SlimConv's Table VII, 30,000 iterations of 16 crops of 513x513.

Starts from torchvision's ImageNet weights. For those that mmconfigs/cls trained: `--cfg-options
model.backbone.init_cfg.checkpoint=FILE`.

Command:          slimbench train voc12aug/paper-30k/deeplabv3plus_mobilenet_v2
                  or `python TOOLS/train.py mmconfigs/seg/voc12aug/paper_30k/deeplabv3plus_mobilenet_v2.py`
                  (TOOLS: mmseg/.mim/tools where MMSegmentation is installed; over 4 GPUs `torchrun --nproc_per_node 4
                  TOOLS/train.py CONFIG --launcher pytorch --cfg-options train_dataloader.batch_size=4`)
Expected time:    20 minutes on one H100 (estimated from its operations, not measured)
Expected metric:  mIoU on the 1,449 validation images; SlimConv, Table VII: 69.3 %. 5.23 M parameters, 14.20 GFLOPs
"""

_base_ = [
    "../../_base_/models/deeplabv3plus_mobilenet_v2.py",
    "../../_base_/datasets/voc12aug.py",
    "../../_base_/schedules/paper_30k.py",
    "../../_base_/default_runtime.py",
]

model = dict(backbone=dict(init_cfg=dict(type="Pretrained", checkpoint="torchvision://mobilenet_v2")))
