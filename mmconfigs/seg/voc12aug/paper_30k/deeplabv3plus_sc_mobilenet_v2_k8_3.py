"""DeepLabv3+ with Sc-MobileNetV2 (k = 8/3) on VOC 2012 with SBD: SlimConv's Table VII, 30,000 iterations of 16.

Starts from ImageNet weights of Sc-MobileNetV2, trained by mmconfigs/cls: put the file (or a link to it) where
`init_cfg` says, or name another by `--cfg-options model.backbone.init_cfg.checkpoint=FILE`.

Command:          slimbench train voc12aug/paper-30k/deeplabv3plus_sc_mobilenet_v2_k8_3
                  or `python TOOLS/train.py mmconfigs/seg/voc12aug/paper_30k/deeplabv3plus_sc_mobilenet_v2_k8_3.py`
                  (TOOLS: mmseg/.mim/tools where MMSegmentation is installed; over 4 GPUs `torchrun --nproc_per_node 4
                  TOOLS/train.py CONFIG --launcher pytorch --cfg-options train_dataloader.batch_size=4`)
Expected time:    20 minutes on one H100 (estimated from its operations, not measured)
Expected metric:  mIoU on the 1,449 validation images; SlimConv, Table VII: 69.2 %. 5.10 M parameters, 13.80 GFLOPs
"""

_base_ = [
    "../../_base_/models/deeplabv3plus_mobilenet_v2.py",
    "../../_base_/datasets/voc12aug.py",
    "../../_base_/schedules/paper_30k.py",
    "../../_base_/default_runtime.py",
]

checkpoint = "checkpoints/sc_mobilenet_v2_k8_3.pth"
model = dict(backbone=dict(type="SlimMobileNetV2", init_cfg=dict(type="Pretrained", checkpoint=checkpoint)))
