"""ImageNet as Versatile Filters trains EfficientNet-B0 (section 5.2.2): RMSProp, 0.045 times 0.98 an epoch, averaged.

Printed in the paper: RMSProp with decay and momentum 0.9, learning rate 0.045 times 0.98 per epoch, 8 GPUs with 128
images each, the augmentation of Inception, an exponential moving average of the weights. Not printed and assumed: 350
epochs and an average of decay 0.9999 over weights and batch statistics, as in EfficientNet's public code; weight decay
1e-5 as printed for MobileNetV2; epsilon 0.001; no warm-up; crops of random size, flips and changes of colour as
augmentation; H of learnable masks at the weights' learning rate (`_base_/imagenet_rmsprop.py` says why). Dropout and
stochastic depth 0.2 are torchvision's. The averaged weights are tested, with masks that follow from the averaged H.

Command:          slimbench train imagenet/efficientnet-rmsprop-ema/separate_l_versatile_efficientnet_b0_s2 --seed 0
Expected time:    about 30 hours for EfficientNet-B0 on one H100, if it trains on 4,200 images a second (not measured)
Expected metric:  top-1 error on the 50,000 validation images; Versatile Filters, Table 9 (EfficientNet-B0: 22.7 %)
"""

_base_ = ["../_base_/imagenet_rmsprop.py"]

protocol = dict(
    name="efficientnet-rmsprop-ema",
    proxy=False,
    epochs=350,
    description="Versatile Filters 5.2.2: RMSProp, decay and momentum 0.9, batch 1024, 0.045 times 0.98 per epoch, "
    "Inception's augmentation, moving average of the weights; assumed: 350 epochs, weight decay 1e-5, decay of the "
    "average 0.9999, epsilon 0.001, no warm-up, masks at the weights' learning rate, bf16",
)

optim_wrapper = dict(optimizer=dict(lr=0.045))
param_scheduler = [dict(type="ExponentialLR", gamma=0.98)]
custom_hooks = [
    *({**hook, "mask_lr_scale": 1.0} if hook["type"] == "VersatileMaskHook" else hook for hook in _base_.custom_hooks),
    dict(type="WeightAverageHook", momentum=1e-4, update_buffers=True),
]
