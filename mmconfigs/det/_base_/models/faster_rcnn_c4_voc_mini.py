"""The same with the 9 anchors and 20 classes of VOC."""

_base_ = ["./faster_rcnn_c4_mini.py"]

model = dict(
    rpn_head=dict(anchor_generator=dict(scales=[2, 4, 8])),
    roi_head=dict(bbox_head=dict(num_classes=20)),
)
