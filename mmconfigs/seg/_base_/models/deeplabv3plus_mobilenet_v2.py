"""The same head on MobileNetV2 as it classifies: output stride 32, no dilation, without its last 1x1 convolution."""

_base_ = ["./deeplabv3plus_resnet50.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="TorchvisionMobileNetV2",
        out_indices=(1, 6),  # 24 channels at a quarter of the image's size, 320 at a 32nd
        norm_cfg=dict(type="BN", requires_grad=True),
    ),
    decode_head=dict(in_channels=320, in_index=1, c1_in_channels=24),
)
