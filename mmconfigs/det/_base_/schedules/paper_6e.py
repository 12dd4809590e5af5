"""Six epochs of SGD with 24 images a batch: 0.01, a tenth of it from the fifth epoch on.

SlimConv prints nothing of this. It is the recipe under which the public code lists 33.9 for ResNet-101 on COCO 2014's
minival, which is the table's baseline, with its momentum 0.9, weight decay 1e-4 and none for biases.
"""

protocol = dict(
    name="paper-6e",
    proxy=False,
    epochs=6,
    description="SGD, batch 24, learning rate 0.01 divided by 10 after 4 of 6 epochs, shorter side 600, ImageNet "
    "weights to start from; the paper prints none",
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(bias_decay_mult=0.0),
)
param_scheduler = [dict(type="MultiStepLR", begin=0, end=6, by_epoch=True, milestones=[4], gamma=0.1)]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=6, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
auto_scale_lr = dict(enable=False, base_batch_size=24)
