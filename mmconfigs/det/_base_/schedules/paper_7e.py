"""Seven epochs of SGD, one image at a time: 0.001, a tenth of it from the sixth epoch on.

SlimConv prints nothing of this. It is the recipe under which the public code lists 75.2 for ResNet-101 on VOC 2007
(the table's baseline has 75.0), with its momentum 0.9, weight decay 1e-4 and none for biases.
"""

protocol = dict(
    name="paper-7e",
    proxy=False,
    epochs=7,
    description="SGD, one image at a time, learning rate 0.001 divided by 10 after 5 of 7 epochs, shorter side 600, "
    "ImageNet weights to start from; the paper prints none",
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.001, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(bias_decay_mult=0.0),
)
param_scheduler = [dict(type="MultiStepLR", begin=0, end=7, by_epoch=True, milestones=[5], gamma=0.1)]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=7, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
auto_scale_lr = dict(enable=False, base_batch_size=1)
