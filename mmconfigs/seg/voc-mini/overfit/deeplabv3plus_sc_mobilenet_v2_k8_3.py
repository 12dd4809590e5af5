"""DeepLabv3+ with Sc-MobileNetV2 (k = 8/3) learns eight images of VOC 2012 by heart.

Command:          slimbench train voc-mini/overfit/deeplabv3plus_sc_mobilenet_v2_k8_3
                  or `python TOOLS/train.py mmconfigs/seg/voc-mini/overfit/deeplabv3plus_sc_mobilenet_v2_k8_3.py`
                  (TOOLS: mmseg/.mim/tools where MMSegmentation is installed)
Expected time:    four minutes on one CPU core
Expected metric:  mIoU above 85 % on the images that it learned; a proxy, which measures nothing else
"""

_base_ = [
    "../../_base_/models/deeplabv3plus_mobilenet_v2.py",
    "../../_base_/datasets/voc_mini_eight.py",
    "../../_base_/schedules/overfit.py",
    "../../_base_/mini_runtime.py",
]

model = dict(backbone=dict(type="SlimMobileNetV2"), data_preprocessor=dict(size=(129, 129)))
