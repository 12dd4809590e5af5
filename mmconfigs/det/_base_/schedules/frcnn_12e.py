"""Twelve epochs of SGD: 0.01, a tenth of it from the ninth epoch on and a hundredth in the last one.

Printed in Versatile Filters, section 5.3: the epochs, the learning rate and its steps. Assumed: 8 images a batch, to
which MMDetection's rule (0.02 for 16 images, in proportion) gives that learning rate; its momentum 0.9, weight decay 1e-4
and 500 iterations of warm-up.
"""

protocol = dict(
    name="frcnn-12e",
    proxy=False,
    epochs=12,
    description="Faster R-CNN, SGD, learning rate 0.01 divided by 10 after epochs 8 and 11 of 12, shorter side 600, "
    "trained on train and val without the 5,000 images of minival, tested on minival; ImageNet weights to start from "
    "are assumed",
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=12, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
auto_scale_lr = dict(enable=False, base_batch_size=8)
