"""DeepLabv3+ with separate L-Versatile ResNet-50 (s = 4) learns eight images of VOC 2012 by heart.

Command:          slimbench train voc-mini/overfit/deeplabv3plus_separate_l_versatile_resnet50_s4
                  or `python TOOLS/train.py mmconfigs/seg/voc-mini/overfit/deeplabv3plus_separate_l_versatile_resnet50_s4.py`
                  (TOOLS: mmseg/.mim/tools where MMSegmentation is installed)
Expected time:    about ten minutes on one CPU core
Expected metric:  mIoU above 85 % on the images that it learned; a proxy, which measures nothing else
"""

_base_ = [
    "../../_base_/models/deeplabv3plus_resnet50.py",
    "../../_base_/datasets/voc_mini_eight.py",
    "../../_base_/schedules/overfit.py",
    "../../_base_/mini_runtime.py",
]

model = dict(backbone=dict(type="VersatileResNet", kind="separate", s=4), data_preprocessor=dict(size=(129, 129)))
# Of the learned masks: their penalty, their group of the optimizer, their rule after each step. At the weights' rate and
# not 30 times of it: a step of Adam is as long as the rate, however small the gradient.
custom_hooks = [dict(type="VersatileMaskHook", mask_lr_scale=1.0)]
