"""ImageNet as SlimConv trains lightweight networks (IV-A1): a cosine from 0.05, weight decay 4e-5.

Printed in the paper: SGD, weight decay 4e-5, learning rate 0.05 with the cosine strategy, crops of random size and
flips. Not printed and assumed: 150 epochs, as a public MobileNetV2 recipe with these settings has, momentum 0.9,
batch 256, the cosine by iteration, no warm-up. The paper picks each network's best epoch on the validation images;
here the last one counts. bf16 autocast, channels_last.

Command:          slimbench train imagenet/paper-light-150e/sc_mobilenet_v2_k8_3 --seed 0
Expected time:    about 10 hours for MobileNetV2 on one H100, if it trains on 5,500 images a second (not measured)
Expected metric:  top-1 error on the 50,000 validation images; SlimConv, Table III (MobileNetV2: 28.54 %)
"""

_base_ = ["../_base_/imagenet_sgd.py"]

protocol = dict(
    name="paper-light-150e",
    proxy=False,
    epochs=150,
    description="SlimConv IV-A1: SGD with a cosine from 0.05, weight decay 4e-5, crops of random size and flips; "
    "assumed: 150 epochs, momentum 0.9, batch 256, the last epoch tested (the paper's best one), bf16",
)

train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=150, val_interval=1)
optim_wrapper = dict(optimizer=dict(lr=0.05, weight_decay=4e-5))
param_scheduler = [dict(type="CosineAnnealingLR", T_max=150, end=150, by_epoch=True, convert_to_iter_based=True)]
