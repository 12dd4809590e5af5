"""ImageNet as Versatile Filters trains MobileNetV2 (section 5.2.2): RMSProp, 0.048 times 0.97 every 2.4 epochs.

Printed in the paper: RMSProp with decay and momentum 0.9, learning rate 0.048 times 0.97 per 2.4 epochs, weight decay
1e-5, 8 GPUs with 128 images each, the augmentation of Inception. Not printed and assumed: 350 epochs, epsilon 0.001, no
warm-up, the rate lowered after 3, 5, 8, 10, ... epochs, as soon as another 2.4 are over; crops of random size, flips and changes of
colour as augmentation; H of learnable masks at the weights' learning rate (`_base_/imagenet_rmsprop.py` says why).

Command:          slimbench train imagenet/mobilenetv2-rmsprop/c_versatile_mobilenet_v2_8_8 --seed 0
Expected time:    about 23 hours for MobileNetV2 on one H100, if it trains on 5,500 images a second (not measured)
Expected metric:  top-1 error on the 50,000 validation images; Versatile Filters, Tables 7 and 8 (C-Versatile: 29.5 %)
"""

_base_ = ["../_base_/imagenet_rmsprop.py"]

protocol = dict(
    name="mobilenetv2-rmsprop",
    proxy=False,
    epochs=350,
    description="Versatile Filters 5.2.2: RMSProp, decay and momentum 0.9, batch 1024, 0.048 times 0.97 per 2.4 "
    "epochs, weight decay 1e-5, Inception's augmentation; assumed: 350 epochs, epsilon 0.001, no warm-up, masks at the "
    "weights' learning rate, bf16",
)

optim_wrapper = dict(optimizer=dict(lr=0.048))
param_scheduler = [
    dict(type="MultiStepLR", milestones=[-(-24 * step // 10) for step in range(1, 146)], gamma=0.97),
]
custom_hooks = [
    {**hook, "mask_lr_scale": 1.0} if hook["type"] == "VersatileMaskHook" else hook for hook in _base_.custom_hooks
]
