"""A variant: Sc-ResNet-50 below MMSegmentation's own DeepLabv3+ head, whose convolutions are depthwise separable.

Everything else is as in deeplabv3plus_sc_resnet50.py. Its counts are not those of
SlimConv's Table VII, and it has no line there.

Command:          slimbench train voc12aug/paper-30k/deeplabv3plus_sepaspp_sc_resnet50
                  or `python TOOLS/train.py mmconfigs/seg/voc12aug/paper_30k/deeplabv3plus_sepaspp_sc_resnet50.py`
                  (TOOLS: mmseg/.mim/tools where MMSegmentation is installed)
Expected time:    about an hour on one H100 (not measured)
Expected metric:  mIoU on the 1,449 validation images; nothing printed to compare it with
"""

_base_ = ["./deeplabv3plus_sc_resnet50.py"]

model = dict(decode_head=dict(type="DepthwiseSeparableASPPHead"))
