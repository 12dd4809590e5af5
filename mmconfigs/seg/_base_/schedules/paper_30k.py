"""30,000 iterations of SGD: 0.01, for the backbone 0.001, with a polynomial decay to 0 (power 0.9).

SlimConv prints nothing of this but the framework, DeepLabv3+; momentum 0.9 and weight decay 1e-4 are assumed, too.
"""

protocol = dict(
    name="paper-30k",
    proxy=False,
    epochs=45,  # 662 iterations each
    description="SGD, batch 16, 30,000 iterations, crops of 513x513, learning rate 0.01 (0.001 for the backbone) with a "
    "polynomial decay, ImageNet weights to start from; the paper prints none",
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=1e-4),
    clip_grad=None,
    paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))),
)
param_scheduler = [dict(type="PolyLR", eta_min=0.0, power=0.9, begin=0, end=30000, by_epoch=False)]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=30000, val_interval=3000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
