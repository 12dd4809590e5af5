"""A variant: ResNet-50 below MMSegmentation's own DeepLabv3+ head, whose convolutions are depthwise separable.

Everything else is as in deeplabv3plus_r50-d16_1xb16-30k_voc12aug-513x513.py. Its counts are not those of
SlimConv's Table VII, and it has no line there.

Command:          python TOOLS/train.py mmconfigs/seg/deeplabv3plus/deeplabv3plus_r50-d16-sepaspp_1xb16-30k_voc12aug-513x513.py
Expected time:    about an hour on one H100 (not measured)
Expected metric:  mIoU on the 1,449 validation images; nothing printed to compare it with
"""

_base_ = ["./deeplabv3plus_r50-d16_1xb16-30k_voc12aug-513x513.py"]

model = dict(decode_head=dict(type="DepthwiseSeparableASPPHead"))
