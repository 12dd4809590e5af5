"""DeepLabv3+ with Sc-ResNet-50 learns eight images of VOC 2012 by heart.

Command:          slimbench train voc-mini/overfit/deeplabv3plus_sc_resnet50
                  or `python TOOLS/train.py mmconfigs/seg/voc-mini/overfit/deeplabv3plus_sc_resnet50.py`
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

model = dict(backbone=dict(type="SlimResNet"), data_preprocessor=dict(size=(129, 129)))
