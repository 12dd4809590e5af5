"""What Versatile Filters' recipes for MobileNetV2 and EfficientNet share: RMSProp, 8 GPUs with 128 images each.

Printed (section 5.2.2): RMSProp, decay 0.9, momentum 0.9, batch 1024, weight decay 1e-5 (for MobileNetV2), the
augmentation of Inception. Assumed: TensorFlow's RMSProp with epsilon 0.001 as in EfficientNet's public code, no warm-up,
350 epochs, the learning rate set at the beginnings of epochs.

RMSProp divides a gradient by its size. That of the masks' agents H (3e-4 in a small trial) is far below sqrt(epsilon) =
0.03, which it is divided by instead: 31 times the step of SGD. So H has the weights' learning rate here, and not 30
times as much.
"""

_base_ = ["./imagenet.py", "./runtime.py"]

custom_imports = dict(
    imports=["benchmarks.training", "benchmarks.training.optimizers", "benchmarks.training.averaging"],
    allow_failed_imports=False,
)
train_dataloader = dict(batch_size=1024, dataset=dict(augmentation="inception"))
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=350, val_interval=5)
optim_wrapper = dict(
    optimizer=dict(type="RMSpropTF", alpha=0.9, momentum=0.9, eps=0.001, weight_decay=1e-5),
)
