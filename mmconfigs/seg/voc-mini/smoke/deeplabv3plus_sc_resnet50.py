"""Twenty iterations of DeepLabv3+ with Sc-ResNet-50 on a few small images: shows that the path works, measures nothing.

Command:          slimbench train voc-mini/smoke/deeplabv3plus_sc_resnet50
                  or `python TOOLS/train.py mmconfigs/seg/voc-mini/smoke/deeplabv3plus_sc_resnet50.py`
                  (TOOLS: mmseg/.mim/tools where MMSegmentation is installed)
Expected time:    a minute and a half on two CPU cores
Expected metric:  none
"""

_base_ = [
    "../../_base_/models/deeplabv3plus_resnet50.py",
    "../../_base_/datasets/voc_mini.py",
    "../../_base_/schedules/smoke.py",
    "../../_base_/default_runtime.py",
]

model = dict(backbone=dict(type="SlimResNet"), data_preprocessor=dict(size=(129, 129)))
default_hooks = dict(logger=dict(interval=5), checkpoint=dict(interval=20))
