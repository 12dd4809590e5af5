"""The same with 9 anchors and 20 classes, as SlimConv's Table VIII counts it for PASCAL VOC 2007."""

_base_ = ["./faster_rcnn_c4.py"]

model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[8, 16, 32])),
    roi_head=dict(bbox_head=dict(num_classes=20)),
)
