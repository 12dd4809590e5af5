"""The detector with a pyramid to be trained from random weights on a few small images: the same layers.

Everything trains, batch norms with the statistics of the batch; the anchors shrink like the images; 32 regions an image
are learned from, 50 tested.
"""

_base_ = ["./faster_rcnn_fpn.py"]

model = dict(
    backbone=dict(frozen_stages=-1, norm_eval=False),
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=500, max_per_img=100),
        rcnn=dict(sampler=dict(num=32, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=50)),
)
