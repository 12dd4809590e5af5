"""VDSR's training (Kim et al., 2016), which Versatile Filters, section 5.4, says it takes over; tested on Set5.

Printed by Kim et al.: 291 pictures, patches of 41x41 without overlap, rotated or flipped, the scales 2, 3 and 4 mixed
in every batch of 64; SGD, momentum 0.9, weight decay 1e-4, 80 epochs ("9960 iterations"), learning rate 0.1 divided by
10 every 20 epochs, gradients clipped to [-theta/lr, theta/lr]; He's initialisation. Not printed: theta. Assumed: theta
1e-4 (a step of plain SGD moves no weight further); bf16 autocast with the first layer in float32.

Readings. 9,960 iterations of 64 are 80 epochs of 7,968 patches (124.5 batches; the last of an epoch has 32), while the
291 pictures hold 54,192 patches at the three scales, in 8 orientations 433,536. This protocol takes the printed
iterations: an epoch is 7,968 patches, drawn from all. `paper-all-patches` takes the printed epochs: each shows every
patch in every orientation at every scale.
Versatile Filters reduces its pictures "by 2x and 4x in order to train models for processing images with different
resolutions": `paper-x2x4` mixes the two, `paper-x2` and `paper-x4` train a network each.

Command:          slimbench train set5/paper/vdsr22 --seed 0   (any SR model of `slimbench models`)
Expected time:    70 minutes on two idle CPU cores with bf16 instructions; with a GPU a few minutes (not measured)
Expected metric:  PSNR of luminance on Set5; Versatile Filters, Table 11
"""

_base_ = ["../_base_/set5.py"]

protocol = dict(
    name="paper",
    proxy=False,
    epochs=80,
    description="Kim et al. (2016): SGD 0.1, momentum 0.9, weight decay 1e-4, batch 64, 80 epochs (9,960 iterations), "
    "/10 every 20, gradients clipped to theta/lr, patches of 41x41 at x2, x3, x4 of 291 pictures; assumed: theta 1e-4, "
    "bf16",
)

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=80, val_interval=1)
optim_wrapper = dict(
    type="AdjustableClippingOptimWrapper",
    theta=1e-4,
    optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [dict(type="MultiStepLR", milestones=[20, 40, 60], gamma=0.1)]

_loaders = ("train_dataloader", "val_dataloader", "test_dataloader")
variants = {
    "all-patches": dict(
        description="an epoch is every patch in 8 orientations at 3 scales, 433,536",
        changes={"train_dataloader.dataset.per_epoch": None},
    ),
    **{
        "".join(f"x{scale}" for scale in scales): dict(
            description=f"trained and tested at {' and '.join(f'x{scale}' for scale in scales)} only",
            changes={f"{loader}.dataset.scales": scales for loader in _loaders},
        )
        for scales in ((2, 4), (2,), (4,))
    },
}
