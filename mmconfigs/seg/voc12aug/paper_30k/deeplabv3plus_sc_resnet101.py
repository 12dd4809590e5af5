"""DeepLabv3+ with Sc-ResNet-101 on VOC 2012 with SBD: SlimConv's Table VII, 30,000 iterations of 16 crops of 513x513.

Starts from ImageNet weights of Sc-ResNet-101, those that mmconfigs/cls trained or the authors released:
put the file (or a link to it) where `init_cfg` says, or name another by `--cfg-options
model.backbone.init_cfg.checkpoint=FILE`.

Command:          slimbench train voc12aug/paper-30k/deeplabv3plus_sc_resnet101
                  or `python TOOLS/train.py mmconfigs/seg/voc12aug/paper_30k/deeplabv3plus_sc_resnet101.py`
                  (TOOLS: mmseg/.mim/tools where MMSegmentation is installed; over 4 GPUs `torchrun --nproc_per_node 4
                  TOOLS/train.py CONFIG --launcher pytorch --cfg-options train_dataloader.batch_size=4`)
Expected time:    1.2 hours on one H100 (estimated from its operations, not measured)
Expected metric:  mIoU on the 1,449 validation images; SlimConv, Table VII: 78.5 %. 42.16 M parameters, 62.32 GFLOPs
"""

_base_ = [
    "../../_base_/models/deeplabv3plus_resnet50.py",
    "../../_base_/datasets/voc12aug.py",
    "../../_base_/schedules/paper_30k.py",
    "../../_base_/default_runtime.py",
]

checkpoint = "checkpoints/sc_resnet101.pth"
model = dict(backbone=dict(type="SlimResNet", depth=101, init_cfg=dict(type="Pretrained", checkpoint=checkpoint)))
