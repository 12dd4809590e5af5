"""The C4 detector of COCO to be trained from random weights on a few small images: the same layers, less to compute.

Everything trains, batch norms with the statistics of the batch (frozen ones would keep those of no data at all); the
anchors shrink like the images; 12 regions an image are learned from, 50 tested.
"""

_base_ = ["./faster_rcnn_c4.py"]

norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False),
    rpn_head=dict(anchor_generator=dict(scales=[1, 2, 4, 8])),
    roi_head=dict(shared_head=dict(norm_cfg=norm_cfg, norm_eval=False)),
    train_cfg=dict(
        rpn=dict(allowed_border=-1, sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=500, max_per_img=100),
        rcnn=dict(sampler=dict(num=12, pos_fraction=0.5)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=50)),
)
